"""Owns wen2023/table-2: of each figure what the paper reports, what the seeds show, and the verdict; table-1 is judged by its rule.

The rule and the statements below were written when 1a, 1b, 2a, 4a, 4b and 6a had been run for seeds 1 to 5 (table-1), and before
all other runs that they judge.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from flatproof.theory.networks import Network
from flatproof.verify.experiments.wen2023.rows import ID, ROW, ROWS, Row, ending, excess, shortened
from flatproof.verify.report.artifacts import NOT_YET, Table, collected, divergences
from flatproof.verify.two_layer.training import StoredRun

TABLE_2 = f"{ID}/table-2"

PERFECT, ALMOST, GENERALIZES = 0.99, 0.95, 0.9
MUCH = 0.1  # of test accuracy
DEGRADES = 0.05
CONFIDENCE = 0.9
RULE = (
    "Rule. What the paper reports of a figure is cut into statements about one run. A run is judged by medians over the last quarter "
    "of the last of its phases in which it interpolates (training loss at most 0.05; for the logistic loss what the same relative "
    "error of the outputs gives), of its last phase if it does in none. Statements that compare two figures pair their runs by seed, "
    "which have the same data. A diverged run shows nothing of what is stated. A statement agrees if the exact binomial interval "
    f"({CONFIDENCE:.0%}, two-sided) of the share of seeds that show it lies above one half, differs if it lies below. A figure agrees if "
    "all of its statements do, differs if one does, else it is inconclusive: with four seeds or fewer it always is. A figure that was "
    "shortened, or is compared with one that was, cannot differ; one whose last phase drives most seeds off interpolation cannot agree. "
    "Nothing is judged at scale smoke. "
    "The rule was written when 1a, 1b, 2a, 4a, 4b and 6a had been run for seeds 1 to 5, before all other runs; medians replaced "
    "last values after 6a's trace was seen to change by a factor of five between checkpoints."
)

# What the paper reports of each figure (and of table-1).
REPORTED = {
    "table-1": "All (near) flattest minimizers provably generalize without bias and with simplified BatchNorm, not with bias or simplified "
    "LayerNorm; sharpness minimization (1-SAM) generalizes without bias, with simplified BatchNorm and LayerNorm, not with bias.",
    "figure-1a": "No bias, baseline: perfect generalization.",
    "figure-1b": "No bias, 1-SAM: perfect generalization.",
    "figure-2a": "Sim-BN, 1-SAM in two phases: generalizes.",
    "figure-2b": "Sim-BN, 1-SAM: the four largest neurons lie in the first two coordinates, one in each quadrant; the first two columns of "
    "W1 have norms 42.47 and 42.48, others at most 5.65.",
    "figure-4a": "Bias, baseline: generalizes better than 4b, at a larger trace.",
    "figure-4b": "Bias, 1-SAM: much flatter than 4a but generalizes much worse, degrading after 4000 epochs.",
    "figure-5a": "Bias, softplus, baseline: as 4a.",
    "figure-5b": "Bias, softplus, 1-SAM: as 4b.",
    "figure-6a": "Sim-LN, 1-SAM: almost perfect generalization.",
    "figure-6b": "Sim-LN, projected, 1-SAM: almost perfect generalization.",
    "figure-7a": "Uniform ball, no bias, 1-SAM: much better than 7b.",
    "figure-7b": "Uniform ball, bias, 1-SAM: much worse than 7a.",
    "figure-8a": "No bias, logistic, baseline: as its MSE counterpart.",
    "figure-8b": "No bias, logistic, 1-SAM: as its MSE counterpart.",
    "figure-9a": "Bias, logistic, baseline: as its MSE counterpart.",
    "figure-9b": "Bias, logistic, 1-SAM: as its MSE counterpart, degrading after 2000 epochs.",
    "figure-10a": "Sim-BN, logistic, 1-SAM: as its MSE counterpart.",
    "figure-10b": "Sim-LN, logistic, 1-SAM: as its MSE counterpart.",
    "figure-11a": "Three layers, bias in the first, baseline: better than 11b, at a larger trace.",
    "figure-11b": "Three layers, bias in the first, 1-SAM: flatter and much worse than 11a.",
}


@dataclass(frozen=True)
class Seen:
    """One run where it is judged.

    accuracy: NaN where labels are real numbers. excess: trace over its lower bound, None if it interpolates in no phase. fits, off:
    as in `Ending`. curve: (epoch, test accuracy) of every checkpoint, empty for real labels. network: after the phase at whose end
    it is judged, None where that is not stored.
    """

    accuracy: float
    trace: float
    excess: float | None
    test_loss: float
    fits: bool
    off: bool
    curve: tuple[tuple[float, float], ...]
    network: Network | None


def seen(row: Row, stored: Sequence[StoredRun], scale: str) -> dict[int, Seen | None]:
    """A row's runs by seed, None for a diverged one."""
    out: dict[int, Seen | None] = {}
    for one in stored:
        result, curve = one.result, one.result.curve
        if result.status != "finished":
            out[one.settings["seed"]] = None
            continue
        end = ending(row, result, scale)
        out[one.settings["seed"]] = Seen(
            accuracy=end.values.get("test_accuracy", np.nan),
            trace=end.values["trace"],
            excess=excess(end, result),
            test_loss=end.values["test_loss"],
            fits=end.fits,
            off=end.off,
            curve=tuple(zip(curve["epoch"], curve["test_accuracy"], strict=True)) if "test_accuracy" in curve else (),
            network=end.network,
        )
    return out


