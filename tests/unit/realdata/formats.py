"""Owns files in the true formats, written as their documents say, by other means than the code that reads them."""

import io
import pickle
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flatproof.verify.realdata import timit
from flatproof.verify.realdata.samples import Content


def pixels(seed: int, *shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def labels(seed: int, n: int, classes: int) -> NDArray[np.int64]:
    return np.random.default_rng(seed).integers(0, classes, n)


def idx_images(x: NDArray[np.uint8]) -> bytes:
    return struct.pack(">IIII", 0x803, len(x), *x.shape[2:]) + x.tobytes()


def idx_labels(y: NDArray[np.int64]) -> bytes:
    return struct.pack(">II", 0x801, len(y)) + bytes(y.tolist())


def binary(x: NDArray[np.uint8], *ys: NDArray[np.int64]) -> bytes:
    return b"".join(bytes(int(y[i]) for y in ys) + x[i].tobytes() for i in range(len(x)))


def pickled(
    x: NDArray[np.uint8], names: Sequence[str], ys: Sequence[NDArray[np.int64]], batch_label: str, protocol: int = 2
) -> bytes:
    batch = {"batch_label": batch_label, "data": x.reshape(len(x), -1)} | {k: y.tolist() for k, y in zip(names, ys, strict=True)}
    return pickle.dumps(batch | {"filenames": [f"{i}.png" for i in range(len(x))]}, protocol)


def short(text: bytes) -> bytes:
    return b"U" + bytes([len(text)]) + text


def as_python_2_wrote_it(x: NDArray[np.uint8], y: NDArray[np.int64]) -> bytes:
    """The opcodes of the official files: str in bytes, NumPy's old module names, the array's bytes in a BINSTRING."""
    raw = x.tobytes()
    array = b"cnumpy.core.multiarray\n_reconstruct\nq\x05cnumpy\nndarray\nq\x06K\x00\x85" + short(b"b") + b"\x87Rq\x07"
    dtype = b"cnumpy\ndtype\nq\x08" + short(b"u1") + b"K\x00K\x01\x87Rq\x09(K\x03" + short(b"|") + b"NNNJ\xff\xff\xff\xff"
    dtype += b"J\xff\xff\xff\xffK\x00tb"
    shape = b"K" + bytes([len(x)]) + b"M" + struct.pack("<H", x[0].size) + b"\x86"
    state = b"(K\x01" + shape + dtype + b"\x89T" + struct.pack("<i", len(raw)) + raw + b"tb"
    numbers = b"]q\x04(" + b"".join(b"K" + bytes([int(v)]) for v in y) + b"e"
    items = short(b"batch_label") + short(b"training batch 1 of 5") + short(b"labels") + numbers
    return b"\x80\x02}q\x01(" + items + short(b"data") + array + state + b"u."


def jpeg(seed: int, mode: str = "RGB", kind: str = "JPEG", size: tuple[int, int] = (40, 30)) -> bytes:
    channels = {"L": (), "RGB": (3,), "CMYK": (4,)}[mode]
    small = Image.fromarray(pixels(seed, 3, 4, *channels), mode=mode).resize(size)
    out = io.BytesIO()
    small.save(out, kind)
    return out.getvalue()


def npy(array: NDArray[np.generic], descr: str = "|u1", fortran: bool = False, shape: str = "") -> bytes:
    """NumPy's format 1.0: magic, version, the header's length, a literal dictionary padded with spaces to 64 bytes, the array's bytes."""
    header = f"{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape or array.shape}, }}"
    header += " " * (-(10 + len(header) + 1) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + array.tobytes()


# fmt: off
CORRUPTIONS = (
    "gaussian_noise", "shot_noise", "impulse_noise", "defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "snow", "frost", "fog",
    "brightness", "contrast", "elastic_transform", "pixelate", "jpeg_compression",
)
# fmt: on


def cifar10_c(samples: int) -> dict[str, NDArray[np.uint8]]:
    """Arrays of the official shapes but for their length: each corruption at five severities, and the labels five times."""
    arrays = {name: pixels(i, 5 * samples, 32, 32, 3) for i, name in enumerate(CORRUPTIONS)}
    return arrays | {"labels": np.tile(labels(99, samples, 10), 5).astype(np.uint8)}


def timit_arrays() -> dict[str, NDArray[np.generic]]:
    rng = np.random.default_rng(0)
    train = rng.standard_normal((9, 5)).astype(np.float32)
    train[:, 4] = 3
    test = rng.standard_normal((4, 5)).astype(np.float32)
    return {"train_x": train, "train_y": labels(1, 9, 3), "test_x": test, "test_y": labels(2, 4, 3)}


def write_timit(root: Path, **changed: NDArray[np.generic]) -> Path:
    path = root / timit.PATH
    path.parent.mkdir(exist_ok=True)
    np.savez_compressed(path, **{k: v for k, v in (timit_arrays() | changed).items() if v is not None})
    return path


def content(data: bytes) -> Content:
    return Content("somewhere", data)
