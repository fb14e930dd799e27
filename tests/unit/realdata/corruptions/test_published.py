"""Published files of CIFAR-10-C that CIFAR-10 determines, by their checksums; where CIFAR-10 is on this machine."""

import hashlib

import numpy as np
import pytest

from flatproof.verify import realdata
from flatproof.verify.realdata.cifar10_c import DIGESTS
from flatproof.verify.realdata.corruptions import SEVERITIES, corrupt
from tests.unit.realdata.formats import npy


@pytest.fixture(scope="module")
def clean() -> realdata.Images:
    if not realdata.available("cifar10", split="test"):
        pytest.skip(realdata.UNAVAILABLE)
    return realdata.load("cifar10", split="test")


@pytest.mark.parametrize("name", ["brightness", "contrast", "pixelate"])
def test_files_without_chance_come_out_byte_for_byte(clean: realdata.Images, name: str) -> None:
    """The other three without chance hang on the libraries of their year: zoom and defocus in rounding, JPEG in its transform."""
    images = np.ascontiguousarray(clean.x.transpose(0, 2, 3, 1))
    whole = np.concatenate([corrupt(images, name, severity) for severity in range(1, SEVERITIES + 1)])
    assert f"md5:{hashlib.md5(npy(whole)).hexdigest()}" == DIGESTS[name]


def test_the_labels_come_out_byte_for_byte(clean: realdata.Images) -> None:
    assert f"md5:{hashlib.md5(npy(np.tile(clean.y, SEVERITIES).astype(np.uint8))).hexdigest()}" == DIGESTS["labels"]
