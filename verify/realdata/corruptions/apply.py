"""Owns `corrupt`: the way from images and a corruption's name to corrupted images, the same for an image in whatever batch it comes."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from flatproof.verify.realdata.corruptions import blur, digital, noise, weather
from flatproof.verify.realdata.corruptions.constants import CONSTANTS, NAMES, SEVERITIES
from flatproof.verify.realdata.corruptions.pixels import Bytes, Effect
from flatproof.verify.utils.checks import check_one_of, check_whole

EFFECTS: Mapping[str, Effect] = {
    effect.__name__: effect
    for effect in (
        noise.gaussian_noise,
        noise.shot_noise,
        noise.impulse_noise,
        blur.defocus_blur,
        blur.glass_blur,
        blur.motion_blur,
        blur.zoom_blur,
        weather.snow,
        weather.frost,
        weather.fog,
        weather.brightness,
        digital.contrast,
        digital.elastic_transform,
        digital.pixelate,
        digital.jpeg_compression,
    )
}
LEAST_SIDE = 8  # pixels; below it the elastic transform's corners can fall together
CHUNK = 250  # images at once: their values stay in the processor's cache


def corrupt(
    images: Bytes, name: str, severity: int = 5, seed: int = 0, indices: Sequence[int] | NDArray[np.integer] | None = None
) -> Bytes:
    """Corrupted images. What becomes of one depends on its pixels, the name, the severity, the seed and its index, on no other image.

    The random numbers of an image are the same at every severity.

    Args:
        images: uint8 (n, s, s, 3), s at least 8; colours red, green, blue.
        name: one of `NAMES`.
        severity: from 1 to 5.
        seed: of all random numbers.
        indices: the number of each image, for its random numbers; 0, 1, … for None.

    Returns:
        uint8, of the shape of `images`.

    Raises:
        ValueError: naming the argument.
    """
    check_one_of("corruption", name, NAMES)
    constants = CONSTANTS[name][check_whole("severity", severity, 1, SEVERITIES) - 1]
    check_whole("seed", seed, 0)
    shape = images.shape
    if images.dtype != np.uint8 or images.ndim != 4 or shape[1] != shape[2] or shape[1] < LEAST_SIDE or shape[3] != 3:
        raise ValueError(f"images must be uint8 (n, s, s, 3) with s of at least {LEAST_SIDE}, got {images.dtype} {shape}")
    numbers = [check_whole("index of an image", i, 0) for i in (range(len(images)) if indices is None else indices)]
    if len(numbers) != len(images):
        raise ValueError(f"indices must number each of the {len(images)} images, got {len(numbers)}")
    corrupted = np.empty_like(images)
    for start in range(0, len(images), CHUNK):
        part = slice(start, start + CHUNK)
        generators = [np.random.default_rng([seed, NAMES.index(name), i]) for i in numbers[part]]
        corrupted[part] = EFFECTS[name](images[part], constants, generators)
    return corrupted
