"""Owns `flatproof correlate`: the sharpness of every checkpoint of the user's own sweep against its errors."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flatproof.caching import use_cache
from flatproof.verify.cli.endings import stored_count
from flatproof.verify.cli.options import STORE, AsJson, Entry, Prefix, StorePath, check_at_least_one, check_writable, cores
from flatproof.verify.cli.terminal import animated, console, print_json, print_tables, refusing_bad_input, say, warn
from flatproof.verify.utils.errors import SweepError, UserError

if TYPE_CHECKING:
    from flatproof.verify.experiments.own_sweep.plan import Cell, Plan
    from flatproof.verify.experiments.own_sweep.show import Tau
    from flatproof.verify.jobs.store import Store
    from flatproof.verify.jobs.sweep import Progress

MEASURES = "adaptive-worst-linf,adaptive-average-l2,lambda-max,trace"


def correlate(
    checkpoints: Annotated[
        Path, typer.Option(help="Folder of checkpoints: .pt, .pth, .ckpt, .bin, .safetensors, .npz, or folders.")
    ],
    errors: Annotated[
        Path, typer.Option(help="CSV, parquet or -: a row a checkpoint, its name first, then numbers; a column group if any.")
    ],
    model: Annotated[str, typer.Option(help="module:function, timm:NAME, or transformers:AutoClass.")],
    data: Annotated[str, typer.Option(help="FILE.npz or FILE.pt with x and y, or module:function that yields batches (x, y).")],
    loss: Annotated[str, typer.Option(help="mse, cross-entropy, or module:function of outputs and targets.")] = "cross-entropy",
    measures: Annotated[str, typer.Option(help="Names, or module:object, separated by commas.")] = MEASURES,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="MEASURE.SETTING=VALUE", help="Repeatable; a setting given again is measured at each value."
        ),
    ] = None,
    parameters: Annotated[
        str | None, typer.Option(help="Names or prefixes separated by commas; all if none.", show_default=False)
    ] = None,
    mode: Annotated[str, typer.Option(help="eval or train, as for flatproof sharpness.")] = "eval",
    samples: Annotated[int | None, typer.Option(help="Only the first N samples.", show_default=False)] = None,
    batch_size: Annotated[int, typer.Option(help="Samples a pass, of data in a file.")] = 500,
    m: Annotated[int | None, typer.Option("--m", help="Batch size of the m-sharpness measures; default: the passes'.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32 or float64; default: the model's.", show_default=False)] = None,
    seed: Annotated[int, typer.Option(help="Of probes, starts and draws.")] = 0,
    entry: Entry = None,
    prefix: Prefix = None,
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Leave out, and name, what does not fit: files, rows, cells, measures.")
    ] = False,
    workers: Annotated[int | None, typer.Option(help="Processes; default: one a core.", show_default=False)] = None,
    store: StorePath = STORE,
    out: Annotated[Path, typer.Option("--out", help="Where tables, figures and index.html go.")] = Path("correlation"),
    as_json: AsJson = False,
) -> None:
    """Correlate sharpness with errors over your own checkpoints. Kill it at any moment: it goes on where it was."""
    use_cache(store.parent)
    from flatproof.verify.experiments.own_sweep.jobs import Subject
    from flatproof.verify.experiments.own_sweep.plan import planned
    from flatproof.verify.jobs.store import Store

    with refusing_bad_input():
        check_at_least_one("--workers", workers)
        cells = _cells(measures, settings or [], seed, m)
        chosen = None if parameters is None else tuple(name.strip() for name in parameters.split(",") if name.strip())
        subject = Subject(model, data, loss, "", "", mode, batch_size, samples, dtype, chosen, entry, prefix)
        check_writable(out)
        opened = Store(store)
    with opened as db, refusing_bad_input():
        if as_json or not animated(console):
            plan = planned(subject, cells, checkpoints, errors, db, skip_broken, lambda _: None)
        else:
            with console.status("reading") as status:
                plan = planned(subject, cells, checkpoints, errors, db, skip_broken, status.update)
        for line in plan.left_out:
            warn(f"left out: {line}")
        if not as_json:
            for line in plan.others[:1]:
                say(line)
        _measure(plan, db, cores() if workers is None else workers, skip_broken, as_json)
        about = {
            "checkpoints": f"{len(plan.models)} of {checkpoints}",
            "errors": str(errors),
            "model": model,
            "data": data,
            "loss": loss,
        }
        taus, left_out, files = _report(plan, db, checkpoints, out, about, skip_broken, as_json)
    if as_json:
        count = len(plan.models)
        print_json({"checkpoints": count, "correlations": [tau.as_dict() for tau in taus], "left_out": left_out})
    else:
        say(f"\n{len(files)} files written; see {files[-1]}")


def _cells(measures: str, settings: list[str], seed: int, m: int | None) -> "list[Cell]":
    """The measures with their settings. ValueError naming the option that cannot be used."""
    from flatproof.verify.cli.measuring import parse_variants
    from flatproof.verify.curvature.sharpness import Measure, select
    from flatproof.verify.experiments.own_sweep.plan import Cell
    from flatproof.verify.experiments.own_sweep.show import labels
    from flatproof.verify.utils.checks import check_whole

    check_whole("--seed", seed, 0)
    if m is not None:
        check_whole("--m", m)
    named = [text.strip() for text in measures.split(",") if text.strip()]
    if not named:
        raise ValueError(f"--measures must name at least one measure, such as {MEASURES}")
    sources: dict[str, str] = {}
    chosen: dict[str, Measure] = {}
    for text in named:
        for name, measure in select([text]).items():
            sources.setdefault(name, text)
            chosen.setdefault(name, measure)
    cells = []
    variants = parse_variants(settings, chosen)
    for (name, own), label in zip(variants, labels(variants), strict=True):
        accepted = chosen[name].accepts
        given: dict[str, Any] = {"seed": seed} if "seed" in accepted else {}
        if m is not None and "batch_size" in accepted:
            given["batch_size"] = m
        cells.append(Cell(label, name, sources[name], json.dumps(given | own, sort_keys=True)))
    return cells


def _measure(plan: "Plan", db: "Store", workers: int, skip_broken: bool, quiet: bool) -> None:
    """Carry out what is missing. UserError for what cannot be measured, SweepError for what failed, unless they are left out."""
    from flatproof.verify.cli.progress import Display
    from flatproof.verify.experiments.own_sweep.plan import SKIP
    from flatproof.verify.jobs.sweep import sweep

    names = {job.key: name for name, job in plan.grid()}
    missing = db.missing(job for _, job in plan.grid())
    if not quiet:
        say(
            f"{len(plan.models)} checkpoints, {len(plan.cells)} measures: {len(names) - len(missing)} of {len(names)} measurements "
            f"stored in {db.path}, {len(missing)} to do"
        )
    display = Display(console, len(missing), names)

    def on_done(done: "Progress") -> None:
        if not quiet:
            display(done)
        reason = done.outcome.values.get("reason")
        if reason is not None and not skip_broken:
            raise UserError(f"{names[done.job.key]}: {done.job.summary(done.outcome.values)}; {SKIP}")

    if missing:
        with stored_count(db) as counted:
            counted.update(names)
            try:
                if quiet:
                    sweep(missing, db, workers, on_done, display.name)
                else:
                    with display:
                        sweep(missing, db, workers, on_done, display.name, display.note, begun=display.begins)
            except SweepError as error:
                if not skip_broken:
                    raise
                warn(f"left out: {error}")


def _report(
    plan: "Plan", db: "Store", folder: Path, out: Path, about: Mapping[str, str], skip_broken: bool, quiet: bool
) -> "tuple[Sequence[Tau], list[str], list[Path]]":
    """Write tables, figures and the page, print the table; what was left out beside the plan's own is named."""
    import shlex
    import sys

    from flatproof.verify.experiments.own_sweep.plan import SKIP, check_enough
    from flatproof.verify.experiments.own_sweep.show import Outcomes, artifacts
    from flatproof.verify.jobs.job import StoredValues
    from flatproof.verify.report.write import write

    jobs = [job for _, job in plan.grid()]
    there = db.keys()
    stored: dict[str, StoredValues] = {job.key: held for job in jobs if job.key in there and (held := db.get(job)) is not None}
    outcomes = Outcomes(plan, stored)
    unmeasured = outcomes.left_out[len(plan.left_out) :]
    if unmeasured and not skip_broken:
        more = f" (and {len(unmeasured) - 1} more lines like this)" if len(unmeasured) > 1 else ""
        raise UserError(f"{unmeasured[0]}{more}; {SKIP}")
    for line in unmeasured:
        warn(f"left out: {line}")
    measured = max(sum(value == value for value in column) for column in outcomes.sharpness.values())
    check_enough(measured, outcomes.left_out)
    taus, made = artifacts(outcomes, folder.resolve().name, about)
    files = write(made, out, shlex.join(["flatproof", *sys.argv[1:]]))
    if not quiet:
        print_tables(made[:1])
    return taus, outcomes.left_out, files
