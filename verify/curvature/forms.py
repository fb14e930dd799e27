"""Owns quadratic forms w'Rw of random probes w, R = (I - QQ')H(I - QQ'), and the interval of their mean, tr R.

Three laws of the probes, E[w w'] = I - QQ':
- "rademacher", random signs, and "gaussian": Student's t over the values. Signs can hide a matrix from few probes altogether: with
  R = vv', v = (e_1 + e_2) / sqrt(2), all of m values are 0 with probability 2^-m, and no interval of these values can know.
- "sphere", uniform in direction, |w|^2 = n, n the dimension of what Q leaves. The law of w'Rw depends on the eigenvalues of R alone, not
  on where its eigenvectors lie, and a multiple of the identity is exact: with B = R - mu I, mu = tr R / n,

      w'Rw - tr R = w'Bw,   var w'Bw = 2 n / (n + 2) ||B||_F^2,   E ||Bw||^2 = ||B||_F^2.

The interval for "sphere". Each product gives ||Bw||^2 beside the value, so the spread s^2 = mean ||B w_i||^2 is known from more than the
m - 1 degrees of freedom of the values: from nu = m r, r = ||B||_F^4 / tr B^4 the effective rank. Were r eigenvalues of B equal and the
others 0, then m s^2 / ||B||_F^2 = S / r with S chi-square of nu degrees of freedom, and the mean of the values would have the error
(S - nu) / sqrt(2 S) in units of sqrt(2 s^2 / m): its far quantile

    c(nu) = (nu - S_p) / sqrt(2 S_p),   P(S < S_p) = p = (1 - confidence) / 2,

is exact for r = 1 and n large, the most skewed law, and tends to the normal quantile as nu grows, the law of a flat spectrum. r is taken
from the Gram matrix K_ij = (B w_i)'(B w_j), as its participation ratio (tr K)^2 / ||K||_F^2 <= m: too small rather than too large, so that
few probes are not believed to have seen the whole spectrum. The interval is value +- c(nu) s sqrt(2 n / ((n + 2) m)). Between the two
extremes its coverage is measured (`flatproof reproduce curvature/traces`), not proved.

Over parts of the data H = sum_b H_b, so that each may have a probe of its own: sum_b z_b'R_b z_b is the quadratic form of the matrix that
has the R_b as its diagonal blocks. Its trace is tr R, and the above holds of it with n times the parts in place of n; the variance is less,
as each block's own multiple of the identity is exact. The square of its norm, sum ||R_b||_F^2, is up to as many times less than ||R||_F^2
as there are parts, for the same products.
"""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import torch
from scipy import special
from torch import Tensor

from flatproof.verify.curvature.basis import inner_products
from flatproof.verify.curvature.estimates import Floats, Symmetric, gaussian, rademacher
from flatproof.verify.curvature.processes import of_first
from flatproof.verify.curvature.scaled import Rescaled
from flatproof.verify.utils.checks import check_one_of, check_whole
from flatproof.verify.utils.statistics import student_quantile

Probes = Literal["rademacher", "gaussian", "sphere"]
PROBES = 3  # at least


