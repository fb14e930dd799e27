"""Owns out-of-distribution error: a network's errors on corrupted test images, over all and by corruption."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flatproof.verify.realdata.corrupted import Corrupted, corrupted_edition, corrupted_test_set
from flatproof.verify.realdata.corruptions import NAMES
from flatproof.verify.realdata.editions import edition_by
from flatproof.verify.realdata.files import data_root

if TYPE_CHECKING:
    from torch import nn

    from flatproof.verify.deep import Samples

AT_ONCE = 500  # images prepared at once


def edition() -> str:
    """What tells the corrupted images from any others; "" where there are none."""
    return edition_by("cifar10-c", lambda: _edition(data_root()))


@lru_cache(maxsize=1)
def _edition(root: Path) -> str:
    try:
        return corrupted_edition(root)
    except FileNotFoundError:
        return ""


@lru_cache(maxsize=1)
def images(count: int, root: Path) -> Corrupted:
    """The corrupted images below a root, built or read once a process."""
    return corrupted_test_set(count, root=root)


def corrupted_errors(network: "nn.Module", data: "Samples", count: int) -> dict[str, Any]:
    """Errors on corrupted images.

    Args:
        network: in evaluation mode, on the device of the images.
        data: the network's own images, by which others are prepared.
        count: corrupted images.

    Returns:
        ood_error: the share of wrong answers.
        ood_errors: the same by corruption.
        ood_source: where the images come from.
    """
    import torch

    shifted = images(count, data_root())
    wrong = np.empty(count, dtype=bool)
    with torch.no_grad():
        for start in range(0, count, AT_ONCE):
            part = slice(start, start + AT_ONCE)
            answers = network(data.prepared(shifted.images.x[part])).argmax(1).cpu().numpy()
            wrong[part] = answers != shifted.images.y[part]
    by_corruption = {name: float(wrong[shifted.corruption == kind].mean()) for kind, name in enumerate(NAMES)}
    return {"ood_error": float(wrong.mean()), "ood_errors": by_corruption, "ood_source": shifted.images.edition}
