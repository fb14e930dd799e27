"""The four blurs against loops over pixels, and scipy's zoom."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from flatproof.verify.realdata.corruptions import SEVERITIES, corrupt
from flatproof.verify.realdata.corruptions.blur import disk, magnify, motion_blurred, motion_weights
from flatproof.verify.realdata.corruptions.constants import CONSTANTS
from tests.unit.realdata.corruptions.pictures import flat, generators, natural, speckled, whole

EVERY = range(1, SEVERITIES + 1)


@pytest.mark.parametrize("severity", EVERY)
def test_kernels_have_sum_one(severity: int) -> None:
    assert math.isclose(disk(*CONSTANTS["defocus_blur"][severity - 1]).sum(), 1)
    weights = motion_weights(*CONSTANTS["motion_blur"][severity - 1])
    assert math.isclose(weights.sum(), 1)
    assert (np.diff(weights) < 0).all()
    assert np.allclose(magnify(32, CONSTANTS["zoom_blur"][severity - 1][0]).sum(axis=1), 1)


@pytest.mark.parametrize("name", ["defocus_blur", "glass_blur", "motion_blur", "zoom_blur"])
@pytest.mark.parametrize("byte", [0, 1, 77, 254, 255])
def test_blurs_leave_a_single_colour(name: str, byte: int) -> None:
    images = flat(2, 16, byte)
    assert all(np.array_equal(corrupt(images, name, severity), images) for severity in EVERY)


def mirror(i: int, side: int) -> int:
    return -i if i < 0 else 2 * (side - 1) - i if i >= side else i


def defocused(image: NDArray[np.uint8], radius: float, softening: float) -> NDArray[np.float64]:
    """The disk's pixels, each spread over nine by a Gaussian; then the sum over neighbours, pixel by pixel."""
    side, reach = len(image), math.floor(radius)
    inside = [(i, j) for i in range(-reach, reach + 1) for j in range(-reach, reach + 1) if i * i + j * j <= radius**2]
    spread = {(i, j): math.exp(-(i * i + j * j) / (2 * softening**2)) for i in (-1, 0, 1) for j in (-1, 0, 1)}
    out = np.zeros(image.shape)
    for y, x in np.ndindex(side, side):
        for i, j in inside:
            for (k, m), weight in spread.items():
                out[y, x] += weight * image[mirror(y + i + k, side), mirror(x + j + m, side)].astype(float)
    return out / len(inside) / sum(spread.values())


@pytest.mark.parametrize("severity", EVERY)
def test_defocus_is_a_softened_disk(severity: int) -> None:
    images = speckled(1, 12)
    expected = whole(defocused(images[0], *CONSTANTS["defocus_blur"][severity - 1]))
    assert np.array_equal(corrupt(images, "defocus_blur", severity)[0], expected)