@dataclass(frozen=True)
class Statement:
    """Something that a run shows or not; `than`: the figure with whose run of the same seed it is compared."""

    text: str
    holds: Callable[[Seen, Seen], bool]
    than: str | None = None


def accuracy_at_least(share: float) -> Statement:
    """Generalization, to some degree."""
    return Statement(f"test accuracy at least {share:g}", lambda one, _: one.accuracy >= share)


def accuracy_below(share: float) -> Statement:
    """No generalization to that degree; a diverged run shows neither."""
    return Statement(f"test accuracy below {share:g}", lambda one, _: one.accuracy < share)


def sharper(than: str) -> Statement:
    """A larger trace."""
    return Statement(f"trace larger than {than}'s", lambda one, other: one.trace > other.trace, than)


def better(than: str) -> Statement:
    """A higher test accuracy."""
    return Statement(f"test accuracy above {than}'s", lambda one, other: one.accuracy > other.accuracy, than)


def flatter(than: str, factor: float = 1.0) -> Statement:
    """A smaller trace, by a factor."""
    size = "below" if factor == 1 else f"at most 1/{factor:g} of"
    return Statement(f"trace {size} {than}'s", lambda one, other: one.trace < other.trace / factor, than)


def much_worse(than: str) -> Statement:
    """A test accuracy lower by MUCH."""
    return Statement(f"test accuracy {MUCH:g} below {than}'s", lambda one, other: one.accuracy <= other.accuracy - MUCH, than)


def degrades(epoch: int) -> Statement:
    """The test accuracy where a run is judged is DEGRADES below that at the last checkpoint up to an epoch."""

    def holds(one: Seen, _: Seen) -> bool:
        before = [accuracy for at, accuracy in one.curve if at <= epoch][-1]
        return one.accuracy <= before - DEGRADES

    return Statement(f"test accuracy {DEGRADES:g} below that at the last checkpoint up to epoch {epoch:,}", holds)


def _ball(than: str, factor: float) -> Statement:
    """Uniform ball: labels are real numbers, so that errors are squared."""
    if factor < 1:
        return Statement(
            f"test loss at most half of {than}'s", lambda one, other: one.test_loss <= factor * other.test_loss, than
        )
    return Statement(f"test loss at least twice {than}'s", lambda one, other: one.test_loss >= factor * other.test_loss, than)


def columns(network: Network) -> tuple[float, float, float]:
    """Norms of the first two columns of W1, and the largest of the others."""
    norms = np.linalg.norm(network.w1, axis=0)
    return float(norms[0]), float(norms[1]), float(norms[2:].max())


def largest_neurons(network: Network, count: int = 4) -> list[tuple[float, float, float]]:
    """(W1[1], W1[2], ||W1[3:d]||) of the neurons with the largest first-layer weights, largest first."""
    order = np.argsort(-np.linalg.norm(network.w1, axis=1))[:count]
    return [(float(w[0]), float(w[1]), float(np.linalg.norm(w[2:]))) for w in network.w1[order]]


COLUMNS_APART, REST = 2.0, 0.1


def _columns_stand_out(one: Seen, _: Seen) -> bool:
    if one.network is None:
        return False
    first, second, other = columns(one.network)
    return min(first, second) >= COLUMNS_APART * other


def _in_two_coordinates(one: Seen, _: Seen) -> bool:
    found = largest_neurons(one.network) if one.network else [(0.0, 0.0, 1.0)]
    return all(rest <= REST * np.hypot(np.hypot(p, q), rest) for p, q, rest in found)


def _one_in_each_quadrant(one: Seen, _: Seen) -> bool:
    return one.network is not None and len({(p > 0, q > 0) for p, q, _ in largest_neurons(one.network)}) == 4


