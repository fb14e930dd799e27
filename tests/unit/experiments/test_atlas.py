"""The atlas: orbits against Burnside's count, d = 2 by hand, decisions under symmetries, the theorem, failures, the store, the command."""

import json
import math
import sqlite3
from collections import Counter
from itertools import permutations, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from flatproof import synth, theory
from flatproof.theory.cube_symmetries import members, moved, orbits, orbits_by_size, symmetries
from flatproof.theory.flatness.certificate import check
from flatproof.verify.experiments.atlas import EXPERIMENT, jobs, show
from flatproof.verify.experiments.atlas.jobs import (
    DIFFERENTIABLE,
    NOTIONS,
    TARGETS,
    ZERO_AT_KINKS,
    Decisions,
    Part,
    Sample,
    by_theorem,
    decide_subset,
)
from flatproof.verify.experiments.vocabulary import Shelf
from flatproof.verify.jobs.job import Outcome
from flatproof.verify.jobs.mending import mend
from flatproof.verify.jobs.store import Store
from flatproof.verify.jobs.sweep import SweepError, sweep
from tests.command import here, in_a_process


def cycles(permutation: np.ndarray) -> int:
    left, count = set(range(len(permutation))), 0
    while left:
        count, at = count + 1, min(left)
        while at in left:
            left.remove(at)
            at = int(permutation[at])
    return count


@pytest.mark.parametrize(
    ("target", "orders"),
    [("parity", (8, 16, 64)), ("coordinate", (4, 16, 96)), ("and", (2, 4, 16)), ("constant", (8, 48, 384))],
)
@pytest.mark.parametrize("d", [2, 3, 4])
def test_orbits_are_as_many_as_burnside_counts(target: str, orders: tuple[int, ...], d: int) -> None:
    group = jobs.group(target, d)
    assert len(group) == len({tuple(g) for g in group}) == orders[d - 2]
    fixed = [2 ** cycles(g) for g in group]
    representatives, sizes = orbits(group)
    assert len(representatives) == sum(fixed) // len(group) - 1  # all but the empty subset
    assert sizes.sum() == 2**2**d - 1
    for i in range(0, len(representatives), 100):
        images = {int(moved(representatives[i : i + 1], g)[0]) for g in group}
        assert (min(images), len(images)) == (representatives[i], sizes[i])


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("d", [2, 3, 4])
def test_orbits_of_each_size_are_those_that_are_listed(target: str, d: int) -> None:
    listed = Counter(subset.bit_count() for subset in jobs.classes(target, d))
    counted = orbits_by_size(jobs.group(target, d))
    assert counted[0] == 1
    assert counted[1:] == [listed[n] for n in range(1, 2**d + 1)]


def test_a_sample_is_of_its_size_and_the_same_for_both_notions() -> None:
    for n in (6, 16, 31, 32):
        first, second = (Sample(kinks, n) for kinks in NOTIONS)
        drawn = first.subsets()
        assert drawn == second.subsets() == [s for job in first.jobs() for s in job.subsets]
        assert len(drawn) == len(set(drawn)) == min(jobs.DRAWN, math.comb(32, n))
        assert {s.bit_count() for s in drawn} == {n}
    rounds = np.array([members(s, 32) for s in Sample(DIFFERENTIABLE, 16).subsets()])
    assert rounds.mean(axis=0).min() > 0  # every vertex is in some of them
    assert rounds.mean(axis=0).max() < 1


