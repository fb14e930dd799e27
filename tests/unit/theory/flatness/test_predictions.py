"""Certified ranges and decisions: inputs on which ranges were once false, forged entries, witnesses, the checker on its own."""

import json
from fractions import Fraction
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flatproof import synth, theory
from flatproof.theory import check_certificate
from flatproof.theory.check_certificate import check

CUBE = np.array(list(product((1.0, -1.0), repeat=4)))
PARITY = CUBE[:, 0] * CUBE[:, 1]
CHECKER = Path(check_certificate.__file__)
KINKS = ("differentiable", "relu'(0)=0")

NEAR = np.array([(0.67, 0.37), (0.6699, 0.3699), (-1.89, 0.68), (-0.21, 0.96)])  # two points 1e-4 apart
NEAR_POINT = np.array([0.117, 0.513])
PLAIN = np.array(
    [
        (-0.38, -0.45, 1.47),
        (1.43, -2.14, -0.94),
        (1.78, -0.37, -1.36),
        (0, -0.11, -0.1),
        (-0.48, -0.31, -0.46),
        (0.33, -0.81, -0.29),
        (-0.14, 1.31, 0.37),
        (-0.11, 0.54, 0.41),
        (1.09, 0.51, 1.79),
        (1.34, -0.04, -0.41),
    ]
)
PLAIN_LABELS = np.array([1, -1, -1, -1, 1, 1, -1, -1, -1, -1.0])
PLAIN_POINT = np.array([0.3891859512632149, -0.37302648093268054, 0.01762273758879191])


def rational(network: theory.Network, x: np.ndarray) -> list[Fraction]:
    """Outputs in exact arithmetic of a network with floating-point weights."""
    points = np.hstack([x, np.ones((len(x), 1))]) if network.b1 is not None else x
    rows = [[Fraction(c) for c in row] for row in points.tolist()]
    out = []
    for row in rows:
        z = [sum((a * b for a, b in zip(row, map(Fraction, w), strict=True)), Fraction(0)) for w in network.weights.tolist()]
        out.append(sum((Fraction(a) * max(h, Fraction(0)) for a, h in zip(network.w2.tolist(), z, strict=True)), Fraction(0)))
    return out


@pytest.mark.parametrize("within", [1e-4, 1e-6])
def test_a_pair_of_near_points_leaves_a_prediction_open(within: float) -> None:
    """A network of the same trace predicts 0, and none within 1e-4 exceeds 1.00008: [0.568, 1.052] is false on both sides."""
    solution = theory.flattest(NEAR, np.ones(4), "bias")
    ranges = solution.prediction_range(NEAR_POINT[None], within=within)
    low, high = (float(end[0]) for end in ranges)
    assert ranges.certified.all()
    assert -2e-4 < low <= 0
    assert 1 <= high < 1.0005
    decision = theory.decide(synth.given(NEAR, np.ones(4), NEAR_POINT[None], np.ones(1)), "bias", within=within)
    assert decision.answer == "not all"
    network = decision.witness()
    assert network is not None
    assert theory.trace_of_hessian(network, NEAR) <= solution.lower_bound * (1 + within) * (1 + 1e-9)
    np.testing.assert_allclose([float(v) for v in rational(network, NEAR)], 1, atol=1e-8)
    assert float(rational(network, NEAR_POINT[None])[0]) <= 1e-9


def test_plain_two_decimal_data_determine_a_prediction() -> None:
    """[-4.07, 0.475] was printed where the flattest networks predict -0.190 alone."""
    solution = theory.flattest(PLAIN, PLAIN_LABELS, "no-bias")
    for within, slack in ((1e-6, 3e-4), (0.0, 1e-5)):
        ranges = solution.prediction_range(PLAIN_POINT[None], within)
        assert ranges.certified.all()
        assert ranges.low[0] == pytest.approx(-0.189968, abs=slack)
        assert ranges.high[0] == pytest.approx(-0.189968, abs=slack)
        assert ranges.low[0] <= ranges.high[0]
    decision = theory.decide(synth.given(PLAIN, PLAIN_LABELS, PLAIN_POINT[None], -np.ones(1)))
    assert decision.answer == "all"
    verdict = check(decision.certificate())
    assert verdict.decision is not None
    assert verdict.decision.startswith("all networks within 0.000001 of the flattest")


