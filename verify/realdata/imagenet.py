"""Owns ImageNet: folders of JPEG files, one folder a class, and the official order of the classes.

    root/train/n01440764/*.JPEG, root/val/n01440764/*.JPEG    as torchvision expects them; `load`'s "test" is val

The official order of ILSVRC 2012 is that of the sorted WordNet ids: 0 is n01440764, 999 is n15075141. It is taken from
`imagenet_class_index.json` or `LOC_synset_mapping.txt` in root, which a part of the classes needs; all 1000 folders need neither.
No checksums of single images are published. So every file must decode whole, and `edition` names a digest of the files' content. A
JPEG file has no checksum of its own: bytes altered inside its pixels' code can decode to other pixels, which only that digest shows.

Preprocessing (`square`): the central square of side/(side + 32) of the shorter edge (224: 7/8 of it), resized bicubically.
"""

import io
import json
import re
import warnings
from collections.abc import Iterator, Sequence
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flatproof.verify.realdata.dataset import SIZE, Checked, Dataset, Listed
from flatproof.verify.realdata.files import digest
from flatproof.verify.realdata.samples import Content, Damaged, Images, NotAvailable, Split, check_limit
from flatproof.verify.utils.errors import UserError

CLASSES = 1000
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
FOLDERS: dict[Split, str] = {"train": "train", "test": "val"}
INDEXES = ("imagenet_class_index.json", "LOC_synset_mapping.txt")
SUFFIXES = {".jpeg", ".jpg"}
LARGEST = 2**33  # bytes of `x`: beyond, a limit must be given
HOW = "put the folders train/ and val/ of ILSVRC 2012 there, or name another place with --root"
WORDNET_ID = re.compile(r"n\d{8}")


def square(image: Image.Image, side: int) -> NDArray[np.uint8]:
    """The central part of an RGB image, (3, side, side)."""
    width, height = image.size
    edge = max(1, round(min(width, height) * side / (side + 32)))
    left, top = (width - edge + 1) // 2, (height - edge + 1) // 2
    part = image.crop((left, top, left + edge, top + edge)).resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(part).transpose(2, 0, 1)


def decode(content: Content, side: int) -> NDArray[np.uint8]:
    """A file as (3, side, side); grey and CMYK images become RGB. Raises Damaged unless it decodes to its end."""
    try:
        with warnings.catch_warnings(), io.BytesIO(content.data) as file:
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file, formats=("JPEG", "PNG")) as image:  # a few official .JPEG files are PNG
                part = square(image.convert("RGB"), side)
                png = image.format == "PNG"
            if png:  # decoding skips checksums of the chunks, and takes zeros for pixels
                file.seek(0)
                Image.open(file, formats=("PNG",)).verify()
            return part
    except Exception as error:  # an altered file fails anywhere
        raise Damaged(f"{content.path} does not decode: {error}; expected a complete JPEG file") from None


def class_index(root: Path) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """WordNet ids and names in the official order, from the index file in root; None if there is none.

    Raises:
        Damaged: unless it lists 1000 different ids in their sorted order, which is the official one.
    """
    path = next((root / name for name in INDEXES if (root / name).is_file()), None)
    if path is None:
        return None
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":  # {"0": ["n01440764", "tench"], …}
            table = json.loads(text)
            pairs = [(str(table[str(i)][0]), str(table[str(i)][1])) for i in range(CLASSES)]
        else:  # n01440764 tench, Tinca tinca
            pairs = [(line[:9], line[10:].split(",")[0]) for line in text.splitlines()]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise Damaged(f"{path} is not a class index: {type(error).__name__}: {error}") from None
    ids = tuple(wordnet for wordnet, _ in pairs)
    if len(ids) != CLASSES or list(ids) != sorted(set(ids)) or not all(map(WORDNET_ID.fullmatch, ids)):
        raise Damaged(f"{path} must list {CLASSES} different WordNet ids in sorted order")
    return ids, tuple(name for _, name in pairs)


