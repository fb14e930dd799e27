"""Owns the IDX format of MNIST and Fashion-MNIST.

Big-endian: two zero bytes, 0x08 (unsigned bytes), the number of dimensions, each dimension as 32 bits, then the values row by row.
"""

import struct
from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from flatproof.verify.realdata.samples import Content, Damaged, Part

UNSIGNED_BYTE = 0x08


def parse(content: Content, dimensions: int) -> NDArray[np.uint8]:
    """The array of an IDX file. Raises Damaged unless it has that many dimensions, of unsigned bytes, and exactly as many as they say."""
    path, data = content
    start = 4 + 4 * dimensions
    magic = bytes([0, 0, UNSIGNED_BYTE, dimensions])
    if data[:4] != magic:
        raise Damaged(f"{path} starts with {data[:4].hex() or 'nothing'}, expected {magic.hex()}: not an IDX file of this kind")
    if len(data) < start:
        raise Damaged(f"{path} holds {len(data)} bytes, expected a header of {start}: it was cut short")
    shape = struct.unpack(f">{dimensions}I", data[4:start])
    if len(data) != start + prod(shape):
        raise Damaged(f"{path} holds {len(data)} bytes, expected {start + prod(shape)} by its header, which says {shape}")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def serialize(values: NDArray[np.uint8]) -> bytes:
    """An array of unsigned bytes as an IDX file."""
    header = bytes([0, 0, UNSIGNED_BYTE, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    return header + np.ascontiguousarray(values, dtype=np.uint8).tobytes()


def read(contents: Sequence[Content], shape: tuple[int, ...]) -> Part:
    """Images and labels from the two files of a split.

    Args:
        contents: the file of images, the file of labels.
        shape: (1, h, w) of an image.

    Raises:
        Damaged: for a file of another form, another shape, or another number of samples.
    """
    images, labels = contents
    x, y = parse(images, 3), parse(labels, 1)
    if x.shape[1:] != shape[1:]:
        raise Damaged(f"{images.path} holds images of {x.shape[1:]} pixels, expected {shape[1:]}")
    if len(x) != len(y):
        raise Damaged(f"{images.path} holds {len(x)} images but {labels.path} {len(y)} labels")
    return Part(x[:, None], y.astype(np.int64))
