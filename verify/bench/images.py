"""Owns the comparison behind `flatproof bench images`: an epoch of training on images by our harness and by the usual DataLoader loop.

Both train the same network by SGD with momentum on the same images. Ours: `verify.deep`, images normalized once, held on the device.
The usual loop: a Dataset that turns one uint8 image at a time into normalized floats, torch's DataLoader (0 or 2 workers, started
anew each epoch as by default, pinned memory on CUDA), torch.optim.SGD, `loss.item()` a step.

What no float32 harness can beat is beside them: the large matrix products of an epoch alone, by the fastest routine that torch has.
"""

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from flatproof.verify.bench.steps import one_core
from flatproof.verify.deep import ImageData, Method, Net, Stop, Training, linear, loop
from flatproof.verify.deep.data import Samples, resident
from flatproof.verify.deep.steps import make_optimizer, make_step
from flatproof.verify.realdata import NotAvailable, load

OURS, PRODUCTS = "flatproof", "the large products alone"
WORKERS = (0, 2)
METHOD = Method("sgd", lr=0.05, momentum=0.9)


@dataclass(frozen=True)
class Workload:
    """A network, its images (`n` of them an epoch) and the size of a batch."""

    name: str
    net: Net
    data: str
    shape: tuple[int, int, int]
    n: int
    batch_size: int
    device: str = "cpu"


MLP = Net("fully-connected", {"depth": 2, "batch_norm": False})  # 784-512-512-10
C1 = Net("alexnet-like")
WORKLOADS = (
    Workload("mlp, batch 256", MLP, "mnist", (1, 28, 28), 10_240, 256),
    Workload("mlp, batch 64", MLP, "mnist", (1, 28, 28), 10_240, 64),
    Workload("C1, batch 256", C1, "cifar10", (3, 32, 32), 1_024, 256),
    Workload("C1, batch 256, cuda", C1, "cifar10", (3, 32, 32), 50_000, 256, "cuda"),
)


@dataclass(frozen=True)
class Timing:
    """Seconds an epoch: median, smallest and largest over the repeats of one run; images a second at the median."""

    workload: str
    implementation: str
    images: int
    seconds: float
    low: float
    high: float
    images_per_second: float
    repeats: int


class OneByOne(Dataset[tuple[Tensor, int]]):
    """What a data set class usually does: one image at a time, uint8 -> float, normalized."""

    def __init__(self, x: Tensor, y: Tensor, mean: Tensor, std: Tensor) -> None:
        self.x, self.y, self.mean, self.std = x, y, mean, std

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.x[index].float().div(255).sub(self.mean).div(self.std), int(self.y[index])


@cache
def images(workload: Workload) -> OneByOne:
    """The first n training images, or random bytes of their shape where the data are not on this machine."""
    try:
        found = load(workload.data, limit=workload.n)
        x, y, moments = found.x, found.y, (found.mean, found.std)
    except NotAvailable:
        rng = np.random.default_rng(0)
        x, y = rng.integers(0, 256, (workload.n, *workload.shape), dtype=np.uint8), rng.integers(0, 10, workload.n)
        moments = ((0.5,) * workload.shape[0], (0.25,) * workload.shape[0])
    mean, std = (torch.tensor(one).reshape(-1, 1, 1) for one in moments)
    return OneByOne(torch.from_numpy(x), torch.from_numpy(y), mean, std)


def ours(workload: Workload) -> Callable[[], nn.Module]:
    """An epoch of the harness a call, from where the call before ended."""
    raw = images(workload)
    x = resident(raw.x.float().div(255).sub(raw.mean).div(raw.std), workload.device)
    y = raw.y.to(workload.device)
    data = Samples(x, y, x[:1], y[:1], 10, workload.data, ())
    job = Training(ImageData("synthetic"), workload.net, METHOD, Stop(1), workload.batch_size, device=workload.device)
    model = loop.placed(loop.build(workload.net, 0), workload.device)
    step = make_step(METHOD, model, make_optimizer(METHOD, list(model.parameters())))
    epoch = 0

    def run() -> nn.Module:
        nonlocal epoch
        with loop.reproducible(workload.device, torch.get_num_threads()):
            losses = loop.epoch_of(job, data, model, step, epoch)
        epoch += 1
        assert bool(torch.isfinite(losses).all())  # also waits for the device
        return model

    return run


