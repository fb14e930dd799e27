"""Owns how the comparison of Hessian-vector products is shown: in a terminal, as a table with its figure, and against the bars set for it.

The bars were fixed before anything was measured; a table says which are met and, from the arithmetic floor, what could be met at all.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure as Canvas
from rich.table import Table as Grid

from flatproof.verify.bench.hvp.largest_eigenvalue import LIMIT
from flatproof.verify.bench.hvp.peers import OURS, PEERS, automatic
from flatproof.verify.bench.hvp.timings import BLOCK, Row
from flatproof.verify.bench.hvp.workloads import WORKLOADS
from flatproof.verify.report.artifacts import Artifact, Figure, Table, merged
from flatproof.verify.report.descriptors import stem
from flatproof.verify.report.style import BLUE, GRAY, RED, figure_style, label_ticks

PAPER = "curvature"
TABLE, ROWS = (
    f"{PAPER}/table-1",
    "rows.json",
)  # the rows as measured lie beside the table, so that workloads can be measured one by one
COLUMNS = {
    "implementation": "implementation",
    "gradients per product": "gradients",
    "floor": "floor",
    "per vector of 8": "block",
    "peak MB": "memory",
    "λ_max to 1 %: products": "products",
    "seconds": "seconds",
    "asked for 1 %: products, worst error": "asked",
    "1 % proved: products": "proved",
    "disagreement": "disagreement",
}


def grid(rows: Sequence[Row]) -> Grid:
    """The rows of one workload for the terminal."""
    out = Grid(title=heading(rows), title_justify="left")
    for column in COLUMNS:
        out.add_column(column, justify="left" if column == "implementation" else "right")
    for row in rows:
        out.add_row(*cells(row).values())
    return out


def heading(rows: Sequence[Row]) -> str:
    """What was measured on, and its gradient in milliseconds."""
    gradient = next((row.gradient_ms for row in rows if row.gradient_ms is not None), float("nan"))
    return f"{WORKLOADS[rows[0].workload].description}; one gradient {gradient:.3g} ms"


def cells(row: Row) -> dict[str, str]:
    """A row as text, by the columns of COLUMNS."""

    def shown(value: float | None, form: str) -> str:
        return "" if value is None else f"{value:{form}}"

    asked = "" if row.asked_products is None or row.asked_error is None else f"{row.asked_products:.3g}, {row.asked_error:.1%}"
    products = shown(row.lambda_products, ".3g")
    if row.lambda_products is None and row.asked_products is not None:
        products = f"> {min(LIMIT, row.asked_products):g}"
    return dict(
        zip(
            COLUMNS,
            (
                row.implementation,
                row.note if row.gradients is None else f"{row.gradients:.2f} ({row.low:.2f}–{row.high:.2f})",
                shown(row.floor, ".2f"),
                shown(row.block_gradients, ".2f"),
                shown(row.peak_mb, ".0f"),
                products,
                shown(row.lambda_seconds, ".3g"),
                asked,
                shown(row.proved_products, "d"),
                shown(row.disagreement, ".0e"),
            ),
            strict=True,
        )
    )


def artifacts(rows: Sequence[Row], about: dict[str, str], out: Path) -> list[Artifact]:
    """The table of all rows, that of the bars, and the figure: of these rows, and of workloads that an earlier run left in `out`.

    Every workload is measured in one run; the provenance counts workloads where runs differ.

    Args:
        rows: what was measured now.
        about: its provenance.
        out: folder of the results.

    Raises:
        ValueError: a damaged file in `out`.
    """
    kept = {name: (measured, about) for name, measured in by_workload(rows).items()}
    path = stem(out, TABLE, {}) / ROWS
    if path.exists():
        try:
            for name, entry in json.loads(path.read_text(encoding="utf-8")).items():
                if name in WORKLOADS:
                    kept.setdefault(name, ([Row(**row) for row in entry["rows"]], entry["provenance"]))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise ValueError(f"{path} is not what 'flatproof bench hvp' writes; remove it to begin anew") from None
    ordered = {name: kept[name] for name in WORKLOADS if name in kept}
    everything = [row for measured, _ in ordered.values() for row in measured]
    provenance = merged([about for _, about in ordered.values()], "workloads")
    store = {
        name: {"provenance": about, "rows": [asdict(row) for row in measured]} for name, (measured, about) in ordered.items()
    }
    files = {ROWS: (json.dumps(store, indent=1) + "\n").encode()}
    return [_table(everything, provenance, files), _bars(everything, provenance), _figure(everything, provenance)]


def by_workload(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows of each workload."""
    return {name: list(measured) for name, measured in groupby(rows, key=lambda row: row.workload)}


