"""Epochs: against a plain loop, over interruptions, from other trainings, stopped by rule, measured."""

import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from flatproof.verify.deep import ImageData, Method, Net, Stop, checkpoints, loop, samples, trained
from flatproof.verify.deep.loop import check_outputs, loss_and_accuracy
from flatproof.verify.jobs.workspace import working_in
from tests.unit.deep.modules import KINDS, network
from tests.unit.deep.trainings import (
    CONVOLUTIONS,
    DATA,
    DROPPING,
    IMAGES,
    METHODS,
    SPOKEN,
    job,
    parted,
    plain_loop,
    plain_net,
    write_timit,
)


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_against_a_plain_loop(method: Method) -> None:
    # rounding may turn the sign of a ReLU's input or of a slope, and then the two part: seldom, so that the median seed tells
    apart = []
    for seed in (1, 2, 3):
        training = job(method=method, net=plain_net(method), stop=Stop(2), seed=seed)
        model, outcome = trained(training)
        expected = plain_loop(training)
        apart.append(parted(model, expected, loop.build(training.net, seed)))
        assert outcome["curve"]["epoch"] == [0, 1, 2]
        assert outcome["steps"] == 2 * 5
        data = samples(DATA)
        loss = float(F.cross_entropy(model(data.test_x), data.test_y).detach())
        assert outcome["curve"]["test_loss"][-1] == pytest.approx(loss, rel=1e-5)
    assert np.median(apart) < 5e-3, apart


@pytest.mark.parametrize(
    ("method", "left_out"),
    [(m, name) for m in METHODS for name in ("weight_decay", "momentum", "rho", "adversarial") if getattr(m, name)],
    ids=str,
)
def test_the_plain_loop_tells_every_part_of_a_method(method: Method, left_out: str) -> None:
    training = job(method=method, net=plain_net(method), stop=Stop(2))
    without = replace(training, method=replace(method, **{left_out: 0.0}))
    assert parted(plain_loop(without), plain_loop(training), loop.build(training.net, training.seed)) > 5e-2


def test_the_plain_loop_tells_the_schedule() -> None:
    training = job(method=METHODS[-1], net=plain_net(METHODS[-1]), stop=Stop(2))
    without = replace(training, method=replace(METHODS[-1], schedule="constant"))
    assert parted(plain_loop(without), plain_loop(training), loop.build(training.net, training.seed)) > 5e-2


@pytest.mark.parametrize("method", METHODS[1:4], ids=str)
def test_convolutions_against_a_plain_loop(method: Method) -> None:
    """What lies in memory with a pixel's channels side by side gives the same numbers, optimizer included."""
    apart = []
    for seed in (1, 2, 3):
        settings = replace(method, optimizer="sgd", lr=0.02)
        training = job(data=IMAGES, net=CONVOLUTIONS, method=settings, stop=Stop(2), batch_size=30, seed=seed)
        model, _ = trained(training)
        assert not next(p for p in model.parameters() if p.ndim == 4 and p.shape[1] > 1).is_contiguous()
        apart.append(parted(model, plain_loop(training), loop.build(training.net, seed)))
    assert not samples(IMAGES).train_x.is_contiguous()
    assert np.median(apart) < 5e-3, apart


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_an_interrupted_training_gives_the_same_bits(method: Method, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training = job(method=method, net=DROPPING, augment=("shift", "flip"), stop=Stop(5), keep=(0, 2, 5))
    whole, outcome = trained(training)
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    calls, real = 0, loop.epoch_of

    def fragile(*arguments: object) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls in (3, 5):
            raise Killed
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "epoch_of", fragile)
    with working_in(tmp_path / "second"):
        for _ in range(2):
            with pytest.raises(Killed):
                trained(training)
        again, resumed = trained(training)
        assert calls == 2 + 1 + 1 + 1 + 2  # epochs 0 1, killed in 2, 2, killed in 3, 3 4: none is trained twice
        assert not (checkpoints.folder(training) / "progress.pt").exists()
        early = trained(training, 2)[0].state_dict()
    assert json.dumps(resumed) == json.dumps(outcome)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    assert all(torch.equal(value, early[name]) for name, value in trained(training, 2)[0].state_dict().items())


def test_the_result_does_not_depend_on_what_ran_before() -> None:
    training = job(net=DROPPING, augment=("shift", "flip"))
    torch.manual_seed(5)
    first = loop._train(training)
    state = torch.get_rng_state()
    torch.rand(10)
    second = loop._train(training)
    assert all(torch.equal(a, second["weights"][name]) for name, a in first["weights"].items())
    torch.set_rng_state(state)
    loop._train(training)
    assert torch.equal(torch.get_rng_state(), state)  # and the caller's generator is left as it was


def test_batches_hold_every_sample_once_and_none_alone() -> None:
    for n, size, lengths in ((10, 4, [4, 4, 2]), (9, 4, [4, 5]), (3, 5, [3]), (1, 4, [1]), (8, 4, [4, 4])):
        batches = loop.batches_of(loop.order_of(0, 0, n), size)
        assert [len(b) for b in batches] == lengths
        assert sorted(torch.cat(batches).tolist()) == list(range(n))
    assert not torch.equal(loop.order_of(0, 0, 50), loop.order_of(0, 1, 50))


def curve_of(losses: list[float], accuracies: list[float]) -> loop.Curve:
    return {"train_loss": losses, "train_accuracy": accuracies}


