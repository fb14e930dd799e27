"""Owns the comparison of `verify.curvature.bounds` with ascents: does any ascent pass the bound, and how far apart are they?

Small networks trained for some steps, at radii of andriushchenko2023: those of its ResNet-18, in an l2 ball with c = 1 of its ViT.
The bound is as it was computed, before an estimate takes the larger of it and of what an ascent found.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from flatproof.verify.experiments.vocabulary import provenance_of
from flatproof.verify.jobs.job import Computation, StoredValues
from flatproof.verify.report.artifacts import Table

if TYPE_CHECKING:
    from flatproof.verify.curvature import Problem

KINDS = ("MLP, ReLU", "MLP, tanh, squares", "convolutions, ReLU", "residual, GELU", "two-layer, parity", "diagonal, 10 of 20")
RADII = {
    ("linf", "none"): (0.0005, 0.001, 0.002, 0.004),
    ("linf", "elementwise"): (0.001, 0.002, 0.004, 0.008),
    ("l2", "none"): (0.025, 0.05, 0.1, 0.2),
    ("l2", "elementwise"): (0.25, 0.5, 1.0, 2.0),
}
ASCENTS = sum(len(radii) for radii in RADII.values()) * len(KINDS)  # of one network of each kind
STEPS, STARTS, TRAINED = 20, 2, 60


@dataclass(frozen=True)
class Climbed(Computation):
    """Ascents in every ball on some networks of a kind."""

    JOB = "above"
    VERSION = 1  # raised when a change in verify.curvature alters values or bounds

    kind: str
    networks: int

    @property
    def cost(self) -> float:
        """About half a second a ball."""
        return 1.0 + 0.5 * self.networks * ASCENTS / len(KINDS)

    def carry_out(self) -> dict[str, Any]:
        """The value and the bound of every ascent."""
        from flatproof.verify.curvature.bounds import mean_above
        from flatproof.verify.curvature.sharpness import Landscape, worst_case_sharpness
        from flatproof.verify.curvature.sharpness.scaling import scale_of
        from flatproof.verify.utils.threads import single_threaded

        rows = []
        with single_threaded():
            for seed in range(1, self.networks + 1):
                problem = made(self.kind, seed)
                landscape = Landscape.of(problem)
                for (norm, scaling), radii in RADII.items():
                    scale = scale_of(landscape, scaling)  # type: ignore[arg-type]
                    for rho in radii:
                        settings: Any = {"norm": norm, "scaling": scaling, "steps": STEPS, "starts": STARTS}
                        value = worst_case_sharpness(problem, rho=rho, above=False, **settings).value
                        bound = mean_above(problem, landscape.batches(), scale, rho, norm)  # type: ignore[arg-type]
                        known = bound.value if math.isfinite(bound.value) else None
                        rows.append([seed, norm, scaling, rho, value, known, bound.how])
        return {"size": problem.size, "rows": rows}

    def summary(self, values: dict[str, Any]) -> str:
        """How many ascents passed the bound."""
        return f"{passed(values['rows'])} of {len(values['rows'])} ascents above the bound"


def passed(rows: Sequence[Sequence[Any]]) -> int:
    """How many ascents found more than the bound."""
    return sum(bound is not None and value > bound for *_, value, bound, _ in rows)


def jobs(ascents: int) -> list[Climbed]:
    """All kinds, at least so many ascents in all."""
    return [Climbed(kind, max(1, math.ceil(ascents / ASCENTS))) for kind in KINDS]


def made(kind: str, seed: int) -> "Problem":
    """A network of the kind with its loss and data, in float64."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    from flatproof import synth
    from flatproof.verify.curvature import Problem
    from flatproof.verify.two_layer.initialization import initial_network
    from flatproof.verify.two_layer.losses import mse
    from flatproof.verify.two_layer.modules import TwoLayer

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.GELU())
            self.second = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.GELU())
            self.head = nn.Sequential(nn.AvgPool2d(3), nn.Flatten(), nn.Linear(16, 3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.first(x)
            y: torch.Tensor = self.head(x + self.second(x))
            return y

    class Diagonal(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.u, self.v = nn.Parameter(torch.randn(20)), nn.Parameter(torch.randn(20))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x @ (self.u * self.v)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        loss: Any = F.cross_entropy
        if kind == "MLP, ReLU":
            model: nn.Module = nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4))
            x, y = torch.randn(48, 10), torch.randint(4, (48,))
        elif kind == "MLP, tanh, squares":
            model = nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 12), nn.Tanh(), nn.Linear(12, 1))
            x, loss = torch.randn(48, 6), mse
            y = x[:, :1] * x[:, 1:2]
        elif kind == "convolutions, ReLU":
            model = nn.Sequential(
                *(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)),
                *(nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)),
            )
            x, y = torch.randn(12, 1, 8, 8), torch.randint(3, (12,))
        elif kind == "residual, GELU":
            model, x, y = Residual(), torch.randn(12, 1, 6, 6), torch.randint(3, (12,))
        elif kind == "two-layer, parity":
            data = synth.parity(d=8, n=20, seed=seed)
            network = initial_network("bias", 8, 12, seed=seed).astype("float64")
            model, loss = TwoLayer(network, dtype=torch.float64, train_x=data.x), mse
            x, y = torch.as_tensor(data.x), torch.as_tensor(data.y)
        else:
            model, x, loss = Diagonal(), torch.randn(10, 20), mse
            with torch.no_grad():
                y = model(x)
        model, x = model.double(), x.double()
        y = y.double() if y.is_floating_point() or loss is mse else y
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        for _ in range(TRAINED):
            optimizer.zero_grad()
            loss(model(x), y).backward()
            optimizer.step()
    return Problem(model.eval(), loss, (x, y), seed=seed)


