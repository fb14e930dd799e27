"""CIFAR-10-C's official folder."""

import hashlib
import pickle
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flatproof.verify import realdata
from flatproof.verify.realdata import loading
from flatproof.verify.realdata.cifar10_c import DIGESTS, FOLDER, Cifar10C, mapped
from flatproof.verify.realdata.corruptions import NAMES
from flatproof.verify.realdata.overview import overview
from flatproof.verify.realdata.samples import Damaged, Incomplete, NotAvailable
from tests.unit.realdata.changes import CHANGES, positions
from tests.unit.realdata.formats import cifar10_c, npy

N = 3
ARRAYS = cifar10_c(N)


def write(root: Path, **changed: bytes) -> Cifar10C:
    """The folder, some files of it in other bytes; and the data set that knows the right ones."""
    (root / FOLDER).mkdir(exist_ok=True)
    contents = {name: npy(array) for name, array in ARRAYS.items()}
    for name, data in (contents | changed).items():
        (root / FOLDER / f"{name}.npy").write_bytes(data)
    digests = {name: f"md5:{hashlib.md5(data).hexdigest()}" for name, data in contents.items()}
    return Cifar10C(N, digests, ())


def load(known: Cifar10C, root: Path, **options: object) -> realdata.Images:
    return loading.load("tiny", root, "test", datasets={"tiny": known}, **options)


def test_the_format_is_numpys(tmp_path: Path) -> None:
    write(tmp_path)
    for name, array in ARRAYS.items():
        assert np.array_equal(np.load(tmp_path / FOLDER / f"{name}.npy"), array)


def test_each_image_comes_under_every_corruption_at_severity_5(tmp_path: Path) -> None:
    known = write(tmp_path)
    images = load(known, tmp_path)
    assert images.x.shape == (15 * N, 3, 32, 32)
    for sample in range(N):
        for kind, name in enumerate(NAMES):
            assert np.array_equal(images.x[15 * sample + kind].transpose(1, 2, 0), ARRAYS[name][4 * N + sample])
    assert np.array_equal(images.y, np.repeat(ARRAYS["labels"][:N], 15))
    assert images.verified
    assert images.checksums["CIFAR-10-C/snow.npy"] == known.digests["snow"]
    assert np.array_equal(load(known, tmp_path, limit=17).x, images.x[:17])
    with pytest.raises(ValueError, match="limit must be at most the 45 samples that there are, got 46"):
        load(known, tmp_path, limit=46)
    x, y = images.tensors()
    assert x.shape == (15 * N, 3, 32, 32)
    assert y.tolist() == images.y.tolist()


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
def test_every_severity_is_a_block(tmp_path: Path, severity: int) -> None:
    block = write(tmp_path).images(tmp_path, "fog", severity)
    assert np.array_equal(block, ARRAYS["fog"][(severity - 1) * N : severity * N])
    assert not block.flags.writeable


def test_only_what_is_asked_for_comes_into_memory(tmp_path: Path) -> None:
    """Of a file of 61 MB, written as a hole."""
    path, shape = tmp_path / "large.npy", (20_000, 32, 32, 3)
    with path.open("wb") as file:
        file.write(npy(np.empty(0, np.uint8), shape=str(shape)))
        file.truncate(file.tell() + int(np.prod(shape)))
    tracemalloc.start()
    assert not np.array(mapped(path, shape)[10_000:10_010]).any()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_labels_and_names_are_the_official_ones(tmp_path: Path) -> None:
    assert set(DIGESTS) == set(ARRAYS)
    assert len(set(DIGESTS.values())) == 16
    official = realdata.DATASETS["cifar10-c"]
    assert isinstance(official, Cifar10C)
    assert official.first_labels == (3, 8, 8, 0, 6, 6, 1, 6, 3, 1)
    known = write(tmp_path)
    with pytest.raises(Damaged, match=r"labels.npy: the first labels must be \(10, 8\), got "):
        Cifar10C(N, known.digests, (10, 8)).labels(tmp_path)


def test_verifying_reads_everything_and_listing_does_not(tmp_path: Path) -> None:
    known = write(tmp_path)
    (checked,) = loading.check("tiny", tmp_path, {"tiny": known})
    assert (checked.samples, checked.compared) == (15 * 5 * N, "checksums, labels")
    (row,) = known.overview(tmp_path)
    assert (row.split, row.samples) == ("test", 15 * 5 * N)
    assert row.verified.startswith("no: ")
    altered = bytearray(npy(ARRAYS["frost"]))
    altered[-1] ^= 1
    write(tmp_path, frost=bytes(altered))
    assert known.overview(tmp_path) == [row]
    with pytest.raises(Damaged, match=r"frost.npy was altered: its checksum is md5:.*, expected md5:"):
        loading.check("tiny", tmp_path, {"tiny": known})


