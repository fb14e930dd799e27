"""Owns how wen2023's runs are judged: where on its curves, by which statements of a figure, and what many seeds amount to.

The rule and the statements below were written when 1a, 1b, 2a, 4a, 4b and 6a had been run for seeds 1 to 5 (table-1), and before
all other runs that they judge. Table-1 is judged by the rule of table-2.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from flatproof.theory.networks import Network
from flatproof.verify.experiments.vocabulary import Verdict, most_seeds, together
from flatproof.verify.experiments.wen2023.grid import INTERPOLATES, ROW, Row, phases, shortened
from flatproof.verify.two_layer.training import Result, StoredRun, closing

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

RULE_OF_TABLE_1 = (
    f"Rule: table-2's, with one statement: a run's test accuracy is at least {GENERALIZES:g} (where 'no' is printed: below it). A run "
    "is judged by medians over the last quarter of the last of its phases in which it interpolates (training loss at most "
    f"{INTERPOLATES:g}), of its last phase if it does in none; 'off interpolation' counts runs that do not in the last. Measured "
    f"'yes': the exact binomial interval ({CONFIDENCE:.0%}, two-sided) of the share of seeds at or above {GENERALIZES:g} lies above "
    "one half; 'no': that of the share below it does; otherwise inconclusive. A diverged run shows neither. Agrees: the share of "
    "seeds that show what is printed lies above one half; differs: below; but a shortened row cannot differ, and one whose last phase"
    " drives most seeds off interpolation cannot agree. So a row's runs are judged alike here and as a figure of table-2, which asks "
    "for more where the paper says 'perfect'. Nothing is judged at scale smoke. This rule took the place of another after all of "
    "these runs had been seen: the 95 % interval of their mean accuracy, which called Sim-BN 'yes, agrees' at scale quick where "
    "table-2 called the same runs inconclusive; no other entry changed."
)

RULE_OF_FLATTEST = (
    "Rule: a data set says 'yes' if every interpolating network whose trace is within a printed excess of the least is proved to classify "
    f"at least {GENERALIZES:.0%} of the cube correctly; 'no' if one of the least trace (Sim-BN, whose infimum is not attained: at any "
    f"excess) is proved not to; else it is undecided. Decided: what the exact binomial interval ({CONFIDENCE:.0%}, two-sided) of the share "
    "of data sets that say it puts above one half; undecided if it does so for neither. Agrees: what is decided is printed. The rule was "
    "written when the proofs were at hand, and all data sets of an architecture said the same."
)


@dataclass(frozen=True)
class Ending:
    """Where a finished run is judged. values: of each curve the median over the last quarter of the last phase in which it
    interpolates, of the last phase if it does in none. network: after that phase, None where that is not stored. fits: whether it
    interpolates in any phase. off: whether it does not in the last.
    """

    values: dict[str, float]
    network: Network | None
    fits: bool
    off: bool


def ending(row: Row, result: Result, scale: str) -> Ending:
    """Where a finished run is judged. By medians: trace and loss fluctuate from step to step where single samples perturb.

    Args:
        row: what was trained.
        result: of a finished run.
        scale: of the run.
    """
    ends = np.cumsum([0, *(p.epochs for p in phases(row, scale))])
    epochs = np.array(result.curve["epoch"])
    medians = [
        {
            name: float(np.median(np.array(curve)[(epochs >= closing(start, end)) & (epochs <= end)]))
            for name, curve in result.curve.items()
        }
        for start, end in itertools.pairwise(ends)
    ]
    fits = [values["train_loss"] <= row.interpolates for values in medians]
    at = max((i for i, fit in enumerate(fits) if fit), default=len(fits) - 1)
    return Ending(medians[at], dict(networks(row, result)).get(at), any(fits), not fits[-1])


def networks(row: Row, result: Result) -> list[tuple[int, Network]]:
    """The stored networks, each with the index of the phase that it ends."""
    kept = list(enumerate(result.earlier))
    return kept if result.network is None else [*kept, (len(row.phases) - 1, result.network)]


def trace_ratio(end: Ending, result: Result) -> float | None:
    """The trace over its lower bound; None for a run that interpolates in no phase, of which the bound says nothing."""
    return end.values["trace"] / result.lower_bound if end.fits else None


@dataclass(frozen=True)
class Judged:
    """A row's finished runs where they are judged; accuracy: of none where labels are real, trace_ratio: of those that interpolate."""

    accuracy: list[float]
    trace: list[float]
    trace_ratio: list[float]
    diverged: int
    off: int


def judge(row: Row, stored: Sequence[StoredRun], scale: str) -> Judged:
    """Each finished run where it is judged; how many diverged, and how many end off interpolation.

    Args:
        row: what was trained.
        stored: its runs.
        scale: of the runs.
    """
    finished = [s.result for s in stored if s.result.status == "finished"]
    ends = [ending(row, result, scale) for result in finished]
    ratios = [trace_ratio(end, result) for end, result in zip(ends, finished, strict=True)]
    return Judged(
        accuracy=[end.values["test_accuracy"] for end in ends if "test_accuracy" in end.values],
        trace=[end.values["trace"] for end in ends],
        trace_ratio=[ratio for ratio in ratios if ratio is not None],
        diverged=len(stored) - len(finished),
        off=sum(end.off for end in ends),
    )


