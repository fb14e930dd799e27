"""Owns what a scenario is: numbered cases, each with a random stream of its own, and the undisturbed runs that they are compared with."""

import os
import random
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from tests.torture.commands import Ended, files_below, forked, judged
from tests.torture.shim import Shim


@dataclass(frozen=True)
class Selection:
    """What a command is asked for: small trainings, with arrays in their rows, and a table or a figure of them."""

    ids: tuple[str, ...]
    seeds: int

    def sweep(self, workers: int = 1) -> list[str]:
        """The command that runs what is missing and writes the artifacts."""
        return ["reproduce", *self._where("out"), "--workers", str(workers)]

    def report(self, out: str = "again") -> list[str]:
        """The artifacts from the store."""
        return ["report", *self._where(out)]

    def _where(self, out: str) -> list[str]:
        return [*self.ids, "--scale", "smoke", "--seeds", str(self.seeds), "--store", "s.sqlite", "--out", out]


TABLE, FIGURE = ("wen2023/table-1",), ("wen2023/figure-6a",)


@dataclass(frozen=True)
class Reference:
    """An undisturbed run: the folder with its store `s.sqlite` and its artifacts in `out`, and these by name."""

    folder: Path
    artifacts: Mapping[str, bytes]


@dataclass(frozen=True)
class Common:
    """What the cases that a process carries out share.

    Attributes:
        scratch: where it works.
        shim: of this process, if it was started with one.
        short: fewer and smaller cases.
        references: the undisturbed runs that were needed so far.
    """

    scratch: Path
    shim: Shim | None
    short: bool = False
    references: dict[Selection, Reference] = field(default_factory=dict)

    def reference(self, selection: Selection) -> Reference:
        """An undisturbed run. Errors: RuntimeError when it fails."""
        if selection not in self.references:
            folder = self.scratch / f"reference-{len(self.references)}"
            folder.mkdir(parents=True)
            ended = forked(selection.sweep(), folder, limit=600)
            if ended.status != 0:
                raise RuntimeError(f"the undisturbed run failed: {ended.err}")
            self.references[selection] = Reference(folder, files_below(folder / "out"))
        return self.references[selection]


class Scenario:
    """A kind of fault. `case` carries one out and says what went wrong; everything random in it comes from its `rng`."""

    name: ClassVar[str]
    what: ClassVar[str]  # one line
    share: ClassVar[float] = 1.0  # of the time
    alone: ClassVar[bool] = False  # it uses more than one core
    least: ClassVar[int] = 1  # cases in the short form
    most: ClassVar[int] = 10**6  # cases of a full run
    chosen: ClassVar[Selection] = Selection(TABLE, 1)

    def __init__(self, common: Common, seed: int) -> None:
        self.common, self.seed = common, seed

    def prepare(self) -> str | None:
        """Make what the cases need. Returns why they cannot be run on this machine, None if they can."""
        return None

    def count(self) -> int:
        """How many cases there are."""
        return self.most

    def case(self, number: int, rng: random.Random, folder: Path) -> Sequence[str]:
        """Carry out a case in an empty folder. Returns what went wrong, a line each."""
        raise NotImplementedError

    @property
    def selection(self) -> Selection:
        """What the cases ask for; little in the short form."""
        return Selection(self.chosen.ids, 1) if self.common.short else self.chosen

    @property
    def reference(self) -> Reference:
        """The undisturbed run."""
        return self.common.reference(self.selection)

    def place(self, name: str) -> Path:
        """A folder for what all cases share, empty."""
        folder = self.common.scratch / f"{self.name}-{name}"
        folder.mkdir(parents=True)
        return folder

    def rng(self, *of: object) -> random.Random:
        """The random stream of a case, or of what all cases share."""
        return random.Random("/".join(map(str, (self.seed, self.name, *of))))

    def run(self, number: int) -> list[str]:
        """Carry out a case and clear up."""
        folder = self.common.scratch / f"{self.name}-{number:06d}"
        folder.mkdir(parents=True)
        try:
            return list(self.case(number, self.rng(number), folder))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def goes_on(self, folder: Path) -> list[str]:
        """What is wrong with the same command afterwards, undisturbed: wanted is the reference."""
        ended = forked(self.selection.sweep(), folder)
        if ended.status != 0:
            return [f"afterwards the same command ends with status {ended.status}: {ended.err.strip()[-300:]}"]
        return [f"afterwards: {what}" for what in judged(ended, folder / "out", self.reference.artifacts)]


def with_fault(ended: Ended, wrong: Sequence[str]) -> list[str]:
    """Each with what the command met."""
    return [f"{ended.fault}: {what}" if ended.fault else what for what in wrong]


def scratch_of(folder: Path) -> Path:
    """Where this process alone works."""
    return folder / f"process-{os.getpid()}"
