"""Owns `flatproof reproduce` and `flatproof report`: runs what is missing, and writes tables, figures and the page."""

import shlex
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Annotated

import typer

from flatproof.caching import use_cache
from flatproof.verify.cli.endings import stored_count
from flatproof.verify.cli.options import (
    OUT,
    STORE,
    Board,
    Columns,
    DataRoot,
    Force,
    Ids,
    Only,
    Out,
    Scale,
    Seeds,
    StorePath,
    check_at_least_one,
    check_writable,
    cores,
    look_for_data_in,
)
from flatproof.verify.cli.outcomes import built, check_alone, publish, rebuild
from flatproof.verify.cli.store import mended, require_store
from flatproof.verify.cli.terminal import console, print_tables, refusing_bad_input, say, warn
from flatproof.verify.utils.errors import SweepError, UserError

if TYPE_CHECKING:
    from flatproof.verify.experiments import Experiment


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
    engine: Annotated[
        str,
        typer.Option(
            help="Where runs are carried out: local, dask://host:port, or a YAML file of dask-jobqueue (SLURM, PBS, ...)."
        ),
    ] = "local",
    columns: Columns = "brief",
    rerun_damaged: Annotated[
        bool, typer.Option("--rerun-damaged", help="Set a damaged store aside, keep its sound runs, and run the others anew.")
    ] = False,
) -> None:
    """Train what is missing and write the tables, figures and page. Kill it at any moment: it goes on where it was."""
    look_for_data_in(data_root)
    processes = cores() if workers is None else workers
    if rerun_damaged and store.exists():
        require_store(store)
        mended(store)
    _reproduce([*(only or []), *(ids or [])], scale, seeds, processes, store, out, tensorboard, force, columns, engine)


def report(
    ids: Ids = None,
    only: Only = None,
    scale: Annotated[str | None, typer.Option(help="As for reproduce; with --from all that are there.")] = None,
    seeds: Seeds = None,
    store: StorePath = STORE,
    out: Out = OUT,
    tensorboard: Board = None,
    data_root: DataRoot = None,
    force: Force = False,
    columns: Columns = "brief",
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="FOLDER", help="Not from a store: from the outcomes published in a folder of results."),
    ] = None,
) -> None:
    """Rebuild tables, figures and page from the store alone; what was not run is marked so."""
    look_for_data_in(data_root)
    chosen = [*(only or []), *(ids or [])]
    if source is None:
        _reproduce(chosen, "quick" if scale is None else scale, seeds, None, store, out, tensorboard, force, columns)
    else:
        check_alone(seeds, store, tensorboard)
        rebuild(chosen, scale, source, out, force, columns)


