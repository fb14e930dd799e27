"""kaur2023's tables, figures and entries of the ledger, from made-up stored runs."""

from pathlib import Path

import pytest
import torch

from flatproof.verify.experiments.kaur2023 import EXPERIMENT, rules, stored_runs
from flatproof.verify.experiments.kaur2023.grid import runs_of
from flatproof.verify.experiments.kaur2023.jobs import DENSE, NORMALIZED, PLAIN, Final
from flatproof.verify.experiments.kaur2023.show import frame
from flatproof.verify.experiments.vocabulary import DASH
from flatproof.verify.jobs.job import Outcome, Stored, StoredValues
from flatproof.verify.jobs.store import Store


def stored(run: Final, accuracy: float, top: float, reached: bool = True, between: tuple[float, ...] = ()) -> StoredValues:
    estimate = {"value": top, "low": top, "high": 1.1 * top}
    values = {
        "status": "finished",
        "stopped": "",
        "epochs": 10,
        "train_accuracy": 0.995 if reached else 0.5,
        "test_accuracy": accuracy,
        "at": estimate,
        "between": [{"value": b, "low": b, "high": 1.1 * b} for b in between],
        "edition": "made up",
    }
    return Stored(run.settings(), values, {"commit": "c"})


def test_runs_short_of_99_percent_do_not_count() -> None:
    table = frame([(run, stored(run, 0.5, 10.0, reached=run.training.seed != 2)) for run in runs_of("quick", 3)])
    assert table.reached.sum() == 2 * len(table) // 3
    assert {e.seeds for part in rules.judge(table)["claim-3"] for e in part.effects} == {2}


def test_between_iterates_counts_in_place_of_the_iterate_for_batch_normalization_alone() -> None:
    runs = runs_of("quick", 1)
    normalized = frame([(run, stored(run, 0.5, 10.0, between=(20.0, 100.0, 30.0))) for run in runs if run.network == NORMALIZED])
    assert set(normalized.log_lambda) == {2.0}
    assert set(normalized["at"]) == {10.0}
    assert normalized.bound.tolist() == pytest.approx([0.1] * len(normalized))  # of what is judged, not of the iterate
    plain = frame([(run, stored(run, 0.5, 10.0)) for run in runs if run.network == PLAIN])
    assert set(plain.log_lambda) == {1.0}
    assert plain.between.isna().all()


def test_the_table_shows_both_places(tmp_path: Path) -> None:
    with Store(tmp_path / "runs.sqlite") as store:
        for run in runs_of("quick", 1):
            outcome = stored(run, 0.5, 10.0, between=(100.0,) if run.between else ())
            store.put(run, Outcome(outcome.result), outcome.provenance)
        (table,) = EXPERIMENT.build(["kaur2023/table-2"], "quick", 1, store)
    shown = table.shown.set_index("network")  # type: ignore[union-attr]
    assert set(shown.loc[NORMALIZED, "λ_max"]) == {"100 *"}
    assert set(shown.loc[NORMALIZED, "at the iterate"]) == {"10"}
    assert set(shown.loc[PLAIN, "λ_max"]) == {"10"}


