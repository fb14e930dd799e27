"""The CSV of errors: columns, groups, and every cell that cannot be used."""

import io
import math
from pathlib import Path
from types import SimpleNamespace

import pytest

from flatproof.verify.experiments.own_sweep.error_file import read_errors


def read(folder: Path, text: str, encoding: str = "utf-8") -> object:
    (folder / "e.csv").write_text(text, encoding=encoding)
    return read_errors(folder / "e.csv")


def test_names_numbers_groups_and_texts(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text(
        "checkpoint,error, lr ,how,group\n\na,.5,1e-3,sgd,1\n b ,0.25,2,sam,2\n", encoding="utf-8-sig"
    )
    table = read_errors(tmp_path / "e.csv")
    assert table.names == ["a", "b"]
    assert table.columns == {"error": [0.5, 0.25], "lr": [0.001, 2.0]}
    assert table.groups == ["1", "2"]
    assert table.texts == ["how"]
    assert table.faults == []


def test_a_column_called_name_is_that_of_the_names(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("error,name\n1,a\n2,b\n")
    table = read_errors(tmp_path / "e.csv")
    assert (table.names, table.columns) == (["a", "b"], {"error": [1.0, 2.0]})


def test_faults_are_named(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("name,error,lr\na,1,1\nb,,nan\nc,n/a,inf\nd,1,1\nd,2,2\n")
    table = read_errors(tmp_path / "e.csv")
    assert table.names == ["a", "b", "c"]
    assert [math.isnan(v) for v in table.columns["error"]] == [False, True, True]
    lines = [fault.replace(f"{tmp_path / 'e.csv'} ", "") for fault in table.faults]
    assert lines == [
        "names 'd' in 2 rows",
        "has nothing as error of 'b'; expected a finite number",
        "has n/a as error of 'c'; expected a finite number",
        "has nan as lr of 'b'; expected a finite number",
        "has inf as lr of 'c'; expected a finite number",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must have a header, a column of names and one of numbers"),
        ("name\na\n", "must have a header"),
        ("name,error\n", "must have a header"),
        ("name,error,error\na,1,2\n", "two columns called 'error'"),
        ("name,error\na,1\nb\n", r"has 1 cells in row 2 \('b'\); expected 2"),
        ("name,how\na,sgd\nb,sam\n", "has no column of numbers; it has how"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("name;größe;error\na b;x;0,5\nc, d;y;1,5\n", "latin-1"),
        ("name\tgröße\terror\na b\tx\t0.5\nc, d\ty\t1.5\n", "utf-16"),
        ('name größe error\n"a b" x  0.5\n"c, d" y 1.5\n', "utf-16-le"),
        (',name,größe,error\n7,a b,x,0.5\n4,"c, d",y,1.5\n', "utf-8"),
    ],
)
def test_other_separators_encodings_and_an_index(tmp_path: Path, text: str, encoding: str) -> None:
    (tmp_path / "e.csv").write_text(text, encoding=encoding)
    table = read_errors(tmp_path / "e.csv")
    assert (table.names, table.columns, table.faults) == (["a b", "c, d"], {"error": [0.5, 1.5]}, [])
    assert "größe" in table.texts


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"name;error\na;1,5\nb;\n")))
    table = read_errors(Path("-"))
    assert table.columns["error"][0] == 1.5
    assert table.faults == ["standard input has nothing as error of 'b'; expected a finite number"]


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_bytes(b"PK\x03\x04\x00\x01")
    with pytest.raises(ValueError, match="is not a text table"):
        read_errors(tmp_path / "e.csv")
