"""When two numbers agree, and what a comparison of two folders counts."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from flatproof.verify.report.artifacts import Table
from flatproof.verify.report.compare import compare
from flatproof.verify.report.rounding import DIFFERS, EQUAL, ROUNDING, TIME, state_of
from flatproof.verify.report.write import write


@pytest.mark.parametrize(
    ("committed", "fresh", "state"),
    [
        ("1.0", "1", EQUAL),
        ("nan", "nan", EQUAL),
        ("0.1234567", "0.12345671", ROUNDING),
        ("0.1234567", "0.1234577", DIFFERS),
        ("1.0", "0.97", DIFFERS),  # in full: not one digit after the point
        ("2e-12", "7e-11", ROUNDING),  # what rounding leaves of zero
        ("2e-12", "7e-8", DIFFERS),
        ("5", "4", DIFFERS),
        ("-inf", "1.5", DIFFERS),
        ("nan", "1.5", DIFFERS),
        ("", "1.5", DIFFERS),
        ("0.657 [0.578, 0.736]", "0.658 [0.578, 0.735]", ROUNDING),
        ("0.657 [0.578, 0.736]", "0.659 [0.578, 0.736]", DIFFERS),
        ("4 of 5 runs at least 0.9 accurate", "5 of 5 runs at least 0.9 accurate", DIFFERS),
        ("4,000 epochs", "4,001 epochs", DIFFERS),
        ("1.50 in the end", "1.50 at the end", DIFFERS),
        ("agrees", "differs", DIFFERS),
        ("agrees", "agrees", EQUAL),
    ],
)
def test_when_numbers_agree(committed: str, fresh: str, state: str) -> None:
    assert state_of(committed, fresh) == state


def test_a_number_that_was_printed_agrees_to_its_last_digit() -> None:
    assert state_of("8.08", "8.09", printed=True) == ROUNDING
    assert state_of("8.08", "8.10", printed=True) == DIFFERS
    assert state_of("8.08", "8.09") == DIFFERS


@pytest.mark.parametrize(
    "name", ["seconds", "seconds a run", "lambda_seconds", "gradient_ms", "milliseconds", "images/s", "Minutes"]
)
def test_columns_of_times(name: str) -> None:
    assert TIME.search(name)


@pytest.mark.parametrize("name", ["seeds", "items", "second phase", "terms", "loss/seeds", "epochs"])
def test_columns_of_results(name: str) -> None:
    assert not TIME.search(name)


def table(mean: float = 0.5, verdict: str = "agrees", seconds: float = 3.0, **more: object) -> Table:
    raw = pd.DataFrame({"row": ["a", "b"], "x, mean": [mean, 2.0], "x, low": [0.4, 1.0], "x, high": [0.6, 3.0]})
    raw = raw.assign(verdict=[verdict, "agrees"], seconds=seconds, **more)
    shown = pd.DataFrame({"row": ["a", "b"], "x": [f"{mean:.2f} [0.40, 0.60]", "2.00 [1.00, 3.00]"], "verdict": raw["verdict"]})
    provenance = {"scale": "quick", "runs": "10", "machine": f"of {seconds}"}
    notes = (f"Over 5 seeds. A run takes {seconds} seconds; the best reaches {mean:.3f}.",)
    return Table("study/table-1", "A table", shown, raw, notes, provenance, ("row",), coverage={"a": 5, "b": 5})


@pytest.fixture
def beside(tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Two folders: what is committed, and a table made anew with other values."""

    def folders(fresh: Table, committed: Table | None = None) -> tuple[Path, Path]:
        for name, made in (("fresh", fresh), ("committed", committed or table())):
            write([made], tmp_path / name, "flatproof reproduce")
        return tmp_path / "fresh", tmp_path / "committed"

    return folders


def test_times_and_machines_are_no_results(beside: Callable[..., tuple[Path, Path]]) -> None:
    agreement = compare(*beside(table(seconds=9.0)))
    assert agreement.agrees
    assert agreement.cells == []
    assert agreement.times == {"seconds"}
    assert agreement.same == []
    assert (
        agreement.counts["study", "quick"][EQUAL] == 2 * 4 + 2 + 2 + 2
    )  # raw; x as shown; runs behind rows; notes without times
    assert compare(*beside(table())).same == ["study/table-1"]


