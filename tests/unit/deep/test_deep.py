"""Training on images in memory: against a plain loop, over interruptions, its steps, its stops, its settings."""

import json
import math
import sys
import types
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from flatproof.verify.deep import ImageData, Method, Net, Stop, Training, files, linear, loop, samples, trained
from flatproof.verify.deep.augmentation import augmented, shifted
from flatproof.verify.deep.data import picked
from flatproof.verify.deep.steps import frozen_statistics, make_optimizer, make_step
from flatproof.verify.deep.tensorboard import export
from flatproof.verify.jobs.store import Store
from flatproof.verify.jobs.sweep import sweep
from flatproof.verify.jobs.workspace import working_in
from flatproof.verify.utils.errors import UserError

DATA = ImageData("synthetic", 130, 70, {"noise": 2.0})
NET = Net("fully-connected", {"inputs": 64, "width": 24, "depth": 2})
DROPPING = Net("fully-connected", {"inputs": 64, "width": 24, "depth": 2, "dropout": 0.3})
METHODS = (
    Method(lr=0.05),
    Method(lr=0.05, momentum=0.9, weight_decay=0.05),
    Method("adam", lr=1e-3, weight_decay=0.05),
    Method(lr=0.05, momentum=0.5, rho=0.1, weight_decay=0.05),
    Method("adam", lr=1e-3, proximal=0.5, inner=3),
    Method(lr=0.05, adversarial=0.05),
)


@pytest.fixture(autouse=True)
def place(tmp_path: Path) -> Iterator[Path]:
    with working_in(tmp_path / "files"):
        yield tmp_path / "files"


def job(**settings: object) -> Training:
    plain = {"data": DATA, "net": NET, "method": METHODS[0], "stop": Stop(4), "batch_size": 32, "seed": 3}
    return Training(**(plain | settings))  # type: ignore[arg-type]


def plain_loop(one: Training) -> nn.Module:
    """The same training as one would write it, update rules included; no augmentation, no dropout."""
    data, m = samples(one.data), one.method
    model = loop.build(one.net, one.seed).train()
    ps = list(model.parameters())
    first, second = [torch.zeros_like(p) for p in ps], [torch.zeros_like(p) for p in ps]
    t = 0

    def slopes(x: torch.Tensor, y: torch.Tensor) -> list[torch.Tensor]:
        return list(torch.autograd.grad(F.cross_entropy(model(x), y), ps))

    def update(grads: list[torch.Tensor]) -> None:
        nonlocal t
        t += 1
        with torch.no_grad():
            for p, g, v, s in zip(ps, grads, first, second, strict=True):
                g = g + m.weight_decay * p
                if m.optimizer == "adam":
                    v.mul_(0.9).add_(0.1 * g)
                    s.mul_(0.999).add_(0.001 * g * g)
                    p -= m.lr * (v / (1 - 0.9**t)) / ((s / (1 - 0.999**t)).sqrt() + 1e-8)
                else:
                    v.mul_(m.momentum).add_(g)
                    p -= m.lr * v

    for epoch in range(one.stop.epochs):
        order = loop.order_of(one.seed, epoch, len(data.train_y)).tolist()
        for begin in range(0, len(order), one.batch_size):
            picked = order[begin : begin + one.batch_size]
            x, y = data.train_x[picked], data.train_y[picked]
            if m.rho:
                grads = slopes(x, y)
                length = math.sqrt(sum(float(g.square().sum()) for g in grads))
                statistics = {name: b.clone() for name, b in model.named_buffers()}
                with torch.no_grad():
                    for p, g in zip(ps, grads, strict=True):
                        p += m.rho / length * g
                ascended = slopes(x, y)
                with torch.no_grad():
                    for p, g in zip(ps, grads, strict=True):
                        p -= m.rho / length * g
                    for name, b in model.named_buffers():
                        b.copy_(statistics[name])
                update(ascended)
            elif m.proximal:
                center = [p.detach().clone() for p in ps]
                for _ in range(m.inner):
                    update([g + m.proximal * (p.detach() - c) for g, p, c in zip(slopes(x, y), ps, center, strict=True)])
            elif m.adversarial:
                statistics = {name: b.clone() for name, b in model.named_buffers()}
                inputs = x.clone().requires_grad_()
                slope = torch.autograd.grad(F.cross_entropy(model(inputs), y), inputs)[0]
                shaken = slopes(x + m.adversarial * slope.sign(), y)
                for name, b in model.named_buffers():
                    b.copy_(statistics[name])
                update([(g + s) / 2 for g, s in zip(slopes(x, y), shaken, strict=True)])
            else:
                update(slopes(x, y))
    return model.eval()


