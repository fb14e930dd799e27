"""Fifteen corruptions of images at five severities, by the definitions and constants of CIFAR-10-C (Hendrycks and Dietterich 2019).

    corrupted = corrupt(images, "motion_blur", severity=5, seed=0)      # uint8 (n, s, s, 3) in and out

`constants` has the names and the constants; `noise`, `blur`, `weather` and `digital` the definitions, a function each; `apply` the way
through them. All is by definition but frost: synthetic texture in place of the authors' photographs (`weather.frost_texture`). Of CIFAR-10,
brightness, contrast and pixelate give the published files byte for byte. Where there is chance, the random numbers are not the authors':
an image is one that their program could have made, not the one that it made.
"""

from typing import TYPE_CHECKING, Any

from flatproof.verify.realdata.corruptions.constants import NAMES, SEVERITIES, VERSION

if TYPE_CHECKING:
    from flatproof.verify.realdata.corruptions.apply import corrupt

__all__ = ["NAMES", "SEVERITIES", "VERSION", "corrupt"]


def __getattr__(name: str) -> Any:
    """`corrupt`, imported on first use: naming data sets needs no scipy."""
    if name != "corrupt":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from flatproof.verify.realdata.corruptions.apply import corrupt

    return corrupt
