"""Where artifacts lie and what the page shows."""

from pathlib import Path

import pandas as pd

from verify.report import Table, write


def table(scale: str, cell: str) -> Table:
    frame = pd.DataFrame({"row": [cell]})
    return Table("wen2023/table-9", "A table", frame, frame, ("A note.",), {"scale": scale}, ("row",))


def test_quick_results_leave_those_at_the_papers_scale_alone(tmp_path: Path) -> None:
    write([table("paper", "long run")], tmp_path, "command one")
    write([table("quick", "short run")], tmp_path, "command two")
    assert "long run" in (tmp_path / "wen2023/paper_scale/table_9.md").read_text()
    assert "short run" in (tmp_path / "wen2023/table_9.md").read_text()
    page = (tmp_path / "index.html").read_text()
    for text in (
        "long run",
        "short run",
        'href="#wen2023-table-9"',
        'href="#wen2023-paper-scale-table-9"',
        'href="wen2023/paper_scale/table_9.csv"',
    ):
        assert text in page
    assert "A table, at the paper's own scale" in page.replace("&#39;", "'")


def test_other_json_files_are_no_artifacts(tmp_path: Path) -> None:
    folder = tmp_path / "wen2023" / "paper_scale"
    folder.mkdir(parents=True)
    (folder / "rows.json").write_text("[1]")
    write([table("quick", "short run")], tmp_path, "command")
    assert (tmp_path / "index.html").read_text().count("<section") == 1
