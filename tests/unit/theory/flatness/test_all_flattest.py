"""What all flattest networks do on parity data: against exact ranges where patterns can be listed, in floating point, and with faults."""

import json
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flatproof import synth, theory
from flatproof.theory import check_parity
from flatproof.theory.check_parity import Invalid, check
from flatproof.theory.flatness.all_flattest import decide_parity, text
from flatproof.theory.networks import Network, forward, trace_of_hessian

Json = dict[str, Any]
CHECKER = Path(check_parity.__file__)


def proof(architecture: str, d: int = 10, n: int = 40, seed: int = 1) -> Json:
    data = synth.parity(d=d, n=n, seed=seed)
    found = decide_parity(data.x, data.y, architecture)
    assert found is not None
    return json.loads(text(found))  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def everywhere() -> Json:
    return proof("no-bias")


@pytest.mark.parametrize(("d", "n", "seed"), [*((3, n, seed) for n in (6, 8, 12) for seed in (1, 2, 3)), (4, 12, 1), (4, 12, 2)])
def test_agrees_with_ranges_over_all_patterns(d: int, n: int, seed: int) -> None:
    """Where all are proved right, the exact least prediction is at least what is proved; where one errs, nothing is proved."""
    data = synth.parity(d=d, n=n, seed=seed)
    found = decide_parity(data.x, data.y, "no-bias")
    within = 1e-6 if found is None else float(Fraction(found["within"]))
    try:
        solution = theory.flattest(data.x, data.y, "no-bias", "relu'(0)=0")
    except theory.Infeasible:
        assert found is None
        return
    decision = theory.decide(data, "no-bias", "relu'(0)=0", solution, within, ranges=False)
    if decision.answer == "not all":
        assert found is None
    if found is not None:
        assert decision.answer == "all"
        assert decision.right.all()
        least = np.where(decision.y > 0, decision.low, -decision.high)
        assert float(check(found).margin) <= least.min() + 1e-6
        assert solution.trace == pytest.approx(4 * np.sqrt(d))


def test_some_small_sets_are_proved_and_some_are_not() -> None:
    """The test above would hold of a function that finds nothing."""
    sets = [synth.parity(d=4, n=12, seed=seed) for seed in range(1, 9)]
    found = [decide_parity(data.x, data.y, "no-bias") is not None for data in sets]
    assert any(found)
    assert not all(found)


def test_the_excess_is_a_sum_of_squares() -> None:
    """Equation (1) of the checker on random networks that interpolate."""
    rng = np.random.default_rng(0)
    for d, n in ((4, 10), (6, 20)):
        data = synth.parity(d=d, n=n, seed=int(rng.integers(100)))
        w1 = rng.standard_normal((60, d))
        w2 = np.linalg.lstsq(np.maximum(data.x @ w1.T, 0), data.y, rcond=None)[0]
        network = Network(w1=w1, w2=w2)
        assert np.allclose(forward(network, data.x), data.y, atol=1e-9)
        m, u = w2**2 * np.sqrt(d), w1 / (np.abs(w2)[:, None] * np.sqrt(d))
        values = data.x @ u.T
        excess = (values > 0) * (1 - np.sign(w2) * data.y[:, None] * values) ** 2
        told = 4 * np.sqrt(d) + 2 * np.sqrt(d) / n * float(m @ excess.sum(axis=0))
        assert trace_of_hessian(network, data.x, data.y) == pytest.approx(told, rel=1e-9)


