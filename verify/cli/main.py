"""Owns the command `flatproof`. Bad input ends in one line and exit status 2; nothing stored is touched by it."""

import json
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from flatproof.verify.cli.data import app as data
from flatproof.verify.realdata.files import ENVIRONMENT
from flatproof.verify.utils.errors import UserError

if TYPE_CHECKING:
    from flatproof import synth
    from flatproof.theory import Decision
    from flatproof.verify.cli.certify import Bracketed
    from flatproof.verify.curvature import Problem
    from flatproof.verify.report.artifacts import Artifact

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Does a flat minimum generalize? Machine-checked theory and many-seed experiments.",
)
bench = typer.Typer(no_args_is_help=True, help="Measured comparisons: the same work by several implementations, in one run.")
app.add_typer(bench, name="bench")
app.add_typer(data, name="data")

console = Console()


@contextmanager
def refusing_bad_input() -> Iterator[None]:
    """Turn the errors that bad input causes into UserError."""
    try:
        yield
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        raise UserError(f"cannot use{where}: {error.strerror or error}") from error
    except ValueError as error:
        raise UserError(str(error)) from error


Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ID]...", help="Ids of papers, tables or figures; all but those on real data if none."),
]
Only = Annotated[list[str] | None, typer.Option("--only", metavar="ID", help="The same as naming the ids.")]
Scale = Annotated[str, typer.Option(help="smoke (seconds), quick (minutes) or paper (the paper's own settings throughout).")]
Seeds = Annotated[int | None, typer.Option(help="Seeds 1 to N for every row; default: 2, 5, 20 by scale.", show_default=False)]
Force = Annotated[bool, typer.Option("--force", help="Replace results, too, that more runs stand behind.")]
StorePath = Annotated[Path, typer.Option("--store", help="Where every run is kept.")]
Out = Annotated[Path, typer.Option("--out", help="Where tables, figures and index.html go.")]
DataRoot = Annotated[
    Path | None,
    typer.Option(
        "--data-root", help="Folder of real data sets; default: $FLATPROOF_DATA or ~/.cache/flatproof.", show_default=False
    ),
]
Board = Annotated[
    Path | None,
    typer.Option(
        "--tensorboard", metavar="FOLDER", help="Also write the training curves of networks on images there.", show_default=False
    ),
]
LabelsOption = Annotated[
    str,
    typer.Option(
        help="classes: the label takes two values, the smaller becomes -1 and the larger 1; real: numbers, without an accuracy; "
        "auto: -1 and 1 are classes, other codes of classes are refused, all else is real."
    ),
]
STORE, OUT = Path(".flatproof/runs.sqlite"), Path("paper_results")


@app.command()
def reproduce(
    ids: Ids = None,
    only: Only = None,
    scale: Scale = "quick",
    seeds: Seeds = None,
    workers: Annotated[int | None, typer.Option(help="Processes; default: one a core.", show_default=False)] = None,
    store: StorePath = STORE,
    out: Out = OUT,
    tensorboard: Board = None,
    data_root: DataRoot = None,
    force: Force = False,
) -> None:
    """Train what is missing and write the tables, figures and page. Kill it at any moment: it goes on where it was."""
    _look_for_data_in(data_root)
    processes = _cores() if workers is None else workers
    _reproduce([*(only or []), *(ids or [])], scale, seeds, processes, store, out, tensorboard, force)


@app.command()
def report(
    ids: Ids = None,
    only: Only = None,
    scale: Scale = "quick",
    seeds: Seeds = None,
    store: StorePath = STORE,
    out: Out = OUT,
    tensorboard: Board = None,
    data_root: DataRoot = None,
    force: Force = False,
) -> None:
    """Rebuild tables, figures and page from the store alone; what was not run is marked so."""
    _look_for_data_in(data_root)
    _reproduce([*(only or []), *(ids or [])], scale, seeds, None, store, out, tensorboard, force)