@pytest.mark.parametrize("there", [True, False])
def test_scale_paper_takes_a_gpu_where_there_is_one(there: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    device = "cuda" if there else "cpu"
    assert {run.training.device for run in runs_of("paper", 1)} == {device}
    assert {run.training.device for run in runs_of("quick", 1)} == {"cpu"}
    run = next(run for run in runs_of("paper", 1, "cuda"))
    with Store(tmp_path / "runs.sqlite") as store:
        outcome = stored(run, 0.5, 10.0)
        store.put(run, Outcome(outcome.result), outcome.provenance)
        assert [run.key for run, _ in stored_runs("paper", 1, store)] == [run.key]  # a report needs no GPU


def test_the_ledger_shows_verdicts_of_stored_runs(tmp_path: Path) -> None:
    assert {c.status for c in EXPERIMENT.claims([], None)} == {"open"}
    with Store(tmp_path / "runs.sqlite") as store:
        for run in runs_of("quick", 3):
            lower = 0.5 ** (run.p + (run.training.method.rho > 0))
            worse = 0.3 * (run.p > 0.5) + 0.01 * run.training.seed
            outcome = stored(run, 0.8 - worse, 10 * lower)
            store.put(run, Outcome(outcome.result), outcome.provenance)
        entries = {c.id: c for c in EXPERIMENT.claims([], store)}
        assert entries["kaur2023/claim-4"].status == "open"  # only scale paper settles it
        assert "supported" in entries["kaur2023/claim-4"].evidence[0].finding
        assert "supported (reduced size)" in entries["kaur2023/claim-4"].evidence[0].finding
        assert entries["kaur2023/claim-1"].status == "open"  # lambda_max does not depend on the learning rate here
        names = {a.id for a in EXPERIMENT.build(EXPERIMENT.ARTIFACTS, "quick", 3, store)}
    assert names == set(EXPERIMENT.ARTIFACTS)


@pytest.mark.parametrize(("scale", "status"), [("quick", "open"), ("paper", "tested")])
def test_only_scale_paper_supports(scale: str, status: str, tmp_path: Path) -> None:
    with Store(tmp_path / "runs.sqlite") as store:
        for run in (run for run in runs_of(scale, 3, "cpu") if run.network == DENSE):
            lower = 0.5**run.p * (1 + 0.001 * run.training.seed)
            outcome = stored(run, 0.8 - 0.3 * (run.p > 0.5) + 0.001 * run.training.seed * run.p, 10 * lower)
            store.put(run, Outcome(outcome.result), outcome.provenance)
        claim = EXPERIMENT.claims(["kaur2023/claim-4"], store)[0]
    assert claim.status == claim.evidence[0].supports == status
    assert claim.evidence[0].finding.startswith("supported")


@pytest.mark.parametrize(
    ("scale", "word", "status"), [("quick", "contradicted (reduced size)", "open"), ("paper", "refuted", "refuted")]
)
def test_only_scale_paper_refutes(scale: str, word: str, status: str, tmp_path: Path) -> None:
    with Store(tmp_path / "runs.sqlite") as store:
        for run in (run for run in runs_of(scale, 3, "cpu") if run.network == DENSE):
            outcome = stored(run, 0.8 + 0.1 * run.p + 0.001 * run.training.seed, 10.0)  # the more dropout the better
            store.put(run, Outcome(outcome.result), outcome.provenance)
        claim = EXPERIMENT.claims(["kaur2023/claim-4"], store)[0]
        table, settling = EXPERIMENT.build(["kaur2023/table-1", "kaur2023/table-4"], scale, 3, store)
    assert claim.status == claim.evidence[0].supports == status
    assert claim.evidence[0].finding.startswith(word)
    assert (claim.corrected is None) == (status == "open")
    if claim.corrected is not None:
        assert claim.corrected.startswith("Instead, 4 refuted: ")
        assert "4 above 0" in claim.corrected  # of four data sets
    rows = table.shown.set_index("claim")  # type: ignore[union-attr]
    assert rows.loc["claim-4", "verdict"] == rows.loc["claim-4", "part"] == word
    needs = settling.shown.set_index("part")  # type: ignore[union-attr]
    assert (needs.loc["4", "verdict"], needs.loc["4", "seeds"], needs.loc["4", "would end as"]) == (word, "3", f"{word} in 100%")
    assert float(needs.loc["4", "GPU hours in all"]) > float(needs.loc["4", "GPU hours a seed"]) > 0
    assert set(needs.loc["1a", ["seeds needed", "GPU hours in all"]]) == {DASH}  # no convolutional network has run


def test_without_data_the_tables_say_so(tmp_path: Path) -> None:
    with Store(tmp_path / "runs.sqlite") as store:
        tables = {a.id: a for a in EXPERIMENT.build(EXPERIMENT.ARTIFACTS, "quick", 3, store)}
    cells = tables["kaur2023/table-2"].shown  # type: ignore[union-attr]
    assert cells["λ_max"].tolist() == ["data not available on this machine"] * 2
    assert set(tables["kaur2023/table-1"].shown.verdict) == {"data not available on this machine"}  # type: ignore[union-attr]
