"""Owns the command `python -m tests.torture`: which cases are run, in which order, how long, and what is printed."""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.torture.scenarios import SCENARIOS
from tests.torture.shim import built


@dataclass
class Tally:
    """How far a scenario is: cases that there are (None: not yet known), handed out and done, seconds, and why it is skipped."""

    name: str
    count: int | None = None
    given: int = 0
    done: int = 0
    failed: int = 0
    seconds: float = 0.0
    skipped: str | None = None


@dataclass
class Run:
    """A run of the harness.

    Attributes:
        seed: of all cases.
        seconds: after which no case is begun.
        short: every scenario's `least` cases alone.
        failed: cases that went wrong.
    """

    seed: int
    seconds: float
    short: bool
    tallies: list[Tally]
    folder: Path
    start: float = field(default_factory=time.monotonic)
    failed: int = 0
    lock: threading.Condition = field(default_factory=threading.Condition)
    alone: bool = False  # a case that uses all cores is on, or waits for the others to end
    busy: int = 0

    def next(self) -> tuple[Tally, int] | None:
        """The case to run next: of the scenario that has had the least of its share. None when all is done or the time is over."""
        with self.lock:
            while True:
                if time.monotonic() - self.start > self.seconds:
                    return None
                open = [tally for tally in self.tallies if not tally.skipped and tally.given < self._wanted(tally)]
                if not open:
                    return None
                tally = min(open, key=lambda tally: tally.seconds / SCENARIOS[tally.name].share)
                all_cores = SCENARIOS[tally.name].alone
                if self.alone or (all_cores and self.busy):
                    self.lock.wait(1)
                    continue
                self.alone, self.busy = all_cores, self.busy + 1
                tally.given += 1
                return tally, tally.given - 1

    def _wanted(self, tally: Tally) -> int:
        scenario = SCENARIOS[tally.name]
        most = scenario.least if self.short else scenario.most
        return min(most, most if tally.count is None else tally.count)

    def ended(self, tally: Tally, number: int, answer: dict[str, object]) -> None:
        """Take down what came of a case, and print what went wrong."""
        with self.lock:
            self.busy -= 1
            self.alone = False
            seconds = float(str(answer["seconds"]))
            tally.seconds += seconds * (2 if SCENARIOS[tally.name].alone else 1)
            self.lock.notify_all()
            if "skipped" in answer:
                tally.skipped = str(answer["skipped"])
                return
            tally.count = int(str(answer.get("count", tally.count or 1)))
            tally.done += number < tally.count
            wrong = answer["wrong"]
            assert isinstance(wrong, list)
            if wrong:
                self.failed += 1
                tally.failed += 1
                short = " --short" if self.short else ""
                print(f"\nFAILED {tally.name}, case {number}, seed {self.seed} ({seconds:.1f} s)")
                print("".join(f"  {what}\n" for what in wrong), end="")
                print(f"  again: python -m tests.torture --seed {self.seed} --case {tally.name}:{number}{short}", flush=True)


class Process:
    """A process that carries out cases."""

    def __init__(self, run: Run, shim: Path | None) -> None:
        environment = os.environ | {"OMP_NUM_THREADS": "1"} | ({"LD_PRELOAD": str(shim)} if shim else {})
        words = [sys.executable, "-m", "tests.torture.worker", str(run.folder), str(run.seed), str(int(run.short))]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)

    def ask(self, **request: object) -> dict[str, object]:
        """Have something done. Errors: RuntimeError if the process is gone."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a process of the harness ended with status {self._process.wait()}")
        answer: dict[str, object] = json.loads(line)
        return answer

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def _serve(run: Run, process: Process) -> None:
    """Have a process carry out cases until none is left."""
    while chosen := run.next():
        tally, number = chosen
        try:
            answer = process.ask(scenario=tally.name, case=number)
        except RuntimeError as error:
            run.ended(tally, number, {"wrong": [str(error)], "seconds": 0.0})
            return
        run.ended(tally, number, answer)


def _print_summary(run: Run) -> None:
    print(f"\n{'scenario':<16} {'cases':>13} {'failed':>7} {'seconds':>8}")
    for tally in run.tallies:
        if tally.skipped:
            print(f"{tally.name:<16} skipped: {tally.skipped}")
            continue
        of = f"{tally.done} of {tally.count if tally.count is not None else '?'}"
        print(f"{tally.name:<16} {of:>13} {tally.failed:>7} {tally.seconds:>8.0f}")
    done = sum(tally.done for tally in run.tallies)
    print(f"seed {run.seed}: {done} cases in {time.monotonic() - run.start:.0f} s, {run.failed} failed", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cases. Returns 0 if all passed, 1 if one failed."""
    options = _parser().parse_args(arguments)
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    names = options.only or [*SCENARIOS]
    print(f"seed {seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="torture-"))
    run = Run(seed, 60 * options.minutes, options.short, [Tally(name) for name in names], folder)
    processes: list[Process] = []
    try:
        shim = built(folder)
        processes.append(Process(run, shim))
        if options.case:
            name, number = options.case.split(":")
            run.tallies = [Tally(name, given=int(number))]
            answer = processes[0].ask(scenario=name, case=int(number))
            run.busy = 1
            run.ended(run.tallies[0], int(number), answer)
            print("passed" if not run.failed else "", end="\n" if not run.failed else "")
            return min(run.failed, 1)
        processes += [Process(run, shim) for _ in range(1, options.processes)]
        threads = [threading.Thread(target=_serve, args=(run, process)) for process in processes]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        except KeyboardInterrupt:  # the cases that are on end first
            run.seconds = 0.0
            for thread in threads:
                thread.join()
        _print_summary(run)
        return min(run.failed, 1)
    finally:
        for process in processes:
            process.close()
        shutil.rmtree(folder, ignore_errors=True)


def _parser() -> argparse.ArgumentParser:
    scenarios = "\n".join(f"  {name:<16} {scenario.what}" for name, scenario in SCENARIOS.items())
    parser = argparse.ArgumentParser(
        prog="python -m tests.torture",
        description="Inject faults; wanted are identical artifacts, or one clear line and a status that is not 0, every "
        "time. A case is repeated exactly, but that moments of a kill are as exact as the machine's clock and load are.",
        epilog=f"scenarios:\n{scenarios}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seed", type=int, help="of all cases; default: drawn, and printed")
    parser.add_argument("--minutes", type=float, default=18.0, help="no case begins later (default: 18)")
    parser.add_argument("--processes", type=int, default=2, help="that carry out cases at once (default: 2)")
    parser.add_argument("--only", nargs="+", choices=[*SCENARIOS], metavar="SCENARIO", help="these scenarios alone")
    parser.add_argument("--case", metavar="SCENARIO:NUMBER", help="this case alone")
    parser.add_argument("--short", action="store_true", help="a few cases of each scenario, as `make test` does")
    return parser


if __name__ == "__main__":
    sys.exit(main())
