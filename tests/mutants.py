"""Properties of statements that take the statement as an argument, so that wrong variants of it can be put in its place."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis.strategies import SearchStrategy

Case = tuple[Any, ...]
Formula = Callable[..., Any]


@dataclass(frozen=True)
class Property:
    """What `check(statement, case)` asserts over drawn cases, of the true statement and of wrong variants. cheap: more cases."""

    check: Callable[[Formula, Case], None]
    cases: SearchStrategy[Case]
    statement: Formula
    wrong: dict[str, Formula]
    cheap: bool = False

    def run(self, statement: Formula) -> None:
        """Without shrinking: a failure is wanted, or shown as it is."""
        examples = max(300 if self.cheap else 0, settings().max_examples)

        @given(self.cases)
        @settings(phases=(Phase.generate, Phase.target), database=None, max_examples=examples, deadline=None)
        def every(case: Case) -> None:
            self.check(statement, case)

        every()


def mutants(properties: dict[str, Property]) -> list[tuple[str, str]]:
    """Name and wrong variant of each."""
    return [(name, variant) for name, entry in properties.items() for variant in entry.wrong]
