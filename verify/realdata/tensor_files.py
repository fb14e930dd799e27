"""Owns files of named arrays: the safetensors format read and written, and the initial values in an ONNX file read.

safetensors: a little-endian length of 8 bytes, so many bytes of JSON (name, dtype, shape, offsets), then the arrays one after the other.
ONNX: protocol buffers, of which only the graph (field 7 of the model) and its nodes and initializers are read.
"""

import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flatproof.verify.realdata.samples import Content, Damaged

Arrays = dict[str, NDArray[Any]]
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "u1"}
ONNX_FLOAT = 1  # the number of float32 among ONNX's types


def read_safetensors(content: Content) -> Arrays:
    """The arrays of a safetensors file by name, in the order of the file.

    Args:
        content: path and bytes.

    Raises:
        Damaged: for one that is cut short, that is no such file, or holds another type of number.
    """
    path, data = content
    try:
        (length,) = struct.unpack_from("<Q", data)
        header = json.loads(data[8 : 8 + length])
        arrays = {}
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            start, end = (8 + length + offset for offset in entry["data_offsets"])
            if not 8 + length <= start <= end <= len(data):
                raise ValueError(f"{name} ends at byte {end} of {len(data)}")
            arrays[name] = np.frombuffer(data[start:end], DTYPES[entry["dtype"]]).reshape(entry["shape"])
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(f"{path} is not a complete safetensors file: {error}") from None
    return arrays


def write_safetensors(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The file of float32 arrays, the same bytes for the same arrays."""
    header, parts, end = {}, [], 0
    for name in sorted(arrays):
        data = np.ascontiguousarray(arrays[name], dtype="<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(arrays[name].shape), "data_offsets": [end, end + len(data)]}
        end += len(data)
        parts.append(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    return b"".join([struct.pack("<Q", len(text)), text, *parts])


def read_onnx(content: Content) -> tuple[Arrays, list[tuple[str, ...]]]:
    """What an ONNX model starts with, and its matrix products.

    Args:
        content: path and bytes.

    Returns:
        The float32 initializers by name; of each MatMul node, in order, its name and its inputs' names.

    Raises:
        Damaged: for one that is cut short or is no such file.
    """
    path, data = content
    arrays: Arrays = {}
    products = []
    try:
        graph = next((span for number, span in _fields(data, 0, len(data)) if number == 7), None)
        if not isinstance(graph, tuple):
            raise ValueError("it holds no graph")
        for number, span in _fields(data, *graph):
            if number == 5 and isinstance(span, tuple):
                name, values = _initializer(data, span)
                if values is not None:
                    arrays[name] = values
            elif number == 1 and isinstance(span, tuple):
                inputs, name, kind = [], "", ""
                for part, place in _fields(data, *span):
                    if isinstance(place, tuple) and part in (1, 3, 4):
                        text = data[slice(*place)].decode()
                        inputs += [text] if part == 1 else []
                        name, kind = (text if part == 3 else name), (text if part == 4 else kind)
                if kind == "MatMul":
                    products.append((name, *inputs))
    except (ValueError, IndexError, UnicodeDecodeError, struct.error) as error:
        raise Damaged(f"{path} is not a complete ONNX file: {error}") from None
    return arrays, products


def _initializer(data: bytes, span: tuple[int, int]) -> tuple[str, NDArray[Any] | None]:
    """Name and values of a tensor; None for one that is not of float32."""
    shape: list[int] = []
    kind, name, raw = 0, "", b""
    for number, value in _fields(data, *span):
        if number == 1:
            shape += [value] if isinstance(value, int) else _varints(data, *value)
        elif number == 2 and isinstance(value, int):
            kind = value
        elif number == 8 and isinstance(value, tuple):
            name = data[slice(*value)].decode()
        elif number == 9 and isinstance(value, tuple):
            raw = data[slice(*value)]
    return name, np.frombuffer(raw, "<f4").reshape(shape) if kind == ONNX_FLOAT else None


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def _varints(data: bytes, at: int, end: int) -> list[int]:
    values = []
    while at < end:
        value, at = _varint(data, at)
        values.append(value)
    return values


def _fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, int | tuple[int, int]]]:
    """The fields of a message: number, and the value, or where it begins and ends. Raises ValueError where it is cut short."""
    while at < end:
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire not in (1, 2, 5):
            raise ValueError(f"a field of the unknown kind {wire} at byte {at}")
        length, at = _varint(data, at) if wire == 2 else (8 if wire == 1 else 4, at)
        if at + length > end:
            raise ValueError(f"a field ends at byte {at + length} of {end}")
        yield number, (at, at + length)
        at += length
