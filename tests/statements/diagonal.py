"""The ledger's statements on diagonal linear networks, each beside wrong variants that must be caught.

The reference is the loss itself: quadrature, vertices, ascents (theory.claims.brute_force) and autograd's Hessian.
"""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from flatproof.theory.claims.brute_force import Instance
from tests.statements.harness import Case, Formula, Property

seed = st.integers(0, 10**6)
share = st.floats(0.05, 0.9).map(lambda v: round(v, 3))
either = st.booleans()


def network(case: Case, uncorrelated: bool = False, most: int = 3) -> tuple[Instance, np.random.Generator]:
    """A network that interpolates, d up to `most`, n from 1 to 5; Sigma = I if so wanted. The first entry of a case is its seed."""
    rng = np.random.default_rng(case[0])
    d = int(rng.integers(1, most + 1))
    u, v = rng.standard_normal((2, d)) + 0.3
    n = int(rng.integers(d if uncorrelated else 1, 6))
    x = rng.standard_normal((n, d))
    return Instance(u, v, np.linalg.qr(x)[0] * np.sqrt(n) if uncorrelated else x, float(rng.uniform(0.5, 2))), rng


def weights(instance: Instance) -> Any:
    return np.concatenate([instance.u, instance.v])


def scale(instance: Instance, adaptive: bool) -> Any:
    return np.abs(weights(instance)) if adaptive else np.ones(2 * len(instance.u))


def sigma(instance: Instance) -> Any:
    return instance.x.T @ instance.x / len(instance.x)


def hessian(instance: Instance) -> Any:
    """Autograd's, of the loss as it is defined."""
    x, y, d = torch.as_tensor(instance.x), torch.as_tensor(instance.y), len(instance.u)

    def loss(w: torch.Tensor) -> torch.Tensor:
        return instance.kappa * (x @ (w[:d] * w[d:]) - y).square().mean()

    return torch.autograd.functional.hessian(loss, torch.as_tensor(weights(instance))).numpy()  # type: ignore[no-untyped-call]


def close(value: Any, expected: Any) -> bool:
    return bool(np.allclose(value, expected, rtol=1e-8, atol=1e-10))


def whole_hessian(statement: Formula, case: Case) -> None:
    """diag-1: the Hessian's blocks are `statement(diag u, diag v, Sigma)`."""
    instance, _ = network(case)
    blocks = statement(np.diag(instance.u), np.diag(instance.v), sigma(instance))
    assert close(hessian(instance), 2 * instance.kappa * np.block(blocks))


def least_trace(statement: Formula, case: Case) -> None:
    """diag-2: tr H >= `statement(Sigma_ii, beta)` times kappa, with equality at |u| = |v|."""
    instance, _ = network(case)
    bound = instance.kappa * statement(np.diag(sigma(instance)), np.abs(instance.u * instance.v))
    assert np.trace(hessian(instance)) >= bound - 1e-10
    root = np.sqrt(np.abs(instance.u * instance.v))
    balanced = Instance(root, np.sign(instance.u * instance.v) * root, instance.x, instance.kappa)
    assert close(np.trace(hessian(balanced)), bound)


def average(statement: Formula, case: Case) -> None:
    """diag-3, diag-4, own/diagonal-2: `statement(tau, rho, u, v)` is a coordinate's share of the average case."""
    _, rho, adaptive, uniform = case
    instance, _ = network(case)
    share = statement(1 / 3 if uniform else 1.0, rho, np.abs(instance.u), np.abs(instance.v), adaptive)
    exact = instance.mean(rho, scale(instance, adaptive), "linf" if uniform else "l2")
    assert close(exact, instance.kappa * np.diag(sigma(instance)) @ share)


def adaptive_spectrum(statement: Formula, case: Case) -> None:
    """diag-5: the spectrum of |w| H |w| is that of `statement(B, Sigma)` times kappa, and zeros."""
    instance, _ = network(case)
    w, d = np.abs(weights(instance)), len(instance.u)
    values = np.linalg.eigvalsh(w[:, None] * hessian(instance) * w)
    smaller = np.linalg.eigvalsh(instance.kappa * statement(np.diag(np.abs(instance.u * instance.v)), sigma(instance)))
    assert np.allclose(values, np.sort(np.concatenate([np.zeros(d), smaller])), rtol=1e-7, atol=1e-9 * (1 + values[-1]))


