"""Owns the list of sharpness measures: every module of this folder that defines MEASURES adds its own."""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from flatproof.verify.curvature.estimates import Estimate


@dataclass(frozen=True)
class Measure:
    """One definition of sharpness.

    Attributes:
        name: what the command calls it.
        formula: its definition, in a line.
        source: paper and equation.
        function: function(problem_or_operator, **settings) -> Estimate.
        settings: what is passed to the function on top of the caller's settings.
        needs: "products" (works on any symmetric operator) or "loss" (needs a problem, whose parameters it moves).
        invariant: what leaves it unchanged.
    """

    name: str
    formula: str
    source: str
    function: Callable[..., Estimate]
    needs: Literal["products", "loss"]
    invariant: str
    settings: tuple[tuple[str, Any], ...] = ()

    def __call__(self, source: object, **settings: Any) -> Estimate:
        """The measure of a problem or operator."""
        return self.function(source, **(dict(self.settings) | settings))


def measures() -> dict[str, Measure]:
    """Every measure by name, in the order of their modules' names."""
    from flatproof.verify.curvature import sharpness as folder

    found: dict[str, Measure] = {}
    for info in pkgutil.iter_modules(folder.__path__):
        module = importlib.import_module(f"{folder.__name__}.{info.name}")
        for measure in getattr(module, "MEASURES", ()):
            if measure.name in found:
                raise ValueError(f"two measures are called {measure.name!r}; expected different names")
            found[measure.name] = measure
    return found


def select(names: list[str] | None) -> dict[str, Measure]:
    """The named measures, all for None; ValueError naming the unknown one."""
    known = measures()
    for name in names or []:
        if name not in known:
            raise ValueError(f"unknown measure {name!r}; expected some of: {', '.join(known)}")
    return {name: known[name] for name in names} if names else known