def table(id: str, ready: Sequence[tuple[Climbed, StoredValues]]) -> Table:
    """A row a kind and ball: medians and extremes of bound / value at each radius."""
    raws, shown = [], []
    for job, stored in ready:
        frame = pd.DataFrame(stored.result["rows"], columns=["seed", "norm", "scaling", "rho", "value", "bound", "by"])
        frame.insert(0, "network", job.kind)
        frame["gap"] = frame.bound / frame.value
        raws.append(frame)
        for (norm, scaling), radii in RADII.items():
            ball = frame[(frame.norm == norm) & (frame.scaling == scaling)]
            medians = [ball[ball.rho == rho].gap.median() for rho in radii]
            shown.append(
                {
                    "network": f"{job.kind} ({stored.result['size']})",
                    "ball": f"{'ℓ∞' if norm == 'linf' else 'ℓ2'}, c = {'1' if scaling == 'none' else '|w|'}",
                    "radii": " ".join(f"{rho:g}" for rho in radii),
                    "ascents": str(len(ball)),
                    "above the bound": str(int((ball.value > ball.bound).sum())),
                    "bound / value, medians": " ".join(map(_factor, medians)),
                    "least": _factor(ball.gap.min()),
                    "largest": _factor(ball.gap.max()),
                }
            )
    raw = pd.concat(raws, ignore_index=True)
    over, unknown = int((raw.value > raw.bound).sum()), int(raw.bound.isna().sum())
    parts = ", ".join(f"{name} {count}" for name, count in raw.by.value_counts().items())
    notes = (
        f"{len(raw):,} ascents ({STEPS} steps of Auto-PGD, {STARTS} starts) on networks after {TRAINED} steps of Adam, in float64; "
        f"{over} found more than the bound, {unknown} had none. In brackets: parameters. The bound came from: {parts}.",
        "Radii are those of andriushchenko2023 for a ResNet-18 (ℓ2, c = 1: for a ViT); an ℓ2 ball with c = |w| of such a radius is "
        "large for networks of a few hundred parameters. What lies between value and bound is not known: an ascent may miss the maximum, "
        "a bound need not be reached.",
    )
    brief = ("network", "ball", "ascents", "above the bound", "bound / value, medians")
    provenance = provenance_of([stored for _, stored in ready])
    return Table(id, "Worst-case sharpness between an ascent and its bound", pd.DataFrame(shown), raw, notes, provenance, brief)


def _factor(gap: float) -> str:
    return "-" if math.isnan(gap) else f"{gap:.3g}" if gap < 1000 else f"{gap:.0e}"
