"""Certified ranges and decisions: inputs on which ranges were once false, forged entries, witnesses, the checker on its own."""

import copy
import json
import subprocess
import sys
from fractions import Fraction
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flatproof import synth, theory
from flatproof.theory import check_certificate
from flatproof.theory.check_certificate import Invalid, check
from flatproof.theory.flatness.certificate import save

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
            found = predictions.find_witness(case, end, 1e-6)
            assert found is not None
            network, value = found
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


@pytest.fixture(scope="module")
def decided() -> dict[str, dict[str, Any]]:
    """Certificates with every kind of entry: ranges, rays, free predictions and witnesses."""
    rows = np.random.default_rng(2).permutation(16)[:9]
    out = {}
    for name, architecture, n in (("range", "no-bias", 9), ("free", "bias", 5), ("cancelling", "sim-bn", 5)):
        chosen = rows[:n]
        others = np.setdiff1d(np.arange(16), chosen)[:3]
        asked = np.append(others, chosen[0])
        data = synth.given(CUBE[chosen], PARITY[chosen], CUBE[asked], PARITY[asked])
        out[name] = theory.decide(data, architecture).certificate()
    x, y = CUBE[:8, :2] @ np.array([[1.0, 0.5], [0.25, 1.0]]), PARITY[:8]
    x, keep = np.unique(x, axis=0, return_index=True)
    out["both"] = theory.decide(synth.given(x, y[keep], 0.5 * x[:2] + 0.5 * x[1:3], np.ones(2)), "bias").certificate()
    return json.loads(json.dumps(out))


def test_every_kind_of_entry_is_there_and_valid(decided: dict[str, dict[str, Any]]) -> None:
    kinds = set()
    for certificate in decided.values():
        verdict = check(certificate)
        assert len(verdict.predictions) == len(certificate["predictions"])
        assert verdict.decision is not None
        kinds |= {key for entry in certificate["predictions"] for key in entry}
    assert kinds >= {"ray", "direction", "cone", "low", "high", "witness"}


def spots(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The places of all numbers and strings."""
    if not isinstance(value, (dict, list)):
        return [path]
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return [spot for key, inner in items for spot in spots(inner, (*path, key))]


def test_no_changed_entry_passes_unless_it_is_still_true(decided: dict[str, dict[str, Any]]) -> None:
    """Every number of the predictions, moved: refused, or the statements stay those of the honest certificate."""
    rng = np.random.default_rng(0)
    for certificate in decided.values():
        honest = check(certificate)
        places = spots(certificate["predictions"]) + spots(certificate["decision"], ("decision",))
        for index in rng.permutation(len(places))[:150]:
            path = places[index]
            forged = copy.deepcopy(certificate)
            at: Any = forged if path[0] == "decision" else forged["predictions"]
            for key in path[:-1]:
                at = at[key]
            old = at[path[-1]]
            if old is None:
                continue
            try:
                at[path[-1]] = str(Fraction(old) * Fraction(11, 10) - Fraction(1, 7))
            except ValueError:
                at[path[-1]] = f"{old}!"
            try:
                verdict = check(forged)
            except (Invalid, KeyError):
                continue
            assert verdict == honest, path


def test_a_tighter_bound_is_refused(decided: dict[str, dict[str, Any]]) -> None:
    """lambda and tau shrunk, with bound and statement brought in line as a forger would."""
    certificate = decided["range"]
    k = next(k for k, entry in enumerate(certificate["predictions"]) if "cone" in entry)
    for share in (Fraction(999, 1000), Fraction(0)):
        forged = copy.deepcopy(certificate)
        entry = forged["predictions"][k]
        end = entry["low"] if "low" in entry else entry["high"]
        before, limit = Fraction(end["tau"]), (1 + Fraction(forged["within"])) * Fraction(forged["upper"])
        end["tau"] = str(before * share)
        end["bound"] = str(Fraction(end["bound"]) - before * (1 - share) * limit)
        with pytest.raises(Invalid, match=r"longer than the price|needs one|statement is not"):
            check(forged)


def test_silent_neurons_are_refused_for_sim_bn(decided: dict[str, dict[str, Any]]) -> None:
    forged = copy.deepcopy(decided["cancelling"])
    silent = {"v": [0, 0, 0, 0, -1], "sign": 1, "cost": 0}
    forged["neurons"].append(silent)
    with pytest.raises(Invalid, match="is silent"):
        check(forged)


def test_the_checker_gives_up_on_missing_patterns_at_once() -> None:
    """30 points in dimension 15 have more cells than could ever be counted."""
    rng = np.random.default_rng(0)
    x, y = rng.integers(-9, 9, (30, 15)).tolist(), [1] * 30
    for kinks in KINKS:
        empty = {
            "format": check_certificate.FORMAT,
            "statement": "",
            "architecture": "no-bias",
            "kinks": kinks,
            "data_sha256": check_certificate.digest(x, y),
            "x": x,
            "y": y,
            "dual": [0] * 30,
            "lower": 0,
            "upper": 0,
            "patterns": [],
            "neurons": [],
        }
        with pytest.raises(Invalid, match="patterns has too few entries"):
            check(empty)


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-S", str(CHECKER), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_the_checker_compares_points_and_knows_a_network(decided: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    certificate = decided["both"]
    path, points = tmp_path / "c.json", tmp_path / "points.csv"
    save(certificate, path)
    rows = [
        ",".join(str(float(Fraction(c))) for c in [*row, label])
        for row, label in zip(certificate["x"], certificate["y"], strict=True)
    ]
    points.write_text("a,b,label\n" + "\n".join(rows) + "\n")
    done = run("--data", points, path)
    assert done.returncode == 0, done.stdout
    assert "networks within 0.000001 of the flattest" in done.stdout
    points.write_text("\n".join([*rows[:-1], rows[-1].replace(",", ",7", 1)]) + "\n")
    done = run("--data", points, path)
    assert (done.returncode, done.stdout.strip()) == (
        1,
        f"INVALID: {points}: point {len(rows) - 1} is not that of the certificate",
    )
    points.write_text("\n".join(rows[:-1]) + "\n")
    assert f"has {len(rows) - 1} points, the certificate {len(rows)}" in run("--data", points, path).stdout
    network = tmp_path / "n.json"
    network.write_text(json.dumps({"architecture": "bias", "trace": 1.0, "w1": [[1.0]], "w2": [1.0], "b1": [0.0]}))
    assert run(network).stdout.startswith("INVALID: this is a network, not a certificate")
    assert run("--data", points).returncode == 2
    with pytest.raises(Invalid, match="data_sha256 is not the digest"):
        check(certificate | {"y": [*certificate["y"][:-1], 17]})


def test_a_constant_column_is_no_direction() -> None:
    """The mean of seven times -0.8 is not -0.8 in floating point."""
    x = [
        [0.1, -0.1, -0.8, -0.2],
        [0.3, -0.7, -0.8, 0.2],
        [0.4, -1.0, -0.8, 0.4],
        [-0.1, 0.5, -0.8, -0.6],
        [-0.4, 1.4, -0.8, -1.2],
        [0.6, -1.6, -0.8, 0.8],
        [-0.6, 2.0, -0.8, -1.6],
    ]
    solution = theory.flattest(x, [4.4, 3.6, 3.2, 5.2, 6.4, 1.4, 7.2], "bias")
    assert solution.gap < 1e-6
    assert np.abs(solution.network.weights).max() < 1e3
