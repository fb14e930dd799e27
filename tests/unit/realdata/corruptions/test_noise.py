"""The three noises against the distributions that define them."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from flatproof.verify.realdata.corruptions import corrupt
from tests.unit.realdata.corruptions.pictures import flat, natural


def far(shares: NDArray[np.float64], chances: NDArray[np.float64], n: int) -> bool:
    """Whether a share of n draws is more than five standard errors, and three draws, from its chance."""
    return bool((np.abs(shares - chances) > 5 * np.sqrt(chances * (1 - chances) / n) + 3 / n).any())


@pytest.mark.parametrize(("severity", "deviation"), list(enumerate((0.04, 0.06, 0.08, 0.09, 0.10), 1)))
def test_gaussian_noise_has_the_normal_distribution(severity: int, deviation: float) -> None:
    """A byte is below k exactly if the value is below k / 255."""
    noisy = corrupt(flat(40, 32, 128), "gaussian_noise", severity)
    edges = np.arange(1, 256)
    shares = np.array([(noisy < k).mean() for k in edges])
    assert not far(shares, stats.norm.cdf((edges - 128) / 255 / deviation), noisy.size)
    assert far(shares, stats.norm.cdf((edges - 128) / 255 / (1.03 * deviation)), noisy.size)


def test_gaussian_noise_is_independent_between_channels_pixels_and_images() -> None:
    noisy = corrupt(flat(40, 32, 128), "gaussian_noise") - 127.5
    limit = 5 / np.sqrt(noisy.size)
    for shifted in (np.roll(noisy, 1, axis) for axis in range(4)):
        assert abs(np.corrcoef(noisy.ravel(), shifted.ravel())[0, 1]) < limit


@pytest.mark.parametrize(("severity", "photons"), list(enumerate((500, 250, 100, 75, 50), 1)))
@pytest.mark.parametrize("byte", [3, 100, 250])
def test_shot_noise_counts_photons(severity: int, photons: int, byte: int) -> None:
    noisy = corrupt(flat(20, 32, byte), "shot_noise", severity)
    counts = np.arange(4 * photons)
    bytes_of_counts = np.minimum(255 * counts // photons, 255)
    chances = np.bincount(bytes_of_counts, stats.poisson.pmf(counts, photons * byte / 255), 256)
    assert not far(np.bincount(noisy.ravel(), minlength=256) / noisy.size, chances, noisy.size)


@pytest.mark.parametrize(("severity", "share"), list(enumerate((0.01, 0.02, 0.03, 0.05, 0.07), 1)))
def test_impulses_hit_values_one_by_one(severity: int, share: float) -> None:
    noisy = corrupt(flat(40, 32, 77), "impulse_noise", severity)
    assert set(np.unique(noisy)) == {0, 77, 255}
    shares = np.array([(noisy == byte).mean() for byte in (0, 255)])
    assert not far(shares, np.full(2, share / 2), noisy.size)
    hit = (noisy != 77).sum(axis=-1)
    chances = stats.binom.pmf(np.arange(4), 3, share)
    assert not far(np.bincount(hit.ravel(), minlength=4) / hit.size, chances, hit.size)


def test_impulses_leave_the_other_values() -> None:
    images = natural(4, 32)
    noisy = corrupt(images, "impulse_noise")
    assert np.array_equal(noisy[(noisy > 0) & (noisy < 255)], images[(noisy > 0) & (noisy < 255)])
