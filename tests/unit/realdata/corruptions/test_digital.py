"""The four of the digital kind against fractions, scipy's interpolation, box means and the JPEG standard's own steps."""

from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import fft, ndimage

from flatproof.verify.realdata.corruptions import SEVERITIES, corrupt
from flatproof.verify.realdata.corruptions.constants import CONSTANTS
from flatproof.verify.realdata.corruptions.pixels import bilinear, mirrored, reflected
from tests.unit.realdata.corruptions.pictures import agree, flat, generators, natural, speckled, whole

EVERY = range(1, SEVERITIES + 1)


@pytest.mark.parametrize(("severity", "factor"), list(enumerate(("0.75", "0.5", "0.4", "0.3", "0.15"), 1)))
def test_contrast_in_fractions(severity: int, factor: str) -> None:
    images = speckled(2, 8)
    expected = np.empty(images.shape)
    for i, channel in np.ndindex(2, 3):
        mean = Fraction(int(images[i, :, :, channel].sum()), 64)
        for y, x in np.ndindex(8, 8):
            expected[i, y, x, channel] = (int(images[i, y, x, channel]) - mean) * Fraction(factor) + mean
    assert agree(corrupt(images, "contrast", severity), expected)


@pytest.mark.parametrize(("beyond", "mode"), [(mirrored, "mirror"), (reflected, "reflect")])
def test_reading_between_pixels_is_scipys(beyond: object, mode: str) -> None:
    """Far beyond the edges too."""
    rng = np.random.default_rng(0)
    images = rng.random((2, 9, 9, 3))
    rows, columns = rng.uniform(-40, 40, (2, 2, 9, 9))
    rows[0, 0, :3], columns[0, 0, :3] = (0, 8, 4), (8, 0, -1)
    result = bilinear(images, rows, columns, beyond)
    for i, channel in np.ndindex(2, 3):
        expected = ndimage.map_coordinates(images[i, ..., channel], [rows[i], columns[i]], order=1, mode=mode)
        assert np.allclose(result[i, ..., channel], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("severity", EVERY)
@pytest.mark.parametrize("side", [16, 32])
def test_elastic_is_an_affine_map_and_a_displacement(severity: int, side: int) -> None:
    size, deviation, shift = (share * side for share in CONSTANTS["elastic_transform"][severity - 1])
    images, name = natural(2, side), "elastic_transform"
    middle, half = side // 2, side // 3
    corners = np.array([[middle + half, middle + half], [middle + half, middle - half], [middle - half, middle - half]])
    ones = np.ones((3, 1))
    for image, result, g in zip(images, corrupt(images, name, severity), generators(name, 2), strict=True):
        moved = corners + g.uniform(-shift, shift, (3, 2))
        forward = np.vstack(
            [np.linalg.solve(np.hstack([corners, ones]), moved).T, [0, 0, 1]]
        )  # takes corners to where they moved
        backward = np.linalg.inv(forward)
        noise = g.uniform(-1, 1, (side, side, 2))
        y, x = np.indices((side, side))
        from_x, from_y, _ = np.einsum("ij,jyx->iyx", backward, np.stack([x, y, np.ones((side, side))]))
        steps = [
            ndimage.gaussian_filter(noise[..., i], deviation, mode="reflect", truncate=3) if deviation else 0 for i in (0, 1)
        ]
        for channel in range(3):
            turned = ndimage.map_coordinates(image[..., channel].astype(float), [from_y, from_x], order=1, mode="mirror")
            at = [y + size * steps[0], x + size * steps[1]]
            expected = ndimage.map_coordinates(turned, at, order=1, mode="reflect")
            assert np.array_equal(result[..., channel], whole(expected))


def box(image: NDArray[np.uint8], size: int, axis: int) -> NDArray[np.uint8]:
    """Means over the pixels whose middles lie in each new pixel, or the one nearest to its middle, rounded."""
    old = image.shape[axis]
    middles = (np.arange(old) + 0.5) * size / old
    rows = []
    for new in range(size):
        inside = np.flatnonzero((middles > new) & (middles <= new + 1)) if size < old else [int((new + 0.5) * old / size)]
        rows.append(np.floor(image.take(inside, axis).astype(float).mean(axis=axis) + 0.5 + 1e-6))
    return np.stack(rows, axis=axis).astype(np.uint8)


@pytest.mark.parametrize(("severity", "small"), list(enumerate((30, 28, 27, 24, 20), 1)))
def test_pixelate_takes_means_over_boxes(severity: int, small: int) -> None:
    images = natural(3, 32)
    for image, result in zip(images, corrupt(images, "pixelate", severity), strict=True):
        reduced = box(box(image, small, 1), small, 0)
        assert np.array_equal(result, box(box(reduced, 32, 1), 32, 0))
        assert len(np.unique(result.reshape(-1, 3), axis=0)) <= small**2


LUMINANCE = """
16 11 10 16 24 40 51 61  12 12 14 19 26 58 60 55  14 13 16 24 40 57 69 56  14 17 22 29 51 87 80 62
18 22 37 56 68 109 103 77  24 35 55 64 81 104 113 92  49 64 78 87 103 121 120 101  72 92 95 98 112 100 103 99
"""  # table K.1 of the JPEG standard


@pytest.mark.parametrize(("severity", "quality"), list(enumerate((80, 65, 58, 50, 40), 1)))
def test_jpeg_quantizes_the_cosine_transform(severity: int, quality: int) -> None:
    """Of grey images, whose colour is none: every coefficient becomes the nearest multiple of the table's entry at that quality.

    Pixels are rounded to whole numbers, which moves a coefficient by less than 2 here.
    """
    grey = np.repeat(natural(6, 32)[..., :1] // 2 + 64, 3, axis=-1)  # far from black and white: nothing is cut
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    table = (np.array(LUMINANCE.split(), dtype=int).reshape(8, 8) * scale + 50) // 100
    result = corrupt(grey, "jpeg_compression", severity)
    assert np.array_equal(result, np.repeat(result[..., :1], 3, axis=-1))
    before, after = (
        fft.dctn(images[..., 0].reshape(6, 4, 8, 4, 8).swapaxes(2, 3) - 128.0, axes=(-2, -1), norm="ortho")
        for images in (grey, result)
    )
    assert np.abs(after - np.round(after / table) * table).max() < 2
    assert (np.abs(after - before) < table / 2 + 2).all()


@pytest.mark.parametrize("name", ["elastic_transform", "pixelate"])
@pytest.mark.parametrize("byte", [0, 1, 77, 254, 255])
def test_these_leave_a_single_colour(name: str, byte: int) -> None:
    images = flat(2, 16, byte)
    assert all(np.array_equal(corrupt(images, name, severity), images) for severity in EVERY)
