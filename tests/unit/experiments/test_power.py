"""How many seeds a rule needs: against the noncentral t distribution, and what is certain without any draw."""

import numpy as np
import pytest
from scipy import stats

from flatproof.verify.experiments.kaur2023.rules import _sometimes_vanishes as claim_1b
from flatproof.verify.experiments.vocabulary import Effect, Verdict, every_above, majority
from flatproof.verify.experiments.vocabulary.power import COUNTS, DRAWS, POWER, seeds_needed


def effect(mean: float, deviation: float, seeds: int = 8) -> Effect:
    """With exactly that mean and standard deviation over its seeds."""
    values = np.random.default_rng(3).standard_normal(seeds)
    values = (values - values.mean()) / values.std(ddof=1)
    return Effect("", "", tuple((mean + deviation * values).tolist()))


def power(mean: float, deviation: float, seeds: int) -> float:
    """How often Student's t interval at 95 % lies above 0."""
    return float(stats.nct.sf(stats.t.ppf(0.975, seeds - 1), seeds - 1, mean / deviation * np.sqrt(seeds)))


@pytest.mark.parametrize("ratio", [0.3, 0.5, 1.0, 2.0])
def test_one_sign_needs_what_the_noncentral_t_distribution_says(ratio: float) -> None:
    needed = seeds_needed(every_above, [effect(ratio, 1.0)])
    assert needed is not None
    assert needed.seeds is not None
    assert needed.verdict is Verdict.SUPPORTED
    below = COUNTS[COUNTS.index(needed.seeds) - 1]
    error = 4 * np.sqrt(POWER * (1 - POWER) / DRAWS)  # four standard errors of the share of the draws
    assert power(ratio, 1.0, needed.seeds) > POWER - error
    assert power(ratio, 1.0, below) < POWER + error
    assert seeds_needed(every_above, [effect(1e3 * ratio, 1e3)]) == needed


def test_the_slowest_interval_of_a_rule_counts_and_the_verdict_is_the_rules() -> None:
    fast, slow = effect(3.0, 1.0), effect(0.4, 1.0)
    alone, both = (seeds_needed(every_above, effects) for effects in ([fast], [fast, slow]))
    assert alone is not None
    assert both is not None
    assert alone.seeds < both.seeds  # type: ignore[operator]
    against = seeds_needed(every_above, [fast, effect(-3.0, 1.0)])
    assert against is not None
    assert against.verdict is Verdict.REFUTED


def test_effects_of_a_seed_vary_together() -> None:
    first = effect(0.0, 1.0)
    second = Effect("", "", tuple(1.0 - v for v in first.values))  # the sum is 1 in every seed

    def rule(seen: list[Effect]) -> Verdict:
        sums = [a + b for a, b in zip(seen[0].values, seen[1].values, strict=True)]
        return Verdict.SUPPORTED if np.allclose(sums, 1.0) else Verdict.REFUTED

    needed = seeds_needed(rule, [first, second])
    assert needed is not None
    assert (needed.seeds, needed.verdict, needed.share) == (COUNTS[0], Verdict.SUPPORTED, 1.0)


def test_an_effect_that_lacks_a_seed_varies_with_the_others_of_the_seeds_that_it_has() -> None:
    """The correlation over all draws is that of the deviations by seed; by position it would be another."""
    first = effect(0.0, 1.0)
    kept = np.delete(first.values, 1)
    seen: list[tuple[float, float]] = []

    def rule(drawn: list[Effect]) -> Verdict:
        seen.extend(zip(drawn[0].values, drawn[1].values, strict=True))
        return Verdict.SUPPORTED

    seeds_needed(rule, [first, Effect("", "", tuple(kept), of=(1, 3, 4, 5, 6, 7, 8))])
    measured = np.corrcoef(np.array(seen).T)[0, 1]
    deviations = kept - kept.mean()
    by_seed, by_place = (np.dot(v, deviations) / np.sqrt(7 * np.dot(deviations, deviations)) for v in (kept, first.values[:7]))
    assert abs(by_seed - by_place) > 0.2
    assert measured == pytest.approx(by_seed, abs=0.05)


def test_a_verdict_that_more_seeds_undo_needs_the_fewest_that_reach_it() -> None:
    """Kaur's 1b asks that the effect at the large batch be not above 0: with seeds enough a small one is."""
    small, large = effect(3.0, 1.0), effect(0.18, 1.0)
    gap = Effect("", "", tuple(s - b for s, b in zip(small.values, large.values, strict=True)))
    needed = seeds_needed(claim_1b, [small, large, gap])
    assert needed is not None
    assert needed.seeds is not None
    assert needed.verdict is Verdict.SUPPORTED
    error = 4 * np.sqrt(POWER * (1 - POWER) / DRAWS)
    assert 1 - power(0.18, 1.0, needed.seeds) > POWER - error
    assert 1 - power(0.18, 1.0, COUNTS[-1]) < POWER - error


def test_what_no_number_decides_and_what_cannot_vary() -> None:
    chance = seeds_needed(every_above, [effect(0.0, 1.0)])
    assert chance is not None
    assert chance.seeds is None
    assert chance.share < POWER
    never = seeds_needed(lambda _: majority(["open"]), [effect(1.0, 1.0)])
    assert never is not None
    assert (never.seeds, never.verdict) == (None, Verdict.INCONCLUSIVE)
    assert seeds_needed(every_above, []) is None
    assert seeds_needed(every_above, [None]) is None
    assert seeds_needed(every_above, [Effect("", "", (1.0,))]) is None
    assert seeds_needed(every_above, [Effect("", "", (1.0, float("nan"), 2.0))]) is None
