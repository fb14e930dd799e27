"""What a training is stated to cost: operations counted by hand, steps and passes, seconds by the stated rates."""

import numpy as np
import pytest

from flatproof.verify.deep import ImageData, Method, Net, Stop, Training, costs
from flatproof.verify.deep.costs import (
    BACK,
    LAYER,
    RATES,
    gradient_seconds,
    images_of,
    passes_of,
    size_of,
    steps_of,
    training_seconds,
)

MLP = Net("fully-connected", {"width": 512, "depth": 2, "batch_norm": False})


def test_operations_are_those_counted_by_hand() -> None:
    size = size_of(MLP, (1, 28, 28))
    assert size.operations == 2 * (784 * 512 + 512 * 512 + 512 * 10)
    assert size.layers == 6  # flatten, two times linear and ReLU, linear
    conv = size_of(Net("alexnet-like", {"filters": 4, "dense": [16, 8], "side": 8}), (3, 8, 8))
    convolutions = 2 * (8 * 8 * 4 * 3 * 25 + 4 * 4 * 4 * 4 * 25)
    assert 0 < conv.operations - convolutions < 2 * (16 * 64 + 16 * 8 + 8 * 10 + 1)


def test_images_by_their_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    assert images_of(ImageData("mnist", 100)) == ((1, 28, 28), 100, 10_000)
    assert images_of(ImageData("cifar10", None, 50, {"side": 16})) == ((3, 16, 16), 50_000, 50)
    assert images_of(ImageData("synthetic", 60, 20, {"channels": 3, "side": 6})) == ((3, 6, 6), 60, 20)
    x, y = np.zeros((7, 2, 4, 4), np.float32), np.arange(7) % 2
    assert images_of(ImageData.from_arrays(x, y, x[:3], y[:3])) == ((2, 4, 4), 7, 3)
    monkeypatch.delitem(costs.SHAPES, "mnist")
    with pytest.raises(ValueError, match="the shape of mnist's samples is not known here"):
        images_of(ImageData("mnist"))


@pytest.mark.parametrize(
    ("method", "passes"),
    [
        (Method(lr=0.1), 1),
        (Method(lr=0.1, rho=0.05), 2),
        (Method(lr=0.1, adversarial=0.02), 2),
        (Method(lr=0.1, proximal=1e-3, inner=3), 4),
    ],
)
def test_seconds_are_steps_times_passes_and_what_is_measured(method: Method, passes: int) -> None:
    job = Training(ImageData("mnist", 1050, 950), MLP, method, Stop(6), batch_size=100, measure_every=3, device="cuda")
    assert (steps_of(job), passes_of(job)) == (6 * 11, passes)
    one = gradient_seconds(job, 100)
    assert one == LAYER["cuda"] * 6  # few operations: what a layer takes at least
    many = gradient_seconds(job, 10**6)
    assert many == pytest.approx(BACK * size_of(MLP, (1, 28, 28)).operations * 10**6 / RATES["cuda"])
    assert training_seconds(job) == pytest.approx(66 * passes * one + 2 * 2 * gradient_seconds(job, 1000) / BACK)
