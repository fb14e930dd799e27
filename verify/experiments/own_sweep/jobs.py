"""Owns what is measured of a user's checkpoint: `CheckpointSharpness`, one measure with its settings, addressed by content.

The address holds the checkpoint's SHA-256, that of the data's tensors, and that of the file which defines the model (and of the one with
the loss, where that is the user's own). Files that those import are not looked at.
"""

import hashlib
import importlib
import json
import sys
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flatproof.verify.jobs.job import OFF_ADDRESS, Computation

if TYPE_CHECKING:
    from torch import nn

    from flatproof.verify.curvature.estimates import Symmetric
    from flatproof.verify.curvature.problem import Problem
    from flatproof.verify.curvature.user_model import Batch, Loaded

SHOWN = 12  # digits of a digest that tables print
TRACES = ("trace", "adaptive-trace", "relative-flatness")


@dataclass(frozen=True)
class Subject:
    """What is the same for all checkpoints: a model, data, and a loss, as the command line names them.

    Args:
        model, data, loss: as `flatproof sharpness` takes them.
        data_digest: of the batches.
        code_digest: of the files that define the model and the loss, and of the libraries' versions.
        mode: "eval" or "train".
        batch_size, samples: of data in a file.
        dtype: "float32" or "float64"; None: the model's.
        parameters: names or prefixes; None: all.
        entry, prefix: which of a checkpoint's tensors are meant.
    """

    model: str
    data: str
    loss: str
    data_digest: str = ""
    code_digest: str = ""
    mode: str = "eval"
    batch_size: int = 500
    samples: int | None = None
    dtype: str | None = None
    parameters: tuple[str, ...] | None = None
    entry: str | None = None
    prefix: str | None = None

    def batches(self) -> "list[Batch]":
        """The data. Errors: ValueError, OSError."""
        from flatproof.verify.curvature.user_model import load_data

        return load_data(self.data, self.batch_size, self.samples)

    def network(self, path: Path) -> "Loaded":
        """The model with the weights of a checkpoint, and what there is to say of that. Errors: ValueError, OSError."""
        from flatproof.verify.curvature.user_model import load_with_words

        return load_with_words(self.model, path, self.dtype, self.entry, self.prefix, "checkpoint")

    def problem(self, network: "nn.Module", batches: "list[Batch]") -> "Problem":
        """The loss on the data as a function of the network's parameters. Errors: ValueError, NotFinite."""
        from flatproof.verify.curvature.user_model import build_problem, fit_data, load_loss

        chosen = None if self.parameters is None else list(self.parameters)
        return build_problem(network, load_loss(self.loss), fit_data(batches, network, self.loss), self.mode, chosen)

    def settings(self) -> dict[str, Any]:
        """What determines a measurement, the places of data aside."""
        kept = ("model", "loss", "data_digest", "code_digest", "mode", "dtype", "entry", "prefix")
        return {name: getattr(self, name) for name in kept} | {"parameters": self.parameters and list(self.parameters)}


