"""Every layer of torch.nn: behind a product of the inputs with parameters, so that what flows through it moves, under a squared loss."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.unit.curvature.cases.case import Case, Cell

N = 4  # samples
Make = Callable[[], nn.Module]


class Behind(nn.Module):
    """layer(x g), g parameters; of several outputs the first."""

    def __init__(self, layer: nn.Module, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.gain, self.layer = nn.Parameter(1 + 0.3 * torch.randn(shape)), layer

    def forward(self, x: Tensor) -> Any:
        out = self.layer(x * self.gain)
        return out[0] if isinstance(out, tuple) else out


class Of(nn.Module):
    """A function of the inputs and of some modules."""

    def __init__(self, function: Callable[..., Any], *modules: nn.Module) -> None:
        super().__init__()
        self.function, self.inner = function, nn.ModuleList(modules)

    def forward(self, *x: Any) -> Any:
        return self.function(*x, *self.inner)


def squares(z: Tensor, y: Tensor) -> Tensor:
    """Bent once more than the squared error, so that what is linear is not all alike."""
    return F.mse_loss(z, y) + 0.1 * z.pow(3).mean()


def behind(layer: Make, *shape: int, mode: str = "eval") -> Callable[[], Cell]:
    """The layer on inputs of that shape a sample."""

    def make() -> Cell:
        model = Behind(layer(), shape).double().train(mode == "train")
        x = torch.randn(N, *shape, dtype=torch.float64)
        y = torch.randn_like(model(x).detach())
        return Cell(model, squares, (x, y), {} if mode == "eval" else {"mode": mode})

    return make


def given(model: Make, *inputs: Callable[[], Any], mode: str = "eval") -> Callable[[], Cell]:
    """A model of these inputs as it is."""

    def make() -> Cell:
        net, x = model().double(), tuple(i() for i in inputs)
        out = net.eval()(*x)
        return Cell(net, squares, (x, torch.randn_like(out.detach())), {} if mode == "eval" else {"mode": mode})

    return make


def words(count: int = 7, *shape: int) -> Callable[[], Tensor]:
    return lambda: torch.randint(count, shape or (N, 3))


def numbers(*shape: int) -> Callable[[], Tensor]:
    return lambda: torch.randn(*shape, dtype=torch.float64)


_ACTIVATIONS = [
    "CELU",
    "ELU",
    "GELU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "Mish",
    "PReLU",
    "RReLU",
    "ReLU",
    "ReLU6",
    "SELU",
    "SiLU",
    "Sigmoid",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Identity",
    "Dropout",
    "AlphaDropout",
    "FeatureAlphaDropout",
]
_RANDOM = ["Dropout", "AlphaDropout", "FeatureAlphaDropout", "Dropout1d", "Dropout2d", "Dropout3d", "RReLU"]
_NAMED: dict[str, tuple[Make, tuple[int, ...]]] = {
    "Threshold": (lambda: nn.Threshold(0.1, -1.0), (6,)),
    "GLU": (nn.GLU, (6,)),
    "Softmax": (lambda: nn.Softmax(1), (6,)),
    "Softmin": (lambda: nn.Softmin(1), (6,)),
    "LogSoftmax": (lambda: nn.LogSoftmax(1), (6,)),
    "Softmax2d": (nn.Softmax2d, (3, 2, 2)),
    "Dropout1d": (nn.Dropout1d, (3, 4)),
    "Dropout2d": (nn.Dropout2d, (3, 2, 2)),
    "Dropout3d": (nn.Dropout3d, (3, 2, 2, 1)),
    "Flatten": (nn.Flatten, (2, 3)),
    "Unflatten": (lambda: nn.Unflatten(1, (2, 3)), (6,)),
    "Linear": (lambda: nn.Linear(3, 4), (3,)),
    "Conv1d": (lambda: nn.Conv1d(2, 3, 3, padding=1, padding_mode="circular"), (2, 5)),
    "Conv2d": (lambda: nn.Conv2d(2, 4, 3, stride=2, groups=2, dilation=2, padding=2), (2, 5, 5)),
    "Conv3d": (lambda: nn.Conv3d(1, 2, 2), (1, 3, 3, 3)),
    "ConvTranspose1d": (lambda: nn.ConvTranspose1d(2, 3, 3, stride=2), (2, 4)),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(2, 3, 2, stride=2, output_padding=1), (2, 3, 3)),
    "ConvTranspose3d": (lambda: nn.ConvTranspose3d(1, 2, 2), (1, 2, 2, 2)),
    "Fold": (lambda: nn.Fold((3, 3), 2), (4, 4)),
    "Unfold": (lambda: nn.Unfold(2), (2, 3, 3)),
    "AvgPool1d": (lambda: nn.AvgPool1d(2), (2, 5)),
    "AvgPool2d": (lambda: nn.AvgPool2d(2, padding=1), (2, 5, 5)),
    "AvgPool3d": (lambda: nn.AvgPool3d(2), (1, 3, 3, 3)),
    "MaxPool1d": (lambda: nn.MaxPool1d(2), (2, 5)),
    "MaxPool2d": (lambda: nn.MaxPool2d(2, padding=1), (2, 5, 5)),
    "MaxPool3d": (lambda: nn.MaxPool3d(2), (1, 4, 4, 4)),
    "MaxUnpool1d": (lambda: Of(lambda x, p, u: u(*p(x)), nn.MaxPool1d(2, return_indices=True), nn.MaxUnpool1d(2)), (2, 4)),
    "MaxUnpool2d": (lambda: Of(lambda x, p, u: u(*p(x)), nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d(2)), (2, 4, 4)),
    "MaxUnpool3d": (lambda: Of(lambda x, p, u: u(*p(x)), nn.MaxPool3d(2, return_indices=True), nn.MaxUnpool3d(2)), (1, 2, 4, 4)),
    "LPPool1d": (lambda: nn.LPPool1d(2, 2), (2, 4)),
    "LPPool2d": (lambda: Of(lambda x, p: p(x.square()), nn.LPPool2d(3, 2)), (2, 4, 4)),
    "LPPool3d": (lambda: nn.LPPool3d(2, 2), (1, 2, 2, 4)),
    "AdaptiveAvgPool1d": (lambda: nn.AdaptiveAvgPool1d(2), (2, 5)),
    "AdaptiveAvgPool2d": (lambda: nn.AdaptiveAvgPool2d(1), (2, 5, 5)),
    "AdaptiveAvgPool3d": (lambda: nn.AdaptiveAvgPool3d(2), (1, 3, 3, 3)),
    "AdaptiveMaxPool1d": (lambda: nn.AdaptiveMaxPool1d(2), (2, 5)),
    "AdaptiveMaxPool2d": (lambda: nn.AdaptiveMaxPool2d(2), (2, 5, 5)),
    "AdaptiveMaxPool3d": (lambda: nn.AdaptiveMaxPool3d(2), (1, 3, 3, 3)),
    "FractionalMaxPool2d": (lambda: nn.FractionalMaxPool2d(2, 2, _random_samples=torch.full((N, 2, 2), 0.5)), (2, 5, 5)),
    "FractionalMaxPool3d": (lambda: nn.FractionalMaxPool3d(2, 2, _random_samples=torch.full((N, 1, 3), 0.5)), (1, 4, 4, 4)),
    "CircularPad1d": (lambda: nn.CircularPad1d(1), (2, 3)),
    "CircularPad2d": (lambda: nn.CircularPad2d(1), (2, 3, 3)),
    "CircularPad3d": (lambda: nn.CircularPad3d(1), (1, 2, 2, 2)),
    "ConstantPad1d": (lambda: nn.ConstantPad1d(1, 2.0), (2, 3)),
    "ConstantPad2d": (lambda: nn.ConstantPad2d(1, 2.0), (2, 3, 3)),
    "ConstantPad3d": (lambda: nn.ConstantPad3d(1, 2.0), (1, 2, 2, 2)),
    "ReflectionPad1d": (lambda: nn.ReflectionPad1d(1), (2, 3)),
    "ReflectionPad2d": (lambda: nn.ReflectionPad2d(1), (2, 3, 3)),
    "ReflectionPad3d": (lambda: nn.ReflectionPad3d(1), (1, 2, 2, 2)),
    "ReplicationPad1d": (lambda: nn.ReplicationPad1d(1), (2, 3)),
    "ReplicationPad2d": (lambda: nn.ReplicationPad2d(1), (2, 3, 3)),
    "ReplicationPad3d": (lambda: nn.ReplicationPad3d(1), (1, 2, 2, 2)),
    "ZeroPad1d": (lambda: nn.ZeroPad1d(1), (2, 3)),
    "ZeroPad2d": (lambda: nn.ZeroPad2d(1), (2, 3, 3)),
    "ZeroPad3d": (lambda: nn.ZeroPad3d(1), (1, 2, 2, 2)),
    "PixelShuffle": (lambda: nn.PixelShuffle(2), (4, 2, 2)),
    "PixelUnshuffle": (lambda: nn.PixelUnshuffle(2), (1, 4, 4)),
    "ChannelShuffle": (lambda: nn.ChannelShuffle(2), (4, 2, 2)),
    "Upsample, bicubic": (lambda: nn.Upsample(scale_factor=2, mode="bicubic", align_corners=True), (1, 3, 3)),
    "Upsample, trilinear": (lambda: nn.Upsample(scale_factor=2, mode="trilinear"), (1, 2, 2, 2)),
    "UpsamplingBilinear2d": (lambda: nn.UpsamplingBilinear2d(scale_factor=2), (1, 3, 3)),
    "UpsamplingNearest2d": (lambda: nn.UpsamplingNearest2d(scale_factor=2), (1, 3, 3)),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(3), (3,)),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(2), (2, 3, 3)),
    "BatchNorm3d": (lambda: nn.BatchNorm3d(1), (1, 2, 2, 2)),
    "InstanceNorm1d": (lambda: nn.InstanceNorm1d(2, affine=True), (2, 4)),
    "InstanceNorm2d": (lambda: nn.InstanceNorm2d(2), (2, 3, 3)),
    "InstanceNorm3d": (lambda: nn.InstanceNorm3d(1), (1, 2, 2, 2)),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), (4, 3)),
    "LayerNorm": (lambda: nn.LayerNorm(5), (5,)),
    "RMSNorm": (lambda: nn.RMSNorm(5), (5,)),
    "LocalResponseNorm": (lambda: nn.LocalResponseNorm(2), (4, 3, 3)),
    "CrossMapLRN2d": (lambda: nn.CrossMapLRN2d(2), (4, 3, 3)),
    "RNN": (lambda: nn.RNN(3, 2, batch_first=True), (4, 3)),
    "LSTM": (lambda: nn.LSTM(3, 2, num_layers=2, bidirectional=True, batch_first=True), (4, 3)),
    "GRU": (lambda: nn.GRU(3, 2, batch_first=True), (4, 3)),
    "RNNCell": (lambda: nn.RNNCell(3, 2), (3,)),
    "LSTMCell": (lambda: nn.LSTMCell(3, 2), (3,)),
    "GRUCell": (lambda: nn.GRUCell(3, 2), (3,)),
    "TransformerEncoderLayer": (lambda: nn.TransformerEncoderLayer(4, 2, 5, batch_first=True), (3, 4)),
    "TransformerEncoder": (lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 5, batch_first=True), 2), (3, 4)),
    "MultiheadAttention": (lambda: Of(lambda x, a: a(x, x, x)[0], nn.MultiheadAttention(4, 2, batch_first=True)), (3, 4)),
    "TransformerDecoderLayer": (
        lambda: Of(lambda x, d: d(x, x.sin()), nn.TransformerDecoderLayer(4, 2, 5, batch_first=True)),
        (3, 4),
    ),
    "Bilinear": (lambda: Of(lambda x, b: b(x, x.sin()), nn.Bilinear(3, 3, 2)), (3,)),
    "CosineSimilarity": (lambda: Of(lambda x, c: c(x, x.roll(1, 1)), nn.CosineSimilarity()), (5,)),
    "PairwiseDistance": (lambda: Of(lambda x, c: c(x, x.roll(1, 1)), nn.PairwiseDistance()), (5,)),
}
_BAG = "sum"


def _decoder() -> nn.Module:
    return nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 5, batch_first=True), 1)


LAYERS = [
    *(Case(f"nn.{name}", behind(lambda name=name: getattr(nn, name)(), 6)) for name in _ACTIVATIONS),
    *(Case(f"nn.{name}", behind(make, *shape)) for name, (make, shape) in _NAMED.items()),
    *(
        Case(
            f"nn.{name}, mode train",
            behind(_NAMED[name][0] if name in _NAMED else getattr(nn, name), *_NAMED.get(name, (0, (6,)))[1], mode="train"),
        )
        for name in (*_RANDOM, "BatchNorm1d", "BatchNorm2d")
    ),
    Case("nn.Embedding", given(lambda: nn.Embedding(7, 3), words())),
    Case("nn.Embedding, padding_idx", given(lambda: nn.Sequential(nn.Embedding(7, 3, padding_idx=1), nn.Tanh()), words())),
    Case("nn.Embedding, max_norm, rows longer", given(lambda: nn.Embedding(7, 3, max_norm=0.5), words()), "max_norm=0.5"),
    Case(
        "nn.Embedding, max_norm, rows shorter", given(lambda: nn.Sequential(nn.Embedding(7, 3, max_norm=9.0), nn.Tanh()), words())
    ),
    Case(
        "nn.Embedding, scale_grad_by_freq",
        given(lambda: nn.Sequential(nn.Embedding(7, 3, scale_grad_by_freq=True), nn.Tanh()), words()),
        "no product is",
    ),
    Case("nn.Embedding, sparse", given(lambda: nn.Sequential(nn.Embedding(7, 3, sparse=True), nn.Tanh()), words())),
    Case("nn.EmbeddingBag, mean", given(lambda: nn.Sequential(nn.EmbeddingBag(7, 3), nn.Linear(3, 2)), words())),
    Case("nn.EmbeddingBag, sum", given(lambda: nn.Sequential(nn.EmbeddingBag(7, 3, mode="sum"), nn.Linear(3, 2)), words())),
    Case("nn.EmbeddingBag, max", given(lambda: nn.Sequential(nn.EmbeddingBag(7, 3, mode="max"), nn.Linear(3, 2)), words())),
    Case("nn.EmbeddingBag, sparse", given(lambda: nn.Sequential(nn.EmbeddingBag(7, 3, sparse=True), nn.Linear(3, 2)), words())),
    Case("nn.Transformer", given(lambda: nn.Transformer(4, 2, 1, 1, 5, batch_first=True), numbers(N, 3, 4), numbers(N, 2, 4))),
    Case("nn.TransformerDecoder", given(_decoder, numbers(N, 3, 4), numbers(N, 2, 4))),
    Case("nn.LazyLinear", given(lambda: _met(nn.Sequential(nn.LazyLinear(3), nn.Tanh()), torch.randn(1, 5)), numbers(N, 5))),
    Case("nn.ParameterList, ParameterDict", given(lambda: Listed(), numbers(N, 3))),
    Case("nn.SyncBatchNorm", behind(lambda: nn.SyncBatchNorm(2), 2, 3)),
]


def _met(model: nn.Module, x: Tensor) -> nn.Module:
    model(x)
    return model


class Listed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.many = nn.ParameterList([nn.Parameter(torch.randn(3)) for _ in range(2)])
        self.named = nn.ParameterDict({"a": nn.Parameter(torch.randn(())), "b": nn.Parameter(torch.randn(3))})

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.many[0]).tanh() * self.many[1] + self.named["a"] * self.named["b"]


def _grid(x: Tensor) -> Tensor:
    theta = torch.tensor([[0.9, 0.1, 0.0], [-0.1, 0.8, 0.05]], dtype=x.dtype).expand(len(x), 2, 3)
    return F.affine_grid(theta + 0.1 * x.mean((1, 2, 3))[:, None, None], list(x.shape), align_corners=False)


FUNCTIONS = [
    Case(
        f"F.grid_sample, {mode}",
        behind(lambda mode=mode: Of(lambda x: F.grid_sample(x, _grid(x), mode=mode, align_corners=False)), 2, 4, 4),
    )
    for mode in ("bilinear", "bicubic")
] + [
    Case(name, behind(lambda function=function: Of(function), *shape))
    for name, function, shape in (
        ("1 - x, a gate", lambda x: (1 - x.sigmoid()) * x, (5,)),
        ("torch.rsub, alpha", lambda x: torch.rsub(x, x.sin(), alpha=2) * x, (5,)),
        ("torch.cdist", lambda x: torch.cdist(x, x.sin()), (3, 2)),
        ("F.pdist", lambda x: x + F.pdist(x.reshape(-1, 3)).mean(), (3,)),
        ("torch.norm", lambda x: x / x.norm(dim=1, keepdim=True), (5,)),
        ("F.normalize", lambda x: F.normalize(x, dim=1), (5,)),
        ("x ** x, x ** 2, 2 ** x", lambda x: x.abs() ** x + x**2 + 2**x, (5,)),
        ("x / 2, 2 / x", lambda x: x / 2 + 2 / (2 + x.abs()), (5,)),
        (
            "atan2, hypot, fmod, remainder",
            lambda x: torch.atan2(x, 1 + x.cos()) + torch.hypot(x, x.sin()) + x.fmod(2) + x.remainder(3),
            (5,),
        ),
        ("lerp, addcmul, addcdiv", lambda x: torch.lerp(x, x.sin(), 0.3).addcmul(x, x, value=2).addcdiv(x, 2 + x.cos()), (5,)),
        ("einsum", lambda x: torch.einsum("nij,njk->nik", x, x.sin()), (3, 3)),
        ("cumprod, cumsum, logcumsumexp", lambda x: x.cumprod(1) + x.cumsum(1) + x.logcumsumexp(1), (4,)),
        (
            "sort, topk, amax, median",
            lambda x: x.sort(1)[0] * x.amax(1, keepdim=True) + x.topk(1)[0] + x.median(1, keepdim=True)[0],
            (5,),
        ),
        ("scatter_add, index_add, index_put", lambda x: _scattered(x), (5,)),
        ("std, var, prod", lambda x: x * x.std(1, keepdim=True) + x.var(1, keepdim=True) + x.prod(1, keepdim=True), (5,)),
        ("linalg.inv, cholesky, eigh", lambda x: _factored(x), (3, 3)),
        ("linalg.svd, qr, matrix_exp", lambda x: _decomposed(x), (3, 3)),
        ("fft", lambda x: torch.fft.rfft(x).abs(), (6,)),
        (
            "complex numbers",
            lambda x: torch.view_as_real(torch.polar(1 + x.square(), x) * torch.complex(x, x.sin())).flatten(1),
            (4,),
        ),
        ("erf, lgamma, digamma, i0", lambda x: x.erf() + x.exp().lgamma() + x.exp().digamma() + torch.special.i0(x), (5,)),
        (
            "scaled_dot_product_attention",
            lambda x: F.scaled_dot_product_attention(x[:, None], x[:, None].sin(), x[:, None].cos(), is_causal=True),
            (3, 4),
        ),
        ("in-place activations and writes", lambda x: _written(x), (5,)),
        ("torch.func.vmap, torch.utils.checkpoint", lambda x: torch.func.vmap(lambda r: r.tanh() * r.sum())(x), (5,)),
    )
]


def _scattered(x: Tensor) -> Tensor:
    index = torch.tensor([0, 2, 1, 2, 0]).expand(len(x), 5)
    out = torch.zeros_like(x).scatter_add(1, index, x.sin())
    out = out.index_add(1, torch.tensor([1, 0]), x[:, :2].square())
    return out.index_put((torch.arange(len(x)), torch.tensor([0, 1, 2, 3])), x[:, 0].cos(), accumulate=True)


def _factored(x: Tensor) -> Tensor:
    A = x @ x.mT + torch.diag(torch.arange(1.0, 4.0, dtype=x.dtype))
    return torch.linalg.inv(A) + torch.linalg.cholesky(A) + torch.linalg.eigh(A)[0][..., None]


def _decomposed(x: Tensor) -> Tensor:
    upper = torch.linalg.qr(x + 3 * torch.eye(3, dtype=x.dtype))[1]
    return torch.linalg.matrix_exp(0.1 * x) + upper + torch.linalg.svdvals(x).sum(-1)[:, None, None]


def _written(x: Tensor) -> Tensor:
    h = x.clone()
    h[:, 1:3] = x[:, 1:3].square()
    h = h.mul(2).sub_(x).tanh_()
    return h * F.elu(x + 1, inplace=True)