@dataclass(frozen=True)
class Observation:
    """One run where it is judged.

    accuracy: NaN where labels are real numbers. trace_ratio: trace over its lower bound, None if it interpolates in no phase. fits,
    off: as in `Ending`. curve: (epoch, test accuracy) of every checkpoint, empty for real labels. network: after the phase at whose
    end it is judged, None where that is not stored.
    """

    accuracy: float
    trace: float
    trace_ratio: float | None
    test_loss: float
    fits: bool
    off: bool
    curve: tuple[tuple[float, float], ...]
    network: Network | None


Observations = Mapping[int, Observation | None]  # by seed, None for a diverged run


def observations(row: Row, stored: Sequence[StoredRun], scale: str) -> dict[int, Observation | None]:
    """A row's runs where they are judged.

    Args:
        row: what was trained.
        stored: its runs.
        scale: of the runs.

    Returns:
        Observations by seed, None for a diverged run.
    """
    return {int(run.settings["seed"]): _observation(row, run.result, scale) for run in stored}


def _observation(row: Row, result: Result, scale: str) -> Observation | None:
    if result.status != "finished":
        return None
    end, curve = ending(row, result, scale), result.curve
    return Observation(
        accuracy=end.values.get("test_accuracy", np.nan),
        trace=end.values["trace"],
        trace_ratio=trace_ratio(end, result),
        test_loss=end.values["test_loss"],
        fits=end.fits,
        off=end.off,
        curve=tuple(zip(curve["epoch"], curve["test_accuracy"], strict=True)) if "test_accuracy" in curve else (),
        network=end.network,
    )


def observed(stored: Mapping[str, Sequence[StoredRun]], scale: str) -> dict[str, Observations]:
    """The runs of each figure; "2b": those of 2a."""
    figures: dict[str, Observations] = {name: observations(ROW[name], runs, scale) for name, runs in stored.items()}
    return figures | ({"2b": figures["2a"]} if "2a" in figures else {})


@dataclass(frozen=True)
class Statement:
    """Something that a run shows or not; `than`: the figure with whose run of the same seed it is compared."""

    text: str
    holds: Callable[[Observation, Observation], bool]
    than: str | None = None


def accuracy_at_least(share: float) -> Statement:
    """Generalization, to some degree."""
    return Statement(f"test accuracy at least {share:g}", lambda run, _: run.accuracy >= share)


def accuracy_below(share: float) -> Statement:
    """No generalization to that degree; a diverged run shows neither."""
    return Statement(f"test accuracy below {share:g}", lambda run, _: run.accuracy < share)


def sharper(than: str) -> Statement:
    """A larger trace."""
    return Statement(f"trace larger than {than}'s", lambda run, other: run.trace > other.trace, than)


def better(than: str) -> Statement:
    """A higher test accuracy."""
    return Statement(f"test accuracy above {than}'s", lambda run, other: run.accuracy > other.accuracy, than)


def flatter(than: str, factor: float = 1.0) -> Statement:
    """A smaller trace, by a factor."""
    size = "below" if factor == 1 else f"at most 1/{factor:g} of"
    return Statement(f"trace {size} {than}'s", lambda run, other: run.trace < other.trace / factor, than)


def much_worse(than: str) -> Statement:
    """A test accuracy lower by MUCH."""
    return Statement(f"test accuracy {MUCH:g} below {than}'s", lambda run, other: run.accuracy <= other.accuracy - MUCH, than)


def degrades(epoch: int) -> Statement:
    """The test accuracy where a run is judged is DEGRADES below that at the last checkpoint up to an epoch."""

    def holds(run: Observation, _: Observation) -> bool:
        before = [accuracy for at, accuracy in run.curve if at <= epoch][-1]
        return run.accuracy <= before - DEGRADES

    return Statement(f"test accuracy {DEGRADES:g} below that at the last checkpoint up to epoch {epoch:,}", holds)


def _ball(than: str, factor: float) -> Statement:
    """Uniform ball: labels are real numbers, so that errors are squared."""
    if factor < 1:
        return Statement(
            f"test loss at most half of {than}'s", lambda run, other: run.test_loss <= factor * other.test_loss, than
        )
    return Statement(f"test loss at least twice {than}'s", lambda run, other: run.test_loss >= factor * other.test_loss, than)


def columns(network: Network) -> tuple[float, float, float]:
    """Norms of the first two columns of W1, and the largest of the others."""
    norms = np.linalg.norm(network.w1, axis=0)
    return float(norms[0]), float(norms[1]), float(norms[2:].max())


