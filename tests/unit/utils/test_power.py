"""How many seeds decide a sign: against simulation, and what is certain without any."""

import numpy as np
import pytest
from scipy import stats

from flatproof.verify.utils.statistics import power_of_sign, seeds_needed


@pytest.mark.parametrize(
    ("effect", "deviation", "seeds", "confidence"), [(0.5, 1.0, 8, 0.95), (-2.0, 1.5, 4, 0.95), (1.0, 1.0, 12, 0.99)]
)
def test_power_is_that_of_simulated_seeds(effect: float, deviation: float, seeds: int, confidence: float) -> None:
    values = effect + deviation * np.random.default_rng(1).standard_normal((100_000, seeds))
    half = stats.t.ppf(0.5 + confidence / 2, seeds - 1) * values.std(1, ddof=1) / np.sqrt(seeds)
    mean = values.mean(1)
    decided = np.mean(mean - half > 0) if effect > 0 else np.mean(mean + half < 0)
    assert power_of_sign(effect, deviation, seeds, confidence) == pytest.approx(decided, abs=0.006)  # four standard errors


@pytest.mark.parametrize(("effect", "deviation"), [(0.1, 1.0), (-0.7, 1.0), (3.0, 1.0), (1e-6, 1e-6)])
def test_the_number_is_the_smallest_that_decides(effect: float, deviation: float) -> None:
    seeds = seeds_needed(effect, deviation)
    assert seeds is not None
    assert power_of_sign(effect, deviation, seeds) >= 0.8
    assert seeds == 3 or power_of_sign(effect, deviation, seeds - 1) < 0.8
    assert seeds_needed(2 * effect, 2 * deviation) == seeds


def test_what_no_number_or_any_decides() -> None:
    assert seeds_needed(0.0, 1.0) is None
    assert seeds_needed(1e-9, 1.0) is None
    assert seeds_needed(0.3, 0.0) == 3
    assert seeds_needed(0.1, 1.0, power=0.95) > seeds_needed(0.1, 1.0)  # type: ignore[operator]
    for arguments in ((0.1, -1.0), (0.1, 1.0, 1.0)):
        with pytest.raises(ValueError, match="power must lie between 0 and 1"):
            seeds_needed(*arguments)
