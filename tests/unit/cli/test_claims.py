"""`flatproof claims`: what it refuses, what it prints."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


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
    assert "status     refuted" in done.out
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
