"""Owns atlas's tables and figures, made from stored jobs alone."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from flatproof.theory.cube_symmetries import members
from flatproof.theory.flatness.predictions import WITHIN
from flatproof.verify.experiments.atlas.jobs import (
    BY_SIZE,
    CATEGORIES,
    DIFFERENTIABLE,
    DRAWN,
    FRACTION,
    FREE,
    LARGE,
    MEMBERS,
    NOTIONS,
    SAMPLED,
    SMALLEST,
    SUMMARY,
    ZERO_AT_KINKS,
    Part,
    Sample,
    by_theorem,
    classes,
    cube,
    labels,
    parts,
    samples,
)
from flatproof.verify.experiments.vocabulary import DASH, Shelf, Verdict, provenance_of
from flatproof.verify.jobs.job import StoredValues
from flatproof.verify.jobs.store import Store
from flatproof.verify.report.artifacts import Artifact, Figure, Table
from flatproof.verify.report.style import BLUE, COLORS, GRAY, RED, figure_style
from flatproof.verify.utils.statistics import Interval, binomial_interval

LABEL = {DIFFERENTIABLE: "no bias, differentiable", ZERO_AT_KINKS: "no bias, relu'(0)=0"}
THEOREM = "bias; Sim-BN"
NOT_RUN = Verdict.NOT_RUN.value


@dataclass(frozen=True)
class Answers:
    """What is stored of one part: answers by subset; None in place of them if some are missing."""

    part: Part
    stored: tuple[StoredValues, ...]
    answers: dict[int, str] | None

    @property
    def missing(self) -> str:
        """What tables say where answers are missing."""
        return "incomplete" if self.stored else NOT_RUN

    def values(self, name: str) -> list[Any]:
        """One of the lists of `Decisions.carry_out`, over all subsets."""
        return [value for stored in self.stored for value in stored.result[name]]

    def counted(self, n: int | None = None) -> dict[str, tuple[int, int]]:
        """Subsets and orbits in each category, of size n or all."""
        assert self.answers is not None
        out = dict.fromkeys(CATEGORIES, (0, 0))
        for subset, size in classes(self.part.target, self.part.d).items():
            if n is None or subset.bit_count() == n:
                answer = self.answers[subset] if self.part.complete else by_theorem(subset, self.part.d)
                out[answer] = (out[answer][0] + size, out[answer][1] + 1)
        return out


def collect(part: Part, shelf: Shelf) -> Answers:
    """What is stored of a part."""
    jobs = part.jobs()
    done = shelf.pairs(jobs)
    answers = {s: a for job, stored in done for s, a in zip(job.subsets, stored.result["answer"], strict=True)}
    return Answers(part, tuple(stored for _, stored in done), answers if len(done) == len(jobs) else None)


@dataclass(frozen=True)
class Drawn:
    """What is stored of a sample: the answers and what they rest on; nothing until all are decided."""

    sample: Sample
    stored: tuple[StoredValues, ...]

    @classmethod
    def collected(cls, sample: Sample, shelf: Shelf) -> "Drawn":
        """All of it, or nothing: the quickest decisions are no random sample."""
        jobs = sample.jobs()
        stored = tuple(shelf.outcomes(jobs))
        return cls(sample, stored if len(stored) == len(jobs) else ())

    def values(self, name: str) -> list[Any]:
        """One of the lists of `Decisions.carry_out`."""
        return [value for stored in self.stored for value in stored.result[name]]

    @property
    def share(self) -> Interval | None:
        """Of the subsets of that size that force, with its interval, without one if all were decided; None if none was."""
        answers = self.values("answer")
        if not answers:
            return None
        forcing = answers.count("all")
        if len(answers) == self.sample.number:
            return Interval(*[forcing / len(answers)] * 3)
        return binomial_interval(forcing, len(answers))


def thresholds(answers: Answers) -> tuple[int | None, int | None]:
    """The size of the smallest subsets that force, and the least size from which on all do."""
    counts = {n: answers.counted(n) for n in range(1, 2**answers.part.d + 1)}
    forcing = [n for n, c in counts.items() if c["all"][0]]
    failing = [n for n, c in counts.items() if any(c[name][0] for name in CATEGORIES[1:])]
    always = max(failing, default=0) + 1
    return min(forcing, default=None), always if always in counts else None


def margins(results: Sequence[Answers | Drawn], of: str = "orbits") -> str:
    """What the decisions rest on, in words."""
    values = {name: [v for f in results for v in f.values(name)] for name in ("answer", "margin", "tried")}
    proved = [m for a, m in zip(values["answer"], values["margin"], strict=True) if a == "all"]
    witnesses = [m for a, m in zip(values["answer"], values["margin"], strict=True) if a == "not all"]
    undecided = values["answer"].count("undecided")
    again = sum(tried > 1 for a, tried in zip(values["answer"], values["tried"], strict=True) if a != "undecided")
    at_zero = sum(m == 0 for m in witnesses)
    return (
        f"Proofs in rational numbers, over all networks within {WITHIN:g} of the flattest trace, {of} counted for each target, "
        f"architecture and notion at kinks that they were decided for: {len(proved)} {of} are forced, where "
        f"label times prediction is at least {min(proved, default=0.0):.6f}; {len(witnesses)} are not, "
        f"{sum(m is not None for m in witnesses)} of them by a network at hand ({at_zero} of these predict exactly 0 there) and the others "
        f"since predictions are unbounded. {undecided} {of} are undecided: neither was found on up to {MEMBERS} members"
        + (f"; {again} were decided on another member of the orbit than the first." if again else ".")
    )


def checked(results: Sequence[Answers]) -> str:
    """On how many subsets the program has confirmed the theorem, in words."""
    free = [f for f in results if f.part.architecture in FREE]
    agree = {d: Counter(a == "undecided" for f in free if f.part.d == d for a in f.values("answer")) for d in (2, 3, 4)}
    counts = "; ".join(
        f"d = {d}: {'every orbit' if d <= 3 else 'whole cube and a seeded sample'}, {c[False]} decided, "
        f"{c[False]} agree, {c[True]} undecided"
        for d, c in agree.items()
        if c
    )
    return (
        "With a bias, and for simplified BatchNorm, by theorem: a cube vertex outside S is outside its convex hull, where flattest "
        f"networks take any value. The convex program checked it, over both architectures and all targets: {counts}."
    )


ABOUT = (
    f"all: every network that fits the subset and is within {WITHIN:g} of the flattest classifies the whole cube correctly, the subset "
    "forces the target; not all: some do not (a prediction of 0 is no class). Subsets, with orbits under the target's symmetries in "
    "brackets. Training subsets are not empty.",
    "Kinks: 'differentiable' takes the infimum over networks without a training point on a kink, and counts networks near it; "
    "relu'(0)=0 counts a point on a kink as inactive, as automatic differentiation has it. With a bias and Sim-BN it makes no difference.",
)


def _rows(results: Sequence[Answers]) -> Iterator[tuple[str, Answers]]:
    """The parts as tables show them: the two architectures of the theorem in one row, none if either lacks runs."""
    for f in results:
        if f.part.architecture == "no-bias":
            yield LABEL[f.part.kinks], f
        elif f.part.architecture == FREE[0]:
            twin = next(
                g for g in results if g.part.architecture == FREE[1] and (g.part.target, g.part.d) == (f.part.target, f.part.d)
            )
            yield THEOREM, twin if twin.answers is None else f


def summary(results: Sequence[Answers], provenance: dict[str, str]) -> Table:
    """Every target: how many subsets force it, the smallest that do, and the size from which on all do."""
    shown: list[dict[str, str]] = []
    raw: list[dict[str, object]] = []
    dimensions = dict.fromkeys(str(f.part.d) for f in results)
    for label, f in _rows(results):
        sizes = classes(f.part.target, f.part.d)
        head = {"d": str(f.part.d), "target": f.part.target, "architecture": label}
        everything: dict[str, object] = {"subsets": sum(sizes.values()), "orbits": len(sizes)}
        text = {"subsets": f"{sum(sizes.values()):,} ({len(sizes):,})"}
        if f.answers is None:
            shown.append(head | text | dict.fromkeys((*CATEGORIES, *LAST), f.missing))
            raw.append(head | everything)
            continue
        counts, (least, always) = f.counted(), thresholds(f)
        text |= {name: f"{count:,} ({orbit:,})" if count else "0" for name, (count, orbit) in counts.items()}
        fewest = f.counted(least)["all"] if least else (0, 0)
        share = counts["all"][0] / sum(sizes.values())
        last = (
            f"{100 * share:.3g} %",
            f"n = {least}: {fewest[0]:,} ({fewest[1]:,})" if least else DASH,
            f"{always}" if always else DASH,
        )
        shown.append(head | text | dict(zip(LAST, last, strict=True)))
        raw.append(
            head
            | everything
            | {f"{name}, {unit}": counts[name][i] for name in CATEGORIES for i, unit in enumerate(("subsets", "orbits"))}
            | {"smallest n that can force": least, "forcing subsets of that n": fewest[0], "every subset forces from n": always}
        )
    return Table(
        id=SUMMARY,
        title=f"Which training subsets of the cube force generalization? Every subset, d = {', '.join(dimensions)}",
        shown=pd.DataFrame(shown),
        raw=pd.DataFrame(raw).convert_dtypes(),
        notes=(
            *ABOUT,
            "parity: x1 x2; coordinate: x1; and: +1 where x1 = x2 = 1, -1 elsewhere; constant: 1. Up to symmetry these are all Boolean "
            "functions of two coordinates.",
            checked(results),
            margins(results),
            scope(provenance["scale"]),
        ),
        provenance=provenance,
        brief=("d", "target", "architecture", "all", "not all", *LAST),
    )


def sampled(results: Sequence[Drawn], provenance: dict[str, str]) -> Table:
    """Dimension LARGE by the number of training points: how many subsets there are, and what the drawn ones say."""
    shown: list[dict[str, str]] = []
    raw: list[dict[str, object]] = []
    for n in dict.fromkeys(r.sample.n for r in results):
        mine = [r for r in results if r.sample.n == n]
        first = mine[0].sample
        line = {"n": str(n), "subsets": f"{first.number:,} ({first.orbits:,})"}
        for kinks in NOTIONS:
            drawn = next(r for r in mine if r.sample.kinks == kinks)
            answers, share, label = drawn.values("answer"), drawn.share, LABEL[kinks]
            counts = {name: answers.count(name) for name in CATEGORIES}
            line[label] = ", ".join(f"{count} {name}" for name, count in counts.items() if count) or NOT_RUN
            whole = share is not None and share.low == share.high
            line[f"forces, {label}"] = (
                DASH if share is None else f"{share.mean:.2f}" + ("" if whole else f" [{share.low:.2f}, {share.high:.2f}]")
            )
            raw.append(
                {"n": n, "subsets": str(first.number), "orbits": str(first.orbits), "architecture": label, "drawn": len(answers)}
                | counts
                | {"share": share.mean, "low": share.low, "high": share.high}
                if share
                else {"n": n, "architecture": label, "drawn": 0}
            )
        shown.append(line)
    return Table(
        id=SAMPLED,
        title=f"Parity, d = {LARGE}, no bias: of training subsets of n points drawn at random, how many force generalization?",
        shown=pd.DataFrame(shown),
        raw=pd.DataFrame(raw).convert_dtypes(),
        notes=(
            *ABOUT,
            f"Subsets: all of n of the {2**LARGE} vertices, with orbits under parity's symmetries in brackets, both counted exactly "
            f"(Burnside). {DRAWN} of them, or all if there are fewer, were drawn uniformly, without repetition, before any was decided, "
            "the same for both notions. Forces: the share that does, with its exact (Clopper-Pearson) interval at 95 %, undecided ones "
            "counted as not forcing.",
            margins(results, "subsets"),
        ),
        provenance=provenance,
        brief=("n", "subsets", *(f"forces, {LABEL[kinks]}" for kinks in NOTIONS)),
    )


LAST = ("forces, share", "smallest that force", "all force from n =")


def scope(scale: str) -> str:
    """What a scale leaves out, in words."""
    return {
        "smoke": "Scale smoke: d = 2 alone.",
        "quick": "Scale quick: d = 2, 3 (flatproof reproduce atlas --scale paper: d = 4, too).",
        "paper": f"Scale paper: d = 2, 3, 4, and a sample of d = {LARGE}.",
    }[scale]


def by_size(results: Sequence[Answers], provenance: dict[str, str]) -> Table:
    """Parity by the number of training points; the CSV holds every target."""
    shown: list[dict[str, str]] = []
    raw: list[dict[str, object]] = []
    rows = list(_rows(results))
    columns = [label for label in (*LABEL.values(), THEOREM) if any(label == other for other, _ in rows)]
    for d in sorted({f.part.d for _, f in rows}):
        for n in range(1, 2**d + 1):
            chosen = [size for subset, size in classes("parity", d).items() if subset.bit_count() == n]
            line = {"d": str(d), "n": str(n), "subsets": f"{sum(chosen):,} ({len(chosen):,})"}
            for label in columns:
                part = next((f for other, f in rows if other == label and (f.part.target, f.part.d) == ("parity", d)), None)
                if part is None or part.answers is None:
                    line[label] = part.missing if part else NOT_RUN
                    continue
                line[label] = ", ".join(f"{k[0]:,} {name}" for name, k in part.counted(n).items() if k[0])
            shown.append(line)
    for label, f in rows:
        for n in range(1, 2**f.part.d + 1):
            if f.answers is not None:
                counts = f.counted(n)
                head = {"d": f.part.d, "target": f.part.target, "architecture": label, "n": n}
                numbers = {
                    f"{name}, {unit}": counts[name][i] for name in CATEGORIES for i, unit in enumerate(("subsets", "orbits"))
                }
                raw.append(head | numbers)
    return Table(
        id=BY_SIZE,
        title="Parity: which training subsets force generalization, by their number of points n",
        shown=pd.DataFrame(shown),
        raw=pd.DataFrame(raw),
        notes=(*ABOUT, checked(results), margins(results), scope(provenance["scale"]) + " The CSV file lists every target."),
        provenance=provenance,
        brief=("d", "n", *columns),
    )


STYLE: dict[str, dict[str, Any]] = {
    LABEL[DIFFERENTIABLE]: {
        "color": BLUE,
        "marker": "o",
        "markersize": 11,
        "markerfacecolor": "white",
        "linewidth": 6,
        "alpha": 0.55,
    },
    LABEL[ZERO_AT_KINKS]: {"color": COLORS[4], "marker": "s", "markersize": 6.5, "markerfacecolor": "white", "linewidth": 3},
    THEOREM: {"color": RED, "marker": "D", "markersize": 3, "linewidth": 1.2},
}


def fraction(results: Sequence[Answers], drawn: Sequence[Drawn], provenance: dict[str, str]) -> Figure:
    """The share of subsets of n points that force parity, a panel a dimension."""
    dimensions = sorted({f.part.d for f in results})
    drawn = [d for d in drawn if d.share is not None]
    ratios = [1 + d / 2 for d in [*dimensions, *[LARGE] * bool(drawn)]]
    with figure_style():
        canvas = Canvas(figsize=(10, 3.3), layout="constrained")
        panels = canvas.subplots(1, len(ratios), sharey=True, squeeze=False, width_ratios=ratios)[0]
        if drawn:
            _sampled_panel(panels[-1], drawn)
        for axes, d in zip(panels, dimensions, strict=False):
            for label, f in _rows([f for f in results if f.part.d == d]):
                sizes = np.arange(1, 2**d + 1)
                counts = [f.counted(int(n)) for n in sizes]
                share = [c["all"][0] / sum(k for k, _ in c.values()) for c in counts]
                axes.plot(sizes, share, label=label, clip_on=False, zorder=3, **STYLE[label])
            axes.set(
                title=f"d = {d}",
                xlabel="training points n",
                ylim=(-0.02, 1.02),
                xticks=range(0 if d > 3 else 1, 2**d + 1, 1 + d // 4),
            )
            axes.set_xlim(0.7, 2**d + 0.3)
            axes.grid(alpha=0.2)
        panels[0].set_ylabel("share of subsets that force parity")
        handles, names = panels[0].get_legend_handles_labels()
        canvas.legend(handles, names, loc="outside lower center", ncols=3, frameon=False)
    return Figure(
        id=FRACTION,
        title="Parity: the share of training subsets of n points on which every flattest network generalizes",
        canvas=canvas,
        notes=(
            "Each point: all subsets of n vertices of the cube {-1, 1}^d, counted with multiplicity; undecided ones count as not forcing. "
            "Where lines coincide the wider one shows beneath."
            + (
                f" d = {LARGE}: {DRAWN} subsets of each n drawn at random, or all if there are fewer, bars are exact binomial intervals "
                "at 95 %; with a bias and Sim-BN only the whole cube forces."
                if drawn
                else ""
            ),
            margins([f for f in results if f.part.architecture == "no-bias"]),
            *([f"The sample. {margins(drawn, 'subsets')}"] if drawn else []),
            scope(provenance["scale"]),
        ),
        provenance=provenance,
    )


def _sampled_panel(axes: Axes, drawn: Sequence[Drawn]) -> None:
    """The samples of dimension LARGE, with their intervals, in the styles of the other panels."""
    for kinks in NOTIONS:
        mine = [(d.sample.n, d.share) for d in drawn if d.sample.kinks == kinks and d.share is not None]
        sizes, shares = [n for n, _ in mine], np.array([share for _, share in mine]).reshape(-1, 3)
        style = STYLE[LABEL[kinks]]
        reach = np.abs(shares[:, 1:] - shares[:, :1]).T
        axes.errorbar(sizes, shares[:, 0], reach, fmt="none", ecolor=style["color"], elinewidth=style["linewidth"] / 3, alpha=0.6)
        axes.plot(sizes, shares[:, 0], clip_on=False, zorder=3, **style | {"markersize": style["markersize"] * 0.7})
    axes.set(
        title=f"d = {LARGE}, a sample", xlabel="training points n", xticks=range(0, 2**LARGE + 1, 4), xlim=(0.7, 2**LARGE + 0.3)
    )
    axes.grid(alpha=0.2)


# Where a vertex of the cube is drawn: x1 to the right, x2 up, x3 into the page, x4 far to the right.
AXES = np.array([[0.5, 0.0], [0.0, 0.5], [0.24, 0.17], [0.97, 0.0]])
WINDOW = (1.85, 0.8)  # half its width and height: every panel has the same scale


def smallest(results: Sequence[Answers], provenance: dict[str, str]) -> Figure:
    """The smallest subsets that force parity, one of each orbit."""
    drawn: list[tuple[int, int, str]] = []
    for d in sorted({f.part.d for f in results}):
        notions = {
            f.part.kinks: f for f in results if f.part.d == d and f.part.architecture == "no-bias" and f.answers is not None
        }
        force = {
            kinks: {s for s, a in (f.answers or {}).items() if a == "all" and s.bit_count() == thresholds(f)[0]}
            for kinks, f in notions.items()
        }
        for subset in sorted(set().union(*force.values())):
            by = [kinks for kinks in notions if subset in force[kinks]]
            both = "either notion" if len(notions) > 1 else ""
            drawn.append((d, subset, both if len(by) == len(notions) else f"{by[0]} only"))
    columns = 3
    flat = [drawing for drawing in drawn if drawing[0] < 4]  # in the first line, d = 4 below
    lines = -(-len(flat) // columns) - (-(len(drawn) - len(flat)) // columns)
    with figure_style():
        canvas = Canvas(figsize=(10, 1.95 * lines), layout="constrained")
        grid = canvas.subplots(lines, columns, squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        start = -(-len(flat) // columns) * columns - len(flat)
        for place, (d, subset, says) in enumerate(drawn):
            axes = grid.flat[place + start * (d == 4)]
            count = classes("parity", d)[subset]
            draw(axes, d, subset)
            head = f"d = {d}, n = {subset.bit_count()}: {count} subset{'s' * (count > 1)}"
            axes.set_title(head + (f", {says}" if says else ""), fontsize=9)
    return Figure(
        id=SMALLEST,
        title="Parity, no bias: the smallest training subsets that force generalization",
        canvas=canvas,
        notes=(
            "One subset of each orbit under the symmetries of x1 x2, with the number of subsets in it. Filled: training points, blue "
            "with label +1, orange with label -1; rings: the other vertices, which every flattest network then classifies correctly.",
            "x1 to the right, x2 up, x3 into the page; for d = 4 the left cube has x4 = -1, the right one x4 = 1.",
            margins([f for f in results if f.part.architecture == "no-bias"]),
            scope(provenance["scale"]),
        ),
        provenance=provenance,
    )


def draw(axes: Axes, d: int, subset: int) -> None:
    """A subset of the cube with the labels of parity."""
    x, y, inside = cube(d), labels("parity", d), members(subset, 2**d)
    at = x @ AXES[:d]
    for i in range(len(x)):
        for j in range(i):
            if (x[i] != x[j]).sum() == 1:
                far = d == 4 and x[i, 3] != x[j, 3]
                axes.plot(*at[[i, j]].T, color=GRAY, linewidth=0.5 if far else 1.0, alpha=0.25 if far else 0.6, zorder=1)
    color = np.where(y > 0, BLUE, RED)
    for label_color in (BLUE, RED):
        for chosen, fill in ((inside, label_color), (~inside, "white")):
            points = at[chosen & (color == label_color)]
            axes.scatter(points[:, 0], points[:, 1], s=55, color=fill, edgecolors=label_color, linewidths=1.3, zorder=2)
    axes.set(aspect="equal", xlim=(-WINDOW[0], WINDOW[0]), ylim=(-WINDOW[1], WINDOW[1]))


def artifacts(only: Sequence[str], scale: str, store: Store) -> list[Artifact]:
    """The artifacts `only`, from stored jobs alone; figures of what there is."""
    shelf = Shelf(store)
    results = [collect(part, shelf) for part in parts(only, scale)]
    drawn = [Drawn.collected(sample, shelf) for sample in samples(only, scale)]
    provenance = provenance_of([stored for answers in results for stored in answers.stored], scale)
    makers = {SUMMARY: summary, BY_SIZE: by_size}
    out: list[Artifact] = [maker(results, provenance) for id, maker in makers.items() if id in only]
    if SAMPLED in only and drawn:
        out.append(sampled(drawn, provenance_of([stored for d in drawn for stored in d.stored], scale)))
    decided = [answers for answers in results if answers.part.target == "parity" and answers.answers is not None]
    if FRACTION in only and decided:
        out.append(fraction(decided, drawn, provenance))
    if SMALLEST in only and any(answers.part.architecture == "no-bias" for answers in decided):
        out.append(smallest(decided, provenance))
    return out
