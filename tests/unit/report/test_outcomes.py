"""Published outcomes: what is written is read back, the same store gives the same bytes, and an alteration is seen."""

import json
import lzma
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from flatproof.verify.jobs.job import Outcome
from flatproof.verify.jobs.store import DamagedRow, Store, filled
from flatproof.verify.report import outcomes
from flatproof.verify.report.artifacts import Table
from flatproof.verify.report.outcomes import Asked, Build, DamagedOutcomes, OutcomesError, listed, load, save
from flatproof.verify.report.write import write
from tests.unit.cli.study import Draw

JOBS = [Draw("a", seed) for seed in (1, 2)]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    with Store(tmp_path / "s.sqlite") as store:
        for job in JOBS:
            store.put(job, job.carry_out(), {"commit": "abc", "machine": "µ"})
        rows = store.rows({JOBS[0].key: True, JOBS[1].key: False, "0" * 64: True})
    return Build(Asked("quick", 2, "flatproof reproduce"), tuple(rows), {"study/table-1": "0" * 64})


def test_what_is_written_is_read_back(build: Build, tmp_path: Path) -> None:
    path = tmp_path / "outcomes.jsonl.xz"
    save(path, [build])
    assert load(path) == [build]
    first = path.read_bytes()
    path.unlink()
    assert listed(tmp_path) == {}
    save(path, [replace(build, editions={"mnist, files": "there"})])
    assert load(path)[0].editions == {"mnist, files": "there"}
    save(path, load_again := [build])
    assert path.read_bytes() == first
    assert len(load_again[0].rows) == 2
    with filled(tmp_path / "other.sqlite", load(path)[0].rows) as store:
        kept = store.get(JOBS[0])
        assert kept is not None
        assert np.array_equal(kept.result["drawn"], JOBS[0].carry_out().arrays["drawn"])
        assert kept.provenance == {"commit": "abc", "machine": "µ"}
        assert store.get(JOBS[1], arrays=False) is not None
        with pytest.raises(DamagedRow, match="its arrays are not there"):
            store.get(JOBS[1])


def test_readings_are_kept_of_rows_without_their_arrays(build: Build, tmp_path: Path) -> None:
    path, gone = tmp_path / "outcomes.jsonl.xz", "f" * 64
    save(path, [replace(build, readings={key: {"last": {"value": 0.1 + 0.2}} for key in (JOBS[0].key, JOBS[1].key, gone)})])
    (loaded,) = load(path)
    assert loaded.readings == {JOBS[1].key: {"last": {"value": 0.1 + 0.2}}}

    def never(_: object) -> dict[str, float]:
        raise AssertionError("it was read before")

    with filled(tmp_path / "other.sqlite", loaded.rows, loaded.readings) as store, store.noting() as noted:
        assert store.reading(JOBS[1], "last", never) == {"value": 0.1 + 0.2}
        assert store.reading(JOBS[0], "first", lambda result: {"value": float(result["drawn"][0])}) is not None
        assert store.reading(Draw("b", 9), "last", never) is None
        with pytest.raises(DamagedRow, match="its arrays are not there"):
            store.reading(JOBS[1], "first", never)
    assert noted.rows == {JOBS[0].key: False, JOBS[1].key: False}
    assert {key: [*of_row] for key, of_row in noted.readings.items()} == {JOBS[0].key: ["first"], JOBS[1].key: ["last"]}


