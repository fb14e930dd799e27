"""`make gpu-check`: builds the GPU kernels, compares them with the reference, times them and prints one table.

Without a GPU the kernels are interpreted on tiny sizes and compiled ahead of time, and nothing is timed; the table says so. Each
result is appended to gpu_check.json (a line of JSON each) in the folder that the variable OUT names, if it is set. Exit status
1 when a comparison fails or a kernel does not compile.
"""

import json
import os
import platform
import sys
import time
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flatproof.verify.bench.gpu.comparisons import FULL, TINY, comparisons, rounded
from flatproof.verify.bench.gpu.timings import WIDTH, D, Device, Timing, device, drawing, timings, whole_runs
from flatproof.verify.jobs.provenance import provenance
from flatproof.verify.two_layer.fused.gpu import compiled
from flatproof.verify.two_layer.fused.gpu.layout import layout
from flatproof.verify.two_layer.fused.gpu.runtime import COMPILED, DEVICE

TARGET = 25e6  # 1-SAM steps a second in total, d = 30, m = 500, on an H100-class card
TIMING_SECONDS = 150.0  # after which no further kernel setting is timed


@dataclass
class Report:
    """The table under way, and its copy as lines of JSON."""

    grid: Table
    failed: list[str] = field(default_factory=list)
    path: Path | None = None

    def add(self, kind: str, what: str, measured: str, judged: str, values: dict[str, Any]) -> None:
        """One row; `values` go to the file, at once, so that an end in mid-course loses nothing."""
        self.grid.add_row(Text(kind), Text(what), Text(measured), Text(judged))
        self.save(kind, values | {"what": what})
        print(f"{kind}: {what}: {measured} {judged}", file=sys.stderr, flush=True)

    def attempt(self, kind: str, work: partial[Any]) -> Any:
        """What the call returns; an error is a row and a failure, and None, so that the rest is still carried out."""
        try:
            return work()
        except Exception as error:
            what = f"{work.func.__name__} {', '.join(str(a) for a in work.args if isinstance(a, str))}"
            self.failed.append(what)
            self.add(kind, what, "failed", f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}", {})
            return None

    def save(self, kind: str, values: dict[str, Any]) -> None:
        """A line of the file alone."""
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"kind": kind} | values) + "\n")


def main() -> int:
    """The exit status."""
    began = time.monotonic()
    if COMPILED and DEVICE.type != "cuda":
        print("error: TRITON_INTERPRET=0 needs a GPU, and there is none; expected it unset", file=sys.stderr)
        return 2
    gpu = device() if DEVICE.type == "cuda" else None
    folder = os.environ.get("OUT")
    report = Report(_grid(gpu), path=Path(folder) / "gpu_check.json" if folder else None)
    where = _where(gpu)
    report.save("machine", where)
    _compile(report)
    _compare(report)
    if gpu is not None:
        _time(report, gpu)
    Console(width=140, highlight=False).print(report.grid)
    print("; ".join(f"{name}: {value}" for name, value in where.items()))
    seconds = time.monotonic() - began
    print(f"{len(report.failed)} failed{': ' + '; '.join(report.failed) if report.failed else ''}; {seconds:.0f} s")
    report.save("end", {"failed": report.failed, "seconds": seconds})
    return 1 if report.failed else 0


def _grid(gpu: Device | None) -> Table:
    if gpu is None:
        grid = Table(title="GPU kernels, no GPU here: Triton's interpreter on tiny sizes; no timing", title_justify="left")
    else:
        grid = Table(title=f"GPU kernels, measured on one {gpu.name}; d = {D}, m = {WIDTH}, float32", title_justify="left")
    for column in ("", "what", "found", "judged by"):
        grid.add_column(column, overflow="fold")
    return grid


