"""Owns estimates of the trace of a symmetric operator from random probes, with intervals: the choice "auto" and the methods by name.

With probes w, E[w w'] = I:
- "auto" deflates as far as it pays and leaves the rest to probes: the Krylov-aware method with the number k of directions chosen on the
  way (`pilot`: how, and why the choice does not bias), and probes uniform in direction, whose interval holds for few probes too (`forms`).
  k is a few where the spectrum is flat, which is Hutchinson's method but for these, and most of the products where it decays fast.
  Persson, Cortinovis and Kressner (SIMAX 2022) choose the rank of Hutch++ for a tolerance alike; a Lanczos basis costs half of their
  sketch, and `lanczos` shares it.
- Hutchinson (1990): mean of w'Hw over independent probes; Student's t interval over the probes. Under random signs the variance
  of one is 2 (||H||_F^2 - sum H_ii^2), under Gaussians 2 ||H||_F^2.
- Hutch++ (Meyer, Musco, Musco, Woodruff, SOSA 2021, algorithm 1): with Q an orthonormal basis of H S, S random signs, the exact
  tr(Q'HQ) plus Hutchinson on (I - QQ')H(I - QQ'); Student's t interval over the second part's independent probes, given Q.
- XTrace (Epperly, Tropp, Webber, SIMAX 2024, section 2.1 and 2.3): each of the m / 2 probes is the Hutchinson probe of the low-rank
  approximation that all others span; exchangeable, unbiased, nearly as good as if every probe served twice. The paper's error
  estimate, std / sqrt(number of probes), takes these dependent estimates for independent ones and falls short (nominal 95 %
  intervals cover 86 to 92 %). The interval here takes the jackknife over probes instead, which needs no further product; its
  coverage is measured (tests), not proved.
- Krylov-aware (Chen, Hallman, SIMAX 2023, for f(H) = H): with V the Lanczos basis of a Gaussian start, the exact tr(V'HV) plus Hutchinson
  on (I - VV')H(I - VV'); Student's t interval over the second part's independent probes, given V. Against Hutch++ the trace on V costs
  no product of its own, and V is that of `lanczos` from the same seed: measured together, lambda_max has paid for it (`shared`).

Intervals are widened by what rounding may add: units of roundoff of the values' size and, for an operator that can be compared with
a second one, the bound of |tr E| for its products' own rounding E (`rounding`). All are computed for 2^-e H (`scaled`).

Memory in vectors of length P: Hutchinson `block`, Hutch++, Krylov-aware and "auto" about `products`, XTrace about twice `products`.
"""

from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from flatproof.verify.curvature.estimates import Estimate, Floats, Meter, Symmetric, gaussian, generator_of, metered
from flatproof.verify.curvature.forms import PROBES, Forms, Probes, Target, draw, far_quantile, in_blocks, variance_apart
from flatproof.verify.curvature.krylov import Krylov, started
from flatproof.verify.curvature.pilot import Referees, grow_while_it_pays
from flatproof.verify.curvature.rounding import UNSEEN, Rounding, rounding_of
from flatproof.verify.curvature.scaled import Rescaled
from flatproof.verify.utils.checks import check_one_of, check_positive, check_share, check_whole
from flatproof.verify.utils.statistics import student_quantile

Method = Literal["auto", "hutchinson", "hutch++", "xtrace", "krylov"]
PILOT = 12  # products from which on one of them is spent on choosing; below, half of them deflate
LARGE = 20  # products from which on two are
BUDGET, PASSES = 60, 10  # products, and those with batches' own probes that are taken at least


def trace(operator: Symmetric, method: Method = "auto", **settings: Any) -> Estimate:
    """The trace by the named method.

    Args:
        operator: H, (P, P).
        method: "auto", "hutchinson", "hutch++", "xtrace" or "krylov".
        **settings: those of the method's function.

    Returns:
        The trace with its interval.

    Raises:
        ValueError: settings out of range, a product that is not finite.
    """
    check_one_of("method", method, get_args(Method))
    functions: dict[str, Callable[..., Estimate]] = {
        "auto": auto_trace,
        "hutchinson": hutchinson,
        "hutch++": hutchpp,
        "xtrace": xtrace,
        "krylov": krylov_trace,
    }
    return functions[method](operator, **settings)


