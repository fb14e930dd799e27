"""Networks as people write them by hand, small, with random weights."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.unit.curvature.cases.case import Case, Cell

N = 3


def on(
    model: Callable[[], nn.Module], data: Callable[[], tuple[Any, Any]], loss: Any = F.cross_entropy, **more: Any
) -> Callable[[], Cell]:
    """A network in float64 on data."""
    return lambda: Cell(model().double(), loss, data(), **more)


def images(channels: int = 1, size: int = 8, classes: int = 3) -> Callable[[], tuple[Tensor, Tensor]]:
    return lambda: (torch.randn(N, channels, size, size, dtype=torch.float64), torch.randint(classes, (N,)))


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down, self.below = nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(3, 4, 3, padding=1)
        self.up, self.out = nn.ConvTranspose2d(4, 3, 2, stride=2), nn.Conv2d(6, 2, 1)

    def forward(self, x: Tensor) -> Any:
        skip = F.silu(self.down(x))
        h = F.silu(self.below(F.max_pool2d(skip, 2)))
        return self.out(torch.cat([skip, self.up(h)], 1))


class Mixer(nn.Module):
    """MLP-Mixer of one block on 2 x 2 patches."""

    def __init__(self) -> None:
        super().__init__()
        self.patch, self.first, self.second = nn.Conv2d(1, 4, 4, 4), nn.LayerNorm(4), nn.LayerNorm(4)
        self.tokens, self.channels = _block(4, 5), _block(4, 6)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Any:
        h = self.patch(x).flatten(2).mT
        h = h + self.tokens(self.first(h).mT).mT
        h = h + self.channels(self.second(h))
        return self.head(h.mean(1))


def _block(width: int, hidden: int) -> nn.Module:
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(inplace=True), nn.Conv2d(3, 3, 3, padding=1)
        )
        self.stem, self.head = nn.Conv2d(1, 3, 3, 2), nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Any:
        h = self.stem(x)
        h = F.relu(h + self.inner(h), inplace=True)
        return self.head(h.mean((2, 3)))


class Siamese(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tower = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))

    def forward(self, a: Tensor, b: Tensor) -> Any:
        return F.pairwise_distance(self.tower(a), self.tower(b))


def margin(d: Tensor, same: Tensor) -> Tensor:
    return (same * d.square() + (1 - same) * F.relu(2 - d).square()).mean()


class Seq2Seq(nn.Module):
    """An encoder and a decoder GRU with attention."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.encode = nn.Embedding(6, 4), nn.GRU(4, 4, batch_first=True)
        self.decode, self.out = nn.GRUCell(8, 4), nn.Linear(4, 6)

    def forward(self, source: Tensor, target: Tensor) -> Any:
        memory, h = self.encode(self.words(source))
        h, logits = h[0], []
        for t in range(target.shape[1]):
            weights = (memory @ h[..., None]).softmax(1)
            h = self.decode(torch.cat([self.words(target[:, t]), (weights * memory).sum(1)], 1), h)
            logits.append(self.out(h))
        return torch.stack(logits, 1)


def per_token(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z.flatten(0, 1), y.flatten())


class Graph(nn.Module):
    """Message passing by scatter: edges (2, e), a mean over neighbours, one output a node."""

    def __init__(self, heads: bool = False) -> None:
        super().__init__()
        self.first, self.second, self.score = nn.Linear(4, 4), nn.Linear(8, 3), nn.Linear(8, 1) if heads else None

    def forward(self, x: Tensor, edges: Tensor) -> Any:
        h = self.first(x).tanh()
        message, to = h[edges[0]], edges[1]
        if self.score is not None:  # attention over the edges of a node
            weight = F.leaky_relu(self.score(torch.cat([message, h[to]], 1))).exp()
            total = torch.zeros(len(x), 1, dtype=x.dtype).index_add(0, to, weight)
            message = message * weight / total[to]
        gathered = torch.zeros_like(h).scatter_add(0, to[:, None].expand_as(message), message)
        return self.second(torch.cat([h, gathered], 1))


def graph() -> tuple[Any, Tensor]:
    edges = torch.tensor([[0, 1, 2, 3, 4, 0, 2], [1, 2, 3, 4, 0, 2, 0]])
    return (torch.randn(5, 4, dtype=torch.float64), edges), torch.randint(3, (5,))


