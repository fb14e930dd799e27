"""Owns the implementations that are compared, ours and other packages', each prepared on a workload and fed in its own form."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import Tensor

from flatproof.verify.bench.hvp.workloads import Workload
from flatproof.verify.curvature.kernels import PREPARE
from flatproof.verify.curvature.operators import HessianOperator

OURS = "ours: "
PEERS = {"pyhessian": "pyhessian", "hessian-eigenthings": "hessian_eigenthings", "curvlinops": "curvlinops"}


@dataclass
class Ready:
    """An implementation prepared on a workload.

    Attributes:
        product: a vector in its own form -> the Hessian's product with it.
        convert: a flat vector, (P,) -> its own form.
        flatten: its own form -> a flat vector, (P,).
        block: (P, k) -> (P, k); None where there is no call for blocks.
        krylov: whether its estimate of lambda_max uses all vectors so far.
        directions: what its search leans towards, (P, c); None for nothing.
        problem: what it is of; None for what is not ours.
        part: its like on a part of the data.
    """

    product: Callable[[Any], Any]
    convert: Callable[[Tensor], Any] = lambda v: v
    flatten: Callable[[Any], Tensor] = lambda v: v
    block: Callable[[Tensor], Any] | None = None
    krylov: bool = True
    directions: Callable[[], Tensor] | None = None
    problem: Any = None
    part: Callable[[], Any] | None = None


def _ours(kernel: str) -> Callable[[Workload], Ready]:
    def prepare(work: Workload) -> Ready:
        operator = HessianOperator(work.model, work.loss, (work.x, work.y), kernel=kernel)  # type: ignore[arg-type]
        return Ready(
            operator.matvec, block=operator.matmat, directions=operator.directions, problem=operator.problem, part=operator.part
        )

    return prepare


def _lists(work: Workload) -> tuple[Callable[[Tensor], list[Tensor]], Callable[[Any], Tensor]]:
    shapes = [p.shape for p in work.model.parameters()]
    sizes = [p.numel() for p in work.model.parameters()]
    return (
        lambda v: [t.reshape(s) for t, s in zip(torch.split(v, sizes), shapes, strict=True)],
        lambda pieces: torch.cat([p.reshape(-1) for p in pieces]).detach(),
    )


def _naive(work: Workload) -> Ready:
    parameters = list(work.model.parameters())

    def product(v: list[Tensor]) -> Any:
        grads = torch.autograd.grad(work.loss(work.model(work.x), work.y), parameters, create_graph=True)
        return torch.autograd.grad(grads, parameters, v)

    return Ready(product, *_lists(work))


def _pyhessian(work: Workload) -> Ready:
    from pyhessian import hessian
    from pyhessian.utils import hessian_vector_product

    kept = hessian(work.model, work.loss, data=(work.x, work.y), cuda=False)
    work.model.zero_grad()  # it leaves gradients with their graph on the model
    return Ready(lambda v: hessian_vector_product(kept.gradsH, kept.params, v), *_lists(work), krylov=False)


def _eigenthings(work: Workload) -> Ready:
    from hessian_eigenthings.loss_fns.standard import supervised_loss
    from hessian_eigenthings.operators.hessian import HessianOperator as Theirs

    return Ready(Theirs(work.model, [(work.x, work.y)], supervised_loss(work.loss)).matvec, flatten=lambda v: v.detach())


def _curvlinops(work: Workload) -> Ready:
    from curvlinops import HessianLinearOperator

    parameters = [p for p in work.model.parameters() if p.requires_grad]
    theirs = HessianLinearOperator(work.model, work.loss, parameters, [(work.x, work.y)], check_deterministic=False)
    return Ready(lambda v: theirs @ v, flatten=lambda v: v.detach(), block=lambda v: theirs @ v)


def versions(peers: Iterable[str]) -> dict[str, str]:
    """The installed version of each peer."""
    installed = {}
    for name in peers:
        try:
            installed[name] = version({"curvlinops": "curvlinops-for-pytorch"}.get(name, name))
        except PackageNotFoundError:
            installed[name] = "not installed"
    return installed


def automatic(workload: str) -> tuple[str, ...]:
    """Ours that users get unless they ask for another kernel; on the two-layer network also what they get without the closed form."""
    return (f"{OURS}closed-form", f"{OURS}linearize") if workload == "two-layer" else (f"{OURS}linearize",)


def implementations(workload: str) -> dict[str, Callable[[Workload], Ready]]:
    """What is compared on a workload, ours first."""
    own = [
        k
        for k in PREPARE
        if k not in ("finite-difference", "double-backward") and (k != "closed-form" or workload == "two-layer")
    ]
    return {OURS + k: _ours(k) for k in own} | {
        "pyhessian": _pyhessian,
        "hessian-eigenthings": _eigenthings,
        "curvlinops": _curvlinops,
        "double backward": _naive,
    }