def listing(root: Path, split: Split) -> tuple[list[tuple[Path, int]], tuple[str, ...]]:
    """Every image with its label, and the names of the classes.

    The first image of each class comes first, then the second of each, and so on: the first n are balanced.

    Args:
        root: the folder that holds train/ and val/.
        split: "train" or "test".

    Raises:
        NotAvailable: without the folder, or without images.
        UserError: for part of the classes without an index file.
        Damaged: for a folder that is no class.
    """
    folder = root / FOLDERS[split]
    ids = sorted(p.name for p in folder.iterdir() if p.is_dir() and WORDNET_ID.fullmatch(p.name)) if folder.is_dir() else []
    if not ids:
        raise NotAvailable(f"imagenet, {split}: looked for class folders such as n01440764 in {folder}; {HOW}")
    index = class_index(root)
    if index is None:
        if len(ids) != CLASSES:
            raise UserError(
                f"{folder} holds {len(ids)} of {CLASSES} classes; expected {' or '.join(INDEXES)} in {root}, "
                f"to know their official numbers"
            )
        index = tuple(ids), tuple(ids)
    number = {wordnet: i for i, wordnet in enumerate(index[0])}
    foreign = [name for name in ids if name not in number]
    if foreign:
        raise Damaged(f"{folder / foreign[0]} is not one of the {CLASSES} classes of ILSVRC 2012")
    files = [
        (rank, number[name], path)
        for name in ids
        for rank, path in enumerate(sorted(p for p in (folder / name).iterdir() if p.suffix.lower() in SUFFIXES))
    ]
    if not files:
        raise NotAvailable(f"imagenet, {split}: the class folders in {folder} hold no .JPEG file; {HOW}")
    return [(path, label) for _, label, path in sorted(files)], index[1]


def each(files: Sequence[tuple[Path, int]], side: int) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Checksum and image (3, side, side) of each file, in turn; for sets larger than memory."""
    for path, _ in files:
        content = Content(str(path), path.read_bytes())
        yield digest(content.data), decode(content, side)


@lru_cache
def _listed(root: Path, split: Split, limit: int | None) -> str:
    """SHA-256 of names, sizes and labels; once a process, for there are a million."""
    lines = (
        f"{path.relative_to(root).as_posix()} {path.stat().st_size} {label}" for path, label in listing(root, split)[0][:limit]
    )
    return sha256("\n".join(lines).encode()).hexdigest()


class ImageNet(Dataset):
    """The folders of ILSVRC 2012."""

    name = "imagenet"
    how = HOW

    def look_for(self, root: Path, split: Split) -> None:
        """Return if the split has images and its labels are known."""
        listing(root, split)

    def fingerprint(self, root: Path, split: Split, limit: int | None) -> str:
        """A digest of the names, sizes and labels of the images that the limit takes."""
        return _listed(root, split, limit)

    def load(self, root: Path, split: Split, limit: int | None = None, size: int = SIZE, verify_checksums: bool = True) -> Images:
        """The first `limit` images of `listing`, or all. Raises ValueError if that takes more than 8 GiB."""
        files, names = listing(root, split)
        check_limit(limit, len(files))
        files = files[:limit]
        if len(files) * 3 * size * size > LARGEST:
            raise ValueError(f"{len(files)} images of {size} × {size} pixels do not fit in memory; expected a limit")
        x = np.empty((len(files), 3, size, size), dtype=np.uint8)
        checksums = {}
        whole = sha256()
        for i, (checksum, image) in enumerate(each(files, size)):
            x[i] = image
            name = files[i][0].relative_to(root).as_posix()
            checksums[name] = checksum
            whole.update(f"{name} {checksum}\n".encode())
        edition = f"{len(files)} JPEG files, sha256 of their names and checksums {whole.hexdigest()}"
        source = f"{edition}, {root / FOLDERS[split]}"
        y = np.array([label for _, label in files], dtype=np.int64)
        return Images(self.name, split, x, y, names, MEAN, STD, edition, source, checksums, verified=False)

    def compare(self, images: Images, root: Path) -> str:
        """Nothing more than decoding is possible."""
        return "every file decodes; no checksums are published"

    def check(self, root: Path, split: Split) -> Checked:
        """Decode each image in turn: a split is larger than memory."""
        files, _ = listing(root, split)
        count = sum(1 for _ in each(files, 32))
        return Checked(self.name, split, count, str(root / FOLDERS[split]), "every file decodes; no checksums are published")

    def overview(self, root: Path) -> list[Listed]:
        """The splits whose folders are there, listed and not read. Raises NotAvailable where there is none."""
        rows = [
            Listed(split, len(listing(root, split)[0]), str(root / folder), "no: 'data verify' decodes each file")
            for split, folder in FOLDERS.items()
            if (root / folder).is_dir()
        ]
        if not rows:
            raise NotAvailable(HOW)
        return rows


IMAGENET = ImageNet()
