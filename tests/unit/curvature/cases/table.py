"""Owns the list of all cases, and the command that prints their table into the page of the documentation that it belongs to.

python -m tests.unit.curvature.cases.table [--write]
"""

import sys
import warnings
from pathlib import Path

from tests.unit.curvature.cases import batches, doubtful, layers, libraries, losses, modules, networks
from tests.unit.curvature.cases.case import RIGHT, Case, Outcome, outcome

PAGE = Path(__file__).parents[4] / "docs/background/any-model.md"
START, END = "<!-- printed by python -m tests.unit.curvature.cases.table --write -->", "<!-- end -->"
PARTS = {
    "Layers": layers.LAYERS,
    "Functions": layers.FUNCTIONS,
    "Losses": losses.LOSSES,
    "Means over batches that differ": losses.UNEVEN,
    "Batches and outputs": batches.BATCHES,
    "Modes, wrappers, precisions": modules.WRAPPED,
    "Where a Hessian is doubtful": doubtful.DOUBTFUL,
    "Networks by hand": networks.HAND,
    "Networks of transformers": libraries.TRANSFORMERS,
    "Networks of timm": libraries.TIMM,
}
CASES = [case for cases in PARTS.values() for case in cases]


def row(case: Case, came: Outcome) -> str:
    """One row: what, how it compares with the reference or the line that refuses it, and what multiplied."""
    if came.says != RIGHT or came.error is None:
        return f"| {_cell(case.name)} | {_cell(came.says)} | |"
    return f"| {_cell(case.name)} | {max(came.error, 1e-16):.0e} | {came.kernel} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def written(page: str, rows: list[str]) -> str:
    """The page with these rows in place of those that it had."""
    before, _, rest = page.partition(START)
    return before + "\n".join([START, "", *rows, "", END]) + rest.partition(END)[2]


def rows() -> list[str]:
    """The table, a heading a part."""
    lines = []
    for title, cases in PARTS.items():
        lines += [f"### {title}", "", "| case | off by, or the line that refuses it | kernel |", "|---|---|---|"]
        lines += [row(case, outcome(case)) for case in cases]
        lines += [""]
    return lines[:-1]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    printed = rows()
    print("\n".join(printed))
    if "--write" in sys.argv[1:]:
        PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), printed), encoding="utf-8")