def _reproduce(
    ids: list[str],
    scale: str,
    seeds: int | None,
    workers: int | None,
    path: Path,
    out: Path,
    board: Path | None,
    force: bool,
    columns: str,
    engine: str = "local",
) -> None:
    """Run what is missing with that many workers (None: run nothing), then write the artifacts, and curves for TensorBoard."""
    use_cache(path.parent)
    from flatproof.verify.cli.growing import PAGE, Growing
    from flatproof.verify.cli.progress import Display
    from flatproof.verify.experiments import abouts
    from flatproof.verify.jobs.store import Store
    from flatproof.verify.jobs.sweep import Progress, sweep
    from flatproof.verify.report.descriptors import descriptors
    from flatproof.verify.report.outcomes import Asked
    from flatproof.verify.report.write import poorer, write

    with refusing_bad_input():
        chosen = _chosen(ids, scale, seeds, workers, path)
        check_writable(out)
        if board is not None:
            from flatproof.verify.deep.tensorboard import check_installed

            check_installed()
        opened = Store(path)
    count = {e: seeds or e.DEFAULT_SEEDS[scale] for e in chosen}
    failed: SweepError | None = None
    command, drawn = _command(ids, scale, seeds), set[str]()
    with opened as db, stored_count(db) as counted:
        jobs = [job for e, artifacts in chosen.items() for job in e.grid(artifacts, scale, count[e])]
        if workers is None and not db.keys():
            raise UserError(f"store {path} holds nothing; expected one that 'flatproof reproduce' has written")
        if workers is not None:
            names = {job.key: name for name, job in jobs}
            missing = db.missing(job for _, job in jobs)
            stored = len(names) - len(missing)
            counted.update(names)
            say(f"{len(names)} runs at scale {scale}: {stored} stored in {path}, {len(missing)} to do; the page is {out / PAGE}")
            if missing:
                Thread(target=_prepare, args=(chosen,), daemon=True).start()
                try:
                    with Display(console, len(missing), names) as display:
                        growing = Growing(chosen, scale, count, db, out, command, columns, force, display.note)

                        def ended(done: Progress) -> None:
                            display(done)
                            growing(done.job.key)

                        soonest = growing.first()
                        sweep(missing, db, workers, ended, display.name, display.note, engine, soonest, display.begins)
                        drawn = growing.whole
                except SweepError as error:  # what is stored is shown first
                    if not len(db):
                        raise
                    failed = error
        if unsealed := db.unsealed():
            say(
                f"{unsealed} rows in {path} are unsealed: from before rows were sealed; 'flatproof store check' checks and seals them"
            )
        builds = [built(e, names, db, Asked(scale, count[e], command, columns)) for e, names in chosen.items()]
        artifacts = [artifact for made, _, _ in builds for artifact in made]
        damaged = [row for _, _, rows in builds for row in rows.values()]
        with refusing_bad_input():
            kept = {} if force else poorer(artifacts, out)
            written = [(build, [a for a in made if a.id not in kept]) for made, build, _ in builds]
            files = write([a for _, made in written for a in made], out, command, abouts(chosen), columns, drawn)
            unpublished = publish(written, out, force)
            if board is not None:
                from flatproof.verify.deep.tensorboard import export

                say(f"{export(jobs, db, board)} training curves written below {board}")
    print_tables(artifacts)
    unusable = {id for _, ids in damaged for id in ids}
    if absent := sorted(
        {name for names in chosen.values() for name in names} - {artifact.id for artifact in artifacts} - unusable
    ):
        say(f"\nno stored runs of: {', '.join(absent)}")
    if kept:
        first, lost = next(iter(kept.items()))
        say(
            f"\nkept, since more runs stand behind them than behind these: {', '.join(kept)} ({first}, {lost}); --force replaces them"
        )
    say(f"\n{len(files)} files written; see {files[-1]}")
    with refusing_bad_input():
        altered = descriptors(out)[1]
    for line in altered:
        warn(f"{line}; it is not on the page, and its files are kept unless --force")
    for line in unpublished:
        warn(line)
    for row, ids in damaged:
        warn(f"{row}; not written: {', '.join(ids)}")
    if damaged:
        warn(f"{len(damaged)} damaged rows in {path} are left alone; 'flatproof reproduce ... --rerun-damaged' runs them anew")
    if failed:
        raise failed
    if damaged or altered or unpublished:
        raise typer.Exit(1)


def _prepare(chosen: "dict[Experiment, list[str]]") -> None:
    """What needs no run; an error is left to the one who needs it."""
    with suppress(Exception):
        for experiment, ids in chosen.items():
            experiment.prepare(ids)


def _chosen(ids: list[str], scale: str, seeds: int | None, workers: int | None, path: Path) -> "dict[Experiment, list[str]]":
    """The artifacts that are asked for, by experiment. ValueError naming the argument that cannot be used."""
    from flatproof.verify.experiments import EXPERIMENTS, check_scale, select

    chosen = {EXPERIMENTS[paper]: artifacts for paper, artifacts in select(ids).items()}
    check_scale(scale)
    check_at_least_one("--seeds", seeds)
    if seeds is not None and seeds > 10**5:
        raise ValueError(f"--seeds must be a whole number of at most 100000, got {seeds}")
    check_at_least_one("--workers", workers)
    if workers is None:
        require_store(path)
    return chosen


def _command(ids: list[str], scale: str, seeds: int | None) -> str:
    """What reproduces these artifacts, as one types it."""
    named = ["--only", *ids] if ids else []
    return shlex.join(["flatproof", "reproduce", *named, "--scale", scale, *(["--seeds", str(seeds)] if seeds else [])])
