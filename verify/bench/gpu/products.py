"""Owns the GPU's rows of the comparison of Hessian-vector products: each kernel of ours and double backward, on the device, float32.

The workloads are those of `flatproof bench hvp`, moved there; a product's time is given as a multiple of one gradient, both waited for.
On the CPU the same code runs once over each, which rehearses it and measures nothing.
"""

import json
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.table import Table as Grid
from torch import Tensor

from flatproof.verify.bench.hvp.peers import OURS, PEERS, implementations
from flatproof.verify.bench.hvp.workloads import WORKLOADS, Workload, make_workload
from flatproof.verify.curvature.lanczos import eigenvalues
from flatproof.verify.curvature.operators import HessianOperator

ROUNDS, REPEATS = 7, 20  # rounds, and calls in each at most
BLOCK = 8  # vectors of a block
SHORT = 0.02  # seconds that a round's calls come to at least, where REPEATS allow
PRODUCTS = 60  # of a search for lambda_max at most


@dataclass(frozen=True)
class Row:
    """One implementation on one workload on a device.

    Attributes:
        workload, implementation, device: their names.
        gradients, low, high: time of one product over that of one gradient, the median, least and most over the rounds.
        milliseconds, gradient_ms: median time of one product, and of one gradient.
        block_gradients: as `gradients`, for each vector of a block of 8; None where there is no call for blocks.
        peak_mb: memory of the device above model and data, preparation included, at its highest.
        lambda_products, lambda_seconds: until lambda_max is proved to 1 % at 99.5 %, by ours.
        disagreement: ||Hv - reference|| / ||reference||, the reference by double backward in float64.
        note: why there is no number.
    """

    workload: str
    implementation: str
    device: str
    gradients: float | None = None
    low: float | None = None
    high: float | None = None
    milliseconds: float | None = None
    gradient_ms: float | None = None
    block_gradients: float | None = None
    peak_mb: float | None = None
    lambda_products: int | None = None
    lambda_seconds: float | None = None
    disagreement: float | None = None
    note: str = ""