STATEMENTS: dict[str, tuple[Statement, ...]] = {
    "1a": (accuracy_at_least(PERFECT),),
    "1b": (accuracy_at_least(PERFECT),),
    "2a": (accuracy_at_least(GENERALIZES),),
    "2b": (
        Statement(f"the first two columns of W1 are at least {COLUMNS_APART:g} times any other", _columns_stand_out),
        Statement(f"of the four largest neurons at most {REST:.0%} of the norm lies outside W1[1:2]", _in_two_coordinates),
        Statement("they lie in four quadrants", _one_in_each_quadrant),
    ),
    "4a": (better("4b"), sharper("4b")),
    "4b": (flatter("4a", 2), much_worse("4a"), degrades(4_000)),
    "5a": (better("5b"), sharper("5b")),
    "5b": (flatter("5a", 2), much_worse("5a")),
    "6a": (accuracy_at_least(ALMOST),),
    "6b": (accuracy_at_least(ALMOST),),
    "7a": (_ball("7b", 0.5),),
    "7b": (_ball("7a", 2),),
    "8a": (accuracy_at_least(PERFECT),),
    "8b": (accuracy_at_least(PERFECT),),
    "9a": (better("9b"), sharper("9b")),
    "9b": (flatter("9a", 2), much_worse("9a"), degrades(2_000)),
    "10a": (accuracy_at_least(GENERALIZES),),
    "10b": (accuracy_at_least(ALMOST),),
    "11a": (better("11b"), sharper("11b")),
    "11b": (flatter("11a"), much_worse("11a")),
}


@dataclass(frozen=True)
class Finding:
    """One statement: in how many of `total` seeds it was seen, and what follows."""

    text: str
    shown: int
    total: int
    verdict: str


def find(statement: Statement, ones: Mapping[int, Seen | None], others: Mapping[int, Seen | None]) -> Finding:
    """Over the seeds that have run in both figures."""
    seeds = [seed for seed in ones if statement.than is None or seed in others]
    count = 0
    for seed in seeds:
        one = ones[seed]
        other = one if statement.than is None else others[seed]
        count += one is not None and other is not None and statement.holds(one, other)
    if not seeds:
        return Finding(statement.text, 0, 0, "inconclusive")
    low, high = stats.binomtest(count, len(seeds)).proportion_ci(CONFIDENCE, method="exact")
    return Finding(statement.text, count, len(seeds), "agrees" if low > 0.5 else "differs" if high < 0.5 else "inconclusive")


def verdict(findings: Sequence[Finding], runs: Mapping[int, Seen | None], short: bool, scale: str) -> str:
    """What follows of the statements about some runs, by RULE. short: they, or what they are compared with, are shortened."""
    if not runs:
        return NOT_YET
    if scale == "smoke":
        return "not judged"
    each = {finding.verdict for finding in findings}
    if "differs" in each:
        return "inconclusive" if short else "differs"
    finished = [run for run in runs.values() if run]
    if each != {"agrees"} or 2 * sum(run.fits and run.off for run in finished) > len(finished):
        return "inconclusive"
    return "agrees"


def generalization(row: Row, runs: Mapping[int, Seen | None], scale: str, printed: str) -> tuple[str, str]:
    """Whether a row's runs generalize ('yes', 'no', 'inconclusive') and the verdict on what is printed ('yes' or 'no'), by RULE."""
    above, below = find(accuracy_at_least(GENERALIZES), runs, {}), find(accuracy_below(GENERALIZES), runs, {})
    measured = "yes" if above.verdict == "agrees" else "no" if below.verdict == "agrees" else "inconclusive"
    return measured, verdict([above if printed == "yes" else below], runs, shortened(row, scale), scale)


@dataclass(frozen=True)
class Figure:
    """What the seeds show of one figure."""

    figure: str
    runs: dict[int, Seen | None]
    findings: tuple[Finding, ...]
    short: bool
    verdict: str


def examine(figure: str, runs: Mapping[str, Mapping[int, Seen | None]], scale: str) -> Figure:
    """A figure from the runs of all figures, by seed ("2b": those of 2a, with the network where it is judged)."""
    ones = dict(runs.get(figure, {}))
    findings = tuple(find(one, ones, runs.get(one.than, {}) if one.than else {}) for one in STATEMENTS[figure])
    involved = [_row(figure), *(_row(one.than) for one in STATEMENTS[figure] if one.than)]
    short = any(shortened(row, scale) for row in involved)
    return Figure(figure, ones, findings, short, verdict(findings, ones, short, scale))


def _row(figure: str) -> Row:
    return ROW["2a" if figure == "2b" else figure]


def quantiles(values: Sequence[float], form: str) -> str:
    """Smallest, lower quartile, median, upper quartile and largest; fewer than five values as they are."""
    if not len(values) or np.isnan(values).any():
        return "–"
    shown = sorted(values) if len(values) < 5 else np.quantile(values, [0, 0.25, 0.5, 0.75, 1])
    return " / ".join(f"{value:{form}}".rstrip(".") for value in shown)


def seconds(stored: Sequence[StoredRun]) -> float:
    """A run's median time on one core, nan for none; with as many runs at a time as there are cores."""
    return float(np.median([one.result.seconds for one in stored])) if stored else np.nan


