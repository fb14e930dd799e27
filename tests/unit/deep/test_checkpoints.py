"""What a training leaves in files."""

from pathlib import Path

import pytest

from flatproof.verify.deep import Stop, checkpoints, trained
from flatproof.verify.utils.errors import UserError
from tests.unit.deep.trainings import job


def test_a_damaged_file_is_named(place: Path) -> None:
    training = job(stop=Stop(1))
    trained(training)
    path = checkpoints.folder(training) / "final.pt"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=r"final\.pt cannot be read .*delete it"):
        trained(training)


def test_a_flipped_bit_in_a_weight_is_noticed(place: Path) -> None:
    """torch.load would take it for the weight."""
    training = job(stop=Stop(1))
    trained(training)
    path = checkpoints.folder(training) / "final.pt"
    content = checkpoints.read(training, "final")
    assert content is not None
    weight = max(content["weights"].values(), key=lambda tensor: tensor.numel())
    data = bytearray(path.read_bytes())
    data[data.index(weight.numpy().tobytes()) + 1] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"final\.pt cannot be read .*delete it"):
        checkpoints.read(training, "final")