def _look_for_data_in(root: Path | None) -> None:
    """Make that folder the root of real data, in worker processes too. Errors: UserError if it is none."""
    if root is None:
        return
    if not root.is_dir():
        raise UserError(f"--data-root must be a folder, {root} is none")
    os.environ[ENVIRONMENT] = str(root.resolve())


def _reproduce(
    ids: list[str], scale: str, seeds: int | None, workers: int | None, path: Path, out: Path, board: Path | None, force: bool
) -> None:
    """Run what is missing with that many workers (None: run nothing), then write the artifacts, and curves for TensorBoard."""
    from flatproof.verify.cli.progress import Display
    from flatproof.verify.experiments import EXPERIMENTS, build, check_scale, select
    from flatproof.verify.jobs.store import Store
    from flatproof.verify.jobs.sweep import sweep
    from flatproof.verify.report.write import poorer, write

    with refusing_bad_input():
        chosen = {EXPERIMENTS[paper]: artifacts for paper, artifacts in select(ids).items()}
        check_scale(scale)
        if seeds is not None and not 1 <= seeds <= 10**5:
            raise ValueError(f"--seeds must be a whole number of {'at least 1' if seeds < 1 else 'at most 100000'}, got {seeds}")
        if workers is not None and workers < 1:
            raise ValueError(f"--workers must be a whole number of at least 1, got {workers}")
        if workers is None and not path.exists():
            raise ValueError(f"store {path} does not exist; expected one that 'flatproof reproduce' has written")
        _check_writable(out)
        if board is not None:
            from flatproof.verify.deep.tensorboard import check_installed

            check_installed()
        opened = Store(path)
    count = {e: seeds or e.DEFAULT_SEEDS[scale] for e in chosen}
    with opened as db:
        jobs = [job for e, artifacts in chosen.items() for job in e.grid(artifacts, scale, count[e])]
        if workers is not None:
            names = {run.key: name for name, run in jobs}
            todo = db.missing(run for _, run in jobs)
            console.print(
                f"{len(names)} runs at scale {scale}: {len(names) - len(todo)} stored in {path}, {len(todo)} to do",
                highlight=False,
                soft_wrap=True,
            )
            if todo:
                with Display(console, len(todo), names) as display:
                    sweep(todo, db, workers, display)
        command = shlex.join(
            ["flatproof", "reproduce", *(["--only", *ids] if ids else []), "--scale", scale]
            + (["--seeds", str(seeds)] if seeds else [])
        )
        artifacts = [a for e, names in chosen.items() for a in build(e, names, scale, count[e], db)]
        kept = {} if force else poorer(artifacts, out)
        with refusing_bad_input():
            files = write([a for a in artifacts if a.id not in kept], out, command)
            if board is not None:
                from flatproof.verify.deep.tensorboard import export

                exported = export(jobs, db, board)
                console.print(f"{exported} training curves written below {board}", highlight=False, soft_wrap=True)
    _show(artifacts)
    if absent := sorted({name for names in chosen.values() for name in names} - {artifact.id for artifact in artifacts}):
        console.print(f"\nno stored runs of: {', '.join(absent)}", highlight=False, soft_wrap=True)
    if kept:
        first, lost = next(iter(kept.items()))
        console.print(
            f"\nkept, since more runs stand behind them than behind these: {', '.join(kept)} ({first}, {lost}); --force replaces them",
            highlight=False,
            soft_wrap=True,
        )
    console.print(f"\n{len(files)} files written; see {files[-1]}", highlight=False, soft_wrap=True)


def _show(artifacts: "list[Artifact]") -> None:
    from flatproof.verify.report.artifacts import Table

    for table in (a for a in artifacts if isinstance(a, Table)):
        brief = table.shown[list(table.brief)]
        grid = Grid(title=table.title, title_justify="left", show_lines=True)
        for column in brief.columns:
            grid.add_column(column)
        for row in brief.to_numpy().tolist():
            grid.add_row(*(Text(str(cell)) for cell in row))
        (console if console.is_terminal else Console(width=120)).print(grid)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _check_writable(folder: Path) -> None:
    """OSError now rather than after hours of training."""
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / f".probe.{os.getpid()}"
    probe.write_bytes(b"")
    probe.unlink()


