"""Images as tensors."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from tests.unit.realdata.tiny import Tiny


def test_tensors_are_normalized_by_channel(tmp_path: Path) -> None:
    tiny = Tiny("binary10", tmp_path)
    images = replace(tiny.load(), mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    x, y = images.tensors(torch.float64)
    by_hand = np.stack([(images.x[:, c] / 255 - images.mean[c]) / images.std[c] for c in range(3)], axis=1)
    assert np.allclose(x.numpy(), by_hand, rtol=1e-15)
    assert y.tolist() == images.y.tolist()
    plain, _ = images.tensors(normalize=False)
    assert plain.dtype == torch.float32
    assert np.allclose(plain.numpy(), images.x / 255)
    assert np.array_equal(images.x, tiny.x["train"])  # untouched
