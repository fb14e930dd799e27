"""Ascents below bounds: a small run, its table, and that an ascent above a bound would be counted."""

import pytest

from flatproof.verify.experiments.curvature import above
from flatproof.verify.jobs.job import Stored


def test_a_small_run_and_its_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(above, "RADII", {("linf", "elementwise"): (0.001, 0.008), ("l2", "none"): (0.1,)})
    ready = []
    for kind in ("two-layer, parity", "diagonal, 10 of 20"):
        job = above.Climbed(kind, 2)
        values = job.carry_out()
        assert len(values["rows"]) == 6
        assert above.passed(values["rows"]) == 0
        assert job.summary(values) == "0 of 6 ascents above the bound"
        ready.append((job, Stored(job.settings(), values, {})))
    table = above.table("curvature/above", ready)
    assert list(table.shown["above the bound"]) == ["0"] * 4
    assert float(table.shown["least"].astype(float).min()) >= 1
    assert "12 ascents" in table.notes[0]
    assert "0 found more than the bound, 0 had none" in table.notes[0]
    seed, norm, scaling, rho, value, bound, how = ready[0][1].result["rows"][0]
    assert 1 <= bound / value < 2  # at a small radius
    ready[0][1].result["rows"][0] = [seed, norm, scaling, rho, 2 * bound, bound, how]
    worse = above.table("curvature/above", ready)
    assert worse.shown["above the bound"].iloc[0] == "1"
    assert "1 found more than the bound" in worse.notes[0]


@pytest.mark.parametrize("kind", above.KINDS)
def test_networks_are_drawn_by_their_seed(kind: str) -> None:
    first, again, other = (above.made(kind, seed) for seed in (1, 1, 2))
    assert bool((first.weights == again.weights).all())
    assert not bool((first.weights == other.weights).all())
    assert 0 <= first.loss() < 3


def test_as_many_ascents_as_wanted() -> None:
    assert [job.networks for job in above.jobs(0)] == [1] * len(above.KINDS)
    assert sum(job.networks for job in above.jobs(1000)) * above.ASCENTS / len(above.KINDS) >= 1000
