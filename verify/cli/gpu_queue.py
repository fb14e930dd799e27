"""Owns `flatproof gpu-queue`: what a machine with a GPU carries out first, within a budget of seconds, into one folder.

In this order: the comparison and timing of the kernels (gpu-check), Hessian-vector products on the GPU, then trainings at the papers' own
scale. Each of the first two is a process of its own, so that a kernel that takes its process down takes nothing else with it.
"""

import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import flatproof
from flatproof.caching import use_cache
from flatproof.verify.cli.options import (
    STORE,
    DataRoot,
    Seeds,
    StorePath,
    check_at_least_one,
    check_writable,
    cores,
    look_for_data_in,
)
from flatproof.verify.cli.terminal import refusing_bad_input, say
from flatproof.verify.utils.errors import UserError

if TYPE_CHECKING:
    from flatproof.verify.jobs.budget import Costed, Spent
    from flatproof.verify.jobs.rows import Kept
    from flatproof.verify.jobs.store import Store
    from flatproof.verify.report.outcomes import Asked

OVERRUN = 2.0  # times its stated seconds that a stage may take
LANES = 4  # trainings at once on one GPU, which small networks do not fill
TRAININGS = "trainings"
DEVICES = ("cuda", "cpu")


@dataclass(frozen=True)
class Stage:
    """A command with what it is stated to take, in seconds, on a GPU and rehearsed on the CPU."""

    name: str
    on_gpu: float
    rehearsed: float
    arguments: tuple[str, ...]
    rehearsal: tuple[str, ...]


STAGES = (
    Stage("gpu-check", 240.0, 90.0, ("bench", "gpu"), ("bench", "gpu")),
    Stage("products", 90.0, 20.0, ("bench", "hvp", "--device", "cuda"), ("bench", "hvp", "--device", "cuda-rehearsal")),
)
NAMES = (*(stage.name for stage in STAGES), TRAININGS)


@dataclass
class Log:
    """What is done, line by line: on the terminal, and in a file that an end in mid-course leaves whole."""

    path: Path
    began: float = field(default_factory=time.monotonic)

    def __call__(self, line: str) -> None:
        """Write a line, with the seconds since the beginning."""
        line = f"[{time.monotonic() - self.began:6.1f} s] {line}"
        say(line)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def gpu_queue(
    budget: Annotated[
        int, typer.Option(max=10**9, help="Seconds; what does not fit in what is left of them is not begun.")
    ] = 600,
    out: Annotated[Path, typer.Option("--out", envvar="OUT", help="Where everything goes that is brought back.")] = Path(
        "gpu_queue"
    ),
    stages: Annotated[str, typer.Option(help="Which parts, with commas between them.")] = ",".join(NAMES),
    scale: Annotated[str, typer.Option(help="Of the trainings: paper; smoke rehearses.")] = "paper",
    device: Annotated[str, typer.Option(help="cuda; cpu rehearses at scale smoke.")] = "cuda",
    seeds: Seeds = None,
    workers: Annotated[int | None, typer.Option(help="Trainings at once; default: up to 4.", show_default=False)] = None,
    store: StorePath = STORE,
    data_root: DataRoot = None,
) -> None:
    """What a CUDA machine carries out first: gpu-check, products, trainings. `flatproof store import` merges its outcomes elsewhere."""
    chosen = _chosen(budget, stages, scale, device, seeds, workers)
    look_for_data_in(data_root)
    use_cache(store.parent)
    if device == "cuda":
        require_cuda()
    with refusing_bad_input():
        check_writable(out)
    until, log = time.monotonic() + budget, Log(out / "queue.txt")
    log(f"budget {budget} s, scale {scale}, device {device}, into {out}")
    log("; ".join(f"{name}: {value}" for name, value in _where(device).items()))
    if TRAININGS in chosen:
        _take_along(out, store, log)  # before any stage: what cannot be used is said at once
    failed = [stage.name for stage in STAGES if stage.name in chosen and not _carried_out(stage, device, until, out, log)]
    if TRAININGS in chosen:
        lanes = workers or (1 if device == "cpu" else min(LANES, cores()))
        command = shlex.join(["flatproof", "gpu-queue", "--budget", str(budget), "--scale", scale, "--device", device])
        failed += [costed.name for costed, _ in _train(scale, device, seeds, lanes, until, store, out, command, log).failed]
    log(f"end; {len(failed)} failed{': ' + '; '.join(failed) if failed else ''}")
    if failed:
        raise typer.Exit(1)


def require_cuda() -> None:
    """UserError unless torch sees a GPU."""
    import torch

    if not torch.cuda.is_available():
        raise UserError(
            "torch sees no CUDA device on this machine; 'flatproof gpu-queue --device cpu --scale smoke' rehearses the queue"
        )


def _chosen(budget: int, stages: str, scale: str, device: str, seeds: int | None, workers: int | None) -> list[str]:
    """The parts that are asked for. Errors: UserError naming the option that cannot be used."""
    for option, value in (("--budget", budget), ("--seeds", seeds), ("--workers", workers)):
        check_at_least_one(option, value)
    chosen = [name.strip() for name in stages.split(",")]
    if unknown := [name for name in chosen if name not in NAMES]:
        raise UserError(f"--stages must be some of {','.join(NAMES)}, got {unknown[0]!r}")
    if scale not in ("smoke", "paper"):
        raise UserError(f"--scale must be smoke or paper, got {scale!r}")
    if device not in DEVICES:
        raise UserError(f"--device must be one of {', '.join(DEVICES)}, got {device!r}")
    if device == "cpu" and scale != "smoke":
        raise UserError("--device cpu only rehearses the queue; expected --scale smoke with it")
    return chosen


