"""Owns the export of training curves for TensorBoard, an optional dependency."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from verify.deep.settings import Training
from verify.errors import UserError


def export(outcomes: Iterable[tuple[str, Training, dict[str, Any]]], folder: Path) -> int:
    """Write each training's curves as (name, training, outcome) into a run of its own below `folder`; how many were written.

    Errors: UserError naming the package when TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UserError(
            "curves for TensorBoard need the package tensorboard; expected: pip install 'flatproof[tensorboard]'"
        ) from None
    count = 0
    for name, job, outcome in outcomes:
        curve = outcome["curve"]
        with SummaryWriter(str(folder / f"{name}, seed {job.seed}, {job.key[:8]}".replace("/", "-"))) as writer:
            for quantity in (key for key in curve if key != "epoch"):
                for epoch, value in zip(curve["epoch"], curve[quantity], strict=True):
                    writer.add_scalar(quantity, value, int(epoch))
        count += 1
    return count
