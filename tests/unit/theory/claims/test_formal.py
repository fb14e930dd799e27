"""Formal evidence: shown for what Coq checked and for nothing else; without Coq what needs it is skipped, which the last lines say."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from flatproof.theory.claims import formal, ledger, statements
from flatproof.theory.claims.formal import CONFIRMED, FOLDER, INDEX, compiling, confirmed, fingerprint, index, sources
from flatproof.verify.experiments import EXPERIMENTS
from flatproof.verify.experiments.ledger import in_full, table

needs_coq = pytest.mark.skipif(compiling.coqc() is None, reason=f"formal checks skipped: {compiling.MISSING}")

GOOD = "From Coq Require Import Reals Lra.\nOpen Scope R_scope.\nTheorem fine : forall x : R, 0 <= x * x.\nProof. intros; nra. Qed.\n"
INDEX_OF_ONE = '[[theorem]]\nid = "x/y"\ntheorem = "One.fine"\nshows = "printed"\nwords = "a square"\n'


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The proofs, the index and what was confirmed, to be changed."""
    return Path(shutil.copytree(FOLDER, tmp_path / "formal", ignore=shutil.ignore_patterns("__pycache__", "*.py")))


@pytest.fixture
def one(tmp_path: Path) -> Path:
    """A folder with one theorem."""
    folder = tmp_path / "one"
    folder.mkdir()
    (folder / "One.v").write_text(GOOD, encoding="utf-8")
    (folder / INDEX).write_text(INDEX_OF_ONE, encoding="utf-8")
    return folder


@pytest.fixture
def forgetting() -> Iterator[None]:
    """The ledger reads what is confirmed anew, before and after."""
    formal._by_id.cache_clear()
    yield
    formal._by_id.cache_clear()


HEAD = (
    "Axioms:\nClassicalDedekindReals.sig_forall_dec\n  : forall P : nat -> Prop,\n    (forall n : nat, {P n} + {~ P n}) -> True\n"
)


def test_axioms_are_read_from_what_coq_prints() -> None:
    assert compiling.assumptions("Closed under the global context\n", "One.fine") == []
    assert compiling.assumptions(HEAD, "One.fine") == ["ClassicalDedekindReals.sig_forall_dec"]
    assert compiling.assumptions(HEAD + "Classical_Prop.classic : forall P : Prop, P \\/ ~ P\n", "One.fine") == [
        "ClassicalDedekindReals.sig_forall_dec",
        "Classical_Prop.classic",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "One.easy is assumed to be guarded.",
        "One.tree is assumed to be positive.",
        "One.easy relies on an unsafe hierarchy.",
        "Theory: Type hierarchy is collapsed (logic is inconsistent)",
        "One.lie : False",
    ],
)
def test_a_check_that_is_left_out_is_no_axiom_of_the_real_numbers(line: str) -> None:
    with pytest.raises(compiling.FormalError, match=r"^One\.fine rests on .* no axiom of the real numbers$"):
        compiling.assumptions(f"{HEAD}{line}\n", "One.fine")


@pytest.mark.parametrize("printed", ["", "Axioms:\n", "Error\n" + HEAD])
def test_silence_of_coq_proves_nothing(printed: str) -> None:
    with pytest.raises(compiling.FormalError, match="said nothing about its axioms"):
        compiling.assumptions(printed, "One.fine")


@needs_coq
def test_a_definition_without_an_end_proves_nothing(one: Path, tmp_path: Path) -> None:
    loop = "#[%s] Fixpoint easy (n : nat) : False := easy n.\n"
    proof = "Theorem fine : forall x : R, 0 < x * x.\nProof. intros; destruct (easy 0). Qed.\n"
    head = "From Coq Require Import Reals Lra.\nOpen Scope R_scope.\n"
    (one / "One.v").write_text(head + loop % "bypass_check(guard)" + proof, encoding="utf-8")
    with pytest.raises(compiling.FormalError, match="'bypass_check' leaves something unproved"):
        compiling.compile_all(tmp_path / "build", one)