def time_needed(stored: Mapping[str, Sequence[StoredRun]], seeds: int) -> str:
    """What all seeds take by the runs so far, rows that have none and Sim-BN's left out and named."""
    known = {row.figure: seconds(stored[row.figure]) for row in ROWS if stored.get(row.figure)}
    cheap = {figure: cost for figure, cost in known.items() if ROW[figure].architecture != "sim-bn"}
    without = [row.figure for row in ROWS if row.figure not in cheap]
    hours = sum(cheap.values()) * seeds / 3600
    return (
        f"Time: 'seconds a run' is the median on one core with a run on every core. By these, {seeds} seeds of all rows but "
        f"{', '.join(without)} take {hours:.1f} core-hours."
    )


def table_2(
    runs: Mapping[str, Mapping[int, Seen | None]], scale: str, stored: Mapping[str, Sequence[StoredRun]], seeds: int
) -> Table:
    """One line a figure. runs: as `examine` takes them; stored: what they come from; seeds: how many of each were asked for."""
    shown, raw = [], []
    for name in STATEMENTS:
        one = examine(name, runs, scale)
        row, finished = _row(name), [s for s in one.runs.values() if s]
        accuracy, trace = [s.accuracy for s in finished], [s.trace for s in finished]
        excess, test_loss = [s.excess for s in finished if s.excess is not None], [s.test_loss for s in finished]
        counted = {"seeds": len(one.runs), "diverged": len(one.runs) - len(finished), "never": sum(not s.fits for s in finished)}
        counted["off"] = sum(s.fits and s.off for s in finished)
        remarks = [
            "shortened" if shortened(row, scale) and one.runs else "",
            divergences(stored.get(row.figure, ())),
            f"{counted['never']} never interpolate" if counted["never"] else "",
            f"{counted['off']} leave interpolation in the last phase" if counted["off"] else "",
        ]
        said = "; ".join(f"{f.text}: {f.shown} of {f.total}" for f in one.findings) if one.runs else "–"
        shown.append(
            {
                "figure": name,
                "run": row.name,
                "the paper reports": REPORTED[f"figure-{name}"],
                "seeds that show it": said,
                "verdict": one.verdict,
                "seeds": f"{len(one.runs)} of {seeds}",
                "test accuracy": quantiles(accuracy, ".3f"),
                "test loss": quantiles(test_loss, ".3f"),
                "trace": quantiles(trace, "#.3g"),
                "trace / lower bound": quantiles(excess, ".2f"),
                "seconds a run": f"{seconds(stored.get(row.figure, ())):.0f}" if stored.get(row.figure) else "–",
                "remarks": "; ".join(filter(None, remarks)) or "–",
            }
        )
        numbers = {
            f"{label}, {part}": float(value)
            for label, values in (("test accuracy", accuracy), ("test loss", test_loss), ("trace", trace))
            for part, value in zip(
                ("min", "25%", "median", "75%", "max"), np.quantile(values or [np.nan], np.arange(5) / 4), strict=True
            )
        }
        shares = {f"statement {i}": f.shown / f.total if f.total else np.nan for i, f in enumerate(one.findings, start=1)}
        cost = {"seconds": seconds(stored.get(row.figure, ()))}
        raw.append({"figure": name, "verdict": one.verdict, "shortened": one.short, **counted, **numbers, **shares, **cost})
    return Table(
        id=TABLE_2,
        title="Figures 1 to 11 of wen2023: what the paper reports of one run, and what many seeds show",
        shown=pd.DataFrame(shown),
        raw=pd.DataFrame(raw),
        notes=(
            RULE,
            "Test accuracy, test loss (for the logistic loss in excess of its smallest value), trace and its ratio to the lower bound "
            "that no interpolating network goes below: smallest / lower quartile / median / upper quartile / largest over seeds (of "
            "fewer than five, each). –: not yet run, or no bound is known. Figure 2b: the networks of 2a after the phase at whose end "
            "they are judged. A trace can lie below its bound, which holds for exact interpolation: constant-step SAM keeps a small "
            "training loss, and off interpolation the residual term counts, too.",
            "Baseline: weight decay as printed. Logistic loss: label smoothing 0.2, read such that outputs get the labels' sign "
            "(theory/losses.py). Figure 6b: W1 and b1 are scaled together to norm 10 after each step. Test error on the uniform ball is "
            "squared, and there is no accuracy, as its labels are real numbers. Neither the initialization nor Sim-LN's epsilon is "
            "printed; see table-1.",
            time_needed(stored, seeds),
        ),
        provenance=collected([one for group in stored.values() for one in group], scale),
        brief=("figure", "run", "seeds that show it", "verdict", "seeds", "remarks"),
    )
