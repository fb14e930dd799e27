"""Owns `Study`: the user's grid as an experiment that commands know, and the same from Python."""

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import LogFormatter

from flatproof.verify.experiments.study.drawing import plot
from flatproof.verify.experiments.study.measurement import Measure, Measurement, described, in_words
from flatproof.verify.experiments.study.summaries import table
from flatproof.verify.experiments.vocabulary import Experiment, Shelf, of_scale, provenance_of
from flatproof.verify.jobs.job import StoredValues, plain
from flatproof.verify.jobs.store import Store
from flatproof.verify.jobs.sweep import LOCAL, sweep
from flatproof.verify.report.about import About
from flatproof.verify.report.artifacts import NOT_YET, Artifact, Figure, Table
from flatproof.verify.report.files import on_one_line
from flatproof.verify.report.style import figure_style, label_ticks
from flatproof.verify.utils.checks import check_whole
from flatproof.verify.utils.errors import UserError
from flatproof.verify.utils.source import code_digest

Draw = Callable[[pd.DataFrame, Axes], None]
Tabulate = Callable[[pd.DataFrame], pd.DataFrame]
STORE = Path(".flatproof/runs.sqlite")
Pairs = list[tuple[Measurement, StoredValues]]


class Study(Experiment):
    """A grid of settings times seeds, and a function that measures one of them.

    Args:
        id: short name, the folder of its results.
        measure: function of one setting by name and of `seed`, at the top of a module; returns numbers, texts and arrays by name.
        grid: values of each setting, all combinations of which are measured; or a list of settings, each a dictionary.
        seeds: how many of each setting, from 1; `--seeds` changes it. Scale smoke takes two.
        question: what the study asks, the title of its table.
        notes: paragraphs below its tables.
        limits: by the name of a measured number, the least and largest that it can be, as (0, 1) of an accuracy: intervals end there.
        version: raised where something has changed that the function's code does not show, such as an installed package.

    Raises:
        ValueError: a name, grid or function that cannot be used, naming it.
    """

    def __init__(
        self,
        id: str,
        measure: Measure,
        grid: Mapping[str, Iterable[Any]] | Sequence[Mapping[str, Any]],
        *,
        seeds: int = 5,
        question: str = "",
        notes: Sequence[str] = (),
        limits: Mapping[str, tuple[float, float]] | None = None,
        version: int = 1,
    ) -> None:
        if not isinstance(id, str) or not id or not id.replace("-", "").replace("_", "").isalnum():
            raise ValueError(f"id must be letters, digits, - and _, got {id!r}")
        check_whole("seeds", seeds, 1)
        self.measure, self.version = measure, check_whole("version", version, 1)
        self.settings = _combinations(grid)
        _check_called(measure, self.settings)
        self.limits = _limits(limits or {})
        self.question, self.notes = question or f"What {id} measures", tuple(notes)
        self.figures: dict[str, tuple[Draw, str]] = {}
        self.tables: dict[str, tuple[Tabulate, str]] = {}
        # what papers have as attributes of their class
        self.__dict__ |= {
            "ID": id,
            "ABOUT": About(id, self.question, f"{id}/figure"),
            "ON_REQUEST": True,
            "DEFAULT_SEEDS": {"smoke": min(2, seeds), "quick": seeds, "paper": seeds},
        }
        self._name()

    @cached_property
    def code(self) -> str:
        """The function's digest, from when it is first asked for: a value that the function itself changes does not count."""
        return code_digest(self.measure)

    def _name(self) -> None:
        """Its artifacts' ids."""
        names = ("table", *self.tables, "figure", *self.figures)
        self.__dict__["ARTIFACTS"] = tuple(f"{self.ID}/{name}" for name in names)

    def figure(self, draw: Draw) -> Draw:
        """Decorator: a figure of one's own, drawn by draw(rows, axes); its name is the function's, its title the docstring's first line."""
        self._add(draw, self.figures)
        return draw

    def table(self, tabulate: Tabulate) -> Tabulate:
        """Decorator: a table of one's own, the data frame tabulate(rows); named as figures are."""
        self._add(tabulate, self.tables)
        return tabulate

    def _add(self, function: Any, kept: dict[str, Any]) -> None:
        name = function.__name__.replace("_", "-")
        if f"{self.ID}/{name}" in self.ARTIFACTS:
            raise ValueError(f"study {self.ID} has a table or figure {name!r} already; expected another name")
        kept[name] = (function, (function.__doc__ or name.replace("-", " ")).strip().splitlines()[0].rstrip("."))
        self._name()

    def jobs(self, seeds: int | None = None) -> Iterator[Measurement]:
        """Every measurement of so many seeds; None: as many as the study has."""
        for seed in range(1, (seeds or self.DEFAULT_SEEDS["quick"]) + 1):
            for arguments in self.settings:
                yield Measurement(self.measure, self.code, arguments, seed, self.version)

    def grid(self, only: Sequence[str], scale: str, seeds: int) -> list[tuple[str, Measurement]]:
        """Every artifact shows all measurements."""
        return [(job.row, job) for job in self.jobs(seeds)] if only else []

    def run(self, seeds: int | None = None, workers: int = 1, store: Path | str = STORE, engine: str = LOCAL) -> pd.DataFrame:
        """Measure what is missing.

        Args:
            seeds: of each setting; None: as many as the study has.
            workers: processes.
            store: where measurements are kept; what is there is not measured again.
            engine: "local", or a cluster as for `verify.jobs.sweep.sweep`.

        Returns:
            The rows, see `rows`.

        Raises:
            SweepError: after all others are stored, where measurements failed.
        """
        with Store(Path(store)) as opened:
            sweep(self.jobs(seeds), opened, workers, name=_name_of, engine=engine)
            return self.rows(opened, seeds)

    def rows(self, store: Store, seeds: int | None = None) -> pd.DataFrame:
        """What is stored: a row a measurement, with the setting, `seed`, and what was measured; arrays are left out.

        Its `attrs` hold the names of the settings, the limits, and how many seeds of which settings are wanted, for `table` and `plot`.

        Raises:
            UserError: for limits of what was not measured, or that a measured number exceeds.
        """
        return self._rows(Shelf(store).pairs(self.jobs(seeds), arrays=False), seeds)

    def _rows(self, pairs: Pairs, seeds: int | None) -> pd.DataFrame:
        frame = pd.DataFrame([{**job.arguments, "seed": job.seed, **stored.result} for job, stored in pairs])
        if overlap := sorted({*self.settings[0], "seed"} & {name for _, stored in pairs for name in stored.result}):
            raise UserError(f"{self.measure.__name__} returns {overlap[0]!r}, which is a setting's name; expected another")
        frame.attrs["settings"] = list(dict.fromkeys(name for arguments in self.settings for name in arguments))
        frame.attrs["limits"] = self.limits
        frame.attrs["wanted"] = (self.settings, seeds or self.DEFAULT_SEEDS["quick"])
        self._check_limits(pairs)
        return frame

    def _check_limits(self, pairs: Pairs) -> None:
        for name, (low, high) in self.limits.items():
            measured = [(job, stored.result[name]) for job, stored in pairs if name in stored.result]
            finished = [stored for job, stored in pairs if not job.remark(stored.result)]
            if finished and not measured:
                returned = ", ".join(dict.fromkeys(key for stored in finished for key in stored.result))
                raise UserError(
                    f"study {self.ID} has limits of {name!r}, but {self.measure.__name__} returns {returned or 'nothing'}"
                )
            for job, value in measured:
                if isinstance(value, (int, float)) and not isinstance(value, bool) and (value < low or value > high):
                    raise UserError(
                        f"study {self.ID} limits {name} to {low:g} to {high:g}, but it is {in_words(value)} at {_name_of(job)}; mend the "
                        "limits: everything measured stays stored"
                    )

    def build(self, only: Sequence[str], scale: str, seeds: int, store: Store) -> list[Artifact]:
        """The artifacts `only`; a figure without a measurement is left out."""
        pairs: Pairs = Shelf(store).pairs(self.jobs(seeds), arrays=False)
        rows = self._rows(pairs, seeds)
        provenance = provenance_of([stored for _, stored in pairs], scale, "measurements", seeds=True)
        made = (self._artifact(id, rows, (*self.notes, *of_scale(scale)), provenance) for id in only)
        return [artifact for artifact in made if artifact is not None]

    def _artifact(self, id: str, rows: pd.DataFrame, notes: tuple[str, ...], provenance: dict[str, str]) -> Artifact | None:
        name = id.removeprefix(f"{self.ID}/")
        if name in self.figures or name == "figure":
            if not len(rows):
                return None
            if name == "figure":
                return Figure(id, self.question, plot(rows), ("A point a seed; means with 95 % intervals.", *notes), provenance)
            draw, title = self.figures[name]
            with figure_style(), self._naming(id):
                canvas = Canvas(figsize=(6, 3.6), layout="constrained")
                axes = canvas.subplots()
                draw(rows, axes)
                for axis in (axes.xaxis, axes.yaxis):
                    if isinstance(axis.get_major_formatter(), LogFormatter):  # nobody has chosen another
                        label_ticks(axis)
            return Figure(id, title, canvas, notes, provenance)
        if not len(rows):
            empty = pd.DataFrame([{"setting": NOT_YET}])
            return Table(id, self.question, empty, pd.DataFrame(), notes, provenance, ("setting",))
        if name == "table":
            try:
                summary = table(rows)
            except ValueError as error:
                raise UserError(f"{id}: {error}") from None
            files = {"measurements.csv": rows.to_csv(index=False).encode()}
            texts = (summary.note, *notes)
            return Table(
                id, self.question, summary.shown, summary.numbers, texts, provenance, tuple(map(str, summary.shown)), files
            )
        tabulate, title = self.tables[name]
        with self._naming(id):
            own = tabulate(rows)
        if not isinstance(own, pd.DataFrame):
            raise UserError(f"{id}: {tabulate.__name__} must return a data frame, got {type(own).__name__}")
        shown = own.map(in_words).rename(columns=str)
        return Table(id, title, shown, own, notes, provenance, tuple(map(str, shown)))

    @contextmanager
    def _naming(self, id: str) -> Iterator[None]:
        """An error of the user's own function as a line that names it."""
        try:
            yield
        except Exception as error:
            raise UserError(
                f"{id}: its function raised {type(error).__name__}: {on_one_line(str(error))}; everything measured is stored, and "
                f"'flatproof report' with the ids of the others, such as {self.ID}/table, writes those"
            ) from error


