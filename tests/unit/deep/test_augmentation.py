"""Shifts and flips: each image its own draw."""

import numpy as np
import pytest
import torch

from flatproof.verify.deep.augmentation import augmented, shifted


def test_shifts_move_each_image_by_its_own_draw() -> None:
    x = torch.arange(2 * 1 * 4 * 4, dtype=torch.float32).reshape(2, 1, 4, 4) + 1
    out = shifted(x, torch.tensor([1, -2]), torch.tensor([0, 1]))
    assert torch.equal(out[0, 0, 1:], x[0, 0, :3])
    assert not out[0, 0, 0].any()
    assert torch.equal(out[1, 0, :2, 1:], x[1, 0, 2:, :3])
    assert not out[1, 0, 2:].any()
    assert not out[1, 0, :, 0].any()


def test_augmentation_draws_every_shift_and_flips_half() -> None:
    x = torch.zeros(4000, 1, 16, 16)
    x[:, 0, 8, 5] = 1
    out = augmented(x, ("shift",), torch.Generator().manual_seed(0))
    rows, columns = torch.nonzero(out)[:, 2], torch.nonzero(out)[:, 3]
    assert sorted(set((rows - 8).tolist())) == sorted(set((columns - 5).tolist())) == [-2, -1, 0, 1, 2]
    assert np.corrcoef(rows, columns)[0, 1] == pytest.approx(0, abs=0.06)
    flipped = augmented(x, ("flip",), torch.Generator().manual_seed(0))[:, 0, 8, 10]
    assert set(flipped.tolist()) == {0.0, 1.0}
    assert float(flipped.mean()) == pytest.approx(0.5, abs=0.04)
