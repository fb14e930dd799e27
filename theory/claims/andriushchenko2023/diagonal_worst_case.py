"""Owns andriushchenko2023/diag-6 to diag-9: the worst case on a diagonal network, over balls and boxes, exactly or to second order."""

from collections.abc import Iterator
from itertools import product

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from flatproof.theory.claims import Evidence, claim, require
from flatproof.theory.claims.brute_force import Instance, instances
from flatproof.theory.claims.coordinates import P, Q, U, V, X, kappa, moved, pair_hessian, residual, rho, sizes, vanishes

RESTS_ON = ("own/diagonal-1", "andriushchenko2023/diagonal-network", "andriushchenko2023/worst-case")
p, q, r = sp.symbols("p q r", real=True)


def size_of(instance: Instance) -> NDArray[np.float64]:
    """|w|, (2d,)."""
    return np.abs(np.concatenate([instance.u, instance.v]))


def relative() -> None:
    """With a = u p and b = v q, e_i = beta_i (p + q + p q), and (a/|u|)² + (b/|v|)² = p² + q²."""
    u, v = sp.symbols("u_i v_i", real=True)
    require(vanishes(moved(u, v, u * p, v * q) - u * v * (p + q + p * q)), "e is not beta (p + q + p q)")


@claim(
    "andriushchenko2023/diag-6",
    printed="Sigma = I, c = |w|, l2, exactly: kappa ||beta||_inf² (sqrt 2 rho + rho²/2)².",
    depends_on=RESTS_ON,
)
def diag_6() -> Iterator[Evidence]:
    """Worst case over an ellipsoid, Sigma = I.

    A budget r = p² + q² buys e² = beta² phi(r) at most, phi(r) = (sqrt(2 r) + r/2)², and phi(r)/r increases: the whole of rho²
    goes to one coordinate of the largest |beta_i|. (andriushchenko2023, diagonal network)
    """
    relative()
    require(vanishes(2 * (p**2 + q**2) - (p + q) ** 2 - (p - q) ** 2), "|p + q| <= sqrt(2 r) has another gap")
    for sign in (1, -1):
        require(vanishes((p**2 + q**2) / 2 - sign * p * q - (p - sign * q) ** 2 / 2), "|p q| <= r/2 has another gap")
    root, top = sp.symbols("s S", nonnegative=True)  # square roots of r and rho²
    phi = (sp.sqrt(2) * root + root**2 / 2) ** 2
    half = root / sp.sqrt(2)
    require(vanishes((half + half + half * half) ** 2 - phi), "p = q = sqrt(r/2) does not attain phi(r)")
    require(vanishes(phi - root**2 * (sp.sqrt(2) + root / 2) ** 2), "phi(r)/r is not (sqrt 2 + sqrt(r)/2)²")
    gap = sp.expand((sp.sqrt(2) + (root + top) / 2) ** 2 - (sp.sqrt(2) + root / 2) ** 2)
    require(all(c > 0 for c in sp.Poly(gap, root, top).coeffs()), "phi(r)/r does not increase")
    yield Evidence(
        "proved",
        "symbolic, one coordinate; then sum_i beta_i² phi(r_i) <= sum_i beta_i² r_i phi(rho²)/rho² <= max beta_i² phi(rho²)",
        "every d, n, u, v and rho with Sigma = I; a parameter that is 0 is not moved and its e_i is 0",
        "|p + q| <= sqrt(2 r), |p q| <= r/2, both equal at p = q = sqrt(r/2) alone for r > 0: it takes the direction in which |u_i| "
        "and |v_i| "
        "both grow, e_i = beta_i phi^(1/2); shrinking both gives sqrt 2 rho - rho²/2 only",
    )
    rng, least, most = np.random.default_rng(1), np.inf, 0.0
    for instance, radius in instances(24, 6, uncorrelated=True):
        closed = instance.kappa * np.max((instance.u * instance.v) ** 2) * (np.sqrt(2) * radius + radius**2 / 2) ** 2
        if closed > 0:
            ratio = instance.over_ball(radius, size_of(instance), rng) / closed
            least, most = min(least, ratio), max(most, ratio)
    require(most < 1 + 1e-9, f"an ascent finds {most} of the maximum")
    require(least > 1 - 1e-5, f"the ascents find only {least} of the maximum")
    yield Evidence(
        "tested",
        "ascents from 64 random points a network, the best one finished by quasi-Newton steps",
        "24 networks with Sigma = I, d <= 3, zeros among u and v; numpy seeds 6 and 1",
        f"the largest value found is {least:.6f} to {most:.6f} of it",
    )