def standard_spectrum(statement: Formula, case: Case) -> None:
    """own/diagonal-4: lambda_max(H) = 2 kappa lambda_max(R Sigma R), R by `statement(u, v)`."""
    instance, _ = network(case)
    r = statement(np.abs(instance.u), np.abs(instance.v))
    expected = 2 * instance.kappa * np.linalg.eigvalsh(r[:, None] * sigma(instance) * r)[-1]
    assert close(np.linalg.eigvalsh(hessian(instance))[-1], expected)


def over_the_ellipsoid(statement: Formula, case: Case) -> None:
    """diag-6: the worst case over an ellipsoid at Sigma = I is kappa `statement(|beta|, rho)`: reached, and not passed, by ascents."""
    instance, rng = network(case, uncorrelated=True)
    exact = instance.kappa * statement(np.abs(instance.u * instance.v), case[1])
    assert instance.over_ball(case[1], scale(instance, True), rng) == pytest.approx(exact, rel=1e-4)


def over_the_ball(statement: Formula, case: Case) -> None:
    """own/diagonal-12: the same with c = 1 and |u| = |v|."""
    first, rng = network(case, uncorrelated=True)
    root = np.sqrt(np.abs(first.u * first.v))
    instance = Instance(root, root, first.x, first.kappa)
    exact = instance.kappa * statement(root**2, case[1])
    assert instance.over_ball(case[1], scale(instance, False), rng) == pytest.approx(exact, rel=1e-4)


def over_the_box(statement: Formula, case: Case) -> None:
    """diag-7: the worst case over a box at Sigma = I is kappa `statement(|u|, |v|, rho, adaptive)`."""
    _, rho, adaptive = case
    instance, _ = network(case, uncorrelated=True)
    expected = instance.kappa * statement(np.abs(instance.u), np.abs(instance.v), rho, adaptive)
    assert close(instance.over_box(rho, scale(instance, adaptive)), expected)


def over_any_box(statement: Formula, case: Case) -> None:
    """own/diagonal-8: c = |w|, any Sigma, rho up to 2: kappa max over z of e' Sigma e, e = beta * (`center` + `half` z)."""
    instance, _ = network(case)
    rho = 2.2 * case[1]
    center, half = statement(rho)
    signs = np.array(np.meshgrid(*[[-1, 1]] * len(instance.u))).reshape(len(instance.u), -1).T
    e = instance.u * instance.v * (center + half * signs)
    assert close(instance.over_box(rho, scale(instance, True)), instance.kappa * np.mean((e @ instance.x.T) ** 2, axis=1).max())


def limit_over_a_box(statement: Formula, case: Case) -> None:
    """diag-8 and diag-9: the limit of S_max/rho² is kappa `statement(B, x)`; a case's second entry is whether m = 1."""
    _, alone = case
    instance, _ = network(case)
    parts = [slice(k, k + 1) for k in range(len(instance.x))] if alone else [slice(None)]
    near, far = (np.mean([instance.over_box(t, scale(instance, True), p) for p in parts]) / t**2 for t in (5e-4, 1e-3))
    expected = instance.kappa * statement(np.abs(instance.u * instance.v), instance.x, alone)
    assert 2 * near - far == pytest.approx(expected, rel=1e-4, abs=1e-10)


def largest_form(b: Any, x: Any) -> float:
    signs = np.array(np.meshgrid(*[[-1, 1]] * len(b))).reshape(len(b), -1).T
    return float(np.mean((signs * b @ x.T) ** 2, axis=1).max())


def powers(statement: Formula, case: Case) -> None:
    """diag-10: the trace of C H C with c_u = |u|^q |v|^(q-1) is 4 kappa sum Sigma_ii `statement(|beta|, q)`, and stays under rescaling."""
    _, q, alpha = case
    instance, _ = network(case)
    for factor in (1.0, alpha):
        u, v = instance.u * factor, instance.v / factor
        moved = Instance(u, v, instance.x, instance.kappa)
        c = np.concatenate([np.abs(u) ** q * np.abs(v) ** (q - 1), np.abs(v) ** q * np.abs(u) ** (q - 1)])
        expected = 4 * instance.kappa * np.diag(sigma(instance)) @ statement(np.abs(instance.u * instance.v), q)
        assert float(c**2 @ np.diag(hessian(moved))) == pytest.approx(float(expected), rel=1e-7)


