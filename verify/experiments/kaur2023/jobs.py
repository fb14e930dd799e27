"""Owns kaur2023's job: `Final`, a training with what is measured at its end.

At the end of a training, dropout off:

- test accuracy on the whole test split. (During training a few test images are watched: each measurement would cost more than an epoch.)
- lambda_max of the Hessian of the mean cross-entropy over the first 1000 training images, with its error bound. Networks with batch
  normalization are differentiated through the statistics of these 1000 images, the loss that training minimizes; with running
  statistics it would be that of another function.
- between iterates, for batch normalization: the largest of lambda_max at w - alpha lr g, alpha in the grid's `between`, g the
  gradient on these 1000 images. Small steps of a normalized network can hop over a ridge whose curvature neither end shows; what
  limits the step is the curvature that it passes (Cohen et al. 2021, on batch normalization). The largest over a few points is a
  lower bound of the largest on the segment. The paper does so at small learning rates; here it is done at all, so that the numbers
  that are compared within a network are of one kind.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flatproof.verify.deep import ImageData, Training
from flatproof.verify.deep.registry import register
from flatproof.verify.jobs.job import OFF_ADDRESS, Computation

if TYPE_CHECKING:
    from torch import nn

    from flatproof.verify.curvature import Estimate

EXAMPLES = 1000  # of the fixed subset that lambda_max is measured on
PLAIN, NORMALIZED, DENSE = "VGG11", "VGG11 + batch norm", "fully connected"
register("kaur2023-vgg", "verify.experiments.kaur2023.networks:vgg")


@dataclass(frozen=True)
class Images:
    """A data set of the paper: its name there, ours, training images (None: all), channels and side, the full batch."""

    name: str
    source: str
    train: int | None
    channels: int
    side: int
    size: int


@dataclass(frozen=True)
class Final(Computation):
    """A training, and what is measured at its end.

    Args:
        training: what is trained.
        images: which data set, for tables.
        network: its name, for tables.
        p: dropout, for tables.
        tolerance: of lambda_max.
        between: where between iterates, () for at the iterate.
    """

    JOB = "kaur2023"
    VERSION = 1  # raised when a change here or in verify.curvature alters what is measured
    TRAINS = True  # `cost` contains the training's

    training: Training
    images: Images = field(metadata=OFF_ADDRESS)
    network: str = field(metadata=OFF_ADDRESS)
    p: float = field(metadata=OFF_ADDRESS)
    tolerance: float
    between: tuple[float, ...] = ()

    @property
    def cost(self) -> float:
        """The training's, and about 40 gradients at each place."""
        return self.training.cost + 2e-4 * EXAMPLES * 40 * (1 + len(self.between))

    @property
    def seed(self) -> int:
        """The training's: a sweep takes seeds in turn."""
        return self.training.seed

    @property
    def lr(self) -> float:
        """Learning rate."""
        return self.training.method.lr

    @property
    def setup(self) -> str:
        """Network and data."""
        return f"{self.network}, {self.images.name}"

    def settings(self) -> dict[str, Any]:
        """The fields, of the training its settings; whether batch normalization's statistics are the images' own; the seed."""
        more = {"training": self.training.settings(), "normalized": self.network == NORMALIZED}
        return super().settings() | more | {"examples": EXAMPLES, "seed": self.training.seed}

    def carry_out(self) -> dict[str, Any]:
        """status, epochs, train_accuracy; if it is finite: test_accuracy, at (lambda_max at the iterate), between (one a place)."""
        from flatproof.verify.deep import samples, trained
        from flatproof.verify.deep.loop import loss_and_accuracy, reproducible

        model, outcome = trained(self.training)
        curve = outcome["curve"]
        values: dict[str, Any] = {
            "status": outcome["status"],
            "stopped": outcome["stopped"],
            "epochs": outcome["epochs"],
            "steps": outcome["steps"],
            "parameters": outcome["parameters"],
            "edition": outcome["edition"],
            "train_accuracy": curve["train_accuracy"][-1],
            "train_loss": curve["train_loss"][-1],
        }
        if outcome["status"] == "diverged":
            return values
        data, device = self.training.data, self.training.device
        whole = samples(ImageData(data.name, data.train, None, data.settings), device)
        with reproducible(device, self.training.threads):
            values["test_loss"], values["test_accuracy"] = loss_and_accuracy(model, whole.test_x, whole.test_y)
            batch = (whole.train_x[:EXAMPLES], whole.train_y[:EXAMPLES])
            mode = "train" if self.network == NORMALIZED else "eval"
            values["at"] = curvature(model, batch, mode, self.tolerance).as_dict()
            places = along(model, batch, mode, self.lr, self.between)
            values["between"] = [curvature(place, batch, mode, self.tolerance).as_dict() for place in places]
        return values

    def summary(self, values: dict[str, Any]) -> str:
        """How it ended; network, data and p stand before it."""
        rho = self.training.method.rho
        how = f"batch {self.training.batch_size}, lr {self.lr:g}{f', rho {rho:g}' if rho else ''}, seed {self.training.seed}"
        if values["status"] == "diverged":
            return f"{how}: diverged"
        top = values["at"]["value"]
        return (
            f"{how}: {values['epochs']} epochs, {values['train_accuracy']:.3f} / {values['test_accuracy']:.3f}, λ_max {top:.4g}"
        )


def curvature(model: "nn.Module", batch: Any, mode: str, tolerance: float) -> "Estimate":
    """lambda_max of the mean cross-entropy's Hessian.

    Args:
        model: maps images to logits.
        batch: images and classes.
        mode: "train" for batch normalization by the batch's own statistics, else "eval".
        tolerance: relative, of the value.
    """
    from torch.nn.functional import cross_entropy

    from flatproof.verify.curvature import Problem, measures

    problem = Problem(model, cross_entropy, batch, mode="train" if mode == "train" else "eval")
    return measures()["lambda-max"](problem, tolerance=tolerance)


def along(model: "nn.Module", batch: Any, mode: str, lr: float, places: Sequence[float]) -> "list[nn.Module]":
    """Copies of the model between an iterate and the next.

    Args:
        model: at the iterate w.
        batch, mode: as for `curvature`; they give the gradient g.
        lr: learning rate.
        places: alpha, shares of the full step.

    Returns:
        The model at w - alpha lr g for each alpha.
    """
    import copy

    import torch
    from torch.nn.functional import cross_entropy

    from flatproof.verify.curvature import Problem

    if not places:
        return []
    problem = Problem(model, cross_entropy, batch, mode="train" if mode == "train" else "eval")
    step = problem.unflatten(-lr * problem.gradient())
    out = []
    for alpha in places:
        moved = copy.deepcopy(model)
        named = dict(moved.named_parameters())
        with torch.no_grad():
            for name, piece in zip(problem.names, step, strict=True):
                named[name].add_(piece, alpha=alpha)
        out.append(moved)
    return out
