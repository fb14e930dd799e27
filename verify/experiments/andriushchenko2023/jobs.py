"""Owns andriushchenko2023's job on images: `Studied`, a training with its errors and its sharpness in every definition that is asked for.

Sharpness is measured in evaluation mode on the first training images, not augmented: the average case by 20 draws in pairs, the worst case
by one run of 20 steps of Auto-PGD from 0, a mean over batches of m samples (m-sharpness).
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from flatproof.verify.deep import Training
from flatproof.verify.experiments.andriushchenko2023.published import DRAWS, STEPS, Kind, Law, Scaling
from flatproof.verify.jobs.job import OFF_ADDRESS, Computation

if TYPE_CHECKING:
    from torch import nn

    from flatproof.verify.curvature import Problem
    from flatproof.verify.deep import Samples


class Cell(NamedTuple):
    """One definition of sharpness at one radius."""

    law: Law
    scaling: Scaling
    rho: float

    def __str__(self) -> str:
        return f"{self.law}, {self.scaling}, rho {self.rho:g}"


@dataclass(frozen=True)
class Studied(Computation):
    """A training, its errors and its sharpness.

    Args:
        training: what is trained.
        kind: of the network, for tables.
        cells: the definitions and radii.
        images: training images that sharpness is measured on.
        batch: samples a batch of m-sharpness.
        corrupted: corrupted test images; 0 for none.
        edition: of these (`shifted.edition`).
    """

    JOB = "andriushchenko2023"
    VERSION = 1  # raised when a change here, in verify.curvature or in the corruptions alters what is measured
    TRAINS = True  # `cost` contains the training's

    training: Training
    kind: Kind = field(metadata=OFF_ADDRESS)
    cells: tuple[Cell, ...]
    images: int
    batch: int
    corrupted: int = 0
    edition: str = ""

    @property
    def seed(self) -> int:
        """Of the training."""
        return self.training.seed

    @property
    def cost(self) -> float:
        """The training's, and 20 losses or gradients on the images for each cell."""
        return self.training.cost + 20 * 1e-4 * self.images * len(self.cells)

    @property
    def row(self) -> str:
        """Its row in the progress display."""
        return self.kind

    def settings(self) -> dict[str, Any]:
        """The fields, of the training its settings, and the seed."""
        return super().settings() | {"training": self.training.settings(), "seed": self.seed}

    def carry_out(self) -> dict[str, Any]:
        """status; unless it is "diverged" the errors, `sharpness` (a value a cell) and `half_width` (of a 95 % interval, None: a bound)."""
        from flatproof.verify.deep import samples, trained
        from flatproof.verify.deep.loop import loss_and_accuracy, reproducible

        network, outcome = trained(self.training)
        values = {name: outcome[name] for name in ("status", "stopped", "epochs", "parameters", "edition")}
        if outcome["status"] != "finished":
            return values
        curve, data = outcome["curve"], samples(self.training.data, self.training.device)
        for name in ("train", "test"):
            values |= {f"{name}_loss": curve[f"{name}_loss"][-1], f"{name}_error": 1 - curve[f"{name}_accuracy"][-1]}
        with reproducible(self.training.device, self.training.threads):
            smallest, _ = loss_and_accuracy(network, data.train_x[: self.images], data.train_y[: self.images])
            values["measured_loss"] = smallest
            values |= self._corrupted_errors(network, data)
            values |= self._sharpness(network, data)
        return values

    def _corrupted_errors(self, network: "nn.Module", data: "Samples") -> dict[str, Any]:
        """`ood_error`, over all corruptions, and `ood_errors`, of each; nothing where there are no corrupted images."""
        if not self.corrupted:
            return {}
        from flatproof.verify.experiments.andriushchenko2023.shifted import corrupted_errors

        return corrupted_errors(network, data, self.corrupted)

    def _sharpness(self, network: "nn.Module", data: "Samples") -> dict[str, Any]:
        from torch.nn.functional import cross_entropy

        from flatproof.verify.curvature import Problem

        x, y = data.train_x[: self.images], data.train_y[: self.images]
        problem = Problem(network, cross_entropy, (x, y), mode="eval")
        pairs = [measured(problem, cell, self.batch) for cell in self.cells]
        return {"sharpness": [value for value, _ in pairs], "half_width": [half for _, half in pairs]}

    def summary(self, values: dict[str, Any]) -> str:
        """How it ended."""
        method = self.training.method
        how = f"lr {method.lr:.3g}, rho {method.rho:g}, mixup {method.mixup:.3g}, {'+'.join(self.training.augment) or 'plain'}"
        if values["status"] != "finished":
            return f"seed {self.seed}: {how}: {values['status']}"
        return f"seed {self.seed}: {how}: error {values['train_error']:.3f} training, {values['test_error']:.3f} test"

    def figures(self, values: dict[str, Any]) -> dict[str, float]:
        """Errors."""
        return {} if values["status"] != "finished" else {name: values[f"{name}_error"] for name in ("train", "test")}

    def remark(self, values: dict[str, Any]) -> str | None:
        """Whether it diverged."""
        return None if values["status"] == "finished" else str(values["status"])


def measured(problem: "Problem", cell: Cell, batch: int) -> tuple[float, float | None]:
    """A cell's value, and the half width of its 95 % interval; None for the worst case, a lower bound of a maximum.

    Args:
        problem: the loss on the measured images.
        cell: definition and radius.
        batch: samples a batch of m-sharpness, for the worst case; the mean over batches of the average case is that over all images.
    """
    from flatproof.verify.curvature.sharpness import average_case_sharpness, worst_case_sharpness

    case, norm = cell.law.split("-")
    settings: dict[str, Any] = {
        "rho": cell.rho,
        "norm": norm,
        "scaling": "none" if cell.scaling == "c = 1" else "elementwise",
        "logits": "normalized" if cell.scaling.endswith("normalized") else "plain",
    }
    if case == "average":
        estimate = average_case_sharpness(problem, draws=DRAWS, **settings)
        return estimate.value, (estimate.high - estimate.low) / 2
    return worst_case_sharpness(problem, batch_size=batch, steps=STEPS, starts=1, above=False, **settings).value, None