def _where(device: str) -> dict[str, str]:
    """The machine, its GPU with the driver, and the versions."""
    import torch

    from flatproof.verify.jobs.provenance import accelerator, provenance

    if device == "cuda":
        torch.zeros(1, device=device)  # begins CUDA
    return accelerator() | {"cuda": torch.version.cuda or "none", "node": platform.machine()} | provenance()


def _carried_out(stage: Stage, device: str, until: float, out: Path, log: Callable[[str], None]) -> bool:
    """Run a stage if it fits, its output into a file and onto the terminal; False if it failed, True, too, if it was not begun."""
    stated, left = stage.on_gpu if device == "cuda" else stage.rehearsed, until - time.monotonic()
    if stated > left:
        log(f"{stage.name}: not begun: it takes about {stated:.0f} s, {left:.0f} s are left")
        return True
    home = str(Path(flatproof.__file__).parent.parent)  # not resolved: in a checkout `flatproof/verify` is a link
    paths = os.pathsep.join([home, *filter(None, [os.environ.get("PYTHONPATH")])])
    arguments = stage.arguments if device == "cuda" else stage.rehearsal
    began, path = time.monotonic(), out / f"{stage.name}.txt"
    with path.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "flatproof", *arguments],
            stdout=file,
            env=os.environ | {"OUT": str(out.resolve()), "PYTHONPATH": paths},
        )
        try:
            status = process.wait(min(left, OVERRUN * stated))
            ending = f"exit status {status}"
        except subprocess.TimeoutExpired:
            status, ending = 1, "stopped, what it had measured is kept"
        finally:
            process.kill()
            process.wait()
    say(path.read_text(encoding="utf-8", errors="replace").rstrip())
    log(f"{stage.name}: {ending}, {time.monotonic() - began:.1f} s, stated {stated:.0f} s; see {path}")
    return status == 0


def _take_along(out: Path, path: Path, log: Callable[[str], None]) -> None:
    """Take in the outcomes of an earlier queue, perhaps on another machine. Errors: UserError for a file or store that cannot be used."""
    from flatproof.verify.experiments.incoming import take
    from flatproof.verify.jobs.store import Store

    with refusing_bad_input(), Store(path) as store:
        if brought := _rows(out):
            taken = take(brought, store)
            refused = f"; {len(taken.refused)} that the store refuses stay in the file" if taken.refused else ""
            count = len(taken.new) + taken.known + len(taken.refused)
            log(f"{count} outcomes of an earlier queue lie in {out}, {len(taken.new)} of them new in {path}{refused}")


def _rows(out: Path) -> "list[Kept]":
    """The outcomes that lie in the folder. Errors: DamagedOutcomes, OSError."""
    from flatproof.verify.report.outcomes import NAME, load

    return [kept for build in load(out / NAME) for kept in build.rows] if (out / NAME).exists() else []


def _publish(store: "Store", keys: Iterable[str], asked: "Asked", out: Path) -> int:
    """Write the stored outcomes of some jobs into the folder's file, which keeps all others that it has; how many it holds now."""
    from flatproof.verify.report.outcomes import NAME, Build, save

    rows = (*_rows(out), *store.rows(dict.fromkeys(keys, True)))
    if rows:
        save(out / NAME, [Build(asked, rows)])
    return len({kept.row.key for kept in rows})


def _train(
    scale: str,
    device: str,
    seeds: int | None,
    lanes: int,
    until: float,
    path: Path,
    out: Path,
    command: str,
    log: Callable[[str], None],
) -> "Spent":
    """Carry out the trainings that fit; after each, the file of outcomes holds all of them that are stored."""
    from flatproof.verify.experiments.gpu_queue import PAPERS, lots
    from flatproof.verify.jobs.budget import carried_out_within
    from flatproof.verify.jobs.store import Store
    from flatproof.verify.report.outcomes import NAME, Asked

    with refusing_bad_input(), Store(path) as store:
        queue = lots(scale, device, seeds)
        for paper in PAPERS:
            if not any(lot[0].name.startswith(paper) for lot in queue):
                log(f"{paper}: its data are not on this machine; 'flatproof data list' says where they are looked for")
        keys = {costed.job.key for lot in queue for costed in lot}
        stored = keys & store.keys()
        log(f"{len(keys)} jobs, {len(stored)} of them stored; {lanes} at once")
        if damaged := len(stored) - len(store.rows(dict.fromkeys(stored, True))):
            log(
                f"{damaged} of those stored are damaged and not brought back: 'flatproof store mend', then the queue runs them anew"
            )

        def publish(*_: object) -> int:
            return _publish(store, keys & store.keys(), Asked(scale, seeds or 0, command), out)

        publish()
        spent = carried_out_within(queue, until - time.monotonic(), store, lanes, publish, log)
        count = publish()
    for kind, seconds in _by_kind(spent.left).items():
        log(f"left for another time: {kind}, {len(seconds)} jobs of {min(seconds):,.0f} to {max(seconds):,.0f} s as stated")
    where = (
        f"{out / NAME} holds {count}: 'flatproof store import' merges them elsewhere" if count else "there are none to bring back"
    )
    log(f"{len(spent.done)} outcomes are new; {where}")
    return spent


def _by_kind(left: "Sequence[tuple[Costed, str]]") -> dict[str, list[float]]:
    kinds: dict[str, list[float]] = {}
    for costed, _ in left:
        kinds.setdefault(costed.kind, []).append(costed.seconds)
    return kinds