def _name_of(job: Any) -> str:
    return f"{job.row}, seed {job.seed}"


def _limits(limits: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """The limits as numbers. Errors: ValueError for what is no pair with the least first."""
    made = {}
    for name, pair in limits.items():
        try:
            low, high = map(float, pair)
        except (TypeError, ValueError):
            raise ValueError(f"limits[{name!r}] must be the least and the largest value, got {pair!r}") from None
        if not low < high:
            raise ValueError(f"limits[{name!r}] must have the least value first, got {pair!r}")
        made[name] = (low, high)
    return made


def _combinations(grid: Mapping[str, Iterable[Any]] | Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Every setting of a grid. Errors: ValueError for one without settings, a name twice, or values that are no plain data."""
    if isinstance(grid, Mapping):
        for name, values in grid.items():
            if isinstance(values, (str, bytes)) or not isinstance(values, Iterable) or not len(list(values)):
                raise ValueError(f"grid[{name!r}] must be a list of values, got {values!r}")
        lists = [values.tolist() if isinstance(values, np.ndarray) else values for values in grid.values()]
        settings = [dict(zip(grid, values, strict=True)) for values in product(*lists)]
    else:
        settings = [dict(setting) for setting in grid]
    if not settings:
        raise ValueError("grid must hold at least one setting, got none")
    for setting in settings:
        plain(setting, "grid")
        for name, value in setting.items():
            if isinstance(value, float) and math.isnan(value):
                raise ValueError(f"grid must not hold nan, which equals nothing, got it of {name!r}")
        if "seed" in setting:
            raise ValueError("grid must not have the setting 'seed': seeds come from `seeds`")
    texts = [repr(sorted(setting.items())) for setting in settings]
    if repeated := next((text for text in texts if texts.count(text) > 1), None):
        raise ValueError(f"grid holds the setting {repeated} twice")
    return settings


def _check_called(measure: Measure, settings: Sequence[Mapping[str, Any]]) -> None:
    """ValueError unless the function takes each setting and `seed` by name, and can be found again in another process."""
    name = getattr(measure, "__qualname__", repr(measure))
    if not inspect.isfunction(measure) or "<" in name:
        raise ValueError(f"measure must be a function defined at the top of a module, got {name}")
    for setting in settings:
        try:
            inspect.signature(measure).bind(**setting, seed=1)
        except TypeError as error:
            raise ValueError(f"measure {name} cannot be called with {described(setting)} and seed: {error}") from None
