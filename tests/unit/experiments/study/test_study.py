"""A user's own study: its jobs, rows, table and figures from the store, what it refuses, and its names at the command line."""

import importlib
import math
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from scipy import stats

from flatproof.theory.claims import statements
from flatproof.verify import experiments
from flatproof.verify.experiments import Registry, examine, select
from flatproof.verify.experiments.study import Study, plot, table
from flatproof.verify.jobs.store import Store
from flatproof.verify.utils.errors import SweepError, UserError

MINE = '''
import numpy as np
import random
import torch
from flatproof import Diverged, Study

calls = []

def measure(rate, width, seed):
    calls.append((rate, width, seed))
    if rate > 1:
        raise Diverged("too large a step")
    return {"trace": rate * seed + width, "draws": random.random() + np.random.rand() + float(torch.rand(())), "kind": "plain",
            "weights": np.arange(3) * seed}

experiment = Study("mine", measure, {"rate": [0.1, 0.2, 2.0], "width": [5]}, seeds=4, question="What of rates?")

@experiment.figure
def trace_of_rate(rows, axes):
    """Traces by rate."""
    axes.plot(rows.rate, rows.trace, ".")

@experiment.table
def largest(rows):
    """The largest traces."""
    return rows.groupby("rate")[["trace"]].max().reset_index()
'''


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    (tmp_path / "my_study.py").write_text(MINE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(experiments, "EXPERIMENTS", Registry())
    yield importlib.import_module("my_study")
    sys.modules.pop("my_study")


def test_a_study_measures_what_is_missing_once(mine: ModuleType, tmp_path: Path) -> None:
    rows = mine.experiment.run(seeds=3, store=tmp_path / "s.sqlite")
    assert rows.attrs["settings"] == ["rate", "width"]
    assert len(rows) == len(mine.calls) == 9
    assert mine.calls[:3] == [(0.1, 5, 1), (0.2, 5, 1), (2.0, 5, 1)]  # seed by seed
    finished = rows[rows.rate < 1]
    assert np.allclose(finished.trace, finished.rate * finished.seed + 5)
    assert rows[rows.rate > 1].trace.isna().all()
    assert set(rows[rows.rate > 1].status) == {"diverged"}
    more = mine.experiment.run(seeds=4, store=tmp_path / "s.sqlite")
    assert [call[2] for call in mine.calls[9:]] == [4, 4, 4]
    pd.testing.assert_frame_equal(more[more.seed < 4].reset_index(drop=True), rows, check_like=True)


def test_global_generators_are_seeded_for_each_measurement(mine: ModuleType, tmp_path: Path) -> None:
    rows = mine.experiment.run(seeds=2, store=tmp_path / "a.sqlite")
    (job,) = [j for j in mine.experiment.jobs(2) if (j.arguments["rate"], j.seed) == (0.2, 2)]
    assert job.carry_out().values["draws"] == rows[(rows.rate == 0.2) & (rows.seed == 2)].draws.item()
    assert rows[rows.rate < 1].groupby("seed").draws.nunique().eq(1).all()
    assert rows.draws.nunique() == 2


def test_arrays_are_stored_beside(mine: ModuleType, tmp_path: Path) -> None:
    mine.experiment.run(seeds=1, store=tmp_path / "s.sqlite")
    with Store(tmp_path / "s.sqlite") as store:
        job = next(mine.experiment.jobs(1))
        assert job.carry_out().arrays["weights"].tolist() == [0, 1, 2]
        assert "weights" not in mine.experiment.rows(store, 1)


def test_a_change_of_the_function_is_measured_anew(mine: ModuleType, tmp_path: Path) -> None:
    keys = [job.key for job in mine.experiment.jobs()]
    same = Study("other", mine.measure, [{"rate": 0.1, "width": 5}])
    assert next(same.jobs()).key == keys[0]  # neither the study's name nor its other settings count
    raised = Study("other", mine.measure, [{"rate": 0.1, "width": 5}], version=2)
    assert next(raised.jobs()).key != keys[0]
    (tmp_path / "my_study.py").write_text(
        MINE.replace("rate * seed", "rate + seed").replace("seeds=4", "seeds=5"), encoding="utf-8"
    )
    for cached in tmp_path.glob("__pycache__/*"):
        cached.unlink()
    importlib.invalidate_caches()
    sys.modules.pop("my_study")
    changed = importlib.import_module("my_study")
    assert not {*keys} & {job.key for job in changed.experiment.jobs()}


def test_a_job_travels_by_the_function_s_name(mine: ModuleType) -> None:
    sent = pickle.dumps(next(mine.experiment.jobs()))
    assert b"my_study" in sent
    sys.modules.pop("my_study")
    arrived = pickle.loads(sent)
    assert arrived.carry_out().values["trace"] == pytest.approx(5.1)
    assert arrived.function.__module__ == "my_study"


def test_what_commands_build(mine: ModuleType, tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite") as store:
        (empty,) = experiments.build(mine.experiment, ["mine/table", "mine/figure"], "quick", 4, store)
        assert empty.shown.iloc[0, 0] == "not yet run"  # type: ignore[union-attr]
    mine.experiment.run(store=tmp_path / "s.sqlite")
    assert mine.experiment.ARTIFACTS == ("mine/table", "mine/largest", "mine/figure", "mine/trace-of-rate")
    with Store(tmp_path / "s.sqlite") as store:
        made = {a.id: a for a in experiments.build(mine.experiment, mine.experiment.ARTIFACTS, "quick", 4, store)}
    assert made["mine/table"].title == "What of rates?"
    assert made["mine/trace-of-rate"].title == "Traces by rate"
    assert made["mine/largest"].shown.trace.tolist() == ["5.4", "5.8", "nan"]  # type: ignore[union-attr]
    assert made["mine/table"].coverage["rate 0.1, width 5"] == 4
    assert made["mine/table"].shown.trace.tolist()[2] == "–; 4 of 4 missing"  # type: ignore[union-attr]
    lines = made["mine/table"].files["measurements.csv"].decode().splitlines()  # type: ignore[union-attr]
    assert len(lines) == 13


def test_the_table_is_student_s_t(mine: ModuleType) -> None:
    values = [1.0, 2.0, 4.0, math.nan]
    rows = pd.DataFrame({"rate": 0.1, "seed": [1, 2, 3, 4], "loss": values})
    summary = table(rows, by="seed", settings=["rate"])
    half = stats.t.ppf(0.975, 2) * np.std(values[:3], ddof=1) / np.sqrt(3)
    assert summary.numbers["loss, low"][0] == pytest.approx(7 / 3 - half)
    assert summary.numbers["loss, n"][0] == 3
    assert summary.shown.loss[0] == "2.33 [-1.46, 6.13]; 1 of 4 missing"
    assert "<table" in summary._repr_html_()
    assert len(plot(rows, settings=["rate"]).axes) == 1


def half_right(rate: float, seed: int) -> dict[str, float]:
    return {"accuracy": 1.0 if seed > 1 else 0.9}


def test_an_interval_ends_where_the_study_says(tmp_path: Path) -> None:
    study = Study("shares", half_right, {"rate": [1]}, seeds=3, limits={"accuracy": (0, 1)})
    summary = table(study.run(store=tmp_path / "s.sqlite"))
    assert summary.numbers["accuracy, high"][0] == 1
    unlimited = table(Study("shares", half_right, {"rate": [1]}, seeds=3).run(store=tmp_path / "s.sqlite"))
    assert unlimited.numbers["accuracy, high"][0] > 1
    assert unlimited.numbers["accuracy, low"][0] == summary.numbers["accuracy, low"][0]


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"accuracy": (0, 0.95)}, "limits accuracy to 0 to 0.95, but it is 1 at rate 1, seed 2"),
        ({"share": (0, 1)}, "has limits of 'share', but half_right returns accuracy"),
    ],
)
def test_limits_that_do_not_fit_are_named(tmp_path: Path, limits: dict[str, tuple[float, float]], words: str) -> None:
    with pytest.raises(UserError, match=words):
        Study("shares", half_right, {"rate": [1]}, seeds=3, limits=limits).run(store=tmp_path / "s.sqlite")


