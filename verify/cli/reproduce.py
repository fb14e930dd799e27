"""Owns `flatproof reproduce` and `flatproof report`: runs what is missing, and writes tables, figures and the page."""

import shlex
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Annotated, Any

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
    from flatproof.verify.jobs.job import Job
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
    chosen = [*(only or []), *(ids or [])]
    _reproduce(Request(chosen, scale, seeds, processes, store, out, tensorboard, force, columns, engine))


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
        asked = Request(chosen, "quick" if scale is None else scale, seeds, None, store, out, tensorboard, force, columns)
        _reproduce(asked)
    else:
        check_alone(seeds, store, tensorboard)
        rebuild(chosen, scale, source, out, force, columns)


@dataclass(frozen=True)
class Request:
    """What is asked for: ids, scale, seeds a row, processes (None: nothing is run), the store, the folder of results, that of curves for
    TensorBoard, whether fuller results are replaced, columns of LaTeX tables, the engine."""

    ids: list[str]
    scale: str
    seeds: int | None
    workers: int | None
    path: Path
    out: Path
    board: Path | None
    force: bool
    columns: str
    engine: str = "local"

    @property
    def command(self) -> str:
        """What reproduces the artifacts, as one types it."""
        named = ["--only", *self.ids] if self.ids else []
        seeds = ["--seeds", str(self.seeds)] if self.seeds else []
        return shlex.join(["flatproof", "reproduce", *named, "--scale", self.scale, *seeds])


def _reproduce(asked: Request) -> None:
    """Run what is missing, if that is asked for, then write the artifacts, and curves for TensorBoard."""
    use_cache(asked.path.parent)
    from flatproof.verify.jobs.store import Store
    from flatproof.verify.report.descriptors import descriptors

    with refusing_bad_input():
        chosen = _chosen(asked)
        check_writable(asked.out)
        if asked.board is not None:
            from flatproof.verify.deep.tensorboard import check_installed

            check_installed()
        opened = Store(asked.path)
    count = {e: asked.seeds or e.DEFAULT_SEEDS[asked.scale] for e in chosen}
    failed: SweepError | None = None
    drawn = set[str]()
    with opened as db, stored_count(db) as counted:
        jobs = [job for e, artifacts in chosen.items() for job in e.grid(artifacts, asked.scale, count[e])]
        if asked.workers is None and not db.keys():
            raise UserError(f"store {asked.path} holds nothing; expected one that 'flatproof reproduce' has written")
        if asked.workers is not None:
            counted.update(job.key for _, job in jobs)
            failed = _sweep(asked, asked.workers, chosen, count, jobs, db, drawn)
        if unsealed := db.unsealed():
            say(
                f"{unsealed} rows in {asked.path} are unsealed: from before rows were sealed; "
                "'flatproof store check' checks and seals them"
            )
        written = _write(asked, chosen, count, db, drawn)
        if asked.board is not None:
            from flatproof.verify.deep.tensorboard import export

            with refusing_bad_input():
                say(f"{export(jobs, db, asked.board)} training curves written below {asked.board}")
    print_tables(written.artifacts)
    _tell(asked, chosen, written)
    with refusing_bad_input():
        altered = descriptors(asked.out)[1]
    for line in altered:
        warn(f"{line}; it is not on the page, and its files are kept unless --force")
    for line in written.unpublished:
        warn(line)
    for row, ids in written.damaged:
        warn(f"{row}; not written: {', '.join(ids)}")
    if written.damaged:
        warn(
            f"{len(written.damaged)} damaged rows in {asked.path} are left alone; 'flatproof reproduce ... --rerun-damaged' runs them anew"
        )
    if failed:
        raise failed
    if written.damaged or altered or written.unpublished:
        raise typer.Exit(1)


