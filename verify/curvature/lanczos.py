"""Owns the extreme eigenvalues of a symmetric operator: Lanczos with full reorthogonalization, its bounds and its stopping rule.

Notation: after k products V = (v_1 .. v_k) is an orthonormal basis of the Krylov space of the start g, T = V'HV, and
H V = V T + v_{k+1} B e_k'. A Ritz pair (theta, V s) of T has the residual r = ||H V s - theta V s|| = ||B s_last||.

What is guaranteed, and by what:
- some eigenvalue of H lies in [theta - r, theta + r]: deterministic (Parlett 1998, theorem 4.5.1);
- lambda_max >= theta_1, and the i-th largest eigenvalue >= theta_i: deterministic (Courant-Fischer, Cauchy);
- lambda_max <= high with the stated probability over a Gaussian start g. For the top eigenvector u let xi = u'g, standard
  normal. The projection of u on the Krylov space has length at most 1 and, with p_0, p_1, ... the orthonormal polynomials of
  the Lanczos recurrence, components xi p_j(lambda_max) / ||g||, so

      sum_{j <= k} p_j(lambda_max)^2 <= ||g||^2 / xi^2 <= ||g||^2 / t^2   unless |xi| < t.

  Beyond theta_1 the left side grows with lambda, so its crossing with ||g||^2 / t^2, P(|xi| < t) = 1 - confidence, is an upper
  bound. The only random event is |xi| < t: the bound holds at every k at once, hence also at a data-dependent stop.
  The idea is that of Kuczynski and Wozniakowski (SIMAX 1992) and of Van Dorsselaer, Hochstenbach and Van der Vorst (SIMAX 2001),
  who take the last polynomial alone; the sum over all of them (the Christoffel function) is the best that the data allow.
  The start may lean towards directions s that are known beforehand, g + s in place of g: xi is then N(mu, 1), which lies within
  (-t, t) no more often than N(0, 1) does, so the bound holds with ||g + s|| for ||g|| (Anderson 1955, in one dimension). s may be
  anything that g does not enter: a gradient, the top eigenvector of a small part of the data (`parts`), that of an earlier search.
- a block of b starts: the same from each column's own Krylov space; one of b independent |xi| is at least t unless all are smaller,
  so P(|xi| < t) = (1 - confidence)^(1/b) and the largest of the b bounds holds.

Rounding: all bounds are widened by `slack`, the departure of V'HV from the recurrence's pattern (zero for exact symmetric products)
plus a multiple of the unit roundoff times the norm of T, plus, for an operator that can be compared with a second one, the bound of
||E|| for the products' own rounding E (`rounding`): eigenvalues of H + E and of H differ by no more (Weyl). Everything is computed for
2^-e H (`scaled`), where no length underflows.
"""

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from flatproof.verify.curvature.basis import norm
from flatproof.verify.curvature.estimates import Estimate, Floats, Symmetric, gaussian, generator_of, metered
from flatproof.verify.curvature.krylov import Krylov, started
from flatproof.verify.curvature.parts import Followed
from flatproof.verify.curvature.polynomials import christoffel_bound, excluded, jacobi, probability_quantile, ritz_values
from flatproof.verify.curvature.processes import of_first
from flatproof.verify.curvature.rounding import UNSEEN, rounding_of
from flatproof.verify.curvature.scaled import Rescaled
from flatproof.verify.utils.checks import check_one_of, check_positive, check_share, check_whole

Which = Literal["largest", "smallest", "magnitude"]
Stop = Literal["interval", "residual", "ritz"]
SOURCE = "Lanczos 1950; bounds: Parlett 1998, Van Dorsselaer et al. 2001"
LEAN = 30.0  # lengths of the random start that an eigenvector of a part of the data, or of an earlier search, is added with
PART_BUDGET, PART_PRODUCTS = (
    2.0,
    40,
)  # what a search on a part may cost, in products on all data, and how many products it may take
# of the first eigenvalue's interval, and of all others'
RESTS_ON = "inner end: Rayleigh quotient; outer end: Gaussian start", "some eigenvalue lies in it: residual"


