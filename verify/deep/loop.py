"""Owns `trained`: epochs over images in memory, measured, checkpointed and stopped by rule.

Nothing random is carried from one epoch to the next: order, augmentation and dropout masks of an epoch follow from the seed and the
epoch's number alone. So a training that goes on from a checkpoint gives, on the CPU, the same bits as one that was never interrupted.
"""

import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flatproof.verify.deep import checkpoints
from flatproof.verify.deep.augmentation import augmented
from flatproof.verify.deep.data import Samples, picked, samples
from flatproof.verify.deep.linear import onednn_linear
from flatproof.verify.deep.registry import builder
from flatproof.verify.deep.settings import CROSS_ENTROPY, Net, Stop, TrainingSettings
from flatproof.verify.deep.steps import Step, criterion_of, make_optimizer, make_step, mixed, rate_at, repeatable

CURVE = ("epoch", "train_loss", "train_accuracy", "test_loss", "test_accuracy", "step_loss")
INITIAL, ORDER, AUGMENT, MASKS = 10, 11, 12, 13  # streams of a training's seed, beside those of the two-layer runs
CHECKPOINT_SECONDS = 60.0  # of training between checkpoints
MEASURED_AT_ONCE = {
    "cpu": 250,
    "cuda": 1000,
}  # images in one forward pass; on the CPU what its caches hold, up to 1.7 times as fast

Curve = dict[str, list[float]]
Weights = dict[str, Tensor]


def trained(job: TrainingSettings, epoch: int | None = None) -> tuple[nn.Module, dict[str, Any]]:
    """The network of a training and its outcome: read from its files if it was trained before.

    Args:
        job: the training.
        epoch: one that it keeps, for the weights after it (0: the initial ones) in place of the final ones.

    Returns:
        The network, in eval mode on its device; a diverged training's is that of its last finite measurement, that of one that "ended"
        is at its random start. And the outcome, plain JSON:

        status: "finished", "diverged", or "ended" where the training to start from diverged or ended before `start_epoch`; of that
            outcome there is `stopped` alone.
        stopped: the rule that ended it, in words.
        diverged_at: the step (from 0) whose loss was not finite; None if none was.
        epochs, steps: how many.
        curve: a list over measurements for each name in CURVE; train_* and test_* in eval mode over whole splits, step_loss the mean
            over the steps since the last measurement (at epoch 0, before any step, train_loss).
        parameters: how many.
        device, edition, checksums: where it was trained, and on which files.

    Raises:
        NotAvailable, Damaged: for the data.
        ValueError: for settings that do not fit the data, the network or this machine.
        UserError: for a damaged file of the training.
    """
    if epoch is not None and epoch not in job.keep:
        raise ValueError(f"epoch must be one that the training keeps, one of {job.keep}, got {epoch!r}")
    with checkpoints.alone(job):
        final = checkpoints.read(job, checkpoints.FINAL) or _train(job)
    weights = final["weights"]
    if epoch is not None:
        stored = checkpoints.read(job, checkpoints.kept(epoch))
        if stored is None:
            reached = final["outcome"].get("epochs")
            how = "never began" if reached is None else f"ended after epoch {reached}"
            raise ValueError(f"the training {how}, before epoch {epoch} of its `keep`")
        weights = stored["weights"]
    model = build(job.net, job.seed)
    model.load_state_dict(weights)
    return placed(model, job.device).eval(), final["outcome"]


def placed(model: nn.Module, device: str) -> nn.Module:
    """The model on the device; on the CPU its convolutions take images as `data.resident` lays them out."""
    return model.to(memory_format=torch.channels_last) if device == "cpu" else model.to(device)  # type: ignore[call-overload]


def build(net: Net, seed: int) -> nn.Module:
    """The network at its random start, on the CPU. Raises ValueError naming what `net` names but is not there."""
    make = builder(net.build)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream(seed, INITIAL))
        return make(**net.settings)


def stream(seed: int, purpose: int, epoch: int = 0) -> int:
    """The seed of a generator.

    Args:
        seed: of the training.
        purpose: INITIAL, ORDER, AUGMENT or MASKS.
        epoch: from 0.
    """
    return int(np.random.SeedSequence([seed, purpose, epoch]).generate_state(1, np.uint64)[0] >> np.uint64(1))


