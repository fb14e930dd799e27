"""Owns the comparison behind `flatproof bench images`: an epoch of training on images by our harness and by the usual DataLoader loop.

Both train the same network by SGD with momentum on the same images. Ours: `verify.deep`, images normalized once, held on the device.
The usual loop: a Dataset that turns one uint8 image at a time into normalized floats, torch's DataLoader (0 or 2 workers, started
anew each epoch as by default, pinned memory on CUDA), torch.optim.SGD, `loss.item()` a step.

What no float32 harness can beat is beside them: the large matrix products of an epoch alone, by the fastest routine that torch has.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from rich.table import Table as Grid
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from flatproof.verify.bench.timing import in_turn, one_core
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
        stored = load(workload.data, limit=workload.n)
        x, y, moments = stored.x, stored.y, (stored.mean, stored.std)
    except NotAvailable:
        rng = np.random.default_rng(0)
        x, y = rng.integers(0, 256, (workload.n, *workload.shape), dtype=np.uint8), rng.integers(0, 10, workload.n)
        moments = ((0.5,) * workload.shape[0], (0.25,) * workload.shape[0])
    mean, std = (torch.tensor(moment).reshape(-1, 1, 1) for moment in moments)
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
    loops = {OURS: ours(workload)} | {f"DataLoader, {k} workers": usual(workload, k) for k in WORKERS}
    return loops | {PRODUCTS: products(workload)} if workload.net == MLP and linear.available() else loops


def selected(name: str | None) -> list[Workload]:
    """The named workload, or all that this machine's devices can run; ValueError naming the known ones."""
    runnable = [w for w in WORKLOADS if w.device == "cpu" or torch.cuda.is_available()]
    chosen = [w for w in runnable if name in (None, w.name)]
    if not chosen:
        raise ValueError(f"workload must be one of {'; '.join(w.name for w in runnable)}, got {name!r}")
    return chosen


@contextmanager
def place(workload: Workload) -> Iterator[None]:
    """One core for a workload of the CPU."""
    with one_core() if workload.device == "cpu" else nullcontext():
        yield


def image_timings(name: str | None = None, repeats: int = 5) -> list[Timing]:
    """Workloads in turn, implementations in turn within each.

    Args:
        name: of a workload; None: all that this machine can run.
        repeats: timed epochs of each implementation, after one that is not timed.

    Returns:
        A row for each workload and implementation.

    Raises:
        ValueError: an unknown name; the known ones are named.
    """
    out = []
    for workload in selected(name):
        with place(workload):
            ready = makers(workload)
            for run in ready.values():
                run()
            measured = in_turn(ready, repeats)
        for implementation, timed in measured.items():
            spread = timed.median, timed.low, timed.high
            out.append(Timing(workload.name, implementation, workload.n, *spread, workload.n / timed.median, repeats))
    return out


def grid(rows: Sequence[Timing]) -> Grid:
    """The rows for a terminal."""
    out = Grid(title="An epoch of training on images; CPU: one core", title_justify="left")
    for column in ("workload", "implementation", "images per second", "seconds", "range", "flatproof is faster"):
        out.add_column(column, justify="left" if column in ("workload", "implementation") else "right")
    own = {row.workload: row.seconds for row in rows if row.implementation == OURS}
    for row in rows:
        times = "" if row.implementation == OURS else f"{row.seconds / own[row.workload]:.2f}"
        rate, spread = f"{row.images_per_second:,.0f}", f"{row.low:.3f}–{row.high:.3f}"
        out.add_row(row.workload, row.implementation, rate, f"{row.seconds:.3f}", spread, times)
    return out
