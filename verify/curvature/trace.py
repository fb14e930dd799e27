"""Owns estimates of the trace of a symmetric operator from random probes: Hutchinson, Hutch++ and XTrace, each with its interval.

With probes w, E[w w'] = I:
- Hutchinson (1990): mean of w'Hw over independent probes; Student's t interval over the probes. Under random signs the variance
  of one is 2 (||H||_F^2 - sum H_ii^2), under Gaussians 2 ||H||_F^2.
- Hutch++ (Meyer, Musco, Musco, Woodruff, SOSA 2021, algorithm 1): with Q an orthonormal basis of H S, S random signs, the exact
  tr(Q'HQ) plus Hutchinson on (I - QQ')H(I - QQ'); Student's t interval over the second part's independent probes, given Q.
- XTrace (Epperly, Tropp, Webber, SIMAX 2024, section 2.1 and 2.3): each of the m / 2 probes is the Hutchinson probe of the low-rank
  approximation that all others span; exchangeable, unbiased, nearly as good as if every probe served twice. The paper's error
  estimate, std / sqrt(number of probes), takes these dependent estimates for independent ones and falls short (nominal 95 %
  intervals cover 86 to 92 %). The interval here takes the jackknife over probes instead, which needs no further product; its
  coverage is measured (tests), not proved.

Memory in vectors of length P: Hutchinson `block`, Hutch++ about `products`, XTrace about twice `products`.
"""

from typing import Any, Literal

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from verify.curvature.estimates import (
    Estimate,
    Floats,
    Symmetric,
    gaussian,
    generator_of,
    metered,
    multiply,
    one_of,
    positive,
    rademacher,
    share,
    whole_number,
)
from verify.statistics import mean_interval

Method = Literal["hutchinson", "hutch++", "xtrace"]
Probes = Literal["rademacher", "gaussian"]


def trace(operator: Symmetric, method: Method = "xtrace", **settings: Any) -> Estimate:
    """The trace by the named method, with that method's settings."""
    one_of("method", method, ("hutchinson", "hutch++", "xtrace"))
    return {"hutchinson": hutchinson, "hutch++": hutchpp, "xtrace": xtrace}[method](operator, **settings)


def hutchinson(
    operator: Symmetric,
    *,
    products: int = 60,
    tolerance: float | None = None,
    max_products: int = 10_000,
    probes: Probes = "rademacher",
    confidence: float = 0.95,
    block: int = 8,
    seed: int = 0,
) -> Estimate:
    """Mean of w'Hw over independent probes, with Student's t interval.

    With a `tolerance` (relative to the value) the `products` are a pilot. Its variance decides once how many probes follow, and stays
    the variance of the final interval: Stein's two-stage procedure, whose coverage does not suffer from looking at the data.
    The interval supposes that the mean of the probes is about normal: too narrow for few probes of a matrix that one eigenvector
    rules.
    """
    whole_number("products", products, 2)
    share("confidence", confidence)
    generator = generator_of(seed)
    with metered(operator) as meter:
        values = _quadratic_forms(operator, products, probes, block, generator, None)
        deviation, quantile = float(np.std(values, ddof=1)), float(stats.t.ppf(0.5 + confidence / 2, products - 1))
        if tolerance is not None:
            target = positive("tolerance", tolerance) * abs(float(values.mean()))
            wanted = int(min(max_products, np.ceil((quantile * deviation / target) ** 2))) if target > 0 else max_products
            if wanted > products:
                more = _quadratic_forms(operator, wanted - products, probes, block, generator, None)
                values = np.append(values, more)
        mean, half = float(values.mean()), quantile * deviation / float(np.sqrt(len(values)))
        half += _rounding(operator, values)
        return meter.estimate(
            mean,
            mean - half,
            mean + half,
            confidence,
            seed=seed,
            method=f"Hutchinson, {len(values)} {probes} probes",
            source="Hutchinson 1990",
            rests_on="Student's t over independent probes",
        )


