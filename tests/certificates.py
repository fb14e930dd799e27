"""Certificates that tests make with means of their own: dual points from cvxpy, neurons from a linear program."""

import itertools
import json
from fractions import Fraction
from typing import Any

import numpy as np
import sympy
from scipy.optimize import linprog

from flatproof.theory.flatness import certificate as exact
from flatproof.theory.flatness.neurons import Coordinates
from flatproof.theory.flatness.patterns import Patterns, cells, faces
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
    solution = linprog(np.tile(cost > 0, 2), A_eq=np.hstack([outputs.T, -outputs.T]), b_eq=y, method="highs-ds")
    assert solution.status == 0
    half = len(candidates)
    alpha = (solution.x[:half] - solution.x[half:]) / np.where(cost > 0, cost, 1)
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


def with_v(certificate: Json) -> Json:
    """The same proofs with v written out, for networks without bias."""
    out = through_json(certificate)
    x = [[Fraction(c) for c in row] for row in out["x"]]
    p, everyone = len(x[0]), range(len(x))
    for pattern in out["patterns"]:
        on = [i for i in everyone if sum(c * Fraction(w) for c, w in zip(x[i], pattern["w"], strict=True)) > 0]
        for s, side in ((1, "plus"), (-1, "minus")):
            if pattern[side] is not None and "v" not in pattern[side]:
                mu = {int(i): Fraction(m) for i, m in pattern[side]["mu"].items()}
                weights = [
                    (s * Fraction(out["dual"][i]) if i in on else 0) + (1 if i in on else -1) * mu.get(i, 0) for i in everyone
                ]
                gram = sympy.Matrix(
                    [[sympy.Rational(str(sum(x[i][a] * x[i][b] for i in on))) for b in range(p)] for a in range(p)]
                )
                target = sympy.Matrix(
                    [sympy.Rational(str(sum(w * row[k] for w, row in zip(weights, x, strict=True)))) for k in range(p)]
                )
                pattern[side]["v"] = [str(c) for c in gram.LUsolve(target)]
    return out
