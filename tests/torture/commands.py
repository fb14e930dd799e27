"""Owns how a case runs a command: in a fork of a process that has imported everything, or in a process group of its own; and what
may come of it.
"""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.torture.shim import Fault, Shim

LAST_STOP = "FLATPROOF_DEBUG"  # in the line about an exception that nobody foresaw


@dataclass(frozen=True)
class Ended:
    """A command that ended: status (minus the signal that ended it; None: it took too long), what it printed, the call that failed."""

    status: int | None
    out: str
    err: str
    fault: str = ""


def forked(
    arguments: Sequence[str],
    folder: Path,
    shim: Shim | None = None,
    fault: Fault | None = None,
    limits: Mapping[int, int] | None = None,
    environment: Mapping[str, str] | None = None,
    kill_after: float | None = None,
    limit: float = 120,
    run: Callable[[Sequence[str]], int] | None = None,
) -> Ended:
    """`flatproof ...` in a fork of this process, whose imports and compiled kernels it has.

    Args:
        arguments: of the command line.
        folder: where it runs.
        shim: needed for a fault.
        fault: what it meets.
        limits: soft limits by resource, such as RLIMIT_FSIZE.
        environment: added to this process's.
        kill_after: seconds to SIGKILL of its process group.
        limit: seconds that it may take.
        run: another entry point than the command's; gives the status.
    """
    if fault is not None and shim is not None:
        shim.set(fault, folder)
    pipes = [os.pipe() for _ in range(2)]  # not files: a limit may be on these
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        status = 70
        try:
            os.setsid()
            for descriptor, (_, end) in enumerate(pipes, start=1):
                os.dup2(end, descriptor)
                os.close(end)
            for name, descriptor, errors in (
                ("stdout", 1, "strict"),
                ("stderr", 2, "backslashreplace"),
            ):  # as the interpreter does
                setattr(sys, name, open(descriptor, "w", encoding="utf-8", errors=errors, closefd=False))  # noqa: SIM115
            os.chdir(folder)
            os.environ.update(environment or {})
            for kind, most in (limits or {}).items():
                resource.setrlimit(kind, (most, resource.getrlimit(kind)[1]))
            if fault is not None and shim is not None:
                shim.arm()
            status = (run or main_of_the_command)(arguments)
        except BaseException:  # as the interpreter would print it
            traceback.print_exc()
            status = 1
        finally:
            try:
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(status)
    printed = []
    for start, end in pipes:
        os.close(end)
        os.set_blocking(start, False)
        printed.append((start, bytearray()))
    ended = _wait(pid, kill_after, limit, printed)
    out, err = (bytes(text).decode("utf-8", "replace") for _, text in printed)
    for start, _ in printed:
        os.close(start)
    met = f"{fault}" if fault else ""
    if fault and shim and shim.record.fired and shim.record.call:
        met += f" ({shim.record.call.decode()})"
    return Ended(ended, out, err, met)


def main_of_the_command(arguments: Sequence[str]) -> int:
    from flatproof.verify.cli.main import main

    sys.argv = ["flatproof", *arguments]
    try:
        main(list(arguments))
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else int(ending.code is not None)


def _wait(pid: int, kill_after: float | None, limit: float, printed: Sequence[tuple[int, bytearray]]) -> int | None:
    """The status of a child, which is ended when its time is over; what it prints is read as it comes."""
    begin = time.monotonic()
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        for descriptor, text in printed:
            with contextlib.suppress(BlockingIOError):
                while part := os.read(descriptor, 2**16):
                    text += part
        if done:
            return os.waitstatus_to_exitcode(status)
        spent = time.monotonic() - begin
        if spent > (limit if kill_after is None else kill_after):
            end_group(pid)
            os.waitpid(pid, 0)
            return None if kill_after is None else -signal.SIGKILL
        time.sleep(0.003 if spent < 1 else 0.02)


