import sqlite3
from pathlib import Path
from typing import Any

import pytest

from flatproof.verify import Store, train
from flatproof.verify.cli.endings import Signalled, stored_count
from flatproof.verify.two_layer.training import stored_form
from tests.unit.two_layer.test_training import small


class Interrupted(sqlite3.Connection):
    """A connection in which a signal arrives as a transaction begins: Python raises it once the statement has been carried out."""

    armed = False

    def execute(self, statement: str, *arguments: Any) -> sqlite3.Cursor:
        answer = super().execute(statement, *arguments)
        if self.armed and statement.startswith("BEGIN"):
            self.armed = False
            raise Signalled(2)
        return answer


@pytest.mark.parametrize("where", ["as it begins", "before its block"])
def test_what_is_stored_is_told_after_a_signal_at_a_transaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **options: connect(*args, factory=Interrupted, **options))
    first, second = small(), small(seed=9)
    with Store(tmp_path / "s.sqlite") as store:
        store.put(first, stored_form(train(first)), {})
        connection: Any = store._connection

        def disturbed() -> None:
            with stored_count(store) as counted:
                counted.update([first.key, second.key])
                if where == "before its block":
                    connection.execute("BEGIN IMMEDIATE")
                    raise Signalled(2)
                connection.armed = True
                store.put(second, stored_form(train(second)), {})

        with pytest.raises(Signalled) as ending:
            disturbed()
        assert ending.value.stored.startswith("1 of 2 runs are stored in ")
        store.put(second, stored_form(train(second)), {})
        assert second in store
