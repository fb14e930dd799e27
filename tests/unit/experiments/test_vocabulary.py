"""The words of experiments: what verdicts become, when many effects make one, cells, what is stored with its provenance, settings."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flatproof.verify.experiments.vocabulary import (
    DASH,
    Effect,
    Shelf,
    Verdict,
    bracketed,
    consistently_below,
    coverage,
    entry,
    every_above,
    evidence_of,
    fullest,
    majority,
    mean_and_diverged,
    most_seeds,
    not_run,
    numbers,
    provenance_of,
    quantiles,
    spread,
    together,
)
from flatproof.verify.jobs.job import OFF_ADDRESS, Computation, Outcome
from flatproof.verify.jobs.store import Store
from flatproof.verify.report.verdicts import VERDICTS
from flatproof.verify.utils.statistics import Interval, binomial_interval, mean_interval
from tests.unit.jobs.test_store import OLD


def test_a_verdict_has_its_wording_and_its_status_at_either_size() -> None:
    rows = [(v.value, v.worded(False), v.worded(True), v.status(), v.status(reduced=True)) for v in Verdict]
    assert rows == [
        ("supported", "supported", "supported (reduced size)", "tested", "open"),
        ("refuted", "refuted", "contradicted (reduced size)", "refuted", "open"),
        ("agrees", "agrees", "agrees", "tested", "open"),
        ("differs", "differs", "differs", "refuted", "open"),
        ("inconclusive", "inconclusive", "inconclusive", "open", "open"),
        ("not judged", "not judged", "not judged", "open", "open"),
        ("not run", "not run", "not run", "open", "open"),
    ]
    judged = [v for v in Verdict if v not in (Verdict.NOT_JUDGED, Verdict.NOT_RUN)]
    assert {v.worded(reduced) for v in judged for reduced in (True, False)} <= set(VERDICTS)  # the page colours all of them
    assert [v.opposite.opposite for v in Verdict] == list(Verdict)
    assert Verdict.SUPPORTED.opposite == "refuted"


@pytest.mark.parametrize(
    ("parts", "whole"),
    [
        (["supported", "supported"], "supported"),
        (["supported", "inconclusive"], "inconclusive"),
        (["supported", "inconclusive", "refuted"], "refuted"),
        (["agrees", "differs"], "differs"),
        (["not run", "supported"], "supported"),
        (["not judged", "not judged"], "not judged"),
        (["not run"], "not run"),
        ([], "not run"),
    ],
)
def test_parts_make_a_whole(parts: list[str], whole: str) -> None:
    assert together(parts) == whole


def test_a_majority_has_no_dissent() -> None:
    assert majority(["supports", "supports", "open"]) == "supported"
    assert majority(["supports", "open"]) == "inconclusive"
    assert majority(["supports", "supports", "contradicts"]) == "inconclusive"
    assert majority(["contradicts", "contradicts", "open"]) == "refuted"
    assert majority([]) == "inconclusive"


def test_most_seeds_are_told_from_chance() -> None:
    assert [most_seeds(k, 5) for k in range(6)] == ["differs", *["inconclusive"] * 4, "agrees"]
    assert most_seeds(4, 4) == "inconclusive"  # with four seeds or fewer chance cannot be told
    assert most_seeds(0, 0) == "inconclusive"


def effects(*groups: Sequence[float]) -> list[Effect]:
    return [Effect(str(i), "size", tuple(values)) for i, values in enumerate(groups)]


def test_any_effect_among_many_is_judged_at_a_higher_confidence() -> None:
    (alone,) = effects((1.0, 1.5, 2.2))
    assert alone.above
    assert alone.above_among(1)
    assert not alone.above_among(20)
    assert alone.among(20) == mean_interval(alone.values, 0.9975)
    assert consistently_below([alone]) == "refuted"
    down = effects(*[(-1.0, -1.1, -1.2)] * 19)
    assert consistently_below(down) == "supported"
    assert consistently_below([alone, *down]) == "inconclusive"
    assert consistently_below([]) == "inconclusive"


def test_every_effect_must_be_judged_and_above() -> None:
    up, down, wide = (1.0, 1.1, 1.2), (-1.0, -1.1, -1.2), (-1.0, 0.0, 1.5)
    assert every_above(effects(up, up)) == "supported"
    assert every_above(effects(up, wide)) == "inconclusive"
    assert every_above(effects(up, wide, down)) == "refuted"
    for unjudged in ((1.0, 1.1), (), (1.0, 1.1, np.nan)):
        assert every_above(effects(down, unjudged)) == "inconclusive"
    assert every_above([]) == "inconclusive"


def test_margins() -> None:
    (sure,) = effects((0.009, 0.01, 0.011))
    assert sure.within(0.02)
    assert not sure.outside(0.02)
    assert sure.outside(0.005)
    assert not effects((0.01, 0.0101))[0].within(1.0)  # two seeds


def test_cells() -> None:
    assert bracketed(Interval(0.5, 0.25, 1.0), ".2f") == "0.50 [0.25, 1.00]"
    assert bracketed(mean_interval([2.0]), ".1f") == "2.0 [one seed]"
    assert bracketed(mean_interval([2.0]), ".1f", alone="") == "2.0"
    assert bracketed((2.0, 1.5, np.inf), ".4g") == "2 in [1.5, ∞)"
    assert bracketed((np.nan, -np.inf, np.inf)) == DASH
    assert mean_and_diverged([1.0, np.nan], ".1f") == "1.0 [one seed]; 1 diverged"
    assert mean_and_diverged([np.nan, np.nan]) == "all 2 diverged"
    assert mean_and_diverged([]) == DASH
    assert mean_and_diverged([99.0, 100.0, 100.0], ".0f", (0, 100)) == "100 [98, 100]"
    assert spread([3.0, 1.0, 2.0], ".1f") == "2.0 [1.0, 3.0]"
    assert spread([], ".1f") == DASH
    assert quantiles([2.0, 1.0], ".1f") == "1.0 / 2.0"
    assert quantiles([1.0, 2.0, 3.0, 4.0, 5.0], ".0f") == "1 / 2 / 3 / 4 / 5"
    assert quantiles([1.0, np.nan], ".1f") == DASH
    assert numbers("trace", Interval(1.0, 0.0, 2.0)) == {"trace, mean": 1.0, "trace, low": 0.0, "trace, high": 2.0}
    assert numbers("trace", None) == {}


def test_entries_of_the_ledger() -> None:
    against = evidence_of(Verdict.DIFFERS, "runs", "5 seeds", "0 of 5", "they do not")
    assert (against.supports, against.corrected, against.target, against.severity) == (
        "refuted",
        "they do not",
        "statement",
        "substance",
    )
    small = evidence_of(Verdict.REFUTED, "runs", "5 seeds", "0 of 5", "they do not", reduced=True)
    assert (small.supports, small.corrected, small.target) == ("open", None, None)
    claim = entry("paper/claim-1", "They do.", "refuted", [against, small, against], separator="; ")
    assert (claim.title, claim.corrected, claim.severity) == ("Claim 1", "they do not; they do not", "substance")
    assert entry("paper/claim-1", "They do.", "open", [small]).corrected is None
    assert not_run("paper").finding == "not run: flatproof reproduce paper runs it"


@dataclass(frozen=True)
class Where:
    folder: str
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class Part(Computation):
    seed: int

    JOB, VERSION = "part", 3
    cost = 1.0

    def carry_out(self) -> dict[str, Any]:
        return {"value": self.seed}

    def summary(self, values: dict[str, Any]) -> str:
        return str(values["value"])


@dataclass(frozen=True)
class Whole(Part):
    part: Part
    where: Where
    name: str = field(default="", metadata=OFF_ADDRESS)

    JOB = "whole"


def test_settings_follow_from_fields() -> None:
    whole = Whole(np.int64(1), Part(2), Where("a", (1, 2)), "shown")  # type: ignore[arg-type]
    assert Part(2).settings() == {"job": "part", "version": 3, "seed": 2}
    assert whole.settings() == {
        "job": "whole",
        "version": 3,
        "seed": 1,
        "part": Part(2).key,
        "where": {"folder": "a", "sizes": [1, 2]},
    }
    assert whole.key == Whole(1, Part(2), Where("a", (1, 2)), "another").key
    with pytest.raises(ValueError, match=r"where.sizes\[0\] is of the type complex"):
        Whole(1, Part(2), Where("a", (1j,))).settings()  # type: ignore[arg-type]


def test_a_shelf_looks_up_what_is_there_and_remembers_it(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite") as store:
        for seed in (1, 2, 4):
            store.put(Part(seed), Outcome({"value": seed}), {"machine": "a" if seed < 4 else "b", "commit": "c"})
        looked: list[str] = []
        store._connection.set_trace_callback(looked.append)
        shelf = Shelf(store)
        pairs = shelf.pairs(map(Part, range(1, 101)))
        assert [(job.seed, stored.result["value"]) for job, stored in pairs] == [(1, 1), (2, 2), (4, 4)]
        assert shelf.outcomes([Part(3), Part(1)]) == [pairs[0][1]]
        assert shelf.get(Part(3)) is None
        assert sum("SELECT settings" in query for query in looked) == 3
    stored = [outcome for _, outcome in pairs]
    assert list(shelf.used) == [job.key for job, _ in pairs]
    assert provenance_of(stored, "quick", "runs", seeds=True, more={"device": "cpu"}) == {
        "scale": "quick",
        "seeds": "1, 2, 4",
        "runs": "3",
        "device": "cpu",
        "machine": "a (2 runs); b (1 runs)",
        "commit": "c",
    }
    assert provenance_of(stored[:1]) == {"jobs": "1", "machine": "a", "commit": "c"}
    assert coverage([("odd", Part(1)), ("odd", Part(3)), ("even", Part(2)), ("even", Part(2))], shelf.keys) == {
        "odd": 1,
        "even": 1,
    }
    assert fullest([[1], [2, 3], [4, 5]]) == [2, 3]


def test_an_outcome_is_found_in_either_table_by_one_query(tmp_path: Path) -> None:
    """A store from before runs were jobs, and one row in its table of jobs."""
    with sqlite3.connect(tmp_path / "s.sqlite") as connection:
        connection.executescript(OLD)
        row = (Part(2).key, json.dumps(Part(2).settings()), "finished", '{"value": 2}', None, 0.0, "{}")
        connection.execute(
            "INSERT INTO runs (key, settings, status, outcome, network, seconds, provenance) VALUES (?,?,?,?,?,?,?)", row
        )
    with Store(tmp_path / "s.sqlite") as store:
        store.put(Part(1), Outcome({"value": 1}), {})
        looked: list[str] = []
        store._connection.set_trace_callback(looked.append)
        values = [stored.result["value"] for stored in Shelf(store).outcomes([Part(1), Part(2)])]
    assert values == [1, 2]
    assert sum("SELECT settings" in query for query in looked) == 2


def test_a_share_has_the_exact_binomial_interval() -> None:
    """By hand: no success in n has the upper end 1 - (1 - confidence)/2 ^ (1/n)."""
    share = binomial_interval(0, 5, 0.9)
    assert share == (0.0, 0.0, pytest.approx(1 - 0.05 ** (1 / 5)))