def test_arrays_that_were_got_too_are_kept_beside_their_reading(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite") as store:
        store.put(JOBS[0], JOBS[0].carry_out(), {"commit": "abc"})
        for first in ("get", "reading"):
            with store.noting() as noted:
                for step in (first, "get", "reading"):
                    if step == "get":
                        store.get(JOBS[0])
                    else:
                        store.reading(JOBS[0], "first", lambda result: {"value": float(result["drawn"][0])})
            assert noted.rows == {JOBS[0].key: True}
            assert noted.readings.keys() == {JOBS[0].key}


@pytest.fixture
def of_curves(tmp_path: Path) -> Build:
    """Of the first job's curves the ends were read, of the second's all."""
    curve = {"loss": [0.3, 0.1 + 0.2], "trace": [2.0, 1.0], "accuracy": []}
    with Store(tmp_path / "s.sqlite") as store:
        for job in JOBS:
            store.put(job, Outcome({"last": 1.0, "curve": curve}, 1.5, job.carry_out().arrays), {"commit": "abc"})
        with store.noting() as noted:
            store.get(JOBS[0], arrays=False, curves=False)
            store.get(JOBS[1], arrays=False, curves=False)
            store.get(JOBS[1], arrays=False)
        assert (noted.rows, noted.curves) == ({job.key: False for job in JOBS}, {JOBS[1].key})
        return Build(Asked("quick", 2, "c"), tuple(store.rows(noted.rows)), ends=frozenset(noted.rows.keys() - noted.curves))


def published_alone(build: Build, folder: Path) -> list[Build]:
    """What is read back of a build that was published with one artifact."""
    table = Table("study/table-1", "t", pd.DataFrame({"a": ["1"]}), pd.DataFrame({"a": [1]}), (), {"scale": "quick"}, ("a",))
    write([table], folder, "c", {})
    outcomes.publish(build, [table], folder)
    return load(folder / "study" / outcomes.NAME)


def test_curves_of_which_the_ends_were_read_are_cut_where_all_are_too_large(
    of_curves: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (whole,) = published_alone(of_curves, tmp_path / "whole")
    assert whole.rows == of_curves.rows
    monkeypatch.setattr(outcomes, "CURVES", 50)
    (build,) = published_alone(of_curves, tmp_path / "cut")
    first, second = sorted(build.rows, key=lambda kept: kept.row.key != JOBS[0].key)
    (before,) = (kept for kept in of_curves.rows if kept.row.key == JOBS[0].key)
    assert json.loads(first.row.outcome) == {"last": 1.0, "curve": {"loss": [0.1 + 0.2], "trace": [1.0], "accuracy": []}}
    assert first.whole == before.seal != first.seal
    assert first.seal.arrays == before.seal.arrays is not None
    assert second in of_curves.rows
    with filled(tmp_path / "other.sqlite", build.rows) as store, store.noting() as noted:
        result = store.get(JOBS[0], arrays=False, curves=False)
        assert result is not None
        assert (result.seconds, result.provenance) == (1.5, {"commit": "abc"})
        assert store.get(JOBS[1], arrays=False) is not None
        with pytest.raises(DamagedRow, match="of its curves the ends alone were published"):
            store.get(JOBS[0], arrays=False)
        again = replace(build, rows=tuple(store.rows(noted.rows)), ends=frozenset({JOBS[0].key}))
    content = (tmp_path / "cut" / "study" / outcomes.NAME).read_bytes()
    published_alone(again, tmp_path / "cut")
    assert (tmp_path / "cut" / "study" / outcomes.NAME).read_bytes() == content


def test_an_altered_end_of_a_curve_is_seen(of_curves: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "CURVES", 50)
    published_alone(of_curves, tmp_path)
    path = tmp_path / "study" / outcomes.NAME
    written = lines(path.read_bytes())
    (cut,) = (line for line in written if line.get("ends"))
    cut["outcome"] = cut["outcome"].replace("[1.0]", "[0.5]")
    path.write_bytes(lzma.compress("".join(json.dumps(line) + "\n" for line in written).encode()))
    with pytest.raises(DamagedOutcomes, match="its digest is that of other content"):
        load(path)


def test_what_follows_the_end_of_a_file_is_not_passed_over(build: Build, tmp_path: Path) -> None:
    """As of `cat one.xz other.xz`, which `xz -dc` shows as one text."""
    save(path := tmp_path / outcomes.NAME, [build])
    path.write_bytes(2 * path.read_bytes())
    with pytest.raises(DamagedOutcomes, match="something follows its end, perhaps another file joined to it"):
        load(path)


def test_text_nested_too_deep_is_damage(tmp_path: Path) -> None:
    (path := tmp_path / outcomes.NAME).write_bytes(lzma.compress(b"[" * 10**5))
    with pytest.raises(DamagedOutcomes, match=r"cannot be read \(RecursionError\)"):
        load(path)
    (tmp_path / "study").mkdir()
    path.rename(there := tmp_path / "study" / outcomes.NAME)
    assert listed(tmp_path) == {there: {}}


def test_files_of_outcomes_are_listed_with_whose_they_are(build: Build, tmp_path: Path) -> None:
    other = replace(build, artifacts={"study/figure-1": "1" * 64})
    (tmp_path / "study" / "paper_scale").mkdir(parents=True)
    (tmp_path / "broken").mkdir()
    save(whole := tmp_path / "study" / outcomes.NAME, [build, other])
    save(paper := tmp_path / "study" / "paper_scale" / outcomes.NAME, [other])
    (broken := tmp_path / "broken" / outcomes.NAME).write_bytes(whole.read_bytes()[:40])
    assert listed(tmp_path) == {whole: build.artifacts | other.artifacts, paper: other.artifacts, broken: {}}


def test_a_row_stands_once_with_its_arrays_where_one_build_needs_them(build: Build, tmp_path: Path) -> None:
    path = tmp_path / "outcomes.jsonl.xz"
    bare = tuple(kept._replace(row=kept.row._replace(arrays=None)) for kept in build.rows)
    save(path, [Build(Asked("quick", 2, "c"), bare, {"study/figure-1": "1" * 64}), build])
    first, second = load(path)
    assert first.rows == second.rows == build.rows
    assert len(lzma.decompress(path.read_bytes()).splitlines()) == 1 + 2 + 2


def test_rows_of_the_same_job_from_two_machines_stand_beside_each_other(build: Build, tmp_path: Path) -> None:
    with Store(tmp_path / "elsewhere.sqlite") as store:
        store.put(JOBS[0], Outcome({"last": 1.0, "seconds": 0.5}), {"commit": "abc"})
        other = Build(Asked("quick", 2, "c"), tuple(store.rows({JOBS[0].key: False})), {"study/figure-1": "1" * 64})
    path = tmp_path / "outcomes.jsonl.xz"
    save(path, [build, other])
    assert load(path) == [other, build]


def lines(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lzma.decompress(content).decode().splitlines()]


ALTERATIONS: dict[str, Callable[[list[dict[str, Any]]], None]] = {
    "a number": lambda written: written[2].update(outcome=written[2]["outcome"].replace("0.5", "0.6")),
    "a build's seeds": lambda written: written[1].update(seeds=3),
    "a row less": lambda written: written.pop(),
    "a later format": lambda written: written[0].update(format=2),
    "another kind": lambda written: written[0].update(kind="other"),
    "no digest": lambda written: written[0].pop("digest"),
}


@pytest.mark.parametrize("name", ALTERATIONS)
def test_an_alteration_is_named(build: Build, tmp_path: Path, name: str) -> None:
    path = tmp_path / "outcomes.jsonl.xz"
    save(path, [build])
    written = lines(path.read_bytes())
    ALTERATIONS[name](written)
    path.write_bytes(lzma.compress("".join(json.dumps(line) + "\n" for line in written).encode()))
    with pytest.raises(DamagedOutcomes, match=r"outcomes.jsonl.xz is damaged: .*; expected what 'flatproof reproduce' wrote"):
        load(path)


def test_a_row_that_is_not_as_it_was_sealed_is_named(build: Build, tmp_path: Path) -> None:
    """Though the file's digest is right: who wrote it read an altered row."""
    (kept, *rest) = build.rows
    altered = kept._replace(row=kept.row._replace(outcome=kept.row.outcome.replace("0.5", "0.6")))
    path = tmp_path / "outcomes.jsonl.xz"
    save(path, [Build(build.asked, (altered, *rest), build.artifacts)])
    with pytest.raises(DamagedOutcomes, match=rf"row {kept.row.key[:12]}: it was altered after it was written"):
        load(path)


def test_a_flipped_bit_is_refused_or_changes_nothing(build: Build, tmp_path: Path) -> None:
    path = tmp_path / "outcomes.jsonl.xz"
    save(path, [build])
    sound, refused = path.read_bytes(), 0
    for at in range(0, len(sound), 7):
        path.write_bytes(sound[:at] + bytes([sound[at] ^ 1 << at % 8]) + sound[at + 1 :])
        try:
            assert load(path) == [build]
        except DamagedOutcomes:
            refused += 1
    assert refused > 100


def test_what_could_not_be_read_again_is_not_written(build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "outcomes.jsonl.xz"
    monkeypatch.setattr(outcomes, "LARGEST", 1000)
    with pytest.raises(OutcomesError, match=r"more than 1,000: these outcomes are not published"):
        save(path, [build])
    assert not path.exists()