def largest_neurons(network: Network, count: int = 4) -> list[tuple[float, float, float]]:
    """(W1[1], W1[2], ||W1[3:d]||) of the neurons with the largest first-layer weights, largest first."""
    order = np.argsort(-np.linalg.norm(network.w1, axis=1))[:count]
    return [(float(w[0]), float(w[1]), float(np.linalg.norm(w[2:]))) for w in network.w1[order]]


COLUMNS_APART, REST = 2.0, 0.1


def _columns_stand_out(run: Observation, _: Observation) -> bool:
    if run.network is None:
        return False
    first, second, other = columns(run.network)
    return min(first, second) >= COLUMNS_APART * other


def _in_two_coordinates(run: Observation, _: Observation) -> bool:
    neurons = largest_neurons(run.network) if run.network else [(0.0, 0.0, 1.0)]
    return all(rest <= REST * np.hypot(np.hypot(p, q), rest) for p, q, rest in neurons)


def _one_in_each_quadrant(run: Observation, _: Observation) -> bool:
    return run.network is not None and len({(p > 0, q > 0) for p, q, _ in largest_neurons(run.network)}) == 4


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
    verdict: Verdict


def find(statement: Statement, runs: Observations, others: Observations) -> Finding:
    """In how many seeds a statement is seen, of those that have run in both figures.

    Args:
        statement: about one run, or one compared with another of the same seed.
        runs: of the figure that it is about.
        others: of the figure that it compares with; unused where there is none.
    """
    seeds = [seed for seed in runs if statement.than is None or seed in others]
    shown = 0
    for seed in seeds:
        run = runs[seed]
        other = run if statement.than is None else others[seed]
        shown += run is not None and other is not None and statement.holds(run, other)
    return Finding(statement.text, shown, len(seeds), most_seeds(shown, len(seeds), CONFIDENCE))


def conclude(findings: Sequence[Finding], runs: Observations, short: bool, scale: str) -> Verdict:
    """What follows of the statements about some runs, by RULE.

    Args:
        findings: of every statement.
        runs: that they are about.
        short: whether these, or what they are compared with, are shortened.
        scale: of the runs.
    """
    if not runs:
        return Verdict.NOT_RUN
    if scale == "smoke":
        return Verdict.NOT_JUDGED
    verdict, finished = together(finding.verdict for finding in findings), [run for run in runs.values() if run]
    off = 2 * sum(run.fits and run.off for run in finished) > len(finished)
    if (verdict is Verdict.DIFFERS and short) or (verdict is Verdict.AGREES and off):
        return Verdict.INCONCLUSIVE
    return verdict


def generalization(row: Row, runs: Observations, scale: str, printed: str) -> tuple[str, Verdict]:
    """Whether a row's runs generalize, by RULE_OF_TABLE_1.

    Args:
        row: what was trained.
        runs: its observations.
        scale: of the runs.
        printed: "yes" or "no".

    Returns:
        "yes", "no" or "inconclusive", and the verdict on what is printed.
    """
    above, below = find(accuracy_at_least(GENERALIZES), runs, {}), find(accuracy_below(GENERALIZES), runs, {})
    measured = "yes" if above.verdict is Verdict.AGREES else "no" if below.verdict is Verdict.AGREES else "inconclusive"
    return measured, conclude([above if printed == "yes" else below], runs, shortened(row, scale), scale)


@dataclass(frozen=True)
class Judgement:
    """What the seeds show of one figure."""

    figure: str
    runs: Observations
    findings: tuple[Finding, ...]
    short: bool
    verdict: Verdict


def judge_figure(figure: str, runs: Mapping[str, Observations], scale: str) -> Judgement:
    """What the seeds show of a figure.

    Args:
        figure: its number, such as "4b".
        runs: of all figures, as `observed` gives them.
        scale: of the runs.
    """
    own, statements = runs.get(figure, {}), STATEMENTS[figure]
    findings = tuple(find(statement, own, runs.get(statement.than or "", {})) for statement in statements)
    involved = [row_of(figure), *(row_of(statement.than) for statement in statements if statement.than)]
    short = any(shortened(row, scale) for row in involved)
    return Judgement(figure, own, findings, short, conclude(findings, own, short, scale))


def row_of(figure: str) -> Row:
    """What is trained for a figure; 2b looks at the networks of 2a."""
    return ROW["2a" if figure == "2b" else figure]


Answer = Literal["yes", "no", "undecided"]


def says(proved: Mapping[str, Any]) -> Answer:
    """What a data set says of all flattest networks.

    Args:
        proved: the shares of the cube that all get "right", and that one gets "wrong".
    """
    return "yes" if proved["right"] >= GENERALIZES else "no" if 1 - proved["wrong"] < GENERALIZES else "undecided"


def decided(answers: Sequence[Answer]) -> Answer:
    """What most data sets say."""
    for answer in ("yes", "no"):
        if most_seeds(answers.count(answer), len(answers), CONFIDENCE) is Verdict.AGREES:
            return answer
    return "undecided"
