"""Any model: each case of the table is right or one clear line."""

import importlib.util
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from tests.unit.curvature.cases.case import RIGHT, Case, outcome
from tests.unit.curvature.cases.table import CASES, END, PAGE, START

# containers, bases, and what another name stands for
OTHERS = {"Container", "Module", "ModuleDict", "ModuleList", "Sequential", "ParameterList", "ParameterDict", "Upsample"} | {
    "RNNBase",
    "RNNCellBase",
    "NLLLoss2d",
    "DataParallel",
}


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    """No process group is left behind."""
    yield
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_right_or_one_clear_line(case: Case) -> None:
    if case.needs:
        pytest.importorskip(case.needs)
    came = outcome(case)
    if case.expected == RIGHT:
        assert came.says == RIGHT
        assert came.top is None or came.top < 1e-6, "lambda_max's interval misses the largest eigenvalue"
        return
    assert came.error is None, f"a number, off by {came.error}"
    assert case.expected in came.says
    assert "\n" not in came.says
    assert len(came.says) < 700


def test_every_layer_of_torch_has_a_case() -> None:
    layers = {n for n in dir(nn) if isinstance(getattr(nn, n), type) and issubclass(getattr(nn, n), nn.Module)}
    named = {word for case in CASES for word in case.name.replace(",", " ").split()}
    assert not {n for n in layers - OTHERS if f"nn.{n}" not in named and not n.startswith("Lazy")}
    assert len({case.name for case in CASES}) == len(CASES)


def test_the_page_lists_these_cases() -> None:
    rows = [
        line
        for line in PAGE.read_text(encoding="utf-8").partition(START)[2].partition(END)[0].splitlines()
        if line.startswith("| ")
    ]
    listed = [line.split(" | ")[0].removeprefix("| ").replace("\\*", "*").replace("&lt;", "<") for line in rows]
    assert [name.replace("\\|", "|") for name in listed if name != "case"] == [case.name for case in CASES]


def test_libraries_are_no_must() -> None:
    assert all(importlib.util.find_spec(case.needs) or case.needs in ("timm", "transformers") for case in CASES if case.needs)
