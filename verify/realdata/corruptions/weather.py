"""Owns the four weathers: snow, frost, fog, brightness."""

from typing import NamedTuple

import numpy as np

from flatproof.verify.realdata.corruptions.blur import magnify, motion_blurred
from flatproof.verify.realdata.corruptions.pixels import Bytes, Generators, Reals, draws, to_bytes, to_unit

LUMA = (0.299, 0.587, 0.114)  # weights of red, green and blue in the grey of a colour
SECTORS = np.array([(3, 2, 0), (1, 3, 0), (0, 3, 2), (0, 1, 3), (2, 0, 3), (3, 0, 1)])  # of hue: what red, green and blue are
ROUGHEST = 100.0  # of fog: the first deviation of its map is the square of it


def snow(images: Bytes, constants: tuple[float, ...], generators: Generators) -> Bytes:
    """Flakes in two opposite motions over a whitened image.

    The flakes: independent normal numbers, magnified, 0 below a threshold, blurred by a motion of -135 to -45 degrees; they are added as
    they are and turned by 180 degrees. The image is whitened by weighing it with the larger of itself and 1.5 grey + 0.5.

    Constants: mean, deviation, zoom, threshold, radius and deviation of the motion, weight of the image.
    """
    mean, deviation, zoom, threshold, radius, length, weight = constants
    side = images.shape[1]
    matrix = magnify(side, zoom)
    flakes = matrix @ draws(generators, lambda g: g.normal(mean, deviation, (side, side))) @ matrix.T
    flakes[flakes < threshold] = 0
    moved = to_unit(motion_blurred(to_bytes(flakes), radius, length, draws(generators, lambda g: g.uniform(-135, -45))))
    values = to_unit(images)
    grey = LUMA[0] * values[..., :1] + LUMA[1] * values[..., 1:2] + LUMA[2] * values[..., 2:]
    whitened = weight * values + (1 - weight) * np.maximum(values, 1.5 * grey + 0.5)
    return to_bytes(whitened + (moved + moved[:, ::-1, ::-1])[..., None])


class Kind(NamedTuple):
    """A kind of frost: colour (red, green, blue), and how it varies.

    Attributes:
        colour: mean of the channels.
        between: deviation of a window's mean from it.
        within: deviation of the pixels in a window, the same pattern in each channel.
        exponent: e, if the power of the pattern at a frequency f goes as f^-e.
    """

    colour: tuple[float, float, float]
    between: float
    within: tuple[float, float, float]
    exponent: float


FROST = (  # measured in windows of 32 × 32 pixels of the five photographs that the authors draw from; two of these are the same
    Kind((0.301, 0.581, 0.646), 0.042, (0.083, 0.051, 0.049), 1.17),
    Kind((0.779, 0.796, 0.833), 0.034, (0.070, 0.071, 0.073), 0.82),
    Kind((0.779, 0.796, 0.833), 0.034, (0.070, 0.071, 0.073), 0.82),
    Kind((0.563, 0.621, 0.671), 0.041, (0.102, 0.102, 0.106), 0.42),
    Kind((0.404, 0.448, 0.495), 0.064, (0.136, 0.135, 0.132), 1.09),
)


def frost_texture(side: int, generator: np.random.Generator) -> Reals:
    """Synthetic frost (side, side, 3) in [0, 1], in place of a window of one of the authors' photographs, which are not ours to hand on.

    One of the five kinds of `FROST` is drawn. Its colour, shifted by a normal number, is the mean; the pattern is a Gaussian field
    whose spectrum is a power law, standardized over the window and scaled channel by channel. So means, deviations and the spectrum
    are the photographs', shapes of crystals are not there.
    """
    kind = FROST[generator.integers(len(FROST))]
    shift = kind.between * generator.standard_normal()
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side))
    frequency[0, 0] = 1
    pattern = np.fft.irfft2(
        np.fft.rfft2(generator.standard_normal((side, side))) * frequency ** (-kind.exponent / 2), (side, side)
    )
    pattern = (pattern - pattern.mean()) / pattern.std()
    return np.clip(np.array(kind.colour) + shift + pattern[..., None] * kind.within, 0, 1)


