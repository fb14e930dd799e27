"""Owns the names of the fifteen corruptions, in the published order, and the constants of their five severities at CIFAR's size.

The constants are those of the program that made CIFAR-10-C (Hendrycks and Dietterich 2019). Lengths in pixels (radii, deviations, steps of
the shuffle) stay as they are at other sizes than 32; shares of the side (zoom, elastic, pixelate) scale with it.
"""

from collections.abc import Mapping

VERSION = 1  # raised when a change alters a corrupted image
SEVERITIES = 5
Constants = tuple[float, ...]

CONSTANTS: Mapping[str, tuple[Constants, ...]] = {
    "gaussian_noise": ((0.04,), (0.06,), (0.08,), (0.09,), (0.10,)),  # standard deviation
    "shot_noise": ((500,), (250,), (100,), (75,), (50,)),  # photons at full brightness
    "impulse_noise": ((0.01,), (0.02,), (0.03,), (0.05,), (0.07,)),  # share of values
    "defocus_blur": (
        (0.3, 0.4),
        (0.4, 0.5),
        (0.5, 0.6),
        (1, 0.2),
        (1.5, 0.1),
    ),  # radius of the disk, deviation of its softening; pixels
    "glass_blur": ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),  # deviation, longest step; pixels; rounds
    "motion_blur": ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),  # radius, deviation; pixels
    "zoom_blur": ((1.06,), (1.11,), (1.15,), (1.20,), (1.25,)),  # largest factor; the program's ranges end there, after rounding
    "snow": (  # mean, deviation, zoom and threshold of the flakes, radius and deviation (pixels) of their motion, weight of the image
        (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
        (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
        (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
        (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
        (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
    ),
    "frost": ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)),  # weights of the image and of the frost
    "fog": ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),  # thickness, decay of the detail
    "brightness": ((0.05,), (0.1,), (0.15,), (0.2,), (0.3,)),  # added to HSV's value
    "contrast": ((0.75,), (0.5,), (0.4,), (0.3,), (0.15,)),  # factor
    "elastic_transform": (  # displacement, its smoothing, shift of the affine map's points; shares of the side
        (0, 0, 0.08),
        (0.05, 0.2, 0.07),
        (0.08, 0.06, 0.06),
        (0.1, 0.04, 0.05),
        (0.1, 0.03, 0.03),
    ),
    "pixelate": ((0.95,), (0.9,), (0.85,), (0.75,), (0.65,)),  # share of the side
    "jpeg_compression": ((80,), (65,), (58,), (50,), (40,)),  # quality
}
NAMES = tuple(CONSTANTS)
