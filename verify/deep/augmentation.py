"""Owns the augmentation of a batch of images, on tensors: each image its own draw from a seeded generator on the CPU."""

from collections.abc import Sequence

import torch
from torch import Tensor

from flatproof.verify.deep.randaugment import randaugmented

SHARE = 8  # images shift by up to 1/8 of their side


def augmented(
    x: Tensor, kinds: Sequence[str], generator: torch.Generator, moments: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """The batch with each image shifted by up to h/8 and w/8 pixels and, by a coin, mirrored; then RandAugment.

    Args:
        x: images (n, c, h, w), normalized: the zeros that come in are their mean.
        kinds: some of "shift", "flip" and "randaugment".
        generator: on the CPU, so that a seed means the same on every device.
        moments: mean and standard deviation with which pixels were normalized; RandAugment needs them.

    Returns:
        As many images of the same shape.

    Raises:
        ValueError: for RandAugment of images that have no pixels or no three colours.
    """
    if "shift" in kinds:
        x = shifted(x, *(torch.randint(-(s // SHARE), s // SHARE + 1, (len(x),), generator=generator) for s in x.shape[2:]))
    if "flip" in kinds:
        mirrored = torch.rand(len(x), generator=generator) < 0.5
        x = torch.where(mirrored.to(x.device)[:, None, None, None], x.flip(3), x)
    if "randaugment" in kinds:
        if moments is None:
            raise ValueError("randaugment needs images that have pixels, got synthetic ones")
        x = randaugmented(x, *moments, generator)
    return x


def shifted(x: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Each image moved by pixels of its own: out[i, :, r, s] = x[i, :, r - down[i], s - right[i]], 0 outside.

    Args:
        x: images (n, c, h, w).
        down, right: pixels (n,), negative for up and left.
    """
    n, c, h, w = x.shape
    device = x.device
    rows = torch.arange(h, device=device) - down.to(device)[:, None]
    columns = torch.arange(w, device=device) - right.to(device)[:, None]
    inside = ((rows >= 0) & (rows < h))[:, None, :, None] & ((columns >= 0) & (columns < w))[:, None, None, :]
    moved = x.gather(2, rows.clamp(0, h - 1)[:, None, :, None].expand(n, c, h, w))
    moved = moved.gather(3, columns.clamp(0, w - 1)[:, None, None, :].expand(n, c, h, w))
    return moved * inside
