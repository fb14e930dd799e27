"""Owns `make formal`: Coq compiles every proof anew, and says of each theorem of the index which axioms it rests on.

    python -m flatproof.theory.claims.formal.compiling [--check]

writes confirmed.json; with --check it writes nothing and fails where confirmed.json says something else.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from flatproof.theory.claims.formal import CONFIRMED, FOLDER, INDEX, Entry, fingerprint, index, second_check, sources

Record = dict[str, Any]  # of confirmed.json: coq, sources, axioms
AXIOMS = frozenset(  # of the real numbers in Coq's standard library and Coquelicot: classical logic and extensional functions
    {
        "ClassicalDedekindReals.sig_forall_dec",
        "ClassicalDedekindReals.sig_not_dec",
        "FunctionalExtensionality.functional_extensionality_dep",
        "Classical_Prop.classic",
    }
)
LIBRARY = "Flatproof"  # the name under which the proofs import one another
MISSING = "no coqc here, so nothing was checked: install Coq with Coquelicot (Debian: coq, libcoq-coquelicot)"
UNPROVED = re.compile(
    r"^\s*(Axioms?|Parameters?|Conjectures?)\s|\b(Admitted|admit|give_up|bypass_check)\b|\bUnset\s+(Guard|Universe|Positivity)"
)


class FormalError(Exception):
    """Coq is missing, a proof does not compile, or a theorem rests on what it should not; one line."""


def coqc() -> str | None:
    """Where Coq's compiler is, if it is anywhere."""
    return shutil.which("coqc")


def version() -> str:
    """Coq's version; FormalError where there is none."""
    compiler = coqc()
    if compiler is None:
        raise FormalError(MISSING)
    answer = subprocess.run([compiler, "--print-version"], capture_output=True, encoding="utf-8", check=True)
    return answer.stdout.split()[0]


def in_order(files: Sequence[Path]) -> list[Path]:
    """Each file after those that it imports."""
    by_name = {path.stem: path for path in files}
    imports = {}
    for path in files:
        lines = re.findall(rf"From {LIBRARY} Require Import ([\w\s]+)\.", path.read_text(encoding="utf-8"))
        imports[path.stem] = {name for line in lines for name in line.split()}
        for name in sorted(imports[path.stem] - set(by_name)):
            raise FormalError(f"{path.name} imports {name}, which is not there")
    try:
        return [by_name[name] for name in TopologicalSorter(imports).static_order()]
    except CycleError as error:
        raise FormalError(f"proofs import one another in a circle: {' imports '.join(error.args[1])}") from error


def without_comments(text: str) -> str:
    """A Coq source with its comments, nested ones too, blanked; lines stay where they are."""
    kept, depth, at = [], 0, 0
    while at < len(text):
        pair = text[at : at + 2]
        if pair in ("(*", "*)") and (depth or pair == "(*"):
            depth += 1 if pair == "(*" else -1
            at += 2
            continue
        kept.append(text[at] if depth == 0 or text[at] == "\n" else " ")
        at += 1
    return "".join(kept)


def check_words(path: Path) -> None:
    """No proof is left out; FormalError naming the line."""
    for number, line in enumerate(without_comments(path.read_text(encoding="utf-8")).splitlines(), 1):
        found = UNPROVED.search(line)
        if found:
            raise FormalError(f"{path.name}, line {number}: {found.group().strip()!r} leaves something unproved")


def run(path: Path) -> str:
    """What Coq prints as it compiles a file of the build folder; FormalError where it does not compile."""
    compiler = coqc()
    if compiler is None:
        raise FormalError(MISSING)
    command = [compiler, "-q", "-w", "none", "-R", ".", LIBRARY, path.name]
    answer = subprocess.run(command, cwd=path.parent, capture_output=True, encoding="utf-8", check=False)
    if answer.returncode != 0:
        line = re.search(r'File "\./(\S+)", line (\d+)', answer.stderr)
        reason = " ".join(answer.stderr.rpartition("Error:")[2].split())[:300]
        raise FormalError(f"{path.name}{f', line {line.group(2)}' if line else ''}: {reason or 'Coq failed'}")
    return answer.stdout


