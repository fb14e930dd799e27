"""Points as people have them: separators, encodings, headers, indexes, arrays, parquet, standard input."""

import io
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from flatproof.verify.cli.points import own_data, read_points
from tests.command import here

X, Y = np.array([[1.5, -2.0], [3.0, 0.25], [0.5, 1e-3]]), np.array([1.0, -1.0, 1.0])
COMMAS = "a,b,label\n1.5,-2,1\n3,0.25,-1\n.5,1e-3,1\n"
DECIMALS = COMMAS.replace(",", ";").replace(".", ",")


def made(folder: Path, content: str | bytes, encoding: str = "utf-8") -> Path:
    path = folder / "points.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


def same(path: Path) -> bool:
    points = read_points(path)
    return bool((points.x == X).all() and (points.y == Y).all())


@pytest.mark.parametrize(
    ("text", "encoding", "noted"),
    [
        (COMMAS, "utf-8", ""),
        (COMMAS, "utf-8-sig", ""),
        (COMMAS.replace("\n", "\r\n"), "utf-8", ""),
        (COMMAS.replace("\n", "\r"), "utf-8", ""),
        ("# größe, no header\n\n" + COMMAS.replace(",", " , ").partition("\n")[2], "utf-8", ""),
        (COMMAS + "#end\n", "utf-8", "columns separated by commas, UTF-8, lines skipped that begin with #: 1"),
        ("# by me\n" + COMMAS, "utf-8", "columns separated by commas, UTF-8, lines skipped that begin with #: 1"),
        ("# by me\n# in m\n" + COMMAS, "utf-8", "columns separated by commas, UTF-8, lines skipped that begin with #: 2"),
        (COMMAS.replace("a,b", '"a, in m","b"'), "utf-8", ""),
        (COMMAS.replace("a,", "größe,"), "latin-1", "columns separated by commas, CP1252"),
        (COMMAS.replace("a,", "größe,"), "utf-16", "columns separated by commas, UTF-16"),
        (COMMAS, "utf-16-le", "columns separated by commas, UTF-16-LE"),
        (COMMAS, "utf-16-be", "columns separated by commas, UTF-16-BE"),
        (COMMAS, "utf-32", "columns separated by commas, UTF-32"),
        (COMMAS.replace(",", ";"), "utf-8", "columns separated by semicolons, UTF-8"),
        (DECIMALS, "utf-8", "columns separated by semicolons, decimal commas, UTF-8"),
        (DECIMALS.replace(";", "\t"), "utf-8", "columns separated by tabs, decimal commas, UTF-8"),
        (DECIMALS.replace(";", " "), "utf-8", "columns separated by spaces, decimal commas, UTF-8"),
        (COMMAS.replace(",", "\t"), "utf-16", "columns separated by tabs, UTF-16"),
        ("# a b label\n  1.5  -2 1 \n3 \t0.25   -1\n.5 1e-3 1\n", "utf-8", "columns separated by spaces, UTF-8"),
        ("a,b,label\n1.5, -2, 1\n3, 0.25, -1\n.5, 1e-3, 1\n", "utf-8", ""),
    ],
)
def test_texts(tmp_path: Path, text: str, encoding: str, noted: str) -> None:
    path = made(tmp_path, text, encoding)
    assert same(path)
    assert read_points(path).notes == ([f"{path}: {noted}"] if noted else [])
    assert read_points(path).plain == (not noted)