def test_a_number_that_differs_says_whether_it_lies_in_the_interval(beside: Callable[..., tuple[Path, Path]]) -> None:
    agreement = compare(*beside(table(0.55, seconds=9.0)))
    assert not agreement.agrees
    assert [(c.row, c.column, c.committed, c.fresh, c.inside) for c in agreement.cells if c.row == "a"] == [
        ("a", "x, mean", "0.5", "0.55", True),
        ("a", "x", "0.50 [0.40, 0.60]", "0.55 [0.40, 0.60]", True),
    ]
    assert not any(c.inside for c in compare(*beside(table(0.7))).cells)
    near = compare(*beside(table(0.5 + 1e-8)))
    assert near.agrees
    assert {c.state for c in near.cells} == {ROUNDING}
    assert not compare(*beside(table(0.5 + 1e-8)), tolerance=0).agrees


def test_verdicts_rows_columns_and_tables(beside: Callable[..., tuple[Path, Path]]) -> None:
    (cell,) = compare(*beside(table(verdict="differs"))).cells
    assert cell.verdict
    assert (cell.committed, cell.fresh) == ("agrees", "differs")
    fresh, committed = beside(table(more=1.5))
    extra = compare(fresh, committed)
    assert extra.agrees
    assert extra.counts["study", "quick"]["extra"] == 2
    assert compare(committed, fresh).counts["study", "quick"]["missing"] == 2
    write([pd_replaced("study/table-2")], committed, "flatproof reproduce")
    missing = compare(fresh, committed)
    assert not missing.agrees
    assert [(c.id, c.state) for c in missing.cells if not c.row] == [("study/table-2", "missing")]
    write([pd_replaced("other/table-1")], committed, "flatproof reproduce")
    assert compare(fresh, committed).absent == {("other", "quick"): ["other/table-1"]}
    assert [c.id for c in compare(fresh, committed, ["other/table-1"]).cells] == ["other/table-1"]
    assert compare(fresh, committed, ["other"]).agrees
    with pytest.raises(ValueError, match="has results of 'nothing'"):
        compare(fresh, committed, ["nothing"])


def pd_replaced(id: str) -> Table:
    made = table()
    return Table(id, made.title, made.shown, made.raw, made.notes, made.provenance, made.brief)


@pytest.mark.parametrize(
    ("command", "asked"),
    [
        ("flatproof reproduce --scale quick", True),
        ("flatproof reproduce --only study --scale quick", True),
        ("flatproof reproduce --only other study/figure-2 --scale quick --seeds 3", True),
        ("flatproof reproduce --only mine:study --scale quick", True),
        ("flatproof reproduce --only study/table-1 --scale quick", False),
        ("flatproof reproduce --only study/figure-2b --scale quick", False),
        ("flatproof reproduce --only study --scale paper", False),
    ],
)
def test_what_the_command_did_not_ask_for_is_not_missing(tmp_path: Path, command: str, asked: bool) -> None:
    write([table()], tmp_path / "fresh", command)
    write([table(), pd_replaced("study/figure-2a")], tmp_path / "committed", "flatproof reproduce --scale quick")
    agreement = compare(tmp_path / "fresh", tmp_path / "committed")
    assert agreement.agrees is not asked
    assert agreement.absent == ({} if asked else {("study", "quick"): ["study/figure-2a"]})


def test_rows_are_matched_by_name_not_by_place(beside: Callable[..., tuple[Path, Path]]) -> None:
    made = table()
    turned = Table(
        made.id,
        made.title,
        made.shown[::-1],
        made.raw[::-1],
        made.notes,
        made.provenance | {"x": "y"},
        made.brief,
        {},
        made.coverage,
    )
    assert compare(*beside(turned)).cells == []


def test_what_another_command_wrote_is_named(beside: Callable[..., tuple[Path, Path]], tmp_path: Path) -> None:
    fresh, committed = beside(table())
    write([pd_replaced("study/table-7")], committed, "flatproof bench hvp")
    agreement = compare(fresh, committed)
    assert agreement.agrees
    assert agreement.others == ["study/table-7"]


def test_a_damaged_descriptor_is_refused(beside: Callable[..., tuple[Path, Path]]) -> None:
    fresh, committed = beside(table())
    path = fresh / "study/table_1.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"title": "Another"}))
    with pytest.raises(ValueError, match=r"table_1.json is damaged"):
        compare(fresh, committed)
