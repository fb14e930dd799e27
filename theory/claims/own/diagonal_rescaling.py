"""Owns own/diagonal-6 and diagonal-7: what rescaling the layers of a diagonal network leaves unchanged, and what it does not."""

from collections.abc import Iterator

import numpy as np
import sympy as sp

from flatproof.theory import diagonal
from flatproof.theory.claims import Evidence, own_claim, require
from flatproof.theory.claims.brute_force import Instance, instances
from flatproof.theory.claims.coordinates import P, Q, vanishes
from flatproof.theory.diagonal import Diagonal

alpha = sp.Symbol("alpha", positive=True)


@own_claim(
    "diagonal-6",
    """With c = |w|, and with c_u = |u|^q |v|^(q-1), c_v likewise (no zeros if q < 1), every definition of sharpness by L(w +
    delta) - L(w), average or worst case, any rho, law symmetric or ball, any batch size, and the spectrum of C H C, is unchanged
    by u_i -> alpha_i u_i, v_i -> v_i/alpha_i for every alpha_i != 0, on and off interpolation.""",
    depends_on=("own/diagonal-1",),
)
def diagonal_6() -> Iterator[Evidence]:
    """Adaptive sharpness is invariant to rescaling each coordinate.

    The increase depends on (u, v) through beta, along_u, along_v and both alone.
    """
    p, q = sp.symbols("p q", positive=True)
    power = sp.Symbol("k", real=True)
    for c_u, c_v in ((P[0], Q[0]), (p**power * q ** (power - 1), q**power * p ** (power - 1))):
        first, second = (P[0], Q[0]) if c_u == P[0] else (p, q)
        terms = (c_u * second, c_v * first, c_u * c_v, first * second)
        moved = {first: alpha * first, second: second / alpha}
        for term in terms:
            changed = sp.expand_power_base(term.subs(moved, simultaneous=True), force=True)
            require(sp.simplify(changed / term) == 1, f"{term} changes")
    yield Evidence(
        "proved",
        "symbolic, one coordinate, alpha > 0; a negative alpha changes the signs of u and v alone, which own/diagonal-1 takes out",
        "every d, n, X, y, u, v, rho",
        "|alpha| c_u |v|/|alpha|, c_v |u| likewise, c_u c_v and u v stay; the ball and the law of (s, t) do not see signs, and C H C is "
        "the Hessian in (s, t): the same up to the signs of rows and columns",
    )


@own_claim(
    "diagonal-7",
    """With c = 1 none is: along u -> alpha u, v -> v/alpha the trace, lambda_max, the average case and the worst cases over boxes
    and balls go to infinity as alpha does, if some Sigma_ii u_i² > 0, and as alpha goes to 0, if some Sigma_ii v_i² > 0; among all
    (u, v) with u * v = beta at interpolation each is least, for every Sigma and rho, at |u| = |v| = |beta|^(1/2). Keskar's c = |w|
    + 1 is not invariant either.""",
    depends_on=("own/diagonal-1", "own/diagonal-2", "own/diagonal-4"),
)
def diagonal_7() -> Iterator[Evidence]:
    """Standard sharpness changes with the balance of the layers.

    What enters is u_i² + v_i² and |u_i| + |v_i|, least at |u_i| = |v_i|; the rest depends on beta.
    """
    root_p, root_q = sp.symbols("g h", nonnegative=True)  # square roots of |u|, |v|
    p, q = root_p**2, root_q**2
    require(vanishes(p**2 + q**2 - 2 * p * q - (p - q) ** 2), "u² + v² >= 2 |beta| has another gap")
    require(vanishes(p + q - 2 * root_p * root_q - (root_p - root_q) ** 2), "|u| + |v| >= 2 |beta|^(1/2) has another gap")
    s, t = sp.symbols("s t", real=True)
    forward, swapped = (q * a + p * b + a * b for a, b in ((s, t), (t, s)))
    middle = (p + q) / 2 * (s + t) + s * t
    require(vanishes((forward + swapped) / 2 - middle), "the mean over (s, t) and (t, s) is another")
    yield Evidence(
        "proved",
        "symbolic, one coordinate",
        "every d, n, X and rho; unbounded along the orbit, least at balance",
        "trace and average are increasing in u_i² + v_i², lambda_max = 2 kappa lambda_max(Sigma^(1/2) R² Sigma^(1/2)) too (Loewner "
        "order). For "
        "a box or ball: at balance a displacement (s, t) moves e by ±(|beta|^(1/2) (s + t) + s t); at (u, v) the mean of (s, t) and "
        "(t, s) is "
        "(|u| + |v|)/2 (s + t) + s t, farther out on the side of s + t, so one of the two goes at least as far up for s + t >= 0 and "
        "down for s + t <= 0, where e is farthest up and down; e's range is an interval around 0, so what balance reaches within a "
        "budget, "
        "(u, v) does. One parameter alone "
        "moves e_i by rho |v_i| or rho |u_i|: unbounded.",
    )
    rng, worst = np.random.default_rng(0), np.inf
    for instance, radius in (*instances(40, 2), *instances(20, 4, uncorrelated=True)):
        beta = instance.u * instance.v
        root, factor = np.sqrt(np.abs(beta)), np.exp(rng.standard_normal(len(beta)))
        flat, tilted = (
            _standard(Instance(root * f, np.sign(beta) * root / f, instance.x, instance.kappa), radius)
            for f in (1 + 0 * beta, factor)
        )
        worst = min(worst, *((high - low) / (1e-12 + high) for low, high in zip(flat, tilted, strict=True)))
    require(worst > -1e-9, f"balance is beaten by {-worst:.1e}")
    yield Evidence(
        "tested",
        "networks tilted at random away from balance; the box by all 4^d vertices, the ball where Sigma is diagonal",
        "60 networks, d <= 3, n <= 5; numpy seeds 2, 4 and 0",
        "balance is never beaten in trace, lambda_max, average or worst case",
    )
    keskar = [float(diagonal.keskar(Diagonal(np.array([a]), np.array([1 / a]), np.ones((1, 1))), 1.0)) / 100 for a in (1.0, 2.0)]
    require(keskar == [64.0, 81.0], "Keskar's metric is not 64 and 81")
    yield Evidence(
        "certified",
        "exact: max (a v + u b + a b)² over |a| <= |u| + 1, |b| <= |v| + 1",
        "d = n = 1, x = 1, epsilon = 1: (u, v) = (1, 1) and (2, 1/2)",
        "64 and 81 times 100: not invariant",
    )


def _standard(instance: Instance, radius: float) -> list[float]:
    """Trace, lambda_max, average case, worst cases over a box and, where it is known exactly, over a ball; c = 1."""
    network = Diagonal(instance.u, instance.v, instance.x, instance.kappa)
    low, high = diagonal.worst_case_l2(network, radius, "none")
    values = [diagonal.trace(network), diagonal.lambda_max(network), diagonal.average_case(network, radius, "l2", "none")]
    ball = [float(high)] if low == high else []
    return [*map(float, values), instance.over_box(radius, np.ones(2 * len(instance.u))), *ball]
