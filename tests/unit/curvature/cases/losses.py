"""Every loss of torch.nn and those that people write, on the outputs of a small network; means over what is no sample."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.unit.curvature.cases.case import Case, Cell
from tests.unit.curvature.cases.layers import Of

N = 6


def mlp(out: int = 3) -> nn.Module:
    """Four inputs, smooth."""
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, out)).double()


def inputs(n: int = N) -> Tensor:
    return torch.randn(n, 4, dtype=torch.float64)


def on(loss: Callable[..., Any], targets: Callable[[], Any], out: int = 3, shape: Any = None) -> Callable[[], Cell]:
    """The loss of a network's outputs, as `shape` arranges them."""

    def make() -> Cell:
        net = mlp(out)
        model = net if shape is None else Of(lambda x, inner: shape(inner(x)), net)
        return Cell(model, loss, (inputs(), targets()))

    return make


def classes(k: int = 3, *shape: int) -> Callable[[], Tensor]:
    return lambda: torch.randint(k, (N, *shape))


def normal(*shape: int) -> Callable[[], Tensor]:
    return lambda: torch.randn(N, *shape, dtype=torch.float64)


def shares(*shape: int) -> Callable[[], Tensor]:
    return lambda: torch.rand(N, *shape, dtype=torch.float64)


def signs(*shape: int) -> Callable[[], Tensor]:
    return lambda: 2.0 * torch.randint(2, (N, *shape)).double() - 1


def ignored(k: int = 3, *shape: int) -> Callable[[], Tensor]:
    return lambda: torch.where(torch.rand(N, *shape) < 0.3, -100, torch.randint(k, (N, *shape)))


WEIGHTS = (1.0, 2.0, 5.0)


def class_weights() -> Tensor:
    return torch.tensor(WEIGHTS, dtype=torch.float64)


def focal(z: Tensor, y: Tensor) -> Tensor:
    """(1 - p)^2 times the cross entropy (Lin et al. 2017)."""
    each = F.cross_entropy(z, y, reduction="none")
    return ((1 - torch.exp(-each)) ** 2 * each).mean()


def sigmoid_focal(z: Tensor, y: Tensor) -> Tensor:
    p, q = z.sigmoid(), F.one_hot(y, 3).to(z)
    each = F.binary_cross_entropy_with_logits(z, q, reduction="none")
    return (each * (1 - (p * q + (1 - p) * (1 - q))) ** 2).mean()


def dice(z: Tensor, y: Tensor) -> Tensor:
    p, q = z.softmax(1), F.one_hot(y, 3).to(z)
    return 1 - (2 * (p * q).sum() + 1) / (p.sum() + q.sum() + 1)


def contrastive(z: Tensor, _: Any) -> Tensor:
    """InfoNCE of the first half's rows with the second half's."""
    a, b = F.normalize(z, dim=1).chunk(2)
    return F.cross_entropy(a @ b.T / 0.5, torch.arange(len(a)))


def triplet(z: Tensor, _: Any) -> Tensor:
    return nn.TripletMarginLoss(margin=3.0)(*z.chunk(3))


def ctc(z: Tensor, y: tuple[Tensor, Tensor]) -> Tensor:
    """Outputs (n, time, classes); targets one after another, and their lengths."""
    log_p = z.log_softmax(-1).transpose(0, 1)
    return F.ctc_loss(log_p, y[0], torch.full((len(z),), z.shape[1]), y[1])


def ctc_targets() -> tuple[Tensor, Tensor]:
    lengths = torch.tensor([1, 2, 1, 2, 1, 1])
    return torch.randint(1, 4, (int(lengths.sum()),)), lengths


def gaussian(z: Tensor, y: Tensor) -> Tensor:
    return F.gaussian_nll_loss(z[:, :1], y, F.softplus(z[:, 1:]) + 0.1)


def covariance(z: Tensor, wanted: Tensor) -> Tensor:
    """Second moments of the outputs against given ones: targets that are no samples'."""
    return (z.T @ z / len(z) - wanted).square().sum()


def elbo(z: Tensor, y: Tensor) -> Tensor:
    mean, log_var = z.chunk(2, 1)
    return F.mse_loss(mean, y) - 0.5 * (1 + log_var - mean.square() - log_var.exp()).mean()


