"""Owns the losses l(f, y) of one sample as functions of the network's output f and the label y.

    mse       l = (f - y)^2
    logistic  l = log(1 + e^f) - q f + q log q + (1 - q) log(1 - q),   q = 1/2 + (1/2 - p) y,   y = -1 or 1

The logistic loss is wen2023/definition-A.2 with label smoothing p, in excess of its smallest value, so that 0 means a perfect fit
for both. Its b in {0, 1} is read as b = (1 - y)/2: as printed, y = 1 for b = 1, the minimizer would have the sign of -y
(the ledger's wen2023/theorem-A.2), and no test accuracy Pr(y f > 0) could be high.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
LOSSES = ("mse", "logistic")


@dataclass(frozen=True)
class Loss:
    """One of LOSSES. smoothing: p of the logistic loss, strictly between 0 and 1/2; 0 for the mean squared error."""

    name: str = "mse"
    smoothing: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in LOSSES:
            raise ValueError(f"loss must be one of {', '.join(LOSSES)}, got {self.name!r}")
        number = isinstance(self.smoothing, (int, float, np.integer, np.floating)) and not isinstance(self.smoothing, bool)
        if self.name == "mse" and (not number or self.smoothing != 0):
            raise ValueError(f"smoothing must be 0 for the loss 'mse', got {self.smoothing!r}")
        if self.name == "logistic" and not (number and 0 < self.smoothing < 0.5):
            raise ValueError(f"smoothing must be a number above 0 and below 0.5 for the loss 'logistic', got {self.smoothing!r}")
        object.__setattr__(self, "smoothing", float(self.smoothing))

    def check_labels(self, y: Array) -> None:
        """ValueError unless the labels (n,) are ones that the loss is for: -1 and 1 for the logistic loss, any for the other."""
        wrong = np.flatnonzero(np.abs(y) != 1) if self.name == "logistic" else np.empty(0, int)
        if len(wrong):
            raise ValueError(
                f"y must hold nothing but -1 and 1 for the loss 'logistic', entry {wrong[0]} is {y[wrong[0]]:g}; expected 'mse'"
            )

    def probabilities(self, y: Array) -> Array:
        """q, the smoothed probability of the label 1, (n,)."""
        return 0.5 + (0.5 - self.smoothing) * y

    def value(self, f: Array, y: Array) -> Array:
        """l(f, y) >= 0, (n,)."""
        if self.name == "mse":
            return (f - y) ** 2
        q = self.probabilities(y)
        return np.maximum(np.logaddexp(0, f) - q * f + q * np.log(q) + (1 - q) * np.log(1 - q), 0)

    def slope(self, f: Array, y: Array) -> Array:
        """dl/df, (n,)."""
        return 2 * (f - y) if self.name == "mse" else sigmoid(f) - self.probabilities(y)

    def curvature(self, f: Array) -> Array:
        """d^2 l/df^2, (n,)."""
        return np.full_like(f, 2) if self.name == "mse" else sigmoid(f) * sigmoid(-f)

    def targets(self, y: Array) -> Array:
        """The outputs at which l is smallest, (n,): y, or ln((1-p)/p) y (wen2023/theorem-A.2, corrected)."""
        return y if self.name == "mse" else np.log(1 / self.smoothing - 1) * y

    @property
    def curvature_at_targets(self) -> float:
        """d^2 l/df^2 where l is smallest: 2 (wen2023/lemma-4.1), or p (1 - p) (wen2023/lemma-A.13, corrected)."""
        return 2.0 if self.name == "mse" else self.smoothing * (1 - self.smoothing)


MSE = Loss()


def sigmoid(z: Array) -> Array:
    """1/(1 + e^-z) without overflow."""
    return np.exp(-np.logaddexp(0, -z))
