"""Owns what rules conclude: verdicts with their wording and their status in the ledger, effects with intervals, and how many make one."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from flatproof.theory.claims import Status
from flatproof.verify.utils.statistics import Interval, binomial_interval, mean_interval

LEAST_SEEDS = 3  # fewer judge nothing
ERROR = 0.05  # how often chance may decide
ROUNDING = 1e-9  # an effect no larger than this is none

Says = Literal["supports", "contradicts", "open"]  # what one part, such as a data set, says of a statement


class Verdict(StrEnum):
    """What a rule concludes: a claim is supported or refuted, what is printed of a figure agrees with the runs or differs from them."""

    SUPPORTED = "supported"
    REFUTED = "refuted"
    AGREES = "agrees"
    DIFFERS = "differs"
    INCONCLUSIVE = "inconclusive"
    NOT_JUDGED = "not judged"
    NOT_RUN = "not run"

    @property
    def against(self) -> bool:
        """Whether it speaks against what is printed."""
        return self in (Verdict.REFUTED, Verdict.DIFFERS)

    @property
    def opposite(self) -> "Verdict":
        """The verdict on the opposite statement."""
        return {
            Verdict.SUPPORTED: Verdict.REFUTED,
            Verdict.REFUTED: Verdict.SUPPORTED,
            Verdict.AGREES: Verdict.DIFFERS,
            Verdict.DIFFERS: Verdict.AGREES,
        }.get(self, self)

    def worded(self, reduced: bool) -> str:
        """As it is printed: of networks or data of a reduced size a verdict on a claim says so, and they contradict rather than refute."""
        if not reduced or self not in (Verdict.SUPPORTED, Verdict.REFUTED):
            return self.value
        return f"{'contradicted' if self is Verdict.REFUTED else self.value} (reduced size)"

    def status(self, reduced: bool = False) -> Status:
        """The ledger's status; open at a reduced size: networks other than the paper's settle nothing about its statement."""
        if reduced or self not in (Verdict.SUPPORTED, Verdict.REFUTED, Verdict.AGREES, Verdict.DIFFERS):
            return "open"
        return "refuted" if self.against else "tested"


def together(verdicts: Iterable[str]) -> Verdict:
    """Several parts as a whole: what all of them say, else against what is printed if one is, else inconclusive; what was not run aside."""
    spoken = {Verdict(verdict) for verdict in verdicts} - {Verdict.NOT_RUN}
    if len(spoken) <= 1:
        return spoken.pop() if spoken else Verdict.NOT_RUN
    return next((verdict for verdict in spoken if verdict.against), Verdict.INCONCLUSIVE)


def majority(says: Sequence[Says]) -> Verdict:
    """More than half support and none contradicts: supported; the other way round: refuted."""
    for side, other, verdict in (
        ("supports", "contradicts", Verdict.SUPPORTED),
        ("contradicts", "supports", Verdict.REFUTED),
    ):
        if 2 * says.count(side) > len(says) and other not in says:
            return verdict
    return Verdict.INCONCLUSIVE


def most_seeds(shown: int, seeds: int, confidence: float = 0.9) -> Verdict:
    """Whether most seeds show what is printed.

    Args:
        shown: how many do.
        seeds: how many there are.
        confidence: of the exact binomial interval of their share, two-sided.

    Returns:
        Agrees if the interval lies above one half, differs if it lies below.
    """
    if not seeds:
        return Verdict.INCONCLUSIVE
    share = binomial_interval(shown, seeds, confidence)
    return Verdict.AGREES if share.low > 0.5 else Verdict.DIFFERS if share.high < 0.5 else Verdict.INCONCLUSIVE


@dataclass(frozen=True)
class Effect:
    """One effect size: where it was seen, of which quantity, and its values, one a seed. A NaN, of a diverged training, is not judged.

    of: the seeds that the values are of; none named: 1, 2, ...
    """

    where: str
    quantity: str
    values: tuple[float, ...]
    of: tuple[int, ...] = ()

    @property
    def seeds(self) -> int:
        """How many seeds."""
        return len(self.values)

    @property
    def judged(self) -> bool:
        """Whether there are seeds enough, each with a finite value."""
        return self.seeds >= LEAST_SEEDS and all(map(math.isfinite, self.values))

    def among(self, k: int) -> Interval:
        """The mean with Student's t interval at 1 - ERROR/k, for rules by which any one of k effects decides (Bonferroni)."""
        return mean_interval(self.values, 1 - ERROR / k)

    @property
    def interval(self) -> Interval:
        """The mean over seeds with its interval at 95 %."""
        return self.among(1)

    def above_among(self, k: int) -> bool:
        """Whether the interval among k lies above 0."""
        return self.judged and self.among(k).low > ROUNDING

    @property
    def above(self) -> bool:
        """Whether the interval lies above 0."""
        return self.above_among(1)

    @property
    def below(self) -> bool:
        """Whether it lies below 0."""
        return self.judged and self.interval.high < -ROUNDING

    def within(self, margin: float) -> bool:
        """Whether it lies strictly inside ±margin."""
        return self.judged and -margin < self.interval.low and self.interval.high < margin

    def outside(self, margin: float) -> bool:
        """Whether it lies wholly above margin or wholly below -margin."""
        return self.judged and (self.interval.low > margin or self.interval.high < -margin)


def consistently_below(effects: Sequence[Effect]) -> Verdict:
    """Every interval below 0: supported; any one of them above 0, among all: refuted."""
    if any(effect.above_among(len(effects)) for effect in effects):
        return Verdict.REFUTED
    return Verdict.SUPPORTED if effects and all(effect.below for effect in effects) else Verdict.INCONCLUSIVE


def every_above(effects: Sequence[Effect]) -> Verdict:
    """Every interval above 0: supported; one below 0: refuted; inconclusive, too, if any effect has too few or diverged seeds."""
    if not effects or not all(effect.judged for effect in effects):
        return Verdict.INCONCLUSIVE
    if any(effect.below for effect in effects):
        return Verdict.REFUTED
    return Verdict.SUPPORTED if all(effect.above for effect in effects) else Verdict.INCONCLUSIVE
