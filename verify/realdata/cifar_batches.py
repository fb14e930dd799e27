"""Owns the formats of CIFAR-10 and CIFAR-100: the binary one, and Python's, which is read without running anything.

Binary: a sample is its label (CIFAR-100: coarse, then fine) and 3072 bytes, the red, green and blue planes row by row.
Python: a pickled dictionary with `data` (n, 3072) in the same order and `labels` (CIFAR-100: `coarse_labels`, `fine_labels`).
A pickle may name any function to be called. Here it may name only the three that NumPy's arrays need, and in their place gets
stand-ins that keep what they are given; the array is built afterwards, from bytes, once type and size are known to be right.
"""

import io
import pickle
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flatproof.verify.realdata.samples import Content, Damaged, Part, Split


def serialize(x: NDArray[np.uint8], *labels: NDArray[np.integer]) -> bytes:
    """Images (n, 3, 32, 32) and their labels as a binary file."""
    columns = [np.asarray(y, dtype=np.uint8)[:, None] for y in labels]
    return np.concatenate([*columns, x.reshape(len(x), -1)], axis=1).tobytes()


def read_binary(contents: Sequence[Content], shape: tuple[int, ...], labels: int) -> Part:
    """One binary file.

    Args:
        contents: the file.
        shape: (c, h, w) of a sample.
        labels: label bytes a sample; the last is the label, the first of two the coarse one.

    Raises:
        Damaged: for a file that does not hold whole samples.
    """
    ((path, data),) = contents
    record = labels + prod(shape)
    if not data or len(data) % record:
        raise Damaged(
            f"{path} holds {len(data)} bytes, expected a multiple of {record}, a sample each: it was cut short or added to"
        )
    rows = np.frombuffer(data, np.uint8).reshape(-1, record)
    coarse = rows[:, 0].astype(np.int64) if labels == 2 else None
    return Part(rows[:, labels:].reshape(-1, *shape), rows[:, labels - 1].astype(np.int64), coarse)


def read_python(contents: Sequence[Content], shape: tuple[int, ...], labels: int, split: Split) -> Part:
    """One pickled file.

    Args:
        contents: the file.
        shape: (c, h, w) of a sample.
        labels: 1, or 2 where there are coarse ones.
        split: that of which the file must be a batch, where it says so.

    Raises:
        Damaged: for a file of another content; nothing in it is run.
    """
    ((path, data),) = contents
    try:
        batch = _Unpickler(io.BytesIO(data), encoding="latin1").load()
        entries = {_text(key): value for key, value in batch.items()}
        x = entries["data"].build()
        kept = [_labels(entries[key]) for key in (("coarse_labels", "fine_labels") if labels == 2 else ("labels",))]
        own_label = _text(entries.get("batch_label", ""))
    except Exception as error:  # an altered pickle fails anywhere
        raise Damaged(f"{path} is not a CIFAR batch in Python's format: {type(error).__name__}: {error}") from None
    if x.ndim != 2 or x.shape[1] != prod(shape):
        raise Damaged(f"{path} holds data of shape {x.shape}, expected (n, {prod(shape)})")
    if any(len(y) != len(x) for y in kept):
        raise Damaged(f"{path} holds {len(x)} images but {', '.join(str(len(y)) for y in kept)} labels")
    if own_label and not own_label.startswith(f"{split}ing"):
        raise Damaged(f"{path} says that it is {own_label!r}, expected a {split}ing batch")
    return Part(x.reshape(-1, *shape), kept[-1], kept[0] if labels == 2 else None)


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("latin1")
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {type(value).__name__}")
    return value


def _labels(values: object) -> NDArray[np.int64]:
    if not isinstance(values, list) or not all(type(v) is int and abs(v) < 2**31 for v in values):
        raise TypeError("labels must be a list of whole numbers")
    return np.array(values, dtype=np.int64)


class _Type:
    """Stands in for numpy.dtype; only its code matters."""

    def __init__(self, code: object, *_: object) -> None:
        self.code = code

    def __setstate__(self, state: object) -> None:
        """What else a pickle says of the type (byte order, fields) has no meaning for single bytes."""


class _Array:
    """Stands in for numpy.ndarray: keeps the state of a pickled array."""

    state: Any = None

    def __setstate__(self, state: object) -> None:
        self.state = state

    def build(self) -> NDArray[np.uint8]:
        """The array. Raises TypeError or ValueError unless it is of unsigned bytes, of as many as its shape says."""
        _, shape, kind, columns_first, raw = self.state
        if not isinstance(kind, _Type) or _text(kind.code) != "u1":
            raise TypeError("data must be an array of unsigned bytes")
        if not isinstance(raw, str | bytes):
            raise TypeError("an array's values must be text or bytes")
        data = raw.encode("latin1") if isinstance(raw, str) else raw
        return np.frombuffer(data, np.uint8).reshape(shape, order="F" if columns_first else "C")


def _reconstruct(*_: object) -> _Array:
    return _Array()


def _encode(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes in protocol 2."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"expected bytes as latin1, got {encoding!r}")
    return text.encode("latin1")


class _Unpickler(pickle._Unpickler):  # the one in Python: the one in C allocates whatever a damaged file asks for
    ALLOWED = {  # noqa: RUF012
        ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): _Type,
        ("_codecs", "encode"): _encode,
    }

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in. Raises UnpicklingError for anything that NumPy's arrays do not need."""
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} has no place in a data set")
        return self.ALLOWED[module, name]
