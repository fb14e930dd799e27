"""Owns what a training leaves in files: `progress` to go on from, `final`, and the weights of the epochs it keeps.

They lie in a folder named by the training's address in the workspace, beside the store. Each is written whole or not at all; a
lock lets one process at a time train, so that jobs which need the same network wait for it instead of training it twice.
"""

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from flatproof.verify.deep.settings import TrainingSettings
from flatproof.verify.jobs.workspace import workspace
from flatproof.verify.realdata.files import put
from flatproof.verify.utils.errors import UserError

PROGRESS, FINAL = "progress", "final"


def folder(job: TrainingSettings) -> Path:
    """Where a training's files lie."""
    return workspace() / job.key


def kept(epoch: int) -> str:
    """The name of the weights of an epoch."""
    return f"epoch-{epoch:06d}"


def read(job: TrainingSettings, name: str) -> dict[str, Any] | None:
    """What was written under a name, on the CPU; None if nothing was. Raises UserError for a file that cannot be read."""
    path = folder(job) / f"{name}.pt"
    if not path.exists():
        return None
    try:
        data = io.BytesIO(path.read_bytes())
        with zipfile.ZipFile(data) as archive:  # torch.load does not look at the checksums that torch.save writes
            if damaged := archive.testzip():
                raise zipfile.BadZipFile(damaged)
        data.seek(0)
        content: dict[str, Any] = torch.load(data, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever the damage leads to
        raise UserError(f"{path} cannot be read ({type(error).__name__}); delete it, and it is made again") from None
    return content


def write(job: TrainingSettings, name: str, content: dict[str, Any]) -> None:
    """Replace a file whole. Raises OSError."""
    data = io.BytesIO()
    torch.save(content, data)
    put(folder(job) / f"{name}.pt", data.getvalue())


def remove(job: TrainingSettings, name: str) -> None:
    """Remove a file that is no longer needed."""
    (folder(job) / f"{name}.pt").unlink(missing_ok=True)


@contextmanager
def alone(job: TrainingSettings) -> Iterator[None]:
    """Hold the training's lock; it goes with the process, however that ends. Without file locks (Windows) nobody waits."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    folder(job).mkdir(parents=True, exist_ok=True)
    with (folder(job) / "lock").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
