"""`flatproof claims`: what it refuses, what it prints."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from flatproof.theory.claims import statements
from flatproof.verify.cli.terminal import print_tables
from flatproof.verify.experiments import EXPERIMENTS
from flatproof.verify.report.artifacts import Table


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["claims", "wen2023/lemma-9.9"],
            "unknown statement 'wen2023/lemma-9.9'; expected an id of the ledger, such as wen2023/",
        ),
        (["claims", "theorem-9.9"], "unknown statement 'theorem-9.9'; expected an id of the ledger, such as "),
        (["claims", "4.1"], "'4.1' is the end of several ids; expected one of: wen2023/"),
        (["claims", "--store", "text.txt"], "store text.txt is not a flatproof store"),
    ],
)
def test_bad_input_is_one_line(refusal: Callable[[list[str]], str], arguments: list[str], words: str) -> None:
    assert words in refusal(arguments)


def test_claims_in_full_and_as_json(command: Callable[..., Any], tmp_path: Path) -> None:
    done = command("claims", "wen2023/proposition-4.2")
    assert done.status == 0, done.err
    assert done.out.startswith("wen2023/proposition-4.2\nprinted    ")  # first what the paper says, not what the module is about
    assert "status     refuted" in done.out
    assert "\nabout      A flattest network with bias that generalizes\nevidence " in done.out
    assert "fails in   statement: boundary" in done.out
    assert "corrected  For every n >= 3" in done.out
    assert "The same with r = (d+1)^(1/4)" in done.out
    assert "rests on   wen2023/equation-3, as printed" in done.out
    as_json = command("claims", "--json", "wen2023/proposition-4.2", "wen2023/lemma-4.1", "wen2023/figure-5a")
    printed = json.loads(as_json.out)
    assert [c["id"] for c in printed] == ["wen2023/proposition-4.2", "wen2023/lemma-4.1", "wen2023/figure-5a"]
    assert {"id", "status", "target", "severity", "reading", "printed", "corrected", "evidence", "depends_on"} <= set(printed[0])
    assert (printed[0]["target"], printed[0]["severity"]) == ("statement", "boundary")
    assert {"id": "wen2023/equation-3", "form": "printed"} in printed[0]["depends_on"]
    assert [c["status"] for c in printed] == ["refuted", "proved", "open"]
    assert printed[1]["corrected"] is None
    assert list(tmp_path.iterdir()) == []


def test_a_papers_name_lists_its_statements_with_whole_ids_and_a_headline(command: Callable[..., Any], tmp_path: Path) -> None:
    done = command("claims", "keskar2017", "kaur2023")
    assert done.status == 0, done.err
    stated = [id for id in statements() if id.startswith("keskar2017/")]
    assert len(stated) == 3
    ids = [*stated, *(id for name in ("keskar2017", "kaur2023") for id in EXPERIMENTS[name].claim_ids())]
    cells = [line.split("│")[1].strip() for line in done.out.splitlines() if line.startswith("│")]
    assert [cell for cell in cells if cell] == ids  # each on one line
    assert f" Measured: of {len(EXPERIMENTS['keskar2017'].claim_ids())} claims none fails as printed;" in done.out
    assert [line.split(":")[0] for line in done.out.splitlines()[-2:]] == ["keskar2017", "kaur2023"]
    assert {claim["id"] for claim in json.loads(command("claims", "--json", "kaur2023").out)} == {
        *EXPERIMENTS["kaur2023"].claim_ids()
    }


def test_ids_are_whole_on_a_terminal_of_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [f"andriushchenko2023/diagonal-{k}" for k in (1, 10)]
    frame = pd.DataFrame({"id": ids, "status": "refuted", "fails in": "statement: constant or sign", "about": "x" * 90})
    terminal = Console(width=80, force_terminal=True, file=io.StringIO())
    monkeypatch.setattr("flatproof.verify.cli.terminal.console", terminal)
    print_tables([Table("all/claims", "Title", frame, frame, (), {}, tuple(frame.columns))])
    printed = terminal.file.getvalue()  # type: ignore[attr-defined]
    assert all(f" {id} " in printed for id in ids)
    assert "…" not in printed
    assert printed.count("x") == 180