def test_a_sample_is_decided_and_counted(tmp_path: Path) -> None:
    sample = Sample(DIFFERENTIABLE, 32)
    (job,) = sample.jobs()
    assert job.carry_out()["answer"] == ["all"]  # the whole cube
    with Store(tmp_path / "runs.sqlite") as store:
        made = EXPERIMENT.build([jobs.SAMPLED], "paper", 1, store)[0]
        assert set(made.shown[show.LABEL[DIFFERENTIABLE]]) == {"not run"}
        for other in Sample(ZERO_AT_KINKS, 9).jobs():
            made = EXPERIMENT.build([jobs.SAMPLED], "paper", 1, store)[0]
            assert set(made.shown[show.LABEL[ZERO_AT_KINKS]]) == {"not run"}  # what ends first is no random sample
            answers = ["all", "not all", "not all", "undecided", "all"]
            values = {"answer": answers, "margin": [0.5, None, -1.0, None, 0.25], "tried": [1] * 5}
            store.put(other, Outcome(values, 1.0), {})
        made = EXPERIMENT.build([jobs.SAMPLED], "paper", 1, store)[0]
    row = made.shown.set_index("n").loc["9"]
    assert row[show.LABEL[ZERO_AT_KINKS]] == "8 all, 8 not all, 4 undecided"
    assert row[f"forces, {show.LABEL[ZERO_AT_KINKS]}"] == "0.40 [0.19, 0.64]"  # R: binom.test(8, 20)
    assert row["subsets"].startswith("28,048,800 (")
    assert any("8 subsets are forced, where label times prediction is at least 0.250000" in note for note in made.notes)


def test_a_symmetry_moves_subsets_as_it_moves_points() -> None:
    x, y = jobs.cube(3), jobs.labels("and", 3)
    matrices = [np.diag(s)[list(p)] for p in permutations(range(3)) for s in product((1, -1), repeat=3)]
    values = {tuple(point): value for point, value in zip(x, y, strict=True)}
    expected = set()
    for m in matrices:
        image = [values[tuple(point)] for point in x @ m.T]
        if image in (y.tolist(), (-y).tolist()):
            expected.add(tuple(int(np.flatnonzero((x == point).all(axis=1))[0]) for point in x @ m.T))
    group = symmetries(x, y)
    assert {tuple(g) for g in group.tolist()} == expected
    for g in group:
        image = members(int(moved(np.array([0b10110010]), g)[0]), 8)
        assert sorted(np.flatnonzero(image)) == sorted(g[members(0b10110010, 8)])


def test_four_targets_are_all_functions_of_two_coordinates_up_to_symmetry() -> None:
    x = jobs.cube(2)
    everything = symmetries(x, np.ones(4))
    functions = {t: {tuple(s * jobs.labels(t, 2)[g]) for g in everything for s in (1, -1)} for t in TARGETS}
    assert sorted(map(len, functions.values())) == [2, 2, 4, 8]
    assert len(set().union(*functions.values())) == 16


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("architecture", ["no-bias", "bias", "sim-bn"])
def test_in_two_dimensions_only_the_whole_square_forces(target: str, architecture: str) -> None:
    """By hand: each vertex of the square is outside the cone of the three others."""
    part = Part(target, 2, architecture, DIFFERENTIABLE)
    answers = {s: a for job in part.jobs() for s, a in zip(job.subsets, job.carry_out()["answer"], strict=True)}
    assert answers == {s: "all" if s == 15 else "not all" for s in jobs.classes(target, 2)}


@pytest.mark.parametrize("notion", NOTIONS)
def test_every_member_of_an_orbit_has_the_same_answer(notion: str) -> None:
    rng = np.random.default_rng(3)
    for target in TARGETS:
        for subset in rng.choice(list(jobs.classes(target, 3)), 3, replace=False).tolist():
            image = int(moved(np.array([subset]), rng.choice(jobs.group(target, 3)))[0])
            answers = [decide_subset(target, 3, "no-bias", notion, s)["answer"] for s in (subset, image)]
            assert answers[0] == answers[1], (target, subset, image)


@pytest.mark.parametrize("notion", NOTIONS)
def test_known_answers_in_three_dimensions(notion: str) -> None:
    """Any seven points force parity, so does one orbit of six, of four subsets; a facet of the cube does not."""
    whole = 255
    assert decide_subset("parity", 3, "no-bias", notion, whole - 1)["answer"] == "all"
    forcing = [s for s, size in jobs.classes("parity", 3).items() if s.bit_count() == 6 and size == 4]
    assert [decide_subset("parity", 3, "no-bias", notion, s)["answer"] for s in forcing].count("all") == 1
    assert decide_subset("parity", 3, "no-bias", notion, 0b01010101)["answer"] == "not all"