@pytest.mark.parametrize("kinks", KINKS)
@pytest.mark.parametrize("architecture", ["no-bias", "bias", "sim-bn"])
def test_networks_at_hand_lie_in_the_ranges_and_reach_their_ends(architecture: str, kinks: str) -> None:
    rng = np.random.default_rng(3)
    x, y = np.round(rng.standard_normal((7, 2)), 2), np.round(rng.standard_normal(7), 2)
    solution = theory.flattest(x, y, architecture, kinks)
    predictions = solution.predictions
    for q in (x[:3].mean(axis=0), 0.7 * x[0] + 0.3 * x[4]):
        case = predictions.case(q)
        assert case.proved == {-1, 1}
        if not np.isfinite([case.low, case.high]).all():
            continue
        for end in (-1, 1):
            exact = predictions.find_witness(case, end, 1e-6)
            assert exact is not None
            network, value = exact
            cost = sum((c for _, _, c in network), Fraction(0))
            assert cost <= Fraction(solution.lower_bound) * (1 + Fraction(1, 10**6))
            assert case.low <= float(value) <= case.high
            assert abs(float(value) - (case.high if end > 0 else case.low)) <= 0.02 * np.abs(y).max()


KEPT = json.loads((Path(__file__).parents[3] / "oracle/instances.json").read_text())["cases"]


@pytest.mark.parametrize("case", KEPT[::3], ids=lambda case: f"{case['seed']}-{case['query']}")
def test_inputs_that_broke_ranges_are_bracketed(case: dict[str, Any]) -> None:
    """The independent oracle's network lies in the range, and its bound is not far inside it."""
    x, y = np.array(case["x"]), np.array(case["y"])
    ranges = theory.flattest(x, y, case["architecture"]).prediction_range([case["q"]], case["within"])
    low, high, slack = float(ranges.low[0]), float(ranges.high[0]), 1e-6 * np.abs(y).max()
    assert ranges.certified.all()
    inner, outer = np.array(case["inner"], float), np.array(case["outer"], float)
    assert low <= inner[0] + slack
    assert high >= inner[1] - slack
    if np.isfinite(outer).all():
        assert max(outer[0] - low, high - outer[1]) <= 0.02 * max(np.abs(y).max(), np.abs(outer).max())


def test_ranges_widen_with_the_trace_allowed_and_contain_the_limit() -> None:
    rng = np.random.default_rng(8)
    x, y = rng.standard_normal((6, 2)), rng.standard_normal(6)
    solution = theory.flattest(x, y, "bias")
    ranges = [solution.prediction_range(x.mean(axis=0)[None], within) for within in (0.0, 1e-6, 1e-4, 1e-2)]
    for inner, outer in pairwise(ranges):
        assert outer.low[0] <= inner.low[0] + 1e-7
        assert outer.high[0] >= inner.high[0] - 1e-7
    with pytest.raises(ValueError, match="within must be a number >= 0, got -1"):
        solution.prediction_range(x[:1], -1)
    with pytest.raises(ValueError, match="within must be a number above 0, got 0"):
        theory.decide(synth.given(x, y, x, y), "bias", within=0)


def test_a_range_is_found_where_no_neuron_is_near_its_price() -> None:
    """Four of these points are nearly the same: the flattest network's dual point uses 0.9 of each price at most."""
    x = [
        (-2.999999397874094, -1.9999983372656853),
        (2.9999997701037917, 2.999999539118917),
        (-3.00000117471576, -2.0000004703684735),
        (0.9999999080487151, 2.999999247519586),
        (-3.000000106964185, -2.0000004581848456),
        (-2.9999988187267044, -1.9999997808287013),
        (3.000000676712264, 3.0000004956399944),
    ]
    with np.errstate(all="ignore"):
        solution = theory.flattest(x, [-1, 1, 1, -1, -1, -1, 1], "sim-bn", "relu'(0)=0")
        ranges = solution.prediction_range([[-0.7, 0.14]])
    assert ranges.low[0] < ranges.high[0]
