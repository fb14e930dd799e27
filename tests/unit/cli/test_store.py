"""`flatproof store`, what it takes in, and what `report` and `reproduce` do with a store that was altered, emptied or cut off."""

import json
import lzma
import shutil
import sqlite3
from pathlib import Path

import pytest

from flatproof.verify.jobs.job import address
from flatproof.verify.jobs.rows import Kept
from flatproof.verify.jobs.store import Store
from flatproof.verify.report.outcomes import NAME, Asked, Build, save
from tests.command import here

SWEEP = ("wen2023/figure-6a", "wen2023/figure-4a", "--scale", "smoke", "--seeds", "1")
FOLDER = Path("paper_results/wen2023/smoke_scale")


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("swept")
    done = here("reproduce", *SWEEP, "--workers", "1", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def folder(swept: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(swept, tmp_path / "copy"))


def artifacts(folder: Path) -> dict[str, bytes]:
    """All but the published outcomes, which hold when each row was stored."""
    return {path.name: path.read_bytes() for path in (folder / FOLDER).iterdir() if path.name != NAME}


def alter(folder: Path) -> str:
    """Alter an outcome that figure 6a alone needs; its address."""
    with sqlite3.connect(folder / ".flatproof/runs.sqlite") as connection:
        rows = connection.execute("SELECT key, settings FROM jobs").fetchall()
        key = next(key for key, settings in rows if json.loads(settings)["architecture"] == "sim-ln")
        connection.execute("UPDATE jobs SET outcome = replace(outcome, 'finished', 'banana') WHERE key = ?", (key,))
    return str(key)


def test_a_sound_store_is_said_to_be_sound(folder: Path) -> None:
    done = here("store", "check", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "rows, all as they were sealed" in done.stdout
    told = json.loads(here("store", "check", "--json", cwd=folder).stdout)
    assert (told["sound"], told["faults"], told["structure"]) == (True, [], [])
    assert here("store", "mend", cwd=folder).returncode == 0
    assert [path.name for path in (folder / ".flatproof").iterdir() if path.name.startswith("runs")] == ["runs.sqlite"]


def test_a_damaged_row_is_named_and_the_rest_is_reported(folder: Path) -> None:
    """One line for the row; what needs it is left as it lies there, everything else is written; on request it is run anew."""
    before, key = artifacts(folder), alter(folder)
    for path in (folder / FOLDER).iterdir():
        path.unlink()
    for command in ("report", "reproduce"):
        done = here(command, *SWEEP, cwd=folder)
        assert done.returncode == 1
        row, ending = done.stderr.splitlines()
        assert row.startswith("error: store .flatproof/runs.sqlite: row " + key[:12])
        assert row.endswith("seed 1) is damaged: it was altered after it was written; not written: wen2023/figure-6a")
        assert ending.endswith("--rerun-damaged' runs them anew")
        assert artifacts(folder) == {name: content for name, content in before.items() if name.startswith("figure_4a")}
    checked = here("store", "check", cwd=folder)
    assert checked.returncode == 1
    assert f"damaged: row {key[:12]} (run, sim-ln" in checked.stdout
    again = here("reproduce", *SWEEP, "--rerun-damaged", cwd=folder)
    assert again.returncode == 0, again.stderr
    assert "the damaged file lies in .flatproof/runs.sqlite.damaged-1" in again.stdout
    assert ", 1 to do" in again.stdout
    assert artifacts(folder) == before
    assert here("store", "check", cwd=folder).returncode == 0


@pytest.mark.parametrize("statement", ["DROP TABLE jobs", "DELETE FROM jobs"])
def test_a_store_whose_rows_are_gone_is_not_said_to_keep_any(folder: Path, statement: str) -> None:
    path = folder / ".flatproof/runs.sqlite"
    with sqlite3.connect(path) as connection:
        (count,) = connection.execute("SELECT count(*) FROM jobs").fetchone()
        connection.execute(statement)
    done = here("store", "check", cwd=folder)
    assert done.returncode == 1
    assert f": all {count} rows are gone, and nothing is left to keep; move the file away" in done.stdout.splitlines()[-1]


def test_a_row_that_is_gone_is_counted_among_those_stored(folder: Path) -> None:
    with sqlite3.connect(folder / ".flatproof/runs.sqlite") as connection:
        (count,) = connection.execute("SELECT count(*) FROM jobs").fetchone()
        connection.execute("DELETE FROM jobs WHERE key = (SELECT min(key) FROM jobs)")
    assert f": 1 of {count} rows are damaged; 'flatproof store mend' sets" in here("store", "check", cwd=folder).stdout


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "store s.sqlite is empty; expected one that 'flatproof reproduce' has written"),
        (None, "store s.sqlite does not exist; expected one that 'flatproof reproduce' has written"),
    ],
)
def test_an_empty_store_is_no_store_to_report_from(folder: Path, content: bytes | None, words: str) -> None:
    if content is not None:
        (folder / "s.sqlite").write_bytes(content)
    before = artifacts(folder)
    for command in (["report", *SWEEP], ["store", "check"], ["store", "mend"]):
        done = here(*command, "--store", "s.sqlite", cwd=folder)
        assert (done.returncode, done.stderr) == (2, f"error: {words}\n")
    assert artifacts(folder) == before
    assert (folder / "s.sqlite").exists() == (content is not None)