def auto_trace(
    operator: Symmetric,
    *,
    products: int | None = None,
    tolerance: float | None = None,
    max_products: int = 10_000,
    confidence: float = 0.95,
    block: int = 8,
    seed: int = 0,
    rounding: bool = True,
) -> Estimate:
    """The exact trace on a Lanczos basis that grows while it pays, and probes uniform in direction for the rest.

    With a `tolerance` (relative to the value) as many products as it takes. The interval may then be looked at several times: look j
    fails with probability (1 - confidence) / 2^j, all of them together with no more than 1 - confidence. Without one the value is
    unbiased; with one it is but for what stopping at a look does.

    Args:
        operator: H, (P, P).
        products: in all; within `shared.sharing` those of the basis may have been made already. None: as far as BUDGET would go; where
            the data come in batches, parts of them then have probes of their own if half of the products that are left, or fewer, make the
            interval as narrow so, as one product more shows; at least PASSES. Not used with a tolerance.
        tolerance: relative half-width wanted; None for as many products as `products`.
        max_products: products at most, with a tolerance.
        confidence: of the interval.
        block: vectors multiplied at a time.
        seed: of the start, the referees and the probes.
        rounding: as for `eigenvalues`.

    Returns:
        The trace with its interval; `method` says how far was deflated, `rests_on` why.

    Raises:
        ValueError: settings out of range, a product that is not finite.
    """
    given = BUDGET if products is None else check_whole("products", products, 4)
    budget = given if tolerance is None else check_whole("max_products", max_products, PILOT)
    wanted = None if tolerance is None else check_positive("tolerance", tolerance)
    check_share("confidence", confidence)
    generator, size = generator_of(seed), operator.shape[0]
    with metered(operator) as meter:
        seen = _seen(operator, meter, rounding)
        level = seen.left(confidence)
        krylov = started(operator, gaussian(operator, 1, generator), seed)
        about = {"seed": seed, "source": "Chen, Hallman 2023, for the identity; choice of k as in Persson et al. 2022"}
        if budget < PILOT or (wanted is None and size <= budget):
            _grow(krylov, min(budget // 2 if budget < size else size, size), generator)
            spent, target, paid = 0, None, True
            why = f"fewer than {PILOT} products leave none to choose by: half of them deflate"
        else:
            spent = 1 if budget < LARGE else 2
            referees = Referees(krylov, spent, generator)
            target = None if wanted is None else Target(wanted, level)

            def cost(k: int, spread: float, rest: float) -> float:
                """The square of the half-width that the probes left would have, or the products that the tolerance takes."""
                if target is None:
                    probes = budget - spent - k
                    return spread * far_quantile(level, probes**2) ** 2 / probes
                return k + target.probes(2 * spread, float(np.trace(krylov.T)) + rest)

            most = min(budget - spent - PROBES, size)
            paid, why = grow_while_it_pays(referees, cost, most, spent + 3, lambda: gaussian(operator, 1, generator))
            if target is not None:
                rest = max(cost(krylov.size, referees.spread, referees.trace), krylov.size + PROBES)
                if rest >= size <= budget - spent:
                    _grow(krylov, size, generator)
        scaled, diagonal = krylov.operator, np.diag(krylov.T)
        first, own = float(diagonal.sum()), np.abs(diagonal).sum(keepdims=True)
        if krylov.size == size:
            return _estimate(
                meter, scaled, seen, None, first, (first, first), own,
                method=f"auto: Lanczos, all {size} directions",
                rests_on="the basis spans the space, to rounding",
                **about,
            )  # fmt: skip
        left = PROBES if spent and referees.done else budget - spent - krylov.size
        apart = products is None and target is None and bool(spent) and scaled.parts > 1 and left > PASSES
        if apart:
            passes = left * variance_apart(scaled, block, krylov.basis, seed) / (2 * referees.spread)
            apart = passes <= left / 2
            left = max(PASSES, int(np.ceil(passes))) if apart else left
        forms = Forms(scaled, "sphere", block, generator, krylov.basis, apart=apart)
        if target is None:
            half = forms.draw(left).half(level)
        else:
            half = target.reached(forms, first, target.probes(2 * referees.spread, first + referees.trace), left)
        value, count = first + forms.mean, len(forms.values)
        return _estimate(
            meter, scaled, seen, confidence, value, (value - half, value + half), np.append(forms.values, own),
            method=f"auto: {'Krylov-aware' if paid else 'Hutchinson'}, {krylov.size} directions, {count} probes uniform in direction"
            + (", each part its own" if apart else ""),
            rests_on=f"quadratic forms by their effective rank, given the Lanczos basis; coverage measured; {why}",
            **about,
        )  # fmt: skip


def _grow(krylov: Krylov, width: int, generator: torch.Generator) -> None:
    """Grow to a number of directions; a space that closes early has not seen copies of its eigenvalues."""
    while krylov.size < width:
        krylov.grow()
        if krylov.invariant and krylov.size < width and not krylov.restart(gaussian(krylov.operator, 1, generator)):
            return


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
    rounding: bool = True,
) -> Estimate:
    """Mean of w'Hw over independent probes, with Student's t interval.

    With a `tolerance` (relative to the value) the `products` are a pilot. Its variance decides once how many probes follow, and stays
    the variance of the final interval: Stein's two-stage procedure, whose coverage does not suffer from looking at the data.
    The interval supposes that the mean of the probes is about normal: too narrow for few probes of a matrix that one eigenvector
    rules.

    Args:
        operator: H, (P, P).
        products: probes; with a tolerance, of the pilot.
        tolerance: relative half-width wanted; None for as many probes as `products`.
        max_products: probes at most.
        probes: their law, "rademacher", "gaussian" or "sphere" (`forms`).
        confidence: of the interval.
        block: vectors multiplied at a time.
        seed: of the probes.
        rounding: as for `eigenvalues`.

    Returns:
        The trace with its interval.

    Raises:
        ValueError: settings out of range, a product that is not finite.
    """
    check_whole("products", products, 2)
    check_share("confidence", confidence)
    generator = generator_of(seed)
    with metered(operator) as meter:
        scaled, seen = _looked_at(operator, meter, rounding)
        forms = Forms(scaled, probes, block, generator).draw(products)
        level = seen.left(confidence)
        deviation, quantile = forms.deviation(), forms.quantile(level)
        if tolerance is not None:
            target = check_positive("tolerance", tolerance) * abs(forms.mean)
            wanted = int(min(max_products, np.ceil((quantile * deviation / target) ** 2))) if target > 0 else max_products
            forms.draw(max(0, wanted - products))
        mean, count = forms.mean, len(forms.values)
        half = quantile * deviation / float(np.sqrt(count))
        return _estimate(
            meter, scaled, seen, confidence, mean, (mean - half, mean + half), forms.values,
            seed=seed,
            method=f"Hutchinson, {count} {probes} probes",
            source="Hutchinson 1990",
            rests_on=f"{forms.law} over independent probes",
        )  # fmt: skip


def hutchpp(
    operator: Symmetric,
    *,
    products: int = 60,
    probes: Probes = "rademacher",
    confidence: float = 0.95,
    block: int = 8,
    seed: int = 0,
    rounding: bool = True,
) -> Estimate:
    """Hutch++ with a third of the products each for the sketch, its exact trace and the probes of the rest; t interval over the probes.

    Args:
        operator: H, (P, P).
        products: in all.
        probes: law of the rest's, "rademacher", "gaussian" or "sphere" (`forms`).
        confidence: of the interval.
        block: vectors multiplied at a time.
        seed: of the probes.
        rounding: as for `eigenvalues`.

    Returns:
        The trace with its interval.

    Raises:
        ValueError: settings out of range, a product that is not finite.
    """
    check_whole("products", products, 6)
    check_share("confidence", confidence)
    generator = generator_of(seed)
    with metered(operator) as meter:
        scaled, seen = _looked_at(operator, meter, rounding)
        size = operator.shape[0]
        width = min(products // 3, size)
        if width == size:
            Q, floor = torch.eye(size, dtype=operator.dtype, device=operator.device), 0.0
        else:
            Q, floor = _range(in_blocks(scaled, draw(operator, width, "rademacher", generator), block))
        captured = in_blocks(scaled, Q, block)
        first = float((Q * captured).sum(dtype=torch.float64))
        source = "Meyer et al. 2021, algorithm 1"
        short = Q.shape[1] < width  # the sketch may span the range of H: nothing is left to estimate but rounding then
        if width == size or (short and _spans(scaled, Q, floor, generator)):
            ends = first - floor, first + floor
            return _estimate(
                meter, scaled, seen, None, first, ends, np.array([first]),
                seed=seed,
                method=f"Hutch++, rank {Q.shape[1]} found",
                source=source,
                rests_on="the sketch spans the range (almost surely), to rounding",
            )  # fmt: skip
        left = products - width - Q.shape[1] - short
        forms = Forms(scaled, probes, block, generator, Q).draw(left)
        value, half = first + forms.mean, forms.half(seen.left(confidence))
        return _estimate(
            meter, scaled, seen, confidence, value, (value - half, value + half), np.append(forms.values, first),
            seed=seed,
            method=f"Hutch++, rank {Q.shape[1]}, {left} {probes} probes",
            source=source,
            rests_on=f"{forms.law} over independent probes of the deflated rest, given the sketch",
        )  # fmt: skip


def xtrace(
    operator: Symmetric,
    *,
    products: int = 60,
    confidence: float = 0.95,
    block: int = 8,
    seed: int = 0,
    rounding: bool = True,
) -> Estimate:
    """XTrace with products / 2 probes of length sqrt(P), uniform in direction, with the length of each left-out part corrected.

    With Y = H W = Q R, s_i the unit vector along column i of R^-T (Q s_i is orthogonal to every other column of Y) and
    x_i = (I - s_i s_i') Q'w_i, probe i estimates

        tr(Q'HQ) - s_i'Q'HQ s_i + (P - k + 1) / (||w_i||^2 - ||x_i||^2) * (w_i - Q x_i)'H(w_i - Q x_i).

    Args:
        operator: H, (P, P).
        products: in all, two for each probe.
        confidence: of the interval.
        block: vectors multiplied at a time.
        seed: of the probes.
        rounding: as for `eigenvalues`.

    Returns:
        The trace with its interval.

    Raises:
        ValueError: settings out of range, a product that is not finite.
    """
    check_whole("products", products, 4)
    check_share("confidence", confidence)
    generator = generator_of(seed)
    size = operator.shape[0]
    with metered(operator) as meter:
        scaled, seen = _looked_at(operator, meter, rounding)
        count = min(products // 2, size)
        W = gaussian(operator, count, generator)
        W = W * (size**0.5 / torch.linalg.vector_norm(W, dim=0))
        Y = in_blocks(scaled, W, block)
        Q, upper = torch.linalg.qr(Y.float() if Y.itemsize < 4 else Y)
        Q = Q.to(Y.dtype)
        R = upper.double().cpu().numpy()
        diagonal = np.abs(np.diag(R))
        floor = 64 * torch.finfo(operator.dtype).eps * diagonal.max(initial=0.0)
        source = "Epperly, Tropp, Webber 2024, section 2"
        if count == size or diagonal.min() <= floor:
            basis, floor = _range(Y, 64) if count < size else (Q, 0.0)
            exact = float((basis * in_blocks(scaled, basis, block)).sum(dtype=torch.float64)) if basis.shape[1] else 0.0
            return _estimate(
                meter, scaled, seen, None, exact, (exact - floor, exact + floor), np.array([exact]),
                seed=seed,
                method=f"XTrace, rank {basis.shape[1]} found",
                source=source,
                rests_on="the probes span the range (almost surely), to rounding",
            )  # fmt: skip
        T = (Q.T @ in_blocks(scaled, Q, block)).double().cpu().numpy()
        T = (T + T.T) / 2
        coordinates = (Q.T @ W).double().cpu().numpy()
        values = _leave_one_out(T, R, coordinates, size)
        mean = float(values.mean())
        without = _without_each(T, R, coordinates, size)
        error = float(np.sqrt((count - 1) / count * np.sum((without - without.mean()) ** 2)))
        half = error * student_quantile(seen.left(confidence), count)
        return _estimate(
            meter, scaled, seen, confidence, mean, (mean - half, mean + half), values,
            seed=seed,
            method=f"XTrace, {count} probes",
            source=source,
            rests_on="jackknife over the probes, coverage measured",
        )  # fmt: skip


def krylov_trace(
    operator: Symmetric,
    *,
    products: int = 60,
    probes: Probes = "rademacher",
    confidence: float = 0.95,
    block: int = 8,
    seed: int = 0,
    rounding: bool = True,
) -> Estimate:
    """Krylov-aware: half of the products for the Lanczos basis, half for the probes of the rest; t interval over the probes.

    Args:
        operator: H, (P, P).
        products: in all; within `shared.sharing` those of the basis may have been made already.
        probes: law of the rest's, "rademacher", "gaussian" or "sphere" (`forms`).
        confidence: of the interval.
        block: vectors multiplied at a time.
        seed: of the start and the probes.
        rounding: as for `eigenvalues`.

    Returns:
        The trace with its interval.

    Raises:
        ValueError: settings out of range, a product that is not finite.
    """
    width = min(check_whole("products", products, 4) // 2, operator.shape[0])
    check_share("confidence", confidence)
    generator = generator_of(seed)
    with metered(operator) as meter:
        seen = _seen(operator, meter, rounding)
        krylov = started(operator, gaussian(operator, 1, generator), seed)
        _grow(krylov, width, generator)
        scaled, diagonal = krylov.operator, np.diag(krylov.T)
        first, about = float(diagonal.sum()), {"seed": seed, "source": "Chen, Hallman 2023, for the identity"}
        if krylov.size == operator.shape[0]:
            return _estimate(
                meter, scaled, seen, None, first, (first, first), np.abs(diagonal).sum(keepdims=True),
                method=f"Lanczos, all {krylov.size} directions",
                rests_on="the basis spans the space, to rounding",
                **about,
            )  # fmt: skip
        left = products - width
        forms = Forms(scaled, probes, block, generator, krylov.basis).draw(left)
        value, half = first + forms.mean, forms.half(seen.left(confidence))
        return _estimate(
            meter, scaled, seen, confidence, value, (value - half, value + half), np.append(forms.values, np.abs(diagonal).sum()),
            method=f"Krylov-aware, {krylov.size} directions, {left} {probes} probes",
            rests_on=f"{forms.law} over independent probes of the deflated rest, given the Lanczos basis",
            **about,
        )  # fmt: skip


def _looked_at(operator: Symmetric, meter: Meter, rounding: bool) -> tuple[Rescaled, Rounding]:
    return Rescaled(operator), _seen(operator, meter, rounding)


def _seen(operator: Symmetric, meter: Meter, rounding: bool) -> Rounding:
    if not rounding:
        return UNSEEN
    with meter.checking():
        return rounding_of(operator)


def _estimate(
    meter: Meter,
    scaled: Rescaled,
    seen: Rounding,
    confidence: float | None,
    value: float,
    ends: tuple[float, float],
    values: Floats,
    rests_on: str,
    **rest: Any,
) -> Estimate:
    """The estimate in the operator's own units, its ends moved apart by what rounding may add to a mean of quadratic forms `values`."""
    sums = 16 * torch.finfo(scaled.dtype).eps * float(np.abs(values).max(initial=0.0))  # a few units of roundoff of their size
    slack = sums + seen.trace(0.95 if confidence is None else confidence, scaled.exponent)
    return meter.estimate(
        scaled.back(value),
        *scaled.ends(ends[0] - slack, ends[1] + slack),
        confidence,
        rests_on=f"{rests_on}; {seen.says()}",
        **rest,
    )


def _leave_one_out(T: Floats, R: Floats, coordinates: Floats, size: int) -> Floats:
    """Every probe's estimate (formula: `xtrace`) from T = Q'HQ, R and Q'W, (..., k, k) each."""
    count = R.shape[-1]
    S = np.linalg.inv(R).swapaxes(-1, -2)
    S = S / np.linalg.norm(S, axis=-2, keepdims=True)
    X = coordinates - S * np.sum(S * coordinates, axis=-2, keepdims=True)
    quadratic = np.sum(coordinates * R - 2 * R * X + X * (T @ X), axis=-2)
    scale = (size - count + 1) / (size - np.sum(X**2, axis=-2))
    return np.asarray(np.trace(T, axis1=-2, axis2=-1)[..., None] - np.sum(S * (T @ S), axis=-2) + scale * quadratic)


def _without_each(T: Floats, R: Floats, coordinates: Floats, size: int) -> Floats:
    """XTrace without each of its probes in turn, (k,), from the same small matrices: no further product."""
    count = R.shape[1]
    others = np.array([np.delete(np.arange(count), i) for i in range(count)])  # (k, k - 1)
    U, rest = np.linalg.qr(R[:, others].swapaxes(0, 1))
    left = U.swapaxes(-1, -2)
    return _leave_one_out(left @ T @ U, rest, left @ coordinates[:, others].swapaxes(0, 1), size).mean(axis=-1)


def _spans(operator: Rescaled, Q: Tensor, floor: float, generator: torch.Generator) -> bool:
    """Whether Q holds the range of H, almost surely: H z of a Gaussian z, as signs depend on each other where few parameters matter."""
    product = operator.matmat(gaussian(operator, 1, generator))
    return float(torch.linalg.vector_norm(product - Q @ (Q.T @ product))) <= floor


def _range(Y: Tensor, units: float = 16) -> tuple[Tensor, float]:
    """Orthonormal basis of the range of Y = H W, numerically: what lies below `units` of roundoff of the largest is rounding.

    Also how large the trace on what was left out may be: sqrt(P) times that floor. For |w| = sqrt(P) and a rest B of H that the floor
    hides, |w'Bw| <= |w| |Bw|.
    """
    U, singular, _ = torch.linalg.svd(Y.float() if Y.itemsize < 4 else Y, full_matrices=False)
    floor = units * torch.finfo(Y.dtype).eps * float(singular.max()) if len(singular) else 0.0
    return U[:, singular > floor].to(Y.dtype).contiguous(), floor * len(Y) ** 0.5
