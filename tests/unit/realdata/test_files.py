"""Where files lie, and writing one whole."""

from pathlib import Path

import pytest

from flatproof.verify import realdata
from flatproof.verify.realdata import files


def test_the_root_is_the_argument_or_the_environment_or_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(files.ENVIRONMENT, raising=False)
    assert realdata.data_root() == tmp_path / ".cache" / "flatproof"
    monkeypatch.setenv(files.ENVIRONMENT, "~/elsewhere")
    assert realdata.data_root() == tmp_path / "elsewhere"
    assert realdata.data_root("here") == Path("here")


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