def invariant(statement: Formula, case: Case) -> None:
    """own/diagonal-6: off interpolation, losses at w + c * z stay under (alpha u, v/alpha), up to signs of z, for c = `statement(u, v)`."""
    instance, rng = network(case)
    instance.y = instance.y + rng.standard_normal(len(instance.y))
    alpha = np.exp(rng.standard_normal(len(instance.u))) * rng.choice([-1, 1], len(instance.u))
    moved = Instance(instance.u * alpha, instance.v / alpha, instance.x, instance.kappa)
    moved.y = instance.y
    z = rng.standard_normal((20, 2 * len(alpha)))
    here = instance.losses(z, np.concatenate(statement(instance.u, instance.v)))
    there = moved.losses(z * np.tile(np.sign(alpha), 2), np.concatenate(statement(moved.u, moved.v)))
    assert np.allclose(here, there, rtol=1e-7)


def between_norms(statement: Formula, case: Case) -> None:
    """own/diagonal-10: max s'B Sigma B s lies in `statement(deviations, |beta|)`."""
    instance, _ = network(case)
    b, deviations = np.abs(instance.u * instance.v), np.sqrt(np.diag(sigma(instance)))
    low, high = statement(deviations, b)
    assert low - 1e-10 <= largest_form(b, instance.x) <= high + 1e-10


def fisher_rao(statement: Formula, case: Case) -> None:
    """own/diagonal-5: w'Hw at interpolation, where G = H, is kappa `statement(y)`."""
    instance, _ = network(case)
    assert close(weights(instance) @ hessian(instance) @ weights(instance), instance.kappa * statement(instance.y))


def displaced(statement: Formula, case: Case) -> None:
    """own/diagonal-1: the increase is kappa `statement(g, e, Sigma)` with e of `case`'s displacement, off interpolation."""
    instance, rng = network(case)
    instance.y = instance.y + rng.standard_normal(len(instance.y))
    a, b = rng.standard_normal((2, len(instance.u)))
    g = instance.x.T @ (instance.x @ (instance.u * instance.v) - instance.y) / len(instance.x)
    base, there = instance.losses(np.array([np.zeros(2 * len(a)), np.concatenate([a, b])]), np.ones(2 * len(a)))
    assert close(there - base, instance.kappa * statement(g, a * instance.v + instance.u * b, a * b, sigma(instance)))


def off_interpolation(statement: Formula, case: Case) -> None:
    """own/diagonal-3: the Hessian's part that the residual brings is 2 kappa `statement(G)`."""
    instance, rng = network(case)
    on, shift = hessian(instance), rng.standard_normal(len(instance.y))
    instance.y = instance.y + shift
    assert close(hessian(instance) - on, 2 * instance.kappa * np.block(statement(np.diag(-instance.x.T @ shift / len(shift)))))


def least_at(statement: Formula, case: Case) -> None:
    """own/diagonal-7: with c = 1 trace, lambda_max, average and box are least at |u| = `statement(|beta|)`."""
    first, rng = network(case)
    beta, d = np.abs(first.u * first.v), len(first.u)

    def standard(u: Any) -> Any:
        instance = Instance(u, np.sign(first.u * first.v) * beta / u, first.x, first.kappa)
        h, ones = hessian(instance), np.ones(2 * d)
        return np.array([np.trace(h), np.linalg.eigvalsh(h)[-1], instance.mean(0.4, ones, "l2"), instance.over_box(0.4, ones)])

    balanced = standard(statement(beta))
    for size in (1, 0.2):
        assert (balanced <= standard(np.sqrt(beta) * np.exp(size * rng.standard_normal(d))) * (1 + 1e-9)).all()


def holds_a_cut(statement: Formula, case: Case) -> None:
    """own/diagonal-9: on a random graph the box's worst case is `statement(rho, maxcut, edges)`."""
    rng = np.random.default_rng(case[0])
    pairs = [(i, j) for i in range(4) for j in range(i)]
    edges = [pairs[k] for k in rng.permutation(6)[: rng.integers(1, 7)]]
    x = np.array([np.eye(4)[i] - np.eye(4)[j] for i, j in edges])
    cut = max(sum((side >> i & 1) != (side >> j & 1) for i, j in edges) for side in range(16))
    graph = Instance(np.ones(4), np.ones(4), x, 1.0)
    assert close(graph.over_box(case[1], np.ones(8)), statement(case[1], cut, len(edges)))


def one_sample(statement: Formula, case: Case) -> None:
    """own/diagonal-11: with m = 1, c = |w| the box's worst case is kappa `statement(rho, sum |beta x|, |y|)` on average over samples."""
    instance, _ = network(case)
    parts = [instance.over_box(case[1], scale(instance, True), slice(k, k + 1)) for k in range(len(instance.x))]
    spread = np.abs(instance.x) @ np.abs(instance.u * instance.v)
    assert close(np.mean(parts), instance.kappa * np.mean(statement(case[1], spread, np.abs(instance.y))))


