"""Owns nested values, as batches and outputs are: tensors within mappings, tuples, lists and data classes, found and replaced."""

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor


def tensors_of(value: Any) -> Iterator[Tensor]:
    """The tensors within, in order."""
    if isinstance(value, Tensor):
        yield value
    else:
        for piece in _pieces(value):
            yield from tensors_of(piece)


def mapped(function: Callable[[Tensor], Tensor], value: Any) -> Any:
    """The same value with function(t) in place of each tensor t; what holds them keeps its kind where that can be made anew.

    Args:
        function: of a tensor.
        value: anything; what holds no tensors is returned as it is.
    """
    if isinstance(value, Tensor):
        return function(value)
    if not any(True for _ in tensors_of(value)):
        return value
    if isinstance(value, Mapping):
        made = {key: mapped(function, piece) for key, piece in value.items()}
        return made if type(value) is dict else _like(value, made)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(mapped(function, piece) for piece in value))
    if isinstance(value, (tuple, list)):
        return type(value)(mapped(function, piece) for piece in value)
    return dataclasses.replace(value, **{f.name: mapped(function, getattr(value, f.name)) for f in dataclasses.fields(value)})


def filled(value: Any, tensors: Iterator[Tensor]) -> Any:
    """The same value with these tensors in place of its own, in their order."""
    return mapped(lambda _: next(tensors), value)


def cast(value: Any, dtype: torch.dtype) -> Any:
    """The same value, its floating point tensors in that precision."""
    return mapped(lambda t: t.to(dtype) if t.is_floating_point() else t, value)


def _pieces(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        yield from value.values()
    elif isinstance(value, (tuple, list)):
        yield from value
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield from (getattr(value, f.name) for f in dataclasses.fields(value) if f.init)


def _like(value: Any, entries: dict[Any, Any]) -> Any:
    """A mapping of the same kind with these entries, or a dict where it cannot be written."""
    try:
        made = copy.copy(value)
        for key, entry in entries.items():
            made[key] = entry
    except TypeError:
        return entries
    return made
