"""The ledger's statements on simplified BatchNorm and on neurons at kinks, each beside wrong variants that must be caught."""

from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from scipy.optimize import linprog

from flatproof import theory
from flatproof.theory import Network
from flatproof.theory.claims.wen2023.appendix_concentration import hypercube
from flatproof.theory.claims.wen2023.section_3_batchnorm import all_tails, barely_active, blind_neuron, complete
from flatproof.theory.constructions import SIGNS, generalizing_network
from tests.statements.harness import Case, Formula, Property

seed = st.integers(0, 10**6)
unit = st.floats(0, 1)
number = st.integers(-3, 3)


def tails_of(case: Case, d: int) -> Any:
    """Tails that span, d - 1 to d + 1 of them and so not all, drawn from a seed."""
    rng, every = np.random.default_rng(case[0]), all_tails(d)
    while True:
        tails = every[rng.permutation(len(every))[: min(rng.integers(d - 1, d + 2), len(every) - 1)]]
        if np.linalg.matrix_rank(tails - tails[0]) == d - 2:
            return tails


def activations(tails: Any, w: Any, b: Any) -> tuple[Any, Any, Any]:
    """x, y and relu(w.x + b) on the training set."""
    x = complete(tails)
    return x, x[:, 0] * x[:, 1], np.maximum(x @ np.asarray(w).T + b, 0)


def correlation(statement: Formula, case: Case) -> None:
    """lemma-A.1: |sum_i y_i relu(a_i)| <= `statement(n, mean square)`, tight for a head's own neuron."""
    d = 4
    tails = tails_of(case, d)
    rng = np.random.default_rng(case[0])
    head = SIGNS[rng.integers(4)]
    for w, b in ((rng.integers(-2, 3, d), rng.integers(-2, 3)), (np.array([*head, 0, 0]), -1)):
        x, y, h = activations(tails, w, b)
        assert abs(y @ h) <= statement(len(x), np.mean(h**2)) + 1e-9


def least_norm(statement: Formula, case: Case) -> None:
    """lemma-A.1: the least ||gamma * W2||_1, by a linear program over random neurons and the four of the lemma, is `statement()`."""
    d = 4
    rng = np.random.default_rng(case[0])
    w = np.vstack([generalizing_network(d, "sim-bn").w1, rng.standard_normal((20, d))])
    b = np.concatenate([-np.ones(4), rng.standard_normal(20)])
    _, y, h = activations(tails_of(case, d), w, b)
    alive = h.any(axis=0)
    u = h[:, alive] / np.sqrt(np.mean(h[:, alive] ** 2, axis=0))
    answer = linprog(np.ones(2 * u.shape[1]), A_eq=np.hstack([u, -u]), b_eq=y)
    assert answer.fun == pytest.approx(statement())


def pair(case: Case) -> tuple[Any, Any, float, float, int]:
    """Tails, an unseen point, c, eta and how many coordinates its tail is from S."""
    tails, every = tails_of(case, 6), all_tails(6)
    unseen = [t for t in every if not (tails == t).all(axis=1).any()]
    rng = np.random.default_rng(case[0])
    tail = unseen[rng.integers(len(unseen))]
    point = np.array([*SIGNS[rng.integers(4)], *tail])
    return tails, point, 10 ** (-1 - 3 * case[1]), 10 ** (-0.5 - 2 * case[1]), int((tails != tail).sum(axis=1).min())


def at_the_unseen_point(statement: Formula, case: Case) -> None:
    """theorem-3.2's counterexample: y f = `statement(n, |D|, c, eta)` at the point that the pair is made for."""
    tails, point, c, eta, apart = pair(case)
    x = complete(tails).astype(float)
    network = barely_active(tails, point, 1.0, c, eta)
    value = theory.forward(network, point[None], train_x=x)[0] * point[0] * point[1]
    assert value == pytest.approx(statement(len(x), apart, c, eta), rel=1e-6)


def excess_trace(statement: Formula, case: Case) -> None:
    """theorem-3.2's counterexample: its trace tends to 8 + `statement(c)`; lemma-A.2's: squared norms are 4 + half of that."""
    tails, point, c, eta, _ = pair(case)
    x = complete(tails).astype(float)
    network = barely_active(tails, point, 1e5, c, eta)
    assert network.gamma is not None
    assert theory.loss(network, x, x[:, 0] * x[:, 1]) < 1e-12
    assert theory.trace_of_hessian(network, x) == pytest.approx(8 + statement(c), abs=1e-6)
    assert np.sum(network.gamma**2 + network.w2**2) == pytest.approx(4 + statement(c) / 2)


