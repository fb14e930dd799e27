"""Walls of cells: those that are needed and no others, and what programs make of them."""

import numpy as np
import pytest

from flatproof.theory.flatness import interior_point
from flatproof.theory.flatness.column_generation import Program
from flatproof.theory.flatness.flattest import _interiors
from flatproof.theory.flatness.interior_point import InteriorPoint
from flatproof.theory.flatness.linear_programs import deepest
from flatproof.theory.flatness.patterns import cells
from flatproof.theory.flatness.projection import project
from flatproof.theory.flatness.setting import Setting
from flatproof.theory.flatness.walls import walls
from tests.certificates import CUBE

POINTS = {
    "general": np.random.default_rng(0).standard_normal((8, 3)),
    "plane": np.random.default_rng(1).standard_normal((9, 2)),
    "cube": CUBE[3],
    "parallel and zero": np.array([[1.0, 0], [2, 0], [-1, 0], [0, 0], [1, 1], [0, -3]]),
}


@pytest.mark.parametrize("name", POINTS)
def test_walls_cut_the_cell_out_and_each_is_needed(name):
    points = POINTS[name]
    signs = cells(points).signs
    for cell, bounding in zip(signs, walls(signs), strict=True):
        rows = cell[:, None] * points
        kept = bounding[bounding >= 0].tolist()
        live = np.flatnonzero(points.any(axis=1))
        for i in live:  # nothing else is cut off: a direction that the walls allow does not cross sample i
            others = rows[kept]
            ahead = deepest(np.vstack([others, -rows[i : i + 1]]), np.zeros(len(kept) + 1))
            crossed = np.vstack([others, -rows[i : i + 1]]) @ ahead
            assert crossed.min() <= 1e-7
        for k in kept:  # and each is needed: without it there is a direction across it
            others = np.array([rows[i] for i in live if np.linalg.matrix_rank(points[[i, k]]) == 2]).reshape(-1, points.shape[1])
            ahead = deepest(np.vstack([others, -rows[k : k + 1]]), np.zeros(len(others) + 1))
            assert (np.vstack([others, -rows[k : k + 1]]) @ ahead).min() > 1e-7


@pytest.mark.parametrize("name", ["general", "cube", "plane"])
def test_projections_need_no_other_constraints(name):
    points = np.linalg.svd(POINTS[name], full_matrices=False)[0]
    signs = cells(POINTS[name]).signs
    targets = np.random.default_rng(0).standard_normal(signs.shape)
    v, mu, length = project(points, signs, targets, walls=walls(signs))
    _, _, expected = project(points, signs, targets)
    np.testing.assert_allclose(length, expected, rtol=1e-8, atol=1e-9)
    assert (signs * (v @ points.T)).min() > -1e-5
    bounding = walls(signs)
    off = np.ones(signs.shape, bool)
    for m, row in enumerate(bounding):
        off[m, row[row >= 0]] = False
    assert not mu[off].any()


def programs(architecture, n, d):
    """A program with walls, the method's over all its patterns, and the least trace by pattern generation."""
    rng = np.random.default_rng(n)
    setting = Setting.of(rng.standard_normal((n, d)), np.sign(rng.standard_normal(n)), architecture)
    patterns = cells(setting.points)
    active = (patterns.signs > 0).any(axis=1)
    signs = np.where(patterns.signs[active] > 0, 1, -1).astype(np.int8)
    program = Program(setting, signs, walls(patterns.signs)[active])
    _, _, (bound, _) = Program(setting, signs)._by_rounds(lambda _: None)
    return program, InteriorPoint(program, _interiors(setting.coordinates, patterns)[0][active]), bound


@pytest.mark.parametrize(("architecture", "n", "d"), [("no-bias", 34, 3), ("sim-bn", 34, 2), ("no-bias", 40, 2)])
def test_the_interior_point_method_comes_to_what_pattern_generation_does(architecture, n, d):
    program, method, bound = programs(architecture, n, d)
    interior = method.solve()
    assert interior is not None
    dual = interior.solution.dual / program.price_ratios(interior.solution.dual, None).max()
    assert dual @ program.y == pytest.approx(bound, rel=1e-6)


@pytest.mark.parametrize("architecture", ["bias", "sim-bn"])
def test_programs_over_some_patterns_come_to_what_all_do(architecture, monkeypatch):
    """The first is over so few that it has to find others."""
    monkeypatch.setattr(interior_point, "FIRST", 3)
    program, method, bound = programs(architecture, 40, 2)
    interior = method._by_rounds()
    assert interior is not None
    used = program.price_ratios(interior.solution.dual, None)
    assert interior.active.mean() < 0.5
    assert not np.array_equal(
        interior.active[0], np.isin(np.arange(method.many), np.linspace(0, method.many - 1, 120).astype(int))
    )
    assert used.max() <= 1 + 1e-6
    assert interior.solution.dual @ program.y == pytest.approx(bound, rel=1e-6)
