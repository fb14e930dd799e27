"""The corrupted test set: the protocol's sample, from the official folder or built."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from flatproof.verify import realdata
from flatproof.verify.realdata.cifar10_c import FOLDER, Cifar10C
from flatproof.verify.realdata.corrupted import Corrupted, corrupted_edition, corrupted_test_set, reduced
from flatproof.verify.realdata.corruptions import NAMES, corrupt
from flatproof.verify.realdata.samples import Damaged, Incomplete, NotAvailable
from tests.unit.realdata.test_cifar10_c import ARRAYS, N, write
from tests.unit.realdata.tiny import Tiny

POOL = N  # test images; `Tiny` has one more
FULL = 15 * POOL
Make = Callable[..., Corrupted]


@pytest.fixture
def clean(tmp_path: Path) -> Tiny:
    return Tiny("binary10", tmp_path)


@pytest.fixture
def built(tmp_path: Path, clean: Tiny) -> Make:
    return partial(corrupted_test_set, root=tmp_path, clean=clean.datasets["tiny"], pool=POOL)


@pytest.fixture
def official(tmp_path: Path) -> Make:
    return partial(corrupted_test_set, root=tmp_path, official=write(tmp_path), pool=POOL)


def test_the_official_files_are_taken_where_they_are(official: Make, clean: Tiny, tmp_path: Path) -> None:
    for severity in (5, 2):
        corrupted = official(FULL, severity=severity)
        start = (severity - 1) * N
        for x, y, kind, index in zip(corrupted.images.x, corrupted.images.y, corrupted.corruption, corrupted.index, strict=True):
            assert np.array_equal(x.transpose(1, 2, 0), ARRAYS[NAMES[kind]][start + index])
            assert y == ARRAYS["labels"][index]
        expected = f"official CIFAR-10-C files; severity {severity}, seed 0, 32 × 32 pixels, {tmp_path}"
        assert corrupted.source == expected
    assert len(corrupted.images.checksums) == 16


def test_without_them_the_test_images_are_corrupted(built: Make, clean: Tiny, tmp_path: Path) -> None:
    corrupted = built(FULL, seed=4, severity=3)
    images = clean.x["test"].transpose(0, 2, 3, 1)
    for kind, name in enumerate(NAMES):
        at = corrupted.corruption == kind
        expected = corrupt(images, name, 3, 4)[corrupted.index[at]]
        assert np.array_equal(corrupted.images.x[at].transpose(0, 2, 3, 1), expected)
    assert np.array_equal(corrupted.images.y, clean.y["test"][corrupted.index])
    assert corrupted.source == (
        "CIFAR-10's test images (binary10) corrupted here; frost: synthetic texture in place of the authors' photographs; "
        f"severity 3, seed 4, 32 × 32 pixels, {tmp_path}"
    )


@pytest.mark.parametrize("make", ["built", "official"])
def test_it_is_a_shuffled_sample_without_repetition(make: str, request: pytest.FixtureRequest) -> None:
    make_set: Make = request.getfixturevalue(make)
    corrupted = make_set(FULL)
    pairs = list(zip(corrupted.corruption.tolist(), corrupted.index.tolist(), strict=True))
    assert sorted(pairs) == [(kind, index) for kind in range(15) for index in range(POOL)]
    assert pairs != sorted(pairs)
    first = make_set(7)
    assert len(first) == 7
    assert np.array_equal(first.images.x, corrupted.images.x[:7])
    assert np.array_equal(first.images.y, corrupted.images.y[:7])
    other = make_set(FULL, seed=1)
    assert not np.array_equal(other.index, corrupted.index)


def test_tensors_are_normalized_as_the_networks_test_images_are(built: Make) -> None:
    """`Tiny` is normalized by (v / 255 - 1/2) / (1/4)."""
    corrupted = built(9)
    x, y = corrupted.tensors()
    assert x.dtype == torch.float32
    assert torch.allclose(x, torch.from_numpy(corrupted.images.x / 255.0 * 4 - 2).float(), atol=1e-6)
    assert y.dtype == torch.int64
    assert y.tolist() == corrupted.images.y.tolist()


@pytest.mark.parametrize("make", ["built", "official"])
def test_small_images_are_means_of_corrupted_large_ones(make: str, request: pytest.FixtureRequest) -> None:
    make_set: Make = request.getfixturevalue(make)
    large, small = make_set(12).images.x, make_set(12, side=8).images.x
    assert small.shape == (12, 3, 8, 8)
    for i, channel, y, x in np.ndindex(12, 3, 8, 8):
        mean = large[i, channel, 4 * y : 4 * y + 4, 4 * x : 4 * x + 4].astype(float).mean()
        assert small[i, channel, y, x] == np.floor(mean + 0.5)
    assert np.array_equal(reduced(large, 32), large)
    assert make_set(1, side=16).source.count("16 × 16 pixels") == 1


def test_editions_tell_sources_apart(tmp_path: Path, clean: Tiny) -> None:
    known = clean.datasets["tiny"]
    of_built = corrupted_edition(tmp_path, clean=known)
    folder = write(tmp_path)
    of_official = corrupted_edition(tmp_path, official=folder, clean=known)
    others = Cifar10C(N, folder.digests | {"fog": "md5:0"}, ())
    assert len({of_built, of_official, corrupted_edition(tmp_path, official=others)}) == 3


def test_what_is_not_there_is_named_with_both_ways_to_get_it(tmp_path: Path) -> None:
    for use in (corrupted_test_set, corrupted_edition):
        with pytest.raises(
            NotAvailable, match=r"no CIFAR-10-C in .*, and nothing to build it from: cifar10, test: .*data fetch"
        ) as raised:
            use(root=tmp_path)
        assert "\n" not in str(raised.value)


def test_a_folder_that_is_there_is_never_passed_over(official: Make, clean: Tiny, tmp_path: Path) -> None:
    path = tmp_path / FOLDER / "fog.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(Damaged, match=r"fog\.npy was altered"):
        official(5)
    assert not official(5, verify_checksums=False).images.verified
    path.unlink()
    with pytest.raises(Incomplete, match=r"lacks fog\.npy"):
        official(5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"count": 0}, "count must be a whole number of at least 1, got 0"),
        ({"count": FULL + 1}, "count must be a whole number of at most 45, got 46"),
        ({"count": 1, "severity": 6}, "severity must be a whole number of at most 5, got 6"),
        ({"count": 1, "seed": -1}, "seed must be a whole number of at least 0, got -1"),
        ({"count": 1, "side": 12}, "side must divide 32, got 12"),
        ({"count": 1, "side": 0}, "side must be a whole number of at least 1, got 0"),
        ({"count": 1, "pool": 99}, "pool must be a whole number of at most 3, got 99"),
    ],
)
def test_bad_arguments_are_named(official: Make, options: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        official(**options)


def test_the_real_images_are_cifars(tmp_path: Path) -> None:
    """The protocol's defaults, where CIFAR-10 or CIFAR-10-C is on this machine."""
    try:
        corrupted = corrupted_test_set(300)
    except NotAvailable:
        pytest.skip(realdata.UNAVAILABLE)
    assert corrupted.images.x.shape == (300, 3, 32, 32)
    assert corrupted.index.max() < 1000
    assert corrupted.images.classes[3] == "cat"
    assert (corrupted.images.y[corrupted.index == 0] == 3).all()