def _table(rows: Sequence[Row], provenance: dict[str, str], files: dict[str, bytes]) -> Table:
    shown = pd.DataFrame([{"workload": row.workload} | cells(row) for row in rows])
    notes = (
        "Workloads: " + ". ".join(f"{name}: {heading(measured)}" for name, measured in by_workload(rows).items()) + ".",
        "One product at a fixed point as a multiple of one gradient of the same loss, timed in turn with it: median (smallest to "
        "largest). What a method keeps at the point is prepared before. per vector of 8: a block of 8 vectors in one call, where there "
        "is such a call. peak MB: resident memory above model and data, preparing and two products, in a fresh process. floor: "
        "multiply-adds of a product with activations and signals kept, over those of a gradient; for the closed form, additions of its "
        "two products by subset sums over the operations of a gradient's two dense products.",
        f"λ_max to 1 %: products and seconds, preparation included, until a method's own estimate is first within 1 % of the "
        f"converged eigenvalue; medians over random starts (at most {LIMIT} products). The estimate is the last Rayleigh quotient of "
        "PyHessian's power iteration, the largest Ritz value for the others. Ours count what the start costs on a part of the data as what "
        "it is of a product on all. Asked for 1 %: what the method's own stopping rule spends "
        "and its worst error; hessian-eigenthings is stopped as soon as it is near. 1 % proved: until the interval that holds λ_max "
        "with probability 99.5 % reaches 1 % of it; no other package has one.",
        "Disagreement: relative distance of the product from double backward in float64. Every implementation in float32 on the same "
        f"single batch; peers: {', '.join(PEERS)}; double backward: the graph of the gradient built anew for every product.",
    )
    brief = ("workload", "implementation", "gradients per product", "peak MB", "λ_max to 1 %: products", "seconds")
    raw = pd.DataFrame([asdict(row) for row in rows])
    return Table(TABLE, "Hessian-vector products", shown, raw, notes, provenance, brief, files)