FOG = ARRAYS["fog"]
FORM = r"expected uint8 \(15, 32, 32, 3\)"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"fog": npy(FOG[:-1])}, rf"fog.npy holds uint8 \(14, 32, 32, 3\), {FORM}"),
        ({"fog": npy(FOG.transpose(0, 3, 1, 2).copy())}, rf"fog.npy holds uint8 \(15, 3, 32, 32\), {FORM}"),
        ({"fog": npy(FOG, fortran=True)}, rf"fog.npy holds uint8 \(15, 32, 32, 3\), column by column, {FORM}"),
        ({"fog": npy(FOG, descr="|i1")}, rf"fog.npy holds int8 .*, {FORM}"),
        ({"fog": npy(FOG.astype("<f4"), descr="<f4")}, rf"fog.npy holds float32 .*, {FORM}"),
        ({"fog": npy(FOG, descr="|O")}, rf"fog.npy is not a complete .npy file: .*, {FORM}|fog.npy is not a complete .npy file"),
        ({"fog": npy(FOG)[:-1]}, "fog.npy is not a complete .npy file"),
        ({"fog": npy(FOG)[:100]}, "fog.npy is not a complete .npy file"),
        ({"fog": b""}, "fog.npy is not a complete .npy file"),
        ({"fog": npy(FOG) + b"12"}, "fog.npy has 2 bytes after its array, expected none"),
        ({"fog": pickle.dumps(FOG)}, "fog.npy is not a complete .npy file"),
        ({"fog": npy(FOG, shape="__import__('os').abort()")}, "fog.npy is not a complete .npy file"),
        ({"fog": npy(FOG, shape="(-1, 32, 32, 3)")}, "fog.npy"),
        ({"labels": npy(ARRAYS["labels"][:-1])}, r"labels.npy holds uint8 \(14,\), expected uint8 \(15,\)"),
        ({"labels": npy(ARRAYS["labels"] + np.uint8(10))}, "labels.npy: label of sample 0 must be from 0 to 9"),
        (
            {"labels": npy(np.append(ARRAYS["labels"][:-1], ARRAYS["labels"][-1] ^ 1))},
            "labels of severity 5 must be those of severity 1",
        ),
    ],
)
def test_a_file_of_another_form_is_refused_in_one_line(tmp_path: Path, changed: dict[str, bytes], words: str) -> None:
    known = write(tmp_path, **changed)
    for use in (lambda: load(known, tmp_path, verify_checksums=False), lambda: known.overview(tmp_path)):
        with pytest.raises(Damaged, match=words) as raised:
            use()
        assert "\n" not in str(raised.value)
    with pytest.raises(Damaged, match="was altered"):
        load(known, tmp_path)


@given(change=st.sampled_from(CHANGES), at=positions, amount=st.integers(0, 255), verify=st.booleans())
def test_altered_files_are_never_silently_wrong(
    tmp_path_factory: pytest.TempPathFactory, change: Callable[[bytes, int, int], bytes], at: int, amount: int, verify: bool
) -> None:
    """Without the checksums, bytes of a pixel can differ; form, order and number of the images cannot."""
    root = tmp_path_factory.getbasetemp()
    altered = change(npy(FOG), at, amount)
    known = write(root, fog=altered)
    try:
        images = load(known, root, verify_checksums=verify)
    except Damaged as error:
        lines = str(error).splitlines()
    else:
        lines = []
    assert len(lines) <= 1
    if lines:
        return
    fog = images.x[NAMES.index("fog") :: 15].transpose(0, 2, 3, 1)
    if verify:
        assert np.array_equal(fog, FOG[4 * N :])
    else:
        assert fog.tobytes() == altered[-fog.size :]
        assert len(altered) == len(npy(FOG))


def test_a_folder_that_lacks_a_file_is_incomplete(tmp_path: Path) -> None:
    with pytest.raises(NotAvailable, match=r"looked for .*CIFAR-10-C; unpack CIFAR-10-C.tar"):
        load(Cifar10C(), tmp_path)
    known = write(tmp_path)
    (tmp_path / FOLDER / "snow.npy").unlink()
    with pytest.raises(Incomplete, match=r"CIFAR-10-C lacks snow.npy; unpack CIFAR-10-C.tar"):
        load(known, tmp_path)
    rows = {row["name"]: row for row in overview(tmp_path)}
    assert "lacks snow.npy" in rows["cifar10-c"]["verified"]


def test_there_is_no_training_split(tmp_path: Path) -> None:
    for use in (realdata.load, realdata.available):
        with pytest.raises(ValueError, match="cifar10-c has no train split; expected test"):
            use("cifar10-c", tmp_path, "train")


def test_the_real_folder_is_what_everybody_knows() -> None:
    if not realdata.available("cifar10-c", split="test"):
        pytest.skip(realdata.UNAVAILABLE)
    assert [split.samples for split in realdata.check("cifar10-c")] == [750_000]
