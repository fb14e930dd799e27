"""Owns the kernel of families of models whose Hessian has a formula. A family registers its product; none is named here.

A family says of a problem why it does not cover it, or nothing where it does, and prepares the product of a batch where it does.
`flatproof.verify.curvature.two_layer` registers the two-layer networks; another package may `register` its own.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from flatproof.verify.curvature.batches import Batch
from flatproof.verify.curvature.kernels.tangents import Unsupported
from flatproof.verify.curvature.problem import Problem


@dataclass(frozen=True)
class Family:
    """Models with a closed form.

    Attributes:
        refuses: problem -> why the closed form does not cover it; None where it does.
        prepare: (problem, batch) -> the product with the Hessian of the batch's loss, (P, k) -> (P, k).
    """

    refuses: Callable[[Problem], str | None]
    prepare: Callable[[Problem, Batch], Callable[[Tensor], Tensor]]


FAMILIES: list[Family] = []


def register(family: Family) -> None:
    """Add a family; the first that covers a problem multiplies."""
    if family not in FAMILIES:
        FAMILIES.append(family)


def covers(problem: Problem) -> bool:
    """Whether a family has a closed form for the problem."""
    return any(family.refuses(problem) is None for family in FAMILIES)


def prepare(problem: Problem, batch: Batch) -> Callable[[Tensor], Tensor]:
    """The product with the Hessian of the batch's loss, (P, k) -> (P, k).

    Raises:
        Unsupported: no family covers the problem; says why.
    """
    reasons = []
    for family in FAMILIES:
        if (reason := family.refuses(problem)) is None:
            return family.prepare(problem, batch)
        reasons.append(reason)
    raise Unsupported("; ".join(reasons) or "closed-form needs a family of models, none is registered")
