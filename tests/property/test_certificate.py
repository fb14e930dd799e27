"""Any data, any dual point, any neurons: what comes out is a proof; and the checker's counts against the lists of `patterns`."""

from contextlib import suppress
from fractions import Fraction

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from flatproof.theory import check_certificate
from flatproof.theory.check_certificate import check
from flatproof.theory.flatness import certificate as exact
from flatproof.theory.flatness.arrangement import decimal
from flatproof.theory.flatness.feasibility import Infeasible, check_feasible
from flatproof.theory.flatness.patterns import cells, faces
from flatproof.theory.flatness.setting import Setting
from flatproof.theory.networks import with_ones

kinks = st.sampled_from(sorted(check_certificate.KINKS))
architecture = st.sampled_from(sorted(check_certificate.ARCHITECTURES))
seed = st.integers(0, 10**6)


@st.composite
def grids(draw: st.DrawFn) -> np.ndarray:
    """Few whole points: duplicates, opposite and collinear points and zero rows are common; some less than full rank."""
    n, d = draw(st.integers(1, 6)), draw(st.integers(1, 3))
    x = np.array(draw(st.lists(st.lists(st.integers(-2, 2), min_size=d, max_size=d), min_size=n, max_size=n)), float)
    if draw(st.booleans()):
        x[:, -1] = x[:, 0]
    return x


def lines(points: np.ndarray) -> frozenset[check_certificate.Line]:
    rows = [[decimal(c) for c in row] for row in points.tolist()]
    return frozenset(check_certificate.line(check_certificate.whole(row)) for row in rows) - {()}


@given(grids(), st.sampled_from([1.0, 0.1, 1e6]))
def test_counts_agree_with_lists(x, scale):
    for points in (scale * x, with_ones("bias", scale * x)):
        assert check_certificate.count_cells(lines(points)) == len(cells(points).signs)
        assert check_certificate.count_faces(lines(points)) == len(faces(points).signs) + 1


@given(grids(), architecture, kinks, seed, st.integers(-12, 12), st.sampled_from([0.0, 1e-6, 1.0, 1e6]), st.booleans())
def test_whatever_is_given_becomes_a_proof(x, architecture, kinks, seed, power, size, helped):
    rng = np.random.default_rng(seed)
    scale = 2.0**power if architecture == "no-bias" else 10.0 ** (power / 2)
    x = x * scale
    points = with_ones(architecture, x)
    w, a = rng.integers(-3, 4, (3, points.shape[1])), rng.integers(-3, 4, 3)
    y = np.maximum(points @ w.T, 0) @ a  # exact for "no-bias"; for the others any labels do
    setting = Setting.of(x, y, architecture, kinks)
    try:
        check_feasible(setting)
    except Infeasible:
        assume(False)
    patterns = cells(points) if kinks == "differentiable" else faces(points)
    lengths = np.linalg.norm(points, axis=1) if architecture != "sim-bn" else 1.0
    dual = 4 / len(y) * lengths * (size * rng.standard_normal(len(y)) if size else np.sign(y))
    signs = patterns.signs
    multipliers = rng.exponential(size=(2, *signs.shape)) * rng.integers(0, 2, (2, *signs.shape)) if helped else None
    none = np.zeros((0, points.shape[1]))
    certificate = exact.certificate(setting, dual, patterns, none, none[:, 0], multipliers)
    verdict = check(certificate)
    assert verdict.lower <= verdict.upper
    if not size and architecture != "sim-bn":  # equation 3 of wen2023 is feasible and needs no scaling down
        assert float(verdict.lower) >= 4 / len(y) * float(lengths @ np.abs(y)) * (1 - 1e-9)


@given(grids(), architecture, kinks, seed)
def test_no_forged_dual_point_beats_a_network(x, architecture, kinks, seed):
    """The proofs of one dual point, claimed for another: refused, or a bound that holds."""
    rng = np.random.default_rng(seed)
    points = with_ones(architecture, x)
    y = np.maximum(points @ rng.integers(-3, 4, (3, points.shape[1])).T, 0) @ rng.integers(-3, 4, 3)
    patterns = cells(points) if kinks == "differentiable" else faces(points)
    none = np.zeros((0, points.shape[1]))
    certificate = exact.certificate(
        Setting.of(x, y, architecture, kinks), rng.standard_normal(len(y)), patterns, none, none[:, 0]
    )
    upper = check(certificate).upper
    dual = [Fraction(v) + int(rng.integers(-1, 2)) * Fraction(1, int(rng.integers(1, 1000))) for v in certificate["dual"]]
    lower = sum((a * Fraction(b) for a, b in zip(dual, certificate["y"], strict=True)), Fraction(0))
    claimed = check_certificate.statement(architecture, kinks, len(x), x.shape[1], lower, upper)
    forged = certificate | {"dual": [str(v) for v in dual], "lower": str(lower), "statement": claimed}
    with suppress(check_certificate.Invalid):
        assert check(forged).lower <= upper
