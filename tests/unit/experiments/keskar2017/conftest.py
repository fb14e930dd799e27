"""A working folder and a store of each test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from flatproof.verify.jobs.store import Store
from flatproof.verify.jobs.workspace import working_in


@pytest.fixture(autouse=True)
def place(tmp_path: Path) -> Iterator[None]:
    with working_in(tmp_path / "files"):
        yield


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "runs.sqlite") as opened:
        yield opened
