"""Owns what a tangent rule is given: one executed operation, and the error where it has no rule."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten
Push = Callable[..., Any]


class Unsupported(Exception):
    """The operation or the way it is used has no tangent rule; another kernel must do it."""


@dataclass(frozen=True)
class Call:
    """One executed operation.

    Attributes:
        op: the overload.
        args: as it was called.
        kwargs: as it was called.
        out: what it returned, as a tuple.
        active: where the inputs that depend on the parameters stand: an index into args, or a pair (index, place in that list).
        shared: what a forward operation leaves for its own backward one: its input and the array that both keep.
        unknown: filled by the rule: what finds the places of outputs that may move and whose tangents it does not give.
    """

    op: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    out: tuple[Any, ...]
    active: tuple[int | tuple[int, int], ...]
    shared: dict[Any, tuple[Tensor, Tensor]] = field(default_factory=dict)
    unknown: list[Callable[[], set[int]]] = field(default_factory=list)

    def at(self, index: int) -> int | None:
        """Which tangent belongs to args[index]; None if that input is constant."""
        return self.active.index(index) if index in self.active else None