@pytest.mark.parametrize("architecture", ["no-bias", "bias", "sim-ln", "sim-bn"])
def test_the_checker_needs_nothing_but_python(architecture: str, tmp_path: Path) -> None:
    path = tmp_path / "proof.json"
    path.write_text(json.dumps(proof(architecture)), encoding="utf-8")
    run = subprocess.run([sys.executable, "-I", "-S", CHECKER, path], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.startswith("valid: all" if architecture == "no-bias" else "valid: not all")


def leaves(node: Any) -> list[Json]:
    """All leaves that weights refute."""
    if isinstance(node, dict):
        return [node]
    return [found for child in node[1:] for found in leaves(child)] if isinstance(node, list) else []


def wider(c: Json) -> None:
    c["within"] = str(1000 * Fraction(c["within"]))


def looser(c: Json) -> None:
    c["spread"] = "9/10"


def negated(c: Json) -> None:
    by = leaves(c["quarters"][0]["tree"])[0]["by"]
    by[1::2] = [-v for v in by[1::2]]


def emptied(c: Json) -> None:
    leaves(c["quarters"][0]["tree"])[0]["by"] = []


def called_the_quarter(c: Json) -> None:
    node = c["quarters"][0]["tree"]
    node[1] = node[2] = "quarter"


def swapped(c: Json) -> None:
    node = c["quarters"][1]["tree"]
    node[1], node[2] = node[2], node[1]


def one_sample_too_few(c: Json) -> None:
    c["quarters"][2]["tree"] = c["quarters"][2]["tree"][1]


def first_after(c: Json) -> None:
    c["quarters"][0]["after"] = True


def twice(c: Json) -> None:
    c["quarters"][1] = c["quarters"][0]


def reached_too_cheaply(c: Json) -> None:
    c["reach"][0] = [0, 1]


def turned_by_a_wrong_sign(c: Json) -> None:
    heads = [[1 if s == "+" else -1 for s in row[:2]] for row in c["x"]]
    head = c["quarters"][0]["head"]
    other = next(i for i, h in enumerate(heads) if h[0] * h[1] != head[0] * head[1])
    c["quarters"][0]["turn"][0] = [other, -1]


def another_point(c: Json) -> None:
    c["x"][c["quarters"][0]["sample"]] = c["x"][c["quarters"][1]["sample"]]


def another_statement(c: Json) -> None:
    c["statement"] = c["statement"].replace("40 points", "41 points")


def another_answer(c: Json) -> None:
    c["answer"] = "not all"


@pytest.mark.parametrize(
    "fault",
    [
        wider,
        looser,
        negated,
        emptied,
        called_the_quarter,
        swapped,
        one_sample_too_few,
        first_after,
        twice,
        reached_too_cheaply,
        turned_by_a_wrong_sign,
        another_point,
        another_statement,
        another_answer,
    ],
)
def test_a_damaged_proof_is_refused(fault: Callable[[Json], None], everywhere: Json) -> None:
    damaged = deepcopy(everywhere)
    fault(damaged)
    assert damaged != everywhere
    with pytest.raises(Invalid):
        check(damaged)


def test_every_leaf_counts(everywhere: Json) -> None:
    for k, quarter in enumerate(everywhere["quarters"]):
        for at in range(0, len(leaves(quarter["tree"])), 7):
            damaged = deepcopy(everywhere)
            leaves(damaged["quarters"][k]["tree"])[at]["by"] = []
            with pytest.raises(Invalid, match="not refuted"):
                check(damaged)


@pytest.mark.parametrize("seed", [1, 2])
def test_sim_bn_in_floating_point(seed: int) -> None:
    """The pairs keep the fit, add 32 c to the trace and turn every point that they say."""
    data = synth.parity(d=30, n=100, seed=seed)
    heads = proof("sim-bn", 30, 100, seed)["heads"]
    base = theory.generalizing_network(30, "sim-bn", size=1e4)
    assert base.gamma is not None
    assert base.b1 is not None
    counts = np.array([(data.x[:, :2] == s).all(axis=1).sum() for s in np.sign(base.w1[:, :2])])
    root = np.sqrt(np.sqrt(counts / 100))  # gamma W2 = the neuron's root mean square
    c, eta = 1e-4, 1e-6
    w1, b1, w2, gamma = [base.w1], [base.b1], [np.sign(base.w2) * root], [root]
    for entry in heads:
        head, tail, x0 = np.array(entry["head"]), np.array(entry["tail"]), data.x[entry["sample"]]
        big = 1.0 + np.abs(tail).sum()
        w1.append(np.vstack([np.concatenate([big * head, tail]), x0]))
        b1.append(np.array([-2 * big - tail @ x0[2:], -30.0]) + eta)
        w2.append(head.prod() * np.sqrt(c) * np.array([-1, 1]))
        gamma.append(np.full(2, np.sqrt(c)))
    parts = np.vstack(w1), np.concatenate(w2), np.concatenate(b1), np.concatenate(gamma)
    network = Network(*parts, architecture="sim-bn")
    alone = Network(w1[0], w2[0], b1[0], gamma[0], architecture="sim-bn")
    assert np.allclose(forward(network, data.x), data.y, atol=1e-6)
    added = trace_of_hessian(network, data.x, data.y) - trace_of_hessian(alone, data.x, data.y)
    assert added == pytest.approx(32 * c, rel=1e-3)
    x, y = data.sample(4000, seed=5)
    turned = np.zeros(len(x), bool)
    for entry in heads:
        above = x[:, 2:] @ entry["tail"] > data.x[entry["sample"], 2:] @ entry["tail"]
        turned |= above & (x[:, :2] == entry["head"]).all(axis=1)
    f = forward(network, x, train_x=data.x)
    assert (y[turned] * f[turned] < 0).all()
    assert (y[~turned] * f[~turned] > 0).all()
    told = check_parity.check(proof("sim-bn", 30, 100, seed)).wrong / 2**30
    assert turned.mean() == pytest.approx(told, abs=0.03)


def test_a_second_sample_seen_is_refused() -> None:
    damaged = proof("sim-bn")
    damaged["heads"][0]["tail"] = [0] * 8
    with pytest.raises(Invalid, match="second sample"):
        check(damaged)


@pytest.mark.parametrize("architecture", ["bias", "sim-ln"])
def test_memorizing_networks_in_floating_point(architecture: str) -> None:
    data = synth.parity(d=30, n=100, seed=3)
    w1, b1, size = data.x, np.full(100, -29.0), 31**0.25
    if architecture == "bias":
        network = Network(w1=size * w1, w2=data.y / size, b1=size * b1, architecture="bias")
    else:
        network = Network(w1=2e-3 * w1, w2=data.y, b1=2e-3 * b1, architecture="sim-ln", epsilon=1e-3)
    assert np.allclose(forward(network, data.x), data.y)
    bound = theory.trace_lower_bound(architecture, data.x, data.y, 1e-3)
    assert trace_of_hessian(network, data.x, data.y) == pytest.approx(bound)
    assert not forward(network, data.sample(2000, seed=1)[0]).any()
    assert check(proof(architecture, 30, 100, 3)).wrong == 2**30 - 100


def test_other_data_are_refused() -> None:
    for x, y in (([[1.0, 2.0]], [2.0]), ([[1.0, 1.0]], [-1.0]), ([[1.0]], [1.0])):
        with pytest.raises(ValueError, match="x must be in"):
            decide_parity(x, y, "no-bias")