@app.command()
def claims(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Statements to show in full; a table of all if none.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of objects.")] = False,
    store: StorePath = STORE,
) -> None:
    """Examine the printed statements now: what is proved, cited, certified, tested, open, or refuted, in what, and what holds instead."""
    from flatproof.verify.experiments import examine
    from flatproof.verify.experiments.ledger import in_full, table
    from flatproof.verify.jobs.store import Store

    with refusing_bad_input():
        db = Store(store) if store.exists() else None
        found = examine(ids or [], db)
    listed = []
    with console.status("examining") if console.is_terminal and not as_json else nullcontext():
        for one in found:
            if ids and not as_json:
                console.print(in_full(one) + "\n", markup=False, highlight=False, soft_wrap=True)
            listed.append(one)
    if as_json:
        print(json.dumps([asdict(one) for one in listed], ensure_ascii=False))
    elif not ids:
        everything = table("all/claims", listed)
        _show([everything])
        console.print(everything.notes[0], highlight=False, soft_wrap=True)


@app.command()
def train(
    architecture: Annotated[str, typer.Option(help="no-bias, bias, sim-bn or sim-ln.")],
    lr: Annotated[float, typer.Option(help="Step size.")] = 0.01,
    rho: Annotated[float, typer.Option(help="Radius of SAM's perturbation; 0 is SGD.")] = 0.05,
    epochs: Annotated[int, typer.Option(help="Passes over the training set.")] = 1000,
    batch_size: Annotated[int, typer.Option(help="Samples a step.")] = 1,
    weight_decay: Annotated[float, typer.Option(help="Adds this multiple of the parameters to the gradient.")] = 0.0,
    label_noise: Annotated[float, typer.Option(help="Standard deviation of fresh noise on each label.")] = 0.0,
    first_layer_norm: Annotated[
        float | None,
        typer.Option(help="Norm of the first layer, weights and biases together, kept after each step.", show_default=False),
    ] = None,
    trace_penalty: Annotated[float, typer.Option(help="Adds this multiple of the trace at interpolation to the loss.")] = 0.0,
    smoothing: Annotated[
        float | None,
        typer.Option(help="Logistic loss with this label smoothing in place of the mean squared error.", show_default=False),
    ] = None,
    activation: Annotated[str, typer.Option(help="relu or softplus.")] = "relu",
    depth: Annotated[int, typer.Option(help="Layers, 2 or 3.")] = 2,
    width: Annotated[int, typer.Option(help="Neurons.")] = 500,
    seed: Annotated[int, typer.Option(help="Of the data, the initialization, the order and the noise.")] = 0,
    d: Annotated[int, typer.Option("--d", help="Dimension of the parity data.")] = 30,
    n: Annotated[int, typer.Option("--n", help="Training points of the parity data.")] = 100,
    data: Annotated[Path | None, typer.Option(help="CSV of your own points: a row a point, the label last.")] = None,
    test: Annotated[Path | None, typer.Option(help="CSV of test points alike; test error is measured on them alone.")] = None,
    labels: LabelsOption = "auto",
    engine: Annotated[str, typer.Option(help="fused or reference.")] = "fused",
    dtype: Annotated[str, typer.Option(help="float32 or float64.")] = "float32",
    as_json: Annotated[bool, typer.Option("--json", help="Print the curve and outcome as JSON.")] = False,
) -> None:
    """Train one network on parity data or your own points, and print what is measured along the way."""
    from flatproof.theory.losses import MSE, Loss
    from flatproof.verify.two_layer.settings import DataSpec, Phase, Run
    from flatproof.verify.two_layer.training import train as carry_out

    with refusing_bad_input():
        phase = Phase(lr, epochs, rho, batch_size, weight_decay, label_noise, first_layer_norm, trace_penalty)
        spec = DataSpec("parity", seed, {"d": d, "n": n})
        loss = MSE if smoothing is None else Loss("logistic", smoothing)
        run = Run(
            architecture,
            (phase,),
            spec,
            width=width,
            seed=seed,
            dtype=dtype,
            engine=engine,
            loss=loss,
            activation=activation,
            depth=depth,
        )
        if data is None and test is not None:
            raise ValueError("--test needs --data; expected both or neither")
        if data is None and labels != "auto":
            raise ValueError("--labels says what the labels of --data are; expected both or neither")
        points = spec.build() if data is None else _own_points(data, test, labels)

    def show(epoch: int, values: dict[str, float]) -> None:
        if not as_json:
            said = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
            console.print(f"epoch {epoch:>8,}  {said}", highlight=False, soft_wrap=True)

    with refusing_bad_input():
        result = carry_out(run, points, show)
    if as_json:
        outcome = {k: getattr(result, k) for k in ("status", "curve", "lower_bound", "diverged_at", "diverged_step", "seconds")}
        if result.lower_bound != result.lower_bound:  # NaN, which JSON has not
            outcome["lower_bound"] = None
        settings = run.settings()
        if data is not None:
            settings["data"] = {"file": str(data), "test": test and str(test), "labels": points.labels, **points.settings}
        print(json.dumps(outcome | {"settings": settings}))
        return
    if result.status == "diverged":
        console.print(f"diverged in step {result.diverged_step:,} (epoch {result.diverged_at:,})")
        return
    bound = result.lower_bound
    console.print(
        f"trace {result.final('trace'):.6g} at training loss {result.final('train_loss'):.3g}, "
        f"lower bound {'–' if bound != bound else f'{bound:.6g}'} for networks that interpolate, {result.seconds:.1f} s",
        highlight=False,
        soft_wrap=True,
    )