def _sweep(
    asked: Request,
    workers: int,
    chosen: "dict[Experiment, list[str]]",
    count: "dict[Experiment, int]",
    jobs: "list[tuple[str, Job[Any]]]",
    db: "Store",
    drawn: set[str],
) -> SweepError | None:
    """Run what is missing while the page grows; `drawn` receives the ids that it then shows whole. Returns what failed, where anything
    is stored."""
    from flatproof.verify.cli.growing import PAGE, Growing
    from flatproof.verify.cli.progress import Display
    from flatproof.verify.jobs.sweep import Progress, sweep

    names = {job.key: name for name, job in jobs}
    missing = db.missing(job for _, job in jobs)
    stored = len(names) - len(missing)
    say(
        f"{len(names)} runs at scale {asked.scale}: {stored} stored in {asked.path}, {len(missing)} to do; the page is {asked.out / PAGE}"
    )
    if not missing:
        return None
    Thread(target=_prepare, args=(chosen,), daemon=True).start()
    try:
        with Display(console, len(missing), names) as display:
            growing = Growing(chosen, asked.scale, count, db, asked.out, asked.command, asked.columns, asked.force, display.note)

            def ended(done: Progress) -> None:
                display(done)
                growing(done.job.key)

            sweep(missing, db, workers, ended, display.name, display.note, asked.engine, growing.first(), display.begins)
            drawn |= growing.whole
    except SweepError as error:  # what is stored is shown first
        if not len(db):
            raise
        return error
    return None


@dataclass(frozen=True)
class Written:
    """What came of the artifacts: all that could be built, the files written, those kept for fuller ones of then and why, lines on
    outcomes that could not be published, and damaged rows with the ids that need them."""

    artifacts: "list[Artifact]"
    files: list[Path]
    kept: dict[str, str]
    unpublished: list[str]
    damaged: "list[tuple[DamagedRow, list[str]]]"


def _write(
    asked: Request, chosen: "dict[Experiment, list[str]]", count: "dict[Experiment, int]", db: "Store", drawn: set[str]
) -> Written:
    """Build the artifacts from the store, and write them with the outcomes behind them."""
    from flatproof.verify.experiments import abouts
    from flatproof.verify.report.outcomes import Asked
    from flatproof.verify.report.write import poorer, write

    builds = [built(e, names, db, Asked(asked.scale, count[e], asked.command, asked.columns)) for e, names in chosen.items()]
    artifacts = [artifact for made, _, _ in builds for artifact in made]
    damaged = [row for _, _, rows in builds for row in rows.values()]
    with refusing_bad_input():
        kept = {} if asked.force else poorer(artifacts, asked.out)
        written = [(build, [a for a in made if a.id not in kept]) for made, build, _ in builds]
        files = write([a for _, made in written for a in made], asked.out, asked.command, abouts(chosen), asked.columns, drawn)
        return Written(artifacts, files, kept, publish(written, asked.out, asked.force), damaged)


def _tell(asked: Request, chosen: "dict[Experiment, list[str]]", written: Written) -> None:
    """Which artifacts have no runs, which were kept, and where the page is."""
    unusable = {id for _, ids in written.damaged for id in ids}
    wanted = {name for names in chosen.values() for name in names}
    if absent := sorted(wanted - {artifact.id for artifact in written.artifacts} - unusable):
        say(f"\nno stored runs of: {', '.join(absent)}")
    if written.kept:
        first, lost = next(iter(written.kept.items()))
        say(
            f"\nkept, since more runs stand behind them than behind these: {', '.join(written.kept)} ({first}, {lost}); "
            "--force replaces them"
        )
    say(f"\n{len(written.files)} files written; see {written.files[-1]}")


def _prepare(chosen: "dict[Experiment, list[str]]") -> None:
    """What needs no run; an error is left to the one who needs it."""
    with suppress(Exception):
        for experiment, ids in chosen.items():
            experiment.prepare(ids)


def _chosen(asked: Request) -> "dict[Experiment, list[str]]":
    """The artifacts that are asked for, by experiment. ValueError naming the argument that cannot be used."""
    from flatproof.verify.experiments import EXPERIMENTS, check_scale, select

    chosen = {EXPERIMENTS[paper]: artifacts for paper, artifacts in select(asked.ids).items()}
    check_scale(asked.scale)
    check_at_least_one("--seeds", asked.seeds)
    if asked.seeds is not None and asked.seeds > 10**5:
        raise ValueError(f"--seeds must be a whole number of at most 100000, got {asked.seeds}")
    check_at_least_one("--workers", asked.workers)
    if asked.workers is None:
        require_store(asked.path)
    return chosen
