"""The committed tables come out of the outcomes that are committed beside them, without a store."""

import json
from pathlib import Path

import pytest

from flatproof.verify.report.outcomes import load, published
from tests.command import here

RESULTS = Path(__file__).parents[2] / "paper_results"
LARGEST = 2**22  # bytes of all files together
SLOW = ("andriushchenko2023/diagonal",)  # its bootstrap takes 20 seconds


@pytest.mark.slow
def test_every_committed_table_with_outcomes_is_rebuilt_from_them(tmp_path: Path) -> None:
    files = published(RESULTS)
    tables = [id for path in files for build in load(path) for id in build.artifacts if "/figure" not in id and id not in SLOW]
    assert len(tables) >= 8
    done = here("report", "--from", str(RESULTS), *tables, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    away = "left as they are, their runs are on data that are not on this machine ('flatproof data list'): "
    absent = {id for line in done.stdout.splitlines() if line.startswith(away) for id in line.removeprefix(away).split(", ")}
    assert all(id.startswith("andriushchenko2023/") for id in absent)
    tables = [id for id in tables if id not in absent]
    assert len(tables) >= 8
    asked = [word for id in tables for word in ("--only", id)]
    compared = here("compare", "--with", str(RESULTS), *asked, "--json", cwd=tmp_path)
    assert compared.returncode == 0, compared.stdout
    agreement = json.loads(compared.stdout)
    assert sum(paper["artifacts"] for paper in agreement["papers"]) == len(tables)
    assert sum(paper["equal"] for paper in agreement["papers"]) > 8000


def test_they_are_small() -> None:
    assert sum(path.stat().st_size for path in published(RESULTS)) < LARGEST
