"""What was altered, lost or slipped in by another hand is noticed, named, and set aside; a store from before there were seals gets them."""

import json
import random
import shutil
import sqlite3
import zlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flatproof.verify import Phase, Store
from flatproof.verify.jobs import seals
from flatproof.verify.jobs.job import Computation, Outcome
from flatproof.verify.jobs.mending import check, mend
from flatproof.verify.jobs.rows import pack
from flatproof.verify.jobs.store import DamagedRow, StoreError
from tests.unit.jobs.test_store import OLD
from tests.unit.two_layer.test_training import small

RUNS = [small(seed=seed, phases=(Phase(0.01, 3),)) for seed in range(1, 7)]
VALUE = st.none() | st.text() | st.binary() | st.integers() | st.floats(allow_nan=False)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "s.sqlite"
    with Store(path) as store:
        for run in RUNS:
            store.put(run, run.carry_out(), {"commit": "abc"})
    return path


@pytest.fixture
def path(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(sound, tmp_path / "s.sqlite"))


def edit(path: Path, statement: str, *values: object) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(statement, values)


def read_all(path: Path) -> list[tuple[object, ...]]:
    """What a report has from the runs, and that none of them is taken as missing."""
    with Store(path) as store:
        assert store.missing(RUNS) == []
        read = [store.get(run) for run in RUNS]
    return [(s.settings, s.provenance, s.seconds, s.result.curve, s.result.network.w1.tobytes()) for s in read if s]


def outcome(path: Path, change: Callable[[dict], None]) -> None:
    """Change the first run's outcome."""
    with sqlite3.connect(path) as connection:
        (text,) = connection.execute("SELECT outcome FROM jobs WHERE key = ?", (RUNS[0].key,)).fetchone()
    values = json.loads(text)
    change(values)
    edit(path, "UPDATE jobs SET outcome = ? WHERE key = ?", json.dumps(values), RUNS[0].key)


