"""Every test of trainings has a workspace of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from flatproof.verify.jobs.workspace import working_in


@pytest.fixture(autouse=True)
def place(tmp_path: Path) -> Iterator[Path]:
    with working_in(tmp_path / "files"):
        yield tmp_path / "files"
