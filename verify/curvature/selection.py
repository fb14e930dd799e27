"""Owns the choice of a model's parameters: by name, prefix, module or parameter, in the model's order, of one dtype and device."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

Parameters = str | nn.Module | nn.Parameter | Sequence[str | nn.Module | nn.Parameter] | None


def choose(model: nn.Module, wanted: Parameters) -> dict[str, nn.Parameter]:
    """The chosen parameters by name, in the model's order.

    Args:
        model: whose parameters they are.
        wanted: names, prefixes of names ("layer1", "layer1."), modules or parameters; all that require grad if None.

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
            of_wrapper = item.removeprefix("module.").removeprefix("_orig_mod.")
            names = _under(item, everything) or _under(of_wrapper, everything)
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


def _under(prefix: str, names: Iterable[str]) -> set[str]:
    return {n for n in names if n == prefix or n.startswith(f"{prefix.removesuffix('.')}.")}


def embeddings(model: nn.Module) -> list[tuple[nn.Embedding | nn.EmbeddingBag, bool]]:
    """The model's embeddings, and whether their rows at padding_idx are held: not where another module has the weight too (a tied head).

    torch sets the gradient of such a row to zero. A row of the embedding alone is then a constant; one that moves by way of the head would
    have a gradient that is no function's, and padding_idx, which changes no value, is left out.
    """
    uses = Counter(id(p) for m in model.modules() for p in m._parameters.values() if p is not None)
    return [(m, uses[id(m.weight)] == 1) for m in model.modules() if isinstance(m, (nn.Embedding, nn.EmbeddingBag))]


def moving_rows(given: list[tuple[nn.Embedding | nn.EmbeddingBag, bool]], chosen: dict[str, nn.Parameter]) -> Tensor | None:
    """(P,) with 0 for the rows that `embeddings` hold, else 1; None where there is no such row."""
    padded = [m for m, held in given if held and m.padding_idx is not None]
    rows = [(name, m.padding_idx) for m in padded for name, p in chosen.items() if p is m.weight]
    if not rows:
        return None
    masks = {name: torch.ones_like(p, requires_grad=False) for name, p in chosen.items()}
    for name, row in rows:
        masks[name][row] = 0
    return torch.cat([mask.reshape(-1) for mask in masks.values()])


def _floating(chosen: dict[str, nn.Parameter]) -> dict[str, nn.Parameter]:
    for name, p in chosen.items():
        if hasattr(p, "full_tensor"):  # a DTensor, as fully_shard leaves them
            raise TypeError(
                f"parameters must be whole on every rank, {name} is sharded ({type(p).__name__}, as of fully_shard); expected the model "
                "before it is sharded, or with its state dict gathered (torch.distributed.checkpoint.state_dict)"
            )
        if not p.is_floating_point():
            raise TypeError(f"parameters must be real floating point, {name} is {p.dtype}")
    if not any(p.numel() for p in chosen.values()):
        raise ValueError(f"parameters must hold at least one number, all are empty: {', '.join(list(chosen)[:8])}")
    _apart(chosen)
    return chosen


def _apart(chosen: dict[str, nn.Parameter]) -> None:
    """ValueError naming parameters that have numbers in memory in common: moved one by one they would not be the model's."""
    by_storage: dict[int, dict[str, nn.Parameter]] = {}
    for name, p in chosen.items():
        if p.numel() and (place := _storage(p)):
            by_storage.setdefault(place, {})[name] = p
    for held in by_storage.values():
        if _overlap([*held.values()]):
            raise ValueError(
                f"parameters must have memory of their own, numbers of {' and '.join(held)} are in more than one place; expected one "
                "Parameter wherever it is used (tied weights), or copies"
            )


def _storage(p: nn.Parameter) -> int:
    """Where its storage begins; 0 for one without memory of its own, on the device "meta" or a tensor that wraps others."""
    try:
        return p.untyped_storage().data_ptr()
    except RuntimeError:
        return 0


def _overlap(held: list[nn.Parameter]) -> bool:
    """Whether parameters of one storage, or entries of one of them, share numbers."""
    if all(_dense(p) for p in held):
        ends = sorted((p.storage_offset(), p.storage_offset() + p.numel()) for p in held)
        return any(start < end for (_, end), (start, _) in pairwise(ends))
    return len(torch.unique(places := torch.cat([_places(p) for p in held]))) < len(places)


def _places(p: nn.Parameter) -> Tensor:
    """Where its entries stand in memory."""
    reach = 1 + sum((n - 1) * s for n, s in zip(p.shape, p.stride(), strict=True))
    return torch.arange(reach, device="cpu").as_strided(p.shape, p.stride()).flatten() + int(p.storage_offset())


def _dense(p: nn.Parameter) -> bool:
    """Whether its entries fill a stretch of memory, in whatever order of the axes."""
    filled = 1
    for stride, count in sorted((s, n) for n, s in zip(p.shape, p.stride(), strict=True) if n > 1):
        if stride != filled:
            return False
        filled *= count
    return True


def common_form(chosen: dict[str, nn.Parameter], arithmetic: torch.dtype | None = None) -> tuple[torch.dtype, torch.device]:
    """The dtype, or the one given in its place, and the device that all of them have; ValueError naming two that differ."""
    (first, like), *others = chosen.items()
    for name, p in others:
        if p.dtype != like.dtype and arithmetic is None:
            raise ValueError(
                f"parameters must have one dtype, {first} is {like.dtype} and {name} is {p.dtype}; or give arithmetic=torch.float32"
            )
        if p.device != like.device:
            raise ValueError(f"parameters must be on one device, {first} is on {like.device} and {name} on {p.device}")
    return arithmetic or like.dtype, like.device
