"""Owns how a measure gets its operator: an operator as it is, a problem's Hessian, or either scaled by the parameters' size."""

from typing import Any

import torch
from torch import Tensor

from flatproof.verify.curvature.estimates import Symmetric
from flatproof.verify.curvature.operators import HessianOperator
from flatproof.verify.curvature.problem import Problem
from flatproof.verify.curvature.sharpness.landscape import Landscape


def operator_of(source: object) -> Symmetric:
    """The operator itself, or the Hessian of the problem's loss; TypeError for anything else."""
    if isinstance(source, Symmetric):
        return source
    if isinstance(source, Problem):
        return HessianOperator.of(source)
    raise TypeError(f"expected an operator or a Problem, got {type(source).__name__}")


class Scaled:
    """D H D with a diagonal D, (P, P): the Hessian in the coordinates z of w + D z.

    With D = diag(|w|) its trace and eigenvalues do not change when w -> s * w elementwise, s > 0, leaves the network's function as
    it is: then H -> S^-1 H S^-1 and D -> S D.
    """

    def __init__(self, operator: Symmetric, scale: Tensor) -> None:
        if scale.shape != (operator.shape[0],):
            raise ValueError(f"scale must have shape ({operator.shape[0]},), got {tuple(scale.shape)}")
        self.operator, self.scale = operator, scale.to(dtype=operator.dtype, device=operator.device)
        self.problem: Any = getattr(operator, "problem", None)

    @property
    def shape(self) -> tuple[int, int]:
        """(P, P)."""
        return self.operator.shape

    @property
    def dtype(self) -> torch.dtype:
        """The operator's."""
        return self.operator.dtype

    @property
    def device(self) -> torch.device:
        """The operator's."""
        return self.operator.device

    @property
    def products(self) -> int:
        """The operator's count."""
        return self.operator.products

    def moved(self, problem: Problem, kernel: str | None = None) -> "Scaled":
        """The same matrix of another problem."""
        operator: Any = self.operator
        return Scaled(operator.moved(problem, kernel), self.scale)

    @property
    def gradients(self) -> float:
        """The operator's."""
        return float(getattr(self.operator, "gradients", 0.0))

    @property
    def rests_on(self) -> str:
        """The operator's."""
        return str(getattr(self.operator, "rests_on", ""))

    def matvec(self, vector: Tensor, /) -> Tensor:
        """D H D v."""
        return self.scale * self.operator.matvec(self.scale * vector)

    def matmat(self, block: Tensor, /) -> Tensor:
        """D H D V."""
        return self.scale[:, None] * self.operator.matmat(self.scale[:, None] * block)

    def directions(self) -> Tensor:
        """D times the operator's: near a fit both matrices are J' C J, with J D in place of J."""
        found = getattr(self.operator, "directions", None)
        return self.scale[:, None] * found() if found else self.scale.new_zeros(self.shape[0], 0)


def adaptive(source: object) -> Scaled:
    """diag(|w|) H diag(|w|) of a problem or of an operator with one."""
    return Scaled(operator_of(source), Landscape.of(source).weights.abs())
