"""Owns the list of sharpness measures: those of this folder's modules, and those of other packages.

Every module of this folder that defines MEASURES adds its own. Another package adds a `Measure`, or a tuple of them, in the entry-point
group `flatproof.measures`, or is named by address:

    [project.entry-points."flatproof.measures"]
    relative = "mypackage.sharpness:RELATIVE"

    flatproof sharpness --measures trace,mypackage.sharpness:RELATIVE ...
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from flatproof.verify.curvature.estimates import Estimate
from flatproof.verify.utils.plugins import addresses, named_object

GROUP = "flatproof.measures"


@dataclass(frozen=True)
class Measure:
    """One definition of sharpness.

    Attributes:
        name: what the command calls it.
        formula: its definition, in a line.
        source: paper and equation.
        function: function(problem_or_operator, **settings) -> Estimate.
        needs: "products" (works on any symmetric operator), "loss" (needs a problem, whose parameters it moves) or "problem" (needs one to
            make the Hessian of a part of its parameters).
        invariant: what leaves it unchanged.
        settings: what is passed to the function on top of the caller's settings.
        passes_on: functions that take what the function takes as **settings.
    """

    name: str
    formula: str
    source: str
    function: Callable[..., Estimate]
    needs: Literal["products", "loss", "problem"]
    invariant: str
    settings: tuple[tuple[str, Any], ...] = ()
    passes_on: tuple[Callable[..., Any], ...] = ()

    def __call__(self, source: object, **settings: Any) -> Estimate:
        """The measure of a problem or operator.

        Args:
            source: what is measured.
            **settings: some of `accepts`.

        Raises:
            TypeError: a source or setting that the function does not take, or a function that gives no Estimate.
            ValueError: settings out of range, or a number that cannot be had.
        """
        estimate = self.function(source, **(dict(self.settings) | settings))
        if not isinstance(estimate, Estimate):
            raise TypeError(f"measure {self.name!r} must give an Estimate, got {type(estimate).__name__}")
        return estimate

    @property
    def accepts(self) -> set[str]:
        """The names of its settings, those that it passes on included."""
        return self._keywords - {"vectors", "near"}

    @property
    def follows(self) -> bool:
        """Whether it can go on from the eigenvector that it found before (`near` of `eigenvalues`)."""
        return "near" in self._keywords

    @property
    def _keywords(self) -> set[str]:
        functions = (self.function, *self.passes_on)
        parameters = [p for function in functions for p in inspect.signature(function).parameters.values()]
        return {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}


def measures() -> dict[str, Measure]:
    """Every measure by name: the project's in the order of their modules' names, then those of installed packages.

    Raises:
        ValueError: an entry point that does not load or names no measure, or two measures of one name.
    """
    known: dict[str, Measure] = {}
    for info in pkgutil.iter_modules([str(Path(__file__).parent)]):
        module = importlib.import_module(f"{__package__}.{info.name}")
        _add(known, getattr(module, "MEASURES", ()))
    for name, address in addresses(GROUP).items():
        _add(known, _loaded(address, f"entry point {name!r} of {GROUP}"))
    return known


def select(names: list[str] | None) -> dict[str, Measure]:
    """The chosen measures by name.

    Args:
        names: of measures, or addresses "module:object" of a `Measure` or a tuple of them; None for all that are known.

    Raises:
        ValueError: names the unknown one.
    """
    known = measures()
    if not names:
        return known
    chosen: dict[str, Measure] = {}
    for name in names:
        if ":" in name:
            _add(chosen, _loaded(name, "measure"))
        elif name in known:
            chosen[name] = known[name]
        else:
            raise ValueError(f"unknown measure {name!r}; expected some of: {', '.join(known)}, or module:object")
    return chosen


def _add(known: dict[str, Measure], more: Iterable[Measure]) -> None:
    for measure in more:
        if known.setdefault(measure.name, measure) is not measure:
            raise ValueError(f"two measures are called {measure.name!r}; expected different names")


def _loaded(address: str, where: str) -> Iterator[Measure]:
    """The measures at an address; `where` it is written."""
    try:
        value = named_object(address)
    except Exception as error:  # another package's code: anything can happen in it
        raise ValueError(f"{where} {address}: {type(error).__name__}: {error}; expected module:object") from error
    for measure in value if isinstance(value, (tuple, list)) else (value,):
        if not isinstance(measure, Measure):
            raise ValueError(f"{where} {address}: expected a Measure or a tuple of them, got {type(measure).__name__}")
        yield measure