def test_every_theorem_is_for_a_statement_and_is_there() -> None:
    texts = {path.stem: compiling.without_comments(path.read_text(encoding="utf-8")) for path in sources()}
    known = {*statements(), *(id for experiment in EXPERIMENTS.values() for id in experiment.claim_ids())}
    for entry in index():
        assert entry.id in known, entry.theorem
        file, name = entry.theorem.split(".")
        assert re.search(rf"^(Theorem|Lemma) {name} ", texts[file], re.MULTILINE), entry.theorem
        assert entry.words.endswith(".")


def test_what_lies_here_is_confirmed() -> None:
    """Whoever changes a proof or the index runs `make formal` and commits what it wrote."""
    assert [f.entry for f in confirmed()] == index()
    assert len({f.entry.id for f in confirmed()}) >= 25
    assert all(set(f.axioms) <= compiling.AXIOMS for f in confirmed())


def test_the_ledger_shows_it() -> None:
    (claim,) = ledger(["wen2023/equation-4"])
    assert {f.entry.shows for f in claim.formal} == {"printed", "corrected", "refutation"}
    text = in_full(claim)
    assert "formal     as corrected; checked by Coq 8." in text
    assert "as printed, in part: the condition" in text
    assert "axioms: ClassicalDedekindReals.sig_forall_dec" in text
    assert "[formal; as corrected; Coq 8." in table("wen2023/claims", [claim]).shown["evidence"][0]


@pytest.mark.parametrize("name", ["Networks.v", INDEX, "Extra.v"])
def test_a_changed_source_takes_the_evidence_away(
    copy: Path, name: str, monkeypatch: pytest.MonkeyPatch, forgetting: None
) -> None:
    assert len(list(confirmed(copy))) == len(index())
    with (copy / name).open("a", encoding="utf-8") as file:
        file.write("\n")
    assert list(confirmed(copy)) == []
    monkeypatch.setattr(formal, "confirmed", lambda: confirmed(copy))
    assert formal.theorems("wen2023/equation-2") == ()


def test_without_a_confirmation_nothing_is_shown(copy: Path) -> None:
    (copy / CONFIRMED).unlink()
    assert list(confirmed(copy)) == []


def test_a_theorem_that_the_run_did_not_confirm_is_not_shown(copy: Path) -> None:
    record = json.loads((copy / CONFIRMED).read_text(encoding="utf-8"))
    del record["axioms"]["Networks.gradient_norm"]
    (copy / CONFIRMED).write_text(json.dumps(record), encoding="utf-8")
    assert "Networks.gradient_norm" not in {f.entry.theorem for f in confirmed(copy)}


def test_an_index_that_says_what_it_should_not_is_refused(one: Path) -> None:
    (one / INDEX).write_text(INDEX_OF_ONE.replace('"printed"', '"proved"'), encoding="utf-8")
    with pytest.raises(ValueError, match=r"One\.fine shows 'proved'; expected printed, corrected or refutation"):
        index(one)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (GOOD.replace("intros; nra. Qed", "Admitted"), r"One\.v, line 4: 'Admitted' leaves something unproved"),
        (GOOD.replace("intros; nra.", "admit."), r"One\.v, line 4: 'admit' leaves something unproved"),
        ("Axiom easy : False.\n" + GOOD, r"One\.v, line 1: 'Axiom' leaves something unproved"),
        ("(* Admitted (* and *) Axiom *)\nUnset Guard Checking.\n" + GOOD, r"One\.v, line 2: 'Unset Guard' leaves"),
    ],
)
def test_what_is_left_out_is_named(one: Path, text: str, line: str) -> None:
    (one / "One.v").write_text(text, encoding="utf-8")
    with pytest.raises(compiling.FormalError, match=line):
        compiling.check_words(one / "One.v")


def test_files_are_compiled_after_what_they_import(one: Path) -> None:
    (one / "Another.v").write_text("From Flatproof Require Import One.\n", encoding="utf-8")
    assert [path.stem for path in compiling.in_order(sources(one))] == ["One", "Another"]
    (one / "One.v").write_text("From Flatproof Require Import Another.\n", encoding="utf-8")
    with pytest.raises(compiling.FormalError, match="import one another in a circle"):
        compiling.in_order(sources(one))
    (one / "One.v").write_text("From Flatproof Require Import None.\n", encoding="utf-8")
    with pytest.raises(compiling.FormalError, match=r"One\.v imports None, which is not there"):
        compiling.in_order(sources(one))