@contextmanager
def reproducible(device: str, threads: int = 1) -> Iterator[None]:
    """Deterministic kernels on the CPU, float32 without TF32, `threads` threads; torch's settings and generators are restored after.

    On CUDA an operation without a deterministic form only warns, for torch's alert of `max_pool2d` concerns its channels-last form: the
    same bits are expected there, not ensured.
    """
    if device == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    cudnn, fill = torch.backends.cudnn, cast(Any, torch.utils.deterministic)
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        fill.fill_uninitialized_memory,
        torch.get_num_threads(),
        cudnn.benchmark,
        cudnn.allow_tf32,
        torch.backends.cuda.matmul.allow_tf32,
    )
    torch.use_deterministic_algorithms(True, warn_only=device == "cuda")
    fill.fill_uninitialized_memory = False  # no operation here reads memory that nobody wrote
    torch.set_num_threads(threads)
    cudnn.benchmark = cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        with torch.random.fork_rng(devices=[torch.cuda.current_device()] if device == "cuda" else []):
            yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        fill.fill_uninitialized_memory = before[2]
        torch.set_num_threads(before[3])
        cudnn.benchmark, cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before[4:]


def _train(job: TrainingSettings) -> dict[str, Any]:
    """Train from the start or the last checkpoint; what the final file holds, or an outcome "ended", which is not written."""
    if job.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device cuda is not there; expected cpu")
    start = None
    if job.start:
        if reason := _no_start(job.start, job.start_epoch):
            return {"weights": build(job.net, job.seed).state_dict(), "outcome": {"status": "ended", "stopped": reason}}
        start = trained(job.start, job.start_epoch)[0].state_dict()
    with reproducible(job.device, job.threads):
        return _Loop(job, start).run()


def _no_start(start: TrainingSettings, epoch: int | None) -> str | None:
    """Why there are no weights of a training to start from, in words; None if there are. Trains it if that was not done."""
    outcome = trained(start)[1]
    if outcome["status"] == "ended":
        return str(outcome["stopped"])
    if outcome["status"] == "diverged":
        return "the training to start from diverged"
    if epoch is not None and outcome["epochs"] < epoch:
        return f"the training to start from ended after epoch {outcome['epochs']}, before {epoch}"
    return None


def check_fit(net: Net, data: Samples) -> None:
    """Raise ValueError unless inputs and classes are those that the network's settings name."""
    for name, value in (("inputs", data.train_x[0].numel()), ("classes", data.classes)):
        expected = net.settings.get(name)
        if expected is not None and expected != value:
            raise ValueError(f"{data.edition} has {value} {name}, expected {expected} as the network {net.build} is set to")


@torch.no_grad()
def check_outputs(model: nn.Module, data: Samples) -> None:
    """Raise ValueError unless the network gives a row of scores an image, one for each class at least."""
    mode = model.training
    model.eval()
    with repeatable(model, data.train_x.device) as again, again():
        out = model(data.train_x[:2])
    model.train(mode)
    shape, n = getattr(out, "shape", None), len(data.train_x[:2])
    if shape is None or len(shape) != 2 or len(out) != n or shape[1] < data.classes:
        output = type(out).__name__ if shape is None else tuple(shape)
        raise ValueError(f"the network must give ({n}, {data.classes}) scores for {n} images of {data.edition}, got {output}")


