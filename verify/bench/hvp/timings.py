"""Owns the comparison behind `flatproof bench hvp`: one Hessian-vector product at a fixed point by every kernel and by other packages.

Units: a product's time is given as a multiple of one gradient of the same loss, measured in turn with it. Every implementation gets the
same model, the same single batch and float32. Each takes its vector in its own form (flat, or a list of tensors).
"""

import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from flatproof.verify.bench.hvp.largest_eigenvalue import to_largest_eigenvalue
from flatproof.verify.bench.hvp.memory import peak_memory
from flatproof.verify.bench.hvp.peers import OURS, PEERS, automatic, implementations
from flatproof.verify.bench.hvp.workloads import WORKLOADS, Workload, make_workload
from flatproof.verify.bench.timing import one_core
from flatproof.verify.curvature.kernels import PREPARE
from flatproof.verify.curvature.operators import HessianOperator
from flatproof.verify.curvature.problem import Problem

BLOCK = 8  # vectors of a block


@dataclass(frozen=True)
class Row:
    """One implementation on one workload.

    Attributes:
        workload: its name.
        implementation: its name.
        gradients: time of one product over that of one gradient, the median over the rounds.
        low: the smallest of them.
        high: the largest of them.
        milliseconds: median time of one product.
        gradient_ms: median time of one gradient.
        block_gradients: the same as `gradients` for each vector of a block of 8; None where there is no call for blocks.
        peak_mb: resident memory above that of model and data, at its highest, in a fresh process.
        floor: arithmetic of one product over that of one gradient, matrix products and convolutions counted: of a linearized
            product, of the subset sums for the closed form.
        lambda_products: until the method's own estimate of the largest eigenvalue is first within 1 % of a converged one, the median over
            random starts, those on a part of the data counted by its share; None where that took more than LIMIT.
        lambda_seconds: the same in seconds, preparation included.
        asked_products: what it spends when asked for 1 % by its own stopping rule; None if it has none.
        asked_error: how far off it then is at worst, relative.
        proved_products: until an interval of 1 % is proved at 99.5 %; None for methods without one.
        disagreement: ||Hv - reference|| / ||reference||, the reference by double backward in float64.
        note: "not installed", or why there is no number.
    """

    workload: str
    implementation: str
    gradients: float | None = None
    low: float | None = None
    high: float | None = None
    milliseconds: float | None = None
    gradient_ms: float | None = None
    block_gradients: float | None = None
    peak_mb: float | None = None
    floor: float | None = None
    lambda_products: float | None = None
    lambda_seconds: float | None = None
    asked_products: float | None = None
    asked_error: float | None = None
    proved_products: int | None = None
    disagreement: float | None = None
    note: str = ""


def hvp_timings(workload: str, rounds: int | None = None, *, memory: bool = True, lambda_max: bool = True) -> list[Row]:
    """Every implementation on the workload, in turn.

    Args:
        workload: its name.
        rounds: how many times each is timed; default by workload.
        memory: whether each row's peak memory is measured, in a process of its own.
        lambda_max: whether each method seeks the largest eigenvalue.

    Returns:
        A row for each implementation, with a note for one that is not installed or fails.
    """
    with one_core() if workload == "two-layer" else nullcontext():  # products of microseconds: threads only add noise
        return _timings(workload, rounds or WORKLOADS[workload].rounds, memory, lambda_max)