def test_the_severest_defocus_is_the_mean_of_nine_pixels() -> None:
    images = speckled(3, 32)
    padded = np.pad(images.astype(int), ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    sums = sum(padded[:, i : i + 32, j : j + 32] for i in range(3) for j in range(3))
    assert np.array_equal(corrupt(images, "defocus_blur"), sums // 9)


def smoothed(image: NDArray[np.float64], deviation: float) -> NDArray[np.float64]:
    """Gaussian weights up to four deviations, the edge going on beyond itself; rows, then columns."""
    reach = int(4 * deviation + 0.5)
    weights = np.array([math.exp(-(k * k) / (2 * deviation**2)) for k in range(-reach, reach + 1)])
    for axis in (0, 1):
        parts = [
            weight * image.take(np.clip(np.arange(len(image)) + k, 0, len(image) - 1), axis)
            for k, weight in zip(range(-reach, reach + 1), weights / weights.sum(), strict=True)
        ]
        image = np.sum(parts, axis=0)
    return image


@pytest.mark.parametrize("severity", EVERY)
def test_glass_takes_neighbours_one_after_the_other(severity: int) -> None:
    images, (deviation, _, rounds) = speckled(2, 12), CONSTANTS["glass_blur"][severity - 1]
    blurred = corrupt(images, "glass_blur", severity)
    for image, result, generator in zip(images, blurred, generators("glass_blur", 2), strict=True):
        pixels = whole(smoothed(image.astype(float), deviation))
        for _ in range(int(rounds)):
            up, left = generator.integers(-1, 1, (2, 10, 10))
            for y in range(11, 1, -1):
                for x in range(11, 1, -1):
                    pixels[y, x] = pixels[y + up[y - 2, x - 2], x + left[y - 2, x - 2]]
        assert np.array_equal(result, whole(smoothed(pixels.astype(float), deviation)))


def test_glass_takes_each_of_four_pixels_equally_often() -> None:
    """At severity 1 nothing is smoothed."""
    numbered = np.arange(32 * 32)
    image = np.stack([numbered // 256, numbered % 256, 0 * numbered], axis=-1).reshape(1, 32, 32, 3).astype(np.uint8)
    blurred = corrupt(np.repeat(image, 100, 0), "glass_blur", 1).astype(int)
    source = 256 * blurred[..., 0] + blurred[..., 1]
    offset = numbered.reshape(32, 32) - source
    assert (offset[:, :2] == 0).all()
    assert (offset[:, :, :2] == 0).all()
    offsets, counts = np.unique(offset[:, 2:, 2:], return_counts=True)
    assert offsets.tolist() == [0, 1, 32, 33]
    assert np.abs(counts / counts.sum() - 0.25).max() < 5 * math.sqrt(3 / 16 / counts.sum())


def moved(image: NDArray[np.uint8], radius: float, deviation: float, angle: float) -> NDArray[np.uint8]:
    side, out = len(image), np.zeros(image.shape)
    weights = [math.exp(-j * j / (2 * deviation**2)) for j in range(2 * math.ceil(radius) + 1)]
    for y, x in np.ndindex(side, side):
        for j, weight in enumerate(weights):
            row = y + math.ceil(j * math.sin(math.radians(angle)) - 0.5)
            column = x + math.ceil(j * math.cos(math.radians(angle)) - 0.5)
            out[y, x] += weight * image[min(max(row, 0), side - 1), min(max(column, 0), side - 1)].astype(float)
    return np.floor(out / sum(weights) + 0.5 + 1e-6).astype(np.uint8)


@pytest.mark.parametrize("severity", EVERY)
def test_motion_adds_pixels_along_a_line(severity: int) -> None:
    images = speckled(2, 12)
    blurred = corrupt(images, "motion_blur", severity)
    for image, result, generator in zip(images, blurred, generators("motion_blur", 2), strict=True):
        assert np.array_equal(result, moved(image, *CONSTANTS["motion_blur"][severity - 1], generator.uniform(-45, 45)))


@pytest.mark.parametrize(("angle", "place"), [(0, np.s_[8, :9]), (-90, np.s_[8:, 8]), (90, np.s_[:9, 8]), (180, np.s_[8, 8:])])
def test_motion_goes_in_the_direction_of_its_angle(angle: float, place: tuple[int | slice, int | slice]) -> None:
    """A single white pixel leaves its trace on the pixels that it was seen from."""
    image = np.zeros((1, 17, 17), dtype=np.uint8)
    image[0, 8, 8] = 255
    trace = motion_blurred(image, 3, 2, [angle])[0]
    assert trace[place].sum() == trace.sum()
    assert np.array_equal(np.sort(trace[trace > 0])[::-1], np.floor(255 * motion_weights(3, 2) + 0.5))


def zoomed(image: NDArray[np.float64], factor: float) -> NDArray[np.float64]:
    side = len(image)
    kept = math.ceil(side / factor)
    first = (side - kept) // 2
    large = ndimage.zoom(image[first : first + kept, first : first + kept], (factor, factor, 1), order=1)
    cut = (len(large) - side) // 2
    return large[cut : cut + side, cut : cut + side]


@pytest.mark.parametrize(("severity", "count"), list(enumerate((7, 12, 16, 21, 26), 1)))
@pytest.mark.parametrize("side", [16, 32])
def test_zoom_is_the_mean_of_magnifications(severity: int, count: int, side: int) -> None:
    images = natural(2, side)
    stop = CONSTANTS["zoom_blur"][severity - 1][0]
    factors = np.arange(1, (1.06, 1.11, 1.16, 1.21, 1.26)[severity - 1], 0.01)
    assert len(factors) == count
    assert math.isclose(factors[-1], stop)
    for image, result in zip(images, corrupt(images, "zoom_blur", severity), strict=True):
        total = sum((zoomed(image.astype(float), factor) for factor in factors), start=image.astype(float))
        assert np.array_equal(result, whole(total / (count + 1)))