class Experts(nn.Module):
    """A mixture of experts: the best two of three, weighed by a gate."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.experts = nn.Linear(4, 3), nn.ModuleList([_block(4, 5) for _ in range(3)])
        self.out = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Any:
        weights, places = self.gate(x).softmax(1).topk(2, dim=1)
        h = torch.zeros_like(x)
        for n, expert in enumerate(self.experts):
            rows, which = (places == n).nonzero(as_tuple=True)
            h = h.index_add(0, rows, weights[rows, which, None] * expert(x[rows]))
        return self.out(h)


class Flow(nn.Module):
    """A coupling layer and its density."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 4))

    def forward(self, x: Tensor) -> Any:
        a, b = x.chunk(2, 1)
        scale, shift = self.net(a).chunk(2, 1)
        z = torch.cat([a, b * scale.tanh().exp() + shift], 1)
        return -0.5 * z.square().sum(1) + scale.tanh().sum(1)


class Potential(nn.Module):
    """A force field: forces are minus the gradient of an energy in the positions."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 1))

    def forward(self, x: Tensor) -> Any:
        x = x.detach().requires_grad_()
        distances = torch.stack([(x[:, i] - x[:, j]).norm(dim=1) for i, j in ((0, 1), (0, 2), (1, 2))], 1)
        return -torch.autograd.grad(self.net(distances).sum(), x, create_graph=True)[0]


class StateSpace(nn.Module):
    """A diagonal linear recurrence with gated inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.gate, self.out = nn.Linear(3, 4), nn.Linear(3, 4), nn.Linear(4, 3)
        self.decay = nn.Parameter(torch.randn(4))

    def forward(self, x: Tensor) -> Any:
        h, kept = 0, torch.exp(-F.softplus(self.decay))
        for step in x.unbind(1):
            g = self.gate(step).sigmoid()
            h = (1 - g) * kept * h + g * self.enter(step)
        return self.out(h)


def discriminator() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, 2),
        nn.LeakyReLU(0.2),
        nn.Conv2d(3, 4, 3, 1),
        nn.GroupNorm(2, 4),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(4, 1),
    )


class Adversary(nn.Module):
    """A generator through a discriminator: the non-saturating loss of the generator's parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 64), nn.Unflatten(1, (1, 8, 8)))
        self.judge = discriminator().requires_grad_(False)

    def forward(self, z: Tensor) -> Any:
        return self.judge(self.generator(z))


def autoencoder() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, 2, 1),
        nn.ELU(),
        nn.Flatten(),
        nn.Linear(48, 2),
        nn.Linear(2, 48),
        nn.ELU(),
        nn.Unflatten(1, (3, 4, 4)),
        nn.ConvTranspose2d(3, 1, 2, 2),
    )


def separable() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 1),
        nn.Hardswish(),
        nn.Conv2d(4, 4, 3, groups=4, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU6(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 3),
    )


def _same_image() -> tuple[Tensor, Tensor]:
    x, _ = images()()
    return x, x


HAND = [
    Case("U-Net", on(UNet, lambda: (images()()[0], torch.randint(2, (N, 8, 8))))),
    Case(
        "GAN, discriminator",
        on(
            discriminator,
            lambda: (images()()[0], torch.rand(N, 1, dtype=torch.float64).round()),
            F.binary_cross_entropy_with_logits,
        ),
    ),
    Case(
        "GAN, generator through it",
        on(Adversary, lambda: (torch.randn(N, 4, dtype=torch.float64), None), lambda z, _: F.softplus(-z).mean()),
    ),
    Case("MLP-Mixer", on(Mixer, images())),
    Case("residual network with batch norm", on(Residual, images())),
    Case("separable convolutions", on(separable, images(2))),
    Case(
        "siamese",
        on(
            Siamese,
            lambda: (
                (torch.randn(N, 4, dtype=torch.float64), torch.randn(N, 4, dtype=torch.float64)),
                torch.tensor([0.0, 1.0, 0.0]).double(),
            ),
            margin,
        ),
    ),
    Case("autoencoder", on(autoencoder, _same_image, F.mse_loss)),
    Case(
        "seq2seq with attention",
        on(Seq2Seq, lambda: ((torch.randint(6, (N, 4)), torch.randint(6, (N, 3))), torch.randint(6, (N, 3))), per_token),
    ),
    Case("graph network by scatter", on(Graph, graph)),
    Case("graph attention", on(lambda: Graph(True), graph)),
    Case("mixture of experts", on(Experts, lambda: (torch.randn(6, 4, dtype=torch.float64), torch.randint(3, (6,))))),
    Case("normalizing flow", on(Flow, lambda: (torch.randn(N, 4, dtype=torch.float64), None), lambda z, _: -z.mean())),
    Case(
        "force field, differentiates inside",
        on(Potential, lambda: (torch.randn(N, 3, 2, dtype=torch.float64), torch.randn(N, 3, 2, dtype=torch.float64)), F.mse_loss),
    ),
    Case("state space model", on(StateSpace, lambda: (torch.randn(N, 4, 3, dtype=torch.float64), torch.randint(3, (N,))))),
]
