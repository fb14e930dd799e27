"""Owns the networks that measurements and experiments run on: VGG-11, ResNet-18, a small vision transformer, and those of keskar2017.

All map (n, c, h, w) images, (n, 3, 32, 32) unless stated, to (n, classes) logits. Plain modules with few options: what is
measured should be readable at a glance.
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


def fully_connected(
    inputs: int = 784, width: int = 512, depth: int = 5, classes: int = 10, batch_norm: bool = True, dropout: float = 0.0
) -> nn.Sequential:
    """ReLU layers on flattened images, and a linear layer. The defaults are keskar2017's F1; F2 has 360 inputs, 7 layers, 1973 classes.

    Args:
        inputs: values an image.
        width, depth: of the ReLU layers.
        classes: outputs.
        batch_norm: whether each ReLU has batch norm before it.
        dropout: share of values that are dropped after each ReLU.
    """
    layers: list[nn.Module] = [nn.Flatten()]
    for fan_in in (inputs, *[width] * (depth - 1)):
        layers.append(nn.Linear(fan_in, width))
        if batch_norm:
            layers.append(nn.BatchNorm1d(width))
        layers.append(nn.ReLU())
        if dropout:
            layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers, nn.Linear(width, classes))


def alexnet_like(
    classes: int = 10,
    filters: int = 64,
    dense: tuple[int, int] = (384, 192),
    dropout: float = 0.5,
    channels: int = 3,
    side: int = 32,
) -> nn.Sequential:
    """keskar2017's C1 (C3 with 100 classes): two blocks of [conv 5 x 5, batch norm, ReLU, max-pool 3 x 3 stride 2], two dense layers.

    Args:
        classes: outputs.
        filters: of each convolution.
        dense: widths of the dense layers; each is followed by batch norm, ReLU and dropout.
        dropout: share of values that are dropped.
        channels, side: shape of an image.
    """
    layers: list[nn.Module] = []
    for fan_in in (channels, filters):
        layers += [nn.Conv2d(fan_in, filters, 5, padding=2), nn.BatchNorm2d(filters), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1)]
        side = (side + 1) // 2
    layers.append(nn.Flatten())
    for fan_in, width in ((filters * side**2, dense[0]), (dense[0], dense[1])):
        layers += [nn.Linear(fan_in, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(dense[1], classes))


def vgg_like(classes: int = 10, share: int = 1, channels: int = 3, side: int = 32) -> nn.Sequential:
    """keskar2017's C2 (C4 with 100 classes): blocks of 2 x 64, 2 x 128, 3 x 256, 3 x 512, 3 x 512 convolutions 3 x 3, dense 512.

    Batch norm and ReLU after each convolution, dropout 0.3 (first block) or 0.4 between those of a block, a 2 x 2 max-pool after each
    block; then dropout 0.5, dense with batch norm and ReLU, dropout 0.5.

    Args:
        classes: outputs.
        share: all widths are divided by it.
        channels, side: shape of an image.
    """
    layers: list[nn.Module] = []
    for width, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        width //= share
        for i in range(count):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
            if i < count - 1:
                layers.append(nn.Dropout(0.3 if width * share == 64 else 0.4))
            channels = width
        layers.append(nn.MaxPool2d(2, ceil_mode=True))
        side = (side + 1) // 2
    dense = 512 // share
    layers += [nn.Flatten(), nn.Dropout(0.5), nn.Linear(channels * side**2, dense), nn.BatchNorm1d(dense), nn.ReLU()]
    return nn.Sequential(*layers, nn.Dropout(0.5), nn.Linear(dense, classes))


def vgg11(classes: int = 10, channels: int = 3, narrow: int = 1, normalized: bool = False) -> nn.Sequential:
    """VGG-11 (Simonyan and Zisserman 2015, configuration A) with one linear layer on top, as is usual at CIFAR size; no dropout.

    Args:
        classes: outputs.
        channels: of the images.
        narrow: every width is divided by it.
        normalized: whether batch normalization follows each convolution.
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
