"""Owns the three noises: of Gauss, of shot, of impulses. Each value of each channel has noise of its own."""

import numpy as np

from flatproof.verify.realdata.corruptions.pixels import Bytes, Generators, draws, to_bytes, to_unit


def gaussian_noise(images: Bytes, constants: tuple[float, ...], generators: Generators) -> Bytes:
    """Normal noise of mean 0 added. Constants: its standard deviation, in units of [0, 1]."""
    (deviation,) = constants
    return to_bytes(to_unit(images) + deviation * draws(generators, lambda g: g.standard_normal(images.shape[1:])))


def shot_noise(images: Bytes, constants: tuple[float, ...], generators: Generators) -> Bytes:
    """A Poisson number of photons. Constants: their mean number at full brightness."""
    (photons,) = constants
    return to_bytes(np.array([g.poisson(rate) for g, rate in zip(generators, photons * to_unit(images), strict=True)]) / photons)


def impulse_noise(images: Bytes, constants: tuple[float, ...], generators: Generators) -> Bytes:
    """Values replaced by 0 or 1, each as likely. Constants: the chance that a value is replaced."""
    (share,) = constants
    shape = images.shape[1:]
    replaced = draws(generators, lambda g: g.random(shape)) < share
    white = draws(generators, lambda g: g.random(shape)) < 0.5
    return np.where(replaced, np.where(white, np.uint8(255), np.uint8(0)), images)
