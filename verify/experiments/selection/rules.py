"""Owns what is concluded of drifts along the set of flattest networks; written after a pilot on seeds 101 and 102.

A run counts where it ends as flat as networks get: training loss at most FITS, trace at most 1 + NEAR times the bound. Its rate is
the least-squares slope of log(memorized share) over epochs, over the looks at which the share is at least LEAST. Intervals are
Student's t over seeds, at 1 - 5 %/k where any of k cells decides.

    drift     1-SAM from half memorizing, each radius and step: rate. Supported: every interval below 0; refuted: one above 0 (among all).
    noise     label-noise SGD, the same.
    curved    1-SAM from half memorizing: d log λ_max, end against start, each cell. As drift, with above 0 in place of below.
    stays     1-SAM and label noise from memorizing alone: runs that end with a memorized share of at least KEPT. Supported: the 90 %
              interval of their share above one half for both; refuted: below for one.
    order     1-SAM's rates: exponents p, q of the least-squares plane log(-rate) = c + p log ρ + q log lr over cells and seeds,
              Student's t of the jackknife over seeds. Supported: p above 2 and q above 1; refuted: one of them below.
    separates each functional, ends from random starts: the share of pairs (1-SAM, label noise) in which 1-SAM's is larger;
              without log_det, which holds the step, and the methods' steps differ;
              Mann-Whitney's test at 5 % by Holm over functionals. Separates: significant, and the share at most .2 or at least .8.

Nothing is judged at scale smoke. These statements are the project's own: no paper prints them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from flatproof.verify.experiments.selection.functionals import NAMES
from flatproof.verify.experiments.selection.jobs import HALF, METHODS, Drift
from flatproof.verify.experiments.vocabulary import Effect, Verdict, consistently_below, every_above, most_seeds
from flatproof.verify.jobs.job import StoredValues
from flatproof.verify.utils.statistics import Interval, jackknife_interval

FITS, NEAR, LEAST, KEPT = 2e-3, 0.05, 0.02, 0.95
EPOCHS = 10_000  # the unit of rates
Pairs = Sequence[tuple[Drift, StoredValues]]
STATEMENTS = {
    "drift": "1-SAM moves along the set of flattest networks: from half memorizing, the memorizing part shrinks.",
    "noise": "Label-noise SGD does so, too.",
    "curved": "λ_max grows on the way: at equal trace 1-SAM does not look for the smaller largest eigenvalue.",
    "stays": "A memorizing network stays one: where a method ends depends on where it enters the set.",
    "order": "The drift is slow: the exponents of its rate in ρ and in lr lie above 2 and 1.",
}


@dataclass(frozen=True)
class Judgement:
    """The verdict on a statement, and in words what it rests on."""

    name: str
    verdict: Verdict
    effects: tuple[Effect, ...] = ()
    measured: str = ""


def flattest(values: Mapping[str, Any]) -> bool:
    """Whether a run ends as flat as networks get."""
    return values["status"] == "finished" and values["end"]["loss"] <= FITS and values["end"]["ratio"] <= 1 + NEAR


def rate(drift: Drift, values: Mapping[str, Any]) -> float:
    """Of the memorized share's logarithm, in EPOCHS; NaN of a run that does not count or has fewer than three looks."""
    looks = [values["start"], *values.get("looks", ())]
    shares = np.array([look["memorized"] for look in looks])
    kept = shares >= LEAST
    if not flattest(values) or kept.sum() < 3:
        return float("nan")
    at = np.arange(len(looks)) * drift.epochs / (len(looks) - 1) / EPOCHS
    return float(np.polyfit(at[kept], np.log(shares[kept]), 1)[0])


def cells(pairs: Pairs, method: str) -> dict[tuple[float, float], list[tuple[Drift, dict[str, Any]]]]:
    """A method's runs from HALF by strength and step."""
    found: dict[tuple[float, float], list[tuple[Drift, dict[str, Any]]]] = {}
    for job, stored in pairs:
        if job.method == method and job.memorizing == HALF:
            found.setdefault((job.strength, job.lr), []).append((job, stored.result))
    return dict(sorted(found.items()))


def rates(pairs: Pairs, method: str) -> tuple[Effect, ...]:
    """The rate in each cell."""
    return tuple(
        Effect(runs[0][0].setting.partition(", ")[2], "rate", tuple(rate(job, values) for job, values in runs))
        for runs in cells(pairs, method).values()
    )


def grown(pairs: Pairs, functional: str) -> tuple[Effect, ...]:
    """Of 1-SAM from HALF: the functional's logarithm, end less start, in each cell."""
    return tuple(
        Effect(
            runs[0][0].setting.partition(", ")[2],
            f"d log {functional}",
            tuple(
                float(np.log(values["end"][functional] / values["start"][functional])) if flattest(values) else float("nan")
                for _, values in runs
            ),
        )
        for runs in cells(pairs, "1-SAM").values()
    )


