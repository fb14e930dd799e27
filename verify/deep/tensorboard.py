"""Owns the export of training curves for TensorBoard, an optional dependency."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flatproof.verify.deep.training import Training
from flatproof.verify.jobs.store import Store
from flatproof.verify.utils.errors import UserError


def check_installed() -> Any:
    """TensorBoard's writer. Raises UserError naming the package when it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UserError("--tensorboard needs the package tensorboard; expected: pip install 'flatproof[tensorboard]'") from None
    return SummaryWriter


def export(jobs: Iterable[tuple[str, Any]], store: Store, folder: Path) -> int:
    """Write each stored training's curves into a run of its own.

    Args:
        jobs: name and job; only trainings are written, without those that could not begin: they have no curve.
        store: what is stored.
        folder: the runs' folder.

    Returns:
        How many were written.

    Raises:
        UserError: when TensorBoard is not installed.
    """
    writer_of = check_installed()
    count = 0
    for name, job in jobs:
        stored = store.get(job) if isinstance(job, Training) else None
        if stored is None or stored.result["status"] == "ended":
            continue
        curve = stored.result["curve"]
        run = f"{name}, seed {job.seed}, {job.key[:8]}".replace("/", "-")
        with writer_of(str(folder / run)) as writer:
            for quantity in (key for key in curve if key != "epoch"):
                for epoch, value in zip(curve["epoch"], curve[quantity], strict=True):
                    if epoch or quantity != "step_loss":  # before the first step there is none
                        writer.add_scalar(quantity, value, int(epoch))
        count += 1
    return count