def parted(ours: nn.Module, theirs: nn.Module, start: nn.Module) -> float:
    """How far two networks lie apart, of the way from their common start; running statistics included."""
    a, b, c = (torch.cat([v.flatten() for v in m.state_dict().values() if v.is_floating_point()]) for m in (ours, theirs, start))
    return float((a - b).norm() / (b - c).norm())


def plain_net(method: Method) -> Net:
    """With batch norm, but for ADAM: it divides rounding by rounding where the gradient is zero, as that of a bias before batch norm."""
    return Net(NET.build, {**NET.settings, "batch_norm": method.optimizer == "sgd"})


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_against_a_plain_loop(method: Method) -> None:
    # rounding may turn the sign of a ReLU's input or of a slope, and then the two part: seldom, so that the median seed tells
    apart = []
    for seed in (1, 2, 3):
        one = job(method=method, net=plain_net(method), stop=Stop(2), seed=seed)
        model, outcome = trained(one)
        expected = plain_loop(one)
        apart.append(parted(model, expected, loop.build(one.net, seed)))
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
    one = job(method=method, net=plain_net(method), stop=Stop(2))
    without = replace(one, method=replace(method, **{left_out: 0.0}))
    assert parted(plain_loop(without), plain_loop(one), loop.build(one.net, one.seed)) > 5e-2


IMAGES = ImageData("synthetic", 90, 50, {"channels": 3, "side": 8, "noise": 2.0})
CONVOLUTIONS = Net("alexnet-like", {"side": 8, "filters": 4, "dense": [16, 8], "dropout": 0.0})


@pytest.mark.parametrize("method", METHODS[1:4], ids=str)
def test_convolutions_against_a_plain_loop(method: Method) -> None:
    """What lies in memory with a pixel's channels side by side gives the same numbers, optimizer included."""
    apart = []
    for seed in (1, 2, 3):
        settings = replace(method, optimizer="sgd", lr=0.02)
        one = job(data=IMAGES, net=CONVOLUTIONS, method=settings, stop=Stop(2), batch_size=30, seed=seed)
        model, _ = trained(one)
        assert not next(p for p in model.parameters() if p.ndim == 4 and p.shape[1] > 1).is_contiguous()
        apart.append(parted(model, plain_loop(one), loop.build(one.net, seed)))
    assert not samples(IMAGES).train_x.is_contiguous()
    assert np.median(apart) < 5e-3, apart


def test_picked_images_keep_values_and_layout() -> None:
    x, index = samples(IMAGES).train_x, torch.tensor([5, 0, 5])
    out = picked(x, index)
    assert torch.equal(out, x[index])
    assert out.stride()[1:] == x.stride()[1:]
    flat = torch.randn(4, 7)
    assert torch.equal(picked(flat, index.clamp(max=3)), flat[index.clamp(max=3)])