def failing(rate: float, width: int, seed: int) -> dict[str, float]:
    if rate == 1 or (width == 5 and seed == 2):
        raise RuntimeError
    return {"x": rate}


def test_a_table_has_a_row_for_every_setting(tmp_path: Path) -> None:
    """Whole numbers beside floating ones, and settings of which nothing is stored."""
    study = Study("gaps", failing, {"rate": [0.5, 1], "width": [5, 6]}, seeds=2)
    with pytest.raises(SweepError, match="5 of 8 runs failed"):
        study.run(store=tmp_path / "s.sqlite")
    with Store(tmp_path / "s.sqlite") as store:
        summary = table(study.rows(store))
    assert summary.shown.seeds.tolist() == ["1 of 2", "2", "0 of 2", "0 of 2"]
    assert summary.shown.x.tolist()[2:] == ["not yet run"] * 2
    assert list(zip(summary.shown.rate.astype(float), summary.shown.width, strict=True))[2:] == [(1, "5"), (1, "6")]
    assert "seeds: how many are stored" in summary.note


def test_the_user_s_own_figure_is_named_where_it_fails(tmp_path: Path) -> None:
    study = Study("shares", half_right, {"rate": [1]}, seeds=3)

    @study.figure
    def broken(rows: pd.DataFrame, axes: Axes) -> None:
        rows["nope"]

    study.run(store=tmp_path / "s.sqlite")
    with Store(tmp_path / "s.sqlite") as store, pytest.raises(UserError, match="shares/broken: its function raised KeyError"):
        study.build(study.ARTIFACTS, "quick", 3, store)


