"""RandAugment: each operation against pillow-free formulas or its fixed points, draws, layout."""

import numpy as np
import pytest
import torch
from PIL import Image

from flatproof.verify.deep.randaugment import OPERATIONS, STRENGTH, randaugmented

MEAN, STD = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.25, 0.3])


def picture(seed: int = 0, side: int = 16) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3)).astype(np.uint8)


def applied(name: str, pixels: np.ndarray, sign: int = 1) -> np.ndarray:
    return np.asarray(OPERATIONS[name](Image.fromarray(pixels), sign)).astype(int)


def test_translations_shears_and_rotations_move_pixels() -> None:
    pixels = picture()
    by = 16 * 150 / 331 * STRENGTH
    source = np.floor(np.arange(16) + 0.5 + by).astype(int)
    inside = source < 16
    expected = np.zeros((16, 16, 3), int)
    expected[:, inside] = pixels[:, source[inside]]
    assert (applied("translate x", pixels) == expected).all()
    assert (applied("translate y", pixels.transpose(1, 0, 2)) == expected.transpose(1, 0, 2)).all()
    sheared = applied("shear x", pixels)
    row = 9
    source = np.floor(np.arange(16) + 0.5 + 0.3 * STRENGTH * (row + 0.5)).astype(int)
    assert (sheared[row, source < 16] == pixels[row, source[source < 16]]).all()
    assert (applied("rotate", pixels) != applied("rotate", pixels, -1)).any()


def test_brightness_contrast_and_color_blend() -> None:
    pixels = picture().astype(float)
    gray = np.rint(pixels @ [0.299, 0.587, 0.114])
    for name, other in (
        ("brightness", 0 * pixels),
        ("color", np.repeat(gray[..., None], 3, 2)),
        ("contrast", 0 * pixels + gray.mean()),
    ):
        for sign in (1, -1):
            factor = 1 + sign * 0.9 * STRENGTH
            expected = np.clip(other + factor * (pixels - other), 0, 255)
            assert np.abs(applied(name, picture(), sign) - expected).max() <= 2, name


def test_posterizing_and_solarizing() -> None:
    pixels = picture()
    assert (applied("posterize", pixels) == pixels & 0b11111100).all()
    threshold = round(255 * (1 - STRENGTH))
    assert (applied("solarize", pixels) == np.where(pixels < threshold, pixels, 255 - pixels.astype(int))).all()


def test_automatic_contrast_and_equalization_use_the_whole_range() -> None:
    pixels = (picture(side=32) // 4 + 60).astype(np.uint8)  # pillow leaves fewer than 255 pixels as they are when it equalizes
    for name in ("autocontrast", "equalize"):
        out = applied(name, pixels)
        assert out.max() - out.min() >= 240, name
    assert (applied("identity", pixels) == pixels).all()


def test_a_batch_keeps_its_shape_layout_and_most_of_its_values() -> None:
    x = (
        (torch.from_numpy(np.stack([picture(i) for i in range(64)])).permute(0, 3, 1, 2) / 255) - MEAN.view(1, 3, 1, 1)
    ) / STD.view(1, 3, 1, 1)
    x = x.contiguous(memory_format=torch.channels_last)
    out = randaugmented(x, MEAN, STD, torch.Generator().manual_seed(0))
    assert out.stride() == x.stride()
    same = ((out - x).abs().amax((1, 2, 3)) < 1e-4).sum()
    assert 0 < int(same) < 20  # two identities, or operations that leave an image of the whole range as it is
    again = randaugmented(x, MEAN, STD, torch.Generator().manual_seed(0))
    assert torch.equal(out, again)
    with pytest.raises(ValueError, match="three colours, got 1"):
        randaugmented(x[:, :1], MEAN, STD, torch.Generator())