@dataclass(frozen=True)
class Eigenpairs:
    """The k wanted eigenvalues of an operator.

    Attributes:
        estimates: one for each eigenvalue, in the order asked for. The first interval holds the extreme eigenvalue itself with the
            stated confidence; the others hold some eigenvalue, with certainty.
        residuals: ||H v - theta v||, (k,).
        ritz: whether each value is within tolerance by r^2 / gap with the gap to the next Ritz value: an indication, no bound.
        vectors: unit vectors, (P, k); None unless asked for.
        converged: whether the stopping rule was met within `max_products`.
        asymmetry: largest entry of V'HV outside the pattern of the recurrence: 0 for an exact symmetric product.
    """

    estimates: tuple[Estimate, ...]
    residuals: Floats
    vectors: Tensor | None
    converged: bool
    asymmetry: float

    @property
    def values(self) -> Floats:
        """The Ritz values, (k,)."""
        return np.array([e.value for e in self.estimates])

    def __getitem__(self, index: int) -> Estimate:
        return self.estimates[index]

    def __len__(self) -> int:
        return len(self.estimates)


class _Bounds:
    """Outer bounds of a Krylov space's operator, valid together with a given probability."""

    def __init__(self, krylov: Krylov, norms: Floats, confidence: float | None) -> None:
        self.krylov, self.norms, self.confidence = krylov, norms, confidence
        self.closed = 0  # T's size when the first space closed: what a restart adds says nothing about the start's polynomials

    def _recurrences(self, sign: float) -> list[tuple[Floats, Floats, float]]:
        """Of each start column: its recurrence under sign * H as `christoffel_bound` takes it, and its length."""
        k = self.krylov
        size = self.closed or len(k.T)
        closed = bool(self.closed) or k.invariant
        T = sign * k.T[:size, :size]
        if k.block == 1:
            last = k.floor if closed else float(k.coupling[0, 0])  # a remainder was called zero below the floor, not at zero
            return [(np.diag(T).copy(), np.append(np.abs(np.diag(T, 1)), last), float(self.norms[0]))]
        recurrences = []
        for column in range(k.block):
            start = np.zeros(size)
            start[: len(k.starts)] = k.starts[:, column]
            alphas, betas, vector = jacobi(T, start, size if closed else size // k.block)
            outside = 0.0 if closed else float(np.linalg.norm(k.coupling @ vector[size - k.coupling.shape[1] :]))
            betas[-1] = max(math.hypot(betas[-1], outside), k.floor)
            recurrences.append((alphas, betas, float(self.norms[column])))
        return recurrences

    def within(self, sign: float, confidence: float, value: float) -> bool:
        """Whether `outer` is at most that value: one look instead of a search."""
        if self.confidence is None:
            return False
        t, slack = probability_quantile(confidence, self.krylov.block), self.krylov.slack
        return all(
            float(ritz_values(a, b)[-1]) <= value - slack if b[-1] <= 0 else excluded(a, b, (norm / t) ** 2, value - slack)
            for a, b, norm in self._recurrences(sign)
        )

    def outer(self, sign: float, confidence: float) -> float:
        """An upper bound of the largest eigenvalue of sign * H with that confidence; inf without a random start."""
        if self.confidence is None:
            return math.inf
        t = probability_quantile(confidence, self.krylov.block)
        bounds = [christoffel_bound(a, b, (norm / t) ** 2) for a, b, norm in self._recurrences(sign)]
        top = float(np.linalg.eigvalsh(sign * self.krylov.T)[-1])
        return max(*bounds, top) + self.krylov.slack


def eigenvalues(
    operator: Symmetric,
    k: int = 1,
    *,
    which: Which = "largest",
    tolerance: float = 0.01,
    confidence: float = 0.995,
    stop: Stop = "interval",
    block: int = 1,
    max_products: int | None = None,
    start: Tensor | None = None,
    lean: bool | None = None,
    near: Followed | None = None,
    seed: int = 0,
    vectors: bool = False,
    rounding: bool = True,
) -> Eigenpairs:
    """The k largest, smallest or largest-in-modulus eigenvalues with bounds (derived at the head of this module).

    The first interval holds the extreme eigenvalue with probability `confidence` over the random start (its inner end, the Ritz
    value, is deterministic); the i-th, i > 1, is [theta_i - r_i, theta_i + r_i] and holds some eigenvalue with certainty.
    Eigenvalues of multiplicity above `block` are seen once.

    Args:
        operator: H, (P, P).
        k: how many.
        which: "largest", "smallest" or largest in "magnitude".
        confidence: of the first interval. The bound is sharp: a start with |xi| < t does mislead it about once in 1 / (1 - confidence)
            runs; raising it costs little (a further product or so where the spectrum has outliers).
        tolerance: relative. `stop` says which error must be below it:
            "interval": the interval's reach, |bound - theta| <= tolerance |theta|; a proof at the stated confidence;
            "residual": the residual, r <= tolerance |theta|: an eigenvalue is that near, it need not be the extreme one;
            "ritz": r^2 / gap, with the gap between Ritz values: the fewest products, an indication only, which a start nearly
            orthogonal to the top eigenvector deceives. The interval that is returned is as honest as ever, maybe wider than the
            tolerance.
        block: vectors multiplied at a time.
        max_products: stop there, converged or not; default 100 + 20 k.
        start: (P,) or (P, block), used instead of a random start; the outer bound is then infinite.
        lean: add to the random start what is near the wanted eigenvector: for k = 1 what `near` holds, else the eigenvector of a part of
            the data, LEAN times as long as the start (its cost: `Estimate.part`); where there is no part, or for k > 1, the operator's own
            `directions`, each as long as the start (one forward and two backward passes). Outliers are found in fewer products;
            proving that nothing lies above them takes more, since a start that holds much of the top eigenvector says less about its
            neighbours. None: only if `stop` asks for no proof. The smallest leans on `near` alone.
        near: an eigenvector that is followed; the search leaves in it what it found.
        rounding: look at the rounding of the operator's products, once for an operator at its parameters (`rounding_of`); without it
            the products are taken as right to the unit roundoff, and `rests_on` says so.
        seed: of the random start.
        vectors: whether the eigenvectors are wanted too.

    Returns:
        The eigenvalues with their intervals.

    Raises:
        ValueError: settings out of range, a product that is not finite, k above P.
    """
    size, block = operator.shape[0], min(check_whole("block", block), operator.shape[0])
    check_whole("k", k)
    if k > size:
        raise ValueError(f"k must be at most the operator's size {size}, got {k}")
    check_positive("tolerance", tolerance)
    check_share("confidence", confidence)
    check_one_of("which", which, ("largest", "smallest", "magnitude"))
    check_one_of("stop", stop, ("interval", "residual", "ritz"))
    budget = min(size, check_whole("max_products", 100 + 20 * k if max_products is None else max_products))
    generator = generator_of(seed)
    with metered(operator) as meter:
        first = gaussian(operator, block, generator) if start is None else _given(operator, start, block)
        with meter.checking():
            seen = rounding_of(operator) if rounding else UNSEEN
        leans = start is None and (stop != "interval" if lean is None else lean)
        hint = _hint(operator, k, which, tolerance, generator, near) if leans else _Hint()
        for place, vector in enumerate(hint.vectors):
            first[:, place % block].add_(vector, alpha=hint.length * math.sqrt(size))
        leaning = start is not None or bool(hint.vectors)
        hint = replace(hint, vectors=())
        norms = of_first(np.array([norm(column) for column in first.unbind(1)]))
        krylov = Krylov(Rescaled(operator), first) if leaning else started(operator, first, seed)
        del first
        rescaled = krylov.operator
        bounds = _Bounds(krylov, norms, None if start is not None else seen.left(confidence))
        bound = partial(seen.norm, confidence)
        selection, done = _search(bounds, k, which, stop, tolerance, budget, bound, lambda: gaussian(operator, block, generator))
        method = f"{'block ' if block > 1 else ''}Lanczos, {which}, stop on {stop}"
        how: dict[str, Any] = {
            "seed": None if start is not None else seed,
            "gradients": hint.gradients,
            "source": SOURCE,
            "part": hint.part,
        }
        estimates = tuple(
            meter.estimate(
                rescaled.back(selection.values[place]),
                *rescaled.ends(*selection.interval(bounds, place)),
                confidence if place == 0 and start is None else None,
                rests_on=f"{RESTS_ON[min(place, 1)]}; {seen.says()}",
                method=method,
                **how,
            )
            for place in range(len(selection.values))
        )
    residuals = np.array([rescaled.back(r) for r in selection.residuals])
    unit = krylov.combine(selection.weights) if vectors or near is not None else None
    if near is not None and unit is not None:
        near.vector = unit[:, 0].clone()
    return Eigenpairs(estimates, residuals, unit, done, rescaled.back(krylov.asymmetry))


def _search(
    bounds: "_Bounds",
    k: int,
    which: str,
    stop: str,
    tolerance: float,
    budget: int,
    rounding: Callable[[int | None], float],
    fresh: Callable[[], Tensor],
) -> tuple["_Selection", bool]:
    """Products until the stopping rule is met or the budget spent: what was selected, and whether it was met.

    Args:
        bounds: of the Krylov space that grows.
        k: wanted eigenvalues.
        which: of them.
        stop: the stopping rule.
        tolerance: relative.
        budget: products.
        rounding: exponent -> the bound of the products' own rounding in units of 2^exponent.
        fresh: new directions once a space is closed.
    """
    krylov = bounds.krylov
    size, block = krylov.operator.shape[0], krylov.block
    while True:
        krylov.grow()
        krylov.rounding = rounding(krylov.operator.exponent)
        if krylov.invariant and not bounds.closed:
            bounds.closed = len(krylov.T)
        selection = _select(krylov, k, which)
        done = selection is not None and (krylov.size >= size or selection.met(bounds, stop, tolerance))
        if done or krylov.size + min(block, size - krylov.size) > budget:
            if selection is None:
                raise ValueError(f"max_products must be at least k = {k} to see that many eigenvalues, got {budget}")
            return selection, done
        if krylov.invariant and not krylov.restart(fresh()):
            selection = _select(krylov, min(k, krylov.size), which)
            if selection is None:
                raise ValueError(f"k must be at most the number of eigenvalues {krylov.size}, got {k}")
            return selection, True


@dataclass(frozen=True)
class _Hint:
    """What a random start leans on: unit vectors (P,), each `length` times as long as the start, and what they cost."""

    vectors: tuple[Tensor, ...] = ()
    length: float = 1.0
    gradients: float = 0.0
    part: float = 0.0


def _hint(operator: Symmetric, k: int, which: str, tolerance: float, generator: torch.Generator, near: Followed | None) -> _Hint:
    """The best hint at hand; see `lean`. `generator` has drawn the start that leans, and draws the part's: they are independent."""
    followed = near.fitting(operator.shape[0], operator.dtype, operator.device) if near is not None else None
    if followed is not None:
        return _Hint((followed,), LEAN)
    if which == "smallest":
        return _Hint()
    hint = _of_a_part(operator, which, tolerance, generator) if k == 1 else None
    if hint is not None:
        return hint
    directions = _directions(operator)
    return _Hint(directions, gradients=float(len(directions)))


def _of_a_part(operator: Symmetric, which: str, tolerance: float, generator: torch.Generator) -> _Hint | None:
    """The eigenvector of a part of the data, near there or at the end of PART_BUDGET."""
    part = getattr(operator, "part", None)
    smaller = part() if part else None
    if smaller is None:
        return None
    share = smaller.problem.samples / operator.problem.samples  # type: ignore[attr-defined]
    with suppress(
        ValueError, TypeError, RuntimeError, NotImplementedError
    ):  # of the model's own code, on samples fewer than it expects
        directions = _directions(smaller)
        start = gaussian(operator, 1, generator)[:, 0] / math.sqrt(operator.shape[0])
        for vector in directions:
            start.add_(vector, alpha=3.0)
        krylov, selection = Krylov(Rescaled(smaller), start[:, None], window=2), None
        while krylov.size < min(PART_PRODUCTS, PART_BUDGET / share) and not krylov.invariant:
            krylov.grow()
            selection = _select(krylov, 1, which)
            if selection is not None and selection.near(tolerance):
                break
        if selection is not None and float(selection.values[0]) != 0:
            vector = krylov.combine(selection.weights)[:, 0]
            return _Hint((vector,), LEAN, len(directions) * share, round(krylov.size * share, 6))
    return None


def _directions(operator: Symmetric) -> tuple[Tensor, ...]:
    directions = getattr(operator, "directions", None)
    return tuple(directions().to(dtype=operator.dtype, device=operator.device).T) if directions else ()


def _given(operator: Symmetric, start: Tensor, block: int) -> Tensor:
    vector = start.detach()[:, None] if start.ndim == 1 else start.detach()
    if vector.shape != (operator.shape[0], block):
        raise ValueError(f"start must have shape ({operator.shape[0]}, {block}), got {tuple(start.shape)}")
    if not bool(torch.isfinite(vector).all()) or not bool(vector.any()):
        raise ValueError("start must be finite and not zero")
    return vector.to(dtype=operator.dtype, device=operator.device, copy=True)


@dataclass(frozen=True)
class _Selection:
    """Wanted Ritz pairs: values (k,), residuals (k,), gaps to the nearest other Ritz value (k,), weights (size, k)."""

    values: Floats
    residuals: Floats
    gaps: Floats
    weights: Floats
    which: str
    slack: float

    def ends(self, confidence: float) -> list[tuple[float, float]]:
        """Signs of the ends of the spectrum that bound the first value, each with the confidence it must hold with."""
        if self.which == "magnitude":  # both must hold
            return [(1.0, (1 + confidence) / 2), (-1.0, (1 + confidence) / 2)]
        return [(1.0 if self.which == "largest" else -1.0, confidence)]

    @property
    def sign(self) -> float:
        """Of the end that the first value lies at."""
        return 1.0 if self.which == "largest" or (self.which == "magnitude" and self.values[0] >= 0) else -1.0

    def near(self, tolerance: float) -> bool:
        """Whether the first value seems to be within some tolerances, by residual and by residual and gap, each easily deceived alone."""
        allowed, residual, gap = tolerance * abs(float(self.values[0])), float(self.residuals[0]), float(self.gaps[0])
        return residual <= 3 * allowed and residual**2 <= 2 * allowed * gap

    def interval(self, bounds: _Bounds, place: int) -> tuple[float, float]:
        """Low and high of that value."""
        value, reach = float(self.values[place]), float(self.residuals[place]) + self.slack
        if place:
            return value - reach, value + reach
        inner = self.sign * value - self.slack  # whatever the start was
        confidence = bounds.confidence
        outer = math.inf if confidence is None else max(bounds.outer(sign, sure) for sign, sure in self.ends(confidence))
        return (inner, outer) if self.sign > 0 else (-outer, -inner)

    def met(self, bounds: _Bounds, stop: str, tolerance: float) -> bool:
        """Whether every value is within the tolerance by the stopping rule."""
        for place, value in enumerate(self.values):
            residual = float(self.residuals[place])
            allowed = max(tolerance * abs(float(value)), 4 * self.slack)
            if stop == "interval" and place == 0 and bounds.confidence is not None:
                limit = self.sign * float(value) + allowed
                if not all(bounds.within(sign, sure, limit) for sign, sure in self.ends(bounds.confidence)):
                    return False
                continue
            allowed = max(tolerance * abs(float(value)), 4 * (self.slack - bounds.krylov.rounding))
            gap = float(self.gaps[place])
            error = min(residual, residual**2 / gap) if stop == "ritz" and gap > 0 else residual
            if error > allowed:
                return False
        return True


def _select(krylov: Krylov, k: int, which: str) -> _Selection | None:
    """The wanted Ritz pairs; None while there are fewer than k, or fewer than two to tell a gap from (unless the space is closed)."""
    if krylov.size < k or (krylov.size == k and krylov.size < krylov.operator.shape[0] and not krylov.invariant):
        return None
    values, weights = np.linalg.eigh(krylov.T)
    order = {"largest": np.argsort(-values), "smallest": np.argsort(values), "magnitude": np.argsort(-np.abs(values))}[which][:k]
    coupling, tail = krylov.coupling, weights[len(weights) - krylov.coupling.shape[1] :]
    residuals = np.zeros(len(values)) if krylov.invariant else np.linalg.norm(coupling @ tail, axis=0)
    spread = np.abs(values[order][:, None] - values[None, :])
    spread[np.arange(len(order)), order] = np.inf
    # a gap to a neighbour that is itself uncertain by its residual is no gap
    gaps = (spread - residuals[None, :]).min(axis=1) if len(values) > 1 else np.full(len(order), np.inf)
    return _Selection(values[order], residuals[order], np.maximum(gaps, 0.0), weights[:, order], which, krylov.slack)


def lambda_max(operator: Symmetric, *, tolerance: float = 0.01, **settings: Any) -> Estimate:
    """The largest eigenvalue with its interval.

    Args:
        operator: H, (P, P).
        tolerance: relative, of the interval.
        **settings: those of `eigenvalues`.
    """
    return eigenvalues(operator, 1, which="largest", tolerance=tolerance, **settings)[0]
