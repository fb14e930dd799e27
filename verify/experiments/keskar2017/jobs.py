"""Owns what is measured of trained networks: the sharpness metric, the largest eigenvalues, and paths from one solution to another.

All on the first `points` training images (None: all), in eval mode: dropout off, batch normalization by its running statistics.
"""

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flatproof.verify.deep import Training
from flatproof.verify.experiments.keskar2017.published import EPSILONS
from flatproof.verify.jobs.job import OFF_ADDRESS, Computation

if TYPE_CHECKING:
    from torch import Tensor, nn

    from flatproof.verify.curvature import Problem

CHUNK = 1000  # images in one pass
DIMENSION = 100  # of the random subspaces


@dataclass(frozen=True)
class OfTraining(Computation):
    """Something measured of one training's network, after an epoch that it keeps or at its end (None).

    Values: {"status": "diverged"}; {"status": "ended"} where training ended before that epoch, or never began for want of a start; else
    "measured" and more.
    """

    JOB = "keskar2017"
    VERSION = 1  # raised when a change here alters values

    training: Training
    epoch: int | None
    points: int | None

    @property
    def seed(self) -> int:
        """The training's: a sweep takes seeds in turn."""
        return self.training.seed

    @property
    @abstractmethod
    def kind(self) -> str:
        """Names in the settings what is measured."""

    @abstractmethod
    def measured(self, problem: "Problem") -> dict[str, Any]:
        """The values of the network's loss."""

    def settings(self) -> dict[str, Any]:
        """The kind, the fields and the seed."""
        return super().settings() | {"job": f"keskar2017 {self.kind}", "seed": self.training.seed}

    def carry_out(self) -> dict[str, Any]:
        """Train if that was not done, then measure."""
        from flatproof.verify.deep.loop import reproducible, trained

        model, outcome = trained(self.training)
        if outcome["status"] != "finished":
            return {"status": outcome["status"]}
        if self.epoch is not None:
            if outcome["epochs"] < self.epoch:
                return {"status": "ended"}
            model, _ = trained(self.training, self.epoch)
        with reproducible(self.training.device, self.training.threads):
            problem = problem_of(model, self.training, self.points)
            return {"status": "measured", "loss": problem.loss(), "parameters": problem.size} | self.measured(problem)


def problem_of(model: "nn.Module", training: Training, points: int | None) -> "Problem":
    """The mean cross-entropy in eval mode, in chunks of images.

    Args:
        model: maps images to logits.
        training: whose images.
        points: the first so many training images, None for all.
    """
    import torch
    from torch.nn import functional as F

    from flatproof.verify.curvature import Problem
    from flatproof.verify.deep.data import samples

    data = samples(training.data, training.device)
    x, y = data.train_x[:points], data.train_y[:points]
    return Problem(model, F.cross_entropy, list(zip(torch.split(x, CHUNK), torch.split(y, CHUNK), strict=True)))


@dataclass(frozen=True)
class Sharpness(OfTraining):
    """phi(epsilon, A), metric 2.1, for both epsilons, in the full space and in a random subspace: {"full": [..], "subspace": [..]}."""

    subspace: bool = field(default=True, metadata=OFF_ADDRESS)  # in the kind

    @property
    def kind(self) -> str:
        """The metric."""
        return "sharpness" if self.subspace else "sharpness, full space"

    @property
    def cost(self) -> float:
        """About 13 gradients a value."""
        return 1e-4 * 13 * 2 * (1 + self.subspace) * (self.points or 50_000)

    def measured(self, problem: "Problem") -> dict[str, Any]:
        """Ten iterations of L-BFGS-B from the solution each."""
        from flatproof.verify.curvature import measures

        known = measures()
        values = {"full": [known["keskar"](problem, epsilon=epsilon, above=False).value for epsilon in EPSILONS]}
        if self.subspace:
            values["subspace"] = [
                known["keskar-subspace"](
                    problem, epsilon=epsilon, dimension=DIMENSION, columns="normal", seed=self.training.seed
                ).value
                for epsilon in EPSILONS
            ]
        return values

    def summary(self, values: dict[str, Any]) -> str:
        """The metric at the larger epsilon."""
        if values["status"] != "measured":
            return f"seed {self.training.seed}: {values['status']}"
        return f"seed {self.training.seed}: sharpness {values['full'][0]:.3g} at loss {values['loss']:.3g}"


