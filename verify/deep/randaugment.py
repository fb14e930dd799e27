"""Owns RandAugment (Cubuk et al. 2020) on small images: two operations of strength 14 of 30 each, drawn for each image.

The fourteen operations and their ranges are those that are usual since: shear up to 0.3, translation up to 150/331 of the side, rotation
up to 30 degrees, brightness, colour, contrast and sharpness by up to 0.9, posterizing to 8 - 4 s bits, solarizing above 255 (1 - s),
automatic contrast, equalization, and none, with s = 14/30. What comes in from outside is black.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

COUNT, STRENGTH = 2, 14 / 30
Picture = Image.Image
Operation = Callable[[Picture, float], Picture]  # of a picture and a sign


def _moved(matrix: Callable[[float, float], tuple[float, ...]]) -> Operation:
    """An affine operation by its output-to-input matrix at (signed strength, side)."""

    def apply(picture: Picture, sign: float) -> Picture:
        return picture.transform(picture.size, Image.Transform.AFFINE, matrix(sign * STRENGTH, picture.size[0]))

    return apply


def _enhanced(kind: Callable[[Picture], ImageEnhance._Enhance]) -> Operation:
    return lambda picture, sign: kind(picture).enhance(1 + sign * 0.9 * STRENGTH)


OPERATIONS: dict[str, Operation] = {
    "identity": lambda picture, _: picture,
    "shear x": _moved(lambda s, _: (1, 0.3 * s, 0, 0, 1, 0)),
    "shear y": _moved(lambda s, _: (1, 0, 0, 0.3 * s, 1, 0)),
    "translate x": _moved(lambda s, side: (1, 0, side * 150 / 331 * s, 0, 1, 0)),
    "translate y": _moved(lambda s, side: (1, 0, 0, 0, 1, side * 150 / 331 * s)),
    "rotate": lambda picture, sign: picture.rotate(30 * sign * STRENGTH),
    "brightness": _enhanced(ImageEnhance.Brightness),
    "color": _enhanced(ImageEnhance.Color),
    "contrast": _enhanced(ImageEnhance.Contrast),
    "sharpness": _enhanced(ImageEnhance.Sharpness),
    "posterize": lambda picture, _: ImageOps.posterize(picture, 8 - round(4 * STRENGTH)),
    "solarize": lambda picture, _: ImageOps.solarize(picture, round(255 * (1 - STRENGTH))),
    "autocontrast": lambda picture, _: ImageOps.autocontrast(picture),
    "equalize": lambda picture, _: ImageOps.equalize(picture),
}


def randaugmented(x: Tensor, mean: Tensor, std: Tensor, generator: torch.Generator) -> Tensor:
    """A batch after RandAugment.

    Args:
        x: normalized images (n, 3, h, w).
        mean, std: with which they were normalized, (3,), in units of [0, 1].
        generator: on the CPU.

    Returns:
        As many normalized images; their pixels went through 8 bits.

    Raises:
        ValueError: for images that have no three colours.
    """
    if x.shape[1] != 3:
        raise ValueError(f"randaugment needs images of three colours, got {x.shape[1]} channels")
    shape = (1, 3, 1, 1)
    pixels = (x.cpu() * std.reshape(shape) + mean.reshape(shape)).mul(255).round().clamp(0, 255).to(torch.uint8)
    chosen = torch.randint(len(OPERATIONS), (len(x), COUNT), generator=generator).tolist()
    signs = (2 * torch.randint(2, (len(x), COUNT), generator=generator) - 1).tolist()
    out: NDArray[np.uint8] = pixels.permute(0, 2, 3, 1).contiguous().numpy()
    operations = list(OPERATIONS.values())
    for i, (which, sides) in enumerate(zip(chosen, signs, strict=True)):
        picture = Image.fromarray(out[i])
        for operation, sign in zip(which, sides, strict=True):
            picture = operations[operation](picture, sign)
        out[i] = np.asarray(picture)
    moved = torch.from_numpy(out).permute(0, 3, 1, 2).to(x.dtype).div_(255).sub_(mean.reshape(shape)).div_(std.reshape(shape))
    return moved.to(x.device, memory_format=torch.channels_last) if not x.is_contiguous() else moved.to(x.device)
