"""The independent checker on several outputs: everything that could be wrong with such a certificate."""

import copy
import json
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from flatproof.theory import check_certificate
from flatproof.theory.check_certificate import Invalid, check
from tests.certificates import CUBE, Json, through_json, xor
from tests.outputs import KINDS, made, one_hot, restated
from tests.unit.theory.test_check_certificate import at, changed, leaves, run, verdict_or_none

EVERY = (*KINDS, "normal")


@pytest.fixture(scope="module")
def kinds() -> dict[str, Json]:
    return {kind: made(kind) for kind in EVERY}


@pytest.mark.parametrize("kind", EVERY)
def test_every_number_matters(kind: str, kinds: dict[str, Json]) -> None:
    """A changed number is refused or changes nothing; brought in line with the rest, it claims no more than is true."""
    certificate = kinds[kind]
    honest, survived = check(certificate), []
    for path in leaves(certificate):
        old = at(certificate, path)
        if old is None:
            continue
        words = path[-1] in ("format", "statement", "architecture", "kinks", "data_sha256")
        for new in [old + " ", "bias"] if words else [Fraction(old) * Fraction(11, 10) + Fraction(1, 7), -Fraction(old)]:
            if str(new) == str(old):
                continue
            forged = changed(certificate, path, str(new))
            verdict = verdict_or_none(forged)
            assert verdict in (None, honest), path
            if verdict:
                survived.append(path)
            if words or path[0] in ("x", "y", "within") or path[-2:-1] in (("x",), ("direction",)):
                continue
            again = verdict_or_none(restated(forged))
            assert again is None or again.lower <= honest.upper, path
            for entry in restated(forged)["predictions"] if again and again.predictions else []:
                assert Fraction(entry["bound"]) >= inside(certificate), path
    assert {path[0] for path in survived} <= {"patterns", "predictions", "dual"}
    assert all(path[2] in ("proofs", "dual") for path in survived if path[0] == "predictions")
    duals = [path for path in survived if "dual" in path]  # where the label is 0, and no matrix is at its limit
    assert not [path for path in duals if at(certificate, ("y", *path[-2:])) != 0]


def inside(certificate: Json) -> Fraction:
    """What the network in the file predicts along the direction that is asked about: less than any true bound."""
    entry = certificate["predictions"][0]
    q, total = entry["x"] + [1] * (certificate["architecture"] == "bias"), Fraction(0)
    for neuron in certificate["neurons"]:
        h = sum((Fraction(a) * Fraction(b) for a, b in zip(q, neuron["w"], strict=True)), Fraction(0))
        total += max(h, Fraction(0)) * sum(
            Fraction(a) * Fraction(b) for a, b in zip(entry["direction"], neuron["a"], strict=True)
        )
    return total


@pytest.mark.parametrize("kind", EVERY)
def test_any_value_of_another_kind_is_named(kind: str, kinds: dict[str, Json]) -> None:
    certificate = kinds[kind]
    for path in list(leaves(certificate))[::3]:
        for new in (0.5, True, "0.5", "1/0", [], None):
            if new is None and (path[-1] == "products" or at(certificate, path) is None):
                continue
            with pytest.raises(Invalid):
                check(changed(certificate, path, new))
    for name in certificate:
        with pytest.raises(Invalid):
            check({key: value for key, value in certificate.items() if key != name})
    with pytest.raises(Invalid, match="unknown field"):
        check(certificate | {"comment": 1})
    for version in check_certificate.FORMATS[:-1]:
        with pytest.raises(Invalid):
            check(certificate | {"format": version})
    with pytest.raises(Invalid, match="sim-bn"):
        check(certificate | {"architecture": "sim-bn"})


def test_one_output_is_no_several(kinds: dict[str, Json]) -> None:
    scalar = through_json(xor(2, "no-bias"))
    with pytest.raises(Invalid):
        check(scalar | {"format": check_certificate.OUTPUTS})
    ragged: Any = [[1, 0], [0], [0, 1], [1, 0]]
    with pytest.raises(Invalid, match="entries instead of"):
        check(kinds["on kinks"] | {"y": ragged})


def test_patterns_must_be_complete_and_proved(kinds: dict[str, Json]) -> None:
    for kind in EVERY:
        certificate = kinds[kind]
        for k, pattern in enumerate(certificate["patterns"]):
            others = certificate["patterns"][:k] + certificate["patterns"][k + 1 :]
            with pytest.raises(Invalid, match=r"too few entries|has no proof"):
                check(certificate | {"patterns": others})
            with pytest.raises(Invalid, match="same cell or face"):
                check(certificate | {"patterns": [*certificate["patterns"], pattern]})
    certificate = kinds["one-hot"]
    for k in range(len(certificate["patterns"])):
        with pytest.raises(Invalid, match="has no proof"):
            check(changed(certificate, ("patterns", k, "products"), None))


def test_products_must_name_pairs_and_be_no_less_than_0(kinds: dict[str, Json]) -> None:
    certificate = kinds["one-hot"]
    n = len(certificate["x"])
    for key in ("0", "1,0", f"0,{n}", "00,1", "0,1,2", "-1,0", "a,b"):
        with pytest.raises(Invalid, match="names no pair"):
            check(changed(certificate, ("patterns", 0, "products"), {key: 0}))
    with pytest.raises(Invalid, match="is negative"):
        check(changed(certificate, ("patterns", 0, "products"), {"0,1": "-1/1000000"}))
    with pytest.raises(Invalid, match="negative eigenvalue"):
        check(changed(certificate, ("patterns", 0, "products"), {"0,0": 1000}))


