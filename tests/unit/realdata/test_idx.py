"""The IDX format."""

import struct
from pathlib import Path

import numpy as np
import pytest

from flatproof.verify.realdata import idx
from flatproof.verify.realdata.samples import Damaged
from tests.unit.realdata.formats import idx_images, idx_labels, pixels
from tests.unit.realdata.tiny import N, Tiny


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


def test_idx_files_are_written_as_they_are_read() -> None:
    x, y = pixels(9, 3, 28, 28), np.array([1, 2, 3], dtype=np.uint8)
    assert idx.serialize(x) == idx_images(x[:, None])
    assert idx.serialize(y) == idx_labels(y)