def frost(images: Bytes, constants: tuple[float, ...], generators: Generators) -> Bytes:
    """A weighted sum of the image and `frost_texture`: synthetic texture in place of the authors' photographs. Constants: the weights."""
    image, texture = constants
    return to_bytes(image * to_unit(images) + texture * draws(generators, lambda g: frost_texture(images.shape[1], g)))


def fog_map(side: int, decay: float, generators: Generators) -> Reals:
    """Fog's thickness (n, side, side): random midpoint displacement on a torus, scaled to [0, 1].

    It starts from one corner at 0. At each distance (a power of 2, halved each time) the middles of all squares become the mean of their
    four corners, then the middles of all edges the mean of their ends and of the two squares' middles beside them, each plus a uniform
    number in [-w², w²]; w is 100 at first and is divided by `decay` each time. Of a side that is no power of 2 it is the corner of a
    larger map.
    """
    whole = 1 << (side - 1).bit_length()
    field = np.zeros((len(generators), whole, whole))
    distance, roughness = whole, ROUGHEST
    while distance >= 2:
        half, count = distance // 2, whole // distance
        bumps = roughness**2 * draws(generators, lambda g: g.uniform(-1, 1, (3, count, count)))  # noqa: B023
        corners = field[:, ::distance, ::distance]
        across, down = np.roll(corners, -1, 2), np.roll(corners, -1, 1)
        middles = (corners + across + down + np.roll(across, -1, 1)) / 4 + bumps[:, 0]
        field[:, half::distance, half::distance] = middles
        field[:, ::distance, half::distance] = (corners + across + middles + np.roll(middles, 1, 1)) / 4 + bumps[:, 1]
        field[:, half::distance, ::distance] = (corners + down + middles + np.roll(middles, 1, 2)) / 4 + bumps[:, 2]
        distance, roughness = half, roughness / decay
    low, high = (extreme(field, axis=(1, 2), keepdims=True) for extreme in (np.min, np.max))
    return ((field - low) / (high - low))[:, :side, :side]


def fog(images: Bytes, constants: tuple[float, ...], generators: Generators) -> Bytes:
    """`fog_map` added, and the sum scaled so that its largest possible value is the image's largest. Constants: thickness and decay."""
    thickness, decay = constants
    values = to_unit(images)
    brightest = values.max(axis=(1, 2, 3), keepdims=True)
    foggy = values + thickness * fog_map(images.shape[1], decay, generators)[..., None]
    return to_bytes(foggy * brightest / (brightest + thickness))


def brightness(images: Bytes, constants: tuple[float, ...], _: Generators) -> Bytes:
    """HSV's value raised, hue and saturation kept; the published file byte for byte. Constants: what is added."""
    (added,) = constants
    channels = to_unit(images)
    hue, saturation, value = to_hsv(channels)
    return to_bytes(from_hsv(hue, saturation, np.minimum(value + added, 1)), rounding=0)


def to_hsv(channels: Reals) -> tuple[Reals, Reals, Reals]:
    """Hue and saturation, in [0, 1], and value of red, green and blue (..., 3). Grey has hue 0."""
    red, green, blue = np.moveaxis(channels, -1, 0)
    value = channels.max(axis=-1)
    spread = value - channels.min(axis=-1)
    divisor = np.where(spread > 0, spread, 1)
    largest = [blue == value, green == value, red == value]  # of equal ones the first named: their formulas round differently
    sixths = np.select(largest, [4 + (red - green) / divisor, 2 + (blue - red) / divisor, (green - blue) / divisor])
    hue = np.where(spread > 0, (sixths / 6) % 1, 0)
    return hue, spread / np.where(value > 0, value, 1), value


def from_hsv(hue: Reals, saturation: Reals, value: Reals) -> Reals:
    """Red, green and blue (..., 3), the inverse of `to_hsv`."""
    sector = np.floor(hue * 6)
    within = hue * 6 - sector
    low, falling, rising = (value * (1 - saturation * part) for part in (1, within, 1 - within))
    return np.take_along_axis(np.stack([low, falling, rising, value], axis=-1), SECTORS[sector.astype(int) % 6], axis=-1)