@dataclass(frozen=True)
class CheckpointSharpness(Computation):
    """One measure of one checkpoint.

    Args:
        subject: model, data and loss.
        name: of the checkpoint, for people.
        path: where it lies.
        checkpoint: SHA-256 of its content.
        measure: its name.
        source: the name or address by which it was asked for.
        arguments: its settings, as JSON.
        label: of the measure with the settings that were asked for, for people.
    """

    JOB = "own sweep"
    VERSION = 1  # raised when a change in verify.curvature alters what is measured

    subject: Subject
    name: str = field(metadata=OFF_ADDRESS)
    path: Path = field(metadata=OFF_ADDRESS)
    checkpoint: str
    measure: str
    source: str
    arguments: str
    label: str = field(default="", metadata=OFF_ADDRESS)

    @property
    def cost(self) -> float:
        """The same of all: they stay in their order, checkpoint by checkpoint, so that each is read once."""
        return 1.0

    def settings(self) -> dict[str, Any]:
        """Everything but name and place of the checkpoint."""
        own = {"checkpoint": self.checkpoint, "measure": self.measure, "source": self.source, "arguments": self.arguments}
        return {"job": self.JOB, "version": self.VERSION} | own | self.subject.settings()

    def carry_out(self) -> dict[str, Any]:
        """The estimate's fields and the loss; or the reason why there is none, of what would fail the same way again."""
        from flatproof.verify.curvature.sharpness import average_case_sharpness, select
        from flatproof.verify.curvature.user_model import NotFinite

        measure = select([self.source])[self.measure]
        try:
            operator, loss, size = _prepared(self.subject, self.path, self.checkpoint)
        except NotFinite as error:
            return {"reason": str(error)}
        try:
            given = ({"above": False} if "above" in measure.accepts else {}) | json.loads(self.arguments)
            if self.measure in TRACES:
                given = {"method": "xtrace"} | given  # the default when measurements were first stored at these addresses
            if measure.function is average_case_sharpness:
                given = {"draws": 100} | given  # so too
            estimate = measure(operator, **given)
        except (ValueError, TypeError, NotImplementedError) as error:
            return {"reason": " ".join(str(error).split())}
        return estimate.as_dict() | {"loss": loss, "parameters": size}

    def summary(self, values: dict[str, Any]) -> str:
        """The measure and what came out."""
        outcome = f"not measured: {values['reason']}" if "reason" in values else f"{values['value']:.4g}"
        return f"{self.label or self.measure} {outcome}"

    def remark(self, values: dict[str, Any]) -> str | None:
        """Whether there is no value."""
        return "not measured" if "reason" in values else None


@lru_cache(maxsize=1)
def _prepared(subject: Subject, path: Path, checkpoint: str) -> "tuple[Symmetric, float, int]":
    """The Hessian of a checkpoint, its loss, and its number of parameters; the last one's are kept for the next measure."""
    from flatproof.verify.curvature.sharpness.hessian import operator_of
    from flatproof.verify.curvature.user_weights import digest

    batches = subject.batches()
    if digest_of_data(batches) != subject.data_digest:
        raise ValueError(f"--data {subject.data} gave other batches than before; expected the same at each call")
    network = subject.network(path).model
    if digest(path) != checkpoint:
        raise ValueError(f"checkpoint {path} was altered since it was first read")
    problem = subject.problem(network, batches)
    return operator_of(problem), problem.loss(), problem.size


def digest_of_data(batches: "list[Batch]") -> str:
    """SHA-256 of the batches' tensors, with their types, shapes and names."""
    sha = hashlib.sha256()

    def add(value: Any) -> None:
        if hasattr(value, "detach"):
            array = value.detach().cpu().contiguous()
            sha.update(f"{array.dtype} {tuple(array.shape)}\n".encode())
            if array.numel():
                import torch

                sha.update(array.reshape(-1).view(torch.uint8).numpy().tobytes())
        elif hasattr(value, "items"):
            for name, item in value.items():
                sha.update(f"{name}:".encode())
                add(item)
        elif isinstance(value, (list, tuple)):
            for item in value:
                add(item)
        else:
            sha.update(repr(value).encode())

    for batch in batches:
        add(batch)
    if any(getattr(batch[1], "ndim", 0) > 1 for batch in batches):
        sha.update(b"no target is broadcast\n")  # as they were when measurements were first stored: those are not found again
    return sha.hexdigest()


def digest_of_code(model: str, loss: str) -> str:
    """SHA-256 of the files that define a model and a loss; of a library its version. Both must have been imported."""
    sha = hashlib.sha256()
    for spec in (model, loss):
        library, colon, _ = spec.partition(":")
        module = sys.modules.get(library) if colon else None
        if module is None:
            continue
        if library in ("timm", "transformers"):
            sha.update(f"{library} {getattr(importlib.import_module(library), '__version__', '')}\n".encode())
        elif file := getattr(module, "__file__", None):
            sha.update(Path(file).read_bytes())
    return sha.hexdigest()
