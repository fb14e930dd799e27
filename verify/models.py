"""Owns the convolutional and attention networks at CIFAR size that measurements run on: VGG-11, ResNet-18 and a small vision transformer.

All map (n, 3, 32, 32) images to (n, classes) logits. Plain modules with few options: what is measured should be readable at a glance.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def mlp(*widths: int) -> nn.Sequential:
    """A ReLU network, (n, widths[0]) -> (n, widths[-1])."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def vgg11(classes: int = 10, channels: int = 3, narrow: int = 1, normalized: bool = False) -> nn.Sequential:
    """VGG-11 (Simonyan and Zisserman 2015, configuration A) with one linear layer on top, as is usual at CIFAR size; no dropout.

    channels: of the images. narrow: every width is divided by it. normalized: batch normalization after each convolution.
    """
    layers: list[nn.Module] = []
    for width, pooled in (
        (64, True),
        (128, True),
        (256, False),
        (256, True),
        (512, False),
        (512, True),
        (512, False),
        (512, True),
    ):
        width //= narrow
        norm = [nn.BatchNorm2d(width)] if normalized else []
        layers += [nn.Conv2d(channels, width, 3, padding=1), *norm, nn.ReLU(), *([nn.MaxPool2d(2)] if pooled else [])]
        channels = width
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels, classes))


class ResidualBlock(nn.Module):
    """relu(x + bn(conv(relu(bn(conv(x)))))), the shortcut projected where the shape changes."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(channels, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width))
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width))
        same = stride == 1 and channels == width
        self.shortcut = (
            nn.Identity() if same else nn.Sequential(nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width))
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, s, s) -> (n, width, s / stride, s / stride)."""
        return F.relu(self.shortcut(x) + self.second(F.relu(self.first(x))))


def resnet18(classes: int = 10) -> nn.Sequential:
    """ResNet-18 (He et al. 2016) with the 3 x 3 stem that is usual at CIFAR size."""
    blocks: list[nn.Module] = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    channels = 64
    for width, stride in ((64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)):
        blocks.append(ResidualBlock(channels, width, stride))
        channels = width
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


class AttentionBlock(nn.Module):
    """Pre-norm self-attention, written out so that any method can differentiate it, and a GELU network, each with its residual."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_1, self.qkv, self.mix = nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.norm_2 = nn.LayerNorm(width)
        self.net = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """(n, tokens, width) -> the same."""
        q, k, v = self.qkv(self.norm_1(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(-1)
        x = x + self.mix((weights @ v).transpose(1, 2).flatten(2))
        return x + self.net(self.norm_2(x))


class VisionTransformer(nn.Module):
    """A vision transformer (Dosovitskiy et al. 2021) on 4 x 4 patches, averaged over its tokens."""

    def __init__(self, width: int = 128, depth: int = 4, heads: int = 4, classes: int = 10) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, 4)
        self.position = nn.Parameter(0.02 * torch.randn(1, 64, width))
        self.blocks = nn.Sequential(*(AttentionBlock(width, heads) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, 32, 32) -> (n, classes)."""
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.position
        return self.head(self.norm(self.blocks(tokens)).mean(1))
