"""Owns what a study measures once: `Measurement`, a user's function at one setting and seed, addressed by its code and its arguments."""

import importlib
import inspect
import random
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from flatproof.verify.jobs.job import OFF_ADDRESS, Computation, Outcome, plain
from flatproof.verify.utils.errors import Diverged, UserError

DIVERGED = "diverged"
Measure = Callable[..., Mapping[str, Any]]


@dataclass(frozen=True)
class Measurement(Computation):
    """One call of the user's function.

    Args:
        function: what is called, with `arguments` and `seed` by name; returns numbers, texts and arrays by name.
        code: `code_digest` of the function.
        arguments: one setting of the grid.
        seed: from 1.
        version: the user's own, raised where what the code cannot show has changed.
    """

    JOB = "study"
    VERSION = 1  # raised when a change here alters what is stored

    function: Measure = field(metadata=OFF_ADDRESS)
    code: str
    arguments: Mapping[str, Any]
    seed: int
    version: int = 1

    def settings(self) -> dict[str, Any]:
        """The fields; `version` is the job's, the user's own is `own_version`."""
        own = {"code": self.code, "arguments": plain(dict(self.arguments), "arguments"), "seed": self.seed}
        return {"job": self.JOB, "version": self.VERSION, "own_version": self.version} | own

    @property
    def cost(self) -> float:
        """The same of all."""
        return 1.0

    @property
    def row(self) -> str:
        """The setting, in the progress display."""
        return described(self.arguments) or self.function.__name__

    def carry_out(self) -> Outcome:
        """What the function returns: numbers and texts as values, arrays as arrays; or that it diverged.

        Global generators are seeded before.
        """
        _seed_generators(self.seed)
        try:
            returned = self.function(**self.arguments, seed=self.seed)
        except Diverged as error:
            return Outcome({"status": DIVERGED, "reason": str(error)})
        if not isinstance(returned, Mapping) or not returned:
            raise UserError(
                f"{self.function.__name__} must return numbers by name, such as {{'loss': 0.1}}, got {returned!r:.80}"
            )
        values: dict[str, Any] = {}
        arrays = {}
        for name, value in returned.items():
            value = value.detach().cpu().numpy() if hasattr(value, "detach") else value
            if isinstance(value, np.ndarray) and value.ndim:
                arrays[str(name)] = value
                continue
            values[str(name)] = value.item() if isinstance(value, (np.generic, np.ndarray)) else value
            if not isinstance(values[str(name)], (bool, int, float, str, type(None))):
                raise UserError(
                    f"{self.function.__name__} returned {name} = {value!r:.80}; expected a number, a text or an array"
                )
        return Outcome(values, arrays=arrays)

    def summary(self, values: dict[str, Any]) -> str:
        """What came out, in short."""
        if remark := self.remark(values):
            return f"seed {self.seed}: {remark}"
        return f"seed {self.seed}: " + ", ".join(f"{name} {in_words(value)}" for name, value in list(values.items())[:4])

    def figures(self, values: dict[str, Any]) -> dict[str, float]:
        """The numbers, for the progress display's means."""
        return {name: float(value) for name, value in values.items() if isinstance(value, (int, float))}

    def remark(self, values: dict[str, Any]) -> str | None:
        """Whether it diverged."""
        return DIVERGED if set(values) == {"status", "reason"} and values["status"] == DIVERGED else None

    def __getstate__(self) -> dict[str, Any]:
        """A function of a module travels by name, with the module's folder: a worker elsewhere finds it; that of a script as it is."""
        state = dict(self.__dict__)
        module = sys.modules.get(self.function.__module__)
        if module is not None and module.__name__ != "__main__" and (file := inspect.getsourcefile(self.function)) is not None:
            depth = module.__name__.count(".")
            state["function"] = (module.__name__, self.function.__qualname__, str(Path(file).resolve().parents[depth]))
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if isinstance(state["function"], tuple):
            name, attribute, folder = state["function"]
            if folder not in sys.path:
                sys.path.append(folder)
            found: Any = importlib.import_module(name)
            for part in attribute.split("."):
                found = getattr(found, part)
            state = state | {"function": found}
        self.__dict__.update(state)


def _seed_generators(seed: int) -> None:
    """Python's, numpy's and torch's: a function that draws from them gives the same in any process and order."""
    import torch

    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)


def described(arguments: Mapping[str, Any]) -> str:
    """A setting in words: "rate 0.1, width 50"."""
    return ", ".join(f"{name} {in_words(value)}" for name, value in arguments.items())


def in_words(value: Any) -> str:
    """A value in short."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