def usual(workload: Workload, workers: int) -> Callable[[], nn.Module]:
    """An epoch of the usual loop a call."""
    pinned = workload.device == "cuda"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # more workers than this process has cores: that is what is measured
        loader = DataLoader(images(workload), workload.batch_size, shuffle=True, num_workers=workers, pin_memory=pinned)
    model = loop.build(workload.net, 0).to(workload.device)
    optimizer = torch.optim.SGD(model.parameters(), lr=METHOD.lr, momentum=METHOD.momentum)

    def run() -> nn.Module:
        model.train()
        total = 0.0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            batches = iter(loader)
        for x, y in batches:
            x, y = x.to(workload.device, non_blocking=True), y.to(workload.device, non_blocking=True)
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.item()
        assert np.isfinite(total)
        return model

    return run


def products(workload: Workload) -> Callable[[], nn.Module]:
    """An epoch's products of a fully connected network's large layers a call: x W', g' x and, but for the first layer, g W."""
    model, n = loop.build(workload.net, 0), workload.batch_size
    layers = [m for m in model.modules() if isinstance(m, nn.Linear)]
    large = [(i, m.weight.detach()) for i, m in enumerate(layers) if n * m.weight.numel() >= linear.WORTHWHILE]
    drawn = torch.Generator().manual_seed(0)
    sides = [(torch.randn(n, w.shape[1], generator=drawn), torch.randn(n, w.shape[0], generator=drawn)) for _, w in large]

    def run() -> nn.Module:
        for _ in range(workload.n // n):
            for (i, w), (x, g) in zip(large, sides, strict=True):
                linear.product(x, w, None)
                linear.product(g.t(), x.t(), None)
                if i:
                    linear.product(g, w.t(), None)
        return model

    return run


def makers(workload: Workload) -> dict[str, Callable[[], nn.Module]]:
    """Ours, the usual loops and, where linear layers are all there is, the bound, by name, made ready."""
    found = {OURS: ours(workload)} | {f"DataLoader, {k} workers": usual(workload, k) for k in WORKERS}
    return found | {PRODUCTS: products(workload)} if workload.net == MLP and linear.available() else found


def selected(name: str | None) -> list[Workload]:
    """The named workload, or all that this machine's devices can run; ValueError naming the known ones."""
    there = [w for w in WORKLOADS if w.device == "cpu" or torch.cuda.is_available()]
    found = [w for w in there if name in (None, w.name)]
    if not found:
        raise ValueError(f"workload must be one of {'; '.join(w.name for w in there)}, got {name!r}")
    return found


@contextmanager
def place(workload: Workload) -> Iterator[None]:
    """One core for a workload of the CPU."""
    with one_core() if workload.device == "cpu" else nullcontext():
        yield


def image_timings(name: str | None = None, repeats: int = 5) -> list[Timing]:
    """Workloads in turn, implementations in turn within each; the first epoch of each is not timed."""
    out = []
    for workload in selected(name):
        with place(workload):
            ready = makers(workload)
            seconds: dict[str, list[float]] = {key: [] for key in ready}
            for run in ready.values():
                run()
            for _ in range(repeats):
                for key, run in ready.items():
                    began = time.perf_counter()
                    run()
                    seconds[key].append(time.perf_counter() - began)
        for key, times in seconds.items():
            middle = float(np.median(times))
            out.append(Timing(workload.name, key, workload.n, middle, min(times), max(times), workload.n / middle, repeats))
    return out
