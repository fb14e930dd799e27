"""Owns the choice between deflation and probes: how far a Lanczos basis V grows before tr H = tr V'HV + tr R is left to probes of R.

R = (I - VV')H(I - VV'). One or two referees g, Gaussian and independent of V, are multiplied once. H V = V T + v_{k+1} b e_k' is known
from the recurrence, so at every k and without another product

    w = (I - VV')g, made sqrt(n) long, n = P - k,   R w = (I - VV')H g - v_{k+1} b (v_k'g) in the same units,

and mean ||R w||^2 - mu^2 n, mu = mean w'Rw / n, estimates ||R - mu I||_F^2: half the variance of one probe of R, by the same vectors
at all k, so that its fall is seen better than its size. V grows as long as this lowered the cost (the interval's width with the products
that would be left, or the number of products that a tolerance would need) within the last few products. Those that grew V are not
lost: tr V'HV is exact, and V is that of `lanczos` from the same seed.

The choice does not bias the estimate. V is a function of its start, k of V and the referees, and the probes are drawn afterwards,
independent of both: given V and k the mean of their values is unbiased and its interval is that of independent probes of a fixed matrix.
Were k chosen by the probes themselves, those k would be preferred at which their values happen to look alike, and the spread would be
understated. For this reason the referees enter no mean.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from flatproof.verify.curvature.estimates import gaussian
from flatproof.verify.curvature.krylov import Krylov
from flatproof.verify.curvature.processes import of_first

Cost = Callable[[int, float, float], float]


class Referees:
    """What a few vectors that enter no mean say of R as V grows.

    Attributes:
        spread: the estimate of ||R - mu I||_F^2.
        trace: the estimate of tr R.

    Args:
        krylov: the basis, before its first product.
        count: of the vectors.
        generator: of their draw.
    """

    def __init__(self, krylov: Krylov, count: int, generator: torch.Generator) -> None:
        self.krylov = krylov
        self._left = gaussian(krylov.operator, count, generator)  # (I - VV')G
        self._product = krylov.operator.matmat(self._left)  # (I - VV')HG
        self._look(self._product)

    def grow(self) -> None:
        """One product more for V."""
        direction = self.krylov.ahead
        self.krylov.grow()
        along = direction.T @ self._left
        self._left = self._left - direction @ along
        self._product = self._product - direction @ (direction.T @ self._product)
        coupling = torch.as_tensor(self.krylov.coupling, dtype=along.dtype, device=along.device)
        self._look(self._product - self.krylov.ahead @ (coupling @ along))

    @property
    def done(self) -> bool:
        """Whether what is left is rounding: products of vectors sqrt(n) long are no longer than that."""
        n = self.krylov.operator.shape[0] - self.krylov.size
        return self.krylov.size > 0 and self.spread <= n * self.krylov.floor**2

    def _look(self, product: Tensor) -> None:
        n = self.krylov.operator.shape[0] - self.krylov.size
        pairs = (self._left, self._left), (self._left, product), (product, product)
        lengths, forms, squares = (of_first((a * b).sum(dim=0, dtype=torch.float64).cpu().numpy()) for a, b in pairs)
        scale = n / np.maximum(lengths, torch.finfo(product.dtype).tiny)
        self.trace = float((forms * scale).mean())
        self.spread = max(0.0, float((squares * scale).mean()) - self.trace**2 / max(n, 1))


def grow_while_it_pays(referees: Referees, cost: Cost, most: int, patience: int, fresh: Callable[[], Tensor]) -> tuple[bool, str]:
    """Grow the basis until its last `patience` products no longer lowered the cost.

    Args:
        referees: and with them the basis.
        cost: of stopping with k directions, the spread and the trace of R as estimated.
        most: directions at most.
        patience: products without a lower cost after which it stops.
        fresh: a new direction, (P, 1), for a space that has closed: it has not seen copies of its eigenvalues.

    Returns:
        Whether deflation paid at all, and how far it went, in words.
    """
    krylov, whole = referees.krylov, referees.spread
    best, at = cost(0, referees.spread, referees.trace), 0
    while krylov.size < most and krylov.size - at < patience and not referees.done:
        if krylov.size and krylov.invariant and not krylov.restart(fresh()):
            break
        referees.grow()
        now = cost(krylov.size, referees.spread, referees.trace)
        if now < best:
            best, at = now, krylov.size
    left = referees.spread / whole if whole else 0.0
    says = (
        "deflated as long as it narrowed the interval" if at else "deflation did not narrow the interval, as of a flat spectrum"
    )
    seen = f"{left:.1g} of ||H - mean||_F^2 left after {krylov.size} products, as seen by vectors that do not enter the value"
    return at > 0, f"{says}: {seen}"