def exchanged(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        texts = [connection.execute("SELECT outcome FROM jobs WHERE key = ?", (run.key,)).fetchone()[0] for run in RUNS[:2]]
        for run, text in zip(RUNS[:2], reversed(texts), strict=True):
            connection.execute("UPDATE jobs SET outcome = ? WHERE key = ?", (text, run.key))


EDITS: dict[str, Callable[[Path], None]] = {
    "status": lambda path: outcome(path, lambda values: values.update(status="banana")),
    "curve": lambda path: outcome(path, lambda values: values["curve"]["trace"].append(1.5 * values["curve"]["trace"].pop())),
    "exchanged": exchanged,
    "settings": lambda path: edit(path, "UPDATE jobs SET settings = replace(settings, '\"seed\": 1', '\"seed\": 9')"),
    "provenance": lambda path: edit(path, "UPDATE jobs SET provenance = '{}'"),
    "seconds": lambda path: edit(path, "UPDATE jobs SET seconds = seconds * 2"),
    "arrays": lambda path: edit(path, "UPDATE jobs SET arrays = NULL"),
    "row gone": lambda path: edit(path, "DELETE FROM jobs WHERE key = ?", RUNS[0].key),
    "seal gone": lambda path: edit(path, "DELETE FROM seals WHERE key = ?", RUNS[0].key),
    "seals emptied": lambda path: edit(path, "DELETE FROM seals"),
    "tally gone": lambda path: edit(path, "DELETE FROM tally"),
    "seals dropped": lambda path: edit(path, "DROP TABLE seals"),
    "settings as bytes": lambda path: edit(path, "UPDATE jobs SET settings = CAST(settings AS BLOB)"),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_by_hand_is_refused_checked_and_mended(path: Path, name: str) -> None:
    EDITS[name](path)
    with pytest.raises(StoreError, match=r"is damaged"):
        read_all(path)
    if name == "seals dropped":
        with pytest.raises(StoreError, match="is damaged: no such table: seals"):
            check(path)
    else:
        assert not check(path).sound
    damaged = path.read_bytes()
    kept, aside = mend(path)
    assert aside is not None
    assert aside.read_bytes() == damaged
    assert check(path).sound
    with Store(path) as store:
        for run in store.missing(RUNS):
            store.put(run, run.carry_out(), {"commit": "abc"})
        assert kept < len(store) or name in ("tally gone", "seals dropped")
        assert [store.get(run).result.curve for run in RUNS] == [run.result(run.carry_out()).curve for run in RUNS]
    assert check(path).sound


def test_a_row_and_its_seal_that_disappear_together_are_missed(path: Path) -> None:
    for table in ("jobs", "seals"):
        edit(path, f"DELETE FROM {table} WHERE key = ?", RUNS[2].key)
    with Store(path) as store, pytest.raises(StoreError, match="6 rows were written to it, it holds the seals of 5"):
        store.keys()
    assert check(path).structure == ("6 rows were written to it, it holds the seals of 5",)
    assert mend(path)[0] == 5


def test_one_damaged_row_is_named_and_the_others_stay_usable(path: Path) -> None:
    EDITS["status"](path)
    with Store(path) as store:
        with pytest.raises(DamagedRow, match=rf"row {RUNS[0].key[:12]} \(run, .*, seed 1\) is damaged: it was altered") as caught:
            store.get(RUNS[0])
        assert caught.value.key == RUNS[0].key
        assert store.missing(RUNS) == []
        assert all(store.get(run) for run in RUNS[1:])
    assert [(fault.key, fault.why) for fault in check(path).faults] == [(RUNS[0].key, "it was altered after it was written")]


def test_a_row_that_another_program_wrote_is_no_outcome(path: Path) -> None:
    run = small(seed=99)
    edit(path, "INSERT INTO jobs SELECT ?, settings, outcome, seconds, provenance, stored_at, arrays FROM jobs LIMIT 1", run.key)
    with Store(path) as store, pytest.raises(DamagedRow, match="it has no seal: another program wrote it"):
        store.get(run)
    assert mend(path)[0] == len(RUNS)


def test_every_flipped_bit_is_noticed_or_changes_nothing(path: Path, sound: Path) -> None:
    """Of 300 at random over the file: what is read equals what was written, or a line says which row or that the file is damaged."""
    before, lines = read_all(sound), []
    content, stream = path.read_bytes(), random.Random(7)
    for _ in range(300):
        place, bit = stream.randrange(len(content)), stream.randrange(8)
        flipped = bytearray(content)
        flipped[place] ^= 1 << bit
        path.write_bytes(flipped)
        try:
            seen = read_all(path)
        except StoreError as error:
            lines.append(str(error))
        else:
            assert seen == before, f"bit {bit} of byte {place}"
    assert len(lines) > 60
    assert [line for line in lines if "\n" in line] == []


@dataclass(frozen=True)
class Small(Computation):
    """A job whose row is small, so that a page holds some of them and a store has pages of every kind."""

    JOB: ClassVar[str] = "small"
    VERSION: ClassVar[int] = 1

    number: int

    @property
    def cost(self) -> float:
        return 1.0

    def summary(self, outcome: Outcome) -> str:
        return "done"

    def carry_out(self) -> Outcome:
        return Outcome({"words": f"{self.number} " * 200}, 1.0)


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of some hundred rows."""
    path = tmp_path_factory.mktemp("wide") / "s.sqlite"
    with Store(path) as store:
        store.put_all([(job, job.carry_out(), {"commit": "abc"}) for job in map(Small, range(300))])
    return path


def rows_at(path: Path) -> dict[str, tuple[object, ...]]:
    """Every row that is there, with its seal, by its address."""
    with closing(sqlite3.connect(path)) as connection:
        return {row[0]: row for row in connection.execute("SELECT * FROM jobs JOIN seals USING (key)")}


@pytest.mark.parametrize("seed", range(40))
def test_mending_keeps_every_row_that_was_not_hit(wide: Path, tmp_path: Path, seed: int) -> None:
    """Bytes anywhere: what lies in leaves without a flip is kept as it was, unless one lies on every way there."""
    path, stream = Path(shutil.copy(wide, tmp_path / "s.sqlite")), random.Random(seed)
    content = path.read_bytes()
    pages = [content[start : start + 4096] for start in range(0, len(content), 4096)]
    inner = [0, *(number for number, page in enumerate(pages) if page[0] in (2, 5))]  # the first page holds the schema
    flipped, hit = bytearray(content), set()
    for _ in range(stream.choice([1, 10, 40])):
        place = stream.randrange(len(content))
        if seed % 4 and place // 4096 in inner:
            continue
        flipped[place] ^= stream.randrange(1, 256)
        hit.add(place // 4096)
    path.write_bytes(flipped)
    try:
        mend(path)
    except StoreError:
        if 0 not in hit:
            raise
        return
    assert check(path).sound
    mended, written = rows_at(path), rows_at(wide)
    assert {key: written[key] for key in mended} == mended
    if not hit.intersection(inner):
        lost = b"".join(pages[number] for number in hit)
        if len(hit) > 1:  # SQLite finds a seal in an inner page past one of the two leaves beside it
            lost += b"".join(pages[number] for number in inner)
        untouched = {key for key, row in written.items() if str(row[1]).encode() not in lost and str(row[7]).encode() not in lost}
        assert untouched <= mended.keys()


def test_a_zeroed_leaf_of_seals_costs_the_rows_of_that_leaf_alone(wide: Path, tmp_path: Path) -> None:
    path, content, written = tmp_path / "s.sqlite", wide.read_bytes(), rows_at(wide)
    digests = {key: str(row[7]).encode() for key, row in written.items()}
    for start in range(4096, len(content), 4096):
        page = content[start : start + 4096]
        there = {key for key, digest in digests.items() if digest in page}
        if page[0] == 10 and there:
            path.write_bytes(content[:start] + bytes(4096) + content[start + 4096 :])
            mend(path)
            assert rows_at(path).keys() == written.keys() - there


NO_TEXT = ["CAST(x'9b41' AS TEXT)", "x'9b41'", "5", "1.5"]


@pytest.mark.parametrize(("table", "key"), [*(("seals", key) for key in NO_TEXT), *(("jobs", key) for key in [*NO_TEXT, "NULL"])])
def test_a_key_that_is_no_text_costs_no_other_row(path: Path, table: str, key: str) -> None:
    """A seal whose key was damaged still vouches for its row."""
    edit(path, f"UPDATE {table} SET key = {key} WHERE key = ?", RUNS[2].key)
    assert not check(path).sound
    assert mend(path)[0] == len(RUNS) - (table == "jobs")
    assert check(path).sound


@pytest.mark.parametrize("error", [zlib.error, EOFError, NotImplementedError, RuntimeError, IndexError, OSError])
def test_whatever_damage_raises_is_that_rows_line(path: Path, error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(blob: bytes) -> None:
        raise error("in the middle")

    monkeypatch.setattr("flatproof.verify.jobs.store.unpack", damaged)
    with Store(path) as store, pytest.raises(DamagedRow, match=rf"it cannot be read \({error.__name__}"):
        store.get(RUNS[0])


def old_store(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.executescript(OLD)
        for run in RUNS[:3]:
            given = run.carry_out()
            values = dict(given.values)
            row = (run.key, json.dumps(run.settings()), values.pop("status"), json.dumps(values), pack(given.arrays), 2.0, "{}")
            columns = "key, settings, status, outcome, network, seconds, provenance"
            connection.execute(f"INSERT INTO runs ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", row)


def test_rows_from_before_there_were_seals_count_as_unsealed_until_checked(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    old_store(path)
    with Store(path) as store:
        assert store.unsealed() == 3
        store.put(RUNS[3], RUNS[3].carry_out(), {})
        assert store.unsealed() == 3
        assert all(store.get(run) for run in RUNS[:4])
    condition = check(path)
    assert (condition.sound, condition.rows, condition.sealed_now) == (True, 4, 3)
    with Store(path) as store:
        assert store.unsealed() == 0
        assert len(store.keys()) == 4
    edit(path, "UPDATE runs SET status = 'banana'")
    assert len(check(path).faults) == 3
    assert mend(path)[0] == 1


def test_an_unsealed_row_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    """Nobody noted what it was: its status and its address still say that this is not what was written."""
    path = tmp_path / "s.sqlite"
    old_store(path)
    edit(path, "UPDATE runs SET status = 'banana' WHERE key = ?", RUNS[0].key)
    edit(path, "UPDATE runs SET settings = ? WHERE key = ?", json.dumps(RUNS[5].settings()), RUNS[1].key)
    with Store(path) as store:
        for run, words in ((RUNS[0], "status 'banana', expected one of"), (RUNS[1], "its settings do not have its address")):
            with pytest.raises(DamagedRow, match=words):
                store.get(run)
        assert store.get(RUNS[2])
    assert sorted(fault.key for fault in check(path).faults) == sorted(run.key for run in RUNS[:2])
    with Store(path) as store:
        assert store.unsealed() == 2


def test_a_damaged_name_is_printable(path: Path) -> None:
    edit(path, "UPDATE jobs SET key = CAST(x'ff41' AS TEXT) WHERE key = ?", RUNS[0].key)
    lines = [str(fault) for fault in check(path).faults]
    assert any(r"row \udcffA (run, " in line for line in lines)
    assert all(line.encode() for line in lines)


def test_an_old_store_that_cannot_be_written_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "s.sqlite"
    old_store(path)
    before = path.read_bytes()
    connect = sqlite3.connect

    def read_only(place: object, **options: object) -> sqlite3.Connection:
        return connect(place if place == ":memory:" else f"file:{place}?mode=ro", uri=True, **options)

    monkeypatch.setattr(sqlite3, "connect", read_only)
    with Store(path) as store:
        assert all(store.get(run) for run in RUNS[:3])
        assert store.unsealed() == 3
        with pytest.raises(StoreError, match=r"cannot be written: .*readonly"):
            store.put(RUNS[3], RUNS[3].carry_out(), {})
    assert path.read_bytes() == before


def test_a_store_whose_file_was_replaced_takes_no_more(path: Path) -> None:
    """What is written to a file that no longer lies there would be lost."""
    with Store(path) as store:
        replacement = path.with_name("new")
        shutil.copy(path, replacement)
        replacement.replace(path)
        with pytest.raises(StoreError, match="another file took its place"):
            store.put(small(seed=50), RUNS[0].carry_out(), {})


def test_mending_waits_for_no_sweep(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another process writes, the store is left as it is."""
    EDITS["status"](path)
    before = path.read_bytes()
    other = sqlite3.connect(path)
    other.execute("BEGIN IMMEDIATE")
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda place, **options: connect(place, **options | {"timeout": 0.1}))
    with pytest.raises(StoreError, match="is in use"):
        mend(path)
    other.close()
    assert path.read_bytes() == before
    assert sorted(p.name for p in path.parent.iterdir() if p.suffix != ".sqlite-journal") == ["s.sqlite"]


def test_a_truncated_store_is_damaged_and_not_a_place_that_cannot_be_written(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: 5 * 4096])
    with pytest.raises(StoreError, match=r"is damaged: .*'flatproof store mend' keeps what is sound") as caught:
        read_all(path)
    assert "can be written" not in str(caught.value)


