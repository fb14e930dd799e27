"""The oracle against linear programs over all sign vectors, cvxpy, closed forms, and the inputs that broke ranges."""

import json
from itertools import product
from pathlib import Path

import cvxpy as cp
import numpy as np
import pytest
from scipy.optimize import linprog

from tests.oracle.arrangement import Arrangement, rational
from tests.oracle.flattest_oracle import Bracket, Infeasible, Oracle
from tests.oracle.named import NAMED, TOO_NARROW, TOO_WIDE
from tests.oracle.sweep import decided, verdict


def exact(points: np.ndarray) -> list[list]:
    return [[rational(a) for a in row] for row in points.tolist()]


def possible(points: np.ndarray, signs: np.ndarray) -> bool:
    """Whether some w has signs_i x_i . w >= 1 for all i."""
    rows = -signs[:, None] * points
    return linprog(np.zeros(points.shape[1]), rows, -np.ones(len(points)), bounds=(None, None), method="highs").status == 0


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("n", "p"), [(5, 2), (7, 3), (6, 4)])
def test_cells_are_those_that_linear_programs_find(n: int, p: int, seed: int) -> None:
    points = np.random.default_rng(seed).integers(-2, 3, (n, p)).astype(float)
    points[~points.any(axis=1), 0] = 1
    listed = {tuple(s) for s in Arrangement.of(exact(points)).signs.tolist()}
    assert listed == {s for s in product((-1, 1), repeat=n) if possible(points, np.array(s))}


def test_a_cell_as_thin_as_doubles_allow_is_listed() -> None:
    points = np.array([[1.0, 0.1], [1.0, 0.1 + 2e-16], [1.0, -1.0]])
    assert len(Arrangement.of(exact(points)).signs) == 6
    assert len(Arrangement.of(exact(points * [[1], [1e9], [1]])).signs) == 6


