"""Owns the orthonormal basis of a block Krylov space that grows by one product at a time, with full reorthogonalization (`basis` holds it).

`Prefix` is the same space for one of several that share it: it grows from nothing, as if it were alone, and multiplies only where none of
them has been.
"""

import math

import numpy as np
import torch
from torch import Tensor

from flatproof.verify.curvature.basis import Basis, norm
from flatproof.verify.curvature.estimates import Floats, Symmetric
from flatproof.verify.curvature.processes import of_first, told
from flatproof.verify.curvature.scaled import Rescaled
from flatproof.verify.curvature.shared import once, shares


class Krylov:
    """A growing orthonormal basis V of block Krylov spaces with T = V'HV, (P, k b) and (k b, k b).

    Args:
        operator: H.
        start: (P, b), written over.
        window: blocks that a product is made orthogonal to, once, the newest ones: two are what it has components along but for
            rounding, and enough until eigenvalues converge to its root (Paige 1972): a hint, no bound. None: all, twice.

    Attributes:
        T: V'HV, symmetric, (k b, k b).
        size: k b.
        block: b.
        coupling: the last block B, (b, b).
        starts: coordinates of the b start columns in the first block, (b, b).
        asymmetry: as in `Eigenpairs`.
        invariant: whether V spans an invariant subspace, so that nothing was left of the last product.
        rounding: a bound of the norm of the products' own rounding, 0 until set.
    """

    def __init__(self, operator: Rescaled, start: Tensor, window: int | None = None) -> None:
        self.operator, self.block, self._window = operator, start.shape[1], window
        self._rows = Basis(operator.rows_held)
        self.size = 0
        first, self.starts = self._orthonormal(start)
        self.T: Floats = np.zeros((0, 0))
        self.coupling: Floats = np.zeros((self.block, self.block))
        self.asymmetry, self.invariant = 0.0, False
        self.rounding = 0.0
        self._next = first
        self._history: list[tuple[int, Floats, float, bool]] = []  # size, coupling, asymmetry, invariant after each product

    @property
    def roundoff(self) -> float:
        """Unit roundoff of the products."""
        return float(torch.finfo(self.operator.dtype).eps)

    @property
    def slack(self) -> float:
        """By how much rounding and an asymmetric product may move a Ritz value."""
        norm = float(np.abs(self.T).sum(axis=1).max(initial=0.0))
        return self.asymmetry + 4 * self.roundoff * (math.sqrt(len(self.T)) + 1) * norm + self.rounding

    @property
    def floor(self) -> float:
        """A remainder of a product that is no longer than this is rounding."""
        return 32 * self.roundoff * float(np.abs(self.T).sum(axis=1).max(initial=0.0)) if self.size else 0.0

    def grow(self) -> None:
        """One block product more."""
        block = self._next
        columns = block.shape[1]
        self._store(block)
        old, new = self.size - columns, self.size
        product = self.operator.matmat(block)
        del block
        self._next = product[:, :0]  # its rows are kept
        if self._window is None:
            coefficients = self._remove(product)
            coefficients += self._remove(product)
        else:
            coefficients = of_first(self._rows.remove(product, new, max(new - self._window * columns, 0)))
        below = self.coupling if old else np.zeros((0, columns))
        expected = np.zeros((old, columns))
        if old:
            expected[old - below.shape[1] :] = below.T
            self.asymmetry = max(self.asymmetry, float(np.abs(coefficients[:old] - expected).max()))
        diagonal = coefficients[old:]
        self.asymmetry = max(self.asymmetry, float(np.abs(diagonal - diagonal.T).max()) / 2)
        grown = np.zeros((new, new))
        grown[:old, :old] = self.T
        grown[:old, old:], grown[old:, :old] = expected, expected.T
        grown[old:, old:] = (diagonal + diagonal.T) / 2
        self.T = grown
        self._next, self.coupling = self._orthonormal(product)
        self.invariant = self._next.shape[1] == 0 or self.size >= self.operator.shape[0]
        self._history.append((self.size, self.coupling, self.asymmetry, self.invariant))

    def restart(self, fresh: Tensor) -> bool:
        """Go on from an invariant subspace with fresh directions; False if there are none left."""
        for _ in range(2):
            self._remove(fresh)
        scale = self.roundoff * math.sqrt(self.operator.shape[0])
        self._next, _ = self._orthonormal(fresh, scale)
        self.coupling = np.zeros((self._next.shape[1], self.coupling.shape[1]))
        self.invariant = self._next.shape[1] == 0
        return not self.invariant

    def combine(self, weights: Floats) -> Tensor:
        """V s for the columns s of `weights` (k b, c), (P, c)."""
        return self._rows.combine(weights, self.size)

    @property
    def ahead(self) -> Tensor:
        """The direction that the next product is of, (P, b), orthogonal to V; (P, 0) where V spans an invariant subspace."""
        return self._next

    @property
    def basis(self) -> Tensor:
        """V, (P, k b)."""
        return self._rows.tensor(self.size).T

    def _store(self, block: Tensor) -> None:
        for column in block.T:
            self._rows.append(column)
            self.size += 1

    def _remove(self, block: Tensor) -> Floats:
        """Subtract the projection on V in place; its coordinates, (k b, c)."""
        return of_first(self._rows.remove(block, self.size))

    def _orthonormal(self, block: Tensor, floor: float | None = None) -> tuple[Tensor, Floats]:
        """Orthonormal columns Q, in the block's place, and R with block = Q R; what is nothing but rounding is left out of Q."""
        least = self.floor if floor is None else floor
        kept: list[Tensor] = []
        R = np.zeros((0, block.shape[1]))
        for index in range(block.shape[1]):
            column = block[:, index]
            row = np.zeros(len(kept))
            for _ in range(2):
                for place, unit in enumerate(kept):
                    along = told(float(torch.dot(unit, column)))
                    column.sub_(unit, alpha=along)
                    row[place] += along
            length = told(norm(column))
            R[:, index] = row
            if length > least:
                column.div_(length)
                if self.size and length < 1e5 * self.floor:  # a short remainder is partly rounding along V until that is removed
                    self._remove(column[:, None])
                    column.div_(norm(column))
                kept.append(column)
                R = np.vstack([R, np.zeros((1, block.shape[1]))])
                R[-1, index] = length
        return (block if len(kept) == block.shape[1] else torch.stack(kept, dim=1) if kept else block[:, :0]), R


