"""Owns the two networks of andriushchenko2023: the pre-activation ResNet and the plain vision transformer ("SimpleViT"), at any size."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PreactivationBlock(nn.Module):
    """x + conv(relu(bn(conv(relu(bn(x)))))) (He et al. 2016b); a shortcut that changes the shape is a 1 x 1 convolution of relu(bn(x))."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(width)
        self.conv_1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.conv_2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        same = stride == 1 and channels == width
        self.shortcut = None if same else nn.Conv2d(channels, width, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, s, s) -> (n, width, s / stride, s / stride)."""
        out = F.relu(self.norm_1(x))
        residual = x if self.shortcut is None else self.shortcut(out)
        return residual + self.conv_2(F.relu(self.norm_2(self.conv_1(out))))


def preactivation_resnet(
    classes: int = 10, width: int = 64, blocks: Sequence[int] = (2, 2, 2, 2), channels: int = 3
) -> nn.Sequential:
    """A pre-activation ResNet with the 3 x 3 stem that is usual at CIFAR size; the defaults are ResNet-18, 11,172,170 parameters.

    Args:
        classes: outputs.
        width: of the first stage; it doubles from one to the next, and the side halves.
        blocks: of each stage.
        channels: of the images.
    """
    layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, 1, 1, bias=False)]
    fan_in = width
    for stage, count in enumerate(blocks):
        for i in range(count):
            layers.append(PreactivationBlock(fan_in, width * 2**stage, 2 if stage and not i else 1))
            fan_in = width * 2**stage
    return nn.Sequential(
        *layers, nn.BatchNorm2d(fan_in), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(fan_in, classes)
    )


class Attention(nn.Module):
    """x + attention(norm(x)) of so many heads, written out so that any method can differentiate it; no biases."""

    def __init__(self, dim: int, heads: int, head_dim: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * heads * head_dim, bias=False), nn.Linear(heads * head_dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, tokens, dim) -> the same."""
        q, k, v = self.qkv(self.norm(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(-1)
        return x + self.out((weights @ v).transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """x + linear(gelu(linear(norm(x))))."""

    def __init__(self, dim: int, mlp: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, mlp), nn.GELU(), nn.Linear(mlp, dim))

    def forward(self, x: Tensor) -> Tensor:
        """(n, tokens, dim) -> the same."""
        return x + self.net(x)


class SimpleVisionTransformer(nn.Module):
    """A vision transformer with fixed sine-cosine positions and the mean of its tokens (Beyer et al. 2022)."""

    positions: Tensor

    def __init__(
        self,
        side: int = 32,
        patch: int = 4,
        dim: int = 512,
        depth: int = 6,
        heads: int = 16,
        head_dim: int = 64,
        mlp: int = 1024,
        classes: int = 10,
        channels: int = 3,
    ) -> None:
        """The defaults are the paper's, 18,927,114 parameters. Errors: ValueError for a side that patches do not divide."""
        super().__init__()
        if side % patch or dim % 4:
            raise ValueError(f"side must be a multiple of patch and dim one of 4, got side {side}, patch {patch}, dim {dim}")
        self.patch = patch
        self.embed = nn.Linear(channels * patch**2, dim)
        self.register_buffer("positions", sine_cosine(side // patch, dim), persistent=False)
        layers = [layer for _ in range(depth) for layer in (Attention(dim, heads, head_dim), FeedForward(dim, mlp))]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, classes))

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, side, side) -> (n, classes)."""
        n, c, h, w = x.shape
        p = self.patch
        patches = x.reshape(n, c, h // p, p, w // p, p).permute(0, 2, 4, 3, 5, 1).reshape(n, (h // p) * (w // p), p * p * c)
        return self.head(self.layers(self.embed(patches) + self.positions).mean(1))


def sine_cosine(side: int, dim: int) -> Tensor:
    """Positions of a grid of side x side tokens, (side^2, dim): sin and cos of column and row at dim / 4 frequencies from 1 to 1e-4."""
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    steps = max(dim // 4 - 1, 1)
    frequencies = torch.exp(-math.log(10_000) * torch.arange(dim // 4) / steps)
    angles = [place.flatten()[:, None] * frequencies for place in (columns, rows)]
    return torch.cat([f(angle) for angle in angles for f in (torch.sin, torch.cos)], dim=1)
