"""Owns `flatproof reproduce` and `flatproof report`: runs what is missing, and writes tables, figures and the page."""

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
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
)
from flatproof.verify.cli.store import mended, require_store
from flatproof.verify.cli.terminal import console, print_tables, refusing_bad_input, say, warn
from flatproof.verify.utils.errors import UserError

if TYPE_CHECKING:
    from flatproof.verify.experiments import Experiment
    from flatproof.verify.jobs.store import DamagedRow, Store
    from flatproof.verify.report.artifacts import Artifact


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
    columns: Columns = "brief",
    rerun_damaged: Annotated[
        bool, typer.Option("--rerun-damaged", help="Set a damaged store aside, keep its sound runs, and run the others anew.")
    ] = False,
) -> None:
    """Train what is missing and write the tables, figures and page. Kill it at any moment: it goes on where it was."""
    _look_for_data_in(data_root)
    processes = cores() if workers is None else workers
    if rerun_damaged and store.exists():
        require_store(store)
        mended(store)
    _reproduce([*(only or []), *(ids or [])], scale, seeds, processes, store, out, tensorboard, force, columns)


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
    columns: Columns = "brief",
) -> None:
    """Rebuild tables, figures and page from the store alone; what was not run is marked so."""
    _look_for_data_in(data_root)
    _reproduce([*(only or []), *(ids or [])], scale, seeds, None, store, out, tensorboard, force, columns)


def _look_for_data_in(root: Path | None) -> None:
    """Make that folder the root of real data, in worker processes too. UserError if it is none."""
    if root is None:
        return
    from flatproof.verify.realdata.files import ENVIRONMENT

    if not root.is_dir():
        raise UserError(f"--data-root must be a folder, {root} is none")
    os.environ[ENVIRONMENT] = str(root.resolve())


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
) -> None:
    """Run what is missing with that many workers (None: run nothing), then write the artifacts, and curves for TensorBoard."""
    use_cache(path.parent)
    from flatproof.verify.cli.progress import Display
    from flatproof.verify.experiments import abouts
    from flatproof.verify.jobs.store import Store
    from flatproof.verify.jobs.sweep import sweep
    from flatproof.verify.report.descriptors import descriptors
    from flatproof.verify.report.write import poorer, write

    with refusing_bad_input():
        chosen = _chosen(ids, scale, seeds, workers, path)
        check_writable(out)
        if board is not None:
            from flatproof.verify.deep.tensorboard import check_installed

            check_installed()
        opened = Store(path)
    count = {e: seeds or e.DEFAULT_SEEDS[scale] for e in chosen}
    with opened as db, stored_count(db) as counted:
        jobs = [job for e, artifacts in chosen.items() for job in e.grid(artifacts, scale, count[e])]
        if workers is None and not db.keys():
            raise UserError(f"store {path} holds nothing; expected one that 'flatproof reproduce' has written")
        if workers is not None:
            names = {job.key: name for name, job in jobs}
            missing = db.missing(job for _, job in jobs)
            stored = len(names) - len(missing)
            counted.update(names)
            say(f"{len(names)} runs at scale {scale}: {stored} stored in {path}, {len(missing)} to do")
            if missing:
                with Display(console, len(missing), names) as display:
                    sweep(missing, db, workers, display, display.name, display.note)
        if unsealed := db.unsealed():
            say(
                f"{unsealed} rows in {path} are unsealed: from before rows were sealed; 'flatproof store check' checks and seals them"
            )
        artifacts, damaged = _built(chosen, scale, count, db)
        with refusing_bad_input():
            kept = {} if force else poorer(artifacts, out)
            made = [artifact for artifact in artifacts if artifact.id not in kept]
            files = write(made, out, _command(ids, scale, seeds), abouts(chosen), columns)
            if board is not None:
                from flatproof.verify.deep.tensorboard import export

                say(f"{export(jobs, db, board)} training curves written below {board}")
    print_tables(artifacts)
    unusable = {id for _, ids in damaged.values() for id in ids}
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
    for error, ids in damaged.values():
        warn(f"{error}; not written: {', '.join(ids)}")
    if damaged:
        warn(f"{len(damaged)} damaged rows in {path} are left alone; 'flatproof reproduce ... --rerun-damaged' runs them anew")
    if damaged or altered:
        raise typer.Exit(1)


def _built(
    chosen: "Mapping[Experiment, Sequence[str]]", scale: str, seeds: "Mapping[Experiment, int]", store: "Store"
) -> "tuple[list[Artifact], dict[str, tuple[DamagedRow, list[str]]]]":
    """The artifacts, and by its address each damaged row with those that need it, which are left out."""
    from flatproof.verify.experiments import build
    from flatproof.verify.jobs.store import DamagedRow

    artifacts: list[Artifact] = []
    damaged: dict[str, tuple[DamagedRow, list[str]]] = {}
    for experiment, names in chosen.items():
        try:
            artifacts += build(experiment, names, scale, seeds[experiment], store)
        except DamagedRow:
            for name in names:  # each alone: those that do not need the row can be made
                try:
                    artifacts += build(experiment, [name], scale, seeds[experiment], store)
                except DamagedRow as error:
                    damaged.setdefault(error.key, (error, []))[1].append(name)
    return artifacts, damaged


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
