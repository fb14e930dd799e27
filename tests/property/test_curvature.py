"""Products of every operator are linear and symmetric, and kernels agree, over random networks, losses and batch splits."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from flatproof.verify.curvature import FisherOperator, GaussNewtonOperator, HessianOperator, Operator
from flatproof.verify.two_layer.losses import mse
from flatproof.verify.two_layer.modules import TwoLayer
from tests.networks import architectures, random_network, random_points, seeds

CLOSE = 1e-9
LOSSES = {
    "mse": lambda z, t: F.mse_loss(z, F.one_hot(t, 3).to(z)),
    "cross-entropy": F.cross_entropy,
    "smoothed": lambda z, t: F.cross_entropy(z, t, label_smoothing=0.2),
    "logistic": lambda z, t: F.binary_cross_entropy_with_logits(z[:, 0], 0.8 * (t > 0).to(z) + 0.1),
}


def linear_and_symmetric(operator: Operator, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    block = torch.randn(operator.shape[0], 3, generator=generator, dtype=torch.float64)
    u, v, w = block.unbind(1)
    products = operator.matmat(block)
    size = products.norm() + 1e-300
    assert float((products[:, 0] - operator.matvec(u)).norm() / size) < CLOSE
    assert abs(float(u @ products[:, 1] - v @ products[:, 0])) < CLOSE * float(size) * len(u) ** 0.5
    assert float((operator.matvec(2 * u - 3 * v) - 2 * products[:, 0] + 3 * products[:, 1]).norm() / size) < CLOSE
    assert torch.equal(operator.matvec(w), operator.matvec(w))


def splits(x: Tensor, y: Tensor, cut: int) -> object:
    return (x, y) if cut == 0 else [(x[:cut], y[:cut]), (x[cut:], y[cut:])]


@settings(max_examples=25)
@given(
    widths=st.lists(st.integers(1, 5), min_size=0, max_size=2),
    activation=st.sampled_from([nn.ReLU, nn.GELU, nn.Tanh, nn.Sigmoid, nn.Softplus, nn.SiLU, nn.LeakyReLU, nn.ELU]),
    normalize=st.sampled_from([None, nn.BatchNorm1d, nn.LayerNorm]),
    loss=st.sampled_from(sorted(LOSSES)),
    mode=st.sampled_from(["eval", "train"]),
    reduction=st.sampled_from(["mean", "sum"]),
    cut=st.sampled_from([0, 2, 3]),
    seed=seeds,
)
def test_networks(
    widths: list[int],
    activation: type[nn.Module],
    normalize: type[nn.Module] | None,
    loss: str,
    mode: str,
    reduction: str,
    cut: int,
    seed: int,
) -> None:
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    fan_in = 3
    for width in widths:
        layers += [nn.Linear(fan_in, width), *([] if normalize is None else [normalize(width)]), activation(), nn.Dropout(0.3)]
        fan_in = width
    model = nn.Sequential(*layers, nn.Linear(fan_in, 3)).double()
    x, y = torch.randn(6, 3, dtype=torch.float64), torch.randint(3, (6,))
    compare = LOSSES[loss] if reduction == "mean" else lambda z, t: LOSSES[loss](z, t) * len(t)
    given_to = (model, compare, splits(x, y, cut))
    common = {"mode": mode, "reduction": reduction, "seed": seed % 1000}
    recorded = HessianOperator(*given_to, kernel="linearize", **common)  # type: ignore[arg-type]
    linear_and_symmetric(recorded, seed)
    v = torch.randn(recorded.shape[0], 2, dtype=torch.float64)
    wanted = HessianOperator(*given_to, kernel="double-backward", **common).matmat(v)  # type: ignore[arg-type]
    assert float((recorded.matmat(v) - wanted).norm() / (wanted.norm() + 1e-6)) < CLOSE
    for outer in (GaussNewtonOperator, FisherOperator):
        operator = outer(*given_to, **common)  # type: ignore[arg-type]
        linear_and_symmetric(operator, seed)
        assert float(v[:, 0] @ operator.matvec(v[:, 0])) > -1e-9


@settings(max_examples=25)
@given(architecture=architectures, m=st.integers(1, 5), n=st.integers(1, 6), d=st.integers(1, 4), seed=seeds)
def test_closed_form(architecture: str, m: int, n: int, d: int, seed: int) -> None:
    network, (x, y) = random_network(architecture, d, m, seed), random_points(d, n, seed)
    model, data = TwoLayer(network, train_x=x), (torch.as_tensor(x), torch.as_tensor(y))
    closed = HessianOperator(model, mse, data, kernel="closed-form")
    linear_and_symmetric(closed, seed)
    wanted = HessianOperator(model, mse, data, kernel="double-backward").dense()
    assert float((closed.dense() - wanted).norm() / (wanted.norm() + 1e-12)) < CLOSE