def test_linear_layers_by_onednn_are_the_same_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(40, 30), nn.Tanh(), nn.Linear(30, 20, bias=False), nn.Linear(20, 5))
    x = torch.randn(16, 40, requires_grad=True)
    tensors = [x, *model.parameters()]

    def slopes() -> list[torch.Tensor]:
        return list(torch.autograd.grad(model(x).sin().sum(), tensors))

    expected = slopes()
    monkeypatch.setattr(linear, "WORTHWHILE", 1)
    calls, real = 0, linear.product

    def counted(*arguments: object) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(linear, "product", counted)
    with linear.onednn_linear(model, 16):
        found = slopes()
    assert calls == (9 if torch.backends.mkldnn.is_available() else 0)  # three layers: forward and both gradients
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)
    with linear.onednn_linear(model.double(), 16):  # other types are left to torch
        assert model(x.double()).dtype == torch.float64


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_an_interrupted_training_gives_the_same_bits(method: Method, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = job(method=method, net=DROPPING, augment=("shift", "flip"), stop=Stop(5), keep=(0, 2, 5))
    whole, outcome = trained(one)
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
                trained(one)
        again, resumed = trained(one)
        assert calls == 2 + 1 + 1 + 1 + 2  # epochs 0 1, killed in 2, 2, killed in 3, 3 4: none is trained twice
        assert not (files.folder(one) / "progress.pt").exists()
        early = trained(one, 2)[0].state_dict()
    assert json.dumps(resumed) == json.dumps(outcome)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    assert all(torch.equal(value, early[name]) for name, value in trained(one, 2)[0].state_dict().items())


def test_the_result_does_not_depend_on_what_ran_before() -> None:
    one = job(net=DROPPING, augment=("shift", "flip"))
    torch.manual_seed(5)
    first = loop._train(one)
    state = torch.get_rng_state()
    torch.rand(10)
    second = loop._train(one)
    assert all(torch.equal(a, second["weights"][name]) for name, a in first["weights"].items())
    torch.set_rng_state(state)
    loop._train(one)
    assert torch.equal(torch.get_rng_state(), state)  # and the caller's generator is left as it was


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 4},
        {"batch_size": 33},
        {"method": Method(lr=0.06)},
        {"augment": ("flip",)},
        {"net": DROPPING},
        {"data": replace(DATA, train=131)},
    ],
    ids=str,
)
def test_every_setting_matters_and_has_an_address_of_its_own(change: dict[str, object]) -> None:
    one, other = job(), job(**change)
    assert one.key != other.key
    assert trained(one)[1]["curve"]["train_loss"] != trained(other)[1]["curve"]["train_loss"]


def test_equal_settings_have_equal_addresses() -> None:
    one = job(augment=("flip", "shift"), keep=(2, 0, 2), seed=np.int64(3))
    other = job(augment=("shift", "flip"), keep=(0, 2), net=Net(NET.build, dict(reversed(NET.settings.items()))))
    assert one.key == other.key
    assert one == other
    assert json.loads(json.dumps(one.settings())) == one.settings()


def test_sam_keeps_batch_norm_statistics_of_the_first_pass_only() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Linear(8, 10))
    norm, data = model[2], samples(DATA)
    x, y = data.train_x[:32], data.train_y[:32]
    assert isinstance(norm, nn.BatchNorm1d)
    inputs = model[1](model[0](x)).detach()
    method = Method(lr=0.1, rho=5.0)
    make_step(method, model, make_optimizer(method, list(model.parameters())))(x, y)
    torch.testing.assert_close(norm.running_mean, 0.1 * inputs.mean(0))
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * inputs.var(0))
    assert int(norm.num_batches_tracked or 0) == 1
    assert norm.track_running_stats


def test_sam_sees_the_same_dropout_masks_in_both_passes() -> None:
    seen = []

    class Watch(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x.detach() == 0)
            return x

    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), Watch(), nn.Linear(64, 10))
    data, method = samples(DATA), Method(lr=0.1, rho=0.1)
    step = make_step(method, model, make_optimizer(method, list(model.parameters())))
    for _ in range(2):
        step(data.train_x[:32], data.train_y[:32])
    assert torch.equal(seen[0], seen[1])
    assert torch.equal(seen[2], seen[3])
    assert not torch.equal(seen[0], seen[2])


def test_frozen_statistics_still_normalize_by_the_batch() -> None:
    norm = nn.BatchNorm1d(3)
    x = torch.randn(50, 3) * 4 + 7
    with frozen_statistics(norm):
        out = norm(x)
    assert float(out.detach().mean().abs()) < 1e-5
    assert torch.equal(norm.running_mean, torch.zeros(3))


