"""Certificates from floats, and the checker against everything that could be wrong with one."""

import itertools
import json
from fractions import Fraction
from math import sqrt

import numpy as np
import pytest
from scipy.optimize import nnls

from flatproof.theory import check_certificate
from flatproof.theory.check_certificate import Invalid, check
from flatproof.theory.flatness import certificate as exact
from flatproof.theory.flatness.flattest import flattest
from flatproof.theory.flatness.patterns import Patterns, cells
from flatproof.theory.flatness.program import reference
from flatproof.theory.flatness.setting import Setting
from flatproof.theory.networks import with_ones
from tests.certificates import CUBE, Json, listed, solved, through_json, xor


@pytest.fixture(scope="module")
def hard() -> Json:
    """A certificate in which Cauchy-Schwarz alone does not do."""
    return through_json(xor(3, "no-bias"))


def test_one_point_by_hand():
    # f(2) = 3 with trace 4 * 2 * 3: equation 3 of wen2023
    certificate = {
        "format": "flatproof-certificate-1",
        "architecture": "no-bias",
        "kinks": "differentiable",
        "x": [[2]],
        "y": [3],
        "dual": [8],
        "lower": 24,
        "upper": 24,
        "patterns": [{"w": [1], "plus": None, "minus": None}, {"w": ["-1/3"], "plus": None, "minus": None}],
        "neurons": [{"v": ["3/2"], "sign": 1, "cost": 24}],
    }
    certificate["statement"] = check_certificate.statement("no-bias", "differentiable", 1, 1, Fraction(24), Fraction(24))
    verdict = check(certificate)
    assert (verdict.lower, verdict.upper, verdict.relative_gap) == (24, 24, 0)
    certificate["patterns"][0]["plus"] = {"v": [4], "mu": {}}
    assert check(certificate) == verdict
    certificate["patterns"][0]["plus"] = {"v": [3], "mu": {"0": 1}}  # (2 * 3 - 8) 2 is not 1 * 2
    with pytest.raises(Invalid, match=r"patterns\[0\].plus: v and mu do not satisfy"):
        check(certificate)


@pytest.mark.parametrize("architecture", ["no-bias", "bias", "sim-bn"])
def test_one_point_and_two_points(architecture):
    for x, y in ((np.array([[2.0]]), np.array([-3.0])), (np.array([[1.0, 2.0], [0.5, -1.0]]), np.array([1.0, -2.0]))):
        verdict = check(exact.certificate(**solved(architecture, "differentiable", x, y)))
        assert 0 <= verdict.relative_gap <= 1e-6
        if architecture != "sim-bn" and len(x) == 1:
            assert float(verdict.lower) == pytest.approx(12 * np.linalg.norm(with_ones(architecture, x)), rel=1e-7)


@pytest.mark.parametrize("kinks", check_certificate.KINKS)
@pytest.mark.parametrize(("architecture", "least"), [("no-bias", 4 * sqrt(2)), ("bias", 4 * sqrt(3)), ("sim-bn", 8)])
def test_xor_on_the_square(architecture, kinks, least):
    if architecture == "no-bias" and kinks == "differentiable":
        least = 8  # a neuron without kinks sees two neighbouring corners, one on its kinks a single one
    verdict = check(through_json(xor(2, architecture, kinks)))
    assert 0 <= verdict.relative_gap <= 1e-6
    assert float(verdict.lower) == pytest.approx(least, rel=1e-6)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("architecture", ["no-bias", "bias", "sim-bn"])
