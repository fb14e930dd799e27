"""What a case is: a model, a loss and data, the loss of the whole data said a second way, and what is expected of it.

The reference shares nothing with the operators: plain gradients of the module, its parameters really moved, in float64.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from flatproof.verify.curvature import FisherOperator, GaussNewtonOperator, HessianOperator

RIGHT = "right"
OPERATORS = {"Hessian": HessianOperator, "Gauss-Newton": GaussNewtonOperator, "Fisher": FisherOperator}
DENSE = 40  # parameters up to which the largest eigenvalue is compared too
SEED = 20


@dataclass
class Cell:
    """One problem.

    Attributes:
        model, loss, data: as an operator takes them.
        options: what else it is given.
        whole: model -> the loss over the whole data, where it is not the mean of the batches' weighed by their first axis.
        call: (model, inputs) -> outputs, where the model is not given them as tensors alone.
        matrix: whose product is compared; that of another than the Hessian with `wanted`.
        wanted: (P,) -> the product itself, where differences of gradients do not give it.
        close: relative.
        same_as: the problem that the reference is of, where plain torch cannot differentiate this one.
        twice: whether the reference is torch's own double backward: parts that compute in float32 would spoil differences.
        seeded: whether the model draws random numbers, which are the problem's to hold.
    """

    model: nn.Module
    loss: Any
    data: Any
    options: dict[str, Any] = field(default_factory=dict)
    whole: Callable[[nn.Module], Tensor] | None = None
    matrix: str = "Hessian"
    wanted: Callable[[Tensor], Tensor] | None = None
    close: float = 1e-6
    twice: bool = False
    seeded: bool = False
    same_as: Callable[[], "Cell"] | None = None

    def operator(self, **more: Any) -> Any:
        """The operator that the case is about."""
        return OPERATORS[self.matrix](self.model, self.loss, self.data, **self.options, **more)

    def total(self) -> Tensor:
        """The loss over the whole data of the module as it stands."""
        if self.whole is not None:
            return self.whole(self.model)
        pairs = [self.data] if isinstance(self.data, tuple) else list(self.data)
        counts = [len(next(tensors(x))) for x, _ in pairs]
        parts = [n / sum(counts) * self.loss(called(self.model, x), y) for n, (x, y) in zip(counts, pairs, strict=True)]
        return torch.stack([p.reshape(()) for p in parts]).sum()

    def moving(self) -> list[Tensor]:
        """The parameters that are differentiated."""
        return [p for p in self.model.parameters() if p.requires_grad]

    def widened(self) -> "Cell":
        """In float64."""
        self.model.double()
        self.data = wide(self.data)
        self.loss = self.loss.double() if isinstance(self.loss, nn.Module) else self.loss
        return self


@dataclass(frozen=True)
class Case:
    """A row of the table.

    Attributes:
        name: what is differentiated.
        make: the problem, made anew at each call, the same from the same seed.
        expected: "right", or words of the one line that refuses it.
        needs: a package without which the case is left out.
    """

    name: str
    make: Callable[[], Cell]
    expected: str = RIGHT
    needs: str = ""

    def cell(self) -> Cell:
        """The problem, from the seed of all."""
        torch.manual_seed(SEED)
        cell = self.make()
        if cell.options.get("mode", "eval") == "eval":
            cell.model.eval()
        return cell


@dataclass(frozen=True)
class Outcome:
    """What came of a case.

    Attributes:
        says: "right", or the line that refused it.
        error: of the product, relative; None of a refusal.
        kernel: what multiplied.
        top: |lambda_max - wanted| / wanted beyond its interval, 0 inside; None where it was not compared.
    """

    says: str
    error: float | None = None
    kernel: str = ""
    top: float | None = None


def outcome(case: Case) -> Outcome:
    """Carry a case out: anything but ValueError and TypeError of one line passes through."""
    from flatproof.verify.curvature import lambda_max

    cell = case.cell()
    try:
        operator = cell.operator()
        vector = torch.randn(operator.shape[0], generator=torch.Generator().manual_seed(3), dtype=torch.float64)
        product = operator.matvec(vector.to(operator.dtype)).double()
        estimate = lambda_max(operator, confidence=1 - 1e-6, max_products=min(operator.shape[0], 8))
    except (ValueError, TypeError) as error:
        return Outcome(str(error))
    error = apart(case, vector, product)
    top = None
    if cell.matrix == "Hessian" and operator.shape[0] <= DENSE:
        values = torch.linalg.eigvalsh(explicit(case, operator.shape[0]))
        wanted, size = float(values[-1]), float(values.abs().max())
        top = max(estimate.low - wanted, wanted - estimate.high, 0.0) / size if size > 0 else 0.0
    return Outcome(RIGHT if error <= cell.close else f"off by {error:.1e}", error, operator.kernel, top)


def apart(case: Case, vector: Tensor, product: Tensor) -> float:
    """The relative error of a product against differences of the gradient, the best of some steps."""
    cell = case.cell()
    if cell.wanted is not None:
        return _relative(product, cell.wanted(vector))
    if cell.twice:
        return _relative(product, double_backward(reference(case), vector))
    return min(_relative(product, difference(case, vector, h)) for h in (1e-3, 1e-4, 1e-5, 1e-6))


def _relative(product: Tensor, wanted: Tensor) -> float:
    size = max(float(wanted.norm()), float(product.norm()))
    return float((product - wanted).norm()) / size if size > 0 else 0.0


def reference(case: Case) -> Cell:
    """What plain torch differentiates, in float64."""
    cell = case.cell()
    if cell.same_as is not None:
        torch.manual_seed(SEED)
        cell = cell.same_as()
        cell.model.eval()
    return cell.widened()


def difference(case: Case, vector: Tensor, h: float) -> Tensor:
    """(g(theta + h u) - g(theta - h u)) / 2h |v|, u = v / |v|, of fourth order."""
    cell = reference(case)
    direction = vector / vector.norm()
    terms = [(8, h), (-8, -h), (-1, 2 * h), (1, -2 * h)]
    return sum(c * gradient(cell, direction * e) for c, e in terms) / (12 * h) * vector.norm()  # type: ignore[no-any-return]


def double_backward(cell: Cell, vector: Tensor) -> Tensor:
    """H v as the gradient of (gradient . v), of the module as it stands, but that a padding_idx sets no gradient to zero."""
    parameters = cell.moving()
    for module in cell.model.modules():
        if isinstance(module, nn.Embedding):
            module.padding_idx = None
    pieces = [s.reshape(p.shape) for s, p in zip(vector.split([p.numel() for p in parameters]), parameters, strict=True)]
    with sdpa_kernel(SDPBackend.MATH):
        grads = torch.autograd.grad(cell.total(), parameters, create_graph=True, allow_unused=True)
    inner = torch.stack([(g * v).sum() for g, v in zip(grads, pieces, strict=True) if g is not None]).sum()
    columns = torch.autograd.grad(inner, parameters, allow_unused=True)
    return torch.cat(
        [torch.zeros_like(p).flatten() if c is None else c.flatten() for c, p in zip(columns, parameters, strict=True)]
    )


def explicit(case: Case, size: int) -> Tensor:
    """The whole matrix, column by column, symmetrized."""
    H = torch.stack([difference(case, e, 1e-5) for e in torch.eye(size, dtype=torch.float64)], 1)
    return (H + H.T) / 2


def gradient(cell: Cell, shift: Tensor) -> Tensor:
    """Of the whole loss, the parameters moved by `shift` and put back; plain torch, but for random numbers and mode."""
    tensors = cell.moving()
    pieces = [s.reshape(p.shape) for s, p in zip(shift.split([p.numel() for p in tensors]), tensors, strict=True)]
    kept = [p.detach().clone() for p in tensors]
    try:
        with torch.no_grad():
            for p, s in zip(tensors, pieces, strict=True):
                p.add_(s)
        if cell.seeded or cell.options.get("mode") == "train":  # random numbers and batch statistics are the problem's to hold
            return cell.operator().problem.gradient()  # type: ignore[no-any-return]
        for p in tensors:
            p.grad = None
        cell.total().backward()  # type: ignore[no-untyped-call]
        grads = [torch.zeros_like(p) if p.grad is None else p.grad.to_dense() for p in tensors]
        return torch.cat([g.flatten() for g in grads]).detach().clone()
    finally:
        with torch.no_grad():
            for p, k in zip(tensors, kept, strict=True):
                p.copy_(k)


def called(model: nn.Module, inputs: Any) -> Any:
    """The model's outputs: a mapping is arguments by name, a tuple by place."""
    if isinstance(inputs, Mapping):
        return model(**inputs)
    return model(*inputs) if isinstance(inputs, (tuple, list)) else model(inputs)


def tensors(value: Any) -> Iterator[Tensor]:
    """The tensors within."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for piece in value.values():
            yield from tensors(piece)
    elif isinstance(value, (tuple, list)):
        for piece in value:
            yield from tensors(piece)


def wide(value: Any) -> Any:
    """Floating point tensors in float64."""
    if isinstance(value, Tensor):
        return value.double() if value.is_floating_point() else value
    if isinstance(value, Mapping):
        return {k: wide(v) for k, v in value.items()}
    return type(value)(wide(v) for v in value) if type(value) in (tuple, list) else value
