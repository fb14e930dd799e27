"""The rule of table-1's verdicts, on made-up curves; the grid against the paper's Table 2."""

from dataclasses import replace

import pandas as pd
import pytest

from verify.experiments import EXPERIMENTS, check_scale, select, wen2023
from verify.experiments.wen2023 import ROWS, judge, table_1, verdict
from verify.store import Stored
from verify.training import Result

ROW = {row.figure: row for row in ROWS}


def ended(accuracy: float, loss: float = 0.0, first_loss: float = 0.0, status: str = "finished", row: str = "2a") -> Stored:
    """A run measured at the start and at the end of each phase."""
    epochs = [0.0]
    for phase in ROW[row].phases:
        epochs.append(epochs[-1] + phase.epochs)
    losses = [1.0, *[first_loss] * (len(epochs) - 2), loss]
    accuracies = [0.5, *[0.99] * (len(epochs) - 2), accuracy]
    curve = {
        "epoch": epochs,
        "train_loss": losses,
        "test_accuracy": accuracies,
        "test_loss": losses,
        "trace": [20.0] * len(epochs),
    }
    return Stored({"seed": 1}, Result(status, curve, 10.0, None, None, 1.0), {"commit": "c"})


def test_a_run_is_judged_where_it_last_interpolated() -> None:
    row = ROW["2a"]
    assert judge(row, [ended(0.7)], "paper").accuracy == [0.7]
    collapsed = judge(row, [ended(0.7, loss=1.0)], "paper")
    assert (collapsed.accuracy, collapsed.off) == ([0.99], 1)
    never = judge(row, [ended(0.7, loss=1.0, first_loss=1.0)], "paper")
    assert (never.accuracy, never.off) == ([0.7], 1)
    assert judge(row, [ended(0.7, status="diverged")], "paper").diverged == 1


@pytest.mark.parametrize(
    ("accuracies", "printed", "shortened", "expected"),
    [
        ([1.0, 1.0, 1.0], "yes", False, ("yes", "agrees")),
        ([1.0, 1.0, 1.0], "no", False, ("yes", "differs")),
        ([0.6, 0.62, 0.61], "no", False, ("no", "agrees")),
        ([0.6, 0.62, 0.61], "yes", False, ("no", "differs")),
        ([0.6, 0.62, 0.61], "yes", True, ("no", "inconclusive")),
        ([1.0, 1.0, 1.0], "no", True, ("yes", "inconclusive")),
        ([1.0, 1.0, 1.0], "yes", True, ("yes", "agrees")),
        ([1.0, 0.6, 0.9], "yes", False, ("inconclusive", "inconclusive")),
        ([1.0, 1.0], "yes", False, ("inconclusive", "inconclusive")),
    ],
)
def test_verdicts(accuracies: list[float], printed: str, shortened: bool, expected: tuple[str, str]) -> None:
    judged = judge(ROW["1b"], [ended(a, row="1b") for a in accuracies], "paper")
    assert verdict(judged, 10_000, printed, shortened) == expected


def test_a_diverged_run_makes_the_verdict_inconclusive() -> None:
    runs = [ended(1.0, row="1b")] * 4 + [ended(1.0, row="1b", status="diverged")]
    assert verdict(judge(ROW["1b"], runs, "paper"), 10_000, "yes", False) == ("inconclusive", "inconclusive")


def test_table_shows_what_was_not_run_and_what_diverged() -> None:
    stored = {row.figure: [] for row in ROWS} | {"1b": [ended(1.0, row="1b")] * 3, "6a": [ended(0, status="diverged", row="6a")]}
    table = table_1(stored, "paper")
    by = table.shown.set_index("architecture")
    assert by.loc["no-bias", "verdict"] == "agrees"
    assert by.loc["bias", "verdict"] == "not run"
    assert by.loc["sim-ln", "verdict"] == "all diverged"
    assert by.loc["sim-bn", "weight decay: test accuracy"] == "–"
    assert isinstance(table.raw, pd.DataFrame)
    smoke = table_1(stored, "smoke").shown.set_index("architecture")
    assert smoke.loc["no-bias", "verdict"] == "not judged"


def test_paper_scale_is_as_printed_and_quick_shortens_sim_bn_alone() -> None:
    """wen2023, Experiments table."""
    printed = {row.figure: [(p.lr, p.rho, p.batch_size, p.weight_decay, p.epochs) for p in row.phases] for row in ROWS}
    assert printed == {
        "1a": [(0.01, 0, 100, 0.05, 100_000)],
        "1b": [(0.01, 0.05, 1, 0, 100_000)],
        "2a": [(0.005, 0.1, 1, 0, 100_000), (0.003, 1, 1, 0, 100_000)],
        "4a": [(0.01, 0, 100, 0.05, 100_000)],
        "4b": [(0.01, 0.05, 1, 0, 200_000), (0.01, 0.1, 1, 0, 400_000)],
        "6a": [(0.1, 0.1, 1, 0, 100_000)],
    }
    for row in ROWS:
        assert wen2023.phases(row, "paper") == row.phases
        assert (wen2023.phases(row, "quick") == row.phases) == (row.figure != "2a")
        for run in wen2023.runs(row, "quick", 2):
            assert (run.width, run.data.settings) == (500, {"d": 30, "n": 100})
        assert wen2023.runs(row, "quick", 1)[0].first_layer_scale == (0.01 if row.figure == "6a" else 1)


def test_a_table_and_its_figures_share_their_runs() -> None:
    keys = {run.key for _, run in wen2023.grid([wen2023.TABLE_1], "quick", 5)}
    assert len(keys) == 30
    assert {run.key for _, run in wen2023.grid(["wen2023/figure-4b"], "quick", 5)} < keys


def test_ids() -> None:
    assert select([]) == {paper: list(e.ARTIFACTS) for paper, e in EXPERIMENTS.items()}
    assert select(["wen2023/figure-1b", "wen2023/figure-1b"]) == {"wen2023": ["wen2023/figure-1b"]}
    with pytest.raises(ValueError, match=r"unknown id 'wen2023/figure-99'; expected one of: wen2023, wen2023/table-1"):
        select(["wen2023/figure-99"])
    with pytest.raises(ValueError, match="scale must be one of smoke, quick, paper, got 'huge'"):
        check_scale("huge")


def test_rows_are_frozen_settings() -> None:
    with pytest.raises(AttributeError):
        ROW["1a"].figure = "x"
    assert replace(ROW["1a"], figure="x").id == "wen2023/figure-x"