def test_shifts_move_each_image_by_its_own_draw() -> None:
    x = torch.arange(2 * 1 * 4 * 4, dtype=torch.float32).reshape(2, 1, 4, 4) + 1
    out = shifted(x, torch.tensor([1, -2]), torch.tensor([0, 1]))
    assert torch.equal(out[0, 0, 1:], x[0, 0, :3])
    assert not out[0, 0, 0].any()
    assert torch.equal(out[1, 0, :2, 1:], x[1, 0, 2:, :3])
    assert not out[1, 0, 2:].any()
    assert not out[1, 0, :, 0].any()


def test_augmentation_draws_every_shift_and_flips_half() -> None:
    x = torch.zeros(4000, 1, 16, 16)
    x[:, 0, 8, 5] = 1
    out = augmented(x, ("shift",), torch.Generator().manual_seed(0))
    rows, columns = torch.nonzero(out)[:, 2], torch.nonzero(out)[:, 3]
    assert sorted(set((rows - 8).tolist())) == sorted(set((columns - 5).tolist())) == [-2, -1, 0, 1, 2]
    assert np.corrcoef(rows, columns)[0, 1] == pytest.approx(0, abs=0.06)
    flipped = augmented(x, ("flip",), torch.Generator().manual_seed(0))[:, 0, 8, 10]
    assert set(flipped.tolist()) == {0.0, 1.0}
    assert float(flipped.mean()) == pytest.approx(0.5, abs=0.04)


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
    one = job(net=plain, method=Method(lr=1e6), stop=Stop(50), seed=0)
    model, outcome = trained(one)
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
    assert "diverged at step" in one.summary(outcome)


def test_measurements_keep_their_distance_and_include_the_last_epoch() -> None:
    assert trained(job(measure_every=3, stop=Stop(7)))[1]["curve"]["epoch"] == [0, 3, 6, 7]


def test_a_training_starts_from_another_one() -> None:
    first = job(keep=(1,), stop=Stop(2))
    for epoch in (None, 1):
        second = job(start=first, start_epoch=epoch, stop=Stop(1), seed=9, keep=(0,))
        begun, source = trained(second, 0)[0].state_dict(), trained(first, epoch)[0].state_dict()
        assert all(torch.equal(value, begun[name]) for name, value in source.items())
    assert job(start=first, start_epoch=1).key != job(start=first).key != job().key


def test_a_training_without_a_start_is_not_trained_and_says_why(tmp_path: Path) -> None:
    """The training to start from stopped before the epoch, or diverged; the sweep goes on, and so do trainings that start from this."""
    early = job(stop=Stop(4, accuracy=0.01), keep=(1, 3), seed=5)  # stops at once
    plain = Net(NET.build, {**NET.settings, "batch_norm": False})
    wild = job(net=plain, method=Method(lr=1e6), stop=Stop(50), seed=0)
    never = job(start=early, start_epoch=3, keep=(0,))
    cases = {
        never: "the training to start from ended after epoch 0, before 3",
        job(net=plain, start=wild): "the training to start from diverged",
        job(start=never): "the training to start from ended after epoch 0, before 3",
    }
    with Store(tmp_path / "runs.sqlite") as store:
        assert sweep(cases, store) == 3
        for one, reason in cases.items():
            stored = store.get(one)
            assert stored is not None
            assert stored.result == {"status": "ended", "stopped": reason}
            assert one.summary(stored.result) == f"seed 3: not trained ({reason})"
    begun, start = trained(never)[0].state_dict(), loop.build(NET, 3).state_dict()
    assert all(torch.equal(value, begun[name]) for name, value in start.items())
    assert not (files.folder(never) / "final.pt").exists()
    with pytest.raises(ValueError, match="the training never began, before epoch 0"):
        trained(never, 0)


