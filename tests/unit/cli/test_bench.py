"""`flatproof bench`: what it refuses, and the one way in which rows are shown."""

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["bench", "images", "--repeats", "0"], "--repeats must be a whole number of at least 1, got 0"),
        (["bench", "images", "--workload", "vit"], "workload must be one of mlp, batch 256; mlp, batch 64; C1, batch 256"),
        (["bench", "certify", "--repeats", "0"], "--repeats must be a whole number of at least 1, got 0"),
        (["bench", "ascent", "--repeats", "0"], "--repeats must be a whole number of at least 1, got 0"),
        (["bench", "train", "--repeats", "0"], "--repeats must be a whole number of at least 1"),
        (["bench", "hvp", "--rounds", "0"], "--rounds must be a whole number of at least 1, got 0"),
        (["bench", "hvp", "--workload", "lenet"], "--workload must be one of two-layer, mlp, vgg11, resnet18, vit, got 'lenet'"),
        (["bench", "large", "--size", "7m"], "--size must be one of 6m, 25m, 100m, got '7m'"),
        (["bench", "large", "--peak", "0"], "--peak must be"),
        (["bench", "sweep", "--workers", "0"], "--workers must be a whole number of at least 1, got 0"),
        (["bench", "sweep", "--runs", "1"], "--runs must be at least 2, got 1"),
        (["bench", "hvp", "--out", "/proc/nowhere"], "cannot use /proc/nowhere"),
    ],
)
def test_bad_input_is_one_line(refusal: Callable[[list[str]], str], arguments: list[str], words: str) -> None:
    assert words in refusal(arguments)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """The four benchmarks at sizes that take a moment."""
    from flatproof.verify.bench import ascents, certify, images, steps

    mlp = replace(images.WORKLOADS[0], name="mlp", n=64, batch_size=32)
    monkeypatch.setattr(steps, "STEPS", {"fused": 100, "torch": 2, "jax": 10})
    monkeypatch.setattr(steps, "LATE", 2)
    monkeypatch.setattr(steps, "ALL", 11)
    monkeypatch.setattr(certify, "WORKLOADS", (certify.Workload("cube d=3", "no-bias", 3, 8),))
    monkeypatch.setattr(images, "WORKLOADS", (mlp,))
    monkeypatch.setattr(images, "WORKERS", (0,))
    for name, value in (("IMAGES", 24), ("BATCH", 12), ("EPOCHS", 1), ("STEPS", 3)):
        monkeypatch.setattr(ascents, name, value)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    ("name", "implementations", "value"),
    [
        ("train", {"fused", "torch", "moments", "as chosen"}, "us_per_step"),
        ("certify", {"flatproof", "cvxpy, all patterns"}, "seconds"),
        ("images", {"flatproof", "DataLoader, 0 workers"}, "seconds"),
        ("ascent", {"flatproof", "as published", "flatproof, 8 starts"}, "seconds"),
    ],
)
def test_rows_are_json_or_a_table_with_its_provenance(
    command: Callable[..., Any], name: str, implementations: set[str], value: str
) -> None:
    done = command("bench", name, "--repeats", "2", "--json")
    assert done.status == 0, done.err
    rows = json.loads(done.out)
    assert implementations <= {row["implementation"] for row in rows}
    low, high = ("us_low", "us_high") if name == "train" else ("low", "high")
    assert all(0 < row[low] <= row[value] <= row[high] for row in rows)
    assert {row["repeats"] for row in rows if row["implementation"] != "as chosen"} == {2}  # a whole run is timed once
    done = command("bench", name, "--repeats", "1")
    assert done.status == 0, done.err
    last = done.out.splitlines()[-1]
    assert last.startswith("median and range of 1 ")
    assert "; python: " in last
    assert all(row["implementation"].split(",")[0] in done.out for row in rows)


def test_sweeps_of_empty_runs_store_every_run(tmp_path: Path) -> None:
    from flatproof.verify.bench.sweeps import EmptyRun, sweep_rates, swept, written
    from flatproof.verify.jobs.store import Store

    rows = sweep_rates(repeats=1, runs=6, workers=1)
    assert {"sweep, this process", "sweep, local processes", "store, one a write"} <= {row.what for row in rows}
    assert all(row.rate > 0 and row.low <= row.rate <= row.high for row in rows)
    jobs = [EmptyRun(seed) for seed in range(5)]
    with closing(Store(tmp_path / "swept.sqlite")) as store:
        swept(jobs, store, 1)
        assert not store.missing(jobs)
    with closing(Store(tmp_path / "written.sqlite")) as store:
        written(jobs, store, 2)
        assert not store.missing(jobs)