@claim(
    "andriushchenko2023/diag-7",
    printed="""Sigma = I, c = |w|, linf: kappa (2 rho + rho²)² ||beta||_2²; c = 1: kappa sum_i (rho (|u_i| + |v_i|) + rho²)².""",
    depends_on=RESTS_ON,
)
def diag_7() -> Iterator[Evidence]:
    """Worst case over a box, Sigma = I.

    Coordinates separate, and |a v + u b + a b| <= rho (|u| + |v|) + rho², attained at a = rho sign(u), b = rho sign(v).
    (andriushchenko2023, diagonal network)
    """
    for u, v, sign_u, sign_v in sizes():
        at = moved(u, v, rho * sign_u, rho * sign_v)
        require(vanishes(at - sign_u * sign_v * (rho * (P[0] + Q[0]) + rho**2)), "c = 1: the bound is not attained")
        at = moved(u, v, rho * P[0] * sign_u, rho * Q[0] * sign_v)
        require(vanishes(at - sign_u * sign_v * P[0] * Q[0] * (2 * rho + rho**2)), "c = |w|: the bound is not attained")
    yield Evidence(
        "proved",
        "symbolic, one coordinate by the signs of u and v; the bound is the triangle inequality",
        "every d, n, u, v and rho with Sigma = I; where u_i or v_i is 0 either sign attains it",
        "e' Sigma e = sum_i e_i², each term free of the others: |a v|, |u b| and |a b| are at most rho |v|, rho |u| and rho² (c = 1), "
        "rho |beta|, rho |beta| and rho² |beta| (c = |w|), and the three can have one sign",
    )
    worst = 0.0
    for instance, radius in instances(30, 7, uncorrelated=True):
        w, beta = size_of(instance), np.abs(instance.u * instance.v)
        reach = radius * (np.abs(instance.u) + np.abs(instance.v)) + radius**2
        for c, closed in ((w, (2 * radius + radius**2) ** 2 * beta @ beta), (np.ones_like(w), reach @ reach)):
            exact = instance.over_box(radius, c)
            worst = max(worst, abs(instance.kappa * float(closed) - exact) / max(exact, 1e-300))
    require(worst < 1e-10, f"the vertices' maximum differs by {worst:.1e}")
    yield Evidence(
        "tested",
        "all 4^d vertices of the box; the loss is convex along each axis, so that its maximum is at one",
        "30 networks with Sigma = I, d <= 3, zeros among u and v; both c; numpy seed 7",
        "agrees to 1e-10",
    )


