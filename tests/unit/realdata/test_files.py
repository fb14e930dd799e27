"""Where files lie, and writing one whole."""

import gzip
import os
from pathlib import Path

import pytest

from flatproof.verify import realdata
from flatproof.verify.realdata import files
from flatproof.verify.realdata.fetch import fetch


def test_the_root_is_the_argument_or_the_environment_or_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(files.ENVIRONMENT, raising=False)
    assert realdata.data_root() == tmp_path / ".cache" / "flatproof"
    monkeypatch.setenv(files.ENVIRONMENT, "~/elsewhere")
    assert realdata.data_root() == tmp_path / "elsewhere"
    assert realdata.data_root("here") == Path("here")


def test_without_a_home_nothing_is_found_and_nothing_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(files.ENVIRONMENT, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # what it gives where there is no home
    assert realdata.data_root() == Path(files.DEFAULT)
    assert len(files.roots()) == 1
    assert not realdata.available("mnist")
    assert realdata.edition_of("mnist") == "not on this machine"
    with pytest.raises(realdata.NotAvailable, match=r"mnist, train: looked for .* in ~/.cache/flatproof"):
        realdata.load("mnist")
    with pytest.raises(ValueError, match=r"there is no home for ~/.cache/flatproof; expected .* --root or FLATPROOF_DATA"):
        fetch("mnist", say=lambda line: None)
    assert list(tmp_path.iterdir()) == []
    assert realdata.data_root(tmp_path) == tmp_path


def test_a_gzip_file_of_unknown_size_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LARGEST", 1000)
    path = tmp_path / "test.gz"
    for length in (1000, 1001, 10**7):
        data = bytes(length)
        path.write_bytes(gzip.compress(data))
        file = files.File("test", files.digest(data), None)
        if length == 1000:
            assert files.read(path, file)[0].data == data
            continue
        with pytest.raises(realdata.Damaged, match="decompresses to more than 1000 bytes"):
            files.read(path, file)


def test_a_file_is_whole_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "kept"
    files.put(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.put(path, b"new and longer")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
