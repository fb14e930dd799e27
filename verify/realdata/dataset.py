"""Owns what a data set offers: `Dataset`. One object of it is all that loading, verifying, fetching and stored trainings know of a set."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from flatproof.verify.realdata.packages import Recipe
from flatproof.verify.realdata.samples import SPLITS, Images, Incomplete, NotAvailable, Split

SIZE = 224  # side in pixels that images of many sizes get unless another is asked for


@dataclass(frozen=True)
class Checked:
    """What verifying a split found: samples (or what `unit` says), where they came from, and what was compared."""

    name: str
    split: Split
    samples: int
    source: str
    compared: str
    unit: str = "samples"


class Listed(NamedTuple):
    """A split in the overview: samples, where they are, and "yes: what was compared" or "no: why not"."""

    split: str
    samples: int
    source: str
    verified: str


class Dataset(ABC):
    """A data set by its name.

    Attributes:
        name: its name here; of one in another package, for messages only.
        how: how to get it, for the one line that says that it is not there.
        splits: those that it has.
        recipe: how `flatproof data fetch` makes its files from packages; None where no package carries it.
    """

    name: str
    how: str
    splits: tuple[Split, ...] = SPLITS
    recipe: Recipe | None = None

    def check_split(self, split: Split) -> None:
        """Raise ValueError unless the data set has that split."""
        if split not in self.splits:
            raise ValueError(f"{self.name} has no {split} split; expected {', '.join(self.splits)}")

    @abstractmethod
    def look_for(self, root: Path, split: Split) -> None:
        """Return if the files of a split are there, whole or not. Raises NotAvailable, or Incomplete where some lack."""

    @abstractmethod
    def load(self, root: Path, split: Split, limit: int | None = None, size: int = SIZE, verify_checksums: bool = True) -> Images:
        """A split, read and checked.

        Args:
            root: the folder of all data sets.
            split: one of `splits`.
            limit: the first so many samples; all for None.
            size: side in pixels, where images have many sizes.
            verify_checksums: False takes files whose bytes differ from the published ones.

        Raises:
            NotAvailable: for files that are not there.
            Damaged: for one that is not what it should be.
            ValueError: for a limit beyond what there is.
        """

    @abstractmethod
    def fingerprint(self, root: Path, split: Split, limit: int | None) -> str:
        """What tells the split's files from any others, without decoding them. It is part of the address of stored trainings.

        Args:
            root: the folder of all data sets.
            split: one of `splits`.
            limit: the first so many samples; all for None.

        Raises:
            NotAvailable: for files that are not there.
        """

    @abstractmethod
    def compare(self, images: Images, root: Path) -> str:
        """Compare a whole split with what is known of it.

        Args:
            images: the split.
            root: the folder of all data sets.

        Returns:
            What was compared, in words.

        Raises:
            Damaged: for the first thing that differs.
        """

    def check(self, root: Path, split: Split) -> Checked:
        """Read a split to its last byte. Raises NotAvailable, or Damaged for the first thing that differs."""
        images = self.load(root, split)
        return Checked(self.name, split, len(images), images.source, self.compare(images, root))

    def check_all(self, root: Path) -> list[Checked]:
        """`check` of every split that is there.

        Raises:
            NotAvailable: when none is there.
            Incomplete: when some files of a split lack.
            Damaged: for the first thing that differs.
        """
        checked: list[Checked] = []
        absent: NotAvailable | None = None
        for split in self.splits:
            try:
                checked.append(self.check(root, split))
            except Incomplete:
                raise
            except NotAvailable as error:
                absent = absent or error
        if absent is not None and not checked:
            raise absent
        return checked

    def overview(self, root: Path) -> list[Listed]:
        """A row a split that is there. Raises what `check_all` raises."""
        return [Listed(c.split, c.samples, c.source, f"yes: {c.compared}") for c in self.check_all(root)]
