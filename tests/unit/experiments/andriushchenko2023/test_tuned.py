"""Fine-tuned models: what seeds draw, when they can be run, the rules on models of known correlation, what is shown of stored ones."""

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from flatproof.verify import realdata
from flatproof.verify.experiments.andriushchenko2023 import EXPERIMENT, tuned, tuned_rules, tuned_show
from flatproof.verify.experiments.andriushchenko2023.tuned import CELLS, SIZES, model, models
from flatproof.verify.jobs.job import Outcome
from flatproof.verify.jobs.store import Store
from flatproof.verify.jobs.workspace import working_in
from flatproof.verify.realdata.samples import UNAVAILABLE

SHOWN = (tuned_show.TABLE, tuned_show.FIGURE)


@pytest.fixture(autouse=True)
def _no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLATPROOF_DATA", str(tmp_path / "nothing"))


def test_seeds_draw_hyper_parameters() -> None:
    jobs = list(models("quick", 100))
    assert len({job.key for job in jobs}) == len(jobs) == 72
    combinations = Counter((job.training.stop.epochs, job.training.augment) for job in jobs)
    assert set(combinations.values()) == {12}
    methods = [job.training.method for job in jobs]
    for values, (low, high) in (
        ([m.lr for m in methods], SIZES["quick"].rates),
        ([m.weight_decay for m in methods], tuned.DECAYS),
    ):
        logs = [math.log(value) for value in values]
        assert math.log(low) <= min(logs) <= max(logs) <= math.log(high)
        assert np.histogram(logs, 3, (math.log(low), math.log(high)))[0].min() > 12
    assert 20 < sum(m.mixup == 0 for m in methods) < 52
    assert max(m.mixup for m in methods) < tuned.MIXUP
    assert 0.15 < max(m.smoothing for m in methods) < tuned.SMOOTHING
    assert [job.key for job in models("smoke", 2)] == [job.key for job in models("smoke", 9)][:2]
    assert list(models("paper", 5)) == []


def test_the_grid_has_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert EXPERIMENT.grid(SHOWN, "quick", 3) == []
    assert [row for row, _ in EXPERIMENT.grid(SHOWN, "smoke", 3)] == ["EfficientNet-Lite"] * 3
    monkeypatch.setattr(realdata, "available", lambda *_, **__: True)
    assert EXPERIMENT.grid(SHOWN, "quick", 3) == []  # the images are there, the weights are not
    monkeypatch.setattr(tuned, "weights_file", lambda _: Path(__file__))
    assert len(EXPERIMENT.grid(SHOWN, "quick", 3)) == 3


def test_a_job_gives_errors_and_a_value_a_cell(tmp_path: Path) -> None:
    with working_in(tmp_path):
        values = model(1, "smoke").carry_out()
    assert values["status"] == "finished"
    assert len(values["sharpness"]) == len(CELLS) == 4
    assert [half is None for half in values["half_width"]] == [cell.law.startswith("worst") for cell in CELLS]


def outcome(stream: np.random.Generator) -> Outcome:
    errors = dict.fromkeys(("train_loss", "test_loss"), 1.0) | {"train_error": 0.0, "test_error": float(stream.random())}
    sharpness = {"sharpness": stream.random(4).tolist(), "ood_error": float(stream.random()), "ood_source": "made up"}
    return Outcome({"status": "finished"} | errors | sharpness)


def test_what_is_shown_of_stored_models(tmp_path: Path) -> None:
    stream = np.random.default_rng(0)
    with Store(tmp_path / "s.sqlite") as store:
        for job in models("quick", 24):
            store.put(job, outcome(stream), {"commit": "c"})
        only = (*SHOWN, "andriushchenko2023/claims", "andriushchenko2023/models")
        made = {a.id.split("/")[1]: a for a in EXPERIMENT.build(only, "quick", 100, store)}
        claim = EXPERIMENT.claim("andriushchenko2023/claim-1", store)
        beside = {name: EXPERIMENT._fine_tuned(name, "quick", store) for name in ("claim-1", "claim-2")}
    table = made["correlations-fine-tuned"]
    assert len(table.shown) == 4  # type: ignore[union-attr]
    assert "24 EfficientNet-Lites in 6 groups, 0 diverged" in table.notes[0]
    assert "figure-5" in made
    assert len(made["models"].shown) == 24  # type: ignore[union-attr]
    parts = made["claims"].shown.set_index("claim").verdict  # type: ignore[union-attr]
    assert parts["claim-1"] == "not run"  # fine-tuned models decide nothing there
    assert parts["claim-1, fine-tuned"] != "not run"
    assert claim.status == "open"
    assert [e.scope for e in beside["claim-1"]] == ["24 jobs, scale quick"]
    assert beside["claim-2"] == []


def test_what_was_not_run_is_said_to_be_so(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite") as store:
        shown = {scale: EXPERIMENT.build(SHOWN, scale, 4, store) for scale in ("quick", "paper")}
    assert [len(made) for made in shown.values()] == [1, 1]
    words = {scale: made[0].shown.iloc[0, 0] for scale, made in shown.items()}  # type: ignore[union-attr]
    assert words == {"quick": UNAVAILABLE, "paper": tuned_show.NO_SCALE}


def rows(test: float, ood: float, n: int = 72) -> pd.DataFrame:
    """Sharpness of two definitions goes with the errors as strongly as said."""
    stream = np.random.default_rng(1)
    x, y, z = stream.standard_normal((3, n))
    columns = {"a, rho 1": x, "b, rho 1": x + 0.1 * stream.standard_normal(n)}
    columns |= {"test_error": test * x + np.sqrt(1 - test**2) * y, "ood_error": ood * x + np.sqrt(1 - ood**2) * z}
    return pd.DataFrame(columns).assign(group=0)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (rows(0.0, -0.9), ["supported", "supported"]),
        (rows(0.98, 0.9), ["refuted", "refuted"]),
        (rows(0.7, 0.9), ["inconclusive", "refuted"]),
        (rows(0.0, 0.0).assign(ood_error=np.nan), ["supported", "not run"]),
        (rows(0.0, 0.0, 19), ["not run", "not run"]),
    ],
)
def test_the_rules_on_models_of_known_correlation(table: pd.DataFrame, expected: list[str]) -> None:
    judged = tuned_rules.judge(table, ["a, rho 1", "b, rho 1"])
    assert [part.part for part in judged] == list(tuned_rules.RULES)
    assert [part.verdict for part in judged] == expected