def _where(gpu: Device | None) -> dict[str, str]:
    from importlib.metadata import version

    device = "none" if gpu is None else f"{gpu.name}, {gpu.multiprocessors} multiprocessors"
    cuda = torch.version.cuda or "none"
    return {"device": device, "triton": version("triton"), "cuda": cuda, "node": platform.machine(), **provenance()}


def _compile(report: Report) -> None:
    """Registers and instructions for compute capability 9.0, whatever the machine."""
    try:
        rows = compiled.in_a_process()
    except RuntimeError as error:
        report.failed.append("ahead-of-time compilation")
        report.add("compiled", "ahead of time, compute capability 9.0", "failed", str(error), {})
        return
    for row in rows:
        shape = row["shape"]
        tile = f"{shape['inputs']} x {shape['neurons']}, {shape['per_thread']} neurons a thread, {shape['programs']} programs"
        measured = f"{row['registers']} registers, {row['stack']} bytes spilled"
        judged = f"{row['instructions']} instructions a step, {row['cycles_per_step']} cycles"
        report.add("compiled", f"{row['kernel']} {row['variant']}, {tile}", measured, judged, row)


def _compare(report: Report) -> None:
    sizes = FULL if DEVICE.type == "cuda" else TINY
    shapes = [layout(D, WIDTH, per_thread=4, programs=programs) for programs in (2, 3)] if COMPILED else []
    more = [partial(rounded, "no-bias", sizes, shape) for shape in shapes]
    for compare in (*comparisons(sizes), *more):
        comparison = report.attempt("compared", compare)
        if comparison is not None:
            if not comparison.ok:
                report.failed.append(comparison.what)
            judged = f"at most {comparison.limit:.1e}: {'ok' if comparison.ok else 'FAILED'}"
            report.add(
                "compared", comparison.what, f"{comparison.deviation:.1e}", judged, asdict(comparison) | {"ok": comparison.ok}
            )


def _time(report: Report, gpu: Device) -> None:
    for name, floor in (("multiply-adds", gpu.arithmetic_floor(D)), ("memory traffic", gpu.traffic_floor(False))):
        measured = "not known: the driver states no clock" if floor is None else f"{floor / 1e6:,.0f} M steps/s"
        report.add("floor", f"no-bias, {name} alone", measured, "counted", {"steps_per_second": floor})
    best: Timing | None = None
    over = time.monotonic() + TIMING_SECONDS
    for case in timings(gpu):
        row = report.attempt("timed", case) if time.monotonic() < over else None
        if row is None:
            continue
        shape = f"{row.shape.per_thread} neurons a thread, {row.shape.programs} programs"
        what = f"{row.what}, {row.networks} networks, {row.steps} steps a launch, {shape}"
        measured = f"{row.steps_per_second / 1e6:,.1f} M steps/s ({row.low / 1e6:,.1f}–{row.high / 1e6:,.1f})"
        share = "" if row.floor is None else f", {100 * row.floor:.0f}% of the floor"
        report.add("timed", what, measured, f"{row.latency:.2f} µs a step{share}", asdict(row))
        if row.what == "no-bias 1-SAM" and (best is None or row.steps_per_second > best.steps_per_second):
            best = row
    if best is not None:
        met = f"target {TARGET / 1e6:.0f} M: {'met' if best.steps_per_second >= TARGET else 'NOT met'}"
        report.add("best", f"no-bias 1-SAM, {best.networks} networks", f"{best.steps_per_second / 1e6:,.1f} M steps/s", met, {})
    draw = drawing()
    report.add(
        "timed", "drawing the order, one core", f"{1e9 * draw:.1f} ns a sample", f"{1e-6 / draw:,.0f} M/s", {"seconds": draw}
    )
    run = report.attempt("timed", partial(whole_runs, gpu))
    if run is not None:
        what = f"train_many, {run.runs} runs of {run.epochs} epochs, 48 checkpoints"
        report.add("timed", what, f"{run.steps_per_second / 1e6:,.1f} M steps/s", f"{run.seconds:.1f} s", asdict(run))