def hutchpp(
    operator: Symmetric,
    *,
    products: int = 60,
    probes: Probes = "rademacher",
    confidence: float = 0.95,
    block: int = 8,
    seed: int = 0,
) -> Estimate:
    """Hutch++ with a third of the products each for the sketch, its exact trace and the probes of the rest; t interval over the probes."""
    whole_number("products", products, 6)
    share("confidence", confidence)
    generator = generator_of(seed)
    with metered(operator) as meter:
        width = min(products // 3, operator.shape[0])
        Q = _range(_in_blocks(operator, _draw(operator, width, "rademacher", generator), block))
        captured = _in_blocks(operator, Q, block)
        first = float((Q * captured).sum(dtype=torch.float64))
        left = products - width - Q.shape[1]
        if Q.shape[1] < width:  # the sketch spans the whole range of H: nothing is left to estimate
            slack = _rounding(operator, np.array([first]))
            return meter.estimate(
                first,
                first - slack,
                first + slack,
                None,
                seed=seed,
                method=f"Hutch++, rank {Q.shape[1]} found",
                source="Meyer et al. 2021, algorithm 1",
                rests_on="the sketch spans the range (almost surely), to rounding",
            )
        values = _quadratic_forms(operator, left, probes, block, generator, Q)
        mean, low, high = mean_interval([float(v) for v in values], confidence)
        slack = _rounding(operator, np.append(values, first))
        return meter.estimate(
            first + mean,
            first + low - slack,
            first + high + slack,
            confidence,
            seed=seed,
            method=f"Hutch++, rank {Q.shape[1]}, {left} {probes} probes",
            source="Meyer et al. 2021, algorithm 1",
            rests_on="Student's t over independent probes of the deflated rest, given the sketch",
        )


def xtrace(operator: Symmetric, *, products: int = 60, confidence: float = 0.95, block: int = 8, seed: int = 0) -> Estimate:
    """XTrace with products / 2 probes of length sqrt(P), uniform in direction, with the length of each left-out part corrected.

    With Y = H W = Q R, s_i the unit vector along column i of R^-T (Q s_i is orthogonal to every other column of Y) and
    x_i = (I - s_i s_i') Q'w_i, probe i estimates

        tr(Q'HQ) - s_i'Q'HQ s_i + (P - k + 1) / (||w_i||^2 - ||x_i||^2) * (w_i - Q x_i)'H(w_i - Q x_i).
    """
    whole_number("products", products, 4)
    share("confidence", confidence)
    generator = generator_of(seed)
    size = operator.shape[0]
    with metered(operator) as meter:
        count = min(products // 2, size)
        W = gaussian(operator, count, generator)
        W = W * (size**0.5 / torch.linalg.vector_norm(W, dim=0))
        Y = _in_blocks(operator, W, block)
        Q, upper = torch.linalg.qr(Y)
        R = upper.double().cpu().numpy()
        diagonal = np.abs(np.diag(R))
        floor = 64 * torch.finfo(operator.dtype).eps * diagonal.max(initial=0.0)
        source = "Epperly, Tropp, Webber 2024, section 2"
        if count == size or diagonal.min() <= floor:
            basis = _range(Y) if count < size else Q
            exact = float((basis * _in_blocks(operator, basis, block)).sum(dtype=torch.float64)) if basis.shape[1] else 0.0
            slack = _rounding(operator, np.array([exact]))
            return meter.estimate(
                exact,
                exact - slack,
                exact + slack,
                None,
                seed=seed,
                method=f"XTrace, rank {basis.shape[1]} found",
                source=source,
                rests_on="the probes span the range (almost surely), to rounding",
            )
        T = (Q.T @ _in_blocks(operator, Q, block)).double().cpu().numpy()
        T = (T + T.T) / 2
        coordinates = (Q.T @ W).double().cpu().numpy()
        values = _leave_one_out(T, R, coordinates, size)
        mean = float(values.mean())
        without = np.array([_without(T, R, coordinates, size, i) for i in range(count)])
        error = float(np.sqrt((count - 1) / count * np.sum((without - without.mean()) ** 2)))
        half = error * float(stats.t.ppf(0.5 + confidence / 2, count - 1))
        slack = _rounding(operator, values)
        return meter.estimate(
            mean,
            mean - half - slack,
            mean + half + slack,
            confidence,
            seed=seed,
            method=f"XTrace, {count} probes",
            source=source,
            rests_on="jackknife over the probes, coverage measured",
        )


def _leave_one_out(T: Floats, R: Floats, coordinates: Floats, size: int) -> Floats:
    """Every probe's estimate (formula: `xtrace`) from T = Q'HQ, R and Q'W, (k, k) each."""
    count = R.shape[1]
    S = np.linalg.inv(R).T
    S = S / np.linalg.norm(S, axis=0)
    X = coordinates - S * np.sum(S * coordinates, axis=0)
    quadratic = np.sum(coordinates * R, axis=0) - 2 * np.sum(R * X, axis=0) + np.sum(X * (T @ X), axis=0)
    scale = (size - count + 1) / (size - np.sum(X**2, axis=0))
    return np.asarray(np.trace(T) - np.sum(S * (T @ S), axis=0) + scale * quadratic)


def _without(T: Floats, R: Floats, coordinates: Floats, size: int, index: int) -> float:
    """XTrace without one of its probes, from the same small matrices: no further product."""
    U, rest = np.linalg.qr(np.delete(R, index, axis=1))
    return float(_leave_one_out(U.T @ T @ U, rest, U.T @ np.delete(coordinates, index, axis=1), size).mean())


def _draw(operator: Symmetric, columns: int, probes: str, generator: torch.Generator) -> Tensor:
    one_of("probes", probes, ("rademacher", "gaussian"))
    return (rademacher if probes == "rademacher" else gaussian)(operator, columns, generator)


def _in_blocks(operator: Symmetric, columns: Tensor, block: int) -> Tensor:
    """H V, at most `block` columns at a time."""
    step = whole_number("block", block)
    parts = [multiply(operator, columns[:, i : i + step].contiguous()) for i in range(0, columns.shape[1], step)]
    return torch.cat(parts, dim=1) if parts else columns


def _range(Y: Tensor) -> Tensor:
    """Orthonormal basis of the range of Y, numerically: singular directions that are nothing but rounding are left out."""
    U, singular, _ = torch.linalg.svd(Y, full_matrices=False)
    floor = 16 * torch.finfo(Y.dtype).eps * float(singular.max()) * max(Y.shape) ** 0.5 if len(singular) else 0.0
    return U[:, singular > floor].contiguous()


def _quadratic_forms(
    operator: Symmetric, count: int, probes: str, block: int, generator: torch.Generator, deflate: Tensor | None
) -> Floats:
    """w'Hw of independent probes, with the range of `deflate` projected out of each probe, (count,)."""
    found: list[Floats] = []
    step = whole_number("block", block)
    for done in range(0, count, step):
        W = _draw(operator, min(step, count - done), probes, generator)
        if deflate is not None:
            W = W - deflate @ (deflate.T @ W)
        found.append((W * multiply(operator, W)).sum(dim=0, dtype=torch.float64).cpu().numpy())
    return np.concatenate(found)


def _rounding(operator: Symmetric, values: Floats) -> float:
    """What rounding may add to a mean of quadratic forms: a few units of roundoff of their size."""
    return float(16 * torch.finfo(operator.dtype).eps * np.abs(values).max(initial=0.0))
