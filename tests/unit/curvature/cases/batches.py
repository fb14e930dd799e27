"""Batches and outputs as libraries make them."""

from collections import OrderedDict, UserDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from tests.unit.curvature.cases.case import Case, Cell
from tests.unit.curvature.cases.losses import inputs, labels, mlp


class Outputs(OrderedDict[str, Any]):
    """As transformers' ModelOutput: a mapping whose entries are attributes too."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class Encoding(UserDict[str, Any]):
    """As transformers' BatchEncoding: a mapping that is no dict."""


class Tagger(nn.Module):
    """As a model of transformers: named inputs, labels among them, the loss inside."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.head = nn.Embedding(9, 4), nn.Linear(4, 5)
        self.double()

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, labels: Tensor | None = None) -> Outputs:
        h = self.words(input_ids).tanh()
        z = self.head(h if attention_mask is None else h * attention_mask[..., None])
        out = Outputs(logits=z)
        if labels is not None:
            out["loss"] = F.cross_entropy(z.flatten(0, 1), labels.flatten())
        return out


def _sentences(n: int = 3, t: int = 4) -> dict[str, Tensor]:
    y = torch.randint(5, (n, t))
    y[0, 1:] = -100
    return {"input_ids": torch.randint(9, (n, t)), "attention_mask": torch.ones(n, t, dtype=torch.long), "labels": y}


def own(value: Any, _: Any) -> Tensor:
    """The loss inside forward."""
    loss: Tensor = value["loss"]
    return loss


def by_name(outputs: Any, y: Tensor) -> Tensor:
    return F.cross_entropy(outputs.logits.flatten(0, 1), y.flatten())


def _paired(batch: Any, loss: Any = own, matrix: str = "Hessian") -> Callable[[], Cell]:
    def make() -> Cell:
        data = batch(_sentences())
        return Cell(Tagger(), loss, (data, data["labels"]), matrix=matrix)

    return make


def mappings(loss: Any, batches: Callable[[], Any], whole: Any = None, weight_of: Any = None) -> Callable[[], Cell]:
    """Batches that are one mapping each."""

    def make() -> Cell:
        model, data = Tagger(), batches()
        rows = [data] if isinstance(data, (dict, UserDict)) else list(data)

        def together(net: nn.Module) -> Tensor:
            z = torch.cat([net(r["input_ids"], r.get("attention_mask"))["logits"].flatten(0, 1) for r in rows])
            return F.cross_entropy(z, torch.cat([r["labels"].flatten() for r in rows]))

        return Cell(model, loss, data, {} if weight_of is None else {"weight_of": weight_of}, whole or together)

    return make


class Rows(Dataset[dict[str, Tensor]]):
    """One mapping a sample."""

    def __init__(self, n: int = 5) -> None:
        self.words, self.tags = torch.randint(9, (n, 4)), torch.randint(5, (n, 4))

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        return {"input_ids": self.words[i], "labels": self.tags[i]}


def _left(_: Any, y: Any) -> Tensor:
    return (y != -100).sum()


class TakesAMapping(nn.Module):
    """forward(batch), the batch a mapping."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = mlp()

    def forward(self, batch: Any) -> Tensor:
        out: Tensor = self.inner(batch["x"])
        return out


def _one_argument() -> Cell:
    x, y = inputs(), labels()
    model = TakesAMapping()
    return Cell(model, F.cross_entropy, ({"x": x}, y), whole=lambda m: F.cross_entropy(m({"x": x}), y))