def end_group(pid: int) -> None:
    """SIGKILL to a process that leads a group, and to all of the group."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        os.kill(pid, signal.SIGKILL)  # it leads none yet


def started(arguments: Sequence[str], folder: Path) -> subprocess.Popen[str]:
    """`flatproof ...` as a user starts it, leader of a process group; what it prints goes into files beside the folder."""
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    with folder.with_name(f"{folder.name}.out").open("w") as out, folder.with_name(f"{folder.name}.err").open("w") as err:
        return subprocess.Popen(
            [sys.executable, "-m", "flatproof", *arguments],
            cwd=folder,
            env=environment,
            stdout=out,
            stderr=err,
            text=True,
            start_new_session=True,
        )


def workers_of(pid: int) -> list[int]:
    """The processes that compute for a command, oldest first: those of its session that joblib started to carry out jobs."""
    workers = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            session = int(path.read_text().rpartition(")")[2].split()[3])
            words = path.with_name("cmdline").read_bytes()
        except OSError:
            continue
        if session == pid and b"popen_loky" in words:
            workers.append(int(path.parent.name))
    return sorted(workers)


def files_below(folder: Path) -> dict[str, bytes]:
    """What lies below a folder, by name, without the files that a killed process had not finished (their names begin with a dot).

    Published outcomes are left out: they hold when each row was stored, and how long it took.
    """
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith((".", "outcomes.")))
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def lines_at_fault(ended: Ended, most: int = 1, allowed: Sequence[int] = (1, 2)) -> list[str]:
    """What is wrong with how a command failed: wanted is a status from `allowed` and at most so many lines that say "error: "."""
    lines = ended.err.splitlines()
    if ended.status is None:
        return ["it did not end in time"]
    wrong = []
    if "Traceback (most recent call last)" in ended.err + ended.out:
        wrong.append(f"a traceback: {lines[-1] if lines else ''}")
    elif not lines:
        wrong.append("no line says why")
    elif len(lines) > most:
        wrong.append(f"{len(lines)} lines, expected {most}: {' / '.join(lines)[:400]}")
    elif unclear := [line for line in lines if not line.startswith("error: ") or LAST_STOP in line]:
        wrong.append(f"not a line that was foreseen: {unclear[0][:300]}")
    if ended.status not in allowed:
        wrong.append(f"status {ended.status}, expected one of {', '.join(map(str, allowed))}")
    return wrong


def _growing(there: Mapping[str, bytes], reference: Mapping[str, bytes]) -> set[str]:
    """The files of artifacts that say that fewer runs stand behind them than behind the reference's."""
    fewer = set()
    for name in there.keys() & reference.keys():
        if name.endswith(".json") and there[name] != reference[name]:
            mine, whole = (str(json.loads(files[name]).get("provenance", {}).get("runs", "")) for files in (there, reference))
            if mine.isdecimal() and whole.isdecimal() and int(mine) < int(whole):
                fewer.add(name.removesuffix("json"))
    return {name for name in there if any(name.startswith(stem) for stem in fewer)}


def altered_artifacts(folder: Path, reference: Mapping[str, bytes], whole: bool) -> list[str]:
    """Which artifacts are not those of the reference; with `whole` also which are missing, the pages, and what is still growing."""
    there = files_below(folder) if folder.exists() else {}
    pages = set() if whole else {name for name in there if name.endswith("index.html") or name == "assets/entries.js"}
    pages |= set() if whole else _growing(there, reference)
    altered = sorted(name for name in there.keys() - pages if there[name] != reference.get(name))
    missing = sorted(reference.keys() - there.keys()) if whole else []
    return [f"altered: {', '.join(altered)}"] * bool(altered) + [f"missing: {', '.join(missing)}"] * bool(missing)


def judged(ended: Ended, out: Path, reference: Mapping[str, bytes], most: int = 1) -> list[str]:
    """What is wrong with a command's end: wanted are status 0 and all artifacts, or a failure that is said, and no artifact altered."""
    if ended.status == 0:
        silent = ["a traceback with status 0"] if "Traceback" in ended.err else []
        return [f"status 0, and {what}" for what in [*altered_artifacts(out, reference, whole=True), *silent]]
    return lines_at_fault(ended, most) + [f"refused, and {what}" for what in altered_artifacts(out, reference, whole=False)]