def judged(rows: Sequence[Row]) -> list[dict[str, str]]:
    """Each bar on each workload: wanted, measured, met or missed, and what arithmetic allows."""
    out = []
    for name, measured in by_workload(rows).items():
        ours = next(row for row in measured if row.implementation == automatic(name)[0])
        peers = [row for row in measured if row.implementation in PEERS and row.gradients is not None]
        if ours.gradients is None or not peers:
            continue

        def bar(what: str, wanted: str, measured: str, met: bool, allowed: str = "", name: str = name) -> None:
            out.append(
                {"workload": name, "bar": what, "wanted": wanted, "measured": measured, "": "met" if met else "missed"}
                | {"arithmetic allows": allowed}
            )

        best = min(peers, key=lambda row: row.gradients or 0)
        assert best.gradients is not None
        ratio = best.gradients / ours.gradients
        if name == "two-layer":
            bar("closed form against the best peer", "at least 3x faster", f"{ratio:.1f}x ({best.implementation})", ratio >= 3)
        allowed = f"{ours.floor / best.gradients:.2f}" if ours.floor else ""
        bar(
            "time of a product over the best peer's",
            "at most 1.05",
            f"{1 / ratio:.2f} ({best.implementation})",
            ratio >= 1 / 1.05,
            allowed,
        )
        if ours.block_gradients is not None:
            vectors = {
                row.implementation: min(row.gradients, row.block_gradients or row.gradients) for row in peers if row.gradients
            }
            rival = min(vectors, key=lambda key: vectors[key])
            gain = vectors[rival] / ours.block_gradients
            allowed = f"{vectors[rival] / ours.floor:.2f}x" if ours.floor else ""
            bar(
                f"a vector of {BLOCK} against the best peer's",
                "at least 1.3x faster",
                f"{gain:.2f}x ({rival})",
                gain >= 1.3,
                allowed,
            )
        for what, key in (("products to λ_max", "lambda_products"), ("seconds to λ_max", "lambda_seconds")):
            mine, theirs = getattr(ours, key), {r.implementation: getattr(r, key) for r in peers if getattr(r, key) is not None}
            if mine is None or not theirs:
                continue
            rival = min(theirs, key=lambda name: theirs[name])
            bar(what, "fewer than every peer", f"{mine:.3g} against {theirs[rival]:.3g} ({rival})", mine < theirs[rival])
            if name != "two-layer" and key == "lambda_products":
                bar(f"{what}, the part's counted", "at most 4", f"{mine:.3g}", mine <= 4)
            elif name != "two-layer":
                share = mine / theirs[rival]
                bar(f"{what} over the best peer's", "at most 0.5", f"{share:.2f} ({rival})", share <= 0.5)
        kept = next((row.peak_mb for row in peers if row.implementation == "pyhessian"), None)
        if ours.peak_mb is not None and kept is not None:
            bar("peak memory", "at most PyHessian's", f"{ours.peak_mb:.0f} MB against {kept:.0f} MB", ours.peak_mb <= kept)
    return out


def _bars(rows: Sequence[Row], provenance: dict[str, str]) -> Table:
    shown = pd.DataFrame(judged(rows))
    notes = (
        "Ours: the kernel that is taken unless another is asked for (closed form on the two-layer network, linearized once elsewhere).",
        "Arithmetic allows: what the ratio would be if our product took no longer than its multiply-adds at the rate at which the "
        "gradient does its own. A peer that is itself within a few per cent of that floor cannot be beaten by more.",
    )
    brief = ("workload", "bar", "wanted", "measured", "")
    return Table(f"{PAPER}/table-2", "Hessian-vector products against the bars", shown, shown, notes, provenance, brief)


def _figure(rows: Sequence[Row], provenance: dict[str, str]) -> Figure:
    groups = by_workload(rows)
    names = list(dict.fromkeys(row.implementation for row in rows))[::-1]
    with figure_style():
        canvas = Canvas(figsize=(2.1 + 2.1 * len(groups), 0.9 + 0.3 * len(names)), layout="constrained")
        panels = canvas.subplots(1, len(groups), sharey=True, squeeze=False)[0]
        for axes, (name, measured) in zip(panels, groups.items(), strict=True):
            for row in measured:
                if row.gradients is None or row.low is None or row.high is None:
                    continue
                place, color = names.index(row.implementation), BLUE if row.implementation.startswith(OURS) else GRAY
                if row.floor is not None:
                    axes.plot(row.floor, place, "|", color=RED, markersize=11, markeredgewidth=1.5)
                axes.plot([row.low, row.high], [place, place], color=color, linewidth=1.2)
                axes.plot(row.gradients, place, "o", color=color, markersize=5)
            axes.set(title=name, xscale="log")
            axes.set_yticks(range(len(names)), names)
            label_ticks(axes.xaxis)
            axes.grid(axis="x", alpha=0.2)
        canvas.supxlabel("gradients per product", fontsize=9)
    notes = (
        "Median and range over rounds, one run, on a logarithmic axis; blue: ours, red: the floor of the arithmetic. Numbers and "
        "workloads in the table.",
    )
    return Figure(f"{PAPER}/figure-1", "Hessian-vector products, in gradients", canvas, notes, provenance)
