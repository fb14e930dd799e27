"""Certificates of format 5 that tests make, small ones of every kind, and what a forger would do to them."""

import json
from fractions import Fraction

import numpy as np

from flatproof.theory import check_certificate as checker
from flatproof.theory.flatness.outputs import flattest_outputs
from tests.certificates import CUBE, Json

WITHIN = 0.01
RNG = np.random.default_rng(5)
NORMAL = np.round(RNG.standard_normal((4, 2)), 1), np.round(RNG.standard_normal((4, 3)), 1)
KINDS = {
    "one-hot": (CUBE[2], "no-bias", "differentiable"),
    "on kinks": (CUBE[2], "no-bias", "relu'(0)=0"),
    "bias": (CUBE[2], "bias", "differentiable"),
}


def one_hot(x: np.ndarray) -> np.ndarray:
    """Columns for x1 x2 = 1 and -1."""
    y = x[:, 0] * x[:, 1]
    return np.stack([y > 0, y < 0], axis=1).astype(float)


def made(kind: str) -> Json:
    """A certificate of one kind, as JSON gives it back, with what is predicted at a point inside; normal data's has no prediction."""
    if kind == "normal":
        return json.loads(json.dumps(flattest_outputs(*NORMAL).certificate()))
    x, architecture, kinks = KINDS[kind]
    answer = flattest_outputs(x, one_hot(x), architecture, kinks)
    entry = answer.at_most([0.5, 0.25], [-1, 1], WITHIN)[1]
    assert entry is not None
    return json.loads(json.dumps(answer.certificate([entry], WITHIN)))


def restated(certificate: Json) -> Json:
    """The same with lower, upper, statements, bounds and digest brought in line, as a forger would."""
    out = json.loads(json.dumps(certificate))
    out["data_sha256"] = checker.digest(out["x"], out["y"])
    data = checker.Data(out)
    outputs = checker.Outputs(data, out["y"])
    lower = outputs.at_labels(outputs.table(out["dual"], "dual"))
    upper = sum((Fraction(neuron["cost"]) for neuron in out["neurons"]), Fraction(0))
    networks = f"interpolating network of {outputs.count} outputs"
    said = checker.statement(out["architecture"], out["kinks"], data.n, data.d, lower, upper, networks=networks)
    out |= {"lower": str(lower), "upper": str(upper), "statement": said}
    for entry in out.get("predictions", []):
        most = (1 + Fraction(out["within"])) * upper
        entry["bound"] = str(outputs.at_labels(outputs.table(entry["dual"], "dual")) + Fraction(entry["tau"]) * most)
        try:
            active = [() if not key else tuple(map(int, key.split(","))) for key in entry["proofs"]]
            outputs.prediction(entry, "p", active, Fraction(out["within"]), upper)
        except checker.Invalid as unsaid:
            if str(unsaid).startswith('p.statement is not "'):
                entry["statement"] = str(unsaid).removeprefix('p.statement is not "').removesuffix('"')
    return out
