"""Owns what a trained network is made of: neurons, those that see one training input alone, alignment with parity's coordinates."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flatproof import theory
from flatproof.theory.networks import Network, hidden

FEW = 1e-3  # of the outputs' mass: less is no neuron
MEMORIZES, ALIGNED = 0.5, 0.9


@dataclass(frozen=True)
class Kind:
    """What a network is made of. neurons: that carry something. single: those of them that see one training input alone. memorized:
    their share of the outputs' mass. alignment: of W1 with the first two coordinates, averaged with the masses."""

    neurons: int
    single: int
    memorized: float
    alignment: float

    @property
    def name(self) -> str:
        """memorizing, generalizing or between, by RULE."""
        if self.memorized >= MEMORIZES:
            return "memorizing"
        return "generalizing" if self.alignment >= ALIGNED else "between"


def kind(network: Network, x: NDArray[np.floating]) -> Kind:
    """What a two-layer network is made of.

    Args:
        network: of any architecture.
        x: its training inputs, (n, d); repeated ones count once.
    """
    network = network.astype("float64")
    inputs = np.unique(x, axis=0)
    h = hidden(network, inputs)
    weight = np.abs(network.w2)
    if network.gamma is not None:
        s = theory.normalizer(network, x)
        weight = weight * np.abs(network.gamma) * np.divide(1, s, out=np.zeros_like(s), where=s > 0)
    if network.architecture == "sim-ln":
        h = h / np.maximum(np.linalg.norm(h, axis=1), network.epsilon)[:, None]
    mass = (weight * h).sum(axis=0)
    total = mass.sum()
    if not total:
        return Kind(0, 0, 0.0, 0.0)
    alone, carries = (h > 0).sum(axis=0) == 1, mass >= FEW * total
    squares = network.w1**2
    length = squares.sum(axis=1)
    aligned = np.divide(squares[:, :2].sum(axis=1), length, out=np.zeros_like(length), where=length > 0)
    return Kind(
        neurons=int(carries.sum()),
        single=int((alone & carries).sum()),
        memorized=float(mass[alone].sum() / total),
        alignment=float((aligned * mass).sum() / total),
    )