class Adaptive(nn.Module):
    """A network whose head is its loss: outputs go through, the loss is inside."""

    def __init__(self, head: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.body, self.head = mlp(4), head()
        self.double()

    def forward(self, x: Tensor, y: Tensor) -> Any:
        out = self.head(self.body(x), y)
        return getattr(out, "loss", out)


def inside(head: Callable[[], nn.Module], k: int) -> Callable[[], Cell]:
    def make() -> Cell:
        y = torch.randint(k, (N,))
        return Cell(Adaptive(head), lambda value, _: value, ((inputs(), y), y))

    return make


def _nll2d() -> Any:
    return nn.NLLLoss()


_pixels = {"out": 12, "shape": lambda z: z.reshape(-1, 3, 2, 2)}

LOSSES = [
    Case("nn.MSELoss", on(nn.MSELoss(), normal(3))),
    Case("nn.L1Loss", on(nn.L1Loss(), normal(3))),
    Case("nn.SmoothL1Loss", on(nn.SmoothL1Loss(beta=0.5), normal(3))),
    Case("nn.HuberLoss", on(nn.HuberLoss(delta=0.7), normal(3))),
    Case("nn.CrossEntropyLoss", on(nn.CrossEntropyLoss(), classes())),
    Case("cross entropy, class weights", on(nn.CrossEntropyLoss(weight=class_weights()), classes())),
    Case("cross entropy, ignore_index -100", on(nn.CrossEntropyLoss(), ignored())),
    Case("cross entropy, label smoothing", on(nn.CrossEntropyLoss(label_smoothing=0.1), classes())),
    Case("cross entropy, all three", on(nn.CrossEntropyLoss(weight=class_weights(), label_smoothing=0.1), ignored())),
    Case("cross entropy, probabilities", on(nn.CrossEntropyLoss(), lambda: torch.rand(N, 3, dtype=torch.float64).softmax(1))),
    Case("cross entropy, per pixel", on(nn.CrossEntropyLoss(), ignored(3, 2, 2), **_pixels)),
    Case("nn.NLLLoss", on(nn.NLLLoss(), classes(), shape=lambda z: z.log_softmax(1))),
    Case(
        "nn.NLLLoss2d, nn.NLLLoss of pixels",
        on(nn.NLLLoss(), classes(3, 2, 2), 12, lambda z: z.reshape(-1, 3, 2, 2).log_softmax(1)),
    ),
    Case("nn.PoissonNLLLoss", on(nn.PoissonNLLLoss(), lambda: torch.randint(5, (N, 3)).double())),
    Case("nn.GaussianNLLLoss", on(gaussian, normal(1), 2)),
    Case(
        "nn.KLDivLoss",
        on(
            nn.KLDivLoss(reduction="batchmean"),
            lambda: torch.rand(N, 3, dtype=torch.float64).softmax(1),
            shape=lambda z: z.log_softmax(1),
        ),
    ),
    Case("nn.BCELoss", on(nn.BCELoss(), shares(3), shape=lambda z: z.sigmoid())),
    Case("nn.BCEWithLogitsLoss, pos_weight", on(nn.BCEWithLogitsLoss(pos_weight=class_weights()), shares(3))),
    Case("nn.HingeEmbeddingLoss", on(nn.HingeEmbeddingLoss(), signs(3))),
    Case("nn.MultiLabelMarginLoss", on(nn.MultiLabelMarginLoss(), lambda: torch.tensor([[0, 2, -1]] * N))),
    Case("nn.MultiLabelSoftMarginLoss", on(nn.MultiLabelSoftMarginLoss(), lambda: torch.randint(2, (N, 3)).double())),
    Case("nn.MultiMarginLoss", on(nn.MultiMarginLoss(p=2), classes())),
    Case("nn.SoftMarginLoss", on(nn.SoftMarginLoss(), signs(3))),
    Case("nn.CosineEmbeddingLoss", on(lambda z, y: nn.CosineEmbeddingLoss()(z[:, :2], z[:, 2:], y), signs(), 4)),
    Case("nn.MarginRankingLoss", on(lambda z, y: nn.MarginRankingLoss(0.5)(z[:, 0].square(), z[:, 1], y), signs())),
    Case("nn.TripletMarginLoss", on(triplet, lambda: None)),
    Case(
        "nn.TripletMarginWithDistanceLoss",
        on(
            lambda z, _: nn.TripletMarginWithDistanceLoss(distance_function=lambda a, b: (a - b).square().sum(1), margin=9.0)(
                *z.chunk(3)
            ),
            lambda: None,
        ),
    ),
    Case("nn.CTCLoss", on(ctc, ctc_targets, 20, lambda z: z.reshape(-1, 5, 4))),
    Case("nn.AdaptiveLogSoftmaxWithLoss", inside(lambda: nn.AdaptiveLogSoftmaxWithLoss(4, 6, [2]), 6)),
    Case("nn.LinearCrossEntropyLoss", inside(lambda: nn.LinearCrossEntropyLoss(4, 3), 3)),
    Case("focal loss, (1 - p)^2", on(focal, classes())),
    Case("sigmoid focal loss", on(sigmoid_focal, classes())),
    Case("dice", on(dice, classes())),
    Case("InfoNCE, no targets", on(contrastive, lambda: None)),
    Case("VAE: reconstruction and KL", on(elbo, normal(3), 6)),
    Case("log cosh", on(lambda z, y: (z - y).cosh().log().mean(), normal(3))),
    Case("covariances as targets", on(covariance, lambda: torch.eye(3, dtype=torch.float64))),
    Case("a penalty over model.parameters()", lambda: _penalized()),
    Case(
        "gradient penalty, differentiates inside", on(lambda z, y: F.mse_loss(z, y), normal(1), 4, lambda z: _inner_gradient(z))
    ),
    Case(
        "sum over samples",
        lambda: Cell(mlp(), nn.CrossEntropyLoss(reduction="sum"), (inputs(), torch.randint(3, (N,))), {"reduction": "sum"}),
    ),
    Case(
        "sum taken for a mean",
        lambda: Cell(mlp(), nn.CrossEntropyLoss(reduction="sum"), (inputs(), torch.randint(3, (N,)))),
        "give reduction='sum'",
    ),
]


def _inner_gradient(z: Tensor) -> Tensor:
    h = z.sin()
    return torch.autograd.grad(h.pow(2).sum(), z, create_graph=True)[0].sum(1, keepdim=True)


def _penalized() -> Cell:
    model = mlp()

    def loss(z: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(z, y) + 0.05 * sum(p.square().sum() for p in model.parameters())

    return Cell(model, loss, (inputs(), torch.randint(3, (N,))))


def labels() -> Tensor:
    return torch.randint(3, (N,))


def cross(model: Callable[[], nn.Module], **options: Any) -> Callable[[], Cell]:
    """A classifier of four inputs."""
    return lambda: Cell(model().double(), F.cross_entropy, (inputs(), labels()), options)


# -------------------------------------------------------------------------------------------- uneven batches


def uneven(
    loss: Any, targets: Callable[[], Tensor], out: int = 3, shape: Any = None, weight_of: Any = None, **options: Any
) -> Callable[[], Cell]:
    """Batches of 2 and 4 samples, whose loss as one batch is meant."""

    def make() -> Cell:
        cell = on(loss, targets, out, shape)()
        x, y = cell.data
        cell.data = [(x[:2], y[:2]), (x[2:], y[2:])]
        cell.options = options if weight_of is None else {"weight_of": weight_of}
        cell.whole = lambda model: cell.loss(model(x), y)
        return cell

    return make


def _kept(_: Any, y: Tensor) -> Tensor:
    return (y != -100).sum()


def tokens(weight_of: Any = None) -> Callable[[], Cell]:
    """A tagger whose batches are padded to other lengths; the mean is over the tokens that are not ignored."""

    def make() -> Cell:
        model = nn.Sequential(nn.Embedding(9, 4), nn.Tanh(), nn.Linear(4, 5)).double()
        x = [torch.randint(9, (2, 3)), torch.randint(9, (3, 6))]
        y = [torch.where(torch.rand(t.shape) < 0.3, -100, torch.randint(5, t.shape)) for t in x]

        def loss(z: Tensor, t: Tensor) -> Tensor:
            return F.cross_entropy(z.flatten(0, 1), t.flatten())

        def whole(net: nn.Module) -> Tensor:
            flat = torch.cat([net(a).flatten(0, 1) for a in x]), torch.cat([t.flatten() for t in y])
            return F.cross_entropy(*flat)

        return Cell(model, loss, list(zip(x, y, strict=True)), {} if weight_of is None else {"weight_of": weight_of}, whole)

    return make


def time_first(weight_of: Any = None) -> Callable[[], Cell]:
    """An RNN of inputs (time, samples, features) in batches of 2 and 3 samples."""

    def make() -> Cell:
        model = Of(lambda x, rnn, head: head(rnn(x)[0]), nn.RNN(3, 4), nn.Linear(4, 2)).double()
        x = [torch.randn(5, n, 3, dtype=torch.float64) for n in (2, 3)]
        y = [torch.randn(5, n, 2, dtype=torch.float64) for n in (2, 3)]

        def whole(net: nn.Module) -> Tensor:
            return F.mse_loss(net(torch.cat(x, 1)), torch.cat(y, 1))

        options = {} if weight_of is None else {"weight_of": weight_of}
        return Cell(model, F.mse_loss, list(zip(x, y, strict=True)), options, whole)

    return make


def images(weight_of: Any = None) -> Callable[[], Cell]:
    """Segmentation of images of two sizes."""

    def make() -> Cell:
        model = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.Tanh(), nn.Conv2d(2, 3, 1)).double()
        x = [torch.randn(n, 1, s, s, dtype=torch.float64) for n, s in ((2, 3), (1, 5))]
        y = [torch.randint(3, (len(a), *a.shape[2:])) for a in x]

        def whole(net: nn.Module) -> Tensor:
            flat = [net(a).movedim(1, -1).flatten(0, -2) for a in x]
            return F.cross_entropy(torch.cat(flat), torch.cat([t.flatten() for t in y]))

        options = {} if weight_of is None else {"weight_of": weight_of}
        return Cell(model, F.cross_entropy, list(zip(x, y, strict=True)), options, whole)

    return make


def speech(weight_of: Any = None) -> Callable[[], Cell]:
    """CTC: targets of all samples one after another."""

    def make() -> Cell:
        cell = on(ctc, ctc_targets, 20, lambda z: z.reshape(-1, 5, 4))()
        x, (t, lengths) = cell.data
        first = int(lengths[:2].sum())
        cell.data = [(x[:2], (t[:first], lengths[:2])), (x[2:], (t[first:], lengths[2:]))]
        cell.whole = lambda model: ctc(model(x), (t, lengths))
        cell.options = {} if weight_of is None else {"weight_of": weight_of}
        return cell

    return make


def _weights_of(_: Any, y: Tensor) -> Tensor:
    return class_weights()[y].sum()


def _entries(_: Any, y: Tensor) -> int:
    return y.numel()


_OFFER = "weight_of="
UNEVEN = [
    Case("uneven batches, cross entropy", uneven(nn.CrossEntropyLoss(), classes())),
    Case("uneven batches, MSE over 3 outputs", uneven(nn.MSELoss(), normal(3))),
    Case("uneven batches, MSE summed over outputs", uneven(lambda z, y: (z - y).square().sum(1).mean(), normal(3))),
    Case("uneven batches, sum", uneven(nn.MSELoss(reduction="sum"), normal(3), reduction="sum")),
    Case("uneven batches, class weights", uneven(nn.CrossEntropyLoss(class_weights()), classes()), _OFFER),
    Case(
        "uneven batches, class weights, weight_of", uneven(nn.CrossEntropyLoss(class_weights()), classes(), weight_of=_weights_of)
    ),
    Case("uneven batches, ignored targets", uneven(nn.CrossEntropyLoss(), ignored()), _OFFER),
    Case("uneven batches, ignored targets, weight_of", uneven(nn.CrossEntropyLoss(), ignored(), weight_of=_kept)),
    Case("uneven batches, ignored pixels", uneven(nn.CrossEntropyLoss(), ignored(3, 2, 2), **_pixels), _OFFER),
    Case(
        "uneven batches, ignored pixels, weight_of", uneven(nn.CrossEntropyLoss(), ignored(3, 2, 2), weight_of=_kept, **_pixels)
    ),
    Case("uneven batches, dice: no mean of batches", uneven(dice, classes()), "one batch"),
    Case("tokens padded to other lengths, -100", tokens(), _OFFER),
    Case("tokens padded to other lengths, -100, weight_of", tokens(_kept)),
    Case("images of other sizes, per pixel", images(), _OFFER),
    Case("images of other sizes, per pixel, weight_of", images(_entries)),
    Case("time first, uneven batches", time_first(), _OFFER),
    Case("time first, uneven batches, weight_of", time_first(_entries)),
    Case("CTC, uneven batches", speech(), _OFFER),
    Case("CTC, uneven batches, weight_of", speech(lambda x, _: len(x))),
]
