import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from flatproof.verify import DataSpec, Phase, Store, train
from flatproof.verify.jobs.job import plain
from flatproof.verify.jobs.mending import check, mend
from flatproof.verify.jobs.rows import pack
from flatproof.verify.jobs.store import FORMAT, StoreError
from flatproof.verify.two_layer.training import stored_form
from tests.unit.two_layer.test_training import small


@pytest.mark.parametrize("architecture", ["no-bias", "sim-bn"])
def test_what_is_put_comes_back(tmp_path: Path, architecture: str) -> None:
    run = small(architecture=architecture)
    result = train(run)
    with Store(tmp_path / "s.sqlite") as store:
        assert run not in store
        store.put(run, stored_form(result), {"commit": "abc"})
    with Store(tmp_path / "s.sqlite") as store:
        assert run in store
        assert store.missing([run, small(seed=9), small(seed=9)]) == [small(seed=9)]
        stored = store.get(run)
    assert stored is not None
    assert stored.result.curve == result.curve
    assert stored.provenance == {"commit": "abc"}
    assert stored.settings == run.settings()
    assert stored.result.network is not None
    assert result.network is not None
    for name in ("w1", "b1", "w2", "gamma"):
        assert np.array_equal(getattr(stored.result.network, name), getattr(result.network, name))
    with Store(tmp_path / "s.sqlite") as store:
        brief = store.get(run, arrays=False)
    assert brief is not None
    assert brief.result.network is None
    assert brief.result.curve == result.curve


def test_runs_on_real_labels_keep_their_bytes_and_get_their_name(tmp_path: Path) -> None:
    """What such runs were stored with went by the name of an accuracy; in memory it is what it is."""
    run = small(data=DataSpec("uniform_ball", 0, {"d": 4, "n": 20}))
    result = train(run)
    with Store(tmp_path / "s.sqlite") as store:
        store.put(run, stored_form(result), {})
        stored = store.get(run)
    with sqlite3.connect(tmp_path / "s.sqlite") as connection:
        (outcome,) = connection.execute("SELECT outcome FROM jobs").fetchone()
    assert list(json.loads(outcome)["curve"]) == ["epoch", "train_loss", "test_accuracy", "test_loss", "trace"]
    assert stored is not None
    assert stored.result.curve == result.curve
    assert json.loads(outcome)["curve"]["test_accuracy"] == result.curve["sign_agreement"]
    with pytest.raises(ValueError, match="'test_accuracy' was not measured"):
        stored.result.final("test_accuracy")


def test_networks_of_earlier_phases_come_back(tmp_path: Path) -> None:
    """They are those of a run that ends there; a run that diverged later keeps them too."""
    phases = (Phase(0.01, 3, rho=0.05), Phase(0.01, 2), Phase(0.01, 2, batch_size=20))
    run = small(architecture="sim-bn", phases=phases, keep_networks=True)
    wild = small(phases=(phases[0], Phase(1e9, 5)), keep_networks=True)
    assert small(phases=phases).key != small(phases=phases, keep_networks=True).key
    with Store(tmp_path / "s.sqlite") as store:
        for one in (run, wild):
            store.put(one, one.carry_out(), {})
        stored, lost = store.get(run), store.get(wild)
    assert stored is not None
    assert lost is not None
    for network, count in zip((*stored.result.earlier, stored.result.network), (1, 2, 3), strict=True):
        alone = train(small(architecture="sim-bn", phases=phases[:count])).network
        for name in ("w1", "b1", "w2", "gamma"):
            assert np.array_equal(getattr(network, name), getattr(alone, name))
    assert (lost.result.status, len(lost.result.earlier), lost.result.network) == ("diverged", 1, None)


def test_a_diverged_run_is_stored_as_diverged(tmp_path: Path) -> None:
    run = small(phases=(Phase(50.0, 30, rho=0.05),))
    with Store(tmp_path / "s.sqlite") as store:
        store.put(run, run.carry_out(), {})
        stored = store.get(run)
    assert stored is not None
    assert stored.result.status == "diverged"
    assert stored.result.diverged_step == train(run).diverged_step
    assert stored.result.network is None


def test_storing_again_changes_nothing(tmp_path: Path) -> None:
    run = small()
    with Store(tmp_path / "s.sqlite") as store:
        store.put(run, run.carry_out(), {"commit": "first"})
        store.put(run, run.carry_out(), {"commit": "second"})
        assert len(store) == 1
        stored = store.get(run)
    assert stored is not None
    assert stored.provenance == {"commit": "first"}


