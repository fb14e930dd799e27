"""keskar2017's tables, figures and entries of the ledger, from stored jobs."""

from dataclasses import replace

import pytest

from flatproof.verify.experiments.keskar2017 import EXPERIMENT, rules
from flatproof.verify.experiments.keskar2017.grid import PLANS, plan_of
from flatproof.verify.experiments.keskar2017.published import CLAIMS
from flatproof.verify.experiments.keskar2017.results import results_of
from flatproof.verify.experiments.keskar2017.tables import TABLES
from flatproof.verify.jobs.job import Job, Outcome
from flatproof.verify.jobs.store import Store
from flatproof.verify.jobs.sweep import sweep
from flatproof.verify.realdata import UNAVAILABLE
from flatproof.verify.report.artifacts import Table


def put(store: Store, job: Job, values: dict[str, object]) -> None:
    store.put(job, Outcome(values, 1.0), {"commit": "test"})


def test_an_sb_that_stops_early_leaves_its_warm_starts_out_of_the_tables(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the grid through the sweep to every artifact: warm starts from epochs that SB did not reach, and nothing fails."""
    short = replace(PLANS["smoke"], small_epochs=4, patience=1, kept=(0, 1, 4), warm=(1, 4), batches=(), remedied=())
    monkeypatch.setitem(PLANS, "smoke", short)
    monkeypatch.setattr(
        "flatproof.verify.deep.loop.since_improvement", lambda losses, improvement: len(losses) - 1
    )  # stops after one epoch
    names = {"keskar2017/table-1", "keskar2017/trainings", "keskar2017/figure-5", "keskar2017/figure-2", "keskar2017/table-2"}
    jobs = [row for row in EXPERIMENT.grid(sorted(names), "smoke", 1) if row[0].startswith("F1")]
    ended = [job for name, job in jobs if "LB after 4 of SB" in name]
    assert len(ended) == 2  # the training and its sharpness
    assert sweep([job for _, job in jobs], store) == len(jobs)
    for job in ended:
        stored = store.get(job)
        assert stored is not None
        assert stored.result["status"] == "ended"
        assert "ended" in job.summary(stored.result)
    assert sweep([job for _, job in jobs], store) == 0
    results = results_of("smoke", 1, store)
    never, began = (results.plan.warm_start("F1", 1, epoch) for epoch in (4, 1))
    assert results.final([never], "test_accuracy") == results.best([never], "test_accuracy") == results.phi([never]) == [None]
    assert None not in (*results.final([began], "test_accuracy"), *results.phi([began]))
    assert rules.claim_5(results, "F1").numbers.startswith("after 1 epochs")
    built = {a.id: a for a in EXPERIMENT.build([*EXPERIMENT.ARTIFACTS], "smoke", 1, store)}
    assert names <= set(built)
    table = built["keskar2017/trainings"]
    assert isinstance(table, Table)
    rows = table.shown[table.shown["network"] == "F1"].set_index("training")
    assert rows["never began"].to_dict() == {
        "SB, 4": "0", "LB, 12": "0", "LB after 1 epochs of SB": "0", "LB after 4 epochs of SB": "1",
    }  # fmt: skip
    assert rows.loc["SB, 4", "updates"] == "30"
    assert rows.loc["LB, 12", "updates"] == "10"
    assert rows.loc["LB after 4 epochs of SB", "updates"] == "–"


def test_tables_state_updates_and_the_limit_of_epochs(store: Store) -> None:
    plan = plan_of("quick")
    for seed, (steps, stopped) in enumerate(
        [(500, "100 epochs"), (500, "100 epochs"), (150, "training loss no longer improves")], 1
    ):
        for training in (plan.lb("C1", seed), plan.remedy("C1", seed, "conservative training")):
            curve = {"train_accuracy": [0.9], "test_accuracy": [0.5]}
            values = {"status": "finished", "curve": curve, "steps": steps, "epochs": steps // 5, "stopped": stopped}
            put(store, training, values)
    trainings, remedied = EXPERIMENT.build(["keskar2017/trainings", "keskar2017/remedies"], "quick", 3, store)[::-1]
    for table, network, plain in ((trainings, "C1", "LB, 250"), (remedied, "C1", "LB")):
        assert isinstance(table, Table)
        rows = table.shown[table.shown["network"] == network].set_index("training")
        assert rows.loc[plain, "updates"] == "150 to 500"
        assert rows.loc["LB, conservative training", "updates"] == "450 to 1,500"
        assert rows.loc[plain, "at the limit of epochs"] == "2 of 3"
    assert any("three times the updates of plain LB" in note for note in remedied.notes)


def test_an_empty_store_says_what_is_missing(store: Store) -> None:
    artifacts = EXPERIMENT.build(EXPERIMENT.ARTIFACTS, "quick", 3, store)
    assert [a.id for a in artifacts] == [f"keskar2017/{name}" for name in TABLES]
    table = next(a for a in artifacts if a.id == "keskar2017/table-2")
    cells = dict(zip(table.shown["network"], table.shown["test SB, ours"], strict=True))  # type: ignore[union-attr]
    assert cells["C2"] == "not run at scale quick"
    for network in ("F1", "F2", "C1", "C3"):
        assert cells[network] == ("not run" if PLANS["quick"].images(network).available() else UNAVAILABLE)
    ledger = EXPERIMENT.claims([], store)
    assert [c.id for c in ledger] == [f"keskar2017/{name}" for name in CLAIMS]
    assert {c.status for c in ledger} == {"open"}
    assert (
        EXPERIMENT.claims(["keskar2017/claim-4"], None)[0].evidence[0].finding
        == "not run: flatproof reproduce keskar2017 runs it"
    )


@pytest.mark.parametrize(
    ("scale", "large", "status", "verdict"),
    [
        ("quick", (90.0, 90.5, 91.0), "open", "supported (reduced size)"),
        ("quick", (98.5, 99.0, 99.2), "open", "contradicted (reduced size)"),
        ("paper", (90.0, 90.5, 91.0), "tested", "supported"),
        ("paper", (98.5, 99.0, 99.2), "refuted", "refuted"),
    ],
)
def test_the_ledger_takes_the_verdict_from_stored_trainings(
    store: Store, scale: str, large: tuple[float, ...], status: str, verdict: str
) -> None:
    plan = plan_of(scale, "cpu")
    for seed, accuracy in enumerate(large, start=1):
        for training, test in ((plan.sb("F1", seed), 0.97), (plan.lb("F1", seed), accuracy / 100)):
            curve = {"epoch": [0.0, 1.0], "train_accuracy": [0.1, 0.999], "test_accuracy": [0.1, test]}
            put(store, training, {"status": "finished", "curve": curve, "device": "cpu"})
    (claim,) = EXPERIMENT.claims(["keskar2017/claim-1"], store)
    assert claim.status == status
    assert (claim.corrected is not None) == (status == "refuted")
    assert claim.printed == CLAIMS["claim-1"]
    mean = sum(large) / 3
    evidence = next(e for e in claim.evidence if e.scope == f"F1, scale {scale}")
    assert f"SB - LB {97 - mean:.2f} [" in evidence.finding
    assert evidence.finding.startswith(f"{verdict}: ")
    (table,) = EXPERIMENT.build(["keskar2017/table-2"], scale, 3, store)
    row = table.shown.set_index("network").loc["F1"]  # type: ignore[union-attr]
    assert row["test SB, ours"] == "97.00 [97.00, 97.00]"
    assert row["test SB, printed"] == "98.03 ± 0.07"
    assert table.provenance["seeds"] == "1, 2, 3"