class Prefix(Krylov):
    """The first products of a Krylov space that grows for several. What it adds after a restart is its own.

    Args:
        whole: the space.
    """

    def __init__(self, whole: Krylov) -> None:
        self._whole: Krylov | None = whole
        self._window = None
        self.operator, self.block, self.starts, self._rows = whole.operator, whole.block, whole.starts, whole._rows
        self.size, self._products = 0, 0
        self.T, self.coupling = np.zeros((0, 0)), np.zeros((whole.block, whole.block))
        self.asymmetry, self.invariant, self.rounding = 0.0, False, 0.0
        self._history = []

    @property
    def ahead(self) -> Tensor:
        """As for every space; the whole may have stored it as part of its own basis."""
        if self._whole is None or self._whole.size == self.size:
            return (self._whole or self)._next
        return torch.stack([self._rows.row(place) for place in range(self.size, self.size + self.block)], dim=1)

    def grow(self) -> None:
        """One block product more, or one that was made already."""
        if self._whole is None:
            super().grow()
            return
        if self._products == len(self._whole._history):
            self._whole.grow()
        self.size, self.coupling, self.asymmetry, self.invariant = self._whole._history[self._products]
        self.T = self._whole.T[: self.size, : self.size]
        self._products += 1

    def restart(self, fresh: Tensor) -> bool:
        """As for every space; from here on it grows apart from the others."""
        if self._whole is not None:
            self._whole, self._rows = None, self._rows.copy(self.size)
        return super().restart(fresh)


def started(operator: Symmetric, start: Tensor, seed: int) -> Krylov:
    """The Krylov space of a random start, shared by all that draw the same within `sharing`.

    Args:
        operator: H, (P, P).
        start: what `gaussian` drew first from `generator_of(seed)`, (P, block).
        seed: of the draw.
    """
    if not shares(operator):
        return Krylov(Rescaled(operator), start)
    key = "krylov", operator, seed, start.shape[1]
    return Prefix(once(operator, key, lambda: Krylov(Rescaled(operator), start)))