def assumptions(printed: str, theorem: str) -> list[str]:
    """The axioms in what Print Assumptions printed, sorted; FormalError for any other line, such as a check that was left out."""
    heads = [line.strip() for line in printed.splitlines() if line.strip() and not line[0].isspace()]  # types are indented
    if heads == ["Closed under the global context"]:
        return []
    if heads[:1] != ["Axioms:"] or len(heads) == 1:
        raise FormalError(f"{theorem}: Coq said nothing about its axioms")
    names = [head.partition(" :")[0] for head in heads[1:]]
    for name in names:
        if name not in AXIOMS:
            raise FormalError(f"{theorem} rests on {name}, which is no axiom of the real numbers")
    return sorted(names)


def compile_all(build: Path, folder: Path = FOLDER) -> Record:
    """Compile every proof from a clean state.

    Args:
        build: a folder of its own; what lies there is deleted.
        folder: where the proofs and the index lie.

    Returns:
        What confirmed.json says of them: Coq's version, the hash of what was compiled, the axioms of each theorem of the index.

    Raises:
        FormalError: one line.
    """
    coq = version()
    shutil.rmtree(build, ignore_errors=True)
    build.mkdir(parents=True)
    for path in (
        *sources(folder),
        folder / INDEX,
    ):  # what is hashed is what is compiled, whatever happens to the folder meanwhile
        shutil.copy(path, build)
    entries, hashed, files = index(build), fingerprint(build), sources(build)
    for path in in_order(files):
        check_words(path)
        run(path)
    asked = build / "Index.v"
    asked.write_text(questions(entries), encoding="utf-8")
    _, *answers = re.split(r"^== (\S+)$", run(asked), flags=re.MULTILINE)
    answered = dict(zip(answers[::2], answers[1::2], strict=True))
    axioms = {theorem: assumptions(text, theorem) for theorem, text in sorted(answered.items())}
    return {"coq": coq, "sources": hashed, "axioms": axioms}


def questions(entries: Sequence[Entry]) -> str:
    """A Coq file that prints the assumptions of each theorem under its name."""
    names = dict.fromkeys(entry.theorem for entry in entries)
    files = dict.fromkeys(name.partition(".")[0] for name in names)
    lines = [f"From {LIBRARY} Require {' '.join(files)}."]
    for name in names:
        lines += [f'Goal True. idtac "== {name}". Abort.', f"Print Assumptions {name}."]
    return "\n".join(lines) + "\n"


def same(record: Record, folder: Path = FOLDER) -> bool:
    """Whether confirmed.json says that, whatever version of Coq it was."""
    path = folder / CONFIRMED
    before: Record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return {**before, "coq": ""} == {**record, "coq": ""}


def main(arguments: Sequence[str], build: Path = Path("build/formal"), folder: Path = FOLDER) -> int:
    """Compile, print a line a theorem, and write or compare confirmed.json; the exit status."""
    if set(arguments) - {"--check"}:
        print(f"error: unknown option {arguments[0]}; expected none or --check", file=sys.stderr)
        return 2
    try:
        record = compile_all(build, folder)
    except FormalError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if coqc() is None else 1
    entries = index(build)
    for entry in entries:
        kind = entry.shows + ("" if entry.part is None else ", in part")
        short = [name.rpartition(".")[2] for name in record["axioms"][entry.theorem]]
        print(f"{entry.id:32} {entry.theorem} ({kind}): {', '.join(short) or 'no axioms'}")
    counts = f"{len({e.id for e in entries})} statements, {len(record['axioms'])} theorems"
    print(f"{counts} checked by Coq {record['coq']}; nothing is admitted.")
    if folder == FOLDER:
        printed, hold = second_check.lines()
        print("\n".join(printed), file=sys.stdout if hold else sys.stderr)
        if not hold:
            return 1
    if same(record, folder):
        print(f"{CONFIRMED} says the same.")
    elif "--check" in arguments:
        print(f"error: {CONFIRMED} says something else; run 'make formal' and commit it", file=sys.stderr)
        return 1
    else:
        (folder / CONFIRMED).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        print(f"{CONFIRMED} is written anew.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