class Forms:
    """Values of independent probes, drawn as they are asked for.

    Args:
        operator: H, (P, P).
        probes: their law.
        block: vectors multiplied at a time.
        generator: of the draws.
        basis: Q, (P, k); None for none.
        apart: whether each of the operator's parts of the data has probes of its own.
    """

    def __init__(
        self,
        operator: Rescaled,
        probes: str,
        block: int,
        generator: torch.Generator,
        basis: Tensor | None = None,
        *,
        apart: bool = False,
    ) -> None:
        self.operator, self.generator, self.basis, self.parts = operator, generator, basis, operator.parts if apart else 1
        self.probes = check_one_of("probes", probes, ("rademacher", "gaussian", "sphere"))
        self.block = check_whole("block", block)
        self.dimension = operator.shape[0] - (0 if basis is None else basis.shape[1])
        self._values: list[Floats] = []
        self._grams: list[tuple[Floats, Floats, Floats]] = []  # of each block of "sphere": W'W, W'RW, (RW)'RW

    @property
    def law(self) -> str:
        """What the interval takes the values for, in words."""
        return "quadratic forms by their effective rank" if self.probes == "sphere" else "Student's t"

    @property
    def values(self) -> Floats:
        """w'Rw of each probe, (m,)."""
        return np.concatenate(self._values) if self._values else np.zeros(0)

    @property
    def mean(self) -> float:
        """The estimate of tr R."""
        return float(self.values.mean())

    def draw(self, count: int) -> "Forms":
        """So many probes more."""
        for done in range(0, count, self.block):
            values: Any = 0.0
            grams: Any = (0.0, 0.0, 0.0)
            for W, Y in self._products(min(self.block, count - done)):
                values = values + of_first((W * Y).sum(dim=0, dtype=torch.float64).cpu().numpy())
                if self.probes == "sphere":
                    Y = self._rest(Y)
                    grams = tuple(g + _gram(a, b) for g, (a, b) in zip(grams, ((W, W), (W, Y), (Y, Y)), strict=True))
            self._values.append(values)
            self._grams.append(grams)
        return self

    def _products(self, count: int) -> Iterator[tuple[Tensor, Tensor]]:
        """W and HW, (P, count); or each part's own W_b with H_b W_b."""
        if self.parts == 1:
            W = self._directions(count)
            yield W, self.operator.matmat(W)
            return
        held: list[Tensor] = []

        def draw() -> Tensor:
            held[:] = [self._directions(count)]
            return held[0]

        for Y in self.operator.apart(draw):
            yield held[0], Y

    def deviation(self) -> float:
        """Standard deviation of a value, as estimated."""
        if self.probes != "sphere":
            return float(np.std(self.values, ddof=1))
        dimension = self.parts * self.dimension
        return float(np.sqrt(2 * dimension / (dimension + 2) * self._spread()[0]))

    def quantile(self, confidence: float) -> float:
        """Half-width of the mean's interval in units of deviation / sqrt(m)."""
        if self.probes != "sphere":
            return student_quantile(confidence, len(self.values))
        return far_quantile(confidence, len(self.values) * self._spread()[1])

    def half(self, confidence: float) -> float:
        """Half-width of the mean's interval."""
        return self.quantile(confidence) * self.deviation() / float(np.sqrt(len(self.values)))

    def _directions(self, count: int) -> Tensor:
        W = draw(self.operator, count, self.probes, self.generator)
        return self._rest(W) if self.probes != "sphere" else on_sphere(self._rest(W), self.dimension)

    def _rest(self, block: Tensor) -> Tensor:
        return block if self.basis is None else block - self.basis @ (self.basis.T @ block)

    def _spread(self) -> tuple[float, float]:
        """s^2 = mean ||B w||^2, and r. Products of two blocks are not kept: their K_ij^2 are taken as those within blocks are."""
        mu, count = self.mean / (self.parts * self.dimension), len(self.values)
        grams = [YY - mu * (WY + WY.T) + mu**2 * WW for WW, WY, YY in self._grams]
        lengths = np.maximum(np.concatenate([np.diag(K) for K in grams]), 0.0)
        total, own = float(lengths.sum()), float((lengths**2).sum())
        pairs = sum(len(K) * (len(K) - 1) for K in grams)
        if total == 0 or count == 1 or pairs == 0:
            return total / count, 1.0
        within = sum(float((K**2).sum() - (np.diag(K) ** 2).sum()) for K in grams)
        return total / count, max(1.0, total**2 / (own + max(within, 0.0) * count * (count - 1) / pairs))


def variance_apart(operator: Rescaled, block: int, basis: Tensor, seed: int) -> float:
    """Of a product whose parts of the data have probes of their own, as seen by one that enters no mean."""
    stream = torch.Generator().manual_seed(int(np.random.SeedSequence((seed, 1)).generate_state(1, np.uint64)[0]))
    return Forms(operator, "sphere", block, stream, basis, apart=True).draw(1).deviation() ** 2


class Target:
    """A relative half-width that probes are drawn for; look j at them fails with probability (1 - level) / 2^j."""

    def __init__(self, tolerance: float, level: float) -> None:
        self.tolerance, self.look = tolerance, (1 + level) / 2

    def probes(self, variance: float, value: float) -> float:
        """How many values of that variance reach it at the next look, with a tenth to spare."""
        reach = self.tolerance * abs(value)
        return 1.1 * variance * (float(special.ndtri(0.5 + self.look / 2)) / reach) ** 2 if reach else np.inf

    def reached(self, forms: Forms, first: float, guess: float, most: int) -> float:
        """Draw until the interval of first + mean is narrow enough, or there are `most`; its half-width."""
        forms.draw(int(min(most, max(PROBES + 1, np.ceil(guess)))))
        while (half := forms.half(self.look)) > self.tolerance * abs(first + forms.mean) and len(forms.values) < most:
            self.look = (1 + self.look) / 2
            count = len(forms.values)
            more = self.probes(forms.deviation() ** 2, first + forms.mean) - count
            forms.draw(int(min(most - count, max(PROBES, np.ceil(more)))))
        return half


def far_quantile(confidence: float, nu: float) -> float:
    """c(nu) of the module's first lines.

    Args:
        confidence: two-sided.
        nu: degrees of freedom, positive.
    """
    S = 2 * float(special.gammaincinv(nu / 2, (1 - confidence) / 2))
    return (nu - S) / float(np.sqrt(2 * S))


def draw(operator: Symmetric, columns: int, probes: str, generator: torch.Generator) -> Tensor:
    """Random signs, or standard normal columns for every other law, (P, columns)."""
    return (rademacher if probes == "rademacher" else gaussian)(operator, columns, generator)


def on_sphere(block: Tensor, dimension: int) -> Tensor:
    """The columns made sqrt(dimension) long, (P, k)."""
    return block * (dimension**0.5 / torch.linalg.vector_norm(block, dim=0).clamp_min(torch.finfo(block.dtype).tiny))


def in_blocks(operator: Rescaled, columns: Tensor, block: int) -> Tensor:
    """H V, at most `block` columns at a time, (P, k) -> (P, k)."""
    step = check_whole("block", block)
    parts = [operator.matmat(columns[:, i : i + step].contiguous()) for i in range(0, columns.shape[1], step)]
    return torch.cat(parts, dim=1) if parts else columns


def _gram(a: Tensor, b: Tensor) -> Floats:
    return of_first(inner_products(a.T, b).cpu().numpy())