def exponents(pairs: Pairs) -> tuple[Interval, Interval] | None:
    """p and q with jackknife intervals over seeds; None with fewer than two seeds or cells without a rate below 0."""
    found = cells(pairs, "1-SAM")
    seeds = sorted({job.seed for runs in found.values() for job, _ in runs})
    units = np.full((len(seeds), len(found)), np.nan)
    for column, runs in enumerate(found.values()):
        for job, values in runs:
            units[seeds.index(job.seed), column] = -rate(job, values)
    if len(seeds) < 2 or not len(found):
        return None
    at = np.log(np.array(list(found)))

    def exponent(of: int) -> Interval:
        def fitted(rows: NDArray[np.floating]) -> float:
            y = np.log(np.where(rows > 0, rows, np.nan)).ravel()
            x = np.column_stack([np.ones(y.size), *np.tile(at, (len(rows), 1)).T])
            known = np.isfinite(y)
            return float(np.linalg.lstsq(x[known], y[known], rcond=None)[0][of]) if known.sum() > 3 else float("nan")

        return jackknife_interval(units, fitted)

    return exponent(1), exponent(2)


def judge(pairs: Pairs, scale: str) -> list[Judgement]:
    """Every statement, from stored runs."""
    drift, noise, curved = rates(pairs, "1-SAM"), rates(pairs, "label noise"), grown(pairs, "top")
    judged = [
        Judgement("drift", consistently_below(drift), drift),
        Judgement("noise", consistently_below(noise), noise),
        Judgement("curved", every_above(curved), curved),
        _stays(pairs),
        _order(pairs),
    ]
    return judged_at(scale, bool(pairs), judged)


def judged_at(scale: str, run: bool, judged: list[Judgement]) -> list[Judgement]:
    """The judgements; of a scale at which nothing is judged, or where nothing was run, no verdict but that."""
    if run and scale != "smoke":
        return judged
    verdict = Verdict.NOT_JUDGED if run else Verdict.NOT_RUN
    return [Judgement(j.name, verdict, j.effects, j.measured) for j in judged]


def most_of(name: str, cells: Mapping[str, Sequence[bool]]) -> Judgement:
    """Supported where most seeds of every cell end as stated, refuted where most of one do not; `cells`: whether each seed does."""
    says = [most_seeds(sum(ends), len(ends)) for ends in cells.values()]
    words = "; ".join(f"{where}: {sum(ends)} of {len(ends)}" for where, ends in cells.items())
    if any(said is Verdict.DIFFERS for said in says):
        return Judgement(name, Verdict.REFUTED, measured=words)
    agrees = says and all(said is Verdict.AGREES for said in says)
    return Judgement(name, Verdict.SUPPORTED if agrees else Verdict.INCONCLUSIVE, measured=words)


def _stays(pairs: Pairs) -> Judgement:
    ends: dict[str, list[bool]] = {method: [] for method, _, _ in METHODS}
    for job, s in pairs:
        if job.memorizing == 1.0 and (job.method, job.strength, job.lr) in METHODS:
            ends[job.method].append(s.result["status"] == "finished" and s.result["end"]["memorized"] >= KEPT)
    return most_of("stays", ends)


def _order(pairs: Pairs) -> Judgement:
    found = exponents(pairs)
    if found is None:
        return Judgement("order", Verdict.INCONCLUSIVE)
    (p, p_low, p_high), (q, q_low, q_high) = found
    words = f"ρ^p: p = {p:.2f} [{p_low:.2f}, {p_high:.2f}]; lr^q: q = {q:.2f} [{q_low:.2f}, {q_high:.2f}]"
    if p_low > 2 and q_low > 1:
        return Judgement("order", Verdict.SUPPORTED, measured=words)
    return Judgement("order", Verdict.REFUTED if p_high < 2 or q_high < 1 else Verdict.INCONCLUSIVE, measured=words)


@dataclass(frozen=True)
class Separation:
    """A functional on the ends of both methods from random starts: values, the share of pairs in which 1-SAM's is larger, p by Holm."""

    functional: str
    sam: tuple[float, ...]
    noise: tuple[float, ...]
    share: float
    p: float

    @property
    def words(self) -> str:
        """Whether it separates."""
        if self.p < 0.05 and not 0.2 < self.share < 0.8:
            return "separates"
        return "differs" if self.p < 0.05 else "no difference seen"


def separations(pairs: Pairs) -> list[Separation]:
    """Every functional; none with fewer than three ends of a method that count."""
    ends = {
        method: [
            stored.result["end"]
            for job, stored in pairs
            if (job.method, job.strength, job.lr, job.memorizing) == (method, strength, lr, None) and flattest(stored.result)
        ]
        for method, strength, lr in METHODS
    }
    if min(map(len, ends.values())) < 3:
        return []
    rows = []
    for name in ("accuracy", *(name for name in NAMES if name != "log_det")):
        sam, noise = (tuple(end[name] for end in ends[method]) for method, _, _ in METHODS)
        test = stats.mannwhitneyu(sam, noise)
        rows.append((name, sam, noise, float(test.statistic) / (len(sam) * len(noise)), float(test.pvalue)))
    order = np.argsort([p for *_, p in rows])
    held = np.maximum.accumulate([rows[i][4] * (len(rows) - rank) for rank, i in enumerate(order)])
    adjusted = {int(i): min(1.0, float(value)) for i, value in zip(order, held, strict=True)}
    return [Separation(*row[:4], adjusted[i]) for i, row in enumerate(rows)]
