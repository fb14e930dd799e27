"""The second check of inequalities by z3: it holds, and a wrong inequality is named; skipped where there is no z3."""

from dataclasses import replace
from pathlib import Path

import pytest

from flatproof.theory.claims import statements
from flatproof.theory.claims.formal import second_check
from flatproof.theory.claims.formal.second_check import INEQUALITIES, answer, inequalities, lines, z3

needs_z3 = pytest.mark.skipif(z3() is None, reason="second checks skipped: no z3 here (pip install z3-solver)")


def test_each_is_of_a_statement() -> None:
    assert {inequality.id for inequality in inequalities()} <= set(statements())
    assert len(inequalities()) >= 10


def test_without_z3_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second_check, "z3", lambda: None)
    assert lines() == (["no z3 here: no second check of the inequalities (pip install z3-solver)"], True)


@needs_z3
def test_all_hold() -> None:
    printed, hold = lines()
    assert hold
    assert printed[0].startswith("second check, by z3 ")
    assert printed[0].endswith(f"no reals violate any of {len(inequalities())} inequalities")


@needs_z3
@pytest.mark.parametrize(
    ("id", "old", "new"),
    [
        ("wen2023/lemma-A.26", "(+ (abs1 x) (abs1 y))", "(abs1 (+ x y))"),
        ("wen2023/lemma-A.27", "(= (+ a d) (+ b c))", "true"),
        ("wen2023/lemma-A.4", "(<= (* 2.0 (abs1 s))", "(<= (abs1 s)"),
        ("wen2023/equation-3", "(* 2.0 r", "(* 2.1 r"),
        ("wen2023/remark-3.1", "(<= (* f y) 0.0)", "(<= (* f y) 0.1)"),
        ("wen2023/proposition-4.2", "(= (+ u1 v1) (+ s1 t1))", "(= (+ u1 v1 t1) s1)"),
        ("own/diagonal-7", "81.0", "80.0"),
    ],
)
def test_a_wrong_variant_is_named(id: str, old: str, new: str, tmp_path: Path) -> None:
    solver = z3()
    assert solver is not None
    right = next(inequality for inequality in inequalities() if inequality.id == id)
    assert old in right.negation
    wrong = replace(right, negation=right.negation.replace(old, new))
    assert answer(wrong, solver) == "sat"
    toml = f"[[check]]\nid = '{id}'\nwords = 'wrong'\nreals = '{wrong.reals}'\nnegation = '''{wrong.negation}'''\n"
    (tmp_path / INEQUALITIES).write_text(toml, encoding="utf-8")
    assert lines(tmp_path) == ([f"error: z3 finds no proof of {id}, 'wrong': it says sat"], False)


@needs_z3
def test_what_z3_does_not_understand_is_no_proof() -> None:
    solver = z3()
    assert solver is not None
    broken = replace(inequalities()[0], negation="(> nothing 0.0)")
    assert answer(broken, solver).startswith("(error")
