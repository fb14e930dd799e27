"""Owns which checkpoints lie in a folder, and which of them each row of errors is about."""

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from flatproof.verify.curvature.user_weights import SUFFIXES, is_saved_folder

LEAST = 3  # with fewer points a correlation says nothing


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint in a folder: its path below it, as its name, and its path."""

    name: str
    path: Path


def checkpoints(folder: Path) -> list[Checkpoint]:
    """Every checkpoint below a folder, by name: files, and folders that transformers has saved (of these no other file counts).

    Raises:
        ValueError: there is none.
        OSError: it cannot be read.
    """
    if not folder.is_dir():
        raise ValueError(f"--checkpoints must be a folder, {folder} is none")
    there = sorted(_below(folder), key=lambda checkpoint: checkpoint.name)
    if not there:
        raise ValueError(
            f"--checkpoints {folder} holds no checkpoint; expected files {' '.join(SUFFIXES)} or folders of transformers"
        )
    return there


def _below(folder: Path) -> Iterator[Checkpoint]:
    for place, folders, files in os.walk(folder, onerror=_raised):
        folders[:] = [name for name in folders if not name.startswith(".")]
        here = Path(place)
        if is_saved_folder(here):
            yield Checkpoint(here.relative_to(folder).as_posix() if here != folder else folder.resolve().name, here)
            continue
        for name in files:
            if name.endswith(SUFFIXES) and not name.startswith("."):
                yield Checkpoint((here / name).relative_to(folder).as_posix(), here / name)


def _raised(error: OSError) -> None:
    raise error


def matched(folder: Path, there: Sequence[Checkpoint], names: Sequence[str]) -> tuple[dict[int, Checkpoint], list[str]]:
    """The checkpoint of each row.

    A row names a checkpoint by its path below the folder, with or without its suffix, by its file's name where no other has it, or
    by its folder where it is alone there.

    Args:
        folder: that the checkpoints lie in.
        there: the checkpoints.
        names: of the rows, each once.

    Returns:
        The checkpoints by the number of their row, and a line for each row without one checkpoint and each checkpoint without one row.
    """
    called = defaultdict(set)
    for checkpoint in there:
        for alias in _aliases(folder, checkpoint):
            called[alias].add(checkpoint)
    exact = {checkpoint.name: checkpoint for checkpoint in there}
    pairs: dict[int, Checkpoint] = {}
    faults = []
    for row, name in enumerate(names):
        plain = name.removeprefix("./").rstrip("/")
        meant = {exact[plain]} if plain in exact else called.get(plain, set())
        if len(meant) == 1:
            pairs[row] = next(iter(meant))
        elif meant:
            several = ", ".join(sorted(checkpoint.name for checkpoint in meant))
            faults.append(f"the row {name!r} could mean {several}; expected the path of one below {folder}")
        else:
            faults.append(f"the row {name!r} has no checkpoint in {folder}")
    rows = defaultdict(list)
    for row, checkpoint in pairs.items():
        rows[checkpoint].append(row)
    for checkpoint in there:
        if checkpoint not in rows:
            faults.append(f"the checkpoint {checkpoint.name} has no row of errors")
        elif len(rows[checkpoint]) > 1:
            faults.append(
                f"the checkpoint {checkpoint.name} has the rows {' and '.join(repr(names[r]) for r in rows[checkpoint])}"
            )
            for row in rows[checkpoint]:
                del pairs[row]
    return pairs, faults


def _aliases(folder: Path, checkpoint: Checkpoint) -> set[str]:
    """Every name that a row may call it by."""
    path = Path(checkpoint.name)
    suffix = max((suffix for suffix in SUFFIXES if path.name.endswith(suffix)), key=len, default="")
    bare = path.with_name(path.name.removesuffix(suffix))
    inside = {path.parent.as_posix()} - {"."}
    return {path.as_posix(), bare.as_posix(), path.name, bare.name, (folder / path).as_posix(), *inside}