def test_stop_rules() -> None:
    rules = Stop(10, accuracy=0.99, patience=2, improvement=0.1)
    assert loop.stopped(rules, curve_of([2.0, 1.0], [0.1, 0.989]), 1) is None
    assert loop.stopped(rules, curve_of([2.0, 1.0], [0.1, 0.99]), 1) == "training accuracy at least 0.99"
    assert loop.stopped(rules, curve_of([2.0, 1.0, 0.95, 0.89], [0.1] * 4), 3) is None  # 0.89 improves on 1.0 by a tenth
    assert loop.stopped(rules, curve_of([2.0, 1.0, 0.95, 0.91], [0.1] * 4), 3) == "training loss no longer improves"
    assert loop.stopped(rules, curve_of([2.0, 1.0], [0.1] * 2), 10) == "10 epochs"
    assert loop.stopped(Stop(10), curve_of([1.0] * 10, [1.0] * 10), 9) is None


def test_training_stops_at_the_accuracy() -> None:
    outcome = trained(job(method=Method("adam", lr=0.01), stop=Stop(200, accuracy=0.99)))[1]
    assert outcome["stopped"] == "training accuracy at least 0.99"
    assert outcome["curve"]["train_accuracy"][-1] >= 0.99 > max(outcome["curve"]["train_accuracy"][:-1])


def test_a_divergence_is_recorded_with_its_step() -> None:
    plain = Net("fully-connected", {"inputs": 64, "width": 24, "depth": 2, "batch_norm": False})
    training = job(net=plain, method=Method(lr=1e6), stop=Stop(50), seed=0)
    model, outcome = trained(training)
    assert outcome["status"] == "diverged"
    data, reference = samples(DATA), loop.build(plain, 0)
    descent = torch.optim.SGD(reference.parameters(), lr=1e6)
    losses, epoch = [1.0], 0
    while math.isfinite(losses[-1]):
        for index in loop.batches_of(loop.order_of(0, epoch, 130), 32):
            loss = F.cross_entropy(reference(data.train_x[index]), data.train_y[index])
            losses.append(float(loss.detach()))
            if not math.isfinite(losses[-1]):
                break
            descent.zero_grad()
            loss.backward()
            descent.step()
        epoch += 1
    assert outcome["diverged_at"] == len(losses) - 2
    assert all(bool(torch.isfinite(p).all()) for p in model.parameters())
    assert "diverged at step" in training.summary(outcome)


def test_measurements_keep_their_distance_and_include_the_last_epoch() -> None:
    assert trained(job(measure_every=3, stop=Stop(7)))[1]["curve"]["epoch"] == [0, 3, 6, 7]


def test_a_training_starts_from_another_one() -> None:
    first = job(keep=(1,), stop=Stop(2))
    for epoch in (None, 1):
        second = job(start=first, start_epoch=epoch, stop=Stop(1), seed=9, keep=(0,))
        begun, source = trained(second, 0)[0].state_dict(), trained(first, epoch)[0].state_dict()
        assert all(torch.equal(value, begun[name]) for name, value in source.items())
    assert job(start=first, start_epoch=1).key != job(start=first).key != job().key


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ({"inputs": 7}, "has 7 inputs, expected 6"),
        ({"classes": 4}, "has 4 classes, expected 3"),
        ({"frames": 40}, "at most the 40 .* got 50"),
    ],
    ids=str,
)
def test_data_that_do_not_fit_the_network_are_one_error(
    shape: dict[str, int], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLATPROOF_DATA", str(tmp_path))
    write_timit(tmp_path, **shape)
    with pytest.raises(ValueError, match=words):
        trained(job(data=ImageData("timit", 50), net=SPOKEN))


def test_accuracy_and_loss_over_a_whole_split() -> None:
    model, outcome = trained(job())
    data = samples(DATA)
    with torch.no_grad():
        logits = model(data.train_x).double()
    assert outcome["curve"]["train_loss"][-1] == pytest.approx(float(F.cross_entropy(logits, data.train_y)), rel=1e-5)
    assert outcome["curve"]["train_accuracy"][-1] == float((logits.argmax(1) == data.train_y).double().mean())


@pytest.mark.parametrize("kind", KINDS)
def test_measuring_leaves_the_network_alone(kind: str) -> None:
    """Buffers that a pass changes in evaluation mode, too, and the random numbers that training goes on with."""
    model = network(kind).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    x, y = torch.randn(300, 6, generator=torch.Generator().manual_seed(0)), torch.zeros(300, dtype=torch.int64)
    loss_and_accuracy(model, x, y)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training


def test_outputs_that_are_no_numbers_have_no_accuracy() -> None:
    """argmax of NaN is a class; a quarter of the images would have been right."""
    model = nn.Linear(2, 4)
    nn.init.constant_(model.bias, math.nan)
    loss, accuracy = loss_and_accuracy(model, torch.randn(8, 2), torch.arange(8) % 4)
    assert math.isnan(loss)
    assert math.isnan(accuracy)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (nn.Linear(2, 1), r"must give \(2, 3\) scores for 2 images of mine, got \(2, 1\)"),
        (nn.Sequential(nn.Linear(2, 3), nn.Flatten(0)), r"got \(6,\)"),
        (nn.LSTM(2, 3), "got tuple"),
    ],
)
def test_a_network_without_a_score_for_every_class_is_refused(model: nn.Module, words: str) -> None:
    data = SimpleNamespace(train_x=torch.randn(5, 2), classes=3, edition="mine")
    with pytest.raises(ValueError, match=words):
        check_outputs(model, data)  # type: ignore[arg-type]
    check_outputs(nn.Linear(2, 4), data)  # type: ignore[arg-type]


def test_the_caller_keeps_his_settings_of_torch() -> None:
    before = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    with loop.reproducible("cpu", threads=1):
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.get_num_threads() == 1
    assert (torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()) == before