@given(st.lists(VALUE), st.lists(VALUE))
def test_lists_of_values_share_no_digest(first: list, second: list) -> None:
    same = [(type(v), v if not isinstance(v, float) else v.hex()) for v in first] == [
        (type(v), v if not isinstance(v, float) else v.hex()) for v in second
    ]
    assert (seals.digest(first) == seals.digest(second)) == same


@given(st.lists(st.builds(seals.Seal, st.text(), st.text(), st.none() | st.text(), st.integers(0, 1)), unique=True), st.randoms())
def test_a_tally_does_not_depend_on_the_order(noted: list[seals.Seal], stream: random.Random) -> None:
    shuffled = list(noted)
    stream.shuffle(shuffled)
    assert seals.total(noted) == seals.total(shuffled)
    assert not noted or seals.total(noted) != seals.total(noted[1:])
    half = len(noted) // 2
    assert seals.total(noted[half:], seals.total(noted[:half])) == seals.total(noted)


def test_outcomes_of_every_kind_survive_sealing(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite") as store:
        for seed, seconds in ((1, 0.0), (2, 3), (3, float("inf"))):
            store.put(small(seed=seed), Outcome(RUNS[0].carry_out().values, seconds), {"machine": "µ – \x00"})
        assert [store.get(small(seed=seed)).seconds for seed in (1, 2, 3)] == [0.0, 3.0, float("inf")]


@pytest.mark.parametrize("content", [b"no database at all", None])
def test_what_cannot_be_mended_is_not_sent_to_be_mended(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "s.sqlite"
    if content is None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE another_programs (a)")
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"damaged: .*; nothing of it can be kept, and it is left as it is$"):
        mend(path)
    assert path.read_bytes() == before
    assert [*tmp_path.iterdir()] == [path]
