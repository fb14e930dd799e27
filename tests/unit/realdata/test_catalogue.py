"""The known data sets, and those of other packages."""

import sys
from pathlib import Path

import numpy as np
import pytest

from flatproof.verify import realdata
from flatproof.verify.deep import ImageData, Net, Stop
from flatproof.verify.deep.data import samples
from flatproof.verify.realdata.cifar import CIFAR100
from flatproof.verify.realdata.known_files import KnownFiles
from flatproof.verify.realdata.overview import overview
from tests.unit.deep.trainings import job


def test_the_catalogue_agrees_with_itself() -> None:
    for dataset in (known for known in realdata.DATASETS.values() if isinstance(known, KnownFiles)):
        assert len(set(dataset.classes)) == len(dataset.classes)
        for edition in dataset.editions:
            assert all(file.digest.startswith(("md5:", "sha256:")) for file in edition.files())
            for split, batches in edition.batches.items():
                assert sum(batch.samples for batch in batches) == sum(edition.facts[split].counts), (dataset.name, split)
                assert len(edition.facts[split].counts) == len(dataset.classes)
    assert CIFAR100.classes == tuple(sorted(CIFAR100.classes))


OUTSIDE = """
import numpy as np
from flatproof.verify.realdata import Dataset, Images, NotAvailable

class Digits(Dataset):
    name, how = "digits", "draw them"

    def look_for(self, root, split):
        if not (root / "digits.npy").is_file():
            raise NotAvailable(f"digits, {split}: looked for {root}; {self.how}")

    def fingerprint(self, root, split, limit):
        self.look_for(root, split)
        return str((root / "digits.npy").stat().st_size)

    def load(self, root, split, limit=None, size=224, verify_checksums=True):
        self.look_for(root, split)
        x = np.load(root / "digits.npy")[:limit]
        y = np.arange(len(x)) % 2
        return Images("digits", split, x, y, ("even", "odd"), (0.5,), (0.5,), "drawn", str(root), {}, verified=False)

    def compare(self, images, root):
        return "nothing"

DIGITS = Digits()
OTHER = 3
"""


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with a data set, installed but for its files; their root."""
    (tmp_path / "outside_data.py").write_text(OUTSIDE)
    metadata = tmp_path / "outside_data-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: outside-data\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[flatproof.datasets]\ndigits = outside_data:DIGITS\nlost = outside_data:LOST\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("FLATPROOF_DATA", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.mark.parametrize("name", ["digits", "outside_data:DIGITS"])
def test_another_package_brings_a_data_set(outside: Path, name: str) -> None:
    assert not realdata.available(name)
    with pytest.raises(realdata.NotAvailable, match="draw them"):
        realdata.load(name)
    x = np.random.default_rng(0).integers(0, 256, (8, 1, 5, 5), dtype=np.uint8)
    np.save(outside / "digits.npy", x)
    assert np.array_equal(realdata.load(name, limit=6).x, x[:6])
    assert [checked.samples for checked in realdata.check(name)] == [8, 8]
    data = ImageData(name, 6)
    assert data == ImageData("outside_data:DIGITS", 6)
    assert data.plain()["name"] == "outside_data:DIGITS"
    assert samples(data).train_x.shape == (6, 1, 5, 5)
    net = Net("fully-connected", {"inputs": 25, "width": 4, "depth": 1, "classes": 2})
    before = job(data=data, net=net, stop=Stop(1)).key
    np.save(outside / "digits.npy", x[:7])
    assert job(data=ImageData(name, 6), net=net, stop=Stop(1)).key != before


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("outside_data:NONE", "data set outside_data:NONE: module 'outside_data' has no 'NONE'"),
        ("nowhere:DIGITS", "data set nowhere:DIGITS: there is no module 'nowhere' here"),
        ("outside_data:OTHER", "data set 'outside_data:OTHER' must be a Dataset, got int"),
        ("a:b:c", "data set must be one of mnist, .*, or be named module:object, got 'a:b:c'"),
        ("svhn", "data set must be one of mnist, .*, digits, lost, or be named module:object, got 'svhn'"),
    ],
)
def test_a_data_set_that_is_none_is_named(outside: Path, name: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        realdata.load(name, outside)


def test_the_overview_has_a_row_for_every_data_set(tmp_path: Path) -> None:
    assert [row["name"] for row in overview(tmp_path)] == list(realdata.NAMES)


def test_the_overview_lists_what_other_packages_bring(outside: Path) -> None:
    np.save(outside / "digits.npy", np.zeros((4, 1, 5, 5), dtype=np.uint8))
    rows = overview()
    assert [row["name"] for row in rows][-3:] == ["digits", "digits", "lost"]
    assert [(row["split"], row["samples"], row["how to get it"]) for row in rows[-3:-1]] == [
        ("train", "4", "draw them"),
        ("test", "4", "draw them"),
    ]
    assert rows[-1]["verified"].startswith("no: data set 'outside_data:LOST' cannot be found")


def test_a_data_set_of_a_file_in_the_current_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_own_digits.py").write_text(OUTSIDE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    np.save(tmp_path / "digits.npy", np.zeros((4, 1, 5, 5), dtype=np.uint8))
    assert [checked.samples for checked in realdata.check("my_own_digits:DIGITS", tmp_path)] == [4, 4]