@app.command()
def certify(
    file: Annotated[Path, typer.Argument(metavar="FILE.csv", help="Your points: a row a point, the label last.")],
    architecture: Annotated[str, typer.Option(help="no-bias, bias or sim-bn.")] = "no-bias",
    kinks: Annotated[
        str, typer.Option(help="differentiable, or relu'(0)=0: whether samples may sit on kinks.")
    ] = "differentiable",
    test: Annotated[Path | None, typer.Option(help="CSV of test points alike: do all flattest networks get them right?")] = None,
    within: Annotated[
        float, typer.Option(help="With --test: speak of all networks whose trace is this near the flattest, relative.")
    ] = 1e-6,
    labels: LabelsOption = "auto",
    limit: Annotated[int, typer.Option(help="The most activation patterns to list.")] = 200_000,
    bracket: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Search so long instead of listing patterns: bounds from both sides.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Where the network and the certificate go.")] = Path(),
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Find the flattest network that fits your points, prove that none is flatter, and what all of them predict."""
    from flatproof.verify.cli.certify import bracket as search
    from flatproof.verify.cli.certify import certify as carry_out

    name = f"{file.stem}.{architecture}"
    with refusing_bad_input():
        if limit < 1:
            raise ValueError(f"--limit must be a whole number of at least 1, got {limit}")
        if not 0 < within < float("inf"):
            raise ValueError(f"--within must be a number above 0, got {within}")
        if bracket is not None and not 0 < bracket < float("inf"):
            raise ValueError(f"--bracket must be a number of seconds above 0, got {bracket}")
        if bracket is not None and test is not None:
            raise ValueError("--test needs the list of patterns; expected --test or --bracket, not both")
        points = _own_points(file, test, labels)
        if test is not None and points.labels != "signs":
            raise ValueError(f"--test asks whether points are classified; expected labels -1 and 1 in {file}, got real numbers")
        _check_writable(out)
    try:
        with refusing_bad_input():
            if bracket is not None:
                _show_bracket(search(points, architecture, kinks, bracket, out, name), as_json)
                return
            found = carry_out(points, architecture, kinks, limit, out, name, test is not None, within)
    except ArithmeticError as error:
        raise UserError(f"{file}: {error}") from error
    summary = found.summary()
    if as_json:
        print(json.dumps(summary))
        return
    solution = found.solution
    attained = "is attained" if solution.attained else "is approached, not attained"
    console.print(
        f"trace        {solution.trace:.10g}  ({solution.network.width} neurons; the minimum {attained}, as floating point has it: "
        "not certified)",
        highlight=False,
        soft_wrap=True,
    )
    console.print(
        f"lower bound  {summary['lower_bound']:.10g}  (proved in rational numbers over {summary['patterns']} patterns)",
        highlight=False,
    )
    console.print(f"gap          {summary['gap']:.1e}", highlight=False)
    if found.decision is not None:
        _show_decision(found.decision)
    for name, path in found.files.items():
        console.print(f"{name:<12} {path}", highlight=False, soft_wrap=True)


def _show_bracket(found: "Bracketed", as_json: bool) -> None:
    """Both bounds, and how the search ended."""
    if as_json:
        print(json.dumps(found.summary()))
        return
    bracket = found.bracket
    ended = "the search found nothing more" if bracket.exhausted else "the time was up"
    width = f"a network of {bracket.network.width} neurons"
    console.print(
        f"upper bound  {bracket.upper:.10g}  ({width}; {ended})",
        highlight=False,
        soft_wrap=True,
    )
    console.print(f"lower bound  {bracket.lower_bound:.10g}  (proved, in double precision)", highlight=False)
    console.print(f"gap          {bracket.gap:.1e}", highlight=False)
    console.print(f"network      {found.files['network']}", highlight=False, soft_wrap=True)


def _show_decision(decision: "Decision") -> None:
    """The answer, and the range of predictions at each test point (at most 20 rows), each with what it rests on."""
    k, total = int(decision.right.sum()), len(decision.y)
    near = f"within {decision.within:g} of the flattest trace"
    answer = {
        "all": f"all flattest networks classify every test point correctly: certified for all networks {near}",
        "not all": f"not all networks {near} classify every test point correctly: certified; {k} of {total} points are certified right",
        "undecided": f"undecided for networks {near}: {k} of {total} test points are certified right, and no network at hand errs",
    }[decision.answer]
    console.print(f"decision     {answer}", highlight=False, soft_wrap=True)
    console.print(f"ranges       over all networks {near}", highlight=False, soft_wrap=True)
    grid = Grid("point", "label", "smallest", "largest", "settled", "range")
    for i in range(min(total, 20)):
        settled = "right" if decision.right[i] else "wrong" if decision.wrong[i] else "no"
        where = ", ".join(f"{c:g}" for c in decision.x[i][:6]) + (", …" if decision.x.shape[1] > 6 else "")
        proof = "certified" if decision.certified[i] else "not certified"
        grid.add_row(where, f"{decision.y[i]:g}", f"{decision.low[i]:.6g}", f"{decision.high[i]:.6g}", settled, proof)
    console.print(grid)
    if total > 20:
        console.print(f"{total - 20} more test points: --json lists all")


def _own_points(path: Path, test: Path | None, labels: str) -> "synth.Data":
    from flatproof import synth

    x, y = read_points(path)
    test_x, test_y = (None, None) if test is None else read_points(test)
    return synth.given(x, y, test_x, test_y, labels)  # type: ignore[arg-type]


def read_points(path: Path) -> tuple[Any, Any]:
    """Points (n, d) and labels (n,) of a CSV file: a row a point, the label last. Blank lines and lines from # on are skipped.

    A first row without a single number is a header. Errors: ValueError naming the file and the line that is not as wide as the
    first or holds something else than finite numbers; OSError when the file cannot be read.
    """
    import csv
    from math import isfinite

    import numpy as np

    def number(cell: str) -> float | None:
        try:
            return float(cell)
        except ValueError:
            return None

    rows: list[list[float]] = []
    width = 0
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            for cells in reader:
                if not "".join(cells).strip() or cells[0].lstrip().startswith("#"):
                    continue
                where = f"{path}, line {reader.line_num}"
                values = [number(cell) for cell in cells]
                if not width:
                    width = len(cells)
                    if width < 2:
                        raise ValueError(f"{where} must hold at least two numbers, the label last, got {cells}")
                    if all(v is None for v in values):
                        continue
                    if values == list(range(width)):
                        raise ValueError(f"{where} counts columns 0 to {width - 1}; expected a point, or names of columns")
                if len(cells) != width:
                    raise ValueError(f"{where} must hold {width} numbers like the first row, got {len(cells)}")
                for column, (cell, value) in enumerate(zip(cells, values, strict=True), start=1):
                    if value is None or not isfinite(value):
                        raise ValueError(f"{where}, column {column} must be a finite number, got {cell!r}")
                rows.append([v for v in values if v is not None])
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is not a text table of numbers separated by commas: {error}") from None
    if not rows:
        raise ValueError(f"{path} must hold at least one row of numbers, got none")
    table = np.array(rows)
    return table[:, :-1], table[:, -1]


@app.command()
def sharpness(
    model: Annotated[str, typer.Option(help="module:function that returns the torch.nn.Module.")],
    data: Annotated[str, typer.Option(help="FILE.npz or FILE.pt with x and y, or module:function that yields batches (x, y).")],
    weights: Annotated[Path | None, typer.Option(help="State dict (torch.save) or .npz; the model's own if none.")] = None,
    loss: Annotated[str, typer.Option(help="mse, cross-entropy, or module:function of outputs and targets.")] = "cross-entropy",
    measures: Annotated[str | None, typer.Option(help="Names separated by commas; all if none.", show_default=False)] = None,
    parameters: Annotated[
        str | None, typer.Option(help="Names or prefixes separated by commas; all if none.", show_default=False)
    ] = None,
    per_layer: Annotated[bool, typer.Option("--per-layer", help="Each layer's own parameters in turn.")] = False,
    mode: Annotated[
        str, typer.Option(help="eval or train: batch norm and dropout as there, frozen, statistics untouched.")
    ] = "eval",
    samples: Annotated[int | None, typer.Option(help="Only the first N samples.", show_default=False)] = None,
    batch_size: Annotated[int, typer.Option(help="Samples a pass, of data in a file.")] = 500,
    m: Annotated[int | None, typer.Option("--m", help="Batch size of the m-sharpness measures; default: the passes'.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", metavar="MEASURE.SETTING=VALUE", help="Repeatable.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32 or float64; default: the model's.", show_default=False)] = None,
    seed: Annotated[int, typer.Option(help="Of probes, starts and draws.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of objects.")] = False,
) -> None:
    """Measure the sharpness of a model, every definition with its interval and what it cost."""
    from flatproof.verify.cli.measuring import build_problem, fit_data, layers, load_data, load_loss, load_model, run, table

    def listed(text: str | None) -> list[str] | None:
        return None if text is None else [name.strip() for name in text.split(",") if name.strip()]

    with refusing_bad_input():
        if per_layer and parameters is not None:
            raise ValueError("--per-layer measures every layer; expected --parameters or --per-layer, not both")
        network, criterion = load_model(model, weights, dtype), load_loss(loss)
        batches = fit_data(load_data(data, batch_size, samples), network, loss)
        problem = build_problem(network, criterion, batches, mode, listed(parameters))
        parts: list[tuple[str | None, Problem]] = [(None, problem)]
        if per_layer:
            parts = [(k, build_problem(network, criterion, batches, mode, v)) for k, v in layers(network).items()]
        rows: list[Any] = []
        with console.status("measuring") if console.is_terminal and not as_json else nullcontext():
            for layer, part in parts:
                rows += run(part, listed(measures), seed=seed, batch_size=m, settings=settings, layer=layer)
    if as_json:
        print(json.dumps([row.as_dict() for row in rows]))
        return
    grid = table(rows, f"{problem.size:,} parameters, {problem.samples:,} samples, {loss}, {mode} mode")
    (console if console.is_terminal else Console(width=150)).print(grid)


@bench.command("train")
def bench_train(
    repeats: Annotated[int, typer.Option(help="Timed runs of each implementation.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of rows.")] = False,
) -> None:
    """The 1-SAM step at d = 30, m = 500, n = 100 on one core: fused, a plain torch loop, jax.lax.scan where installed."""
    from flatproof.verify.bench.steps import bars, sam_step_timings
    from flatproof.verify.jobs.provenance import provenance

    with refusing_bad_input():
        if repeats < 1:
            raise ValueError(f"--repeats must be a whole number of at least 1, got {repeats}")
    rows = sam_step_timings(repeats)
    if as_json:
        print(json.dumps([asdict(row) for row in rows]))
        return
    slowest = {row.architecture: row.us_per_step for row in rows if row.implementation == "torch"}
    grid = Grid(title="1-SAM, d = 30, m = 500, n = 100, float32, one core", title_justify="left")
    for column in ("architecture", "implementation", "µs per step", "range", "times plain torch"):
        grid.add_column(column, justify="left" if column[0] in "ai" else "right")
    for row in rows:
        grid.add_row(
            row.architecture,
            row.implementation,
            f"{row.us_per_step:.2f}",
            f"{row.us_low:.2f}–{row.us_high:.2f}",
            f"{slowest[row.architecture] / row.us_per_step:.1f}",
        )
    console.print(grid)
    for line in bars(rows):
        console.print(line, highlight=False, soft_wrap=True)
    said = "; ".join(f"{k}: {v}" for k, v in provenance().items())
    console.print(f"median and range of {repeats} repeats; {said}", highlight=False, soft_wrap=True)


@bench.command("certify")
def bench_certify(
    repeats: Annotated[int, typer.Option(help="Timed runs of each implementation.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of rows.")] = False,
) -> None:
    """The flattest network of six data sets on one core: pattern generation, and all patterns at once through cvxpy."""
    from flatproof.verify.bench.certify import OURS, certify_timings
    from flatproof.verify.jobs.provenance import provenance

    with refusing_bad_input():
        if repeats < 1:
            raise ValueError(f"--repeats must be a whole number of at least 1, got {repeats}")
    rows = certify_timings(repeats)
    if as_json:
        print(json.dumps([asdict(row) for row in rows]))
        return
    grid = Grid(title="Flattest networks, seconds a data set, one core", title_justify="left")
    for column in ("data", "patterns", "flatproof", "cvxpy", "ratio"):
        grid.add_column(column, justify="left" if column == "data" else "right")
    peers = {row.workload: row for row in rows if row.implementation != OURS}
    for row in (row for row in rows if row.implementation == OURS):
        peer, seconds = peers.get(row.workload), f"{row.seconds:.3f} ({row.low:.2f}–{row.high:.2f})"
        other = (
            (f"{peer.seconds:.3f} ({peer.low:.2f}–{peer.high:.2f})", f"{peer.seconds / row.seconds:.1f}")
            if peer
            else ("not run", "")
        )
        grid.add_row(row.workload, f"{row.patterns}", seconds, *other)
    console.print(grid)
    said = "; ".join(f"{k}: {v}" for k, v in provenance().items())
    console.print(f"median and range of {repeats} repeats; {said}", highlight=False, soft_wrap=True)


@bench.command("hvp")
def bench_hvp(
    workload: Annotated[str | None, typer.Option(help="two-layer, mlp, vgg11, resnet18 or vit; all if none.")] = None,
    rounds: Annotated[int | None, typer.Option(help="Timed rounds; default by workload.", show_default=False)] = None,
    memory: Annotated[bool, typer.Option(help="Measure peak memory, each row in a fresh process.")] = True,
    out: Annotated[Path | None, typer.Option("--out", help="Write tables and figure there, as in paper_results.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of rows.")] = False,
) -> None:
    """One Hessian-vector product by every kernel and every installed peer, as a multiple of one gradient, and what lambda_max takes."""
    from flatproof.verify.bench.hvp.report import artifacts, grid
    from flatproof.verify.bench.hvp.timings import PEERS, WORKLOADS, hvp_timings, make_workload, versions
    from flatproof.verify.jobs.provenance import provenance
    from flatproof.verify.report.write import write

    with refusing_bad_input():
        if rounds is not None and rounds < 1:
            raise ValueError(f"--rounds must be a whole number of at least 1, got {rounds}")
        if workload is not None:
            make_workload(workload)
        if out is not None:
            _check_writable(out)
    wide = console if console.is_terminal else Console(width=170)
    found = []
    for name in [workload] if workload else list(WORKLOADS):
        rows = hvp_timings(name, rounds, memory=memory)
        found += rows
        if not as_json:
            wide.print(grid(rows))
    about = provenance() | versions(PEERS)
    if out is not None:
        with refusing_bad_input():
            write(artifacts(found, about, out), out, "flatproof bench hvp --out DIR")
    if as_json:
        print(json.dumps([asdict(row) for row in found]))
        return
    console.print("; ".join(f"{k}: {v}" for k, v in about.items()), highlight=False, soft_wrap=True)


@bench.command("images")
def bench_images(
    workload: Annotated[str | None, typer.Option(help="A workload's name; all that this machine can run if none.")] = None,
    repeats: Annotated[int, typer.Option(help="Timed epochs of each implementation.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of rows.")] = False,
) -> None:
    """An epoch of training on images, one core or a GPU: our harness, and the usual loop over a DataLoader with 0 and 2 workers."""
    from flatproof.verify.bench.images import OURS, image_timings, selected
    from flatproof.verify.jobs.provenance import provenance

    with refusing_bad_input():
        if repeats < 1:
            raise ValueError(f"--repeats must be a whole number of at least 1, got {repeats}")
        selected(workload)
    rows = image_timings(workload, repeats)
    if as_json:
        print(json.dumps([asdict(row) for row in rows]))
        return
    grid = Grid(title="An epoch of training on images; CPU: one core", title_justify="left")
    for column in ("workload", "implementation", "images per second", "seconds", "range", "flatproof is faster"):
        grid.add_column(column, justify="left" if column[0] in "w" or column == "implementation" else "right")
    fastest = {row.workload: row.seconds for row in rows if row.implementation == OURS}
    for row in rows:
        times = "" if row.implementation == OURS else f"{row.seconds / fastest[row.workload]:.2f}"
        rate, spread = f"{row.images_per_second:,.0f}", f"{row.low:.3f}–{row.high:.3f}"
        grid.add_row(row.workload, row.implementation, rate, f"{row.seconds:.3f}", spread, times)
    console.print(grid)
    said = "; ".join(f"{k}: {v}" for k, v in provenance().items())
    console.print(f"median and range of {repeats} epochs; {said}", highlight=False, soft_wrap=True)


@bench.command("gpu")
def bench_gpu() -> None:
    """The GPU kernels: compare with the reference, time, print one table (make gpu-check). Without a GPU: interpreted, not timed."""
    try:
        from flatproof.verify.bench.gpu.check import main as check
    except ModuleNotFoundError as missing:
        raise UserError(str(missing)) from missing
    raise typer.Exit(check())


def main() -> None:
    """Entry point: one line and exit status 2 for bad input, 1 for a failure, 130 when interrupted; never a traceback."""
    try:
        status = app(standalone_mode=False)
        sys.exit(status if isinstance(status, int) else 0)
    except UserError as error:
        _fail(str(error), 2)
    except MemoryError as error:
        _fail(f"out of memory: {error}; expected smaller sizes", 1)
    except (KeyboardInterrupt, typer.Abort):
        _fail("interrupted; finished runs are stored, and the same command goes on from there", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:  # the last stop: nobody above would turn it into a line
        if hasattr(error, "format_message"):  # a usage error found by typer
            _fail(error.format_message() or "see --help", getattr(error, "exit_code", 2))
        if os.environ.get("FLATPROOF_DEBUG"):
            raise
        _fail(f"{type(error).__name__}: {error} (FLATPROOF_DEBUG=1 shows where)", 1)


def _fail(message: str, status: int) -> None:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
