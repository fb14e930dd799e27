"""The pre-activation ResNet and the plain vision transformer against their formulas, and their sizes as published."""

import math

import pytest
import torch
from torch.nn import functional as F

from flatproof.verify.deep.vision import PreactivationBlock, SimpleVisionTransformer, preactivation_resnet, sine_cosine

SMALL = {"side": 8, "patch": 4, "dim": 8, "depth": 2, "heads": 2, "head_dim": 3, "mlp": 5, "classes": 4}


def size(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_sizes_are_the_published_ones() -> None:
    assert size(preactivation_resnet()) == 11_172_170
    assert size(SimpleVisionTransformer()) == 18_927_114


@pytest.mark.parametrize(("channels", "width", "stride"), [(4, 4, 1), (4, 6, 2)])
def test_a_block_is_its_formula(channels: int, width: int, stride: int) -> None:
    torch.manual_seed(0)
    block = PreactivationBlock(channels, width, stride).double()
    x = torch.randn(3, channels, 6, 6, dtype=torch.float64)

    def normal(z: torch.Tensor) -> torch.Tensor:
        mean, variance = z.mean((0, 2, 3), keepdim=True), z.var((0, 2, 3), correction=0, keepdim=True)
        return ((z - mean) / (variance + 1e-5).sqrt()).clamp(min=0)

    inner = normal(x)
    shortcut = x if block.shortcut is None else F.conv2d(inner, block.shortcut.weight, stride=stride)
    first = F.conv2d(inner, block.conv_1.weight, stride=stride, padding=1)
    expected = shortcut + F.conv2d(normal(first), block.conv_2.weight, padding=1)
    assert torch.allclose(block(x), expected, atol=1e-10)


def test_a_transformer_is_its_formula() -> None:
    """Written token by token and head by head."""
    torch.manual_seed(1)
    model = SimpleVisionTransformer(**SMALL).double()
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    for n in range(2):
        tokens = []
        for r in range(2):
            for c in range(2):
                patch = x[n, :, 4 * r : 4 * r + 4, 4 * c : 4 * c + 4]
                pixels = torch.stack([patch[k, i, j] for i in range(4) for j in range(4) for k in range(3)])
                tokens.append(model.embed(pixels) + model.positions[2 * r + c])
        for attention, feed in zip(model.layers[::2], model.layers[1::2], strict=True):
            q, k, v = ([row.reshape(3, 2, 3)[i] for row in map(attention.qkv, map(attention.norm, tokens))] for i in range(3))
            mixed = []
            for i in range(4):
                heads = []
                for h in range(2):
                    scores = torch.stack([q[i][h] @ k[j][h] / math.sqrt(3) for j in range(4)]).exp()
                    heads.append(sum(s * v[j][h] for j, s in enumerate(scores / scores.sum())))
                mixed.append(tokens[i] + attention.out(torch.cat(heads)))
            norm, up, _, down = feed.net
            tokens = [t + down(F.gelu(up(norm(t)))) for t in mixed]
        expected = model.head(sum(tokens) / 4)
        assert torch.allclose(model(x)[n], expected, atol=1e-10)


def test_positions_are_sines_and_cosines_of_column_and_row() -> None:
    grid = sine_cosine(3, 8)
    assert grid.shape == (9, 8)
    for r in range(3):
        for c in range(3):
            expected = [f(p * w) for p in (c, r) for f in (math.sin, math.cos) for w in (1.0, 1e-4)]
            assert grid[3 * r + c].tolist() == pytest.approx(expected, abs=1e-6)


def test_a_side_that_patches_do_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="side must be a multiple of patch and dim one of 4, got side 10, patch 4, dim 8"):
        SimpleVisionTransformer(side=10, patch=4, dim=8)
