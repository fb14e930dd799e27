"""Outcomes of another machine: which enter a store, which are refused and why, and that what is stored stays."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flatproof.verify.deep import ImageData, Method, Net, Stop, Training
from flatproof.verify.experiments.incoming import known_versions, take
from flatproof.verify.experiments.keskar2017.jobs import Sharpness
from flatproof.verify.jobs import seals
from flatproof.verify.jobs.job import Computation, Job, Outcome, address
from flatproof.verify.jobs.rows import Kept, Row
from flatproof.verify.jobs.store import Store, StoreError
from tests.unit.cli.study import Draw

GPU = {"device": "NVIDIA H200", "driver": "580.159.03"}
TRAINING = Training(ImageData("synthetic"), Net("vgg11"), Method(lr=0.1), Stop(1), device="cuda")


def row(settings: dict[str, Any], provenance: dict[str, str] = GPU, outcome: dict[str, Any] | None = None) -> Kept:
    """An outcome under any settings."""
    texts = json.dumps(settings), None, json.dumps(outcome or {"status": "finished"})
    made = Row(address(settings), *texts, 1.0, json.dumps(provenance), "2026-01-01 00:00:00", None)
    return Kept("jobs", made, made.seal("jobs"))


def stored(folder: Path, jobs: list[Job[Any]], provenance: dict[str, str], arrays: bool = True) -> list[Kept]:
    with Store(folder / "there.sqlite") as store:
        for job in jobs:
            outcome = job.carry_out()
            store.put(job, outcome if isinstance(outcome, Outcome) else Outcome(outcome), provenance)
        return store.rows({job.key: arrays for job in jobs})


def test_new_outcomes_enter_once_and_known_ones_stay(tmp_path: Path) -> None:
    jobs: list[Job[Any]] = [Draw("a", seed) for seed in (1, 2, 3)]
    rows = stored(tmp_path, jobs, GPU)
    with Store(tmp_path / "here.sqlite") as store:
        store.put(jobs[0], Outcome({"last": 7.0}), {"machine": "mine"})
        taken = take([*rows, *rows], store)
        assert ({*taken.new}, taken.known, taken.refused) == ({jobs[1].key, jobs[2].key}, 1, {})
        assert taken.devices == {"NVIDIA H200 (driver 580.159.03)": 3}
        again = take(rows, store)
        assert (again.new, again.known) == ((), 3)
        mine, theirs = store.get(jobs[0]), store.get(jobs[1])
        assert mine is not None
        assert (mine.result["last"], mine.provenance) == (7.0, {"machine": "mine"})
        assert theirs is not None
        assert theirs.result["last"] == jobs[1].carry_out().values["last"]  # type: ignore[union-attr]
        assert theirs.provenance == GPU


def test_a_run_whose_curves_were_cut_is_refused(tmp_path: Path) -> None:
    kept = row(TRAINING.settings(), outcome={"status": "finished", "curve": {"loss": [2.0, 1.0]}})
    with Store(tmp_path / "here.sqlite") as store:
        assert take([kept.cut()], store).refused == {kept.row.key: "of its curves the ends alone were published"}
        assert take([kept], store).new == (kept.row.key,)


def _changed(settings: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return settings | changes


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"job": "a job of tomorrow", "version": 1}, "the job 'a job of tomorrow' is unknown here"),
        ({"job": "draw", "version": 9}, "the job 'draw' has version 9, this version of flatproof has 1"),
        ({"engine_version": 99}, "a run has engine_version 99"),
        ({"job": "kaur2023", "version": 1, "training": {"job": "training", "version": 3}}, "the job 'training' has version 3"),
        ({"seed": 1}, "its settings name no job"),
    ],
)
def test_other_versions_are_refused_by_name(tmp_path: Path, settings: dict[str, Any], why: str) -> None:
    good = row({"job": "draw", "version": 1, "name": "a", "seed": 1})
    with Store(tmp_path / "here.sqlite") as store:
        taken = take([row(settings), good], store)
        assert list(taken.new) == [good.row.key]
        assert list(taken.refused) == [address(settings)]
        assert why in taken.refused[address(settings)]
        assert len(store) == 1


def test_a_measurement_is_refused_with_the_training_that_it_names(tmp_path: Path) -> None:
    """Its settings hold the training's address alone."""
    old = _changed(TRAINING.settings(), version=3)
    measured = _changed(Sharpness(TRAINING, None, 10).settings(), training=address(old))
    with Store(tmp_path / "here.sqlite") as store:
        assert [*take([row(measured)], store).new] == [address(measured)]
        taken = take([row(_changed(measured, points=11)), row(old)], store)
        assert taken.new == ()
        assert {*taken.refused.values()} == {"the job 'training' has version 3, this version of flatproof has 4"}


def test_a_gpu_must_be_named_by_what_says_it_ran_on_one(tmp_path: Path) -> None:
    settings = TRAINING.settings()
    with Store(tmp_path / "here.sqlite") as store:
        taken = take([row(settings, {"machine": "m"})], store)
        assert taken.refused == {TRAINING.key: "its settings say device cuda, and its provenance names none"}
        assert take([row(settings)], store).new == (TRAINING.key,)


def test_outcomes_without_their_arrays_are_refused(tmp_path: Path) -> None:
    rows = stored(tmp_path, [Draw("a", 1)], GPU, arrays=False)
    with Store(tmp_path / "here.sqlite") as store:
        assert list(take(rows, store).refused.values()) == ["its arrays were not published with it"]
        assert len(store) == 0


def test_of_two_with_one_address_the_first_that_may_enter_counts(tmp_path: Path) -> None:
    bare = stored(tmp_path, [Draw("a", 1)], GPU, arrays=False)
    (tmp_path / "there.sqlite").unlink()
    whole = stored(tmp_path, [Draw("a", 1)], {"machine": "another"})
    with Store(tmp_path / "here.sqlite") as store:
        taken = take([*bare, *whole], store)
        assert (taken.new, taken.refused) == ((Draw("a", 1).key,), {})
        assert store.rows({Draw("a", 1).key: True}) == whole


def test_a_failure_in_the_middle_leaves_the_store_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = stored(tmp_path, [Draw("a", seed) for seed in (1, 2)], GPU)
    note: Callable[..., None] = seals.note

    def failing(connection: Any, noted: Any) -> None:
        note(connection, noted)
        raise OSError("disk full")

    with Store(tmp_path / "here.sqlite") as store:
        monkeypatch.setattr(seals, "note", failing)
        with pytest.raises(StoreError, match="disk full"):
            take(rows, store)
        monkeypatch.setattr(seals, "note", note)
        assert len(store) == 0
        assert len(take(rows, store).new) == 2


def test_every_job_of_the_project_has_a_known_version() -> None:
    versions = known_versions()
    assert {"training", "kaur2023", "keskar2017", "atlas decisions", "certificate", "own sweep", "study"} <= {*versions}
    assert all(isinstance(version, int) for version in versions.values())
    assert versions["draw"] == Draw.VERSION
    assert issubclass(Draw, Computation)
