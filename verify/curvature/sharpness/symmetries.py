"""Owns which parameters a model uses through a product G H' alone: heads of attention, and pairs that its owner names.

Such a block is unchanged by G -> G A^-1, H -> H A' for every invertible (h, h) matrix A (da Silva, Dangel and Oore, ICML 2025,
definition 3.1). In attention, with the bias of a projection as its weight's last column, each head has two:

    G, H = (W_q, b_q)', (W_k, b_k)'   through the scores      G, H = (W_v, b_v)', W_o   through the output

Attention is recognized as torch.nn.MultiheadAttention, or as a module with linear layers under usual names (FUSED or SEPARATE, and OUT)
and its number of heads (HEADS). That the model is in fact unchanged is tried with random A (`check_unchanged`): rotary embeddings,
normalized queries or another order of the rows are refused there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from flatproof.verify.curvature.problem import Problem
from flatproof.verify.curvature.sharpness.landscape import Landscape

HEADS = ("num_heads", "heads", "num_attention_heads", "n_heads")
FUSED = ("qkv", "to_qkv")
SEPARATE = (("query", "key", "value"), ("q_proj", "k_proj", "v_proj"), ("q_lin", "k_lin", "v_lin"), ("to_q", "to_k", "to_v"))
OUT = ("proj", "mix", "to_out", "out_proj", "o_proj", "out_lin", "out")


@dataclass(frozen=True)
class Pairs:
    """k pairs (G, H) of one module.

    Attributes:
        name: of the module, for messages.
        left: where the entries of each G stand in the flat parameters, (k, n, h).
        right: the same of H, (k, m, h).
    """

    name: str
    left: Tensor
    right: Tensor


def attention_pairs(problem: Problem) -> list[Pairs]:
    """The pairs of every attention layer with chosen parameters.

    Raises:
        ValueError: a layer of which only some parameters are chosen, or with keys and values of fewer heads or of a bias of their own.
    """
    places = _Places(problem)
    return [pairs for name, module in problem.model.named_modules() for pairs in _of_module(problem.model, name, module, places)]


def elementwise_pairs(problem: Problem, names: Sequence[Sequence[str]]) -> list[tuple[Tensor, Tensor]]:
    """Where the entries of u and v stand, (K,) each, for pairs of parameters that the model uses through u * v elementwise alone.

    Args:
        problem: whose parameters they are.
        names: pairs of names.

    Raises:
        ValueError: names of no chosen parameters, or of two shapes.
    """
    slices = problem.slices()
    shapes = dict(zip(problem.names, problem.shapes, strict=True))
    out = []
    for pair in names:
        if isinstance(pair, str) or len(pair) != 2 or not all(name in slices for name in pair):
            raise ValueError(f"pairs must name two chosen parameters each, of {', '.join(problem.names[:8])}; got {pair!r}")
        if pair[0] == pair[1]:
            raise ValueError(f"a pair must name two parameters, got {pair[0]} twice")
        if shapes[pair[0]] != shapes[pair[1]]:
            raise ValueError(
                f"a pair must have one shape, {pair[0]} has {tuple(shapes[pair[0]])} and {pair[1]} {tuple(shapes[pair[1]])}"
            )
        u, v = (torch.arange(slices[name].start, slices[name].stop, device="cpu") for name in pair)
        out.append((u, v))
    return out


class _Places:
    """Where parameters stand in the flat vector, by identity: a weight has several names where it is shared."""

    def __init__(self, problem: Problem) -> None:
        starts = {name: where.start for name, where in problem.slices().items()}
        self._by_id = {id(p): (starts[n], p.shape) for n, p in zip(problem.names, problem.tensors, strict=True)}

    def of(self, parameter: Tensor | None) -> Tensor | None:
        """The indices in the parameter's shape; None where it is not chosen."""
        if parameter is None or id(parameter) not in self._by_id:
            return None
        start, shape = self._by_id[id(parameter)]
        return torch.arange(start, start + shape.numel(), device="cpu").reshape(shape)


@dataclass(frozen=True)
class _Attention:
    """The projections of a layer: weights (rows, columns) and biases, rows of all heads in order."""

    heads: int
    weights: tuple[Tensor | None, Tensor | None, Tensor | None]  # of queries, keys, values
    biases: tuple[Tensor | None, Tensor | None, Tensor | None]
    out: Tensor | None  # (rows of the output, heads * h)


def _of_module(model: nn.Module, name: str, module: nn.Module, places: _Places) -> Iterator[Pairs]:
    layer = _multihead(name, module, places) if isinstance(module, nn.MultiheadAttention) else _usual(model, name, module, places)
    if layer is None or all(part is None for part in (*layer.weights, layer.out)):
        return
    if any(part is None for part in (*layer.weights, layer.out)):
        raise ValueError(f"attention layer {name!r}: geodesic sharpness needs all its projections among the parameters, or none")
    q, k, v, out = (part for part in (*layer.weights, layer.out) if part is not None)
    if not len(q) == len(k) == len(v) == out.shape[1] or len(q) % layer.heads:
        rows = f"{len(q)}, {len(k)} and {len(v)} rows of queries, keys and values, {out.shape[1]} columns of the output"
        raise ValueError(f"attention layer {name!r}: expected as many of each, a multiple of {layer.heads} heads; got {rows}")
    full = [_by_head(w, b, layer.heads) for w, b in zip((q, k, v), layer.biases, strict=True)]
    yield Pairs(f"{name} (queries and keys)", full[0], full[1])
    yield Pairs(f"{name} (values and output)", full[2], out.reshape(len(out), layer.heads, -1).transpose(0, 1))