def write_timit(root: Path, frames: int = 60, inputs: int = 6, classes: int = 3, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    arrays = {f"{split}_x": rng.standard_normal((frames, inputs)) for split in ("train", "test")}
    labels = {f"{split}_y": np.arange(frames) % classes for split in ("train", "test")}
    (root / "TIMIT").mkdir(parents=True, exist_ok=True)
    np.savez(root / "TIMIT" / "timit.npz", **arrays, **labels)  # type: ignore[arg-type]


SPOKEN = Net("fully-connected", {"inputs": 6, "width": 8, "depth": 1, "classes": 3})


def test_replaced_files_are_other_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that was trained on the old file is used for the new one; put back, the old one has its old address."""
    monkeypatch.setenv("FLATPROOF_DATA", str(tmp_path / "data"))
    assert ImageData("timit").edition == "not on this machine"
    write_timit(tmp_path / "data")
    old = job(data=ImageData("timit", 50), net=SPOKEN, stop=Stop(1))
    losses = trained(old)[1]["curve"]["train_loss"]
    write_timit(tmp_path / "data", seed=1)
    new = job(data=ImageData("timit", 50), net=SPOKEN, stop=Stop(1))
    assert new.key != old.key
    assert new != old
    assert trained(new)[1]["curve"]["train_loss"] != losses
    samples.cache_clear()
    with pytest.raises(UserError, match="the files of timit were replaced: expected edition"):
        samples(old.data)
    write_timit(tmp_path / "data")
    assert job(data=ImageData("timit", 50), net=SPOKEN, stop=Stop(1)).key == old.key


def test_published_editions_have_addresses_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flatproof.verify.realdata.catalogue import CATALOGUE

    monkeypatch.setenv("FLATPROOF_DATA", str(tmp_path))
    seen = {ImageData("fashion-mnist").edition}
    for edition in reversed(CATALOGUE["fashion-mnist"].editions):  # the first that is there is taken
        for file in (file for batches in edition.batches.values() for batch in batches for file in batch.files):
            (tmp_path / edition.folder).mkdir(parents=True, exist_ok=True)
            (tmp_path / edition.folder / file.name).touch()
        seen.add(ImageData("fashion-mnist").edition)
    assert len(seen) == 1 + len(CATALOGUE["fashion-mnist"].editions) > 2


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


def test_fewer_synthetic_images_are_the_first_of_more() -> None:
    few, more = (samples(ImageData("synthetic", n, k, {"side": 4, "noise": 2.0})) for n, k in ((40, 15), (90, 70)))
    for split, n in (("train", 40), ("test", 15)):
        for part in "xy":
            assert torch.equal(getattr(few, f"{split}_{part}"), getattr(more, f"{split}_{part}")[:n])
    assert not torch.equal(more.train_x[:70], more.test_x)
    assert float(more.train_x.std()) == pytest.approx(1, abs=0.1)


def test_accuracy_and_loss_over_a_whole_split() -> None:
    model, outcome = trained(job())
    data = samples(DATA)
    with torch.no_grad():
        logits = model(data.train_x).double()
    assert outcome["curve"]["train_loss"][-1] == pytest.approx(float(F.cross_entropy(logits, data.train_y)), rel=1e-5)
    assert outcome["curve"]["train_accuracy"][-1] == float((logits.argmax(1) == data.train_y).double().mean())


def test_running_again_is_no_work_and_workers_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [job(seed=seed, stop=Stop(2)) for seed in (1, 2)]
    values = []
    for workers in (1, 2):
        with Store(tmp_path / f"{workers}" / "runs.sqlite") as store:
            assert sweep(jobs, store, workers) == 2
            assert sweep(jobs, store, workers) == 0
            found = [store.get(one) for one in jobs]
            values.append([one.result for one in found if one])
        assert (tmp_path / f"{workers}" / "files" / jobs[0].key / "final.pt").exists()
    assert values[0] == values[1]
    monkeypatch.setattr(loop, "_train", None)
    with working_in(tmp_path / "1" / "files"):
        assert trained(jobs[0])[1] == values[0][0]  # read, not trained


def test_a_damaged_file_is_named(place: Path) -> None:
    one = job(stop=Stop(1))
    trained(one)
    path = files.folder(one) / "final.pt"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=r"final\.pt cannot be read .*delete it"):
        trained(one)


def test_the_caller_keeps_his_settings_of_torch() -> None:
    before = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    with loop.reproducible("cpu", threads=1):
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.get_num_threads() == 1
    assert (torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()) == before


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Method(lr=0), "lr must be a finite number above 0"),
        (lambda: Method("lbfgs"), "optimizer must be one of sgd, adam, got 'lbfgs'"),
        (lambda: Method("adam", momentum=0.9), "momentum belongs to sgd"),
        (lambda: Method(momentum=1.0), "momentum must be below 1"),
        (lambda: Method(rho=0.1, adversarial=0.1), "expected at most one above 0"),
        (lambda: Method(inner=3), "inner steps belong to proximal training"),
        (lambda: Stop(0), "epochs must be a whole number of at least 1"),
        (lambda: Stop(1, accuracy=99), "accuracy is a share"),
        (lambda: Stop(1, patience=0), "patience must be a whole number of at least 1"),
        (lambda: ImageData("cifar11"), "data must be one of synthetic, "),
        (lambda: ImageData("mnist", settings={"noise": 1}), "data settings belong to synthetic images"),
        (lambda: samples(ImageData("synthetic", settings={"colour": 1})), "synthetic images have the settings"),
        (lambda: Net("vgg12"), "network must be one of fully-connected, .*, or be named module:function, got 'vgg12'"),
        (lambda: loop.build(Net("verify.models:vgg12"), 0), "network 'verify.models:vgg12' cannot be found"),
        (lambda: loop.build(Net("verify.model:vgg11"), 0), "network 'verify.model:vgg11' cannot be found"),
        (lambda: job(augment=("rotate",)), "augment must be one of shift, flip, got 'rotate'"),
        (lambda: job(keep=(5,)), "keep must be a whole number of at most 4, got 5"),
        (lambda: job(device="tpu"), "device must be one of cpu, cuda"),
        (lambda: job(start=job(), start_epoch=1), r"start_epoch must be an epoch that `start` keeps, one of \(\), got 1"),
        (lambda: job(method="sgd"), "method must be a Method, got 'sgd'"),
        (lambda: trained(job(), 1), "epoch must be one that the training keeps"),
    ],
)
def test_bad_settings_are_named(make: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()  # type: ignore[operator]


def test_curves_go_to_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each stored training gets a run of its own with every curve; a stand-in for TensorBoard's writer takes them."""
    written: dict[str, list[tuple[str, float, int]]] = {}

    class Writer:
        def __init__(self, folder: str) -> None:
            self.lines = written.setdefault(Path(folder).name, [])

        def __enter__(self) -> "Writer":
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def add_scalar(self, name: str, value: float, step: int) -> None:
            self.lines.append((name, value, step))

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", types.SimpleNamespace(SummaryWriter=Writer))
    first, second = job(stop=Stop(2)), job(stop=Stop(2), seed=8)
    with Store(tmp_path / "runs.sqlite") as store:
        sweep([first], store)
        early = job(stop=Stop(4, accuracy=0.01), keep=(3,))
        never = job(start=early, start_epoch=3)
        sweep([never], store)
        assert export([("C1/SB", first), ("C1 SB", second), ("warm", never)], store, tmp_path / "board") == 1
        stored = store.get(first)
    assert stored is not None
    ((name, lines),) = written.items()
    assert name == f"C1-SB, seed 3, {first.key[:8]}"
    accuracy = [(value, step) for quantity, value, step in lines if quantity == "test_accuracy"]
    assert accuracy == list(zip(stored.result["curve"]["test_accuracy"], (0, 1, 2), strict=True))
    assert len(lines) == 3 * (len(loop.CURVE) - 1) - 1  # before the first step there is no loss of a step
