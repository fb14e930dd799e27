"""Owns the comparison behind `flatproof bench ascent`: worst-case sharpness by our ascent and by the one of andriushchenko2023's authors.

Adaptive sharpness (c = |w|) of a small convolutional network trained on 256 images, in batches of 128 and 20 steps as there, at radii of
that paper, for both norms, without logit normalization and with both ways of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, get_args

import numpy as np
import torch
from rich.table import Table as Grid
from torch import Tensor, nn
from torch.nn import functional as F

from flatproof.verify.bench.timing import in_turn, one_core
from flatproof.verify.curvature import Problem
from flatproof.verify.curvature.sharpness import worst_case_sharpness
from flatproof.verify.curvature.sharpness.ascent import Norm
from flatproof.verify.curvature.sharpness.landscape import Logits
from flatproof.verify.realdata import NotAvailable, load

IMAGES, EPOCHS, BATCH, STEPS = 256, 40, 128, 20
RADII: dict[Norm, float] = {"l2": 0.5, "linf": 0.002}
PUBLISHED = "as published"
ASCENTS: dict[str, dict[str, Any]] = {
    "flatproof": {"starts": 1},
    PUBLISHED: {"variant": "published"},
    "flatproof, 8 starts": {"starts": 8},
}


@dataclass(frozen=True)
class Ascent:
    """What an ascent reached and took; seconds: median, smallest and largest over the repeats of one run.

    Attributes:
        norm: of the ball.
        logits: whether and how they are normalized.
        implementation: which ascent.
        sharpness: the mean increase of the loss that it reached.
        ratio: that over the published ascent's.
        gradients: passes over the data spent on gradients.
        seconds: median.
        low: smallest.
        high: largest.
        repeats: of the timing.
    """

    norm: Norm
    logits: Logits
    implementation: str
    sharpness: float
    ratio: float
    gradients: float
    seconds: float
    low: float
    high: float
    repeats: int


def images() -> tuple[Tensor, Tensor, str]:
    """CIFAR-10's first training images, or random ones where it is not on this machine, with their classes and a name."""
    try:
        x, y = load("cifar10", limit=IMAGES).tensors()
        return x, y, "CIFAR-10"
    except NotAvailable:
        rng = np.random.default_rng(0)
        x = torch.from_numpy(rng.standard_normal((IMAGES, 3, 32, 32), dtype=np.float32))
        return x, torch.from_numpy(rng.integers(0, 10, IMAGES)), "random images"


def trained(x: Tensor, y: Tensor) -> nn.Sequential:
    """A network of 12,144 parameters after EPOCHS of SGD with momentum in batches of 32."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(
            *(nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU()),
            *(nn.Conv2d(16, 32, 3, 2, 1), nn.BatchNorm2d(32), nn.ReLU()),
            *(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(128, 50), nn.ReLU(), nn.Linear(50, 10)),
        )
        optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
        for _ in range(EPOCHS):
            for chosen in torch.split(torch.randperm(len(x)), 32):
                optimizer.zero_grad()
                F.cross_entropy(model(x[chosen]), y[chosen]).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
    return model.eval()


def ascent_timings(repeats: int = 3) -> tuple[list[Ascent], str]:
    """Every ascent for both norms and all ways to normalize, in turn on one core.

    Args:
        repeats: timed runs of each.

    Returns:
        A row for each, and a line on the network.
    """
    rows = []
    with one_core():
        x, y, data = images()
        model = trained(x, y)
        problem = Problem(model, F.cross_entropy, [(x, y)])
        head = f"{problem.size:,} parameters, {len(x)} {data}, training loss {problem.loss():.3g}; c = |w|, {STEPS} steps, m = {BATCH}"
        for norm, rho in RADII.items():
            for logits in get_args(Logits):
                measure = partial(
                    worst_case_sharpness, problem, norm=norm, rho=rho, logits=logits, steps=STEPS, batch_size=BATCH, above=False
                )
                measured = in_turn({name: partial(measure, **settings) for name, settings in ASCENTS.items()}, repeats)
                values = {name: timed.value for name, timed in measured.items() if timed.value is not None}
                for name, estimate in values.items():
                    timed, ratio = measured[name], estimate.value / values[PUBLISHED].value
                    spread = timed.median, timed.low, timed.high
                    rows.append(Ascent(norm, logits, name, estimate.value, ratio, estimate.gradients, *spread, repeats))
    return rows, head


def grid(rows: Sequence[Ascent]) -> Grid:
    """The rows for a terminal."""
    out = Grid(title="The largest loss increase that each ascent reaches, one core", title_justify="left")
    for column in ("norm, radius", "logits", "ascent", "sharpness", "over published", "gradients", "seconds", "range"):
        out.add_column(column, justify="left" if column in ("norm, radius", "logits", "ascent") else "right")
    for row in rows:
        numbers = f"{row.sharpness:.5g}", f"{row.ratio:.3f}", f"{row.gradients:g}"
        times = f"{row.seconds:.2f}", f"{row.low:.2f}–{row.high:.2f}"
        out.add_row(f"{row.norm}, {RADII[row.norm]:g}", row.logits, row.implementation, *numbers, *times)
    return out