class _Loop:
    """One training in progress: the model and its optimizer, the epochs done, what was measured."""

    def __init__(self, job: TrainingSettings, start: Weights | None) -> None:
        self.job, self.data = job, samples(job.data, job.device)
        check_fit(job.net, self.data)
        model = build(job.net, job.seed)
        if start is not None:
            model.load_state_dict(start)
        self.model = placed(model, job.device)
        check_outputs(self.model, self.data)
        self.optimizer = make_optimizer(job.method, [p for p in self.model.parameters() if p.requires_grad])
        self.criterion = criterion_of(job.method)
        self.step = make_step(job.method, self.model, self.optimizer)
        self.epoch = self.steps = self.done = 0
        self.total = job.stop.epochs * len(batches_of(torch.arange(len(self.data.train_y)), job.batch_size))
        self.curve: Curve = {name: [] for name in CURVE}
        self.unmeasured: list[float] = []  # mean loss of the steps of each epoch since the last measurement

    def run(self) -> dict[str, Any]:
        """All epochs; the final file's content, which is written before the checkpoint goes."""
        if not self._resume():
            self._keep()
            if not self._measure():
                raise ValueError("the initial network's loss is not finite; expected a smaller initialization or other data")
        last = time.monotonic()
        reason, diverged_at, finite = stopped(self.job.stop, self.curve, self.epoch), None, self._weights()
        while reason is None:
            losses = epoch_of(self.job, self.data, self.model, self._scheduled, self.epoch)
            bad = torch.nonzero(~torch.isfinite(losses)).flatten()
            if len(bad):
                diverged_at = self.steps + int(bad[0])
                break
            self.epoch, self.steps = self.epoch + 1, self.steps + len(losses)
            self.unmeasured.append(float(losses.double().mean()))
            if self.epoch % self.job.measure_every == 0 or self.epoch == self.job.stop.epochs:
                if not self._measure():
                    diverged_at = self.steps - 1
                    break
                finite = self._weights()
                reason = stopped(self.job.stop, self.curve, self.epoch)
            self._keep()
            measured = not self.unmeasured
            if reason is None and measured and time.monotonic() - last >= CHECKPOINT_SECONDS:
                self._checkpoint()
                last = time.monotonic()
        content = {"weights": finite, "outcome": self._outcome(reason, diverged_at)}
        checkpoints.write(self.job, checkpoints.FINAL, content)
        checkpoints.remove(self.job, checkpoints.PROGRESS)
        return content

    def _scheduled(self, x: Tensor, y: Tensor) -> Tensor:
        """A step at the step size of the schedule."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate_at(self.job.method, self.done, self.total)
        self.done += 1
        return self.step(x, y)

    def _outcome(self, reason: str | None, diverged_at: int | None) -> dict[str, Any]:
        device = torch.cuda.get_device_name() if self.job.device == "cuda" else "cpu"
        return {
            "status": "finished" if diverged_at is None else "diverged",
            "diverged_at": diverged_at,
            "stopped": reason or "diverged",
            "epochs": self.epoch,
            "steps": self.steps,
            "curve": self.curve,
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "device": device,
            "edition": self.data.edition,
            "checksums": dict(self.data.checksums),
        }

    def _measure(self) -> bool:
        """Add a measurement to the curve unless it is not finite; whether it is."""
        own = None if self.job.method.loss == CROSS_ENTROPY else self.criterion
        train = loss_and_accuracy(self.model, self.data.train_x, self.data.train_y, own)
        test = loss_and_accuracy(self.model, self.data.test_x, self.data.test_y, own)
        step_loss = float(np.mean(self.unmeasured)) if self.unmeasured else train[0]
        values = dict(zip(CURVE, (float(self.epoch), *train, *test, step_loss), strict=True))
        if not all(map(math.isfinite, values.values())):
            return False
        for name, value in values.items():
            self.curve[name].append(value)
        self.unmeasured = []
        return True

    def _weights(self) -> Weights:
        return {name: value.detach().to("cpu", copy=True) for name, value in self.model.state_dict().items()}

    def _keep(self) -> None:
        if self.epoch in self.job.keep:
            checkpoints.write(self.job, checkpoints.kept(self.epoch), {"weights": self._weights()})

    def _checkpoint(self) -> None:
        content = {
            "weights": self._weights(),
            "optimizer": self.optimizer.state_dict(),
            "epoch": self.epoch,
            "steps": self.steps,
            "curve": self.curve,
        }
        checkpoints.write(self.job, checkpoints.PROGRESS, content)

    def _resume(self) -> bool:
        content = checkpoints.read(self.job, checkpoints.PROGRESS)
        if content is None:
            return False
        self.model.load_state_dict(content["weights"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.epoch, self.steps, self.done = content["epoch"], content["steps"], content["steps"]
        self.curve = content["curve"]
        return True


def epoch_of(job: TrainingSettings, data: Samples, model: nn.Module, step: Step, epoch: int) -> Tensor:
    """One pass over the training images in that epoch's order.

    Args:
        job: the training.
        data: its images, on its device.
        model: its network, which the pass moves.
        step: how a batch moves it.
        epoch: the number, from 0, which with the seed determines order, augmentation and masks.

    Returns:
        The loss of each step, on the device.
    """
    augment = torch.Generator().manual_seed(stream(job.seed, AUGMENT, epoch))
    torch.manual_seed(stream(job.seed, MASKS, epoch))
    model.train()
    batches = batches_of(order_of(job.seed, epoch, len(data.train_y)).to(data.train_y.device), job.batch_size)
    losses = torch.empty(len(batches), device=data.train_x.device)
    moments = None if data.mean is None or data.std is None else (data.mean, data.std)
    with onednn_linear(model, job.batch_size):
        for i, index in enumerate(batches):
            x, y = picked(data.train_x, index), data.train_y.index_select(0, index)
            x = augmented(x, job.augment, augment, moments) if job.augment else x
            if job.method.mixup:
                x, y = mixed(x, y, job.method.mixup, data.classes, augment)
            losses[i] = step(x, y)
    return losses


def order_of(seed: int, epoch: int, n: int) -> Tensor:
    """The order of n samples in an epoch, drawn on the CPU so that a seed means the same on every device."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(stream(seed, ORDER, epoch)))