def bracketed(statement: Formula, case: Case) -> None:
    """own/diagonal-13: with c = |w| ascents over the ellipsoid stay in kappa `statement(rho, B Sigma B)`."""
    instance, rng = network(case)
    b = np.abs(instance.u * instance.v)
    low, high = statement(case[1], b[:, None] * sigma(instance) * b)
    reached = instance.over_ball(case[1], scale(instance, True), rng) / instance.kappa
    assert low * (1 - 1e-4) <= reached <= high * (1 + 1e-9)


def which_norm(statement: Formula, case: Case) -> None:
    """own/diagonal-14: at Sigma = I, `statement(|beta|)` over 4 kappa: trace and lambda_max, c = 1 at balance, then c = |w|."""
    first, _ = network(case, uncorrelated=True)
    root = np.sqrt(np.abs(first.u * first.v))
    instance = Instance(root, root, first.x, first.kappa)
    values: list[float] = []
    for adaptive in (False, True):
        c = scale(instance, adaptive)
        curved = c[:, None] * hessian(instance) * c
        values += [float(np.trace(curved)), float(np.linalg.eigvalsh(curved)[-1])]
    assert close(np.array(values) / (4 * instance.kappa), statement(root**2))


def either_target(statement: Formula, case: Case) -> None:
    """own/diagonal-15: of two predictors of the same labels and a target, `statement` tells the better from (b_1, b_2) alone."""
    rng = np.random.default_rng(case[0])
    x, first = rng.standard_normal((2, 4)), rng.standard_normal(4)
    second = first + np.linalg.svd(x)[2][2:].T @ rng.standard_normal(2)
    assert close(x @ first, x @ second)
    losses = [[float(np.sum((b - target) ** 2)) for b in (first, second)] for target in (first, second)]
    told = [statement(first, second, target) for target in (first, second)]
    assert told == [loss[0] < loss[1] for loss in losses]