class Detector(nn.Module):
    """A box and scores at every place."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.box, self.score = nn.Conv2d(1, 3, 3, 2), nn.Conv2d(3, 4, 1), nn.Conv2d(3, 2, 1)
        self.double()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        h = self.body(x).tanh()
        return {"boxes": self.box(h).flatten(2).mT, "scores": self.score(h).flatten(2).mT}


def _matched(z: dict[str, Tensor], y: list[dict[str, Tensor]]) -> Tensor:
    """Each box with the place that is nearest to it, as detection transformers do."""
    losses = []
    for boxes, scores, wanted in zip(z["boxes"], z["scores"], y, strict=True):
        place = torch.cdist(boxes.detach(), wanted["boxes"]).argmin(0)
        apart = F.smooth_l1_loss(boxes[place], wanted["boxes"])
        losses.append(apart + F.cross_entropy(scores[place], wanted["labels"]))
    return torch.stack(losses).mean()


def _detection() -> Cell:
    y = [{"boxes": torch.rand(n, 4, dtype=torch.float64), "labels": torch.randint(2, (n,))} for n in (1, 3)]
    return Cell(Detector(), _matched, (torch.randn(2, 1, 6, 6, dtype=torch.float64), y))


class Heads(nn.Module):
    """Two outputs, as a tuple or a mapping."""

    def __init__(self, named: bool) -> None:
        super().__init__()
        self.body, self.a, self.b, self.named = nn.Linear(4, 4), nn.Linear(4, 3), nn.Linear(4, 1), named
        self.double()

    def forward(self, x: Tensor) -> Any:
        h = self.body(x).tanh()
        both = self.a(h), self.b(h)
        return dict(zip("ab", both, strict=True)) if self.named else both


def both_heads(z: Any, y: Any) -> Tensor:
    a, b = z.values() if isinstance(z, dict) else z
    return F.cross_entropy(a, y["class"]) + 0.5 * F.mse_loss(b, y["value"])


def _two_heads(named: bool, matrix: str = "Hessian") -> Callable[[], Cell]:
    def make() -> Cell:
        model, x, y = Heads(named), inputs(), {"class": labels(), "value": inputs()[:, :1]}
        cell = Cell(model, both_heads, (x, y), matrix=matrix)
        if matrix != "Hessian":
            cell.wanted = lambda v: through_outputs(cell, v)
        return cell

    return make


def through_outputs(cell: Cell, vector: Tensor) -> Tensor:
    """J' C J v with J and C written out by autograd, on a flat vector of all outputs that requires grad."""
    x, y = cell.data
    names = [n for n, p in cell.model.named_parameters() if p.requires_grad]
    sizes = [p.numel() for p in cell.moving()]
    from torch.utils import _pytree

    def flat(theta: Tensor) -> tuple[Tensor, Any]:
        parts = {n: t.reshape(p.shape) for n, t, p in zip(names, theta.split(sizes), cell.moving(), strict=True)}
        args, kwargs = ((), dict(x)) if hasattr(x, "keys") else ((x,), {})
        out = torch.func.functional_call(cell.model, parts, args, kwargs)
        if hasattr(out, "keys"):
            out = {k: v for k, v in out.items() if k != "loss"}
        leaves, shape = _pytree.tree_flatten(dict(out) if hasattr(out, "keys") else out)
        return torch.cat([t.flatten() for t in leaves]), (leaves, shape, type(out))

    theta = torch.cat([p.detach().flatten() for p in cell.moving()])
    z, (leaves, shape, _) = flat(theta)

    def loss(flat_z: Tensor) -> Tensor:
        pieces = [t.reshape(o.shape) for t, o in zip(flat_z.split([o.numel() for o in leaves]), leaves, strict=True)]
        made = _pytree.tree_unflatten(pieces, shape)
        value: Tensor = cell.loss(Outputs(made) if isinstance(made, dict) and "logits" in made else made, y)
        return value

    J = torch.autograd.functional.jacobian(lambda t: flat(t)[0], theta)
    C = torch.autograd.functional.hessian(loss, z.detach())
    return J.T @ (C @ (J @ vector))


def _gauss_newton_by_name() -> Cell:
    data = _sentences()
    cell = Cell(Tagger(), by_name, ({"input_ids": data["input_ids"]}, data["labels"]), matrix="Gauss-Newton")
    cell.wanted = lambda v: through_outputs(cell, v)
    return cell


BATCHES = [
    Case("inputs by name, loss inside forward", _paired(dict)),
    Case("a mapping that is no dict (BatchEncoding)", _paired(Encoding)),
    Case("outputs with attributes (ModelOutput)", _paired(dict, by_name)),
    Case("one mapping, the loss its own", mappings(None, _sentences)),
    Case("one mapping, a loss of outputs and labels", mappings(by_name, _sentences)),
    Case("mappings, labels -100, uneven", mappings(None, lambda: [_sentences(2, 3), _sentences(3, 5)]), "weight_of="),
    Case(
        "mappings, labels -100, uneven, weight_of", mappings(None, lambda: [_sentences(2, 3), _sentences(3, 5)], weight_of=_left)
    ),
    Case("DataLoader of mappings", mappings(None, lambda: DataLoader(Rows(), batch_size=2))),
    Case("a Dataset of single samples", mappings(None, Rows), "give DataLoader(dataset"),
    Case("forward(batch), one mapping its argument", _one_argument),
    Case("detection: a list of boxes an image as targets", lambda: _detection()),
    Case("two outputs, a tuple", _two_heads(False)),
    Case("two outputs, a mapping", _two_heads(True)),
    Case("Gauss-Newton, outputs by name", _gauss_newton_by_name),
    Case("Gauss-Newton, two outputs, a tuple", _two_heads(False, "Gauss-Newton")),
    Case("Gauss-Newton, two outputs, a mapping", _two_heads(True, "Gauss-Newton")),
]
