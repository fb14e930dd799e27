"""Readings of figure 2's second phase: what they train, and the table from networks built by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from flatproof.verify.experiments import readings
from flatproof.verify.experiments.readings import EXPERIMENT, FIGURE_1, READINGS, TABLE
from flatproof.verify.experiments.wen2023.grid import ROW, runs
from flatproof.verify.jobs.store import Store


def test_the_printed_reading_is_figure_2a_itself() -> None:
    printed = READINGS[0].row
    assert printed.phases == ROW["2a"].phases
    assert [run.key for run in runs(printed, "paper", 2)] == [run.key for run in runs(ROW["2a"], "paper", 2)]


def test_readings_differ_in_what_sam_moves_alone() -> None:
    made = [runs(reading.row, "paper", 1)[0] for reading in READINGS]
    assert len({run.key for run in made}) == len(READINGS)
    plain = [replace(run, phases=tuple(replace(p, perturbed="all") for p in run.phases)) for run in made]
    assert len({run.key for run in plain}) == 1


def test_seeds_run_in_turn_over_all_readings() -> None:
    rows = EXPERIMENT.grid([TABLE], "quick", 2)
    assert [name for name, _ in rows[: len(READINGS)]] == [f"{reading.name}, seed 1" for reading in READINGS]
    assert len(EXPERIMENT.grid([FIGURE_1], "quick", 3)) == 3


def test_the_table_from_real_runs(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite") as store:
        (empty,) = EXPERIMENT.build([TABLE, FIGURE_1], "smoke", 1, store)
        assert not empty.shown.isna().any(axis=None)
        assert list(empty.shown["SAM moves"]) == ["printed in the paper", *(reading.name for reading in READINGS)]
        for reading in READINGS[:2]:
            run = runs(reading.row, "smoke", 1)[0]
            store.put(run, run.carry_out(), {"commit": "c"})
        table, figure = EXPERIMENT.build([TABLE, FIGURE_1], "smoke", 1, store)
        assert list(table.raw["SAM moves"]) == [reading.name for reading in READINGS[:2]]
        assert (table.raw["column 1"] > 0).all()
        assert np.isfinite(table.raw["training loss"]).all()
        assert list(table.shown["seeds"])[1:] == ["1 of 1", "1 of 1", "0 of 1", "0 of 1"]
        assert figure.id == readings.FIGURE_1