def test_a_dual_point_that_promises_more_is_refused(kinds: dict[str, Json]) -> None:
    """Scaled up by more than the gap it would beat the network: some matrix must be indefinite."""
    for kind in EVERY:
        certificate = copy.deepcopy(kinds[kind])
        for factor in (Fraction(10001, 10000), Fraction(2)):
            more = [[str(Fraction(c) * factor) for c in row] for row in certificate["dual"]]
            with pytest.raises(Invalid, match=r"negative eigenvalue|has no proof"):
                check(restated(certificate | {"dual": more}))


def test_the_network_must_interpolate_at_its_price(kinds: dict[str, Json]) -> None:
    certificate = kinds["normal"]
    for k, neuron in enumerate(certificate["neurons"]):
        for other, reason in (
            (neuron | {"cost": str(Fraction(neuron["cost"]) * Fraction(999999, 1000000))}, "cost is too small"),
            (neuron | {"cost": str(-Fraction(neuron["cost"]))}, "cost is too small"),
            (neuron | {"a": [0] * len(neuron["a"])}, "do not interpolate"),
            (neuron | {"w": [0] * len(neuron["w"])}, r"kink|interpolate"),
        ):
            with pytest.raises(Invalid, match=reason):
                check(changed(certificate, ("neurons", k), other))


@pytest.mark.parametrize("kind", KINDS)
def test_a_prediction_needs_every_on_set(kind: str, kinds: dict[str, Json]) -> None:
    certificate = kinds[kind]
    entry = certificate["predictions"][0]
    for key in entry["proofs"]:
        fewer = {k: v for k, v in entry["proofs"].items() if k != key}
        with pytest.raises(Invalid, match="has no proof for the inputs"):
            check(changed(certificate, ("predictions", 0, "proofs"), fewer))
    with pytest.raises(Invalid, match="sets of inputs that no pattern has"):
        check(changed(certificate, ("predictions", 0, "proofs"), entry["proofs"] | {"0,1,2,3,0": [{}, {}]}))
    for factor in (Fraction(9, 10), Fraction(0)):
        less = changed(certificate, ("predictions", 0, "tau"), str(Fraction(entry["tau"]) * factor))
        with pytest.raises(Invalid, match="negative eigenvalue"):
            check(restated(less))
    with pytest.raises(Invalid, match="tau is negative"):
        check(changed(certificate, ("predictions", 0, "tau"), str(-Fraction(entry["tau"]))))


@pytest.mark.parametrize("kind", ["bias", "on kinks"])
def test_ends_need_a_cone_that_the_point_is_in(kind: str, kinds: dict[str, Json]) -> None:
    """Where active samples do not span the space: each end, and beta >= 0 with q = sum_i beta_i x_i."""
    certificate = kinds[kind]
    entry = certificate["predictions"][0]

    def forged(**change: Any) -> Json:
        return certificate | {"predictions": [{k: v for k, v in (entry | change).items() if v is not None}]}

    edges = {key: proof["ends"] for key, proof in entry["proofs"].items() if isinstance(proof, dict)}
    assert "" in edges
    assert len(edges) > 2
    with pytest.raises(Invalid, match="has ends, and"):
        check(forged(cone=None))
    wrong = (
        ({key: str(-Fraction(share)) for key, share in entry["cone"].items()}, "is negative"),
        ({key: str(2 * Fraction(share)) for key, share in entry["cone"].items()}, "cone does not sum to x"),
        ({}, "cone does not sum to x"),
        ({"4": 1}, "names no input"),
    )
    for cone, reason in wrong:
        with pytest.raises(Invalid, match=reason):
            check(forged(cone=cone))
    for x in ([3, 0], [0, "5/4"]):  # outside the hull, with the old proofs and weights that may sum to it
        with pytest.raises(Invalid, match="cone does not sum to x"):
            check(forged(x=x))
    for key, ends in edges.items():
        with pytest.raises(Invalid, match=r"negative eigenvalue|names no pair"):
            check(forged(proofs=entry["proofs"] | {key: ends}))  # on either side of q, which these samples do not see
        for proof in ({"ends": ends[:1]}, {"ends": ends, "more": 1}, {}, {"ends": {}}):
            with pytest.raises(Invalid):
                check(forged(proofs=entry["proofs"] | {key: proof}))
        n = len(certificate["x"])
        with pytest.raises(Invalid, match="names no pair"):
            check(forged(proofs=entry["proofs"] | {key: {"ends": [ends[0], {f"0,{n}": 0}]}}))


def test_it_runs_alone_and_compares_data(tmp_path, kinds: dict[str, Json]) -> None:
    file, points = tmp_path / "several.json", tmp_path / "points.csv"
    file.write_text(json.dumps(kinds["one-hot"]))
    x = CUBE[2]
    np.savetxt(points, np.hstack([x, one_hot(x)]), delimiter=",")
    done = run("--data", points, file)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("valid: every interpolating network of 2 outputs has trace >= ")
    assert "at (0.5, 0.25): every network within 0.01 of the flattest has (-1, 1) . f <= " in done.stdout
    np.savetxt(points, np.hstack([x, one_hot(x)[:, ::-1]]), delimiter=",")
    assert "INVALID" in run("--data", points, file).stdout
