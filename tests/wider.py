"""Certificates of format 4 that tests make, small ones of every kind."""

import json
from fractions import Fraction
from typing import Any

import numpy as np

from flatproof.theory import check_certificate
from flatproof.theory.flatness.logistic import for_logistic
from flatproof.theory.flatness.objectives import Objective, Tolerance, whitening
from flatproof.theory.flatness.wider import flattest_for
from tests.certificates import CUBE, Json

SQUARE, XOR = CUBE[2], CUBE[2][:, 0] * CUBE[2][:, 1]
SKEW = SQUARE @ np.array([[1.0, 0.5], [0.0, 0.75]])
POINTS = {"whitened": SKEW, "logistic, whitened": SKEW}  # the square elsewhere
MAPPED = (
    (Fraction(5, 4), Fraction(1, 2), Fraction(0)),
    (Fraction(1, 2), Fraction(2), Fraction(1, 3)),
    (Fraction(0), Fraction(1, 3), Fraction(1)),
)
KINDS: dict[str, dict[str, Any]] = {
    "largest eigenvalue": {"objective": Objective(0.0, 1.0)},
    "with the trace": {"objective": Objective(0.25, 1.0, 0.125), "kinks": "relu'(0)=0"},
    "each": {"tolerance": Tolerance(each=0.125)},
    "mean square": {"tolerance": Tolerance(mean_square=0.0625), "architecture": "bias"},
    "squares": {"objective": Objective(squares=0.125)},
    "whitened": {"objective": Objective(inner=whitening("no-bias", SKEW))},
    "logistic": {"kinks": "relu'(0)=0"},
    "logistic, whitened": {"objective": Objective(inner=whitening("no-bias", SKEW))},
    "mapped": {"objective": Objective(0.5, inner=MAPPED), "architecture": "bias", "kinks": "relu'(0)=0"},
}
ASKED = ("each", "mean square", "squares", "whitened", "mapped", "logistic", "logistic, whitened")
SMOOTHED = {"logistic": 0.2, "logistic, whitened": 1 / 16}


def made(kind: str) -> Json:
    """A certificate of one kind, as JSON gives it back: of four points; predictions at points inside where they go with it."""
    answer = flattest_for(POINTS.get(kind, SQUARE), XOR, **KINDS[kind])
    if kind not in ASKED:
        return json.loads(json.dumps(answer.certificate()))
    inside = np.array([0.5, 0.25])
    certificate = answer.certificate([answer.range(inside, 0.01)], 0.01, [1.0])
    return json.loads(json.dumps(for_logistic(certificate, SMOOTHED[kind]) if kind in SMOOTHED else certificate))


def restated(certificate: Json) -> Json:
    """The same with lower, upper, statement, bounds and digest brought in line, as a forger would."""
    out = json.loads(json.dumps(certificate))
    out["data_sha256"] = check_certificate.digest(out["x"], out["y"])
    data = check_certificate.Data(out)
    dual = [Fraction(v) for v in out["dual"]]

    def loss(point: list[Fraction]) -> Fraction:
        if data.tolerance.mean:
            square = data.n * data.tolerance.mean * check_certificate.dot(point, point)
            return Fraction(float(square) ** 0.5) * Fraction(1000001, 1000000)
        return data.tolerance.each * sum(map(abs, point))

    lower = check_certificate.dot(dual, data.y) - loss(dual)
    if data.objective.largest:
        rows = [(n["v"], Fraction(n["a"])) for n in out["neurons"]]
        vectors = [([Fraction(c) for c in v], a) for v, a in rows]
        upper = data.objective.of(
            [(v, a, tuple(i for i, x in enumerate(data.x) if check_certificate.dot(x, v) > 0)) for v, a in vectors]
        )
        upper = Fraction(int(upper * 2**64) + 1, 2**64)
    else:
        upper = sum((Fraction(n["cost"]) for n in out["neurons"]), Fraction(0))
    names = out["architecture"], out["kinks"], data.n, data.d
    said = check_certificate.statement(*names, lower, upper, str(data.objective), str(data.tolerance))
    out |= {"lower": str(lower), "upper": str(upper), "statement": said}
    if "loss" in out:
        smoothing = Fraction(out["loss"]["smoothing"])
        share = smoothing * (1 - smoothing) / 2
        ends = [Fraction(end) * share * bound for end, bound in zip(out["loss"]["target"], (lower, upper), strict=True)]
        out["loss"] |= {"lower": str(ends[0]), "upper": str(ends[1])}
        try:
            check_certificate.logistic(data, out["loss"], lower, upper)
        except check_certificate.Invalid as unsaid:
            if str(unsaid).startswith('loss.statement is not "'):
                out["loss"]["statement"] = str(unsaid).removeprefix('loss.statement is not "').removesuffix('"')
    for entry in out.get("predictions", []):
        for end in (entry[name] for name in ("low", "high") if name in entry):
            point = [Fraction(v) for v in end["dual"]]
            most = (1 + Fraction(out["within"])) * upper
            end["bound"] = str(check_certificate.dot(point, data.y) + loss(point) + Fraction(end["tau"]) * most)
        active = sorted({tuple(i for i, x in enumerate(data.x) if check_certificate.dot(x, w) > 0) for w in witnesses(out)})
        within = Fraction(out["within"])
        entry["statement"] = check_certificate.Prediction(data, entry, "p", active, within, lower, upper).statement
    return out


def witnesses(certificate: Json) -> list[list[Fraction]]:
    """A point of each pattern."""
    return [[Fraction(c) for c in pattern["w"]] for pattern in certificate["patterns"]]


def reached(certificate: Json) -> list[Fraction]:
    """What the witness of each prediction predicts."""
    out = []
    for entry in certificate["predictions"]:
        q = [Fraction(c) for c in entry["x"]] + [Fraction(1)] * (certificate["architecture"] == "bias")
        neurons = [(n["sign"], check_certificate.dot(q, map(Fraction, n["v"]))) for n in entry["witness"]]
        out.append(sum((sign * max(z, Fraction(0)) for sign, z in neurons), Fraction(0)))
    return out
