"""ImageNet's folders, and images that do not decode."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flatproof.verify import realdata
from flatproof.verify.realdata import files, imagenet
from flatproof.verify.realdata.samples import Content, Damaged
from flatproof.verify.utils.errors import UserError
from tests.unit.realdata.formats import content, jpeg

IDS = [f"n{i:08d}" for i in range(1000)]


def imagenet_root(root: Path, classes: Sequence[str], index: bool = True) -> Path:
    for c, wordnet in enumerate(classes):
        for i in range(2):
            files.put(root / "val" / wordnet / f"ILSVRC2012_val_{c}{i}.JPEG", jpeg(10 * c + i))
    if index:
        (root / "imagenet_class_index.json").write_text(json.dumps({str(i): [w, f"name {i}"] for i, w in enumerate(IDS)}))
    return root


def test_imagenet_folders_are_read_in_turns(tmp_path: Path) -> None:
    root = imagenet_root(tmp_path, [IDS[7], IDS[300], IDS[999]])
    images = realdata.load("imagenet", root, "test", size=16)
    assert images.y.tolist() == [7, 300, 999, 7, 300, 999]
    assert images.x.shape == (6, 3, 16, 16)
    assert images.classes[300] == "name 300"
    assert not images.verified
    assert realdata.load("imagenet", root, "test", limit=3, size=16).y.tolist() == [7, 300, 999]
    with Image.open(root / "val" / IDS[300] / "ILSVRC2012_val_10.JPEG") as image:  # 40 × 30: the central 10 of 30 pixels
        part = image.crop((15, 10, 25, 20)).resize((16, 16), Image.Resampling.BICUBIC)
    assert np.array_equal(images.x[1], np.asarray(part).transpose(2, 0, 1))
    again = realdata.load("imagenet", root, "test", size=16)
    assert again.edition == images.edition
    (root / "val" / IDS[7] / "ILSVRC2012_val_00.JPEG").write_bytes(jpeg(77))
    assert realdata.load("imagenet", root, "test", size=16).edition != images.edition


def test_a_mapping_file_serves_as_the_index(tmp_path: Path) -> None:
    root = imagenet_root(tmp_path, [IDS[5]], index=False)
    (root / "LOC_synset_mapping.txt").write_text("".join(f"{w} thing {i}, other name\n" for i, w in enumerate(IDS)))
    images = realdata.load("imagenet", root, "test", size=8)
    assert images.y.tolist() == [5, 5]
    assert images.classes[5] == "thing 5"


def test_all_folders_need_no_index(tmp_path: Path) -> None:
    for wordnet in IDS:
        (tmp_path / "val" / wordnet).mkdir(parents=True)
    files.put(tmp_path / "val" / IDS[42] / "a.JPEG", jpeg(1))
    assert realdata.load("imagenet", tmp_path, "test", size=8).y.tolist() == [42]


def test_imagenet_without_what_its_labels_need_is_refused(tmp_path: Path) -> None:
    root = imagenet_root(tmp_path, IDS[:3], index=False)
    with pytest.raises(UserError, match=r"val holds 3 of 1000 classes; expected imagenet_class_index.json"):
        realdata.load("imagenet", root, "test")
    index = root / "imagenet_class_index.json"
    index.write_text(json.dumps({str(i): [w, ""] for i, w in enumerate(reversed(IDS))}))
    with pytest.raises(Damaged, match="must list 1000 different WordNet ids in sorted order"):
        realdata.load("imagenet", root, "test")
    for damaged in (b"{", b'{"0": "\xff"}', b"[" * 100_000, b'{"0": 1e999}', b"null"):
        index.write_bytes(damaged)
        with pytest.raises(Damaged, match="is not a class index"):
            realdata.load("imagenet", root, "test")
    imagenet_root(root, [])
    (root / "val" / "n99999999").mkdir()
    with pytest.raises(Damaged, match="n99999999 is not one of the 1000 classes"):
        realdata.load("imagenet", root, "test")


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_grey_cmyk_and_png_files_become_rgb(kind: str) -> None:
    for mode in ("L", "CMYK") if kind == "JPEG" else ("L", "RGB"):
        assert imagenet.decode(content(jpeg(3, mode, kind)), 12).shape == (3, 12, 12)


def test_every_truncated_jpeg_is_refused(tmp_path: Path) -> None:
    root = imagenet_root(tmp_path, IDS[:1])
    path = root / "val" / IDS[0] / "ILSVRC2012_val_00.JPEG"
    data = path.read_bytes()
    for length in range(0, len(data) - 2, 7):
        path.write_bytes(data[:length])
        with pytest.raises(Damaged, match=f"{path.name} does not decode"):
            realdata.load("imagenet", root, "test", size=8)
    with pytest.raises(Damaged, match="does not decode"):
        realdata.check("imagenet", root)
    path.write_bytes(data)
    (checked,) = realdata.check("imagenet", root)
    assert (checked.split, checked.samples) == ("test", 2)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_file_whose_end_is_zeros_is_refused_or_exact(kind: str) -> None:
    # what a download leaves that was cut short in a file of full length
    data = jpeg(3, kind=kind)
    whole = imagenet.decode(Content("whole", data), 16)
    refused = 0
    for length in range(len(data) // 8, len(data) - 2, 13):
        try:
            image = imagenet.decode(Content("cut", data[:length] + bytes(len(data) - length)), 16)
        except Damaged:
            refused += 1
        else:
            assert np.array_equal(image, whole)
    assert refused >= 26


def test_an_altered_png_is_never_silently_wrong() -> None:
    data = jpeg(3, kind="PNG")
    whole = imagenet.decode(Content("whole", data), 16)
    rng = np.random.default_rng(0)
    for place in rng.integers(8 * len(data), size=200).tolist():
        altered = bytearray(data)
        altered[place // 8] ^= 1 << place % 8
        try:
            image = imagenet.decode(Content("altered", bytes(altered)), 16)
        except Damaged:
            continue
        assert np.array_equal(image, whole)


def test_more_images_than_memory_holds_need_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = imagenet_root(tmp_path, IDS[:2])
    monkeypatch.setattr(imagenet, "LARGEST", 3 * 8 * 8 * 3)
    with pytest.raises(ValueError, match="4 images of 8 × 8 pixels do not fit in memory; expected a limit"):
        realdata.load("imagenet", root, "test", size=8)
    assert len(realdata.load("imagenet", root, "test", limit=3, size=8)) == 3
