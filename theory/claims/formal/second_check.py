"""Owns the second, independent check of inequalities in a few reals: z3 looks for a counterexample to each line of inequalities.toml.

It is printed by `make formal` as what it is; the ledger shows only what Coq checked.
"""

import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from flatproof.theory.claims.formal import FOLDER

INEQUALITIES = "inequalities.toml"
DEFINED = """(define-fun relu ((z Real)) Real (ite (>= z 0.0) z 0.0))
(define-fun abs1 ((z Real)) Real (ite (>= z 0.0) z (- z)))
"""
SECONDS = 60  # for one inequality; each takes some hundredths


@dataclass(frozen=True)
class Inequality:
    """A statement about a few reals.

    Attributes:
        id: of the ledger's statement.
        words: the inequality in words.
        reals: the names of the reals.
        negation: in SMT-LIB, what no reals may satisfy.
    """

    id: str
    words: str
    reals: str
    negation: str

    def script(self) -> str:
        """The question in SMT-LIB: are there such reals?"""
        declared = "".join(f"(declare-const {name} Real)\n" for name in self.reals.split())
        return f"{DEFINED}{declared}(assert {self.negation})\n(check-sat)\n"


def inequalities(folder: Path = FOLDER) -> list[Inequality]:
    """Those of inequalities.toml."""
    lines: list[dict[str, str]] = tomllib.loads((folder / INEQUALITIES).read_text(encoding="utf-8"))["check"]
    return [Inequality(**line) for line in lines]


def z3() -> str | None:
    """Where z3 is, if it is anywhere: beside this Python, where pip puts it, or on the path."""
    beside = Path(sys.executable).parent / "z3"
    return str(beside) if beside.exists() else shutil.which("z3")


def version(solver: str) -> str:
    """z3's version."""
    return subprocess.run([solver, "--version"], capture_output=True, encoding="utf-8", check=True).stdout.split()[2]


def answer(inequality: Inequality, solver: str) -> str:
    """What z3 says: "unsat" where no reals violate it, "sat" where some do, else what went wrong, in one line."""
    command = [solver, "-in", f"-T:{SECONDS}"]
    done = subprocess.run(command, input=inequality.script(), capture_output=True, encoding="utf-8", check=False)
    return " ".join(done.stdout.split()) or "no answer"


def lines(folder: Path = FOLDER) -> tuple[list[str], bool]:
    """What to print of the second check, and whether all holds; True where there is no z3."""
    solver = z3()
    if solver is None:
        return ["no z3 here: no second check of the inequalities (pip install z3-solver)"], True
    said = {inequality: answer(inequality, solver) for inequality in inequalities(folder)}
    failed = [f"error: z3 finds no proof of {i.id}, {i.words!r}: it says {word}" for i, word in said.items() if word != "unsat"]
    if failed:
        return failed, False
    return [f"second check, by z3 {version(solver)}: no reals violate any of {len(said)} inequalities", *_named(list(said))], True


def _named(checked: list[Inequality]) -> list[str]:
    return [f"  {inequality.id:32} {' '.join(inequality.words.split())}" for inequality in checked]
