"""Owns the trainings that this room's tests share, and the same training written as a plain loop."""

import math
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from flatproof.verify.deep import ImageData, Method, Net, Stop, Training, loop, samples

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
    Method(lr=0.1, momentum=0.9, schedule="triangle"),
)


IMAGES = ImageData("synthetic", 90, 50, {"channels": 3, "side": 8, "noise": 2.0})


CONVOLUTIONS = Net("alexnet-like", {"side": 8, "filters": 4, "dense": [16, 8], "dropout": 0.0})


SPOKEN = Net("fully-connected", {"inputs": 6, "width": 8, "depth": 1, "classes": 3})


def job(**settings: object) -> Training:
    plain = {"data": DATA, "net": NET, "method": METHODS[0], "stop": Stop(4), "batch_size": 32, "seed": 3}
    return Training(**(plain | settings))  # type: ignore[arg-type]


def plain_loop(training: Training) -> nn.Module:
    """The same training as one would write it, update rules included; no augmentation, no dropout."""
    data, m = samples(training.data), training.method
    model = loop.build(training.net, training.seed).train()
    ps = list(model.parameters())
    first, second = [torch.zeros_like(p) for p in ps], [torch.zeros_like(p) for p in ps]
    t = 0

    def slopes(x: torch.Tensor, y: torch.Tensor) -> list[torch.Tensor]:
        return list(torch.autograd.grad(F.cross_entropy(model(x), y), ps))

    steps = training.stop.epochs * -(-len(data.train_y) // training.batch_size)

    def update(grads: list[torch.Tensor]) -> None:
        nonlocal t
        t += 1
        at, lr = t / steps, m.lr
        if m.schedule == "triangle":
            lr *= at / 0.4 if at < 0.4 else (1 - at) / 0.6
        with torch.no_grad():
            for p, g, v, s in zip(ps, grads, first, second, strict=True):
                g = g + m.weight_decay * p
                if m.optimizer == "adam":
                    v.mul_(0.9).add_(0.1 * g)
                    s.mul_(0.999).add_(0.001 * g * g)
                    p -= lr * (v / (1 - 0.9**t)) / ((s / (1 - 0.999**t)).sqrt() + 1e-8)
                else:
                    v.mul_(m.momentum).add_(g)
                    p -= lr * v

    for epoch in range(training.stop.epochs):
        order = loop.order_of(training.seed, epoch, len(data.train_y)).tolist()
        for begin in range(0, len(order), training.batch_size):
            picked = order[begin : begin + training.batch_size]
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


def write_timit(root: Path, frames: int = 60, inputs: int = 6, classes: int = 3, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    arrays = {f"{split}_x": rng.standard_normal((frames, inputs)) for split in ("train", "test")}
    labels = {f"{split}_y": np.arange(frames) % classes for split in ("train", "test")}
    (root / "TIMIT").mkdir(parents=True, exist_ok=True)
    np.savez(root / "TIMIT" / "timit.npz", **arrays, **labels)  # type: ignore[arg-type]
