"""The independent checker: what it counts, how it runs alone, and everything that could be wrong with a certificate."""

import copy
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flatproof.theory import check_certificate
from flatproof.theory.check_certificate import Invalid, check
from flatproof.theory.flatness import certificate as exact
from flatproof.theory.flatness.counts import cover_bound
from flatproof.theory.networks import with_ones
from tests.certificates import CUBE, Json, solved, through_json, with_v, xor


@pytest.fixture(scope="module")
def hard() -> Json:
    """A certificate in which Cauchy-Schwarz alone does not do."""
    return through_json(xor(3, "no-bias"))


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


def restated(certificate: Json) -> Json:
    """The same with lower, upper and statement brought in line, as a forger would."""
    x, y, dual = certificate["x"], [Fraction(v) for v in certificate["y"]], [Fraction(v) for v in certificate["dual"]]
    lower = sum((a * b for a, b in zip(dual, y, strict=True)), Fraction(0))
    upper = sum((Fraction(neuron["cost"]) for neuron in certificate["neurons"]), Fraction(0))
    names = certificate["architecture"], certificate["kinks"]
    claimed = check_certificate.statement(*names, len(x), len(x[0]), lower, upper)
    digest = check_certificate.digest(x, certificate["y"])
    return certificate | {"lower": str(lower), "upper": str(upper), "statement": claimed, "data_sha256": digest}


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
    assert {path[2] for path in survived} <= {
        "w",
        "plus",
        "minus",
    }  # other multipliers prove as much where there is room to spare


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
    place, proof, long = f"patterns[{k}].{side}", hard["patterns"][k][side], with_v(hard)
    index = next(iter(proof["mu"]))
    v = long["patterns"][k][side]["v"]

    def fails(new: Any, reason: str) -> None:
        for certificate in (hard, long):
            with pytest.raises(Invalid) as caught:
                check(changed(certificate, ("patterns", k, side), new))
            assert str(caught.value).startswith(place)
            assert reason in str(caught.value)

    assert check(long) == check(hard)
    fails(None, "has no proof and needs one")
    for given in ({}, {"v": v}):
        fails(given | {"mu": proof["mu"] | {index: "-" + proof["mu"][index]}}, "is negative")
        for name in ("8", "-1", "01", "1.0", "x", "²", "١", "9" * 50, "\n"):
            fails(given | {"mu": proof["mu"] | {name: 0}}, "names no input")
        fails(given | {"mu": proof["mu"], "note": 1}, "unknown field")
    fails({"mu": {}}, "longer than the price")
    fails({"mu": {name: str(Fraction(m) * 2) for name, m in proof["mu"].items()}}, "longer than the price")
    fails({"v": v, "mu": {}}, "identity")
    fails({"v": ["100"] * 3, "mu": proof["mu"]}, "longer than the price")
    fails({"v": v[:-1], "mu": proof["mu"]}, "2 entries instead of 3")
    other = {"v": [str(Fraction(c) * Fraction(999, 1000)) for c in v], "mu": proof["mu"]}
    fails(other, "identity")


def test_multipliers_alone_do_where_they_determine_the_rest():
    """One point of two is active in the plane: v is not determined by the multipliers and has to be given."""
    certificate = through_json(exact.certificate(**solved("no-bias", "differentiable", np.eye(2), np.array([1.0, -1.0]))))
    assert check(certificate).relative_gap < 1e-6
    k = next(k for k, p in enumerate(certificate["patterns"]) if sum(w > 0 for w in p["w"]) == 1)
    with pytest.raises(Invalid, match=r"there is no v, and the active inputs do not determine it"):
        check(changed(certificate, ("patterns", k, "plus"), {"mu": {}}))


def test_earlier_formats_are_read(hard):
    long = with_v(hard)
    assert check(long | {"format": "flatproof-certificate-2"}) == check(hard)
    first = {key: value for key, value in long.items() if key != "data_sha256"} | {"format": "flatproof-certificate-1"}
    assert check(first) == check(hard)
    for name in ("flatproof-certificate-0", "flatproof-certificate-6", 3, None, ["flatproof-certificate-3"]):
        with pytest.raises(Invalid, match="format"):
            check(hard | {"format": name})


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
        scaled = with_v(hard) | {"dual": forged["dual"]}
        short = copy.deepcopy(forged)
        for pattern in scaled["patterns"]:
            for proof in filter(None, (pattern["plus"], pattern["minus"])):
                proof["v"] = [str(factor * Fraction(v)) for v in proof["v"]]
                proof["mu"] = {i: str(factor * Fraction(v)) for i, v in proof["mu"].items()}
        for pattern in short["patterns"]:
            for proof in filter(None, (pattern["plus"], pattern["minus"])):
                proof["mu"] = {i: str(factor * Fraction(v)) for i, v in proof["mu"].items()}
        for claim in (forged, scaled, short):
            with pytest.raises(Invalid, match=r"identity|needs one|longer than the price"):
                check(restated(claim))


def test_what_decimals_do_not_hold_is_printed_as_a_fraction():
    """An input of label -1 that 17 digits round to one of label 1: the statement names it, and none other is taken."""
    many = 10**30
    x, y, away, back = [[1, 1], [f"{many + 1}/{many}", 1]], [1, -1], [-2 * many, 2 * many + 1], [2 * many, -2 * many - 1]
    tail = "every network within {0} of the flattest has f >= -1; every network within {0} of the flattest has f <= -1"
    forged = {
        "format": check_certificate.FORMAT,
        "architecture": "no-bias",
        "kinks": "differentiable",
        "x": x,
        "y": y,
        "dual": ["14/5", "-14/5"],
        "neurons": [{"v": away, "sign": 1, "cost": 3}, {"v": back, "sign": -1, "cost": 3}],
        "patterns": [{"w": w, "plus": None, "minus": None} for w in ([1, 1], [-1, -1], away, back)],
        "within": "1/1000000",
        "predictions": [
            {"x": x[1], "ray": {"of": 1, "times": 1}, "statement": f"at (1, 1): {tail.format('0.000001')}"},
        ],
        "decision": {"labels": [-1], "answer": "all"},
    }
    forged = restated(forged)
    with pytest.raises(Invalid, match=rf"statement is not .at \({many + 1}/{many}, 1\): "):
        check(forged)
    forged["within"] = f"{many + 1}/{10**6 * many}"
    said = f"at ({many + 1}/{many}, 1): {tail.format(forged['within'])}"
    verdict = check(changed(forged, ("predictions", 0, "statement"), said))
    assert verdict.predictions == (said,)
    assert verdict.decision == f"all networks within {forged['within']} of the flattest have the labels' signs - at 1 points"
    for value, text in ((0.1, "0.1"), (1 / 3, "0.3333333333333333"), (1e-7, "1E-7"), (-2.0, "-2")):
        assert check_certificate.exact(Fraction(repr(value))) == text
