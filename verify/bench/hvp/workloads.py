"""Owns what Hessian-vector products are compared on: a model in evaluation mode, a loss and one batch, the same at every call."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from flatproof import synth
from flatproof.verify.deep.networks import VisionTransformer, mlp, resnet18, vgg11
from flatproof.verify.two_layer.initialization import initial_network
from flatproof.verify.two_layer.modules import TwoLayer


@dataclass(frozen=True)
class Workload:
    """A model in evaluation mode, a loss and one batch."""

    name: str
    description: str
    model: nn.Module
    loss: nn.Module
    x: Tensor
    y: Tensor

    def gradient(self) -> tuple[Tensor, ...]:
        """One gradient, as anyone would compute it."""
        return torch.autograd.grad(self.loss(self.model(self.x), self.y), list(self.model.parameters()))


def _images(n: int) -> tuple[Tensor, Tensor]:
    """Images whose pixels are correlated like natural ones, with labels that a network can partly tell apart."""
    coarse = torch.randn(n, 3, 8, 8)
    x = nn.functional.interpolate(coarse, size=32, mode="bilinear") + 0.3 * torch.randn(n, 3, 32, 32)
    return x, coarse.mean((2, 3)).argmax(1) + 3 * (coarse[:, 0, 0, 0] > 0).long()


def _two_layer() -> tuple[nn.Module, nn.Module, Tensor, Tensor]:
    data = synth.parity(30, 100, seed=0)
    x, y = torch.as_tensor(data.x, dtype=torch.float32), torch.as_tensor(data.y, dtype=torch.float32)
    return TwoLayer(initial_network("bias", 30, 500, seed=0), dtype=torch.float32), nn.MSELoss(), x, y


def _mlp() -> tuple[nn.Module, nn.Module, Tensor, Tensor]:
    y = torch.randint(10, (5000,))
    x = (torch.randn(10, 784)[y] + torch.randn(5000, 784)).clamp_min(0)  # like digits: nonnegative, a fifth to a half of it zero
    return mlp(784, 512, 512, 10), nn.CrossEntropyLoss(), x, y


@dataclass(frozen=True)
class Recipe:
    """How a workload is made, over how many rounds it is timed, from how many random starts lambda_max is sought."""

    description: str
    rounds: int
    starts: int
    make: Callable[[], tuple[nn.Module, nn.Module, Tensor, Tensor]]


WORKLOADS = {
    "two-layer": Recipe("two-layer ReLU network with bias, d = 30, m = 500, 100 inputs, MSE, one core", 25, 9, _two_layer),
    "mlp": Recipe("MLP 784-512-512-10, 5000 inputs, cross-entropy", 9, 5, _mlp),
    "vgg11": Recipe(
        "VGG-11, 500 images 3 x 32 x 32, cross-entropy", 3, 1, lambda: (vgg11(), nn.CrossEntropyLoss(), *_images(500))
    ),
    "resnet18": Recipe(
        "ResNet-18, 20 images 3 x 32 x 32, cross-entropy", 5, 3, lambda: (resnet18(), nn.CrossEntropyLoss(), *_images(20))
    ),
    "vit": Recipe(
        "vision transformer (width 128, depth 4), 50 images 3 x 32 x 32, cross-entropy",
        5,
        3,
        lambda: (VisionTransformer(), nn.CrossEntropyLoss(), *_images(50)),
    ),
}


def make_workload(name: str) -> Workload:
    """The named workload, the same at every call; ValueError naming the known ones for another name."""
    if name not in WORKLOADS:
        raise ValueError(f"--workload must be one of {', '.join(WORKLOADS)}, got {name!r}")
    recipe = WORKLOADS[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, loss, x, y = recipe.make()
    return Workload(name, recipe.description, model.eval(), loss, x, y)