def sees_one_point(statement: Formula, case: Case) -> None:
    """theorem-3.2's neuron, M by `statement(|D|)`: positive at one training point alone and at the unseen one."""
    tails, point, _, eta, apart = pair(case)
    w, b, x0 = blind_neuron((int(point[0]), int(point[1])), point[2:], tails)
    scale = statement(apart) / (4 * apart + 8)
    differs = np.concatenate([[False, False], point[2:] != x0[2:]])
    w = np.where(differs, w, w * scale)
    b = b * scale + apart * (1 - scale)
    z = complete(tails) @ w + b + min(eta, 0.9)
    assert (z > 1e-12).sum() == 1
    assert point @ w + b == pytest.approx(2 * apart)


def deficit(statement: Formula, case: Case) -> None:
    """theorem-3.2, corrected: sum |q_j| (n/2 - |sum_i y_i u_ij|) <= `statement(n, trace - 8)` for interpolating networks."""
    tails, point, c, eta, _ = pair(case)
    network = barely_active(tails, point, 1e4, c, eta)
    assert network.gamma is not None
    x, y, h = activations(tails, network.w1, network.b1)
    u, q = h / np.sqrt(np.mean(h**2, axis=0)), np.abs(network.gamma * network.w2)
    lost = q @ (len(x) / 2 - np.abs(y @ u))
    assert lost <= statement(len(x), theory.trace_of_hessian(network, x.astype(float)) - 8) + 1e-6


def trace_on_the_cube(statement: Formula, case: Case) -> None:
    """lemma-A.11 on the complete sample: Tr = `statement(||W1||_F², ||W2||², d)`, each pair x, -x activates a neuron once."""
    d = 2 + case[0] % 3
    rng = np.random.default_rng(case[0])
    network = Network(rng.standard_normal((3, d)), rng.standard_normal(3))
    x = hypercube(d).astype(float)
    expected = statement(float(np.sum(network.w1**2)), float(np.sum(network.w2**2)), d)
    assert theory.trace_of_hessian(network, x) == pytest.approx(expected)


def off_the_kink(statement: Formula, case: Case) -> None:
    """theorem-A.1's identity: relu(z) = `statement(z, v)` for z = 0 or |z| > 2 |v|, v = eta u."""
    z, v = case
    z = z * (2 * abs(v) + 1)
    assert statement(float(z), float(v)) == max(z, 0)


def relu(value: float) -> float:
    return max(value, 0.0)


PROPERTIES = {
    "lemma-A.1": Property(
        correlation,
        st.tuples(seed),
        lambda n, square: n / 2 * square**0.5,
        {
            "n/3": lambda n, square: n / 3 * square**0.5,
            "not the root": lambda n, square: n / 2 * square,
            "sqrt n": lambda n, square: (n * square) ** 0.5,
        },
    ),
    "lemma-A.1, minimum": Property(least_norm, st.tuples(seed), lambda: 2, {"1": lambda: 1, "4": lambda: 4}),
    "theorem-3.2, unseen point": Property(
        at_the_unseen_point,
        st.tuples(seed, unit),
        lambda n, apart, c, eta: 1 - c * n**0.5 * (2 * apart + eta) / eta,
        {
            "sign swapped": lambda n, apart, c, eta: 1 + c * n**0.5 * (2 * apart + eta) / eta,
            "sqrt n dropped": lambda n, apart, c, eta: 1 - c * (2 * apart + eta) / eta,
            "one coordinate": lambda n, apart, c, eta: 1 - c * n**0.5 * (2 + eta) / eta,
        },
    ),
    "theorem-3.2, excess": Property(
        excess_trace,
        st.tuples(seed, unit),
        lambda c: 8 * c,
        {"4c": lambda c: 4 * c, "16c": lambda c: 16 * c, "c²": lambda c: 8 * c**2},
    ),
    "theorem-3.2, neuron": Property(
        sees_one_point,
        st.tuples(seed, unit),
        lambda apart: 4 * apart + 8,
        {"M = 1/4": lambda apart: 0.25, "M = -1": lambda apart: -1},
    ),
    "theorem-3.2, deficit": Property(
        deficit,
        st.tuples(seed, unit),
        lambda n, kappa: kappa * n / 8,
        {"kappa n/20": lambda n, kappa: kappa * n / 20, "kappa/8": lambda n, kappa: kappa / 8},
    ),
    "lemma-A.11": Property(
        trace_on_the_cube,
        st.tuples(seed),
        lambda first, second, d: first + d * second,
        {
            "d dropped": lambda first, second, d: first + second,
            "twice": lambda first, second, d: 2 * (first + d * second),
            "layers exchanged": lambda first, second, d: d * first + second,
        },
    ),
    "theorem-A.1, kinks": Property(
        off_the_kink,
        st.tuples(number, number),
        lambda z, v: 2 * relu(z + v) - relu(z + 2 * v),
        {
            "one neuron": lambda z, v: relu(z + v),
            "weights 1 and 0": lambda z, v: relu(z + 2 * v) - relu(z + v) + relu(z),
            "sign swapped": lambda z, v: 2 * relu(z + v) - relu(z - 2 * v),
        },
        cheap=True,
    ),
}
