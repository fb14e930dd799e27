"""Jobs that end their worker, in a module that a worker imports in no time."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flatproof.verify.jobs.job import OFF_ADDRESS, Computation


@dataclass(frozen=True)
class Dying(Computation):
    """Gives its number, once so many processes that carried it out have been killed, as for want of memory."""

    JOB, VERSION = "dying", 1
    number: int
    deaths: int
    folder: str = field(metadata=OFF_ADDRESS)
    cost = 1.0

    def carry_out(self) -> dict[str, Any]:
        if self.deaths < 0:
            raise ValueError(f"{self.deaths} deaths")
        for death in range(self.deaths):
            try:
                (Path(self.folder) / f"{self.number}.{death}").touch(exist_ok=False)
            except FileExistsError:
                continue
            time.sleep(0.7)  # a Dask worker that ends as soon as it starts is not started again
            os.kill(os.getpid(), signal.SIGKILL)
        return {"number": self.number}

    def summary(self, values: dict[str, Any]) -> str:
        return str(values)


def end() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Unreadable(Dying):
    """Kills the worker that unpickles it, before it can begin."""

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return end, ()


@dataclass(frozen=True)
class Unsendable(Dying):
    def __reduce__(self) -> str:
        raise TypeError("stays here")
