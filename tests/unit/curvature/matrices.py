"""Matrices whose eigenvalues are known, as operators."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor


class Dense:
    """A matrix as an operator."""

    def __init__(self, matrix: Tensor) -> None:
        self.matrix, self.products = matrix, 0
        self.shape = (len(matrix), len(matrix))
        self.dtype, self.device = matrix.dtype, matrix.device

    def matvec(self, vector: Tensor) -> Tensor:
        self.products += 1
        return self.matrix @ vector

    def matmat(self, block: Tensor) -> Tensor:
        self.products += block.shape[1]
        return self.matrix @ block


class Apart(Dense):
    """The sum of matrices (b, P, P), each a batch's own."""

    def __init__(self, matrices: Tensor) -> None:
        super().__init__(matrices.sum(0))
        self.matrices, self.parts = matrices, len(matrices)

    def apart(self, draw: Callable[[], Tensor]) -> Iterator[Tensor]:
        for matrix in self.matrices:
            block = draw()
            yield matrix @ block
        self.products += block.shape[1]


def with_spectrum(values: np.ndarray, seed: int, dtype: torch.dtype = torch.float64) -> Dense:
    rng = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(rng.standard_normal((len(values), len(values))))
    matrix = (basis * values) @ basis.T
    return Dense(torch.as_tensor((matrix + matrix.T) / 2, dtype=dtype))


SPECTRA: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "outliers": lambda rng, p: np.r_[10, 8, 7, 5, 3, 0.3 * np.abs(rng.standard_normal(p - 5))],
    "flat": lambda rng, p: rng.uniform(-1, 1, p),
    "power": lambda rng, p: 1 / np.arange(1, p + 1.0),
    "close": lambda rng, p: np.r_[1.0, 1 - 1e-3, 1 - 1e-2, rng.uniform(0, 0.95, p - 3)],
    "low rank": lambda rng, p: np.r_[3.0, 2, 2, -1, np.zeros(p - 4)],
    "negative": lambda rng, p: -np.abs(rng.standard_normal(p)) - 0.1,
}