def reference(oracle: Oracle, q: list[float], within: float, end: int) -> float:
    """The range's end through cvxpy, cells given by inequalities instead of rays."""
    points = np.array([[float(a) for a in row] for row in oracle.points])
    target = np.array([float(a) for a in oracle.extended(q)])
    both = np.vstack([points, target])
    output, cost, at, constraints = 0, 0, 0, []
    for signs in Arrangement.of(exact(both)).signs:
        active = np.diag((signs[:-1] > 0).astype(float)) @ points
        for side in (1, -1):
            v = cp.Variable(points.shape[1])
            constraints.append(np.diag(signs) @ both @ v >= 0)
            output, cost = output + side * active @ v, cost + oracle.price(signs[:-1] > 0) * cp.norm(active @ v)
            at += side * max(int(signs[-1]), 0) * (target @ v)
    fit = output == np.array([float(b) for b in oracle.y])
    least = cp.Problem(cp.Minimize(cost), [fit, *constraints]).solve(solver=cp.CLARABEL)
    assert least == pytest.approx(oracle.least[1], rel=1e-6)
    return end * cp.Problem(cp.Maximize(end * at), [fit, cost <= (1 + within) * oracle.least[1], *constraints]).solve(
        solver=cp.CLARABEL
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("architecture", ["no-bias", "bias", "sim-bn"])
def test_brackets_agree_with_cvxpy(architecture: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((5, 2)), rng.standard_normal(5)
    q = (rng.random(5) @ x / 5).tolist()
    oracle = Oracle(x, y, architecture)
    bracket = oracle.bracket(q, 1e-2)
    assert np.isfinite(bracket.inner).all()
    for k, end in enumerate((-1, 1)):
        expected = reference(oracle, q, 1e-2, end)
        assert expected == pytest.approx(bracket.inner[k], abs=1e-5)
        assert expected == pytest.approx(bracket.outer[k], abs=1e-5)


def in_floats(oracle: Oracle, network: list, q: list[float]) -> tuple[float, float, float]:
    """Residual, cost from on-sets that are seen, and prediction of a network, in plain float64."""
    points = np.array([[float(a) for a in row] for row in oracle.points])
    weights = np.array([float(u.weight) for u in network])
    v = np.array([[float(a) for a in u.v] for u in network])
    h = np.maximum(points @ v.T, 0)
    cost = sum(
        abs(a) * oracle.price(u.on) * np.linalg.norm(h[:, j]) for j, (a, u) in enumerate(zip(weights, network, strict=True))
    )
    residual = float(np.abs(h @ weights - [float(b) for b in oracle.y]).max())
    return residual, float(cost), float(np.maximum(v @ [float(a) for a in oracle.extended(q)], 0) @ weights)


def check(oracle: Oracle, bracket: Bracket, q: list[float], within: float, width: float) -> None:
    """What every finite bracket promises."""
    (low, high), (least, most) = bracket.inner, bracket.outer
    assert least <= low <= high <= most
    assert low - least <= width
    assert most - high <= width
    assert 0 <= bracket.least[1] - bracket.least[0] <= 1e-8 * bracket.least[1]
    for network, value in zip(bracket.networks, bracket.inner, strict=True):
        residual, cost, at = in_floats(oracle, network, q)
        assert residual <= 1e-9
        assert cost <= (1 + within) * bracket.least[1] * (1 + 1e-12)
        assert at == pytest.approx(value, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("case", NAMED.values(), ids=NAMED)
@pytest.mark.parametrize("within", [1e-3, 1e-6])
def test_brackets_of_named_inputs_are_tight_and_their_networks_are_as_claimed(case: dict, within: float) -> None:
    oracle = Oracle(case["x"], case["y"], case["architecture"])
    check(oracle, oracle.bracket(case["q"], within), case["q"], within, 1e-6)


def test_named_inputs_predict_what_explicit_networks_and_a_dual_prove() -> None:
    narrow = Oracle(TOO_NARROW["x"], TOO_NARROW["y"], "bias").bracket(TOO_NARROW["q"], 1e-6)
    assert narrow.inner[0] <= 1e-6
    assert narrow.inner[1] >= 1 - 1e-6
    assert narrow.outer[1] <= 1.00008
    wide = Oracle(TOO_WIDE["x"], TOO_WIDE["y"], "no-bias").bracket(TOO_WIDE["q"], 1e-6)
    assert wide.outer[0] >= -0.1901
    assert wide.outer[1] <= -0.1899


def test_two_points_on_a_line_have_known_traces_and_ranges() -> None:
    oracle = Oracle([[1.0], [2.0]], [1.0, 2.0], "no-bias")  # f(x) = x for x > 0: cost (4/2) sqrt(5) sqrt(5)
    assert oracle.least == pytest.approx((10.0, 10.0))
    assert oracle.bracket([3.0]).inner == pytest.approx((3.0, 3.0))
    assert oracle.bracket([-1.0]).inner == (-np.inf, np.inf)
    with pytest.raises(Infeasible):
        Oracle([[1.0], [2.0]], [1.0, 1.0], "no-bias")


def test_sim_bn_on_the_square_reaches_the_bound() -> None:
    x = np.array(list(product((1.0, -1.0), repeat=2)))
    oracle = Oracle(x, x[:, 0] * x[:, 1], "sim-bn")
    assert oracle.least == pytest.approx((8.0, 8.0))
    assert oracle.bracket([2.0, 0.0]).outer == (-np.inf, np.inf)
    assert np.isfinite(oracle.bracket([1.0, 0.5]).outer).all()


@pytest.mark.parametrize("seed", range(6))
def test_outside_is_what_a_linear_program_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((4, 2)).round(1)
    oracle = Oracle(x, [1.0, -1.0, 2.0, 1.0], "bias")
    for q in (rng.standard_normal((6, 2)) * 0.7).round(1).tolist():
        inside = linprog(np.zeros(4), A_eq=np.vstack([x.T, np.ones(4)]), b_eq=[*q, 1.0], method="highs").status == 0
        assert np.isfinite(oracle.bracket(q).outer[0]) == inside


def test_a_query_beyond_the_hull_by_the_last_digit_is_outside() -> None:
    oracle = Oracle([[0.0], [1.0], [3.0]], [1.0, -1.0, 2.0], "bias")
    assert oracle.bracket([3.0]).inner == pytest.approx((2.0, 2.0))
    assert oracle.bracket([np.nextafter(3.0, 4.0)]).inner == (-np.inf, np.inf)


INSTANCES = json.loads(Path(__file__).with_name("instances.json").read_text())["cases"]


@pytest.mark.parametrize("case", [c for c in INSTANCES if len(c["x"]) <= 5][:12], ids=lambda c: f"{c['seed']}-{c['query']}")
def test_kept_brackets_are_found_again(case: dict) -> None:
    oracle = Oracle(case["x"], case["y"], case["architecture"])
    bracket = oracle.bracket(case["q"], case["within"])
    if np.isfinite(case["inner"][0]):
        check(oracle, bracket, case["q"], case["within"], 1e-3 * max(map(abs, [*case["y"], *case["outer"]])))
    for kept, outer in ((case["inner"], bracket.outer), (bracket.inner, case["outer"])):  # each inner in the other's outer
        assert outer[0] <= kept[0] <= kept[1] <= outer[1]


def test_the_sweep_calls_a_range_that_leaves_out_an_exact_network_false() -> None:
    bracket = {"inner": [0.0, 1.0], "outer": [-1e-9, 1.0 + 1e-9]}
    rows = {
        "holds": {"low": -1e-8, "high": 1.1, "certified": True},
        "false": {"low": 0.5, "high": 1.1, "certified": True},
        "uncertified": {"low": 0.5, "high": 1.1, "certified": False},
        "error": {"error": "ArithmeticError"},
    }
    assert {name: verdict(row, bracket, 1.0, 1e-6)["verdict"] for name, row in rows.items()} == {name: name for name in rows}
    outside = {"inner": [-np.inf, np.inf], "outer": [-np.inf, np.inf]}
    assert verdict(rows["holds"], outside, 1.0, 1e-6)["verdict"] == "false"


@pytest.mark.parametrize(("answer", "false"), [("all", True), ("not all", False), ("none", True), ("undecided", False)])
def test_the_sweep_calls_a_decision_false_that_exact_networks_contradict(answer: str, false: bool) -> None:
    spans = ([-0.5, 1.0], [0.5, 1.0])  # one query at which networks differ, one at which all are right
    record = {
        "seed": 1,
        "queries": [("hull", [0.0]), ("hull", [1.0])],
        "brackets": [{"inner": span, "outer": span} for span in spans],
        **dict.fromkeys(("x", "y", "architecture", "within")),
    }
    assert (decided(record, lambda *_: answer, 1e-6)["verdict"] == "false") == false
