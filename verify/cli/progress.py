"""Owns what a running sweep shows: runs done, time left and the current figures, live in a terminal, a line a run elsewhere."""

from collections.abc import Mapping
from types import TracebackType

import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from flatproof.verify.jobs.job import Job, Outcome
from flatproof.verify.jobs.sweep import Progress as Done
from flatproof.verify.two_layer.training import Result


def duration(seconds: float) -> str:
    """A duration in words: "42 s", "7 min", "3.4 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class Display:
    """Shows a sweep's progress: a context manager, called with each `verify.jobs.sweep.Progress`. `names`: of the runs, by key."""

    def __init__(self, console: Console, total: int, names: Mapping[str, str]) -> None:
        self.console, self.names = console, names
        self.outcomes: dict[str, list[Done]] = {}
        self.bar = Progress(
            TextColumn("runs"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
        )
        self.task = self.bar.add_task("runs", total=total, left="estimating time left")
        self.live = Live(self._view(), console=console, refresh_per_second=4) if console.is_terminal else None

    def __enter__(self) -> "Display":
        if self.live:
            self.live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.live:
            self.live.stop()

    def __call__(self, done: Done) -> None:
        """Show a run that has just been stored."""
        name = self.names[done.run.key]
        self.outcomes.setdefault(name, []).append(done)
        self.bar.update(self.task, completed=done.done, left=f"about {duration(done.seconds_left)} left")
        if self.live:
            self.live.update(self._view())
            return
        self.console.print(
            f"[{done.done}/{done.total}] {name}, {_said(done)} "
            f"({done.result.seconds:.0f} s; about {duration(done.seconds_left)} left)",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )

    def _view(self) -> Group:
        table = Table(box=None, header_style="dim")
        for column in ("row", "runs", "test accuracy", "trace", "diverged"):
            table.add_column(column, justify="left" if column == "row" else "right")
        for name, ended in sorted(self.outcomes.items()):
            trained = [d.result for d in ended if isinstance(d.result, Result)]
            results = [result for result in trained if result.status == "finished"]
            accuracy = [r.final("test_accuracy") for r in results if "test_accuracy" in r.curve]
            trace = [r.final("trace") for r in results]
            table.add_row(
                name,
                str(len(ended)),
                f"{np.mean(accuracy):.3f}" if accuracy else "–",
                f"{np.median(trace):.4g}" if trace else "–",
                str(len(trained) - len(results)) if trained else "–",
            )
        return Group(self.bar, table)


def _said(done: Done) -> str:
    """What has come out, in a few words."""
    run, result = done.run, done.result
    if isinstance(run, Job):
        assert isinstance(result, Outcome)
        return run.says(result.values)
    assert isinstance(result, Result)
    if result.status != "finished":
        return f"seed {run.seed}: diverged in step {result.diverged_step:,}"
    shown = {"test_accuracy": "test accuracy {:.3f}", "trace": "trace {:.4g}"}
    if run.data.labels == "real":
        shown = {"test_loss": "test loss {:.4g}", "trace": "trace {:.4g}"}
    return f"seed {run.seed}: " + ", ".join(text.format(result.final(name)) for name, text in shown.items())
