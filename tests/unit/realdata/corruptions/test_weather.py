"""The four weathers against colorsys, loops over pixels and scipy's zoom; of frost, the moments that it states."""

import colorsys
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from flatproof.verify.realdata.corruptions import SEVERITIES, corrupt
from flatproof.verify.realdata.corruptions.constants import CONSTANTS
from flatproof.verify.realdata.corruptions.weather import FROST, fog_map, frost_texture
from tests.unit.realdata.corruptions.pictures import agree, flat, generators, natural, speckled, whole
from tests.unit.realdata.corruptions.test_blur import moved, zoomed

EVERY = range(1, SEVERITIES + 1)


@pytest.mark.parametrize("severity", EVERY)
def test_brightness_is_added_to_the_value(severity: int) -> None:
    images = np.concatenate([speckled(2, 8), flat(1, 8, 0), flat(1, 8, 255), flat(1, 8, 90)])
    (added,) = CONSTANTS["brightness"][severity - 1]
    expected = np.empty(images.shape)
    for place in np.ndindex(images.shape[:3]):
        hue, saturation, value = colorsys.rgb_to_hsv(*(images[place] / 255).tolist())
        expected[place] = colorsys.hsv_to_rgb(hue, saturation, min(value + added, 1))
    assert agree(corrupt(images, "brightness", severity), 255 * expected)


@pytest.mark.parametrize("severity", EVERY)
def test_snow_is_flakes_over_a_whitened_image(severity: int) -> None:
    mean, deviation, zoom, threshold, radius, length, weight = CONSTANTS["snow"][severity - 1]
    images = speckled(2, 16)
    for image, result, g in zip(images, corrupt(images, "snow", severity), generators("snow", 2), strict=True):
        layer = zoomed(g.normal(mean, deviation, (16, 16))[..., None], zoom)
        layer[layer < threshold] = 0
        layer = moved(whole(255 * layer), radius, length, g.uniform(-135, -45))[..., 0].astype(float)
        expected = np.empty(image.shape)
        for y, x in np.ndindex(16, 16):
            red, green, blue = image[y, x].tolist()
            grey = 0.299 * red + 0.587 * green + 0.114 * blue
            for channel, value in enumerate((red, green, blue)):
                white = max(value, 1.5 * grey + 127.5)
                expected[y, x, channel] = weight * value + (1 - weight) * white + layer[y, x] + layer[15 - y, 15 - x]
        assert np.array_equal(result, whole(expected))


def displaced(side: int, decay: float, generator: np.random.Generator) -> NDArray[np.float64]:
    """Midpoint displacement, point by point on a torus."""
    heights, distance, rough = {(0, 0): 0.0}, side, 100.0
    while distance > 1:
        half, count = distance // 2, side // distance
        bumps = generator.uniform(-1, 1, (3, count, count))
        corners = [(i, j) for i in range(count) for j in range(count)]

        def mean(*points: tuple[int, int]) -> float:
            return sum(heights[y % side, x % side] for y, x in points) / len(points)

        for i, j in corners:
            y, x = i * distance, j * distance
            around = (y, x), (y, x + distance), (y + distance, x), (y + distance, x + distance)
            heights[y + half, x + half] = mean(*around) + rough**2 * bumps[0, i, j]
        for i, j in corners:
            y, x = i * distance, j * distance
            flat_edge = (y, x), (y, x + distance), (y + half, x + half), (y - half, x + half)
            heights[y, x + half] = mean(*flat_edge) + rough**2 * bumps[1, i, j]
            steep_edge = (y, x), (y + distance, x), (y + half, x + half), (y + half, x - half)
            heights[y + half, x] = mean(*steep_edge) + rough**2 * bumps[2, i, j]
        distance, rough = half, rough / decay
    field = np.array([[heights[y, x] for x in range(side)] for y in range(side)])
    return (field - field.min()) / (field.max() - field.min())


@pytest.mark.parametrize("severity", EVERY)
@pytest.mark.parametrize("side", [8, 12, 32])
def test_fog_is_added_and_scaled_back(severity: int, side: int) -> None:
    thickness, decay = CONSTANTS["fog"][severity - 1]
    images = speckled(2, side)
    for image, result, generator in zip(images, corrupt(images, "fog", severity), generators("fog", 2), strict=True):
        fog = displaced(1 << (side - 1).bit_length(), decay, generator)[:side, :side, None]
        brightest = image.max() / 255
        assert np.array_equal(result, whole(255 * (image / 255 + thickness * fog) * brightest / (brightest + thickness)))


def test_fog_fills_its_range_and_is_rougher_where_it_decays_less() -> None:
    rough, smooth = (fog_map(32, decay, generators("fog", 50)) for decay in (1.75, 3))
    for field in (rough, smooth):
        assert np.array_equal(field.min(axis=(1, 2)), np.zeros(50))
        assert np.array_equal(field.max(axis=(1, 2)), np.ones(50))
    steps = [np.abs(np.diff(field, axis=1)).mean() for field in (rough, smooth)]
    assert steps[0] > 1.3 * steps[1]


def test_fog_leaves_a_black_image_black() -> None:
    assert not corrupt(flat(3, 16, 0), "fog").any()


@pytest.mark.parametrize("severity", EVERY)
def test_frost_is_a_weighted_sum(severity: int) -> None:
    image, texture = CONSTANTS["frost"][severity - 1]
    images = natural(3, 32)
    frosts = np.stack([frost_texture(32, generator) for generator in generators("frost", 3)])
    assert np.array_equal(corrupt(images, "frost", severity), whole(image * images + texture * 255 * frosts))


def test_frost_has_the_colours_contrast_and_spectrum_that_it_states() -> None:
    """Kinds are told apart by the first number that a generator draws."""
    kinds = [int(np.random.default_rng(i).integers(len(FROST))) for i in range(1000)]
    assert np.abs(np.bincount(kinds) / 1000 - 0.2).max() < 5 * math.sqrt(0.16 / 1000)
    textures = np.stack([frost_texture(32, np.random.default_rng(i)) for i in range(1000)])
    assert 0 <= textures.min() < textures.max() <= 1
    for number, kind in enumerate(FROST):
        of_kind = textures[np.array(kinds) == number]
        means = of_kind.mean(axis=(1, 2))
        assert np.abs(means.mean(axis=0) - kind.colour).max() < 5 * kind.between / math.sqrt(len(of_kind)) + 0.01
        assert np.abs(means.std(axis=0) / kind.between - 1).max() < 4 / math.sqrt(2 * len(of_kind))
        assert np.abs(of_kind.std(axis=(1, 2)).mean(axis=0) / kind.within - 1).max() < 0.1  # what is cut to [0, 1] varies less
        grey = of_kind.mean(axis=-1)
        power = (np.abs(np.fft.fft2(grey - grey.mean(axis=(1, 2), keepdims=True))) ** 2).mean(axis=0)
        frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(32), np.fft.fftfreq(32)))
        inner = (frequency > 0) & (frequency < 0.5)
        slope = np.polyfit(np.log(frequency[inner]), np.log(power[inner]), 1)[0]
        assert abs(slope + kind.exponent) < 0.12