@dataclass(frozen=True)
class Spectrum(OfTraining):
    """The k largest eigenvalues of the Hessian with their intervals: {"values": [..], "low": [..], "high": [..]}."""

    k: int = field(default=10, metadata=OFF_ADDRESS)  # in the kind

    @property
    def kind(self) -> str:
        """How many."""
        return f"{self.k} eigenvalues"

    @property
    def cost(self) -> float:
        """Some products an eigenvalue; only ratios to other jobs matter."""
        return 1e-4 * (30 + 7 * self.k) * (self.points or 50_000)

    def measured(self, problem: "Problem") -> dict[str, Any]:
        """By Lanczos until each is within 5 % of some eigenvalue; the first interval holds lambda_max at 99.5 %."""
        from flatproof.verify.curvature import HessianOperator
        from flatproof.verify.curvature.lanczos import eigenvalues

        spectrum = eigenvalues(
            HessianOperator.of(problem),
            min(self.k, problem.size),
            tolerance=0.05,
            stop="residual",
            lean=False,
            seed=self.training.seed,
        )
        return {
            "values": [e.value for e in spectrum.estimates],
            "low": [e.low for e in spectrum.estimates],
            "high": [e.high if math.isfinite(e.high) else None for e in spectrum.estimates],
            "products": spectrum[0].products,
            "converged": spectrum.converged,
        }

    def summary(self, values: dict[str, Any]) -> str:
        """The largest."""
        if values["status"] != "measured":
            return f"seed {self.training.seed}: {values['status']}"
        return f"seed {self.training.seed}: largest eigenvalue {values['values'][0]:.4g}"


@dataclass(frozen=True)
class Path(Computation):
    """Loss and accuracy along alpha x_LB + (1 - alpha) x_SB and sin(alpha pi/2) x_LB + cos(alpha pi/2) x_SB; distances from x_0.

    x are the trainable parameters. At every point of the path the running statistics of batch normalization are estimated afresh
    from the training images: those of an endpoint do not fit other weights, and extrapolated variances can be negative.
    Values: {"alpha", "linear", "curved"}, each path with lists train_loss, train_accuracy, test_loss, test_accuracy;
    {"distance_small", "distance_large", "distance_between", "norm"}.
    """

    JOB = "keskar2017 path"
    VERSION = 1  # raised when a change here alters values

    small: Training
    large: Training
    alphas: tuple[float, ...]
    points: int | None

    @property
    def seed(self) -> int:
        """That of both trainings."""
        return self.small.seed

    @property
    def cost(self) -> float:
        """Three passes a point."""
        return 5e-4 * len(self.alphas) * 2 * (self.points or 50_000)

    def settings(self) -> dict[str, Any]:
        """The fields and the seed."""
        return super().settings() | {"seed": self.small.seed}

    def carry_out(self) -> dict[str, Any]:
        """Train what was not trained, then walk."""
        import torch

        from flatproof.verify.deep.data import samples
        from flatproof.verify.deep.loop import loss_and_accuracy, reproducible, trained

        (model, first), (other, second) = trained(self.small), trained(self.large)
        if "diverged" in (first["status"], second["status"]):
            return {"status": "diverged"}
        start = [p.detach() for p in trained(self.small, 0)[0].parameters()]
        small, large = ([p.detach().clone() for p in network.parameters()] for network in (model, other))
        data = samples(self.small.data, self.small.device)
        train = data.train_x[: self.points], data.train_y[: self.points]
        out: dict[str, Any] = {"status": "measured", "alpha": list(self.alphas)}
        with reproducible(self.small.device, self.small.threads):
            for path in ("linear", "curved"):
                rows = []
                for alpha in self.alphas:
                    a, b = weights_of(path, alpha)
                    with torch.no_grad():
                        for p, s, t in zip(model.parameters(), small, large, strict=True):
                            p.copy_(a * t + b * s)
                    estimate_statistics(model, train[0])
                    rows.append((*loss_and_accuracy(model, *train), *loss_and_accuracy(model, data.test_x, data.test_y)))
                names = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
                out[path] = {name: [row[i] for row in rows] for i, name in enumerate(names)}
        return out | {
            "distance_small": distance(small, start),
            "distance_large": distance(large, start),
            "distance_between": distance(small, large),
            "norm": distance(start, [torch.zeros_like(p) for p in start]),
        }

    def summary(self, values: dict[str, Any]) -> str:
        """How far both went."""
        if values["status"] != "measured":
            return f"seed {self.small.seed}: {values['status']}"
        return (
            f"seed {self.small.seed}: distances from the start {values['distance_small']:.3g} and {values['distance_large']:.3g}"
        )


def weights_of(path: str, alpha: float) -> tuple[float, float]:
    """The coefficients of x_LB and x_SB."""
    if path == "linear":
        return alpha, 1 - alpha
    return math.sin(alpha * math.pi / 2), math.cos(alpha * math.pi / 2)


def distance(first: "Sequence[Tensor]", second: "Sequence[Tensor]") -> float:
    """The Euclidean distance of two lists of parameters."""
    return math.sqrt(sum(float((a.double() - b.double()).square().sum()) for a, b in zip(first, second, strict=True)))


def estimate_statistics(model: "nn.Module", x: "Tensor") -> None:
    """Set batch normalization's running statistics to the mean over chunks of x of each chunk's own; nothing else is in train mode."""
    import torch
    from torch import nn

    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return
    momenta = [m.momentum for m in norms]
    model.eval()
    for m in norms:
        m.reset_running_stats()
        m.momentum = None  # the plain mean over the chunks
        m.train()
    with torch.no_grad():
        for chunk in torch.split(x, CHUNK):
            model(chunk)
    for m, momentum in zip(norms, momenta, strict=True):
        m.momentum = momentum
        m.eval()
