"""What stored outcomes share: their provenance, seeds and divergences."""

from types import SimpleNamespace
from typing import Any

import pytest

from flatproof.verify.jobs.job import Stored
from flatproof.verify.report.artifacts import divergences, merged, seeds_of


def stored(seed: int, commit: str = "a", step: int | None = None) -> Stored[Any]:
    result = SimpleNamespace(status="finished" if step is None else "diverged", diverged_step=step)
    return Stored({"seed": seed}, result, {"commit": commit, "machine": "m"}, 1.0)


def test_provenance_counts_what_is_not_the_same() -> None:
    runs = [stored(2), stored(1), stored(3, commit="b")]
    assert merged([run.provenance for run in runs], "runs") == {"commit": "a (2 runs); b (1 runs)", "machine": "m"}
    assert merged([], "runs") == {}
    assert merged([{"a": "1"}, {"b": "2"}], "jobs") == {"a": "1 (1 jobs); unknown (1 jobs)", "b": "2 (1 jobs); unknown (1 jobs)"}


def test_seeds_are_counted_once() -> None:
    assert seeds_of([stored(1), stored(2), stored(2)], 5) == "2 of 5"


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        ([None, None], ""),
        ([None, 1200], "1 diverged (seed 1 in step 1,200)"),
        ([7, 5, None, 9], "3 diverged (seed 0 in step 7, seed 1 in step 5, seed 3 in step 9)"),
        ([7, 5, 3000, 9], "4 diverged (in steps 5 to 3,000)"),
    ],
)
def test_divergences_are_listed_while_there_are_few(steps: list[int | None], text: str) -> None:
    assert divergences([stored(seed, step=step) for seed, step in enumerate(steps)]) == text
