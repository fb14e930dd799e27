"""Owns the chosen measures with their settings, as `sharpness` and `correlate` take them, and the rows that `sharpness` prints."""

import json
import math
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import product
from typing import Any

from rich.table import Table as Grid
from rich.text import Text

from flatproof.verify.curvature.estimates import Estimate
from flatproof.verify.curvature.problem import Problem
from flatproof.verify.curvature.shared import sharing
from flatproof.verify.curvature.sharpness import Measure, select
from flatproof.verify.curvature.sharpness.hessian import operator_of
from flatproof.verify.utils.checks import check_whole


@dataclass(frozen=True)
class Row:
    """A measure with its estimate, or with the reason why there is none."""

    measure: Measure
    estimate: Estimate | None
    reason: str = ""
    layer: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the measure's name, formula and invariance, and the estimate's fields."""
        m = self.measure
        about = {"measure": m.name, "formula": m.formula, "definition": m.source, "invariant_to": m.invariant}
        if self.layer is not None:
            about = {"layer": self.layer} | about
        if self.estimate is None:
            return about | {"error": self.reason}
        gap = self.estimate.gap
        return about | self.estimate.as_dict() | ({} if gap is None else {"gap": gap if math.isfinite(gap) else None})


def parse_settings(texts: list[str], chosen: dict[str, Measure]) -> dict[str, dict[str, Any]]:
    """`measure.setting=value` texts by measure; ValueError naming what does not exist. Values are JSON, or else words."""
    by_measure: dict[str, dict[str, Any]] = {name: {} for name in chosen}
    for text in texts:
        target, _, value = text.partition("=")
        name, _, setting = target.rpartition(".")
        if not value or not setting or name not in chosen:
            raise ValueError(f"--set must be MEASURE.SETTING=VALUE with one of the measures {', '.join(chosen)}, got {text!r}")
        accepted = chosen[name].accepts
        if setting not in accepted:
            raise ValueError(f"--set {text}: {name} has no setting {setting!r}; expected one of {', '.join(sorted(accepted))}")
        try:
            by_measure[name][setting] = json.loads(value)
        except json.JSONDecodeError:
            by_measure[name][setting] = value
    return by_measure


def parse_variants(texts: list[str], chosen: dict[str, Measure]) -> list[tuple[str, dict[str, Any]]]:
    """Each measure with each combination of its settings: a setting that is given several times takes each of its values in turn.

    Args:
        texts: `measure.setting=value`, as for `parse_settings`.
        chosen: the measures by name.

    Raises:
        ValueError: naming what does not exist.
    """
    values: dict[str, dict[str, list[Any]]] = {name: {} for name in chosen}
    for text in texts:
        for name, settings in parse_settings([text], chosen).items():
            for setting, value in settings.items():
                own = values[name].setdefault(setting, [])
                own += [value] if value not in own else []
    return [
        (name, dict(zip(settings, combination, strict=True)))
        for name, settings in values.items()
        for combination in product(*settings.values())
    ]


def measure_all(
    problem: Problem,
    names: list[str] | None,
    *,
    seed: int = 0,
    batch_size: int | None = None,
    settings: list[str] | None = None,
    layer: str | None = None,
) -> Iterator[Row]:
    """The measures in turn, a row each; what several of them need is computed once and counted on the first (`shared`).

    Args:
        problem: model, loss and data.
        names: of the measures; None: all.
        seed: of probes, starts and draws, for the measures that have one.
        batch_size: m of the measures that average over batches; None: the problem's own batches.
        settings: texts `measure.setting=value`.
        layer: what the rows are of, where the problem is a part of a model.

    Raises:
        ValueError: names an unknown measure or setting, or a measure that failed though it was asked for by name or set; among all
            measures a failure is the row's reason instead.
    """
    chosen = select(names)
    own = parse_settings(settings or [], chosen)
    check_whole("--seed", seed, 0)
    if batch_size is not None:
        check_whole("--m", batch_size)
    operator = operator_of(problem)  # one for all measures: what its kernel keeps is kept once
    with sharing(problem) if len(chosen) > 1 else nullcontext():
        for name, measure in chosen.items():
            accepted = measure.accepts
            given: dict[str, Any] = {"seed": seed} if "seed" in accepted else {}
            if batch_size is not None and "batch_size" in accepted:
                given["batch_size"] = batch_size
            try:
                yield Row(measure, measure(operator, **(given | own[name])), layer=layer)
            except (ValueError, TypeError, NotImplementedError, RuntimeError) as error:
                if names or own[name]:
                    raise ValueError(f"{name}: {error}") from error
                yield Row(measure, None, " ".join(str(error).split()), layer)


def table(rows: list[Row], title: str) -> Grid:
    """The rows for a terminal."""
    grid = Grid(title=title, title_justify="left")
    layered = any(row.layer is not None for row in rows)
    if layered:
        grid.add_column("layer", overflow="fold")
    for column in ("measure", "value", "interval", "gap", "products", "gradients", "losses", "seconds", "rests on"):
        grid.add_column(column, justify="left" if column in ("measure", "rests on") else "right", overflow="fold")
    for row in rows:
        estimate, first = row.estimate, [Text(row.layer or "")] if layered else []
        if estimate is None:
            grid.add_row(*first, row.measure.name, "—", "—", "", "", "", "", "", Text(row.reason))
            continue
        sure = "" if estimate.confidence is None else f" ({100 * estimate.confidence:.4g} %)"
        grid.add_row(
            *first,
            row.measure.name,
            f"{estimate.value:.5g}",
            f"[{estimate.low:.5g}, {estimate.high:.5g}]".replace("[", "\\[", 1).replace("inf", "∞") + sure,
            _gap(estimate),
            f"{estimate.products + estimate.part:g}",
            f"{estimate.gradients:g}",
            f"{estimate.losses:g}",
            f"{estimate.seconds:.2f}",
            Text(estimate.rests_on),
        )
    return grid


def _gap(estimate: Estimate) -> str:
    """How far above a maximum that was found its bound lies, as a factor."""
    gap = estimate.gap
    return "" if gap is None else "∞" if gap == math.inf else f"×{gap:.3g}" if gap < 1000 else f"×{gap:.0e}"
