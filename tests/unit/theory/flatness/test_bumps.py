"""Exact interpolation in short numbers, and signs by floating point with a bound on its error."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flatproof.theory.check_certificate import Packed, check, square
from flatproof.theory.flatness.bumps import bumps, fitted
from flatproof.theory.flatness.flattest import flattest
from flatproof.theory.flatness.multipliers import OnSets, sums
from flatproof.theory.flatness.patterns import sides_of
from flatproof.theory.flatness.rational import solve

ENTRIES = st.one_of(st.integers(-2, 2), st.integers(-(10**17), 10**17), st.sampled_from([10**30, 10**30 + 1, -(10**30), 3**70]))


def rows(least: int, most: int, p: int) -> st.SearchStrategy[list[list[int]]]:
    return st.lists(st.lists(ENTRIES, min_size=p, max_size=p), min_size=least, max_size=most)


def outputs(points: list[list[int]], neurons: list[tuple[list[int], Fraction]]) -> list[Fraction]:
    return [sum((f * max(0, sum(a * b for a, b in zip(w, x, strict=True))) for w, f in neurons), Fraction(0)) for x in points]


@given(st.integers(1, 4), st.data())
def test_bumps_give_any_residual_that_lines_allow(p, data):
    points = data.draw(rows(1, 7, p))
    random = np.random.default_rng(0)
    per_line: dict[tuple[Fraction, ...], Fraction] = {}
    residual = []
    for row in points:
        top = next((c for c in row if c), 0)
        share = per_line.setdefault(
            tuple(Fraction(c, top) for c in row) if top else (), Fraction(int(random.integers(-9, 10)), 7)
        )
        residual.append(share * abs(top))
    neurons = bumps(points, residual)
    assert neurons is not None or p == 1
    if neurons is not None:
        assert outputs(points, neurons) == residual


def test_bumps_do_not_give_what_no_even_function_does():
    assert bumps([[1, 0], [-1, 0]], [Fraction(1), Fraction(0)]) is None
    assert bumps([[0, 0], [1, 0]], [Fraction(1), Fraction(0)]) is None


def test_coefficients_are_refined_to_what_bumps_make_up_for_at_no_cost():
    random = np.random.default_rng(0)
    points = random.integers(-1000, 1000, (12, 3)).tolist()
    weights = random.integers(-1000, 1000, (20, 3))
    active = np.maximum(np.array(points, object) @ weights.astype(object).T, 0)
    right = [Fraction(int(c), 7) for c in random.integers(-9, 10, 12)]
    start = np.linalg.lstsq(active.astype(float), np.array(right, float), rcond=None)[0]
    fit = fitted(active, points, [Fraction(c) for c in start.tolist()], right)
    assert fit is not None
    coefficients, more = fit
    reached = outputs(points, [*zip(weights.tolist(), coefficients, strict=True), *more])
    assert reached == right
    assert max((abs(f) for _, f in more), default=0) < Fraction(1, 10**30)
    assert max(c.denominator.bit_length() for c in coefficients) < 400


@pytest.mark.parametrize("architecture", ["no-bias", "bias", "sim-bn"])
def test_certificates_of_more_points_stay_short(architecture):
    rng = np.random.default_rng(3)
    x = rng.standard_normal((36, 1 if architecture != "no-bias" else 2))
    solution = flattest(x, np.sign(rng.standard_normal(36)), architecture)
    certificate = solution.certificate()
    verdict = check(certificate)
    assert float(verdict.relative_gap) < 1e-5
    assert float(verdict.lower) == pytest.approx(solution.lower_bound, rel=1e-7)
    assert max(len(str(c)) for neuron in certificate["neurons"] for c in neuron["v"]) < 800


@given(st.integers(1, 5), st.data())
def test_signs_are_exact_whatever_the_numbers(p, data):
    """Vectors that lie on lines exactly, or next to them, are the hard ones."""
    lines = np.array(data.draw(rows(1, 5, p)), object)
    vectors = np.array(data.draw(rows(1, 5, p)), object)
    if p > 1:
        on = [[-row[1] * 3, row[0] * 3, *[0] * (p - 2)] for row in lines.tolist()]
        vectors = np.concatenate([vectors, np.array(on, object), np.array(on, object) + 1])
    expected = [[int(np.sign(sum(a * b for a, b in zip(v, x, strict=True)))) for x in lines.tolist()] for v in vectors.tolist()]
    assert sides_of(lines, vectors).tolist() == expected


@given(st.integers(1, 6), st.integers(1, 6), st.data())
def test_packed_vectors_add_up(n, size, data):
    vectors = data.draw(rows(n, n, size))
    weights = data.draw(st.lists(st.integers(-50, 50), min_size=n, max_size=n))
    packed = Packed(vectors, sum(map(abs, weights)))
    number = sum(w * c for w, c in zip(weights, packed.numbers, strict=True))
    expected = [sum(w * vector[k] for w, vector in zip(weights, vectors, strict=True)) for k in range(size)]
    assert packed.unpack(number) == expected
    for least in (0, 1):
        above = packed.above(number, least)
        assert [byte > 0 for byte in packed.where(above)] == [c >= least for c in expected]
    assert packed.unpack(packed.kept(number, packed.above(number, 0))) == [max(c, 0) for c in expected]
    active = np.random.default_rng(n).random((4, n)) < 0.5
    assert sums(vectors, active).tolist() == [
        [sum(v[k] for v, on in zip(vectors, row, strict=True) if on) for k in range(size)] for row in active
    ]


@given(st.integers(1, 4), st.data())
def test_squares_are_those_of_the_solution(p, data):
    points = data.draw(rows(1, 6, p))
    dual = [Fraction(int(c), 3) for c in np.random.default_rng(p).integers(-9, 10, len(points))]
    active = np.random.default_rng(len(points)).random((3, len(points))) < 0.7
    mu = np.random.default_rng(1).random((3, len(points)))
    sets = OnSets(points, dual, active)
    quotients, given_mu = sets.squares(np.arange(3), 1, mu)
    for m, on in enumerate(active.tolist()):
        gram = [[sum(x[a] * x[b] for x, is_on in zip(points, on, strict=True) if is_on) for b in range(p)] for a in range(p)]
        target = [
            sum(
                (-f if is_on else 0) * x[k] + (1 if is_on else -1) * given_mu[m][i] * x[k]
                for i, (f, x, is_on) in enumerate(zip(dual, points, on, strict=True))
            )
            for k in range(p)
        ]
        v = solve(gram, [Fraction(c) for c in target], [Fraction(0)] * p)
        _, determinant = square(gram, [int(c.numerator) for c in map(Fraction, target)])
        assert (determinant == 0) == (quotients.below[m] == 0)
        if determinant:
            assert v is not None
            assert quotients.exact(m) == sum(a * b for a, b in zip(v, target, strict=True))
