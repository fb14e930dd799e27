"""Owns EfficientNet-Lite 0, 1 and 2: the ImageNet networks whose pretrained weights `flatproof data fetch imagenet-sample` brings.

Architecture: Tan and Le (2019, arXiv 1905.11946), with the changes of its Lite variants: no squeeze-and-excite, ReLU6 in place of
swish, stem and head not scaled, first and last stage not deepened. A block with input channels c and expansion e computes

    x + P(D(E(x)))   if the stride is 1 and the channels stay,   P(D(E(x)))   otherwise,

E a 1 × 1 convolution to e·c channels (left out if e = 1), D a k × k depthwise convolution, P a 1 × 1 convolution; each is followed by
batch normalization (epsilon 1e-3), E and D by ReLU6 too. Convolutions pad with zeros so that n pixels become ceil(n / stride),
the odd one on the right and at the bottom.

Input: RGB in [0, 255], centre-cropped and resized by `verify.realdata.imagenet.square` to `size`² pixels, as (v - 127) / 128
(`prepare`). Published top-1 accuracy on the 50,000 validation images: 75.1, 76.7 and 77.6 %.
"""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from flatproof.verify import realdata
from flatproof.verify.deep.efficientnet_scales import SCALES
from flatproof.verify.realdata.weights import WEIGHTS

NORM_EPSILON = 1e-3
STEM, HEAD, CLASSES = 32, 1280, 1000


class Stage(NamedTuple):
    """A run of blocks: expansion, kernel, stride of the first block, output channels, blocks (before scaling)."""

    expansion: int
    kernel: int
    stride: int
    channels: int
    blocks: int


STAGES = (
    Stage(1, 3, 1, 16, 1),
    Stage(6, 3, 2, 24, 2),
    Stage(6, 5, 2, 40, 2),
    Stage(6, 3, 2, 80, 3),
    Stage(6, 5, 1, 112, 3),
    Stage(6, 5, 2, 192, 4),
    Stage(6, 3, 1, 320, 1),
)


