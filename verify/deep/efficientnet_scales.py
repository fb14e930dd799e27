"""Owns which EfficientNet-Lite there are and how each scales; apart from the network, so that its readers load no torch."""

from typing import NamedTuple


class Scale(NamedTuple):
    """How a variant scales `STAGES`, and the side of its square input in pixels."""

    width: float
    depth: float
    size: int
    dropout: float


SCALES = {
    "efficientnet-lite0": Scale(1.0, 1.0, 224, 0.2),
    "efficientnet-lite1": Scale(1.0, 1.1, 240, 0.2),
    "efficientnet-lite2": Scale(1.1, 1.2, 260, 0.3),
}