@claim(
    "andriushchenko2023/diag-8",
    printed="General Sigma, linf, second order: 4 kappa rho² max over s in {-1, 1}^d of s' B Sigma B s.",
    depends_on=(*RESTS_ON, "andriushchenko2023/diag-1"),
)
def diag_8() -> Iterator[Evidence]:
    """Worst case over a box to second order.

    To second order e_i = beta_i (p_i + q_i), which is |beta_i| times any number of [-2 rho, 2 rho], and a convex function of these
    numbers has its maximum over the cube at a vertex. (andriushchenko2023, diagonal network)
    """
    rates = sp.symbols("p_i p_j q_i q_j", real=True)
    step = sp.Matrix([w * rate for w, rate in zip((*U, *V), rates, strict=True)])
    first = sum(X[k] * U[k] * V[k] * (rates[k] + rates[2 + k]) for k in range(2))
    quadratic = (step.T * pair_hessian().subs(residual, 0) * step)[0] / 2
    require(vanishes(quadratic - kappa * first**2), "delta'H delta/2 is not kappa (sum_i x_i beta_i (p_i + q_i))²")
    z, m, cross, rest = sp.symbols("z m c r", real=True)
    form = m * z**2 + 2 * cross * z + rest  # z'Mz along one axis, m = beta_i² Sigma_ii >= 0
    require(sp.diff(form, z, 2) == 2 * m, "the form is not convex along an axis")
    yield Evidence(
        "proved",
        "symbolic, a pair of coordinates of one sample, then along one axis of the cube",
        "every d, n, X, u, v at interpolation, c = |w|",
        "p + q fills [-2 rho, 2 rho]; signs of beta_i are those of s_i; along each axis z'B Sigma B z has the second derivative "
        "2 beta_i² Sigma_ii >= 0, so that moving to an end never loses. Exactly in rho: own/diagonal-8; it is NP-hard to compute: "
        "own/diagonal-9",
    )
    farthest = 0.0
    for instance, _ in instances(20, 8):
        b = np.abs(instance.u * instance.v)
        m = b[:, None] * (instance.x.T @ instance.x / len(instance.x)) * b
        closed = 4 * instance.kappa * max(float(np.array(s) @ m @ np.array(s)) for s in product((-1, 1), repeat=len(b)))
        # O(rho^3) vanishes in the limit: Richardson extrapolation of the exact maxima at two radii
        values = [instance.over_box(radius, size_of(instance)) / radius**2 for radius in (1e-3, 5e-4)]
        farthest = max(farthest, abs(2 * values[1] - values[0] - closed) / max(closed, 1e-9))
    require(farthest < 1e-5, f"the limit differs by {farthest:.1e}")
    yield Evidence(
        "tested",
        "all 4^d vertices at rho = 0.001 and 0.0005, extrapolated to rho = 0",
        "20 networks, d <= 3, n <= 5, zeros among u and v; numpy seed 8",
        f"the limit of S_max/rho² agrees to {farthest:.0e}",
    )


@claim(
    "andriushchenko2023/diag-9",
    printed="m = 1, linf, c = |w|, second order: 4 kappa rho² mean_k (sum_i |beta_i x_ki|)².",
    depends_on=(*RESTS_ON, "andriushchenko2023/diag-8"),
)
def diag_9() -> Iterator[Evidence]:
    """Worst case over a box, one sample a batch.

    Sigma_k = x_k x_k' has rank 1: s'B x_k x_k' B s = (sum_i s_i |beta_i| x_ki)². (andriushchenko2023, diagonal network)
    """
    sign, size = sp.symbols("s_i s_j", real=True), sp.symbols("y_i y_j", real=True)
    form = sum(sign[i] * size[i] * size[j] * sign[j] for i in range(2) for j in range(2))
    require(vanishes(form - (sign[0] * size[0] + sign[1] * size[1]) ** 2), "the form is not a square")
    yield Evidence(
        "proved",
        "symbolic, a pair of coordinates; the bound is the triangle inequality",
        "every d, n, X, u, v at interpolation",
        "|sum_i s_i |beta_i| x_ki| <= sum_i |beta_i x_ki|, attained at s_i = sign(x_ki); each batch has its own s. Exactly in rho <= 1: "
        "kappa mean_k (2 rho sum_i |beta_i x_ki| + rho² |y_k|)² (own/diagonal-11)",
    )
    farthest = 0.0
    for instance, _ in instances(20, 9):
        closed = 4 * instance.kappa * np.mean((np.abs(instance.x) @ np.abs(instance.u * instance.v)) ** 2)
        samples = [slice(k, k + 1) for k in range(len(instance.x))]
        values = [np.mean([instance.over_box(t, size_of(instance), k) for k in samples]) / t**2 for t in (1e-3, 5e-4)]
        farthest = max(farthest, abs(2 * float(values[1]) - float(values[0]) - float(closed)) / max(float(closed), 1e-9))
    require(farthest < 1e-5, f"the limit differs by {farthest:.1e}")
    yield Evidence(
        "tested",
        "all 4^d vertices for each sample at rho = 0.001 and 0.0005, extrapolated to rho = 0",
        "20 networks, d <= 3, n <= 5, zeros among u and v; numpy seed 9",
        f"the limit of the mean of S_max/rho² agrees to {farthest:.0e}",
    )
