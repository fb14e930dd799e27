"""The committed tables come out of the outcomes that are committed beside them, without a store."""

import json
from pathlib import Path

import pytest

from flatproof.verify.report.outcomes import load, published
from tests.command import here

RESULTS = Path(__file__).parents[2] / "paper_results"
LARGEST = 16 * 2**20  # bytes of all files together
# whose bootstraps take from 10 to 20 seconds each
SLOW = tuple(
    f"andriushchenko2023/{name}" for name in ("diagonal", "claims", "correlations-resnet", "correlations-vit", "later-measures")
)


@pytest.mark.slow
def test_every_committed_table_with_outcomes_is_rebuilt_from_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine without any data."""
    monkeypatch.setenv("FLATPROOF_DATA", str(tmp_path / "nothing"))
    files = published(RESULTS)
    tables = [id for path in files for build in load(path) for id in build.artifacts if "/figure" not in id and id not in SLOW]
    assert len(tables) >= 12
    done = here("report", "--from", str(RESULTS), *tables, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line.startswith("left as they are")] == []
    asked = [word for id in tables for word in ("--only", id)]
    compared = here("compare", "--with", str(RESULTS), *asked, "--json", cwd=tmp_path)
    assert compared.returncode == 0, compared.stdout
    agreement = json.loads(compared.stdout)
    assert sum(paper["artifacts"] for paper in agreement["papers"]) == len(tables)
    assert sum(paper["equal"] for paper in agreement["papers"]) > 8000


def test_they_are_small() -> None:
    assert sum(path.stat().st_size for path in published(RESULTS)) < LARGEST
