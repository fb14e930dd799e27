"""Owns what a property of a statement is: it takes the statement as an argument, so that wrong variants of it can be put in its place."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis.strategies import SearchStrategy

Case = tuple[Any, ...]
Formula = Callable[..., Any]


@dataclass(frozen=True)
class Property:
    """What is asserted of a statement over drawn cases.

    Attributes:
        check: `check(statement, case)` raises AssertionError where the statement fails.
        cases: what cases are drawn from.
        statement: the true one.
        wrong: variants that must fail, by what is wrong with them.
        cheap: whether more cases are drawn.
    """

    check: Callable[[Formula, Case], None]
    cases: SearchStrategy[Case]
    statement: Formula
    wrong: dict[str, Formula]
    cheap: bool = False

    def violation(self, statement: Formula) -> AssertionError | None:
        """What failed in the first case that violates the statement; None if none does. Nothing is shrunk: it is shown as it is."""
        examples = max(300 if self.cheap else 0, settings().max_examples)

        @given(self.cases)
        @settings(phases=(Phase.generate, Phase.target), database=None, max_examples=examples, deadline=None)
        def every(case: Case) -> None:
            self.check(statement, case)

        try:
            every()
        except AssertionError as error:
            return error
        return None