@pytest.mark.parametrize(
    ("columns", "options", "words"),
    [
        ({"a": [1.0]}, {}, "no column 'seed' to average over; they have a"),
        ({"seed": [1], "a": ["x"]}, {}, "no numbers to average"),
        ({"seed": [1, 2], "rate": [1, 1], "a": [0.5, "x"]}, {"settings": ["rate"]}, "a is 0.5 in some rows and 'x' in others"),
        ({"seed": [1], "a": [1.0]}, {"settings": ["b"]}, "no column 'b'"),
    ],
)
def test_rows_that_cannot_be_averaged_are_refused(
    columns: dict[str, list[object]], options: dict[str, list[str]], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        table(pd.DataFrame(columns), **options)  # type: ignore[arg-type]


def measured(rate: float, seed: int) -> dict[str, float]:
    return {"x": rate}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"id": "a/b"}, "id must be letters"),
        ({"grid": {"rate": []}}, r"grid\['rate'\] must be a list of values, got \[\]"),
        ({"grid": {"rate": 0.1}}, r"grid\['rate'\] must be a list of values, got 0.1"),
        ({"grid": []}, "at least one setting"),
        ({"grid": {"seed": [1]}}, "must not have the setting 'seed'"),
        ({"grid": {"rate": [0.1, 0.1]}}, "twice"),
        ({"grid": {"rate": [1], "depth": [2]}}, "cannot be called with rate 1, depth 2 and seed: .*unexpected"),
        ({"grid": {"rate": [object()]}}, "grid"),
        ({"grid": {"rate": [math.nan]}}, "must not hold nan"),
        ({"limits": {"x": (1, 0)}}, r"limits\['x'\] must have the least value first"),
        ({"limits": {"x": 1}}, r"limits\['x'\] must be the least and the largest value, got 1"),
        ({"measure": lambda rate, seed: {}}, "at the top of a module"),
        ({"seeds": 0}, "seeds must be a whole number of at least 1"),
    ],
)
def test_a_study_that_cannot_be_run_is_refused(change: dict[str, object], words: str) -> None:
    settings: dict[str, object] = {"id": "mine", "measure": measured, "grid": {"rate": [0.1]}}
    with pytest.raises(ValueError, match=words):
        Study(**(settings | change))  # type: ignore[arg-type]


def nothing(rate: float, seed: int) -> dict[str, object]:
    return {}


def strange(rate: float, seed: int) -> dict[str, object]:
    return {"model": object()}


def shadowing(rate: float, seed: int) -> dict[str, float]:
    return {"rate": 1.0}


def test_what_the_function_returns_is_checked(tmp_path: Path) -> None:
    with pytest.raises(SweepError, match="nothing must return numbers by name"):
        Study("a", nothing, {"rate": [1]}).run(store=tmp_path / "a.sqlite")
    with pytest.raises(SweepError, match="strange returned model"):
        Study("a", strange, {"rate": [1]}).run(store=tmp_path / "b.sqlite")
    with pytest.raises(UserError, match="shadowing returns 'rate', which is a setting's name"):
        Study("a", shadowing, {"rate": [1]}).run(store=tmp_path / "c.sqlite")


def test_ids_of_the_user_s_own_file(mine: ModuleType, tmp_path: Path) -> None:
    assert select(["my_study:experiment"]) == {"mine": list(mine.experiment.ARTIFACTS)}
    assert select(["my_study.py:experiment/table", f"{tmp_path}/my_study.py:experiment/figure"]) == {
        "mine": ["mine/table", "mine/figure"]
    }
    assert select(["mine/largest"]) == {"mine": ["mine/largest"]}  # known by now
    for name, words in (
        ("my_study:measure", "is of the type function; expected a Study"),
        ("my_study:absent", "has no 'absent'"),
        ("absent:experiment", "there is no module 'absent'"),
        ("absent.py:experiment", "there is no file absent.py"),
        ("my_study:experiment/nothing", "unknown id 'mine/nothing'"),
    ):
        with pytest.raises(ValueError, match=words):
            select([name])
    (tmp_path / "json.py").write_text("experiment = 1\n")
    with pytest.raises(ValueError, match="the name 'json' is that of another module"):
        select(["json.py:experiment"])
    (tmp_path / "taken.py").write_text(
        "from flatproof import Study\nfrom my_study import measure\n"
        "experiment = Study('wen2023', measure, [{'rate': 1, 'width': 2}])\n"
    )
    with pytest.raises(ValueError, match="has the ID 'wen2023', which is taken"):
        select(["taken:experiment"])


CLAIMS = '''
from flatproof.theory.claims import Evidence, claim, require

@claim("doe2020/lemma-1", printed="1 + 1 = 2")
def lemma_1():
    """A sum."""
    require(1 + 1 == 2, "the sum")
    yield Evidence("proved", "exact", "all", "counted")
'''


def test_claims_of_the_user_s_own_file(mine: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_claims.py").write_text(CLAIMS)
    from flatproof.theory import claims

    monkeypatch.setattr(claims, "_statements", dict(statements()))
    assert [claim.status for claim in examine(["my_claims:lemma_1"], None)] == ["proved"]
    assert [claim.id for claim in examine(["my_claims:"], None)] == ["doe2020/lemma-1"]
    assert [claim.id for claim in examine(["doe2020/lemma-1"], None)] == ["doe2020/lemma-1"]
    with pytest.raises(ValueError, match="my_study:measure registers no statement"):
        examine(["my_study:measure"], None)