def test_what_numpy_and_standard_input_bring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told by its content: the names say nothing."""
    table = np.column_stack([X, Y])
    for save in (
        lambda file: np.save(file, table),
        lambda file: np.savez(file, table),
        lambda file: np.savez(file, X=X, y=Y),
        lambda file: np.savez(file, x=X.astype(np.float32).astype(float), y=Y[:, None].astype(np.int8)),
        lambda file: file.write(DECIMALS.encode("utf-16")),
    ):
        held = io.BytesIO()
        save(held)
        if b"x.npy" in held.getvalue():
            X32 = X.astype(np.float32)
            points = read_points(made(tmp_path, held.getvalue()))
            assert (points.x == X32).all()
            assert (points.y == Y).all()
            continue
        assert same(made(tmp_path, held.getvalue()))
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(held.getvalue())))
        assert same(Path("-"))


def test_parquet(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "label": pd.array([1, -1, 1], dtype="Int64")}, index=[7, 3, 5])
    frame.to_parquet(tmp_path / "p.parquet")
    assert same(tmp_path / "p.parquet")
    for name, column, words in (
        ("b", ["x", "y", "z"], "column 'b' must hold numbers"),
        ("b", [1.0, np.nan, 2.0], "row 1, column 'b' must be a finite number"),
    ):
        frame.assign(**{name: column}).to_parquet(tmp_path / "bad.parquet")
        with pytest.raises(ValueError, match=words):
            read_points(tmp_path / "bad.parquet")
    with pytest.raises(ValueError, match="is not a whole parquet file"):
        read_points(made(tmp_path, (tmp_path / "p.parquet").read_bytes()[:200]))


def test_parquet_without_pyarrow_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "fastparquet", None)
    with pytest.raises(ValueError, match=r"needs the package pyarrow.*pip install 'flatproof\[parquet\]'"):
        read_points(made(tmp_path, b"PAR1 and so on"))


def test_a_first_row_of_numbers_is_a_point(tmp_path: Path) -> None:
    points = read_points(made(tmp_path, "0,1\n1,-1\n5,1\n"))
    assert (points.x[:, 0].tolist(), points.y.tolist()) == ([0, 1, 5], [1, -1, 1])
    assert "line 1: 0, 1 is taken as a point" in points.notes[0]
    named = read_points(made(tmp_path, "0,1,label\n5,6,1\n"))
    assert (named.x.tolist(), named.names) == ([[5, 6]], ["0", "1", "label"])
    assert "line 1: taken as names of columns: 0, 1, label" in named.notes[0]


@pytest.mark.parametrize(
    ("text", "names", "words"),
    [
        (",a,b,label\n0,1.5,-2,1\n1,3,.25,-1\n2,.5,1e-3,1\n", ["a", "b", "label"], "'', is an index and left out"),
        ("Unnamed: 0,a,b,label\n7,1.5,-2,1\n3,3,.25,-1\n5,.5,1e-3,1\n", ["a", "b", "label"], "an index and left out"),
        (",0,1,label\n0,1.5,-2,1\n1,3,.25,-1\n2,.5,1e-3,1\n", ["0", "1", "label"], "an index and left out"),
    ],
)
def test_an_index_is_left_out_and_named(tmp_path: Path, text: str, names: list[str], words: str) -> None:
    points = read_points(made(tmp_path, text))
    assert (points.x == X).all()
    assert points.names == names
    assert not points.plain
    assert any(words in line for line in points.notes)


def test_what_only_may_be_an_index_is_kept_and_named(tmp_path: Path) -> None:
    nameless = read_points(made(tmp_path, "1,2.5,1\n2,3.5,-1\n3,1.5,1\n"))
    assert nameless.x.shape == (3, 2)
    assert "counts the rows and is used as a coordinate" in nameless.notes[0]
    repeated = read_points(made(tmp_path, "id,b,label\n1,2.5,1\n1,3.5,-1\n"))
    assert repeated.x.shape == (2, 2)
    assert read_points(made(tmp_path, "index,label\n0,1\n1,-1\n2,1\n")).x.shape == (3, 1)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("1,2,3\n1,2,3,4\n", "line 2 must hold 3 numbers like the first row, got 4"),
        ("1;2;3\n1;x;3\n", "line 2, column 2 must be a finite number, got 'x'"),
        ("1;2,5;3\n1;2.5;3\n", "numbers with a decimal comma and numbers with a decimal point"),
        ("1 2 3\n1 2\n", "line 2 must hold 3 numbers"),
        ("1_000,2\n3,4\n", "column 1 must be a finite number, got '1_000'"),
        ("1,2,\n3,4,\n", "line 1, column 3 must be a finite number, got ''"),
        ('a,b\n1,"2\n3,4\n', "is not a text table: after line 1: unexpected end of data"),
        ("label,a,b\n1,2,3\n", "has the column 'label' before the last, 'b'; expected the label last"),
        ("a,b,label\n", "must hold at least one row of numbers, got none"),
        ("", "must hold at least one row of numbers, got none"),
        ("\ufeff", "must hold at least one row of numbers, got none"),
        ("alone\n", "line 1 must hold at least two numbers"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "is not a text table"),
        ("1,2\n".encode("utf-16")[:-1], "is not a text table"),
        (b"\x93NUMPY\x01\x00v\x00cut", "is not a whole .npy or .npz file"),
        (b"PK\x03\x04cut", "is not a whole .npy or .npz file"),
    ],
)
def test_what_is_refused(tmp_path: Path, content: str | bytes, words: str) -> None:
    with pytest.raises(ValueError) as error:
        read_points(made(tmp_path, content))
    assert words in str(error.value)
    assert len(str(error.value)) < 400 + len(str(tmp_path))


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": X}, None),
        ({"a": X, "b": Y}, "holds a, b; expected x (n, d) and y (n,)"),
        ({"x": X, "y": Y[:2]}, "got shapes (3, 2) and (2,)"),
        ({"x": X, "y": Y.astype(str)}, "y is of the type <U"),
        ({"x": X * np.inf, "y": Y}, "row 0, column 0 must be a finite number"),
        ({"x": np.array([{}]), "y": Y}, "is not a whole .npy or .npz file of plain arrays"),
        ({"x": Y}, "the label last, got shape (3,)"),
    ],
)
def test_arrays_that_are_refused(tmp_path: Path, arrays: dict[str, Any], words: str | None) -> None:
    np.savez(tmp_path / "d.npz", **arrays)
    if words is None:
        assert read_points(tmp_path / "d.npz").x.shape == (3, 1)
        return
    with pytest.raises(ValueError) as error:
        read_points(tmp_path / "d.npz")
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a,b,y\n1,2,1\n# again\n3,1,1\n1,2,-1\n", "p.csv, lines 2 and 5 are the same point with labels 1 and -1"),
        ("a,b,y\n0,0,1\n", "p.csv, line 2 is the zero vector with label 1"),
        ("1,2,1\n2,4,1\n", "p.csv, lines 1 and 2 lie on one ray with labels 1 and 1"),
        ("1,2,1\n1e200,1,-1\n", "p.csv, line 2 holds 1e+200; expected numbers of a size from 1e-150 to 1e+150, or 0"),
        ("a,b,y\n1,2,1\n2,1e-200,-1\n", "p.csv, line 3 holds 1e-200; expected numbers of a size from 1e-150 to 1e+150, or 0"),
        ("1,2,1\n2,1,1e199\n", "p.csv, line 2 holds 1e+199; expected numbers of a size"),
        (
            "1e10,2,1\n2,-1,-1\n1,3e10,1\n",
            "p.csv holds coordinates of sizes from 1 to 3e+10; expected them within a factor of 1e+06",
        ),
    ],
)
@pytest.mark.parametrize("name", ["certify", "draw"])
def test_points_that_cannot_be_solved_are_named_with_file_and_line(tmp_path: Path, content: str, words: str, name: str) -> None:
    (tmp_path / "p.csv").write_text(content)
    done = here(name, "p.csv", "--architecture", "no-bias", cwd=tmp_path)
    assert done.returncode == 2, done.stdout
    assert done.stderr.startswith("error: ")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_arrays_have_rows_for_lines(tmp_path: Path) -> None:
    np.save(tmp_path / "p.npy", [[1.0, 2, 1], [1, 2, -1]])
    words = "p.npy, rows 0 and 1 (from 0) are the same point"
    assert words in here("certify", "p.npy", cwd=tmp_path).stderr


@pytest.mark.parametrize(
    ("train", "test", "words"),
    [
        (
            "x1,x2,y\n1,2,1\n",
            "x1,x2\n1,2\n",
            "b.csv must have 3 columns as {a} has, the label last, got 2; the label, 'y', is missing",
        ),
        ("1,2,1\n", "1,2\n", "b.csv must have 3 columns as {a} has, the label last, got 2; the label is missing"),
        ("x1,x2,y\n1,2,1\n", "x1,x2,x3,y\n1,2,3,1\n", "b.csv must have 3 columns as {a} has, the label last, got 4"),
    ],
)
def test_a_test_file_of_another_width_is_named(tmp_path: Path, train: str, test: str, words: str) -> None:
    (tmp_path / "a.csv").write_text(train)
    (tmp_path / "b.csv").write_text(test)
    with pytest.raises(ValueError) as error:
        own_data(tmp_path / "a.csv", tmp_path / "b.csv", "auto")
    assert str(error.value).endswith(words.format(a=tmp_path / "a.csv"))


def test_columns_of_one_name_are_noted(tmp_path: Path) -> None:
    points = read_points(made(tmp_path, "x,x,z,y\n1,2,3,1\n3,1,2,-1\n"))
    assert points.x.shape == (2, 3)
    assert points.notes == [f"{points.name}: columns 1, 2 are all called 'x'; each is used as a coordinate"]


def test_commands_that_print_say_how_a_file_was_read(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("1;1\n1;2\n")
    done = here("draw", "p.csv", "--labels", "real", cwd=tmp_path)
    assert "p.csv: columns separated by semicolons, UTF-8" in done.stdout


def test_columns_in_another_order_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("u,v,label\n1,2,1\n")
    (tmp_path / "b.csv").write_text("v,u,label\n1,2,1\n")
    with pytest.raises(ValueError, match="has its columns in the order v, u; expected u, v"):
        own_data(tmp_path / "a.csv", tmp_path / "b.csv", "auto")
    with pytest.raises(ValueError, match="standard input holds one table"):
        own_data(Path("-"), Path("-"), "auto")


def test_certify_takes_what_train_takes(command: Callable[..., Any], tmp_path: Path) -> None:
    """And what it has understood stands beside the certificate, for the checker to compare, and is noted."""
    from flatproof.theory.check_certificate import compare, read

    (tmp_path / "mine.txt").write_text(",a,b,label\n3,1.5,-2,0\n1,3,.25,1\n".replace(",", ";"), encoding="utf-16")
    done = command("certify", "mine.txt", "--labels", "classes")
    assert done.status == 0, done.err
    assert "is an index and left out" in done.out
    compare(read(str(tmp_path / "mine.no-bias.certificate.json")), str(tmp_path / "mine.no-bias.points.csv"))
    assert (tmp_path / "mine.no-bias.points.csv").read_text() == "1.5,-2.0,-1.0\n3.0,0.25,1.0\n"
    trained = command("train", "--architecture", "bias", "--data", "mine.txt", "--labels", "classes", "--epochs", "2")
    assert trained.status == 0, trained.err
    assert "columns separated by semicolons" in trained.out
