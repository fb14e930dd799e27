"""Owns `flatproof bench`: comparisons of the same work by several implementations, measured in one run and shown in one way.

Each command checks its input before anything heavy is imported, measures, and prints the rows: as JSON, or as the table of the
benchmark's own module with remarks and a line of provenance below.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table as Grid

from flatproof.verify.cli.options import AsJson, check_at_least_one, check_writable
from flatproof.verify.cli.terminal import print_grid, refusing_bad_input, say
from flatproof.verify.utils.errors import UserError

REHEARSAL = "cuda-rehearsal"
app = typer.Typer(no_args_is_help=True, help="Measured comparisons: the same work by several implementations, in one run.")

Repeats = Annotated[int, typer.Option(help="Timed runs of each implementation.")]


def _show(
    rows: Sequence[Any], grids: Sequence[Grid], as_json: bool, head: str = "", about: Mapping[str, str] | None = None
) -> None:
    """Print the rows as JSON, or tables with a line of provenance.

    Args:
        rows: dataclasses, one a measured row.
        grids: the same rows for a terminal.
        as_json: print the rows alone.
        head: what the numbers are, before the provenance; of several lines the last is continued by it.
        about: further versions that the numbers depend on.
    """
    if as_json:
        print(json.dumps([asdict(row) for row in rows]))
        return
    from flatproof.verify.jobs.provenance import provenance

    for grid in grids:
        print_grid(grid, width=170)
    origin = "; ".join(f"{key}: {value}" for key, value in (provenance() | dict(about or {})).items())
    say(f"{head}; {origin}" if head else origin)


@app.command("train")
def bench_train(repeats: Repeats = 5, as_json: AsJson = False) -> None:
    """The 1-SAM step at d = 30, m = 500, n = 100 on one core: fused, a plain torch loop, jax.lax.scan where installed."""
    check_at_least_one("--repeats", repeats)
    from flatproof.verify.bench.steps import bars, grid, sam_step_timings, sim_bn_timings

    rows, more = sam_step_timings(repeats), sim_bn_timings(repeats)
    _show([*rows, *more], [grid(rows), grid(more)], as_json, "\n".join([*bars([*rows, *more]), _spread(repeats)]))


@app.command("certify")
def bench_certify(repeats: Repeats = 5, as_json: AsJson = False) -> None:
    """The flattest network of six data sets on one core: pattern generation, and all patterns at once through cvxpy."""
    check_at_least_one("--repeats", repeats)
    from flatproof.verify.bench.certify import certify_timings, grid

    rows = certify_timings(repeats)
    _show(rows, [grid(rows)], as_json, _spread(repeats))


@app.command("ascent")
def bench_ascent(repeats: Repeats = 3, as_json: AsJson = False) -> None:
    """Worst-case sharpness of a small network on one core: our ascent, eight starts, and the ascent of andriushchenko2023's authors."""
    check_at_least_one("--repeats", repeats)
    from flatproof.verify.bench.ascents import ascent_timings, grid

    rows, head = ascent_timings(repeats)
    _show(rows, [grid(rows)], as_json, f"{head}\n{_spread(repeats)}")


@app.command("images")
def bench_images(
    workload: Annotated[str | None, typer.Option(help="A workload's name; all that this machine can run if none.")] = None,
    repeats: Annotated[int, typer.Option(help="Timed epochs of each implementation.")] = 5,
    as_json: AsJson = False,
) -> None:
    """An epoch of training on images, one core or a GPU: our harness, and the usual loop over a DataLoader with 0 and 2 workers."""
    check_at_least_one("--repeats", repeats)
    from flatproof.verify.bench.images import grid, image_timings, selected

    with refusing_bad_input():
        selected(workload)
    rows = image_timings(workload, repeats)
    _show(rows, [grid(rows)], as_json, _spread(repeats, "epochs"))


@app.command("sweep")
def bench_sweep(
    repeats: Repeats = 3,
    workers: Annotated[int, typer.Option(help="Processes that compute.")] = 2,
    runs: Annotated[int, typer.Option(help="Runs in each sweep.")] = 1000,
    as_json: AsJson = False,
) -> None:
    """Sweeps of runs that do nothing: by this process, by local processes, by Dask on loopback; and the store's writes alone."""
    for name, count in (("--repeats", repeats), ("--workers", workers), ("--runs", runs)):
        check_at_least_one(name, count)
    with refusing_bad_input():
        if runs < 2:
            raise UserError(f"--runs must be at least 2, got {runs}: the rate is that from the first to the last")
    from flatproof.verify.bench.sweeps import grid, sweep_rates

    rows = sweep_rates(repeats, runs, workers)
    _show(rows, [grid(rows)], as_json, _spread(repeats))


