"""The rules of the verdicts of table-1 and table-2, on made-up curves; the grid against the paper's Table 2."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from flatproof import theory
from flatproof.theory.check_parity import check
from flatproof.verify.experiments import EXPERIMENTS, check_scale, select
from flatproof.verify.experiments.vocabulary import Verdict
from flatproof.verify.experiments.wen2023 import CLAIMS, CLAIMS_GRAPH, EXPERIMENT, flattest, grid, published, rules, show
from flatproof.verify.experiments.wen2023.grid import ROW, ROWS, phases
from flatproof.verify.experiments.wen2023.rules import judge, observed
from flatproof.verify.jobs.job import Stored
from flatproof.verify.jobs.store import Store
from flatproof.verify.two_layer.training import Result, stored_form, train
from tests.networks import random_network


def ended(
    accuracy: float,
    loss: float = 0.0,
    first_loss: float = 0.0,
    status: str = "finished",
    row: str = "2a",
    seed: int = 1,
    trace: float = 20.0,
    bound: float = 10.0,
    scale: str = "paper",
) -> Stored:
    """A run measured at the start and at the end of each phase; 0.99 accurate before the last."""
    epochs = [0.0]
    for phase in phases(ROW[row], scale):
        epochs.append(epochs[-1] + phase.epochs)
    losses = [1.0, *[first_loss] * (len(epochs) - 2), loss]
    accuracies = [0.5, *[0.99] * (len(epochs) - 2), accuracy]
    curve = {
        "epoch": epochs,
        "train_loss": losses,
        "test_accuracy": accuracies,
        "test_loss": losses,
        "trace": [trace] * len(epochs),
    }
    step = 17 if status == "diverged" else None
    return Stored({"seed": seed}, Result(status, curve, bound, None, None, 1.0, step), {"commit": "c"})


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
        ([1.0] * 5, "yes", False, ("yes", "agrees")),
        ([1.0] * 5, "no", False, ("yes", "differs")),
        ([0.6] * 5, "no", False, ("no", "agrees")),
        ([0.6] * 5, "yes", False, ("no", "differs")),
        ([0.6] * 5, "yes", True, ("no", "inconclusive")),
        ([1.0] * 5, "no", True, ("yes", "inconclusive")),
        ([1.0] * 5, "yes", True, ("yes", "agrees")),
        ([1.0] * 4, "yes", False, ("inconclusive", "inconclusive")),
        ([1.0] * 4 + [0.891], "yes", True, ("inconclusive", "inconclusive")),
        ([1.0] * 15 + [0.5] * 5, "yes", False, ("yes", "agrees")),
    ],
)
def test_verdicts(accuracies: list[float], printed: str, shortened: bool, expected: tuple[str, str]) -> None:
    runs = rules.observations(ROW["2a"], [ended(a, seed=seed) for seed, a in enumerate(accuracies)], "paper")
    assert rules.generalization(ROW["2a"], runs, "quick" if shortened else "paper", printed) == expected


@pytest.mark.parametrize("scale", ["quick", "paper"])
@pytest.mark.parametrize("loss", [0.0, 1.0], ids=["fits", "leaves interpolation"])
@pytest.mark.parametrize("accuracies", [[1.0] * 5, [1.0] * 4, [0.5] * 5, [1.0] * 3 + [0.5] * 2, [None] * 5, [1.0] * 4 + [None]])
def test_the_tables_judge_the_same_runs_alike(accuracies: list[float | None], loss: float, scale: str) -> None:
    """Table-1's line of Sim-BN and table-2's of figure 2a have one statement: their verdicts are the same, whatever the runs do."""
    runs = [
        ended(a or 0.0, loss, seed=seed, status="finished" if a else "diverged", scale=scale) for seed, a in enumerate(accuracies)
    ]
    stored = {row.figure: [] for row in ROWS} | {"2a": runs}
    first = show.table_1(stored, scale, 5).shown.set_index("architecture").loc["sim-bn", "verdict"]
    second = show.table_2(observed(stored, scale), scale, stored, 5).shown.set_index("figure").loc["2a", "verdict"]
    assert first == second
    if all(accuracies) and loss:
        assert first == "inconclusive"


def test_a_trace_off_interpolation_is_not_set_against_the_bound() -> None:
    never = judge(ROW["2a"], [ended(0.7, loss=1.0, first_loss=1.0)] * 2 + [ended(0.9, trace=30)], "paper")
    assert (len(never.trace), never.trace_ratio) == (3, [3.0])
    stored = {row.figure: [] for row in ROWS} | {"2a": [ended(0.7, loss=1.0, first_loss=1.0, seed=s) for s in (1, 2)]}
    assert show.table_1(stored, "paper", 5).shown.set_index("architecture").loc["sim-bn", "1-SAM: trace / lower bound"] == "–"


def test_uniform_ball_has_no_accuracy() -> None:
    """Its labels are real numbers; what was stored of it is shown by its test loss alone."""
    run = grid.runs(ROW["7a"], "smoke", 1)[0]
    stored = {"7a": [Stored({"seed": s}, train(replace(run, seed=s)), {"commit": "c"}) for s in (1, 2)]}
    line = show.table_2(observed(stored, "smoke"), "smoke", stored, 2)
    shown = line.shown.set_index("figure").loc["7a"]
    assert shown["test accuracy"] == "–"
    assert " / " in shown["test loss"]
    assert np.isnan(line.raw.set_index("figure").loc["7a", "test accuracy, median"])
    assert judge(ROW["7a"], stored["7a"], "smoke").accuracy == []


def test_what_fluctuates_is_judged_by_its_median() -> None:
    """Over the last quarter of the judged phase, whatever the last value or an earlier one is."""
    one = ended(0.99, row="6a")
    epochs = [0.0, 70_000.0, *np.linspace(75_000, 100_000, 9)]
    trace = [100.0, 100.0, 1, 2, 3, 4, 5, 6, 7, 8, 90]
    level = dict.fromkeys(("test_accuracy", "test_loss"), [0.99] * 11)
    curve = {"epoch": epochs, "trace": trace, "train_loss": [0.0] * 10 + [3.0], **level}
    one = replace(one, result=replace(one.result, curve=curve, lower_bound=2.0))
    judged = judge(ROW["6a"], [one], "paper")
    assert (judged.trace, judged.trace_ratio, judged.off) == ([5.0], [2.5], 0)
    found = rules.observations(ROW["6a"], [one], "paper")[1]
    assert found is not None
    assert (found.trace, found.off) == (5.0, False)


def test_a_diverged_run_shows_neither() -> None:
    runs = [ended(1.0, row="1b", seed=s) for s in range(4)] + [ended(1.0, row="1b", status="diverged", seed=4)]
    found = rules.observations(ROW["1b"], runs, "paper")
    assert rules.generalization(ROW["1b"], found, "paper", "yes") == ("inconclusive", "inconclusive")
    gone = dict.fromkeys(range(5))
    assert rules.generalization(ROW["4b"], gone, "paper", "no") == ("inconclusive", "differs")


def test_table_shows_what_was_not_run_and_what_diverged() -> None:
    stored = {row.figure: [] for row in ROWS} | {
        "1b": [ended(1.0, row="1b", seed=s) for s in (1, 2, 3, 4, 5)],
        "6a": [ended(0, status="diverged", row="6a")],
    }
    table = show.table_1(stored, "paper", 20)
    by = table.shown.set_index("architecture")
    assert by.loc["no-bias", "verdict"] == "agrees"
    assert by.loc["bias", "verdict"] == "not yet run"
    assert by.loc["no-bias", "seeds"] == "weight decay: 0 of 20; 1-SAM: 5 of 20"
    assert by.loc["sim-ln", "remarks"] == "1 diverged (seed 1 in step 17)"
    assert by.loc["sim-ln", "measured"] == "all diverged"
    assert by.loc["sim-ln", "verdict"] == "inconclusive"
    assert by.loc["sim-bn", "weight decay: test accuracy"] == "–"
    assert isinstance(table.raw, pd.DataFrame)
    stored["1b"] = [ended(1.0, row="1b", scale="smoke")] * 3
    smoke = show.table_1(stored, "smoke", 2).shown.set_index("architecture")
    assert smoke.loc["no-bias", "verdict"] == "not judged"


def test_paper_scale_is_as_printed() -> None:
    """wen2023, Experiments table: lr, rho, batch size, weight decay and epochs of each phase."""
    printed = {row.figure: [(p.lr, p.rho, p.batch_size, p.weight_decay, p.epochs) for p in row.phases] for row in ROWS}
    assert printed == {
        "1a": [(0.01, 0, 100, 0.05, 100_000)],
        "1b": [(0.01, 0.05, 1, 0, 100_000)],
        "2a": [(0.005, 0.1, 1, 0, 100_000), (0.003, 1, 1, 0, 100_000)],
        "4a": [(0.01, 0, 100, 0.05, 100_000)],
        "4b": [(0.01, 0.05, 1, 0, 200_000), (0.01, 0.1, 1, 0, 400_000)],
        "5a": [(0.001, 0, 1, 0.05, 100_000)],
        "5b": [(0.0005, 0.05, 1, 0, 100_000), (0.001, 0.1, 1, 0, 100_000), (0.005, 1, 1, 0, 5_000)],
        "6a": [(0.1, 0.1, 1, 0, 100_000)],
        "6b": [(0.01, 0.1, 1, 0, 500), (0.01, 0.5, 1, 0, 500), (0.01, 1, 1, 0, 500)],
        "7a": [(0.01, 0.2, 1, 0, 100_000)],
        "7b": [(0.01, 0.2, 1, 0, 100_000)],
        "8a": [(0.1, 0, 10, 0.01, 100_000)],
        "8b": [(0.1, 0.2, 1, 0, 100_000)],
        "9a": [(0.01, 0, 1, 0.05, 100_000)],
        "9b": [(0.1, 0.2, 1, 0, 100_000)],
        "10a": [(0.1, 0.2, 1, 0, 40_000)],
        "10b": [(1, 0.5, 1, 0, 1_000), (1, 1, 1, 0, 100_000)],
        "11a": [(0.01, 0, 1, 0.05, 100_000)],
        "11b": [(0.01, 0.05, 1, 0, 100_000)],
    }
    kinds = {row.figure: (row.architecture, row.activation, row.depth, row.loss.smoothing, row.data) for row in ROWS}
    assert {f for f, kind in kinds.items() if kind[1] == "softplus"} == {"5a", "5b"}
    assert {f for f, kind in kinds.items() if kind[2] == 3} == {"11a", "11b"}
    assert {f for f, kind in kinds.items() if kind[3] == 0.2} == {"8a", "8b", "9a", "9b", "10a", "10b"}
    assert {f for f, kind in kinds.items() if kind[4] == "uniform_ball"} == {"7a", "7b"}
    assert {kinds[f][0] for f in ("4a", "5a", "7b", "9b", "11a", "11b")} == {"bias"}
    assert {kinds[f][0] for f in ("1a", "1b", "7a", "8a", "8b")} == {"no-bias"}
    assert {f: p.first_layer_norm for f in ("6a", "6b") for p in ROW[f].phases} == {"6a": None, "6b": 10}
    for row in ROWS:
        assert phases(row, "paper") == row.phases
        for run in grid.runs(row, "paper", 2):
            assert (run.width, run.data.settings) == (500, {"d": 10 if row.figure in ("7a", "7b") else 30, "n": 100})
        assert grid.runs(row, "paper", 1)[0].first_layer_scale == (0.01 if row.figure in ("6a", "10b") else 1)


def test_quick_shortens_rows_and_paper_runs_them_as_printed() -> None:
    assert {row.figure for row in ROWS if phases(row, "quick") == row.phases} == {"6b"}
    assert all(phases(row, "paper") == row.phases for row in ROWS)
    for row in ROWS:
        assert len(grid.runs(row, "smoke", 2)) == 2


def test_a_table_and_its_figures_share_their_runs() -> None:
    keys = {run.key for _, run in EXPERIMENT.grid([show.TABLE_1], "quick", 5)}
    proved = {job.key for _, job in EXPERIMENT.grid([flattest.FLATTEST], "quick", 5)}
    assert len(keys) == 30 + len(proved)
    assert proved < keys
    assert {run.key for _, run in EXPERIMENT.grid(["wen2023/figure-4b"], "quick", 5)} < keys
    all_figures = {run.key for _, run in EXPERIMENT.grid([show.TABLE_2], "paper", 20)}
    assert len(all_figures) == 20 * len(ROWS)
    of_2b = EXPERIMENT.grid([show.FIGURE_2B], "quick", 5)
    assert of_2b == EXPERIMENT.grid(["wen2023/figure-2a"], "quick", 5)
    assert all(run.keep_networks for _, run in of_2b)


def told(figure: str, pairs: dict[str, list[Stored]]) -> rules.Judgement:
    return rules.judge_figure(
        figure, {name: rules.observations(ROW[name], runs, "paper") for name, runs in pairs.items()}, "paper"
    )


@pytest.mark.parametrize(
    ("accuracies", "expected"),
    [
        ([1.0] * 5, "agrees"),
        ([1.0] * 4, "inconclusive"),
        ([1.0] * 15 + [0.5] * 5, "agrees"),
        ([1.0] * 14 + [0.5] * 6, "inconclusive"),
        ([0.5] * 5, "differs"),
        ([1.0] * 2 + [0.5] * 3, "inconclusive"),
    ],
)
def test_a_figure_is_judged_by_the_share_of_seeds(accuracies: list[float], expected: str) -> None:
    runs = [ended(a, row="1b", seed=seed) for seed, a in enumerate(accuracies)]
    found = told("1b", {"1b": runs})
    assert found.verdict == expected
    assert found.findings[0].total == len(accuracies)


def test_figures_are_compared_seed_by_seed() -> None:
    """4b's statements: at most half of 4a's trace, 0.1 less accurate, and less than at epoch 4000 (0.99 of the first phase)."""
    baseline = [ended(0.9 + 0.001 * s, row="4a", seed=s, trace=60) for s in range(6)]
    flat = [ended(0.7, row="4b", seed=s, trace=20) for s in range(6)]
    early = [{name: [*values[:1], values[1], *values[1:]] for name, values in one.result.curve.items()} for one in flat]
    early = [curve | {"epoch": [0.0, 3_000.0, 200_000.0, 600_000.0]} for curve in early]
    flat = [replace(one, result=replace(one.result, curve=curve)) for one, curve in zip(flat, early, strict=True)]
    found = told("4b", {"4a": baseline, "4b": flat})
    assert [f.shown for f in found.findings] == [6, 6, 6]
    assert found.verdict == "agrees"
    assert told("4a", {"4a": baseline, "4b": flat}).verdict == "agrees"
    assert [f.shown for f in told("4b", {"4a": baseline[:4], "4b": flat}).findings] == [4, 4, 6]
    sharp = [ended(0.7, row="4b", seed=s, trace=40) for s in range(6)]
    assert told("4b", {"4a": baseline, "4b": sharp}).verdict == "differs"
    gone = [ended(0.7, row="4b", seed=s, status="diverged") for s in range(6)]
    assert [f.shown for f in told("4b", {"4a": baseline, "4b": gone}).findings] == [0, 0, 0]


def test_a_shortened_figure_cannot_differ() -> None:
    runs = {"2a": rules.observations(ROW["2a"], [ended(0.5, row="2a", seed=s, first_loss=1.0) for s in range(6)], "paper")}
    assert rules.judge_figure("2a", runs, "paper").verdict == "differs"
    assert rules.judge_figure("2a", runs, "quick").verdict == "inconclusive"
    assert rules.judge_figure("2a", runs, "smoke").verdict == "not judged"
    assert rules.judge_figure("1a", runs, "paper").verdict is Verdict.NOT_RUN


def test_uniform_ball_is_judged_by_the_loss() -> None:
    runs = {"7a": [ended(0.5, row="7a", seed=s, loss=0.01) for s in range(5)]}
    runs["7b"] = [ended(0.5, row="7b", seed=s, loss=0.03) for s in range(5)]
    assert told("7a", runs).verdict == told("7b", runs).verdict == "agrees"


def test_interpolation_of_either_loss() -> None:
    """A relative error e of all outputs gives the loss e^2, or p (1 - p)/2 (e gamma)^2 to second order."""
    assert ROW["1b"].interpolates == 0.05
    loss = ROW["8b"].loss
    f = loss.targets(np.ones(1)) * (1 + np.sqrt(0.05))
    assert ROW["8b"].interpolates == pytest.approx(loss.value(f, np.ones(1))[0], rel=0.1)


def first_layer(scale: float, rest: float) -> theory.Network:
    w1 = np.full((6, 5), 0.01)
    w1[:4, :2] = scale * np.array([(1, 1), (1, -1), (-1, 1), (-1, -1)])
    w1[:4, 2] = rest
    return replace(random_network("sim-bn", 5, 6, 0), w1=w1)


def test_figure_2b_looks_at_the_network_where_the_run_is_judged() -> None:
    """After the first phase where the second leaves interpolation."""
    good, bad = first_layer(10, 0.1), first_layer(1, 2.0)
    assert rules.columns(good) == pytest.approx((20, 20, 0.2), rel=0.01)
    assert rules.largest_neurons(good)[0] == pytest.approx((10, 10, 0.1), rel=0.02)

    def with_networks(one: Stored) -> Stored:
        return replace(one, result=replace(one.result, network=bad, earlier=(good,)))

    collapsed = [with_networks(ended(0.7, loss=1.0, seed=s)) for s in range(5)]
    found = rules.judge_figure("2b", observed({"2a": collapsed}, "paper"), "paper")
    assert [f.verdict for f in found.findings] == ["agrees"] * 3
    assert found.verdict == "inconclusive"  # as printed, the second phase ends elsewhere
    kept = [with_networks(ended(0.99, seed=s)) for s in range(5)]
    found = rules.judge_figure("2b", observed({"2a": kept}, "paper"), "paper")
    assert [f.shown for f in found.findings] == [0, 0, 5]
    table = show.figure_2b(collapsed, "paper")
    assert list(table.shown["after"]) == ["both phases"] + ["the first phase"] * 5 + ["both phases"] * 5
    assert table.raw.loc[0, "column 1"] == pytest.approx(20, rel=0.01)
    assert list(table.raw["test accuracy"]) == [0.99] * 5 + [0.7] * 5


def test_table_2_has_a_line_for_every_figure(tmp_path: Path) -> None:
    empty = show.table_2({}, "quick", {}, 5)
    assert list(empty.shown["figure"]) == list(rules.STATEMENTS)
    assert {f"figure-{name}" for name in rules.STATEMENTS} == set(published.REPORTED) - {"table-1"}
    assert set(empty.shown["verdict"]) == {"not yet run"}
    assert set(empty.shown["seeds"]) == {"0 of 5"}
    runs = {"5b": rules.observations(ROW["5b"], [ended(0.6, row="5b", seed=s, bound=float("nan")) for s in range(5)], "paper")}
    line = show.table_2(runs, "paper", {}, 20).shown.set_index("figure").loc["5b"]
    assert line["seeds"] == "5 of 20"
    assert line["trace / lower bound"] == "–"
    assert line["trace"] == "20.0 / 20.0 / 20.0 / 20.0 / 20.0"
    with Store(tmp_path / "s.sqlite") as store:
        (found,) = EXPERIMENT.claims(["wen2023/figure-5b"], store)
        assert found.status == "open"
        for run, one in zip(
            grid.runs(ROW["1b"], "quick", 5), [ended(1.0, row="1b", seed=s, scale="quick") for s in range(1, 6)], strict=True
        ):
            store.put(run, stored_form(one.result), {})
        (found,) = EXPERIMENT.claims(["wen2023/figure-1b"], store)
        assert found.status == "tested"
        assert found.evidence[0].finding.startswith("agrees; test accuracy at least 0.99: 5 of 5 seeds")


def test_one_long_run_does_not_take_the_place_of_five_shortened_ones(tmp_path: Path) -> None:
    """The ledger judges at the scale of which most seeds are stored, the paper's own if they are as many."""
    with Store(tmp_path / "s.sqlite") as store:
        for scale, seeds, expected in (
            ("quick", 5, "5 seeds, scale quick"),
            ("paper", 1, "5 seeds, scale quick"),
            ("paper", 5, "paper"),
        ):
            for seed, run in enumerate(grid.runs(ROW["8b"], scale, seeds), start=1):
                store.put(run, stored_form(ended(1.0, row="8b", seed=seed, scale=scale).result), {})
            (found,) = EXPERIMENT.claims(["wen2023/figure-8b"], store)
            assert expected in found.evidence[0].scope
            assert found.status == "tested"


