"""Owns what a running sweep shows: jobs done and running, time left, current figures; live in a terminal or notebook, else a line a job."""

import importlib
import io
import math
import threading
import time
from collections import Counter
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from flatproof.verify.cli.terminal import animated
from flatproof.verify.jobs.job import Job
from flatproof.verify.jobs.sweep import Progress as Done

ESTIMATING = "estimating time left"
BEAT = 30.0  # seconds without a line after which one says what is running


def duration(seconds: float) -> str:
    """A duration in words: "42 s", "7 min", "3.4 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _left(seconds: float) -> str:
    return ESTIMATING if math.isnan(seconds) else f"about {duration(seconds)} left"


class View(Protocol):
    """Something shown that changes in place, as rich's Live."""

    def start(self) -> None:
        """Show it."""

    def update(self, renderable: Group, /) -> None:
        """Show this instead."""

    def stop(self) -> None:
        """Leave what is shown."""


class InNotebook:
    """A view in a notebook's output; it needs no widgets."""

    def __init__(self, renderable: Group) -> None:
        self.renderable, self.handle = renderable, None

    def start(self) -> None:
        """Show it."""
        display = importlib.import_module("IPython.display").display
        self.handle = display(self._page(), raw=True, display_id=True)

    def update(self, renderable: Group, /) -> None:
        """Show this instead."""
        self.renderable = renderable
        if self.handle is not None:
            self.handle.update(self._page(), raw=True)

    def stop(self) -> None:
        """Leave what is shown."""

    def _page(self) -> dict[str, str]:
        """As plain text and as HTML."""
        page = Console(file=io.StringIO(), record=True, width=110, force_jupyter=False)
        page.print(self.renderable)
        code = '<pre style="white-space:pre;overflow-x:auto;line-height:normal">{code}</pre>'
        return {"text/plain": page.export_text(clear=False), "text/html": page.export_html(code_format=code, inline_styles=True)}


class Display:
    """Shows a sweep's progress: a context manager, called with each `verify.jobs.sweep.Progress`. `names`: of the rows, by key."""

    def __init__(self, console: Console, total: int, names: Mapping[str, str]) -> None:
        self.console, self.names = console, names
        self.ended: Counter[str] = Counter()
        self.figures: dict[str, dict[str, list[float]]] = {}  # of a row, by their names
        self.remarks: dict[str, Counter[str]] = {}
        self.running: dict[str, tuple[str, float]] = {}  # names of jobs, and when each was begun
        self.spoke, self.ending = time.monotonic(), threading.Event()
        self.watching = threading.Thread(target=self._watch, daemon=True)
        self.bar = Progress(
            TextColumn("runs"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
        )
        self.task = self.bar.add_task("runs", total=total, left=ESTIMATING)
        self.live: View | None = None
        if console.is_jupyter:
            self.live = InNotebook(self._view())
        elif animated(console):
            self.live = Live(self._view(), console=console, refresh_per_second=4)

    def __enter__(self) -> "Display":
        if self.live:
            self.live.start()
        self.watching.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.ending.set()
        self.watching.join()
        if self.live:
            self.live.stop()

    def begins(self, job: Job[Any]) -> None:
        """Note that a job is under way."""
        self.running[job.key] = self.name(job), time.monotonic()

    def __call__(self, done: Done) -> None:
        """Show a job that has just been stored."""
        self.running.pop(done.job.key, None)
        row, result = self.names[done.job.key], done.job.result(done.outcome)
        self.ended[row] += 1
        for name, value in done.job.figures(result).items():
            self.figures.setdefault(row, {}).setdefault(name, []).append(value)
        if remark := done.job.remark(result):
            self.remarks.setdefault(row, Counter())[remark] += 1
        self.bar.update(self.task, completed=done.done, left=_left(done.seconds_left))
        if self.live:
            self.live.update(self._view())
            return
        self.note(
            f"[{done.done}/{done.total}] {row}, {done.job.summary(result)} "
            f"({done.outcome.seconds:.0f} s; {_left(done.seconds_left)})"
        )

    def name(self, job: Job[Any]) -> str:
        """A job's row and seed."""
        seed = getattr(job, "seed", None)
        return self.names[job.key] + ("" if seed is None else f", seed {seed}")

    def note(self, line: str) -> None:
        """Print a line, above what is live."""
        self.spoke = time.monotonic()
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def under_way(self) -> str:
        """What is running, and for how long, the longest first."""
        now, begun = time.monotonic(), sorted([*self.running.values()], key=lambda pair: pair[1])
        return "; ".join(f"{name} ({duration(now - since)})" for name, since in begun)

    def _watch(self) -> None:
        """Until the end: what is live shows each second what is running; elsewhere a line does where there was none for BEAT seconds."""
        while not self.ending.wait(1.0):
            if isinstance(self.live, Live):
                self.live.update(self._view())
            elif self.live is None and self.running and time.monotonic() - self.spoke >= BEAT:
                self.note(f"running: {self.under_way()}")

    def _view(self) -> Group:
        """The bar, what is running, and a table of the rows: how many ended, each figure's median over them, remarks."""
        names = list(dict.fromkeys(name for figures in self.figures.values() for name in figures))
        table = Table(box=None, header_style="dim")
        for column in ("row", "runs", *(f"{name} (median)" for name in names), "remarks"):
            table.add_column(column, justify="left" if column in ("row", "remarks") else "right")
        for row, count in sorted(self.ended.items()):
            values = [self.figures.get(row, {}).get(name) for name in names]
            remarks = ", ".join(f"{times} {remark}" for remark, times in self.remarks.get(row, Counter()).items())
            table.add_row(row, str(count), *(f"{np.median(v):.4g}" if v else "–" for v in values), remarks)
        return Group(self.bar, Text(f"running: {self.under_way()}" if self.running else ""), table)