def product_rows(device: str, workloads: Sequence[str] | None = None) -> Iterator[Row]:
    """Rows as they are measured. Where the variable OUT names a folder, each is also a line of products.json there.

    Args:
        device: "cuda", or "cpu" for a rehearsal.
        workloads: their names, None: all; in a rehearsal the smallest.
    """
    folder = os.environ.get("OUT")
    for name in workloads or (list(WORKLOADS) if device == "cuda" else ["two-layer"]):
        for row in _of_workload(name, device):
            if folder:
                with (Path(folder) / "products.json").open("a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(row)) + "\n")
            yield row


def _of_workload(name: str, device: str) -> Iterator[Row]:
    work = placed(make_workload(name), device)
    size = sum(p.numel() for p in work.model.parameters())
    drawn = torch.Generator().manual_seed(1)
    vector, block = (torch.randn(*shape, generator=drawn).to(device) for shape in ((size,), (size, BLOCK)))
    reference = _reference(placed(make_workload(name), device), vector)
    where = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    for implementation in implementations(name):
        if implementation in PEERS or (device == "cpu" and implementation == f"{OURS}closed-form"):  # compiled for the CPU alone
            continue
        row = Row(name, implementation, where)
        try:
            yield _measured(row, work, vector, block, reference)
        except (RuntimeError, NotImplementedError, ValueError, TypeError) as error:
            yield replace(row, note=f"fails: {str(error).splitlines()[0][:120]}")


def _measured(row: Row, work: Workload, vector: Tensor, block: Tensor, reference: Tensor) -> Row:
    on_gpu = vector.device.type == "cuda"
    if on_gpu:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    ready = implementations(work.name)[row.implementation](work)
    given = ready.convert(vector)
    product = ready.flatten(ready.product(given))
    if on_gpu:
        row = replace(row, peak_mb=(torch.cuda.max_memory_allocated() - before) / 2**20)
    calls: dict[str, Callable[[], object]] = {"gradient": work.gradient, "product": lambda: ready.product(given)}
    if (of_block := ready.block) is not None:
        calls["block"] = lambda: of_block(block)
    times = _in_turn(calls, on_gpu)
    ratios = [p / g for p, g in zip(times["product"], times["gradient"], strict=True)]
    row = replace(
        row,
        gradients=statistics.median(ratios),
        low=min(ratios),
        high=max(ratios),
        milliseconds=1e3 * statistics.median(times["product"]),
        gradient_ms=1e3 * statistics.median(times["gradient"]),
        disagreement=float((product.double() - reference).norm() / reference.norm()),
    )
    if "block" in times:
        each = [b / g / BLOCK for b, g in zip(times["block"], times["gradient"], strict=True)]
        row = replace(row, block_gradients=statistics.median(each))
    if not row.implementation.startswith(OURS):
        return row
    kernel: Any = row.implementation.removeprefix(OURS)
    began = time.perf_counter()
    operator = HessianOperator(work.model, work.loss, (work.x, work.y), kernel=kernel)
    proved = eigenvalues(operator, tolerance=0.01, max_products=PRODUCTS, seed=0)[0]
    return replace(row, lambda_products=proved.products, lambda_seconds=time.perf_counter() - began)


def placed(work: Workload, device: str) -> Workload:
    """The workload on a device."""
    return replace(work, model=work.model.to(device), x=work.x.to(device), y=work.y.to(device))


def _reference(work: Workload, vector: Tensor) -> Tensor:
    """The product in float64 by double backward, over samples in parts where there are many."""
    y = work.y.double() if work.y.is_floating_point() else work.y
    parts = list(zip(torch.split(work.x.double(), 100), torch.split(y, 100), strict=True))
    return HessianOperator(work.model.double(), work.loss, parts, kernel="double-backward").matvec(vector.double())


def _in_turn(calls: dict[str, Callable[[], object]], on_gpu: bool) -> dict[str, list[float]]:
    """Seconds of each call in each round, the device waited for."""

    def seconds(call: Callable[[], object], repeats: int) -> float:
        if on_gpu:
            torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(repeats):
            call()
        if on_gpu:
            torch.cuda.synchronize()
        return (time.perf_counter() - began) / repeats

    repeats = {name: max(1, min(REPEATS, int(SHORT / seconds(call, 1)))) if on_gpu else 1 for name, call in calls.items()}
    rounds = range(ROUNDS if on_gpu else 1)
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in rounds:
        for name in list(calls) if turn % 2 == 0 else list(calls)[::-1]:
            times[name].append(seconds(calls[name], repeats[name]))
    return times


def grid(rows: Sequence[Row]) -> Grid:
    """The rows for a terminal."""
    device = rows[0].device if rows else "nothing"
    title = f"Hessian-vector products on {device}, float32" + "; a rehearsal, no measurement" * (device == "cpu")
    out = Grid(title=title, title_justify="left")
    columns = (
        "workload",
        "implementation",
        "gradients per product",
        "ms",
        "per vector of 8",
        "peak MB",
        "λ_max to 1 %",
        "disagreement",
    )
    for column in columns:
        out.add_column(column, justify="left" if column in columns[:2] else "right", overflow="fold")

    def shown(value: float | None, form: str) -> str:
        return "" if value is None else f"{value:{form}}"

    for row in rows:
        ratio = row.note if row.gradients is None else f"{row.gradients:.2f} ({row.low:.2f}–{row.high:.2f})"
        top = "" if row.lambda_products is None else f"{row.lambda_products} products, {row.lambda_seconds:.3g} s"
        numbers = (shown(row.milliseconds, ".3g"), shown(row.block_gradients, ".2f"), shown(row.peak_mb, ".0f"))
        out.add_row(row.workload, row.implementation, ratio, *numbers, top, shown(row.disagreement, ".0e"))
    return out
