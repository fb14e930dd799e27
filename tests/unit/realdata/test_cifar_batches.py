"""CIFAR's formats: pickles of every age are read, and run nothing."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from flatproof.verify.realdata import cifar_batches
from flatproof.verify.realdata.samples import Damaged
from tests.unit.realdata.formats import as_python_2_wrote_it, content, labels, pickled, pixels
from tests.unit.realdata.tiny import N


def test_a_pickle_written_by_python_2_is_read(tmp_path: Path) -> None:
    x, y = pixels(5, N, 3, 32, 32), labels(5, N, 10)
    data = as_python_2_wrote_it(x, y)
    assert np.array_equal(pickle.loads(data, encoding="bytes")[b"data"], x.reshape(N, -1))  # the writer above is right
    part = cifar_batches.read_python([content(data)], (3, 32, 32), 1, "train")
    assert np.array_equal(part.x, x)
    assert part.y.tolist() == y.tolist()


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
def test_pickles_of_every_protocol_are_read(protocol: int) -> None:
    x, y = pixels(6, N, 3, 32, 32), labels(6, N, 10)
    for order in (x, np.asfortranarray(x.reshape(N, -1)).reshape(x.shape)):
        data = pickled(order, ["labels"], [y], "", protocol)
        part = cifar_batches.read_python([content(data)], (3, 32, 32), 1, "test")
        assert np.array_equal(part.x, x)
        assert part.y.tolist() == y.tolist()


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
        cifar_batches.read_python([content(pickle.dumps(batch, 2))], (3, 32, 32), 1, "train")
    assert not (tmp_path / "touched").exists()


def test_an_array_of_a_number_of_bytes_makes_none() -> None:
    """As many zeros as a damaged file asks for."""
    x, y = pixels(5, N, 3, 32, 32), labels(5, N, 10)
    data = as_python_2_wrote_it(x, y)
    values = data.index(x.tobytes()) - 5  # BINSTRING, its length in four bytes
    asking = data[:values] + b"J\x00\x30\x00\x00" + data[values + 5 + x.nbytes :]
    with pytest.raises(Damaged, match="values must be text or bytes"):
        cifar_batches.read_python([content(asking)], (3, 32, 32), 1, "train")