PROPERTIES = {
    "diagonal-1": Property(
        displaced,
        st.tuples(seed),
        lambda g, e, both, s: 2 * g @ (e + both) + (e + both) @ s @ (e + both),
        {
            "no product": lambda g, e, both, s: 2 * g @ e + e @ s @ e,
            "no residual": lambda g, e, both, s: (e + both) @ s @ (e + both),
            "once": lambda g, e, both, s: g @ (e + both) + (e + both) @ s @ (e + both),
        },
    ),
    "diagonal-3": Property(
        off_interpolation,
        st.tuples(seed),
        lambda g: [[0 * g, g], [g, 0 * g]],
        {
            "on the diagonal": lambda g: [[g, 0 * g], [0 * g, g]],
            "nothing": lambda g: [[0 * g, 0 * g], [0 * g, 0 * g]],
            "half": lambda g: [[0 * g, g / 2], [g / 2, 0 * g]],
        },
    ),
    "diagonal-7": Property(
        least_at,
        st.tuples(seed),
        lambda b: np.sqrt(b),
        {"all in v": lambda b: np.ones_like(b), "all in u": lambda b: b, "the cube root": lambda b: np.cbrt(b)},
    ),
    "diagonal-9": Property(
        holds_a_cut,
        st.tuples(seed, share),
        lambda rho, cut, edges: 16 * rho**2 * cut / edges,
        {
            "4": lambda rho, cut, edges: 4 * rho**2 * cut / edges,
            "all edges": lambda rho, cut, edges: 16 * rho**2,
            "fourth order": lambda rho, cut, edges: (4 * rho + rho**2) ** 2 * cut / edges,
        },
    ),
    "diagonal-11": Property(
        one_sample,
        st.tuples(seed, share),
        lambda rho, spread, y: (2 * rho * spread + rho**2 * y) ** 2,
        {
            "second order": lambda rho, spread, y: (2 * rho * spread) ** 2,
            "labels alone": lambda rho, spread, y: ((2 * rho + rho**2) * y) ** 2,
            "spread alone": lambda rho, spread, y: ((2 * rho + rho**2) * spread) ** 2,
        },
    ),
    "diagonal-13": Property(
        bracketed,
        st.tuples(seed, share),
        lambda rho, m: tuple((np.sqrt(2) * rho + rho**2 / 2) ** 2 * v for v in (m.diagonal().max(), np.linalg.eigvalsh(m)[-1])),
        {
            "second order above": lambda rho, m: (0, 2 * rho**2 * np.linalg.eigvalsh(m)[-1]),
            "the diagonal above": lambda rho, m: (0, (np.sqrt(2) * rho + rho**2 / 2) ** 2 * m.diagonal().max()),
            "the trace below": lambda rho, m: ((np.sqrt(2) * rho + rho**2 / 2) ** 2 * m.trace(), np.inf),
        },
    ),
    "diagonal-14": Property(
        which_norm,
        st.tuples(seed),
        lambda b: [b.sum(), b.max(), b @ b, b.max() ** 2],
        {
            "c = 1 as c = |w|": lambda b: [b @ b, b.max() ** 2, b @ b, b.max() ** 2],
            "sums for largest": lambda b: [b.sum(), b.sum(), b @ b, b @ b],
            "exchanged": lambda b: [b.max(), b.sum(), b.max() ** 2, b @ b],
        },
    ),
    "diagonal-15": Property(
        either_target,
        st.tuples(seed),
        lambda first, second, target: np.array_equal(target, first),
        {
            "l1": lambda first, second, target: np.abs(first).sum() < np.abs(second).sum(),
            "l2": lambda first, second, target: first @ first < second @ second,
            "linf": lambda first, second, target: np.abs(first).max() < np.abs(second).max(),
        },
    ),
    "diag-1": Property(
        whole_hessian,
        st.tuples(seed),
        lambda u, v, s: [[v @ s @ v, v @ s @ u], [u @ s @ v, u @ s @ u]],
        {
            "layers exchanged": lambda u, v, s: [[u @ s @ u, u @ s @ v], [v @ s @ u, v @ s @ v]],
            "crossed blocks exchanged": lambda u, v, s: [[v @ s @ v, u @ s @ v], [v @ s @ u, u @ s @ u]],
            "blocks of one layer": lambda u, v, s: [[v @ s @ v, 0 * s], [0 * s, u @ s @ u]],
        },
    ),
    "diag-2": Property(
        least_trace,
        st.tuples(seed),
        lambda s, beta: 4 * s @ beta,
        {
            "2": lambda s, beta: 2 * s @ beta,
            "squares": lambda s, beta: 4 * s @ beta**2,
            "not weighted": lambda s, beta: 4 * beta.sum(),
        },
    ),
    "diag-3, diag-4": Property(
        average,
        st.tuples(seed, share, either, either),
        lambda tau, rho, u, v, adaptive: (
            (2 * tau * rho**2 + tau**2 * rho**4) * (u * v) ** 2 if adaptive else tau * rho**2 * (u**2 + v**2) + tau**2 * rho**4
        ),
        {
            "the Gaussian's variance for both": lambda tau, rho, u, v, adaptive: (
                (2 * rho**2 + rho**4) * (u * v) ** 2 if adaptive else rho**2 * (u**2 + v**2) + rho**4
            ),
            "no fourth order": lambda tau, rho, u, v, adaptive: (
                2 * tau * rho**2 * (u * v) ** 2 if adaptive else tau * rho**2 * (u**2 + v**2)
            ),
            "c = 1 for both": lambda tau, rho, u, v, adaptive: tau * rho**2 * (u**2 + v**2) + tau**2 * rho**4,
        },
    ),
    "diag-5": Property(
        adaptive_spectrum,
        st.tuples(seed),
        lambda b, s: 4 * b @ s @ b,
        {
            "2": lambda b, s: 2 * b @ s @ b,
            "one B": lambda b, s: 4 * np.sqrt(b) @ s @ np.sqrt(b),
            "no covariance": lambda b, s: 4 * b @ b,
        },
    ),
    "diagonal-4": Property(
        standard_spectrum,
        st.tuples(seed),
        lambda u, v: np.sqrt(u**2 + v**2),
        {"sum": lambda u, v: u + v, "larger layer": lambda u, v: np.maximum(u, v), "balanced": lambda u, v: np.sqrt(2 * u * v)},
    ),
    "diag-6": Property(
        over_the_ellipsoid,
        st.tuples(seed, share),
        lambda b, rho: (np.sqrt(2) * rho + rho**2 / 2) ** 2 * b.max() ** 2,
        {
            "shrinking": lambda b, rho: (np.sqrt(2) * rho - rho**2 / 2) ** 2 * b.max() ** 2,
            "second order": lambda b, rho: 2 * rho**2 * b.max() ** 2,
            "l2 norm": lambda b, rho: (np.sqrt(2) * rho + rho**2 / 2) ** 2 * b @ b,
        },
    ),
    "diagonal-12": Property(
        over_the_ball,
        st.tuples(seed, share),
        lambda b, rho: (np.sqrt(2 * b.max()) * rho + rho**2 / 2) ** 2,
        {
            "l1 norm": lambda b, rho: (np.sqrt(2 * b.sum()) * rho + rho**2 / 2) ** 2,
            "shrinking": lambda b, rho: (np.sqrt(2 * b.max()) * rho - rho**2 / 2) ** 2,
            "as c = |w|": lambda b, rho: (np.sqrt(2) * b.max() * rho + b.max() * rho**2 / 2) ** 2,
        },
    ),
    "diag-7": Property(
        over_the_box,
        st.tuples(seed, share, either),
        lambda u, v, rho, adaptive: np.sum(((2 * rho + rho**2) * u * v) ** 2 if adaptive else (rho * (u + v) + rho**2) ** 2),
        {
            "signs against each other": lambda u, v, rho, adaptive: np.sum(
                ((2 * rho - rho**2) * u * v) ** 2 if adaptive else (rho * (u + v) - rho**2) ** 2
            ),
            "largest alone": lambda u, v, rho, adaptive: np.max(
                ((2 * rho + rho**2) * u * v) ** 2 if adaptive else (rho * (u + v) + rho**2) ** 2
            ),
            "second order": lambda u, v, rho, adaptive: np.sum((2 * rho * u * v) ** 2 if adaptive else (rho * (u + v)) ** 2),
        },
    ),
    "diagonal-8": Property(
        over_any_box,
        st.tuples(seed, share),
        lambda rho: (rho**2, 2 * rho) if rho <= 1 else (rho, rho + rho**2),
        {
            "the small radius for all": lambda rho: (rho**2, 2 * rho),
            "symmetric": lambda rho: (0, 2 * rho + rho**2),
            "second order": lambda rho: (0, 2 * rho),
        },
    ),
    "diag-8, diag-9": Property(
        limit_over_a_box,
        st.tuples(seed, either),
        lambda b, x, alone: 4 * np.mean((np.abs(x) @ b) ** 2) if alone else 4 * largest_form(b, x),
        {
            "2": lambda b, x, alone: 2 * np.mean((np.abs(x) @ b) ** 2) if alone else 2 * largest_form(b, x),
            "l2 for both": lambda b, x, alone: 4 * np.mean(x**2 @ b**2),
            "one s for all samples": lambda b, x, alone: 4 * largest_form(b, x),
            "absolute covariances": lambda b, x, alone: 4 * np.mean((np.abs(x) @ b) ** 2),
        },
    ),
    "diag-10": Property(
        powers,
        st.tuples(seed, st.sampled_from([0.25, 0.5, 1.0, 1.5, 2.0]), st.sampled_from([0.5, 3.0])),
        lambda beta, q: beta ** (2 * q),
        {
            "q": lambda beta, q: beta**q,
            "2q - 1": lambda beta, q: beta ** (2 * q - 1),
            "p-th root": lambda beta, q: np.full_like(beta, np.sum(beta ** (2 * q)) ** (1 / (2 * q))),
        },
    ),
    "diagonal-6": Property(
        invariant,
        st.tuples(seed),
        lambda u, v: (np.abs(u), np.abs(v)),
        {
            "c = 1": lambda u, v: (np.ones_like(u), np.ones_like(v)),
            "Keskar's": lambda u, v: (np.abs(u) + 1, np.abs(v) + 1),
            "layers exchanged": lambda u, v: (np.abs(v), np.abs(u)),
        },
    ),
    "diagonal-10": Property(
        between_norms,
        st.tuples(seed),
        lambda s, b: (np.sum((s * b) ** 2), np.sum(s * b) ** 2),
        {
            "the l1 norm below": lambda s, b: (np.sum(s * b) ** 2, np.inf),
            "the l2 norm above": lambda s, b: (0, np.sum((s * b) ** 2)),
            "not weighted": lambda s, b: (0, np.sum(b) ** 2),
        },
    ),
    "diagonal-5": Property(
        fisher_rao,
        st.tuples(seed),
        lambda y: 8 * np.mean(y**2),
        {"4": lambda y: 4 * np.mean(y**2), "sum": lambda y: 8 * np.sum(y**2), "2": lambda y: 2 * np.mean(y**2)},
    ),
}