def _timings(workload: str, rounds: int, memory: bool, lambda_max: bool) -> list[Row]:
    work = make_workload(workload)
    size = sum(p.numel() for p in work.model.parameters())
    generator = torch.Generator().manual_seed(1)
    vector, block = torch.randn(size, generator=generator), torch.randn(size, BLOCK, generator=generator)
    reference = _reference(workload, vector)
    floor = arithmetic_floor(work)
    rows: dict[str, dict[str, Any]] = {}
    calls: dict[str, Callable[[], object]] = {"gradient": work.gradient}
    for name, prepare in implementations(workload).items():
        rows[name] = {"floor": subset_sums_floor(work) if name == f"{OURS}closed-form" else floor}
        if (missing := PEERS.get(name)) and not find_spec(missing):
            rows[name]["note"] = "not installed"
            continue
        try:
            ready = prepare(work)
            given = ready.convert(vector)
            product = ready.flatten(ready.product(given))
        except (RuntimeError, NotImplementedError, ValueError) as error:
            rows[name]["note"] = f"fails: {str(error).splitlines()[0][:120]}"
            continue
        rows[name]["disagreement"] = float((product.double() - reference).norm() / reference.norm())
        calls[name] = lambda ready=ready, given=given: ready.product(given)  # type: ignore[misc]
        if ready.block is not None and name in (*automatic(workload), "curvlinops"):
            calls[f"{name} block"] = lambda ready=ready: ready.block(block)  # type: ignore[misc]
    times = _in_turn(calls, rounds)
    middle = {name: statistics.median(t) for name, t in times.items()}
    for name, row in rows.items():
        if name in times:
            ratios = _ratios(times[name], times["gradient"])
            row |= {"gradients": statistics.median(ratios), "low": min(ratios), "high": max(ratios)}
            row |= {"milliseconds": 1e3 * middle[name], "gradient_ms": 1e3 * middle["gradient"]}
            if f"{name} block" in times:
                row["block_gradients"] = statistics.median(_ratios(times[f"{name} block"], times["gradient"])) / BLOCK
    calls.clear()
    if lambda_max:
        # the search is the same with every kernel of ours: two are enough
        names = [name for name in times if name in rows and (name in automatic(workload) or not name.startswith(OURS))]
        for name, extra in to_largest_eigenvalue(names, work, WORKLOADS[workload].starts).items():
            rows[name] |= extra
    if memory:
        for name, row in rows.items():
            if name in times:
                row["peak_mb"] = peak_memory(workload, name)
    return [Row(workload, name, **row) for name, row in rows.items()]


def _reference(workload: str, vector: Tensor) -> Tensor:
    """The product in float64 by double backward, over samples in parts where there are many."""
    work = make_workload(workload)
    model, x = work.model.double(), work.x.double()
    y = work.y.double() if work.y.is_floating_point() else work.y
    parts = list(zip(torch.split(x, 100), torch.split(y, 100), strict=True))
    return HessianOperator(model, work.loss, parts, kernel="double-backward").matvec(vector.double())


def arithmetic_floor(work: Workload) -> float:
    """Multiply-adds of one linearized product over those of one gradient."""
    small = Workload(work.name, work.description, work.model, work.loss, work.x[:4], work.y[:4])
    problem = Problem(small.model, small.loss, (small.x, small.y))
    product = PREPARE["linearize"](problem, next(problem.batches()))
    vector = torch.zeros(problem.size, 1)
    with FlopCounterMode(display=False) as of_product:
        product(vector)
    with FlopCounterMode(display=False) as of_gradient:
        small.gradient()
    return of_product.get_total_flops() / of_gradient.get_total_flops()


def subset_sums_floor(work: Workload) -> float:
    """Additions of the closed form's two products by subset sums of four, over the operations of a gradient's two dense products.

    n m D / 4 additions each and 15/4 (m + n) D for the tables (`curvature.two_layer.cpu`), against n m D multiply-adds each.
    """
    (n, d), (m, _) = work.x.shape, work.model.get_parameter("w1").shape
    return ((n * m / 2) + 15 / 4 * (m + n)) * (d + 1) / (4 * n * m * (d + 1))


def _ratios(times: list[float], gradients: list[float]) -> list[float]:
    """Each time over the gradient of its own round; over the median gradient where rounds do not correspond."""
    if len(times) == len(gradients):
        return [t / g for t, g in zip(times, gradients, strict=True)]
    middle = statistics.median(gradients)
    return [t / middle for t in times]


def _in_turn(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each call in each round, at least; short calls are repeated within a round, calls of many seconds made once."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    repeats = {}
    for name, call in calls.items():
        began = time.perf_counter()
        call()
        took = time.perf_counter() - began
        repeats[name] = max(1, min(50, int(0.02 / took)))
        if took > 1:  # nothing in it is still to be set up that would count
            times[name].append(took)
    for turn in range(rounds):
        names = list(calls) if turn % 2 == 0 else list(calls)[::-1]
        for name in names:
            if times[name] and times[name][0] > 10:
                continue
            began = time.perf_counter()
            for _ in range(repeats[name]):
                calls[name]()
            times[name].append((time.perf_counter() - began) / repeats[name])
    return times
