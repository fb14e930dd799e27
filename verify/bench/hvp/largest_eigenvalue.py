"""Owns how many products and seconds each method takes to the largest eigenvalue: near it, by its own stopping rule, and proved."""

import math
import statistics
import time
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flatproof.verify.bench.hvp.peers import OURS, Ready, implementations
from flatproof.verify.bench.hvp.workloads import Workload
from flatproof.verify.curvature.lanczos import eigenvalues
from flatproof.verify.curvature.operators import HessianOperator

LIMIT = 40  # products that a search for lambda_max may take


class _Reached(Exception):
    """The estimate is near enough."""


class _Watched:
    """A symmetric product that knows, after each vector, the estimate that its user can form so far.

    A Krylov method's is the largest Ritz value of all vectors so far, the power method's the last Rayleigh quotient.
    """

    def __init__(self, ready: Ready, size: int, wanted: float | None, began: float) -> None:
        self.ready, self.shape, self.wanted, self.began = ready, (size, size), wanted, began
        self.dtype, self.device, self.products, self.aside = torch.float32, torch.device("cpu"), 0, 0.0
        self.first: tuple[int, float] | None = None
        self._vectors: list[Tensor] = []
        self._t = np.zeros((0, 0))
        if ready.directions is not None:
            self.directions, self.problem, self.part = ready.directions, ready.problem, ready.part

    def matvec(self, vector: Tensor) -> Tensor:
        """H v, and the bookkeeping, whose time is put aside."""
        out = self.ready.flatten(self.ready.product(self.ready.convert(vector)))
        self.products += 1
        began = time.perf_counter()
        estimate = self._estimate(vector, out)
        near = self.wanted is not None and abs(estimate - self.wanted) <= 0.01 * abs(self.wanted)
        if near and self.first is None:
            self.first = self.products, began - self.began - self.aside
        self.aside += time.perf_counter() - began
        return out

    def _estimate(self, vector: Tensor, out: Tensor) -> float:
        if not self.ready.krylov:
            return float(vector @ out) / float(vector @ vector)
        unit = vector / vector.norm()
        scaled = out / vector.norm()
        self._vectors.append(unit.clone())
        row = np.array([float(u @ scaled) for u in self._vectors])
        grown = np.zeros((len(row), len(row)))
        grown[:-1, :-1] = self._t
        grown[-1], grown[:, -1] = row, row
        self._t = grown
        return float(np.linalg.eigvalsh(grown)[-1])

    def matmat(self, block: Tensor) -> Tensor:
        """Column by column."""
        return torch.stack([self.matvec(v) for v in block.unbind(1)], 1)


def converged(work: Workload) -> float:
    """The largest eigenvalue to 0.01 % by residual and gap."""
    operator = HessianOperator(work.model, work.loss, (work.x, work.y))
    return float(eigenvalues(operator, tolerance=1e-4, stop="ritz", max_products=60, seed=7)[0].value)


def to_largest_eigenvalue(names: list[str], work: Workload, starts: int) -> dict[str, dict[str, Any]]:
    """Products and seconds until 1 %, and what each method does when asked for 1 %, in turn.

    Args:
        names: of the implementations.
        work: the workload.
        starts: random starts.

    Returns:
        For each implementation, fields of its `Row`.
    """
    wanted = converged(work)
    first: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    asked: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    proved: dict[str, list[int]] = {name: [] for name in names}
    for start in range(starts):
        for name in names if start % 2 == 0 else names[::-1]:
            watched, estimate, part = _search(name, work, wanted, start)
            products, seconds = watched.first or (math.inf, math.inf)
            first[name].append((products + part, seconds))
            if estimate is not None:
                asked[name].append((watched.products + part, abs(estimate - wanted) / abs(wanted)))
            if name.startswith(OURS):
                operator = HessianOperator(work.model, work.loss, (work.x, work.y))
                proved[name].append(eigenvalues(operator, tolerance=0.01, max_products=LIMIT, seed=start)[0].products)
    columns: dict[str, dict[str, Any]] = {name: {} for name in names}
    for name, row in columns.items():
        products, seconds = (statistics.median_low([pair[i] for pair in first[name]]) for i in (0, 1))
        if math.isfinite(products):
            row |= {"lambda_products": products, "lambda_seconds": seconds}
        if asked[name]:
            row["asked_products"] = statistics.median_low([k for k, _ in asked[name]])
            row["asked_error"] = max(e for _, e in asked[name])
        if proved[name]:
            row["proved_products"] = statistics.median_low(proved[name])
    return columns


def _search(name: str, work: Workload, wanted: float, start: int) -> tuple["_Watched", float | None, float]:
    """The method's search from one random start, watched, its answer (None if it does not stop by itself) and the cost of its part."""
    size, prepare = sum(p.numel() for p in work.model.parameters()), implementations(work.name)[name]
    with torch.random.fork_rng():
        torch.manual_seed(start)
        began = time.perf_counter()
        watched = _Watched(prepare(work), size, wanted, began)
        if name == "pyhessian":
            return watched, _power_iteration(watched), 0.0
        if name.startswith(OURS):
            pairs = eigenvalues(
                watched, tolerance=0.01, stop="ritz", max_products=LIMIT, seed=start, rounding=False
            )  # as peers do
            return watched, float(pairs[0].value), pairs[0].part
        if name == "curvlinops":
            return watched, _arpack(watched), 0.0
        with suppress(_Reached):
            _plain_lanczos(watched)
        return watched, None, 0.0


def _power_iteration(watched: _Watched) -> float:
    """PyHessian's method for the first eigenvalue, with its stopping rule, asked for 1 %."""
    v = torch.randn(watched.shape[0])
    v, value = v / v.norm(), None
    for _ in range(LIMIT):
        out = watched.matvec(v)
        now = float(v @ out)
        v = out / (out.norm() + 1e-6)
        if value is not None and abs(value - now) / (abs(value) + 1e-6) < 0.01:
            return now
        value = now
    assert value is not None
    return value


def _arpack(watched: _Watched) -> float:
    """curvlinops leaves eigenvalues to scipy: eigsh, asked for 1 %."""
    from scipy.sparse.linalg import LinearOperator, eigsh

    def multiply(v: Any) -> Any:
        return watched.matvec(torch.as_tensor(np.asarray(v, dtype=np.float32).reshape(-1))).numpy()

    start = torch.randn(watched.shape[0]).numpy()
    return float(eigsh(LinearOperator(watched.shape, matvec=multiply, dtype=np.float32), 1, which="LA", tol=0.01, v0=start)[0][0])


def _plain_lanczos(watched: _Watched) -> None:
    """hessian-eigenthings' Lanczos has no stopping rule of its own: stopped as soon as it is near."""
    basis: list[Tensor] = []
    v = torch.randn(watched.shape[0])
    for _ in range(LIMIT):
        v = v / v.norm()
        basis.append(v)
        v = watched.matvec(v)
        if watched.first is not None:
            raise _Reached
        for _ in range(2):
            for u in basis:
                v = v - (u @ v) * u
