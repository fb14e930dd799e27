"""What holds of all fifteen: names, constants, form, what an image's result depends on, order of the severities."""

import hashlib

import numpy as np
import pytest

from flatproof.verify.realdata.corruptions import NAMES, SEVERITIES, corrupt
from flatproof.verify.realdata.corruptions.apply import CHUNK, EFFECTS
from flatproof.verify.realdata.corruptions.constants import CONSTANTS
from tests.unit.realdata.corruptions.pictures import natural, speckled

WITHOUT_CHANCE = ("defocus_blur", "zoom_blur", "brightness", "contrast", "pixelate", "jpeg_compression")
SEVEREST = {  # as the paper's users state them
    "gaussian_noise": (0.10,),
    "shot_noise": (50,),
    "impulse_noise": (0.07,),
    "defocus_blur": (1.5, 0.1),
    "glass_blur": (0.4, 1, 2),
    "motion_blur": (9, 2.5),
    "zoom_blur": (1.25,),
    "snow": (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
    "frost": (0.75, 0.45),
    "fog": (1.5, 1.75),
    "brightness": (0.3,),
    "contrast": (0.15,),
    "elastic_transform": (0.1, 0.03, 0.03),
    "pixelate": (0.65,),
    "jpeg_compression": (40,),
}


def test_names_and_severest_constants_are_the_published_ones() -> None:
    assert list(NAMES) == list(SEVEREST) == list(EFFECTS)
    assert {name: constants[-1] for name, constants in CONSTANTS.items()} == SEVEREST
    assert {len(constants) for constants in CONSTANTS.values()} == {SEVERITIES}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("side", [8, 16, 20, 32])
def test_form_is_kept_and_the_original_untouched(name: str, side: int) -> None:
    images = speckled(3, side)
    before = images.copy()
    for severity in range(1, SEVERITIES + 1):
        corrupted = corrupt(images, name, severity)
        assert corrupted.dtype == np.uint8
        assert corrupted.shape == images.shape
        assert side < 16 or not np.array_equal(corrupted, images)  # of 8 pixels a zoom of 1.06 takes all
    assert np.array_equal(images, before)
    assert corrupt(images[:0], name).shape == (0, side, side, 3)


@pytest.mark.parametrize("name", NAMES)
def test_an_image_is_corrupted_as_it_is_whatever_batch_it_comes_in(name: str) -> None:
    images = natural(CHUNK + 3, 32)
    together = corrupt(images, name, seed=3)
    assert np.array_equal(together, corrupt(images, name, seed=3))
    chosen = np.array([CHUNK + 1, 0, 7])
    assert np.array_equal(corrupt(images[chosen], name, seed=3, indices=chosen), together[chosen])
    assert np.array_equal(corrupt(images[5:6], name, seed=3, indices=[5]), together[5:6])
    strided = images.transpose(0, 3, 1, 2).copy().transpose(0, 2, 3, 1)[4:7]
    assert np.array_equal(corrupt(strided, name, seed=3, indices=range(4, 7)), together[4:7])


@pytest.mark.parametrize("name", NAMES)
def test_chance_is_the_images_own(name: str) -> None:
    """Equal images with different indices, or under different seeds, differ, but where there is no chance."""
    images = np.repeat(natural(1, 32), 3, axis=0)
    corrupted, other = corrupt(images, name), corrupt(images, name, seed=1)
    chance = name not in WITHOUT_CHANCE
    assert np.array_equal(corrupted[0], corrupted[1]) != chance
    assert np.array_equal(corrupted, other) != chance


def test_no_two_corruptions_share_random_numbers() -> None:
    """Grey images under gaussian noise and the flakes of snow would show it; here: each name seeds differently."""
    states = {tuple(np.random.default_rng([0, NAMES.index(name), 0]).integers(0, 2**62, 2)) for name in NAMES}
    assert len(states) == len(NAMES)


MILDER_FIRST = {  # severities in the order of their distance from the original, where this is not 1 to 5
    "glass_blur": [3, 2, 1, 5, 4],  # smoothing more, at the same number of rounds, hides what was moved
    "elastic_transform": [5, 4, 3, 2, 1],  # the affine map's share shrinks
    "frost": [1, 5, 2, 4, 3],  # the sum of both weights is 1.2 at severity 5, as at 1
}


@pytest.mark.parametrize("name", NAMES)
def test_a_severer_corruption_lies_further_from_the_original(name: str) -> None:
    """In mean squared distance; three names do not go so by the published constants, and motion's severities 3 and 4 agree."""
    images = natural(60, 32)
    distances = [((corrupt(images, name, severity).astype(float) - images) ** 2).mean() for severity in range(1, SEVERITIES + 1)]
    ordered = [distances[severity - 1] for severity in MILDER_FIRST.get(name, [1, 2, 3, 4, 5])]
    assert ordered == sorted(ordered), distances
    assert distances[0] > 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "rain"}, "corruption must be one of gaussian_noise, .*, got 'rain'"),
        ({"severity": 0}, "severity must be a whole number of at least 1, got 0"),
        ({"severity": 6}, "severity must be a whole number of at most 5, got 6"),
        ({"seed": -1}, "seed must be a whole number of at least 0, got -1"),
        ({"images": np.zeros((2, 32, 32, 3))}, r"images must be uint8 \(n, s, s, 3\) with s of at least 8, got float64"),
        ({"images": np.zeros((2, 3, 32, 32), np.uint8)}, r"images must be uint8 .*, got uint8 \(2, 3, 32, 32\)"),
        ({"images": np.zeros((2, 32, 30, 3), np.uint8)}, r"images must be uint8"),
        ({"images": np.zeros((2, 4, 4, 3), np.uint8)}, r"images must be uint8"),
        ({"images": np.zeros((32, 32, 3), np.uint8)}, r"images must be uint8"),
        ({"indices": [0]}, "indices must number each of the 2 images, got 1"),
        ({"indices": [0, -1]}, "index of an image must be a whole number of at least 0, got -1"),
        ({"indices": [0, 0.5]}, "index of an image must be a whole number of at least 0, got 0.5"),
    ],
)
def test_bad_arguments_are_named(change: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        corrupt(**({"images": np.zeros((2, 32, 32, 3), np.uint8), "name": "fog"} | change))


def test_results_are_pinned() -> None:
    """A change of any image must raise VERSION: what was measured on the old ones is stored under it.

    JPEG is left out: its bytes are those of the library that Pillow comes with.
    """
    images = natural(4, 32)
    digest = hashlib.sha256()
    for name in NAMES:
        if name != "jpeg_compression":
            digest.update(corrupt(images, name).tobytes())
    assert digest.hexdigest() == "368e786683dc07413b427ca6a402129e5081ac68fd22b7d3c8559d3884163f1c"
