"""Jobs within a budget: their order, what is not begun, what a failure or a lost process takes with it, and what is kept at the end."""

import os
import time
from dataclasses import dataclass
from multiprocessing import Pipe
from pathlib import Path
from typing import Any, ClassVar

import pytest

from flatproof.verify.jobs import budget
from flatproof.verify.jobs.budget import LEAST, START, Costed, Pace, carried_out_within
from flatproof.verify.jobs.job import Computation
from flatproof.verify.jobs.store import Store
from flatproof.verify.jobs.worker import Attempt


@dataclass(frozen=True)
class Doing(Computation):
    """Sleeps, fails or ends its process."""

    JOB: ClassVar[str] = "doing"
    VERSION: ClassVar[int] = 1
    what: str
    seconds: float = 0.0

    @property
    def cost(self) -> float:
        return self.seconds

    def carry_out(self) -> dict[str, Any]:
        time.sleep(self.seconds)
        if self.what == "fail":
            raise ValueError("it fails")
        if self.what == "die":
            os._exit(7)
        return {"process": os.getpid()}

    def summary(self, result: dict[str, Any]) -> str:
        return self.what


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The processes that are started import this module by its name."""
    monkeypatch.syspath_prepend(Path(__file__).parents[3])


def lot(*jobs: Doing, stated: float = 0.0) -> list[Costed]:
    return [Costed(job, f"{job.what} {job.seconds:g}", stated, "doing") for job in jobs]


def test_what_fits_is_stored_in_order_and_the_rest_is_not_begun(tmp_path: Path) -> None:
    order: list[str] = []
    lots = [lot(Doing("a"), Doing("b")), lot(Doing("too long"), Doing("with it"), stated=1e4), lot(Doing("c"))]
    with Store(tmp_path / "s.sqlite") as store:

        def stored(costed: Costed, attempt: Attempt) -> None:
            assert costed.job in store
            assert attempt.provenance["machine"]
            order.append(costed.job.what)  # type: ignore[attr-defined]

        spent = carried_out_within(lots, 60, store, stored=stored)
        assert order == ["a", "b", "c"]
        assert [costed.name for costed, _ in spent.left] == ["too long 0", "with it 0"]
        assert {why for _, why in spent.left} == {"not begun: it takes about 10,000 s"}
        assert len(store) == 3
        assert carried_out_within(lots[:1], 60, store).done == []


def test_a_failure_and_a_lost_process_end_their_lot_alone(tmp_path: Path) -> None:
    lines: list[str] = []
    lots = [lot(Doing("fail"), Doing("after fail")), lot(Doing("die"), Doing("after die")), lot(Doing("good"))]
    with Store(tmp_path / "s.sqlite") as store:
        spent = carried_out_within(lots, 60, store, lanes=2, note=lines.append)
        assert [costed.name for costed, _ in spent.done] == ["good 0"]
        assert {costed.name: why for costed, why in spent.failed} == {
            "fail 0": "ValueError: it fails",
            "die 0": "its process was lost (exit status 7)",
        }
        assert {costed.name for costed, _ in spent.left} == {"after fail 0", "after die 0"}
        assert len(store) == 1
    assert "fail 0: failed: ValueError: it fails" in lines


def test_the_end_of_the_budget_cuts_off_what_is_in_flight(tmp_path: Path) -> None:
    began = time.monotonic()
    with Store(tmp_path / "s.sqlite") as store:
        spent = carried_out_within([lot(Doing("quick"), Doing("endless", 1000.0))], START + 5, store)
        assert time.monotonic() - began < START + 100
        assert [costed.name for costed, _ in spent.done] == ["quick 0"]
        assert [(costed.name, why) for costed, why in spent.left] == [("endless 1000", "cut off by the end of the budget")]


def test_a_budget_longer_than_one_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store(tmp_path / "s.sqlite") as store:
        assert len(carried_out_within([lot(Doing("a"))], 1e9, store).done) == 1
        monkeypatch.setattr(budget, "LONGEST_WAIT", 0.05)
        assert len(carried_out_within([lot(Doing("b", 1.0))], 60, store).done) == 1


def test_measured_seconds_scale_what_is_stated() -> None:
    pace, costed = Pace(), Costed(Doing("a"), "a", 20.0, "doing")
    assert pace.seconds(costed) == 20
    assert pace.seconds(costed, first=True) == 20 + START
    pace.measured(costed, 10.0, first=False)
    assert pace.seconds(costed) == 10
    pace.measured(costed, 30.0, first=True)
    pace.measured(costed, 5.0, first=False)  # the largest ratio stays
    assert pace.seconds(costed) == 30
    assert pace.seconds(Costed(Doing("b"), "b", 20.0, "other")) == 20
    for short, first in ((LEAST / 2, False), (START / 2, True)):
        pace.measured(Costed(Doing("b"), "b", short, "tiny"), 50.0, first=first)
    assert pace.seconds(Costed(Doing("b"), "b", 100.0, "tiny")) == 100


def test_a_first_job_that_ends_early_does_not_say_that_others_take_no_time() -> None:
    pace = Pace()
    pace.measured(Costed(Doing("a"), "a", 20.0, "doing"), 9.0, first=True)
    assert pace.seconds(Costed(Doing("b"), "b", 2000.0, "doing")) == pytest.approx(900)


def test_a_lane_that_nobody_asks_any_more_ends_without_a_word(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(budget, "end_with", lambda _: None)
    monkeypatch.setattr(budget.signal, "signal", lambda *_: None)
    orders, theirs = Pipe()
    orders.send(Doing("a"))
    orders.close()  # as by a kill, while the job is carried out
    budget._carry_out(theirs, Path("."), 0)
    assert capfd.readouterr() == ("", "")