def batches_of(order: Tensor, size: int) -> list[Tensor]:
    """Consecutive batches; the last holds what is left, but a single left sample joins the batch before (batch norm needs two)."""
    batches = list(torch.split(order, size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def stopped(stop: Stop, curve: Curve, epoch: int) -> str | None:
    """The rule that ends training at the last measurement, in words; None to go on.

    Args:
        stop: the rules.
        curve: all measurements.
        epoch: epochs done.
    """
    if stop.accuracy is not None and curve["train_accuracy"][-1] >= stop.accuracy:
        return f"training accuracy at least {stop.accuracy:g}"
    if stop.patience is not None and since_improvement(curve["train_loss"], stop.improvement) >= stop.patience:
        return "training loss no longer improves"
    return f"{stop.epochs} epochs" if epoch >= stop.epochs else None


def since_improvement(losses: list[float], improvement: float) -> int:
    """Measurements since the loss was last below (1 - improvement) times the best before."""
    best, at = math.inf, 0
    for i, loss in enumerate(losses):
        if loss < (1 - improvement) * best:
            best, at = loss, i
    return len(losses) - 1 - at


@torch.no_grad()
def loss_and_accuracy(
    model: nn.Module, x: Tensor, y: Tensor, criterion: Callable[[Tensor, Tensor], Tensor] | None = None
) -> tuple[float, float]:
    """Mean loss and share of right answers in eval mode; the model's mode and buffers and the random state stay.

    Args:
        model: gives scores (n, classes).
        x, y: images (n, c, h, w) and labels (n,), on the model's device.
        criterion: a mean over samples of scores and labels; None: cross-entropy.

    Returns:
        The loss, summed in float64, and the accuracy; NaN where the loss is not finite, for outputs that are no numbers name no class.
    """
    mode = model.training
    model.eval()
    total = torch.zeros((), dtype=torch.float64, device=x.device)
    right = torch.zeros((), dtype=torch.int64, device=x.device)
    at_once = MEASURED_AT_ONCE[x.device.type]
    with onednn_linear(model, min(len(y), at_once)), repeatable(model, x.device) as again, again():
        for images, labels in zip(torch.split(x, at_once), torch.split(y, at_once), strict=True):
            logits = model(images)
            total += (
                F.cross_entropy(logits, labels, reduction="sum") if criterion is None else criterion(logits, labels) * len(labels)
            ).double()
            right += (logits.argmax(1) == labels).sum()
    model.train(mode)
    loss = float(total) / len(y)
    return loss, int(right) / len(y) if math.isfinite(loss) else math.nan
