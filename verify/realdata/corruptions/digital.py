"""Owns the four of the digital kind: contrast, elastic transform, pixelate, JPEG."""

import io

import numpy as np
from PIL import Image

from flatproof.verify.realdata.corruptions.blur import smooth
from flatproof.verify.realdata.corruptions.pixels import (
    Bytes,
    Generators,
    Reals,
    bilinear,
    draws,
    mirrored,
    reflected,
    to_bytes,
    to_unit,
)


def contrast(images: Bytes, constants: tuple[float, ...], _: Generators) -> Bytes:
    """Differences from each channel's mean over the image shrunk; the published file byte for byte. Constants: the factor."""
    (factor,) = constants
    values = to_unit(images)
    mean = values.mean(axis=(1, 2), keepdims=True)
    return to_bytes((values - mean) * factor + mean, rounding=0)


def affine_maps(side: int, shift: float, generators: Generators) -> Reals:
    """A random affine map an image, (n, 3, 2): rows [x, y, 1] times it are where pixel (x, y) of the result is read.

    It is the inverse of the map that takes three corners of the middle square of half a side ⌊side / 3⌋ to where they are shifted by
    uniform numbers in [-shift, shift].
    """
    middle, half = side // 2, side // 3
    corners = np.array(
        [[middle + half, middle + half], [middle + half, middle - half], [middle - half, middle - half]], dtype=float
    )
    moved = corners + draws(generators, lambda g: g.uniform(-shift, shift, (3, 2)))
    return np.linalg.solve(np.concatenate([moved, np.ones((len(moved), 3, 1))], axis=2), np.broadcast_to(corners, moved.shape))


def elastic_transform(images: Bytes, constants: tuple[float, ...], generators: Generators) -> Bytes:
    """A random affine map (`affine_maps`), then each pixel read at a smooth random displacement.

    The displacements, rows and columns apart: uniform numbers in [-1, 1] smoothed by a Gaussian cut at three deviations, times the first
    constant. Both maps read linearly between pixels; beyond an edge the first mirrors at the middle of the last pixel, the second at its
    edge.

    Constants, shares of the side: size of the displacement, deviation of its smoothing, largest shift of the affine map's corners.
    """
    side = images.shape[1]
    size, deviation, shift = (share * side for share in constants)
    y, x = np.meshgrid(np.arange(side), np.arange(side), indexing="ij")
    maps = affine_maps(side, shift, generators)[:, None, None]
    at = x[..., None] * maps[..., 0, :] + y[..., None] * maps[..., 1, :] + maps[..., 2, :]
    turned = bilinear(to_unit(images), at[..., 1], at[..., 0], mirrored)
    moves = draws(generators, lambda g: g.uniform(-1, 1, (side, side, 2)))
    moves = size * smooth(moves, deviation, "reflect", 3)
    return to_bytes(bilinear(turned, y + moves[..., 0], x + moves[..., 1], reflected))


def pixelate(images: Bytes, constants: tuple[float, ...], _: Generators) -> Bytes:
    """Reduced by Pillow's box filter and enlarged by it again; the published file byte for byte.

    Constants: the share of the side that is left, rounded down.
    """
    (share,) = constants
    side = images.shape[1]
    small = int(side * share)

    def through(image: Image.Image) -> Image.Image:
        return image.resize((small, small), Image.Resampling.BOX).resize((side, side), Image.Resampling.BOX)

    return np.stack([np.asarray(through(Image.fromarray(image))) for image in images])


def jpeg_compression(images: Bytes, constants: tuple[float, ...], _: Generators) -> Bytes:
    """Through a JPEG file as Pillow writes it by default. Constants: its quality."""
    (quality,) = constants
    return np.stack([_through_jpeg(image, int(quality)) for image in images])


def _through_jpeg(image: Bytes, quality: int) -> Bytes:
    with io.BytesIO() as file:
        Image.fromarray(image).save(file, "JPEG", quality=quality)
        file.seek(0)
        with Image.open(file, formats=("JPEG",)) as decoded:
            return np.asarray(decoded)
