"""Decisions: witnesses, sets where all networks are right, and their entries in certificates against the checker, forged ones too."""

import copy
import json
import subprocess
import sys
from fractions import Fraction
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from flatproof import synth, theory
from flatproof.theory import check_certificate
from flatproof.theory.check_certificate import Invalid, check, check_decision
from flatproof.theory.flatness.certificate import save

CUBE = np.array(list(product((1.0, -1.0), repeat=4)))


PARITY = CUBE[:, 0] * CUBE[:, 1]


CHECKER = Path(check_certificate.__file__)


KINKS = ("differentiable", "relu'(0)=0")


@pytest.mark.parametrize("kinks", KINKS)
@pytest.mark.parametrize("architecture", ["no-bias", "bias", "sim-bn"])
def test_witnesses_interpolate_are_flattest_and_have_the_wrong_sign(architecture: str, kinks: str) -> None:
    answers = set()
    for n in (4, 7, 9, 10, 11):
        rows = np.random.default_rng(n).permutation(16)[:n]
        decision = theory.decide(synth.given(CUBE[rows], PARITY[rows], CUBE, PARITY), architecture, kinks)
        answers.add(decision.answer)
        network = decision.witness()
        if network is None:
            continue
        solution, worst = decision.solution, decision.worst
        assert worst is not None
        np.testing.assert_allclose(theory.forward(network, solution.x), solution.y, atol=1e-8)
        assert theory.trace_of_hessian(network, solution.x) <= solution.lower_bound * (1 + 1.001e-6)
        prediction = theory.forward(network, CUBE[worst : worst + 1], train_x=solution.x)[0]
        assert prediction * PARITY[worst] <= 1e-9
    assert "not all" in answers


def test_all_flattest_networks_without_bias_generalize_from_some_training_sets() -> None:
    rows = np.random.default_rng(0).permutation(16)[:14]
    decision = theory.decide(synth.given(CUBE[rows], PARITY[rows], CUBE, PARITY), "no-bias")
    assert decision.answer == "all"
    assert decision.witness() is None
    np.testing.assert_allclose(decision.low, decision.high, atol=1e-6)


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


def test_a_proved_bound_of_the_wrong_sign_is_an_answer() -> None:
    """Every network near the flattest has f >= 0.99 at -2, labelled -1: no witness is found, and none is needed."""
    data = synth.given(np.array([[0.0], [-3], [2], [1]]), np.array([1.0, 1, 1, -1]), np.array([[-2.0]]), np.array([-1.0]))
    decision = theory.decide(data, "bias", within=1e-9)
    assert (decision.answer, decision.wrong.all(), decision.witness()) == ("not all", True, None)
    certificate = decision.certificate()
    verdict = check(certificate)
    assert verdict.decision is not None
    assert verdict.decision.startswith("not all networks within 1E-9 of the flattest")
    certificate["decision"]["answer"] = "undecided"
    with pytest.raises(Invalid, match=r'decision.answer is not "not all"'):
        check(certificate)


@pytest.mark.parametrize("side", [1, -1])
def test_bounds_say_nothing_of_networks_that_may_not_exist(side: int) -> None:
    """With within = 0 for one; a single value counts as ever."""

    def told(low: int | None, high: int | None, some: bool, answer: str) -> str:
        ends = (low, high) if side > 0 else (None if high is None else -high, None if low is None else -low)
        case: Any = SimpleNamespace(low=ends[0], high=ends[1], unbounded=False, reached=None)
        return check_decision({"labels": [side], "answer": answer}, [case], Fraction(0), some)

    for low, high, some, answer in (
        (None, 0, True, "not all"),
        (None, 0, False, "undecided"),
        (-2, -1, True, "not all"),
        (-2, -1, False, "undecided"),
        (-1, -1, False, "not all"),
        (0, 0, False, "not all"),
        (-1, 1, True, "undecided"),
        (1, 2, False, "all"),
        (1, None, True, "all"),
        (None, None, True, "undecided"),
    ):
        assert told(low, high, some, answer).startswith(answer), (low, high, some)
        with pytest.raises(Invalid, match=f'decision.answer is not "{answer}"'):
            told(low, high, some, "none of these")


def test_a_witness_dearer_than_what_is_proved_is_left_out() -> None:
    """Two points 6e-4 apart, which the certificate still proves as floating point has it; had it proved less, the witness would not do."""
    x = np.array([[1, 0], [-3, -1], [-2, 2], [-3, -2], [-2, -3], [0.99956, 0.00045]])
    y, at = np.array([1.0, 1, -1, -1, -1, 1]), np.array([[-1.3, -0.7]])
    decision = theory.decide(synth.given(x, y, at, np.array([-1.0])), "bias")
    certificate = decision.certificate()
    verdict = check(certificate)
    assert verdict.decision is not None
    assert (decision.answer, verdict.decision[:7]) == ("not all", "not all")
    assert "witness" in certificate["predictions"][0]
    less = decision.proved(verdict.lower * Fraction(999, 1000))
    assert (less.answer, less.worst, less.witness()) == ("undecided", 0, None)
    assert decision.proved(verdict.lower) is decision
