"""Owns `flatproof reproduce` and `flatproof report`: runs what is missing, and writes tables, figures and the page."""

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flatproof.caching import use_cache
from flatproof.verify.cli.options import (
    OUT,
    STORE,
    Board,
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
)
from flatproof.verify.cli.terminal import console, print_tables, refusing_bad_input, say
from flatproof.verify.utils.errors import UserError

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
) -> None:
    """Train what is missing and write the tables, figures and page. Kill it at any moment: it goes on where it was."""
    _look_for_data_in(data_root)
    processes = _cores() if workers is None else workers
    _reproduce([*(only or []), *(ids or [])], scale, seeds, processes, store, out, tensorboard, force)


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
    """Make that folder the root of real data, in worker processes too. UserError if it is none."""
    if root is None:
        return
    from flatproof.verify.realdata.files import ENVIRONMENT

    if not root.is_dir():
        raise UserError(f"--data-root must be a folder, {root} is none")
    os.environ[ENVIRONMENT] = str(root.resolve())


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _reproduce(
    ids: list[str], scale: str, seeds: int | None, workers: int | None, path: Path, out: Path, board: Path | None, force: bool
) -> None:
    """Run what is missing with that many workers (None: run nothing), then write the artifacts, and curves for TensorBoard."""
    use_cache(path.parent)
    from flatproof.verify.cli.progress import Display
    from flatproof.verify.experiments import build
    from flatproof.verify.jobs.store import Store
    from flatproof.verify.jobs.sweep import sweep
    from flatproof.verify.report.write import poorer, write

    with refusing_bad_input():
        chosen = _chosen(ids, scale, seeds, workers, path)
        check_writable(out)
        if board is not None:
            from flatproof.verify.deep.tensorboard import check_installed

            check_installed()
        opened = Store(path)
    count = {e: seeds or e.DEFAULT_SEEDS[scale] for e in chosen}
    with opened as db:
        jobs = [job for e, artifacts in chosen.items() for job in e.grid(artifacts, scale, count[e])]
        if workers is not None:
            names = {job.key: name for name, job in jobs}
            missing = db.missing(job for _, job in jobs)
            stored = len(names) - len(missing)
            say(f"{len(names)} runs at scale {scale}: {stored} stored in {path}, {len(missing)} to do")
            if missing:
                with Display(console, len(missing), names) as display:
                    sweep(missing, db, workers, display)
        artifacts = [artifact for e, names in chosen.items() for artifact in build(e, names, scale, count[e], db)]
        kept = {} if force else poorer(artifacts, out)
        with refusing_bad_input():
            files = write([artifact for artifact in artifacts if artifact.id not in kept], out, _command(ids, scale, seeds))
            if board is not None:
                from flatproof.verify.deep.tensorboard import export

                say(f"{export(jobs, db, board)} training curves written below {board}")
    print_tables(artifacts)
    if absent := sorted({name for names in chosen.values() for name in names} - {artifact.id for artifact in artifacts}):
        say(f"\nno stored runs of: {', '.join(absent)}")
    if kept:
        first, lost = next(iter(kept.items()))
        say(
            f"\nkept, since more runs stand behind them than behind these: {', '.join(kept)} ({first}, {lost}); --force replaces them"
        )
    say(f"\n{len(files)} files written; see {files[-1]}")


def _chosen(ids: list[str], scale: str, seeds: int | None, workers: int | None, path: Path) -> "dict[Experiment, list[str]]":
    """The artifacts that are asked for, by experiment. ValueError naming the argument that cannot be used."""
    from flatproof.verify.experiments import EXPERIMENTS, check_scale, select

    chosen = {EXPERIMENTS[paper]: artifacts for paper, artifacts in select(ids).items()}
    check_scale(scale)
    check_at_least_one("--seeds", seeds)
    if seeds is not None and seeds > 10**5:
        raise ValueError(f"--seeds must be a whole number of at most 100000, got {seeds}")
    check_at_least_one("--workers", workers)
    if workers is None and not path.exists():
        raise ValueError(f"store {path} does not exist; expected one that 'flatproof reproduce' has written")
    return chosen


def _command(ids: list[str], scale: str, seeds: int | None) -> str:
    """What reproduces these artifacts, as one types it."""
    named = ["--only", *ids] if ids else []
    return shlex.join(["flatproof", "reproduce", *named, "--scale", scale, *(["--seeds", str(seeds)] if seeds else [])])