def test_what_was_not_run_is_said_to_be_so(tmp_path: Path) -> None:
    """An empty store gives every table, no figure but the ledger's graph, and no number."""
    with Store(tmp_path / "s.sqlite") as store:
        made = {one.id: one for one in EXPERIMENT.build(EXPERIMENT.ARTIFACTS, "paper", 20, store)}
    assert set(made) == {show.TABLE_1, flattest.FLATTEST, show.TABLE_2, show.FIGURE_2B, CLAIMS, CLAIMS_GRAPH}
    assert set(made[show.TABLE_1].shown["verdict"]) == {"not yet run"}
    assert list(made[show.FIGURE_2B].shown["seed"]) == ["as printed", "not yet run"]


def test_statements_are_examined_beside_the_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of this paper and no others, and only where an artifact shows them."""
    asked: list[str] = []

    class Watched:
        def __init__(self, id: str) -> None:
            self.id = id

        def claim(self) -> None:
            asked.append(self.id)

    watched = {id: Watched(id) for id in (*theory.claims.statements(), "keskar2017/of-another")}
    monkeypatch.setattr("flatproof.theory.claims.statements", lambda: watched)
    EXPERIMENT.prepare(["wen2023/table-2"])
    assert asked == []
    EXPERIMENT.prepare([CLAIMS])
    assert len(asked) > 40
    assert all(id.startswith("wen2023/") for id in asked)


def test_ids() -> None:
    assert select([]) == {paper: list(e.ARTIFACTS) for paper, e in EXPERIMENTS.items() if not EXPERIMENTS.on_request(paper)}
    assert select(["wen2023/figure-1b", "wen2023/figure-1b"]) == {"wen2023": ["wen2023/figure-1b"]}
    assert select(["wen2023/figure-5"]) == {"wen2023": ["wen2023/figure-5a", "wen2023/figure-5b"]}
    assert select(["wen2023/figure-2"]) == {"wen2023": ["wen2023/figure-2b", "wen2023/figure-2a"]}
    with pytest.raises(ValueError, match="unknown id 'wen2023/figure-'"):
        select(["wen2023/figure-"])
    with pytest.raises(ValueError, match=r"unknown id 'wen2023/figure-99'; expected one such as wen2023/figure-9[ab]"):
        select(["wen2023/figure-99"])
    with pytest.raises(ValueError, match="scale must be one of smoke, quick, paper, got 'huge'"):
        check_scale("huge")


def test_rows_are_frozen_settings() -> None:
    with pytest.raises(AttributeError):
        ROW["1a"].figure = "x"
    assert replace(ROW["1a"], figure="x").id == "wen2023/figure-x"


def test_time_needed_names_what_it_leaves_out() -> None:
    def took(row: str, seconds: float, seed: int) -> Stored:
        one = ended(1.0, row=row, seed=seed)
        return replace(one, result=replace(one.result, seconds=seconds))

    stored = {"1a": [took("1a", s, i) for i, s in enumerate((1.0, 2.0, 9.0))], "2a": [took("2a", 1e5, 1)]}
    said = show.time_needed(stored, 1_800)
    assert "take 1.0 core-hours" in said
    assert "all rows but 1b, 2a, 4a" in said


def proofs(*answers: str, architecture: str = "no-bias") -> list[tuple[flattest.AllFlattest, Stored]]:
    """Made-up proofs on as many data sets."""
    shares = {"yes": (1.0, 0.0), "no": (0.0, 0.6), "undecided": (0.0, 0.0)}
    out = []
    for seed, answer in enumerate(answers, start=1):
        right, wrong = shares[answer]
        values = {"answer": answer, "right": right, "wrong": wrong, "within": "1/100" if right else None}
        values |= {
            "least": 0.5 if right else None,
            "pinned": True,
            "seconds": 1.0,
            "proof": f"{seed}\n" if answer != "undecided" else None,
        }
        out.append((flattest.AllFlattest(architecture, 30, 100, seed), Stored({}, values, {"commit": "c"}, 1.0)))
    return out


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (["yes"] * 20, "yes, 20 of 20"),
        (["no"] * 5, "no, 5 of 5"),
        (["yes"] * 4, "undecided (4 yes)"),
        (["yes"] * 15 + ["undecided"] * 5, "yes, 15 of 20"),
        (["yes"] * 3 + ["no"] * 2, "undecided (3 yes, 2 no)"),
        (["undecided"] * 20, "undecided, 20 of 20"),
        ([], "not yet run"),
    ],
)
def test_the_first_column_is_what_most_data_sets_say(answers: list[str], expected: str) -> None:
    made = proofs(*answers)
    assert flattest.in_words(made, "no-bias") == expected
    stored = {row.figure: [] for row in ROWS}
    shown = show.table_1(stored, "quick", 5, made).shown.set_index("architecture")
    assert shown.loc["no-bias", "decided: all flattest generalize"] == expected
    assert shown.loc["bias", "decided: all flattest generalize"] == "not yet run"


@pytest.mark.parametrize(
    ("decided", "words"),
    [
        (20, "of these runs (seeds 1 to 20), and"),
        (5, "of these runs (seeds 1 to 5), and"),
        (2, "of these runs (seeds 1 and 2), and"),
        (1, "of these runs (seed 1), and"),
        (0, "of these runs, and"),
    ],
)
def test_the_note_of_the_first_column_names_the_seeds_that_were_decided(decided: int, words: str) -> None:
    table = show.table_1({row.figure: [] for row in ROWS}, "smoke", 2, proofs(*["yes"] * decided))
    assert any(words in note for note in table.notes)


def test_seeds_with_a_gap_are_named_one_by_one() -> None:
    made = proofs(*["yes"] * 4)
    table = show.table_1({row.figure: [] for row in ROWS}, "quick", 5, [made[0], *made[2:]])
    assert any("(seeds 1, 3 and 4)" in note for note in table.notes)


@pytest.mark.parametrize(("architecture", "answer", "verdict"), [("no-bias", "yes", "agrees"), ("sim-bn", "no", "differs")])
def test_what_is_decided_is_set_against_what_is_printed(architecture: str, answer: str, verdict: str) -> None:
    made = proofs(*[answer] * 20, architecture=architecture)
    table = flattest.table(made, "quick")
    line = table.shown.set_index("architecture").loc[architecture]
    assert (line["verdict"], line["share of data sets"]) == (verdict, "1.000 [0.832, 1.000]")
    assert len(table.files) == 20
    assert flattest.table([], "quick").shown["verdict"].eq("not yet run").all()
    assert [e.supports for e in flattest.evidence(made)] == (["certified"] if verdict == "agrees" else [])


def test_one_wrong_point_in_ten_is_not_enough() -> None:
    for wrong, answer in ((0.1, "undecided"), (0.11, "no")):
        assert rules.says({"right": 0.0, "wrong": wrong}) == answer
    for right, answer in ((0.9, "yes"), (0.89, "undecided")):
        assert rules.says({"right": right, "wrong": 0.0}) == answer


def test_a_proof_is_carried_out_and_checked() -> None:
    """At the size of smoke; what is stored is a file that the checker accepts."""
    for architecture, answer in (("no-bias", "all"), ("sim-bn", "not all"), ("bias", "not all"), ("sim-ln", "not all")):
        job = flattest.AllFlattest(architecture, 10, 40, 1)
        values = job.carry_out()
        assert values["answer"] == answer
        verdict = check(json.loads(values["proof"]))
        assert verdict.wrong / 2**10 == values["wrong"]
        assert values["seconds"] > 0