def _by_head(weight: Tensor, bias: Tensor | None, heads: int) -> Tensor:
    """(heads * h, columns) and (heads * h,) -> (heads, columns + 1, h)."""
    rows = weight if bias is None else torch.cat([weight, bias[:, None]], dim=1)
    return rows.reshape(heads, -1, rows.shape[1]).transpose(1, 2)


def _multihead(name: str, module: nn.MultiheadAttention, places: _Places) -> _Attention:
    if module.bias_k is not None:
        raise ValueError(f"attention layer {name!r}: a bias among the keys (add_bias_kv) is no product; expected none")
    bias = places.of(module.in_proj_bias)
    biases: Any = (None, None, None) if bias is None else bias.chunk(3)
    if module.in_proj_weight is not None:
        whole = places.of(module.in_proj_weight)
        weights: Any = (None, None, None) if whole is None else whole.chunk(3)
    else:
        weights = tuple(places.of(w) for w in (module.q_proj_weight, module.k_proj_weight, module.v_proj_weight))
    return _Attention(module.num_heads, weights, biases, places.of(module.out_proj.weight))


def _usual(model: nn.Module, name: str, module: nn.Module, places: _Places) -> _Attention | None:
    """A layer whose parts have usual names; None for any other module."""
    heads = next((value for key in HEADS if isinstance(value := getattr(module, key, None), int)), None)
    out = next((linear for key in OUT if (linear := _linear(getattr(module, key, None))) is not None), None)
    if out is None:  # transformers keeps the output projection beside the attention
        parent = model.get_submodule(name.rpartition(".")[0])
        out = _linear(getattr(getattr(parent, "output", None), "dense", None))
    if heads is None or out is None:
        return None
    for key in FUSED:
        if (fused := _linear(getattr(module, key, None))) is not None:
            weight, bias = places.of(fused.weight), places.of(fused.bias)
            none = (None, None, None)
            return _Attention(
                heads,
                none if weight is None else weight.chunk(3),  # type: ignore[arg-type]
                none if bias is None else bias.chunk(3),  # type: ignore[arg-type]
                places.of(out.weight),
            )
    for keys in SEPARATE:
        parts = [_linear(getattr(module, key, None)) for key in keys]
        q, k, v = parts
        if q is not None and k is not None and v is not None:
            weights = (places.of(q.weight), places.of(k.weight), places.of(v.weight))
            return _Attention(heads, weights, (places.of(q.bias), places.of(k.bias), places.of(v.bias)), places.of(out.weight))
    return None


def _linear(module: object) -> nn.Linear | None:
    """The module itself, or the only linear layer of a short sequence of it and dropout; None for anything else."""
    if isinstance(module, nn.Sequential):
        inner = [part for part in module if not isinstance(part, (nn.Dropout, nn.Identity))]
        return _linear(inner[0]) if len(inner) == 1 else None
    return module if isinstance(module, nn.Linear) else None


def moved_along(landscape: Landscape, pairs: Sequence[Pairs], seed: int) -> Tensor:
    """The displacement, (P,), to G A^-1, H A' with a random A of singular values in [1/2, 2] for every pair."""
    generator = torch.Generator().manual_seed(seed)
    weights = landscape.weights
    delta = torch.zeros_like(weights)
    for group in pairs:
        k, h = group.left.shape[0], group.left.shape[2]
        U, V = (
            torch.linalg.qr(torch.randn(k, h, h, generator=generator, dtype=torch.float64, device="cpu"))[0] for _ in range(2)
        )
        s = 2 ** (2 * torch.rand(k, h, generator=generator, dtype=torch.float64, device="cpu") - 1)
        A, inverse = U * s[:, None] @ V.mT, V / s[:, None] @ U.mT
        for place, factor in ((group.left, inverse), (group.right, A.mT)):
            block = weights[place].double().cpu()
            delta[place] = (block @ factor - block).to(delta)
    return delta


def check_unchanged(landscape: Landscape, pairs: Sequence[Pairs], seed: int = 0) -> None:
    """Try that the model's outputs on its first batch are unchanged by random A, all at once.

    Raises:
        ValueError: they are not; names the first pairs that change them alone.
    """
    tolerance = torch.finfo(landscape.weights.dtype).eps ** 0.5
    batch = next(iter(landscape.batches()))
    before = _seen(landscape, None, batch)

    def change(groups: Sequence[Pairs]) -> bool:
        after = _seen(landscape, moved_along(landscape, groups, seed), batch)
        return not bool(torch.linalg.vector_norm(after - before) <= tolerance * torch.linalg.vector_norm(before))

    if change(pairs):
        culprit = next((group for group in pairs if change([group])), pairs[0])
        raise ValueError(
            f"{culprit.name}: the model's outputs change under G -> G A^-1, H -> H A'; expected parameters used through G H' alone (in "
            "attention: no rotary embedding, no normalized queries, rows in the order of queries, keys, values and heads)"
        )


def _seen(landscape: Landscape, delta: Tensor | None, batch: Any) -> Tensor:
    """The outputs, or the loss of outputs that are no tensor."""
    with torch.no_grad():
        outputs = landscape.outputs(delta, batch)
        landscape.losses += batch.samples / landscape.problem.samples
        return outputs if isinstance(outputs, Tensor) else landscape.compare(outputs, batch)
