"""Owns the choice of a model's parameters: by name, prefix, module or parameter, in the model's order, of one dtype and device."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

Parameters = str | nn.Module | nn.Parameter | Sequence[str | nn.Module | nn.Parameter] | None


def choose(model: nn.Module, wanted: Parameters) -> dict[str, nn.Parameter]:
    """The chosen parameters by name, in the model's order.

    Args:
        model: whose parameters they are.
        wanted: names, prefixes of names ("layer1"), modules or parameters; all that require grad if None.

    Raises:
        TypeError: something else, or parameters that are no real floating point numbers.
        ValueError: what names nothing in the model.
    """
    everything = dict(model.named_parameters())
    if not everything:
        raise ValueError(f"model must have parameters, {type(model).__name__} has none")
    if wanted is None:
        chosen = {n: p for n, p in everything.items() if p.requires_grad}
        if not chosen:
            raise ValueError("model must have parameters that require grad, all are frozen")
        return _floating(chosen)
    picked: set[str] = set()
    for item in [wanted] if isinstance(wanted, (str, nn.Module, Tensor)) else wanted:
        if isinstance(item, str):
            names = {n for n in everything if n == item or n.startswith(f"{item}.")}
        elif isinstance(item, nn.Module):
            own = {id(p) for p in item.parameters()}
            names = {n for n, p in everything.items() if id(p) in own}
        elif isinstance(item, Tensor):
            names = {n for n, p in everything.items() if p is item}
        else:
            raise TypeError(f"parameters must be names, modules or parameters of the model, got {type(item).__name__}")
        if not names:
            culprit = repr(item) if isinstance(item, str) else type(item).__name__
            raise ValueError(f"parameters: {culprit} names nothing in the model; it has {', '.join(list(everything)[:8])}")
        picked |= names
    if not picked:
        raise ValueError("parameters must name at least one parameter, got none")
    return _floating({n: p for n, p in everything.items() if n in picked})


def moving_rows(model: nn.Module, chosen: dict[str, nn.Parameter]) -> Tensor | None:
    """(P,) with 0 for the rows of embeddings at their padding_idx, else 1; None where there is no such row."""
    padded = [m for m in model.modules() if isinstance(m, (nn.Embedding, nn.EmbeddingBag)) and m.padding_idx is not None]
    rows = [(name, m.padding_idx) for m in padded for name, p in chosen.items() if p is m.weight]
    if not rows:
        return None
    masks = {name: torch.ones_like(p, requires_grad=False) for name, p in chosen.items()}
    for name, row in rows:
        masks[name][row] = 0
    return torch.cat([mask.reshape(-1) for mask in masks.values()])


def _floating(chosen: dict[str, nn.Parameter]) -> dict[str, nn.Parameter]:
    for name, p in chosen.items():
        if not p.is_floating_point():
            raise TypeError(f"parameters must be real floating point, {name} is {p.dtype}")
    return chosen


def common_form(chosen: dict[str, nn.Parameter]) -> tuple[torch.dtype, torch.device]:
    """The dtype and device that all of them have; ValueError naming two that differ."""
    (first, like), *others = chosen.items()
    for name, p in others:
        if p.dtype != like.dtype:
            raise ValueError(f"parameters must have one dtype, {first} is {like.dtype} and {name} is {p.dtype}")
        if p.device != like.device:
            raise ValueError(f"parameters must be on one device, {first} is on {like.device} and {name} on {p.device}")
    return like.dtype, like.device
