"""Owns the four blurs: out of focus, through frosted glass, in motion, zooming; and the motion and the zoom that snow needs too."""

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Literal

import numpy as np
from scipy import ndimage, sparse

from flatproof.verify.realdata.corruptions.pixels import ROUNDING, Bytes, Generators, Reals, draws, to_bytes, to_unit

LEAST_DISK = 8  # half the side of the array that holds a disk
ZOOM_STEP = 0.01


def smooth(values: Reals, deviation: float, edge: Literal["nearest", "reflect"], cut: float) -> Reals:
    """Gaussian smoothing of rows and columns, axes 1 and 2.

    Args:
        values: (n, s, s, ...).
        deviation: pixels; 0 leaves the values as they are.
        edge: how values go on beyond the edge, as `scipy.ndimage` calls it.
        cut: where the Gaussian ends, in deviations.
    """
    if deviation == 0:
        return values
    for axis in (1, 2):
        values = ndimage.gaussian_filter1d(values, deviation, axis=axis, mode=edge, truncate=cut)
    return values


@lru_cache
def disk(radius: float, softening: float) -> Reals:
    """The kernel of a lens out of focus: a disk of sum 1, softened by a Gaussian of 3 × 3 pixels (above a radius of 8, 5 × 5)."""
    half = LEAST_DISK if radius <= LEAST_DISK else math.ceil(radius)
    offsets = np.arange(-half, half + 1)
    kernel = (offsets[:, None] ** 2 + offsets**2 <= radius**2).astype(float)
    taps = np.arange(-1, 2) if radius <= LEAST_DISK else np.arange(-2, 3)
    gaussian = np.exp(-(taps**2) / (2 * softening**2))
    for axis in (0, 1):
        kernel = ndimage.correlate1d(kernel, gaussian / gaussian.sum(), axis=axis, mode="constant")
    return kernel / kernel.sum()


def defocus_blur(images: Bytes, constants: tuple[float, ...], _: Generators) -> Bytes:
    """Correlation with `disk`, the image mirrored at the middle of its last pixels. Constants: radius and softening."""
    return to_bytes(ndimage.correlate(to_unit(images), disk(*constants)[None, :, :, None], mode="mirror"))


def glass_blur(images: Bytes, constants: tuple[float, ...], generators: Generators) -> Bytes:
    """Smoothed, neighbours moved at random, smoothed again.

    In each round every pixel but those within `step` + 1 of the top and left edges takes the colour of one drawn among itself, the pixel
    above it, the one to its left and the one above that. The authors' program goes through the pixels from the last to the first and means
    to exchange two of them; what it does is to copy, and what CIFAR-10-C holds is what it does. As copies come from pixels later in that
    order, the order does not matter.

    Constants: deviation of the smoothing; the longest step, 1; rounds.
    """
    deviation, step, rounds = constants
    if step != 1:
        raise ValueError(f"the longest step of glass_blur must be 1, got {step}")
    n, side = images.shape[:2]
    pixels = to_bytes(smooth(to_unit(images), deviation, "nearest", 4))
    inner = np.arange(2, side)
    image = np.arange(n)[:, None, None]
    for _ in range(int(rounds)):
        moves = np.array([g.integers(-1, 1, (2, side - 2, side - 2)) for g in generators])
        pixels[:, 2:, 2:] = pixels[image, inner[:, None] + moves[:, 0], inner + moves[:, 1]]
    return to_bytes(smooth(to_unit(pixels), deviation, "nearest", 4))


def motion_weights(radius: float, deviation: float) -> Reals:
    """Weights of the pixels along a motion: half a Gaussian over 2 ⌈radius⌉ + 1 pixels, sum 1."""
    weights: Reals = np.exp(-(np.arange(2 * math.ceil(radius) + 1) ** 2) / (2 * deviation**2))
    return weights / weights.sum()


def motion_blurred(images: Bytes, radius: float, deviation: float, angles: Iterable[float]) -> Bytes:
    """Motion from one side, as ImageMagick blurs: pixel j along the way has weight j of `motion_weights`.

    Pixel j lies at the whole numbers nearest to (j sin angle, j cos angle), rows and columns, halves towards minus infinity; beyond an edge
    the edge goes on. Bytes are rounded to the nearest.

    Args:
        images: (n, s, s) or (n, s, s, channels).
        radius, deviation: pixels.
        angles: degrees from the rows, an image each.
    """
    side = images.shape[1]
    weights = motion_weights(radius, deviation)
    way = np.arange(len(weights))
    margin = [(len(weights), len(weights))] * 2
    padded = np.pad(images, [(0, 0), *margin, *[(0, 0)] * (images.ndim - 3)], mode="edge")
    blurred = np.zeros(images.shape)
    for image, out, angle in zip(padded, blurred, np.deg2rad(list(angles)), strict=True):
        rows, columns = (np.ceil(way * part - 0.5).astype(int) + len(weights) for part in (np.sin(angle), np.cos(angle)))
        for weight, row, column in zip(weights, rows, columns, strict=True):
            out += weight * image[row : row + side, column : column + side]
    return np.floor(blurred + 0.5 + ROUNDING).astype(np.uint8)


def motion_blur(images: Bytes, constants: tuple[float, ...], generators: Generators) -> Bytes:
    """`motion_blurred` at an angle between -45 and 45 degrees. Constants: radius and deviation."""
    radius, deviation = constants
    return motion_blurred(images, radius, deviation, draws(generators, lambda g: g.uniform(-45, 45)))


@lru_cache
def magnify(side: int, factor: float) -> Reals:
    """The matrix (side, side) that magnifies a row of pixels about its middle, linearly.

    The middle ⌈side / factor⌉ pixels are stretched to round(that × factor), first to first and last to last; the middle `side` remain.
    """
    kept = math.ceil(side / factor)
    stretched = round(kept * factor)
    positions = np.arange(stretched) * ((kept - 1) / max(stretched - 1, 1))
    hats = np.clip(1 - np.abs(positions[:, None] - np.arange(kept)), 0, None)
    first, cut = (side - kept) // 2, (stretched - side) // 2
    matrix = np.zeros((side, side))
    matrix[:, first : first + kept] = hats[cut : cut + side]
    return matrix


@lru_cache
def _zooming(side: int, largest: float) -> sparse.csr_array:
    """The operator (s², s²) of `zoom_blur`."""
    factors = np.arange(
        1, largest + ZOOM_STEP / 2, ZOOM_STEP
    )  # its 1.25 is a little more: 26 pixels become 33, as the authors' do
    total = sparse.eye_array(side**2, format="csr")
    for factor in factors:
        matrix = sparse.csr_array(magnify(side, factor))
        total = total + sparse.kron(matrix, matrix, format="csr")
    return sparse.csr_array(total * (1 / (len(factors) + 1)))


def zoom_blur(images: Bytes, constants: tuple[float, ...], _: Generators) -> Bytes:
    """The mean of the image and its magnifications by 1, 1.01, …. Constants: the largest factor."""
    n, side, _, channels = images.shape
    pixels = to_unit(images).transpose(1, 2, 0, 3).reshape(side**2, n * channels)
    return to_bytes((_zooming(side, *constants) @ pixels).reshape(side, side, n, channels).transpose(2, 0, 1, 3))
