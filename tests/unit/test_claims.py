"""The ledger itself: complete, well-formed, and honest when a check fails."""

import json
import re
from collections.abc import Iterator

import pytest

from theory import claims
from theory.claims import STATUSES, Claim, Evidence, EvidenceFailed, Statement, require, statements
from verify.claims import in_full, table
from verify.experiments import examine

# Every id of the paper's page.
PAGE = [
    "theorem-3.1",
    "remark-3.1",
    "lemma-3.1",
    "condition-1",
    "theorem-3.2",
    "definition-4.1",
    "definition-4.2",
    "theorem-4.1",
    "proposition-4.1",
    "proposition-4.2",
    "lemma-4.1",
    "equation-2",
    "equation-3",
    "equation-4",
    "theorem-5.1",
    "proposition-5.1",
    "proposition-5.2",
    "lemma-A.1",
    "lemma-A.2",
    "lemma-A.3",
    "condition-2",
    "lemma-A.4",
    "lemma-A.5",
    "lemma-A.6",
    "lemma-A.8",
    "lemma-A.9",
    "lemma-A.10",
    "lemma-A.11",
    "theorem-A.1",
    "equation-15",
    "proposition-A.1",
    "proposition-A.2",
    "lemma-A.12",
    "definition-A.2",
    "theorem-A.2",
    "lemma-A.13",
    "lemma-A.14",
    "lemma-A.17",
    "lemma-A.18",
    "lemma-A.19",
    "lemma-A.20",
    "lemma-A.21",
    "corollary-A.1",
    "lemma-A.22",
    "lemma-A.23",
    "theorem-A.3",
    "lemma-A.24",
    "lemma-A.25",
    "lemma-A.26",
    "lemma-A.27",
    "table-1",
    "figure-1a",
    "figure-1b",
    "figure-2a",
    "figure-4a",
    "figure-4b",
    "figure-5a",
    "figure-5b",
    "figure-6a",
    "figure-6b",
    "figure-7a",
    "figure-7b",
    "figure-8a",
    "figure-8b",
    "figure-9a",
    "figure-9b",
    "figure-10a",
    "figure-10b",
    "figure-11a",
    "figure-11b",
]


@pytest.fixture(scope="module")
def ledger() -> dict[str, Claim]:
    return {c.id: c for c in examine([], None)}


def test_every_id_of_the_page_appears(ledger: dict[str, Claim]) -> None:
    assert {f"wen2023/{name}" for name in PAGE} <= set(ledger)


def test_no_check_fails(ledger: dict[str, Claim]) -> None:
    assert [(c.id, e.finding) for c in ledger.values() for e in c.evidence if e.method == "failed check"] == []


def test_every_claim_is_well_formed(ledger: dict[str, Claim]) -> None:
    for c in ledger.values():
        assert c.status in STATUSES
        assert c.printed
        assert c.evidence
        assert all(e.method and e.scope and e.finding for e in c.evidence)
        assert set(c.uses) <= set(ledger), f"{c.id} uses an unknown statement"
        if c.status == "refuted":
            assert c.corrected, f"{c.id} is refuted without a correction"
        else:
            assert c.corrected is None
        if c.status == "proved":
            assert not re.search("random|monte", " ".join(e.method for e in c.evidence if e.supports == "proved").lower())
        json.dumps(in_full(c))


def test_the_errors_found_so_far_stay_found(ledger: dict[str, Claim]) -> None:
    """Statements whose counterexamples were also derived by hand."""
    refuted = """zero-one-loss remark-3.1 theorem-3.2 equation-4 theorem-4.1 proposition-4.2 theorem-5.1 lemma-A.1 lemma-A.2 lemma-A.3
    proposition-A.1 proposition-A.2 theorem-A.2 lemma-A.13 lemma-A.19"""
    proved = """lemma-4.1 equation-2 equation-3 proposition-4.1 proposition-5.1 proposition-5.2 lemma-A.12 lemma-A.26 lemma-A.27
    equation-15"""
    assert {ledger[f"wen2023/{name}"].status for name in refuted.split()} == {"refuted"}
    assert {ledger[f"wen2023/{name}"].status for name in proved.split()} == {"proved"}


def test_a_failed_check_leaves_the_statement_open() -> None:
    def broken() -> Iterator[Evidence]:
        yield Evidence("proved", "symbolic", "all", "fine so far")
        require(1 + 1 == 3, "1 + 1 is not 3")

    found = Statement("x/y", "printed", (), "Title", broken).claim()
    assert found.status == "open"
    assert found.evidence[-1].finding == "1 + 1 is not 3"
    with pytest.raises(EvidenceFailed):
        require(False, "no")


def test_a_refutation_outranks_what_else_is_shown() -> None:
    def mixed() -> Iterator[Evidence]:
        yield Evidence("proved", "symbolic", "the corrected statement", "holds")
        yield Evidence("refuted", "counterexample", "n = 1", "fails", corrected="so")

    found = Statement("x/y", "printed", (), "Title", mixed).claim()
    assert (found.status, found.corrected) == ("refuted", "so")


def test_unknown_ids_are_named() -> None:
    with pytest.raises(
        ValueError, match=r"unknown statement 'wen2023/lemma-4\.2'; expected an id of the ledger, such as wen2023/"
    ):
        examine(["wen2023/lemma-4.2"], None)
    with pytest.raises(ValueError, match="unknown statement 'nothing'"):
        claims.ledger(["nothing"])
    with pytest.raises(ValueError, match="registered twice"):
        claims.claim("wen2023/lemma-4.1", printed="again")(lambda: ())
    assert "wen2023/lemma-4.1" in statements()


def test_the_table_holds_every_statement(ledger: dict[str, Claim]) -> None:
    made = table("wen2023/claims", list(ledger.values()))
    assert list(made.shown["id"]) == list(ledger)
    assert set(made.brief) <= set(made.shown.columns)