def test_assumptions_are_read_as_coq_prints_them() -> None:
    printed = "Axioms:\nClassical_Prop.classic : P \\/ ~ P\nClassicalDedekindReals.sig_forall_dec\n  : forall P,\n    {n}\n"
    assert compiling.assumptions(printed, "T") == ["ClassicalDedekindReals.sig_forall_dec", "Classical_Prop.classic"]
    assert compiling.assumptions("Closed under the global context\n", "T") == []
    for text, line in (("Axioms:\nOne.easy : False\n", "T rests on One.easy"), ("", "T: Coq said nothing about its axioms")):
        with pytest.raises(compiling.FormalError, match=line):
            compiling.assumptions(text, "T")


def test_without_coq_the_command_says_so(
    one: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compiling, "coqc", lambda: None)
    assert compiling.main([], tmp_path / "build", one) == 2
    assert capsys.readouterr().err == f"error: {compiling.MISSING}\n"
    assert not (one / CONFIRMED).exists()


def test_an_unknown_option_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert compiling.main(["--chekc"]) == 2
    assert capsys.readouterr().err == "error: unknown option --chekc; expected none or --check\n"


@pytest.mark.long
@needs_coq
def test_one_theorem_is_compiled_and_confirmed(one: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build = tmp_path / "build"
    assert compiling.main(["--check"], build, one) == 1
    assert "confirmed.json says something else" in capsys.readouterr().err
    assert not (one / CONFIRMED).exists()
    assert compiling.main([], build, one) == 0
    assert "1 statements, 1 theorems checked by Coq" in capsys.readouterr().out
    assert [f.entry.theorem for f in confirmed(one)] == ["One.fine"]
    assert compiling.main(["--check"], build, one) == 0


@needs_coq
def test_what_changes_while_coq_compiles_is_not_confirmed(one: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = compiling.run

    def meddling(path: Path) -> str:
        (one / "One.v").write_text(GOOD.replace("nra", "lra"), encoding="utf-8")
        return compiled(path)

    monkeypatch.setattr(compiling, "run", meddling)
    assert compiling.main([], tmp_path / "build", one) == 0
    assert list(confirmed(one)) == []


@needs_coq
@pytest.mark.parametrize(
    ("text", "line"),
    [
        (GOOD.replace("0 <= x * x", "0 < x * x"), r"One\.v, line 4: "),
        (GOOD.replace("fine", "fine'"), r"Index\.v, line \d+: "),
        ("Section S. Hypothesis easy : False. Theorem fine : 1 = 2. Proof. destruct easy. Qed. End S.\n", None),
        ("Context (easy : False).\nTheorem fine : 1 = 2. Proof. destruct easy. Qed.\n", r"One\.fine rests on (One\.)?easy"),
        (GOOD.replace("intros; nra. Qed", "Admitted"), r"One\.v, line 4: 'Admitted' leaves something unproved"),
    ],
)
def test_what_does_not_hold_ends_in_one_line(
    one: Path, text: str, line: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (one / "One.v").write_text(text, encoding="utf-8")
    status = compiling.main([], tmp_path / "build", one)
    error = capsys.readouterr().err
    if line is None:  # a section's hypothesis becomes a premise of the theorem, no axiom
        assert (status, error) == (0, "")
        return
    assert status == 1
    assert re.match(f"error: {line}", error), error
    assert error.count("\n") == 1
    assert not (one / CONFIRMED).exists()


@needs_coq
def test_all_proofs_compile_to_what_is_confirmed(tmp_path: Path) -> None:
    record = compiling.compile_all(tmp_path / "build")
    assert set(record["axioms"]) == {entry.theorem for entry in index()}
    assert record["sources"] == fingerprint()
    assert compiling.same(record)