def test_small_whole_data_against_cvxpy(architecture, seed):
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(2, 7)), int(rng.integers(1, 3 if architecture != "no-bias" else 4))
    x = rng.permutation(np.array(list(itertools.product(range(-2, 3), repeat=d)), float))[:n]
    y = np.maximum(x @ rng.integers(-2, 3, (d, 4)), 0) @ rng.integers(-2, 3, 4) if architecture == "no-bias" else x[:, 0] ** 2 - 1
    kinks = ("differentiable", "relu'(0)=0")[seed % 2]
    arguments = solved(architecture, kinks, x, y)
    points = with_ones(architecture, x)
    value, _ = reference(architecture, points, y, listed(kinks, points)[1])
    for multipliers in (arguments["multipliers"], None):
        verdict = check(through_json(exact.certificate(**(arguments | {"multipliers": multipliers}))))
        assert 0 <= verdict.relative_gap <= 1e-4  # the solver's directions are this good, its dual point is better
        assert float(verdict.lower) <= value * (1 + 1e-6) + 1e-9
        assert float(verdict.lower) >= value * (1 - 1e-6) - 1e-9


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("kinks", check_certificate.KINKS)
@pytest.mark.parametrize("architecture", ["no-bias", "bias", "sim-bn"])
def test_flattest_networks_of_real_data(architecture, kinks, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((5, 2)).round(3) * 10.0 ** (rng.integers(-3, 4) if architecture != "sim-bn" else 0)
    x[seed % 3] = 2 * x[3] if architecture == "no-bias" and seed % 2 else x[3]
    y = np.maximum(x, 0) @ [1.0, -2.0] if architecture == "no-bias" else x[:, 0] * x[:, 1]
    solution = flattest(x, y, architecture, kinks)
    points = with_ones(architecture, x)
    weights, scale = solution.network.weights, 1.0
    if architecture == "sim-bn":
        scale = solution.network.gamma / np.sqrt(np.mean(np.maximum(points @ weights.T, 0) ** 2, axis=0))
    patterns, _ = listed(kinks, points)
    certificate = exact.certificate(
        Setting.of(x, y, architecture, kinks), solution.dual, patterns, weights, solution.network.w2 * scale
    )
    verdict = check(through_json(certificate))
    assert 0 <= verdict.relative_gap <= 1e-6
    assert float(verdict.lower) == pytest.approx(solution.lower_bound, rel=1e-8)
    assert float(verdict.upper) <= solution.trace * (1 + 1e-8)


def test_multipliers_from_another_solver_and_wrong_ones():
    arguments = solved("no-bias", "differentiable", CUBE[3], CUBE[3][:, 0] * CUBE[3][:, 1])
    best = check(exact.certificate(**arguments)).lower
    u, signs = CUBE[3], arguments["patterns"].signs
    ours = np.zeros_like(arguments["multipliers"])
    for side, k in itertools.product((0, 1), range(len(signs))):
        on, q = signs[k] > 0, (1 - 2 * side) * arguments["dual"]
        values, vectors = np.linalg.eigh(u[on].T @ u[on])
        root = vectors / np.sqrt(np.maximum(values, 1e-12))
        ours[side, k] = nnls(root.T @ (signs[k][:, None] * u).T, -root.T @ (u[on].T @ q[on]))[0]
    for multipliers in (ours, ours + 0.1, 0 * ours, np.full_like(ours, np.nan), -ours):
        verdict = check(exact.certificate(**(arguments | {"multipliers": multipliers})))
        assert float(verdict.lower) == pytest.approx(float(best), rel=1e-9)


def test_a_dual_point_far_from_feasible_is_scaled_down():
    arguments = solved("bias", "differentiable", CUBE[2], CUBE[2][:, 0] * CUBE[2][:, 1])
    for factor in (1.0 + 1e-8, 1.001, 3.0, 1e6):
        verdict = check(exact.certificate(**(arguments | {"dual": factor * arguments["dual"]})))
        assert verdict.relative_gap <= (3e-8 if factor < 1.0001 else 0.51)
    assert check(exact.certificate(**(arguments | {"dual": np.zeros(4)}))).lower == 0


def test_zero_labels_need_no_neurons():
    x = np.array([[1.0, 2.0], [2.0, 1.0]])
    none = np.zeros((0, 2))
    certificate = exact.certificate(Setting.of(x, np.zeros(2)), np.zeros(2), cells(x), none, none[:, 0])
    assert certificate["neurons"] == []
    assert check(certificate).relative_gap == 0


def test_errors_of_certificate():
    arguments = solved("bias", "differentiable", CUBE[2], CUBE[2][:, 0] * CUBE[2][:, 1])
    none = {"neurons": np.zeros((0, 3)), "coefficients": np.zeros(0)}
    assert check(exact.certificate(**(arguments | none))).relative_gap > 0  # all from the witnesses
    for change, message in (
        ({"dual": np.zeros(3)}, "shapes"),
        ({"dual": np.full(4, np.nan)}, "finite"),
        ({"neurons": np.array([[1.0, 1.0, 0.0]]), "coefficients": np.ones(1)}, "neuron 0 has point 1 on its kink"),
    ):
        with pytest.raises(ValueError, match=message):
            exact.certificate(**(arguments | change))
    opposite = np.array([[1.0, 0.0], [-1.0, 0.0], [2.0, 0.0], [-2.0, 0.0]])
    with pytest.raises(ValueError, match="no network fits"):
        exact.certificate(
            Setting.of(opposite, np.array([1.0, 0.0, 3.0, 0.0])),
            np.zeros(4),
            cells(opposite),
            none["neurons"][:, :2],
            none["coefficients"],
        )


def test_witnesses_that_do_not_span_the_labels_are_varied():
    x, none = np.array([[0.0, 1.0], [0.0, -1.0], [1.0, 0.0], [-1.0, 0.0]]), np.zeros((0, 2))
    y = np.array([1.0, 5.0, -2.0, 3.0])
    for kinks in check_certificate.KINKS:
        patterns, _ = listed(kinks, x)
        verdict = check(exact.certificate(Setting.of(x, y, kinks=kinks), np.zeros(4), patterns, none, none[:, 0]))
        assert verdict.lower == 0


def test_a_cell_without_witness_gets_one(hard):
    x = CUBE[3]
    patterns = cells(x)
    thin = Patterns(patterns.signs, np.full_like(patterns.witnesses, np.nan))
    none = np.zeros((0, 3))
    certificate = exact.certificate(Setting.of(x, np.abs(x[:, 0])), np.zeros(8), thin, none, none[:, 0])
    assert check(certificate).lower == 0
    wrong = Patterns(-np.abs(patterns.signs), thin.witnesses)
    with pytest.raises(ValueError, match="no cell"):
        exact.certificate(Setting.of(x, np.abs(x[:, 0])), np.zeros(8), wrong, none, none[:, 0])


def test_floats_are_the_decimals_that_they_print_as():
    x, y = np.array([[0.1, 0.2], [0.3, 0.6], [-0.7, 1.1]]), np.array([0.1, 0.3, 1e-7])
    certificate = exact.certificate(**solved("no-bias", "differentiable", x, y))
    assert certificate["x"][1] == ["3/10", "3/5"]
    assert certificate["y"][2] == "1/10000000"
    assert 0 <= check(certificate).relative_gap <= 1e-5


def test_saving_over_a_file_leaves_it_whole_when_it_fails(tmp_path):
    path = tmp_path / "certificate.json"
    exact.save({"a": 1}, path)
    with pytest.raises(TypeError):
        exact.save({"a": object()}, path)
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_sim_bn_is_said_to_be_an_infimum():
    assert "infimum" in xor(2, "sim-bn")["statement"]