def _spread(repeats: int, unit: str = "repeats") -> str:
    return f"median and range of {repeats} {unit}"


@app.command("hvp")
def bench_hvp(
    workload: Annotated[str | None, typer.Option(help="two-layer, mlp, vgg11, resnet18 or vit; all if none.")] = None,
    rounds: Annotated[int | None, typer.Option(help="Timed rounds; default by workload.", show_default=False)] = None,
    memory: Annotated[bool, typer.Option(help="Measure peak memory, each row in a fresh process.")] = True,
    out: Annotated[Path | None, typer.Option("--out", help="Write tables and figure there, as in paper_results.")] = None,
    device: Annotated[
        str,
        typer.Option(help="cuda: our kernels on a GPU, in a table of its own; cuda-rehearsal: the same code on the CPU, once."),
    ] = "cpu",
    as_json: AsJson = False,
) -> None:
    """One Hessian-vector product by every kernel and every installed peer, as a multiple of one gradient, and what lambda_max takes."""
    check_at_least_one("--rounds", rounds)
    if device != "cpu":
        _products_on(device, workload, as_json)
        return
    with refusing_bad_input():
        if out is not None:
            check_writable(out)
    from flatproof.verify.bench.hvp.peers import PEERS, versions
    from flatproof.verify.bench.hvp.report import artifacts, grid
    from flatproof.verify.bench.hvp.timings import hvp_timings
    from flatproof.verify.bench.hvp.workloads import WORKLOADS, make_workload
    from flatproof.verify.jobs.provenance import provenance
    from flatproof.verify.report.write import write

    with refusing_bad_input():
        if workload is not None:
            make_workload(workload)
    rows = []
    for name in [workload] if workload else list(WORKLOADS):
        measured = hvp_timings(name, rounds, memory=memory)
        rows += measured
        if not as_json:  # a workload takes minutes: each is shown as it ends
            print_grid(grid(measured), width=170)
    about = versions(PEERS)
    if out is not None:
        with refusing_bad_input():
            write(artifacts(rows, provenance() | about, out), out, "flatproof bench hvp --out DIR")
    _show(rows, [], as_json, about=about)


def _products_on(device: str, workload: str | None, as_json: bool) -> None:
    """The rows of a GPU."""
    if device not in ("cuda", REHEARSAL):
        raise UserError(f"--device must be one of cpu, cuda, {REHEARSAL}, got {device!r}")
    from flatproof.verify.bench.gpu.products import grid, product_rows
    from flatproof.verify.bench.hvp.workloads import make_workload
    from flatproof.verify.cli.gpu_queue import require_cuda
    from flatproof.verify.jobs.provenance import accelerator

    with refusing_bad_input():
        if workload is not None:
            make_workload(workload)
    if device == "cuda":
        require_cuda()
    rows = list(product_rows("cuda" if device == "cuda" else "cpu", [workload] if workload else None))
    _show(rows, [grid(rows)], as_json, about=accelerator())


@app.command("large")
def bench_large(
    size: Annotated[str | None, typer.Option(help="6m, 25m or 100m; all if none.")] = None,
    peak: Annotated[
        float | None, typer.Option(help="Gigabytes beyond model and data; default by size.", show_default=False)
    ] = None,
    tolerance: Annotated[float, typer.Option(help="Of the interval, relative.")] = 0.1,
    out: Annotated[Path | None, typer.Option("--out", help="Write the table there, as in paper_results.")] = None,
    as_json: AsJson = False,
) -> None:
    """The largest Hessian eigenvalue of transformers of 6, 25 and 100 million parameters, with its interval, within a stated peak."""
    from flatproof.verify.utils.checks import check_positive  # imports numpy, which --help does without

    with refusing_bad_input():
        check_positive("--tolerance", tolerance)
        if peak is not None:
            check_positive("--peak", peak)
        if out is not None:
            check_writable(out)
    from flatproof.verify.bench.large import SIZES, artifact, grid, large_row
    from flatproof.verify.jobs.provenance import provenance
    from flatproof.verify.report.write import write

    with refusing_bad_input():
        rows = [large_row(name, peak, tolerance) for name in ([size] if size else SIZES)]
    if out is not None:
        with refusing_bad_input():
            write([artifact(rows, provenance(), out)], out, "flatproof bench large --out DIR")
    _show(rows, [grid(rows)], as_json)


@app.command("gpu")
def bench_gpu() -> None:
    """The GPU kernels: compare with the reference, time, print one table (make gpu-check). Without a GPU: interpreted, not timed."""
    try:
        from flatproof.verify.bench.gpu.check import main as check
    except ModuleNotFoundError as missing:
        raise UserError(str(missing)) from missing
    raise typer.Exit(check())