def scaled_channels(channels: int, width: float) -> int:
    """The multiple of 8 nearest to width · channels, one more where that would lose over a tenth."""
    wanted = channels * width
    nearest = max(8, int(wanted + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * wanted else nearest


class Convolution(nn.Module):
    """Convolution without bias, batch normalization, and ReLU6 if `active`: (n, c, h, w) -> (n, out, ceil(h/s), ceil(w/s))."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int = 1, groups: int = 1, active: bool = True) -> None:
        super().__init__()
        self.kernel, self.stride, self.active = kernel, stride, active
        self.conv = nn.Conv2d(channels, out, kernel, stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(out, eps=NORM_EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """The layer's output."""
        above, below = self._padding(x.shape[2])
        left, right = self._padding(x.shape[3])
        even = min(above, below), min(left, right)  # the convolution pads these itself, without a copy of x
        if (above, left) != (below, right):
            x = F.pad(x, (0, right - left, 0, below - above))
        z = self.norm(F.conv2d(x, self.conv.weight, None, self.stride, even, groups=self.conv.groups))
        return F.relu6(z) if self.active else z

    def _padding(self, n: int) -> tuple[int, int]:
        """Zeros before and after n pixels."""
        total = max((math.ceil(n / self.stride) - 1) * self.stride + self.kernel - n, 0)
        return total // 2, total - total // 2


class Block(nn.Module):
    """The inverted residual block of the module's first lines."""

    def __init__(self, channels: int, out: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        inner = channels * expansion
        self.expand = Convolution(channels, inner, 1) if expansion > 1 else None
        self.depthwise = Convolution(inner, inner, kernel, stride, groups=inner)
        self.project = Convolution(inner, out, 1, active=False)
        self.residual = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        """The block's output, (n, out, ceil(h / stride), ceil(w / stride))."""
        z = x if self.expand is None else self.expand(x)
        z = self.project(self.depthwise(z))
        return x + z if self.residual else z


class EfficientNetLite(nn.Module):
    """Logits (n, classes) of images (n, 3, h, w) prepared by `prepare`; a thousand classes are those of ILSVRC 2012 in their order.

    Raises ValueError for a name outside `SCALES`.
    """

    def __init__(self, name: str, classes: int = CLASSES) -> None:
        if name not in SCALES:
            raise ValueError(f"network must be one of {', '.join(SCALES)}, got {name!r}")
        super().__init__()
        scale = SCALES[name]
        self.name, self.size = name, scale.size
        self.stem = Convolution(3, STEM, 3, 2)
        blocks: list[nn.Module] = []
        channels = STEM
        for stage in STAGES:
            out = scaled_channels(stage.channels, scale.width)
            ends = stage in (STAGES[0], STAGES[-1])
            repeats = stage.blocks if ends else math.ceil(stage.blocks * scale.depth)
            for i in range(repeats):
                blocks.append(Block(channels, out, stage.expansion, stage.kernel, stage.stride if i == 0 else 1))
                channels = out
        self.blocks = nn.Sequential(*blocks)
        self.head = Convolution(channels, HEAD, 1)
        self.dropout = nn.Dropout(scale.dropout)
        self.classifier = nn.Linear(HEAD, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, (n, classes)."""
        z = self.head(self.blocks(self.stem(x)))
        return self.classifier(self.dropout(z.mean(dim=(2, 3))))


PARTS = {  # of the published files' names: theirs, ours
    "_conv_stem": "stem.conv",
    "_bn0": "stem.norm",
    "_conv_head": "head.conv",
    "_bn1": "head.norm",
    "_fc": "classifier",
}
BLOCK_PARTS = {
    "_expand_conv": "expand.conv",
    "_bn0": "expand.norm",
    "_depthwise_conv": "depthwise.conv",
    "_bn1": "depthwise.norm",
    "_project_conv": "project.conv",
    "_bn2": "project.norm",
}


def our_name(name: str) -> str:
    """The name in `EfficientNetLite` of a tensor of a published file, such as `_blocks.3._bn1.weight`. Raises KeyError if unknown."""
    if name.startswith("_blocks."):
        _, index, part, kind = name.split(".")
        return f"blocks.{index}.{BLOCK_PARTS[part]}.{kind}"
    part, kind = name.split(".")
    return f"{PARTS[part]}.{kind}"


def pretrained(name: str, root: str | Path | None = None) -> EfficientNetLite:
    """The network with its published weights, in evaluation mode, from the files that were fetched (checksums verified).

    Args:
        name: one of `SCALES`.
        root: the folder of all data; default $FLATPROOF_DATA or ~/.cache/flatproof.

    Raises:
        NotAvailable: if the weights were not fetched.
        Damaged: if their file was altered.
        ValueError: for an unknown name.
    """
    network = EfficientNetLite(name)
    network.load_state_dict(published(name, root))
    return network.eval()


def published(name: str, root: str | Path | None = None) -> dict[str, Tensor]:
    """The published weights by our names; arguments and errors as for `pretrained`."""
    theirs = torch.load(realdata.weights_file(name, root), map_location="cpu", weights_only=True)
    return {our_name(key): value for key, value in theirs.items()}


def fine_tunable(
    name: str = "efficientnet-lite0", classes: int = 10, weights: str | None = None, contrast: float = 1.0
) -> EfficientNetLite:
    """A network for other classes that starts from the published weights: all of them but its last layer, which is random.

    Args:
        name: one of `SCALES`.
        classes: how many.
        weights: the digest of the published file (`realdata.weights.WEIGHTS`); None for a random start.
        contrast: factor of the inputs, taken into the first convolution: images are normalized to standard deviation 1, while
            `prepare` gives those of photographs about a half.

    Raises:
        NotAvailable: if the weights were not fetched.
        Damaged: if their file was altered.
        ValueError: for an unknown name, or another checksum than the published one.
    """
    network = EfficientNetLite(name, classes)
    if weights is not None:
        if weights != (expected := WEIGHTS[name].digest):
            raise ValueError(f"weights of {name} must be those published, {expected}, got {weights}")
        body = {key: value for key, value in published(name).items() if not key.startswith("classifier.")}
        network.load_state_dict(body | {f"classifier.{key}": value for key, value in network.classifier.state_dict().items()})
    with torch.no_grad():
        network.stem.conv.weight *= contrast
    return network


def prepare(x: NDArray[np.uint8]) -> Tensor:
    """(v - 127) / 128 of images (n, 3, h, w) in [0, 255], float32."""
    return (torch.from_numpy(x).to(torch.float32) - 127) / 128
