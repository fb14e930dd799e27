"""What stands around a network: modes, wrappers, parametrizations, frozen and tied parts, precisions."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, prune
from torch.utils.checkpoint import checkpoint

from tests.unit.curvature.cases.case import Case, Cell
from tests.unit.curvature.cases.layers import Of, squares
from tests.unit.curvature.cases.losses import N, cross, focal, inputs, labels, mlp


def within(context: Callable[[], Any], make: Callable[[], Cell]) -> Callable[[], Cell]:
    """Everything of the operator is done within a context."""

    def made() -> Cell:
        cell = make()
        plain = cell.operator

        def operator(**more: Any) -> Any:
            with context():
                made = plain(**more)
            product = made._product
            made._product = lambda block: _in(context, product, block)
            return made

        cell.operator = operator  # type: ignore[method-assign]
        return cell

    return made


def _in(context: Callable[[], Any], function: Callable[..., Any], *args: Any) -> Any:
    with context():
        return function(*args)


def _made_in_inference() -> Cell:
    with torch.inference_mode():
        return Cell(mlp(), F.cross_entropy, (inputs(), labels()), same_as=cross(mlp))


def _data_in_inference() -> Cell:
    model = mlp()
    with torch.inference_mode():
        return Cell(model, F.cross_entropy, (inputs(), labels()), same_as=cross(mlp))


class Autocast(nn.Module):
    """Its own forward under autocast."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = mlp().float()

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out: Tensor = self.inner(x)
        return out.float()


class Checkpointed(nn.Module):
    def __init__(self, reentrant: bool) -> None:
        super().__init__()
        self.first, self.body, self.last, self.reentrant = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3), reentrant

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x).tanh()
        h = checkpoint(lambda t: self.body(t).tanh(), h, use_reentrant=self.reentrant)
        out: Tensor = self.last(h)
        return out


class Tied(nn.Module):
    """An autoencoder whose decoder is the encoder's transpose, and a layer met twice."""

    def __init__(self) -> None:
        super().__init__()
        self.encode, self.twice = nn.Linear(4, 3), nn.Linear(3, 3)
        self.shift = nn.Parameter(torch.zeros(4))
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        h = self.encode(x).tanh()
        h = self.twice(self.twice(h).tanh())
        return F.linear(h, self.encode.weight.T, self.shift)


