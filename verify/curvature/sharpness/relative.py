"""Owns relative flatness: the Hessian's blocks of one layer, weighed by the inner products of the layer's rows.

    kappa_Tr = sum_(s, s') <w_s, w_s'> tr H_(s, s'),    H_(s, s') = d^2 L / dw_s dw_s'

for the rows w_s, (m,), of the weight W, (d, m), of a layer f(x) = g(W phi(x)) (Petzka, Kamp, Adilova, Sminchisescu and Boley, NeurIPS
2021). It equals tr (K x I) H (K x I) with K = (W W')^(1/2): a trace of a symmetric operator, estimated with its interval as any other.
A convolution's filters are its rows, patches take phi's place.

Unchanged by positive rescaling of the layer's own neurons (w_s -> c_s w_s, undone after a ReLU) and of whole layers; changed by rescaling
single neurons before the layer, whose columns it does not tell apart, and by the scale of the logits. Other layers are not seen.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from flatproof.verify.curvature.estimates import Estimate, Symmetric
from flatproof.verify.curvature.operators import HessianOperator
from flatproof.verify.curvature.problem import Problem
from flatproof.verify.curvature.scaled import Delegate
from flatproof.verify.curvature.sharpness.registry import Measure
from flatproof.verify.curvature.traces import Method, auto_trace, hutchinson, hutchpp, krylov_trace, trace, xtrace


def relative_flatness(
    source: object, *, layer: str | None = None, method: Method = "auto", products: int = 60, seed: int = 0, **rest: Any
) -> Estimate:
    """sum_(s, s') <w_s, w_s'> tr H_(s, s') of one layer.

    Args:
        source: a problem, or an operator with one.
        layer: name of the layer, or of its weight; None for the last but one of the linear layers with chosen parameters, or the only one.
        method: the estimator, "auto", "hutchinson", "hutch++", "xtrace" or "krylov".
        products: Hessian-vector products spent, of the layer's own Hessian; as many as its weight has entries are exact.
        seed: of the probes.
        **rest: settings of that estimator.

    Returns:
        The trace with its interval.

    Raises:
        TypeError: a bare matrix.
        ValueError: no such layer, or one without a matrix as weight; settings out of range.
    """
    problem: Any = getattr(source, "problem", source)
    if not isinstance(problem, Problem):
        raise TypeError(f"this measure needs the Hessian of a layer; expected a Problem, got {type(source).__name__}")
    name, weight = _weight(problem, layer)
    own = Problem(
        problem.model,
        problem.loss_function,
        _Batches(problem),
        [name],
        mode=problem.mode,
        reduction=problem.reduction,
        seed=problem.seed,
        weight_of=problem.data.weight_of,
    )
    rows = weight.detach().flatten(1).double()
    values, vectors = torch.linalg.eigh(rows @ rows.T)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T
    return trace(Weighed(HessianOperator.of(own), root), method, products=products, seed=seed, **rest)


def _weight(problem: Problem, layer: str | None) -> tuple[str, Tensor]:
    chosen = dict(zip(problem.names, problem.tensors, strict=True))
    if layer is None:
        linear = {f"{name}.weight".lstrip(".") for name, m in problem.model.named_modules() if isinstance(m, nn.Linear)}
        names = [name for name in chosen if name in linear]
        if not names:
            raise ValueError("relative flatness needs a linear layer among the chosen parameters, got none; name a `layer`")
        name = names[-2:][0]
        return name, chosen[name]
    name = next((name for name in (layer, f"{layer}.weight") if name in chosen), "")
    if not name:
        raise ValueError(
            f"layer {layer!r} has no chosen weight; expected one of {', '.join(n for n, p in chosen.items() if p.ndim > 1)}"
        )
    if chosen[name].ndim < 2:
        raise ValueError(
            f"layer {layer!r} has a weight of shape {tuple(chosen[name].shape)}; expected a matrix or a convolution's filters"
        )
    return name, chosen[name]


class _Batches:
    """A problem's batches, again at each pass."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        for batch in self.problem.batches():
            yield batch.inputs, batch.targets


class Weighed(Delegate):
    """(K x I) H (K x I) for a weight of d rows in a row: vectors are its rows one after the other.

    Args:
        operator: H, (d m, d m).
        root: K, (d, d), symmetric.
    """

    def __init__(self, operator: Symmetric, root: Tensor) -> None:
        super().__init__(operator)
        self.root = root.to(dtype=operator.dtype, device=operator.device)

    def moved(self, problem: Problem, kernel: str | None = None) -> "Weighed":
        """The same matrix of another problem, by the same kernel or the one named."""
        operator: Any = self.operator
        return Weighed(operator.moved(problem, kernel), self.root)

    def matvec(self, vector: Tensor, /) -> Tensor:
        """The product with a vector, (d m,) -> (d m,)."""
        return self._weigh(self.operator.matvec(self._weigh(vector[:, None])[:, 0])[:, None])[:, 0]

    def matmat(self, block: Tensor, /) -> Tensor:
        """The products with k vectors, (d m, k) -> (d m, k)."""
        return self._weigh(self.operator.matmat(self._weigh(block)))

    def _weigh(self, block: Tensor) -> Tensor:
        """(K x I) V."""
        return (self.root @ block.reshape(len(self.root), -1)).reshape(len(block), -1)


MEASURES = (
    Measure(
        "relative-flatness",
        "sum_(s, s') <w_s, w_s'> tr H_(s, s') over the rows of one layer",
        "Petzka et al. 2021, kappa_Tr",
        relative_flatness,
        "problem",
        "positive rescaling of the layer's own neurons and of whole layers",
        passes_on=(auto_trace, hutchinson, hutchpp, xtrace, krylov_trace),
    ),
)
