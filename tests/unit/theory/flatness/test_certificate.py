"""Certificates from floats, and the checker against everything that could be wrong with one."""

import copy
import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog, nnls

from flatproof.theory import check_certificate
from flatproof.theory.check_certificate import Invalid, check
from flatproof.theory.flatness import certificate as exact
from flatproof.theory.flatness.flattest import flattest
from flatproof.theory.flatness.neurons import Coordinates
from flatproof.theory.flatness.patterns import Patterns, cells, cover_bound, faces
from flatproof.theory.flatness.program import prices, reference
from flatproof.theory.flatness.projection import project
from flatproof.theory.flatness.setting import Setting
from flatproof.theory.networks import with_ones

Json = dict[str, Any]
CUBE = {d: np.array(list(itertools.product([-1.0, 1.0], repeat=d))) for d in (1, 2, 3, 4)}


def listed(kinks: str, points: np.ndarray) -> tuple[Patterns, np.ndarray]:
    """All cells or faces, and their signs with zeros read as off."""
    patterns = cells(points) if kinks == "differentiable" else faces(points)
    return patterns, np.where(patterns.signs > 0, 1, -1).astype(np.int8)


def solved(architecture: str, kinks: str, x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """Arguments of exact.certificate: the dual point from cvxpy, neurons from a linear program over what the dual point binds."""
    points = with_ones(architecture, x)
    patterns, signs = listed(kinks, points)
    _, dual = reference(architecture, points, y, signs)
    coordinates = Coordinates.of(architecture, x)
    projected = [project(coordinates.u, signs, np.broadcast_to(s * dual, signs.shape)) for s in (1, -1)]
    inside = patterns.witnesses.astype(float)
    inside = inside / np.abs(inside).max(axis=1, keepdims=True)
    binding = np.vstack([v @ coordinates.basis.T for v, _, _ in projected])
    candidates = np.vstack([binding + 1e-9 * np.abs(binding).max(axis=1, keepdims=True) * np.tile(inside, (2, 1)), inside])
    if kinks != "differentiable":  # a kink that is missed by rounding costs as if it were on
        for k, w in enumerate(candidates):
            kink = points[np.abs(points @ w) <= 1e-5 * np.abs(points).max() * np.abs(w).max()]
            candidates[k] = w - np.linalg.pinv(kink) @ (kink @ w)
    z = candidates @ points.T
    if kinks != "differentiable":
        z[np.abs(z) <= 1e-12 * np.abs(z).max(axis=1, keepdims=True)] = 0
    outputs, price = np.maximum(z, 0), prices(architecture, points, np.where(z > 0, 1, -1).astype(np.int8))
    cost = price * np.linalg.norm(outputs, axis=1)
    outputs = outputs / np.where(cost > 0, cost, 1)[:, None]
    found = linprog(np.tile(cost > 0, 2), A_eq=np.hstack([outputs.T, -outputs.T]), b_eq=y, method="highs-ds")
    assert found.status == 0
    half = len(candidates)
    alpha = (found.x[:half] - found.x[half:]) / np.where(cost > 0, cost, 1)
    return {
        "setting": Setting.of(x, y, architecture, kinks),
        "dual": dual,
        "patterns": patterns,
        "neurons": candidates[alpha != 0],
        "coefficients": alpha[alpha != 0],
        "multipliers": np.array([mu for _, mu, _ in projected]),
    }


def xor(d: int = 2, architecture: str = "bias", kinks: str = "differentiable") -> Json:
    return exact.certificate(**solved(architecture, kinks, CUBE[d], CUBE[d][:, 0] * CUBE[d][:, 1]))


def through_json(certificate: Json) -> Json:
    return json.loads(json.dumps(certificate))


@pytest.fixture(scope="module")
def hard() -> Json:
    """A certificate in which Cauchy-Schwarz alone does not do."""
    return through_json(xor(3, "no-bias"))


# --- certificates that hold -----------------------------------------------------------------------------------------------


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
    found = flattest(x, y, architecture, kinks)
    points = with_ones(architecture, x)
    weights, scale = found.network.weights, 1.0
    if architecture == "sim-bn":
        scale = found.network.gamma / np.sqrt(np.mean(np.maximum(points @ weights.T, 0) ** 2, axis=0))
    patterns, _ = listed(kinks, points)
    certificate = exact.certificate(
        Setting.of(x, y, architecture, kinks), found.dual, patterns, weights, found.network.w2 * scale
    )
    verdict = check(through_json(certificate))
    assert 0 <= verdict.relative_gap <= 1e-6
    assert float(verdict.lower) == pytest.approx(found.lower_bound, rel=1e-8)
    assert float(verdict.upper) <= found.trace * (1 + 1e-8)


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


# --- counting -------------------------------------------------------------------------------------------------------------


def count(points: np.ndarray) -> tuple[int, int]:
    lines = frozenset(check_certificate.line([int(c) for c in row]) for row in points) - {()}
    return check_certificate.count_cells(lines), check_certificate.count_faces(lines)


@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_cells_and_faces_of_coordinate_hyperplanes(d):
    assert count(np.eye(d)) == (2**d, 3**d)


def test_threshold_functions_and_general_position():
    assert [count(with_ones("bias", CUBE[d]))[0] for d in (1, 2, 3, 4)] == [4, 14, 104, 1882]
    assert count(CUBE[4])[0] == 104
    assert count(np.zeros((2, 3))) == (1, 1)
    moments = np.array([[t**k for k in range(5)] for t in range(1, 17)])
    assert count(np.vstack([moments, -3 * moments]))[0] == cover_bound(16, 5)


# --- the file and the command -----------------------------------------------------------------------------------------------


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-S", check_certificate.__file__, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_checker_runs_alone(tmp_path, hard):
    good, bad, broken = tmp_path / "good.json", tmp_path / "bad.json", tmp_path / "broken.json"
    exact.save(hard, good)
    exact.save(hard | {"lower": hard["upper"]}, bad)
    assert sorted(tmp_path.iterdir()) == [bad, good]
    done = run(good)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"valid: {hard['statement']}\n"
    assert "every interpolating network has trace >= " in done.stdout
    done = run(bad)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("INVALID: lower is not dual . y = ")
    texts = ["", "[]", "{", '{"format": "flatproof-certificate-1"}', "[" * 100000, '{"x": 0.5}', '{"x": NaN}', '{"x": 1, "x": 1}']
    for text in [*texts, "9" * 5000, '"\ud800"', good.read_text()[:-100], good.read_text().replace('"x"', '"y"')]:
        broken.write_text(text, encoding="utf-8", errors="surrogatepass")
        done = run(broken)
        assert (done.returncode, done.stderr) == (1, ""), text[:50]
        assert done.stdout.startswith("INVALID: ")
        assert done.stdout.count("\n") == 1
    done = run(good, tmp_path / "absent.json", tmp_path)
    assert done.returncode == 1
    assert [line.split(": ")[1] for line in done.stdout.splitlines()] == ["valid", "INVALID", "INVALID"]
    assert run().returncode == 2


def test_saving_over_a_file_leaves_it_whole_when_it_fails(tmp_path):
    path = tmp_path / "certificate.json"
    exact.save({"a": 1}, path)
    with pytest.raises(TypeError):
        exact.save({"a": object()}, path)
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_sim_bn_is_said_to_be_an_infimum():
    assert "infimum" in xor(2, "sim-bn")["statement"]


# --- tampering --------------------------------------------------------------------------------------------------------------


def restated(certificate: Json) -> Json:
    """The same with lower, upper and statement brought in line, as a forger would."""
    x, y, dual = certificate["x"], [Fraction(v) for v in certificate["y"]], [Fraction(v) for v in certificate["dual"]]
    lower = sum((a * b for a, b in zip(dual, y, strict=True)), Fraction(0))
    upper = sum((Fraction(neuron["cost"]) for neuron in certificate["neurons"]), Fraction(0))
    names = certificate["architecture"], certificate["kinks"]
    told = check_certificate.statement(*names, len(x), len(x[0]), lower, upper)
    digest = check_certificate.digest(x, certificate["y"])
    return certificate | {"lower": str(lower), "upper": str(upper), "statement": told, "data_sha256": digest}


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of all numbers and strings."""
    if isinstance(value, (dict, list)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(inner, (*path, key))
    else:
        yield path


def changed(certificate: Json, path: tuple[Any, ...], new: Any) -> Json:
    out = copy.deepcopy(certificate)
    at = out
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = new
    return out


def at(certificate: Json, path: tuple[Any, ...]) -> Any:
    for key in path:
        certificate = certificate[key]
    return certificate


def verdict_or_none(certificate: Json) -> check_certificate.Verdict | None:
    try:
        return check(certificate)
    except Invalid:
        return None


@pytest.mark.parametrize(("d", "architecture", "kinks"), [(3, "no-bias", "differentiable"), (2, "sim-bn", "relu'(0)=0")])
def test_every_number_matters(d, architecture, kinks):
    certificate = through_json(xor(d, architecture, kinks))
    honest, survived = check(certificate), []
    for path in leaves(certificate):
        old = at(certificate, path)
        if old is None:
            continue
        number = path[0] not in ("format", "statement", "architecture", "kinks", "data_sha256")
        for new in [Fraction(old) * Fraction(11, 10) + Fraction(1, 7), -Fraction(old)] if number else [old + " ", "bias"]:
            text = int(new) if path[-1] == "sign" else str(new)
            if text in (old, str(old)):
                continue
            forged = changed(certificate, path, text)
            assert verdict_or_none(forged) in (None, honest), path
            if path[0] in ("format", "statement", "architecture", "x", "y", "data_sha256"):
                assert verdict_or_none(forged) is None, path
            if number and path[0] not in ("x", "y"):
                verdict = verdict_or_none(restated(forged))
                assert verdict is None or verdict.lower <= honest.upper, path
            if verdict_or_none(forged):
                survived.append(path)
    assert {path[0] for path in survived} <= {"patterns"}
    assert {path[2] for path in survived} <= {"w"} | ({"plus", "minus"} if kinks != "differentiable" else set())


def test_any_value_of_another_kind_is_named(hard):
    for path in leaves(hard):
        for new in (0.5, True, "0.5", "1/0", "1e3", "١", " 1", "", [], {}, None):
            if new is None and path[-1] in ("plus", "minus"):
                continue
            with pytest.raises(Invalid):
                check(changed(hard, path, new))
    for key in hard:
        with pytest.raises(Invalid):
            check({k: v for k, v in hard.items() if k != key})
        for new in (None, 1, [], {}, [[]], "a"):
            with pytest.raises(Invalid):
                check(hard | {key: new})
    with pytest.raises(Invalid, match="unknown field"):
        check(hard | {"comment": "trust me"})


def test_patterns_must_be_complete(hard):
    patterns = hard["patterns"]
    for k in range(len(patterns)):
        with pytest.raises(Invalid, match="patterns has too few entries"):
            check(hard | {"patterns": patterns[:k] + patterns[k + 1 :]})
        other = patterns[k - 1]
        for twin in (other, other | {"w": [3 * w for w in other["w"]]}):
            with pytest.raises(Invalid, match="same cell or face"):
                check(hard | {"patterns": [*patterns[:k], twin, *patterns[k + 1 :]]})
    with pytest.raises(Invalid, match="kink"):
        check(hard | {"patterns": [*patterns[:-1], patterns[-1] | {"w": [0, 0, 0]}]})
    faced = through_json(xor(2, "no-bias", "relu'(0)=0"))
    for w in ([0, 0], faced["patterns"][1]["w"]):
        with pytest.raises(Invalid, match="same cell or face"):
            check(faced | {"patterns": [faced["patterns"][0] | {"w": w}, *faced["patterns"][1:]]})


def test_cells_do_not_pass_for_faces_nor_faces_for_cells():
    cells_only, faced = through_json(xor(2, "no-bias")), through_json(xor(2, "no-bias", "relu'(0)=0"))
    with pytest.raises(Invalid, match="patterns has too few entries"):
        check(restated(cells_only | {"kinks": "relu'(0)=0"}))
    with pytest.raises(Invalid, match="kink"):
        check(restated(faced | {"kinks": "differentiable"}))


def test_proofs_must_prove(hard):
    k, side = next((k, s) for k, p in enumerate(hard["patterns"]) for s in ("plus", "minus") if p[s] and p[s]["mu"])
    place, proof = f"patterns[{k}].{side}", hard["patterns"][k][side]
    index = next(iter(proof["mu"]))

    def fails(new: Any, reason: str) -> None:
        with pytest.raises(Invalid) as caught:
            check(changed(hard, ("patterns", k, side), new))
        assert str(caught.value).startswith(place)
        assert reason in str(caught.value)

    fails(None, "has no proof and needs one")
    fails({"v": proof["v"], "mu": proof["mu"] | {index: "-" + proof["mu"][index]}}, "is negative")
    fails({"v": proof["v"], "mu": {}}, "identity")
    fails({"v": ["100"] * 3, "mu": proof["mu"]}, "longer than the price")
    for name in ("8", "-1", "01", "1.0", "x", "²", "١", "9" * 50, "\n"):
        fails({"v": proof["v"], "mu": proof["mu"] | {name: 0}}, "names no input")
    fails({"v": proof["v"][:-1], "mu": proof["mu"]}, "2 entries instead of 3")
    fails({"v": proof["v"], "mu": proof["mu"], "note": 1}, "unknown field")


def test_the_network_must_interpolate_at_its_price(hard):
    for k, neuron in enumerate(hard["neurons"]):
        cheaper = str(Fraction(neuron["cost"]) * Fraction(999999999, 1000000000))
        for change in ({"cost": cheaper}, {"sign": -neuron["sign"]}, {"v": [str(2 * Fraction(c)) for c in neuron["v"]]}):
            forged = changed(hard, ("neurons", k), neuron | change)
            with pytest.raises(Invalid, match=r"too small|do not interpolate"):
                check(restated(forged))
    with pytest.raises(Invalid, match="do not interpolate"):
        check(restated(hard | {"neurons": []}))


def test_a_dual_point_that_promises_more_is_refused(hard):
    for factor in (Fraction(1000001, 1000000), Fraction(2)):
        forged = hard | {"dual": [str(factor * Fraction(v)) for v in hard["dual"]]}
        scaled = copy.deepcopy(forged)
        for pattern in scaled["patterns"]:
            for proof in filter(None, (pattern["plus"], pattern["minus"])):
                proof["v"] = [str(factor * Fraction(v)) for v in proof["v"]]
                proof["mu"] = {i: str(factor * Fraction(v)) for i, v in proof["mu"].items()}
        for claim in (forged, scaled):
            with pytest.raises(Invalid, match=r"identity|needs one|longer than the price"):
                check(restated(claim))
