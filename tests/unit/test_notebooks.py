"""What notebooks show of results, and progress there and where output is no terminal."""

import io
import sys
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console

from flatproof import synth, theory
from flatproof.notebooks import html_rows
from flatproof.theory.check_certificate import check
from flatproof.theory.claims import statements
from flatproof.verify.cli import terminal
from flatproof.verify.cli.progress import Display, InNotebook
from flatproof.verify.curvature import Estimate, HessianOperator, trace
from flatproof.verify.jobs.job import Outcome
from flatproof.verify.jobs.sweep import Progress
from flatproof.verify.report.artifacts import Table


class Balanced(HTMLParser):
    """Collects the text, and refuses tags that do not nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def estimate() -> Estimate:
    torch.manual_seed(0)
    batch = torch.randn(20, 3), torch.randint(2, (20,))
    return trace(HessianOperator(torch.nn.Linear(3, 2), torch.nn.functional.cross_entropy, [batch]))


def test_an_estimate_is_a_number() -> None:
    measured = estimate()
    assert float(measured) == measured.value
    assert np.mean([float(measured)] * 2) == pytest.approx(measured.value)


def test_results_show_their_numbers() -> None:
    solution = theory.flattest(np.eye(2), [1.0, -1.0])
    decision = theory.decide(synth.given(np.eye(2), [1, -1], np.eye(2), [1, -1]), solution=solution)
    bracket = theory.bracket(np.eye(2), [1.0, -1.0])
    table = Table("p/table-1", "A < B", pd.DataFrame({"<x>": ["a & b"]}), pd.DataFrame(), ("1 < 2",), {}, ())
    claim = statements()["wen2023/equation-2"].claim()
    shown: list[tuple[Any, list[str]]] = [
        (estimate(), ["interval", "rests on", "20 samples, eval mode"]),
        (solution, [f"{solution.trace:.10g}", "lower bound"]),
        (decision, ["all", "2 of 2"]),
        (bracket, [f"{bracket.upper:.10g}"]),
        (check(solution.certificate()), ["valid: every interpolating network"]),
        (table, ["A < B", "a & b", "<x>", "1 < 2"]),
        (claim, ["wen2023/equation-2", claim.status, claim.evidence[0].finding]),
    ]
    for value, words in shown:
        text = Balanced(value._repr_html_()).text
        assert [word for word in words if word not in text] == []


def test_what_is_shown_is_escaped() -> None:
    text = html_rows("<script>", {"a": "<b>", "empty": ""})
    assert "<script>" not in text
    assert Balanced(text).text == "<script>a<b>"


def done(number: int) -> Any:
    job = SimpleNamespace(
        key="k", seed=number, result=lambda _: None, figures=lambda _: {"acc": 0.5}, remark=lambda _: "", summary=lambda _: "fine"
    )
    return Progress(job, Outcome({}, seconds=1.0), number, 2, 0.0)  # type: ignore[arg-type]


def test_progress_in_a_notebook_changes_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    pages: list[dict[str, str]] = []

    class Handle:
        def update(self, page: dict[str, str], raw: bool) -> None:
            pages.append(page)

    def display(page: dict[str, str], raw: bool, display_id: bool) -> Handle:
        pages.append(page)
        return Handle()

    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=display))  # type: ignore[arg-type]
    console = Console(file=io.StringIO(), force_jupyter=True)
    with Display(console, 2, {"k": "row"}) as shown:
        assert isinstance(shown.live, InNotebook)
        shown(done(1))
        shown(done(2))
    assert len(pages) == 3
    assert "2/2" in pages[-1]["text/plain"]
    assert all("\x1b" not in text for page in pages for text in page.values())
    Balanced(pages[-1]["text/html"])


def test_no_escape_codes_where_output_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever colours the environment forces, and in a notebook's `!command`, whose terminal shows all it gets."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    console = Console(file=io.StringIO())
    assert console.is_terminal
    with Display(console, 2, {"k": "row"}) as shown:
        shown(done(1))
    assert shown.live is None
    assert "\x1b[?25l" not in console.file.getvalue()  # type: ignore[attr-defined]
    assert "[1/2] row, fine" in console.file.getvalue()  # type: ignore[attr-defined]
    typed = SimpleNamespace(is_terminal=True, is_dumb_terminal=False, file=SimpleNamespace(isatty=lambda: True))
    assert terminal.animated(typed)  # type: ignore[arg-type]
    monkeypatch.setenv("JPY_PARENT_PID", "1")
    assert not terminal.animated(typed)  # type: ignore[arg-type]