def test_notions_at_kinks_differ() -> None:
    """Some six points force x1 on differentiable parameters and not with relu'(0)=0."""
    subset = next(
        s
        for s in jobs.classes("coordinate", 3)
        if s.bit_count() == 6 and decide_subset("coordinate", 3, "no-bias", DIFFERENTIABLE, s)["answer"] == "all"
    )
    assert decide_subset("coordinate", 3, "no-bias", ZERO_AT_KINKS, subset)["answer"] == "not all"


def test_an_answer_against_the_theorem_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert [by_theorem(s, 2) for s in (1, 14, 15)] == ["not all", "not all", "all"]
    row = {"answer": "all", "margin": None}
    monkeypatch.setattr(jobs, "decide_subset", lambda *_: row)
    job = Decisions("parity", 2, "bias", DIFFERENTIABLE, (3,))
    with Store(tmp_path / "s.sqlite") as store, pytest.raises(SweepError, match="where the theorem says 'not all'"):
        sweep([job], store)


def test_what_cannot_be_solved_is_a_category(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """After other members of the orbit; one that can be solved answers for all."""

    def gives_up(*_: Any, **__: Any) -> None:
        raise ArithmeticError

    monkeypatch.setattr(jobs, "decide", gives_up)
    part = Part("parity", 2, "no-bias", DIFFERENTIABLE)
    with Store(tmp_path / "s.sqlite") as store:
        sweep(part.jobs(), store)
        answers = show.collect(part, Shelf(store))
    assert answers.counted()["undecided"] == (15, 5)
    assert answers.values("tried") == [4, 4, 2, 4, 1]
    assert "0 orbits are forced" in show.margins([answers])
    assert "5 orbits are undecided" in show.margins([answers])
    assert show.thresholds(answers) == (None, None)
    row = {"margin": 1.0}
    monkeypatch.setattr(jobs, "decide_subset", lambda *a: row | {"answer": "undecided" if a[-1] == 1 else "not all"})
    assert Decisions("parity", 2, "no-bias", DIFFERENTIABLE, (1,)).carry_out() == {
        "answer": ["not all"],
        "margin": [1.0],
        "tried": [2],
    }


def test_answers_rest_on_proofs() -> None:
    """Forced: every label by a bound above 0; not forced: a network that the checker of certificates accepts, or free predictions."""
    x, y = jobs.cube(4), jobs.labels("parity", 4)
    answers = set()
    for subset in (0b0110110101111101, 0b0111011001011101, 0b0000011101011101):
        inside = members(subset, 16)
        decision = theory.decide(synth.given(x[inside], y[inside], x[~inside], y[~inside]), ranges=False)
        row = decide_subset("parity", 4, "no-bias", DIFFERENTIABLE, subset)
        assert row["answer"] == decision.answer
        verdict = check(decision.certificate())
        assert verdict.decision is not None
        assert verdict.decision.startswith(f"{decision.answer} networks within")
        assert row["margin"] is None or (row["margin"] > 0) == (row["answer"] == "all")
        answers.add(decision.answer)
    assert answers == {"all", "not all"}


def test_vertices_that_are_left_out_are_images_of_those_asked() -> None:
    for subset in (0b10110010, 0b11111111 - 1, 0b00001111):
        inside, asked = members(subset, 8), jobs.representatives("parity", 3, subset)
        stabilizer = [g for g in jobs.group("parity", 3) if sorted(g[inside]) == np.flatnonzero(inside).tolist()]
        orbits_outside = {frozenset(int(g[i]) for g in stabilizer) for i in np.flatnonzero(~inside)}
        assert sorted(len(orbit & set(np.flatnonzero(asked).tolist())) for orbit in orbits_outside) == [1] * len(orbits_outside)
        assert not (asked & inside).any()


def test_jobs_cover_every_orbit_once() -> None:
    for part in jobs.parts(EXPERIMENT.ARTIFACTS, "paper"):
        subsets = [s for job in part.jobs() for s in job.subsets]
        assert len(subsets) == len(set(subsets))
        if part.complete:
            assert set(subsets) == set(jobs.classes(part.target, part.d))
        else:
            assert len(subsets) == jobs.SAMPLE + 1
            assert 2**16 - 1 in subsets
    keys = [job.key for _, job in EXPERIMENT.grid(EXPERIMENT.ARTIFACTS, "paper", 1)]
    assert len(keys) == len(set(keys))
    for smaller, larger in (("smoke", "quick"), ("quick", "paper")):
        assert {job.key for _, job in EXPERIMENT.grid(EXPERIMENT.ARTIFACTS, smaller, 1)} < {
            job.key for _, job in EXPERIMENT.grid(EXPERIMENT.ARTIFACTS, larger, 1)
        }
    assert {job.target for _, job in EXPERIMENT.grid([jobs.FRACTION], "paper", 1)} == {"parity"}


def test_jobs_are_stored_once_and_a_store_without_jobs_is_read(tmp_path: Path) -> None:
    job = Decisions("parity", 2, "no-bias", DIFFERENTIABLE, (1, 15))
    path = tmp_path / "s.sqlite"
    with Store(path) as store:
        before = path.read_bytes()
        assert job not in store
        assert store.get(job) is None
        assert path.read_bytes() == before
        assert store.missing([job, job]) == [job]
        assert sweep([job], store) == 1
        assert sweep([job], store) == 0
        store.put(job, Outcome({"answer": []}, 1.0), {"commit": "second"})
    with Store(path) as store:
        stored = store.get(job)
    assert stored is not None
    assert stored.result["answer"] == ["not all", "all"]
    assert stored.settings == job.settings()
    assert stored.provenance["commit"] != "second"


def test_what_was_not_run_is_marked(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite") as store:
        made = EXPERIMENT.build(EXPERIMENT.ARTIFACTS, "smoke", 1, store)
        assert [a.id for a in made] == [jobs.SUMMARY, jobs.BY_SIZE]
        assert (made[0].shown["all"] == "not run").all()
        sweep(Part("parity", 2, "no-bias", DIFFERENTIABLE).jobs(), store)
        made = EXPERIMENT.build(EXPERIMENT.ARTIFACTS, "smoke", 1, store)
    assert [a.id for a in made] == [id for id in EXPERIMENT.ARTIFACTS if id != jobs.SAMPLED]  # which is of scale paper
    assert made[0].shown["all"].tolist() == ["1 (1)"] + ["not run"] * 11
    assert made[1].shown.iloc[3].tolist()[2:] == ["1 (1)", "1 all", "not run", "not run"]


def test_the_command_makes_the_atlas(tmp_path: Path) -> None:
    """For any number of workers, and after a kill that left half of the jobs."""

    def run(folder: Path, workers: int) -> dict[str, bytes]:
        arguments = ["reproduce", "--only", "atlas", "--scale", "smoke", "--workers", str(workers)]
        done = (here if workers == 1 else in_a_process)(*arguments, cwd=folder)
        assert done.returncode == 0, done.stderr
        written = (folder / "paper_results" / "atlas" / "smoke_scale").iterdir()
        return {p.name: p.read_bytes() for p in written if not p.name.startswith("outcomes")}  # which have seconds and dates

    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    files = run(one, 1)
    assert set(files) >= {"table_1.md", "table_1.tex", "table_2.csv", "figure_1.png", "figure_2.pdf"}
    table = pd.read_csv(one / "paper_results/atlas/smoke_scale/table_2.csv", comment="#")
    assert table["all, subsets"].sum() == 12
    assert table.filter(like="subsets").to_numpy().sum() == 12 * 15
    assert "parity" in json.loads(files["table_1.json"])["table"]["rows"][0]
    assert run(two, 2) == files
    with sqlite3.connect(two / ".flatproof/runs.sqlite") as connection:
        connection.execute("DELETE FROM jobs WHERE rowid % 2")
    assert mend(two / ".flatproof/runs.sqlite")[0] > 0
    assert run(two, 1) == files
