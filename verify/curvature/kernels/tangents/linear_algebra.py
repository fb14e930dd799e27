"""Owns the rule of solve, det and slogdet."""

from typing import Any

import torch
from torch import Tensor

from flatproof.verify.curvature.kernels.tangents.call import Call, Push, Unsupported, aten


def factored(call: Call) -> Push:
    """solve, det and slogdet by their definition from an LU factorization, whose own tangent torch has."""
    packet = call.op.overloadpacket
    places = [i for i in call.active if isinstance(i, int)]
    given = tuple(call.args[i].contiguous() for i in places)
    rest = list(call.args)
    left = call.kwargs.get("left", True)

    def function(*values: Tensor) -> tuple[Tensor, ...]:
        args = list(rest)
        for i, value in zip(places, values, strict=True):
            args[i] = value
        A = args[0].mT if turned else args[0]
        lu, pivots = torch.linalg.lu_factor(A)
        if packet is aten._linalg_solve_ex:
            vector = args[1].ndim == 1 or (args[1].ndim == A.ndim - 1 and args[1].shape == A.shape[:-1])
            B = args[1].unsqueeze(-1) if vector else args[1]
            X = torch.linalg.lu_solve(lu, pivots, B, left=left, adjoint=turned)
            return (X.squeeze(-1) if vector else X), lu
        diagonal = lu.diagonal(dim1=-2, dim2=-1)
        if packet is aten._linalg_det:
            swaps = (pivots != torch.arange(1, A.shape[-1] + 1, device=A.device, dtype=pivots.dtype)).sum(-1)
            return diagonal.prod(-1) * (1 - 2 * (swaps % 2)), lu
        return diagonal.abs().log().sum(-1), lu

    where = (1, 2) if packet is aten._linalg_slogdet else (0, 1)
    count = len(call.out)
    kept = call.out[where[1]]
    # which of the two was factored depends on the memory layout
    turned = not torch.equal(torch.linalg.lu_factor(call.args[0])[0], kept)
    if turned and not torch.equal(torch.linalg.lu_factor(call.args[0].mT)[0], kept):
        raise Unsupported(f"{call.op} keeps another factorization")

    def push(*ts: Tensor) -> Any:
        moved = torch.func.jvp(function, given, tuple(t.contiguous() for t in ts))[1]
        out: list[Tensor | None] = [None] * count
        for place, value in zip(where, moved, strict=True):
            out[place] = value
        return tuple(out)

    return push