class Shared(nn.Module):
    """One tensor under two names: an embedding and the head."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.head = nn.Embedding(6, 4), nn.Linear(4, 6, bias=False)
        self.head.weight = self.words.weight
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.words(x).tanh())
        return out


class Lora(nn.Module):
    """A frozen layer with a low-rank update that starts at zero."""

    def __init__(self, base: nn.Linear, rank: int = 2) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.down = nn.Parameter(torch.randn(rank, base.in_features))
        self.up = nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.base(x) + x @ self.down.T @ self.up.T
        return out


def _frozen() -> nn.Module:
    net = mlp()
    net[0].requires_grad_(False)  # type: ignore[index]
    return net


def _two(norm: Callable[[nn.Linear], nn.Module]) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(norm(nn.Linear(4, 4)), nn.Tanh(), norm(nn.Linear(4, 3)))


def _compiled() -> Cell:
    cell = cross(mlp)()
    return Cell(torch.compile(cell.model), cell.loss, cell.data, same_as=cross(mlp))  # type: ignore[arg-type]


def _scripted() -> nn.Module:
    return torch.jit.script(mlp())  # type: ignore[no-any-return]


def _hooked() -> nn.Module:
    net = mlp()
    net[1].register_forward_hook(lambda m, a, out: out * 1.5)  # type: ignore[index]
    return net


def _quantized(kind: str) -> Callable[[], nn.Module]:
    def fake(x: Tensor) -> Tensor:
        if kind == "tensor":
            return torch.fake_quantize_per_tensor_affine(x, 0.05, 0, -128, 127)
        scale = torch.full((x.shape[1],), 0.05)
        return torch.fake_quantize_per_channel_affine(x, scale, torch.zeros(x.shape[1], dtype=torch.int32), 1, -128, 127)

    return lambda: Of(lambda x, a, b: b(fake(a(x).tanh())), nn.Linear(4, 4), nn.Linear(4, 3))


def _bf16(**options: Any) -> Callable[[], Cell]:
    def make() -> Cell:
        cell = Cell(mlp().bfloat16(), F.cross_entropy, (inputs().bfloat16(), labels()), options)
        cell.close = 0.1 if not options else 1e-5
        return cell

    return make


def _float32(make: Callable[[], Cell]) -> Callable[[], Cell]:
    def made() -> Cell:
        cell = make()
        cell.model.float()
        x, y = cell.data
        cell.data = (
            x.float() if isinstance(x, Tensor) else tuple(t.float() for t in x),
            y.float() if y.is_floating_point() else y,
        )
        cell.close = 1e-4
        return cell

    return made


def _ddp() -> Cell:
    import torch.distributed as dist

    if not dist.is_initialized():
        dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    return cross(lambda: nn.parallel.DistributedDataParallel(mlp()))()


def _lstm() -> Cell:
    model = Of(lambda x, rnn, head: head(rnn(x)[0][:, -1]), nn.LSTM(3, 4, batch_first=True), nn.Linear(4, 3)).double()
    return Cell(model, F.cross_entropy, (torch.randn(N, 4, 3, dtype=torch.float64), labels()))


WRAPPED = [
    Case("within torch.inference_mode", within(torch.inference_mode, cross(mlp))),
    Case("within torch.no_grad", within(torch.no_grad, cross(mlp))),
    Case("parameters made in inference mode", _made_in_inference),
    Case("data made in inference mode", _data_in_inference),
    Case("within an outer autocast", _float32(within(lambda: torch.autocast("cpu", dtype=torch.bfloat16), cross(mlp)))),
    Case("nn.DataParallel", cross(lambda: nn.DataParallel(mlp()))),
    Case("DistributedDataParallel", _ddp),
    Case("torch.compile, run as written", lambda: _compiled()),
    Case("torch.jit.script", cross(_scripted), "torch.jit"),
    Case("forward hooks", cross(_hooked)),
    Case("gradient checkpointing", cross(lambda: Checkpointed(False))),
    Case("gradient checkpointing, reentrant", cross(lambda: Checkpointed(True))),
    Case("frozen parts", cross(_frozen)),
    Case("parameters chosen by name", lambda: _chosen()),
    Case("LoRA adapters", cross(lambda: nn.Sequential(Lora(nn.Linear(4, 5)), nn.Tanh(), Lora(nn.Linear(5, 3))))),
    Case("tied weights, a transpose", lambda: Cell(Tied(), squares, (inputs(), inputs()))),
    Case(
        "tied weights, one tensor, two names",
        lambda: Cell(Shared(), F.cross_entropy, (torch.randint(6, (N,)), torch.randint(6, (N,)))),
    ),
    Case("parametrizations.weight_norm", cross(_two(parametrizations.weight_norm))),
    Case("nn.utils.weight_norm", cross(_two(nn.utils.weight_norm))),
    Case("parametrizations.spectral_norm", cross(_two(parametrizations.spectral_norm))),
    Case("nn.utils.spectral_norm", cross(_two(nn.utils.spectral_norm))),
    Case(
        "parametrizations.orthogonal",
        cross(lambda: nn.Sequential(parametrizations.orthogonal(nn.Linear(4, 4)), nn.Tanh(), nn.Linear(4, 3))),
    ),
    Case("parametrizations.orthogonal, not square: its weights jump", cross(_two(parametrizations.orthogonal)), "the loss jumps"),
    Case("nn.utils.prune", cross(_two(lambda m: prune.random_unstructured(m, "weight", 0.4)))),
    Case("bf16 weights", _bf16()),
    Case("bf16 weights, products in float32", _bf16(arithmetic=torch.float32)),
    Case("float32 weights", _float32(cross(mlp))),
    Case("LSTM in float32", _float32(_lstm)),
    Case("autocast inside forward", lambda: _inner_autocast()),
    Case("fake quantization, per tensor", cross(_quantized("tensor")), "no product is"),
    Case("fake quantization, per channel", cross(_quantized("channel")), "no product is"),
    Case("focal loss, float32", _float32(lambda: Cell(mlp(), focal, (inputs(), labels())))),
]


def _chosen() -> Cell:
    cell = cross(mlp)()
    cell.options = {"parameters": ["2"]}
    cell.moving = lambda: list(cell.model[2].parameters())  # type: ignore[method-assign, index]
    return cell


def _inner_autocast() -> Cell:
    cell = Cell(Autocast(), F.cross_entropy, (inputs().float(), labels()))
    cell.close = 0.1
    return cell