def test_a_store_without_outcomes_is_none_to_report_from(tmp_path: Path) -> None:
    Store(tmp_path / "s.sqlite").close()
    done = here("report", *SWEEP, "--store", "s.sqlite", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "error: store s.sqlite holds nothing; expected one that 'flatproof reproduce' has written\n"


def test_a_name_that_is_too_long_is_one_line(tmp_path: Path) -> None:
    for command in (["store", "check"], ["report", *SWEEP]):
        done = here(*command, "--store", "x" * 300, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (2, f"error: cannot use {'x' * 300}: File name too long\n")


def test_claims_leave_an_empty_file_alone(folder: Path) -> None:
    (folder / "s.sqlite").touch()
    done = here("claims", "kaur2023/claim-1", "--store", "s.sqlite", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "s.sqlite").stat().st_size == 0


def test_a_store_that_was_cut_off_is_damaged_and_mended(folder: Path) -> None:
    path = folder / ".flatproof/runs.sqlite"
    path.write_bytes(path.read_bytes()[:-8192])
    before = artifacts(folder)
    done = here("report", *SWEEP, cwd=folder)
    assert done.returncode == 2
    assert "is damaged: " in done.stderr
    assert done.stderr.count("\n") == 1
    assert artifacts(folder) == before
    assert here("reproduce", *SWEEP, "--rerun-damaged", "--workers", "1", cwd=folder).returncode == 0
    assert artifacts(folder) == before


def test_outcomes_of_another_machine_are_merged(folder: Path, tmp_path: Path) -> None:
    """Into a store that is not there yet; then nothing is new. One of another version is refused, and the status says so."""
    with Store(folder / ".flatproof/runs.sqlite") as there:
        rows = there.rows(dict.fromkeys(there.keys(), True))
    file, into = tmp_path / "there.xz", tmp_path / "new/runs.sqlite"
    save(file, [Build(Asked("smoke", 1, "flatproof reproduce"), tuple(rows))])
    first = here("store", "import", str(file), "--store", str(into), cwd=tmp_path)
    told = json.loads(here("store", "import", str(file), "--store", str(into), "--json", cwd=tmp_path).stdout)
    count = len(rows)
    assert (first.returncode, first.stderr) == (0, "")
    assert f"{count} new in {into}, 0 known, 0 refused" in first.stdout
    assert f"computed on {next(iter(told['devices']))}: {count}" in first.stdout
    assert (told["new"], told["known"], told["refused"]) == ([], count, {})
    changed = rows[0].row.settings.replace('"engine_version": ', '"engine_version": 9')
    row = rows[0].row._replace(settings=changed, key=address(json.loads(changed)))
    save(tmp_path / NAME, [Build(Asked("smoke", 1, "flatproof reproduce"), (Kept("jobs", row, row.seal("jobs")),))])
    done = here("store", "import", str(tmp_path / NAME), "--store", str(into), cwd=tmp_path)
    assert done.returncode == 1
    assert f"refused: 1, of which row {row.key[:12]}: a run has engine_version 9" in done.stdout
    with Store(into) as merged:
        assert len(merged) == count


def test_a_file_that_holds_no_outcomes_is_refused_in_a_line(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "text.xz").write_text("no")
    content = next(iter(folder.glob(f"**/{NAME}"))).read_bytes()
    (tmp_path / "cut.xz").write_bytes(content[:-200])
    plain = lzma.decompress(content).decode().replace('"format": 1', '"format": 7', 1)
    (tmp_path / "later.xz").write_bytes(lzma.compress(plain.encode()))
    for name, words in (("text.xz", "damaged"), ("cut.xz", "ends early"), ("later.xz", "has format 7"), ("none.xz", "none.xz")):
        done = here("store", "import", name, cwd=tmp_path)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert words in done.stderr
        assert not (tmp_path / ".flatproof").exists()