def other_version(path: Path) -> None:
    Store(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {FORMAT + 1}")


def other_program(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE precious (x)")


def no_database(path: Path) -> None:
    path.write_text("dear diary", encoding="utf-8")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (other_version, f"has format {FORMAT + 1}, this version reads formats up to {FORMAT}"),
        (other_program, "belongs to another program"),
        (no_database, "is not a flatproof store"),
    ],
)
def test_a_foreign_file_is_refused_and_left_as_it_was(tmp_path: Path, make: object, words: str) -> None:
    path = tmp_path / "s.sqlite"
    make(path)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=words):
        Store(path)
    with pytest.raises(StoreError):
        mend(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("PRAGMA user_version = 9", f"has format 9, this version reads formats up to {FORMAT}"),
        ("PRAGMA application_id = 1", "belongs to another program"),
        ("PRAGMA application_id = 0", "belongs to another program"),
    ],
)
def test_a_store_of_others_is_not_mended(tmp_path: Path, change: str, words: str) -> None:
    path, run = tmp_path / "s.sqlite", small()
    with Store(path) as store:
        store.put(run, run.carry_out(), {})
    with sqlite3.connect(path) as connection:
        connection.execute(change)
    before = path.read_bytes()
    for refused in (check, mend):
        with pytest.raises(StoreError, match=words) as caught:
            refused(path)
        assert "\n" not in str(caught.value)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    """What a kill during creation leaves."""
    (tmp_path / "s.sqlite").touch()
    with Store(tmp_path / "s.sqlite") as store:
        assert len(store) == 0


def test_a_store_whose_creation_was_cut_off_is_new(tmp_path: Path) -> None:
    """Killed after the first pages were written, it has a journal beside it that empties it again."""
    path = tmp_path / "s.sqlite"
    with sqlite3.connect(tmp_path / "t.sqlite") as connection:
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("CREATE TABLE a (x)")
        connection.execute("DROP TABLE a")
        connection.execute("VACUUM")
    (tmp_path / "t.sqlite").rename(path)
    assert path.stat().st_size > 0
    run = small()
    with Store(path) as store:
        assert store.missing([run]) == [run]
        store.put(run, run.carry_out(), {})
    with Store(path) as store:
        assert len(store) == 1


OLD = """
BEGIN;
CREATE TABLE runs (
    key TEXT PRIMARY KEY, settings TEXT NOT NULL, status TEXT NOT NULL, outcome TEXT NOT NULL,
    network BLOB, seconds REAL NOT NULL, provenance TEXT NOT NULL, stored_at TEXT DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE jobs (
    key TEXT PRIMARY KEY, settings TEXT NOT NULL, outcome TEXT NOT NULL,
    seconds REAL NOT NULL, provenance TEXT NOT NULL, stored_at TEXT DEFAULT CURRENT_TIMESTAMP
);
PRAGMA application_id = 1179406418;
PRAGMA user_version = 1;
COMMIT;
"""


def test_a_store_of_two_tables_is_read_and_goes_on(tmp_path: Path) -> None:
    """Runs once had a table of their own, and jobs no arrays; what comes after lies in one table, and both stay readable."""
    old, new, diverged = small(seed=1), small(seed=2), small(phases=(Phase(50.0, 30, rho=0.05),))
    path = tmp_path / "s.sqlite"
    with sqlite3.connect(path) as connection:
        connection.executescript(OLD)
        for run in (old, diverged):
            outcome = run.carry_out()
            values = dict(outcome.values)
            row = (
                run.key,
                json.dumps(run.settings()),
                values.pop("status"),
                json.dumps(values),
                pack(outcome.arrays),
                2.0,
                "{}",
            )
            connection.execute(
                "INSERT INTO runs (key, settings, status, outcome, network, seconds, provenance) VALUES (?, ?, ?, ?, ?, ?, ?)",
                row,
            )
    with Store(path) as store:
        assert (len(store), old in store, new in store) == (2, True, False)
        store.put(old, old.carry_out(), {"commit": "again"})
        store.put(new, new.carry_out(), {})
        for run in (old, new, diverged):
            stored, result = store.get(run), train(run)
            assert stored is not None
            assert (stored.result.status, stored.result.curve) == (result.status, result.curve)
            assert (stored.result.network is None) == (result.network is None)
            if result.network is not None:
                assert np.array_equal(stored.result.network.w1, result.network.w1)
    with sqlite3.connect(path) as connection:
        counts = [connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("runs", "jobs")]
    assert counts == [2, 1]


def test_an_empty_store_is_true_and_what_was_read_is_not_read_again(tmp_path: Path) -> None:
    run = small()
    with Store(tmp_path / "s.sqlite") as store:
        assert store
        assert len(store) == 0
        store.put(run, run.carry_out(), {})
        queries: list[str] = []
        store._connection.set_trace_callback(queries.append)
        assert store.get(run) is store.get(small())
    assert len([query for query in queries if query.startswith("SELECT settings")]) == 1


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"a": np.float64(0.5), "b": (1, np.int32(2)), "c": np.array([[1.0, 2.0]])}, {"a": 0.5, "b": [1, 2], "c": [[1.0, 2.0]]}),
        ({"a": np.bool_(True), "b": {"c": np.str_("d")}, "e": None}, {"a": True, "b": {"c": "d"}, "e": None}),
    ],
)
def test_numpys_values_become_plain_ones(given: object, kept: object) -> None:
    assert plain(given) == kept
    assert json.loads(json.dumps(plain(given))) == kept


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"a": [{1, 2}]}, r"values\['a'\]\[0\] is of the type set; expected plain JSON"),
        ({"a": {3: 4}}, r"values\['a'\] has the key 3; expected plain JSON, whose keys are strings"),
        ({"a": np.complex128(1j)}, r"values\['a'\] is of the type complex128"),
        ({"a": Path()}, r"values\['a'\] is of the type PosixPath"),
    ],
)
def test_what_json_has_no_form_of_is_refused_by_place(given: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        plain(given)
