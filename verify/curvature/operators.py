"""Owns the curvature operators: symmetric P x P matrices of a problem, known by their products with vectors.

    HessianOperator      H = d^2 L / d theta^2
    GaussNewtonOperator  G = sum_b w_b J_b' (d^2 loss / d outputs^2) J_b,   J = d outputs / d theta         (Schraudolph 2002)
    FisherOperator       F = (1/n) sum_i g_i g_i',   g_i the gradient of sample i's own loss ("empirical"; sum_i for reduction "sum")

Products are exact up to rounding (but for the kernel "finite-difference") and deterministic. What a kernel keeps belongs to the
parameters it was prepared at: it is renewed by itself when a parameter or buffer was written in place, and by `refresh` when that was
done behind torch's back (through `.data`) or a module's parameter was replaced by another.
"""

from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator
from torch import Tensor, nn

from verify.curvature.kernels import AUTO, PREPARE, KernelName, Product, Unsupported, check_kernel
from verify.curvature.kernels.outer import fisher, gauss_newton
from verify.curvature.problem import Batch, Loss, Mode, Parameters, Problem, Reduction, distributed, reduced, same_data

MEMORY = 4 << 30  # bytes of kept activations beyond which further batches are prepared anew for each product


class Operator(ABC):
    """A symmetric matrix known by its products.

    Attributes: problem; products, the vectors multiplied so far; kernel, what computes them ("auto" until the first product).
    """

    def __init__(self, problem: Problem, kernel: str, memory: int = MEMORY) -> None:
        if isinstance(memory, bool) or not isinstance(memory, int) or memory < 0:
            raise ValueError(f"memory must be a whole number of bytes of at least 0, got {memory!r}")
        self.problem, self.memory = problem, memory
        self.kernel: str = kernel
        self.products = 0
        self._kept: dict[int, tuple[Batch, Product]] = {}
        self._complete = False
        self._alone: Product | None = None  # the short way: one batch, no weight, a kernel that takes a plain vector
        self._versions = problem.versions()
        self.rounding: Any = None  # what `rounding_of` saw, and at which versions

    @property
    def shape(self) -> tuple[int, int]:
        """(P, P)."""
        return self.problem.size, self.problem.size

    @property
    def dtype(self) -> torch.dtype:
        """Of the parameters, hence of all vectors."""
        return self.problem.dtype

    @property
    def device(self) -> torch.device:
        """Of the parameters, hence of all vectors."""
        return self.problem.device

    @property
    @abstractmethod
    def description(self) -> str:
        """One line: which matrix, of how many parameters, on how much data, by which kernel."""

    @abstractmethod
    def _prepare(self, batch: Batch) -> Product:
        """What multiplies (P, k) by the batch's matrix at the present parameters."""

    def matvec(self, vector: Tensor, /) -> Tensor:
        """The product with one vector, (P,) -> (P,). Errors: TypeError or ValueError for a vector that does not fit or is not finite."""
        vector = self.problem.check_vector(vector)
        if self._alone is not None and self.problem.versions() == self._versions:
            self.products += 1
            return self._alone(vector)
        return self._product(vector.unsqueeze(1)).squeeze(1)

    def matmat(self, block: Tensor, /) -> Tensor:
        """The products with k vectors, (P, k) -> (P, k): one call shares what the kernel can share. Errors as for `matvec`."""
        return self._product(self.problem.check_block(block))

    def __matmul__(self, other: Tensor) -> Tensor:
        return self.matvec(other) if other.ndim == 1 else self.matmat(other)

    def _product(self, block: Tensor) -> Tensor:
        total: Tensor | None = None
        for batch, product in self._batches():
            part = product(block)
            if batch.weight != 1:
                part = part * batch.weight
            total = part if total is None else total.add_(part)
        if total is None:  # a rank without data
            total = torch.zeros_like(block)
        self.products += block.shape[1]
        return reduced(total.detach())

    def _batches(self) -> Any:
        if (versions := self.problem.versions()) != self._versions:
            self.refresh()
            self._versions = versions
        if self._complete:
            yield from self._kept.values()
            return
        used = sum(getattr(p, "bytes", 0) for _, p in self._kept.values())
        every = True
        for batch in self.problem.batches():
            if batch.index in self._kept and not same_data(batch, self._kept[batch.index][0]):
                raise ValueError(
                    f"data must give the same batches at each pass, batch {batch.index} differs (shuffle=False), or all must fit in memory"
                )
            if batch.index not in self._kept:
                product = self._prepare(batch)
                used += getattr(product, "bytes", 0)
                if used > self.memory and self._kept:
                    every, used = False, used - getattr(product, "bytes", 0)
                    yield batch, product
                    continue
                self._kept[batch.index] = batch, product
            yield self._kept[batch.index]
        self._complete = every
        if every and len(self._kept) == 1 and not distributed():
            ((batch, product),) = self._kept.values()
            self._alone = getattr(product, "vector", None) if batch.weight == 1 else None

    def directions(self) -> Tensor:
        """Unit columns (P, c) that lean towards the top eigenvectors; see `Problem.directions`. Kernels may know them already."""
        problem = self.problem
        return problem.joined(
            (product.directions() if hasattr(product, "directions") else problem.batch_directions(batch), batch)
            for batch, product in self._batches()
        )

    def refresh(self) -> None:
        """Forget what was kept; the next product reads the parameters anew."""
        self._kept.clear()
        self._complete, self._alone, self.rounding = False, None, None

    def dense(self) -> Tensor:
        """The matrix itself, (P, P), by P products; for small P."""
        return self.matmat(torch.eye(self.problem.size, dtype=self.dtype, device=self.device))

    def linear_operator(self) -> LinearOperator:
        """The same as a scipy LinearOperator on numpy arrays of the operator's precision."""
        name = np.dtype(str(self.dtype).removeprefix("torch.") if self.dtype in (torch.float32, torch.float64) else "float32")

        def tensor(values: NDArray[Any]) -> Tensor:
            return torch.as_tensor(np.ascontiguousarray(values, dtype=name)).to(dtype=self.dtype, device=self.device)

        def one(values: NDArray[Any]) -> NDArray[Any]:
            return self.matvec(tensor(values.reshape(-1))).to("cpu", getattr(torch, name.name)).numpy()

        def many(values: NDArray[Any]) -> NDArray[Any]:
            return self.matmat(tensor(values)).to("cpu", getattr(torch, name.name)).numpy()

        return LinearOperator(self.shape, matvec=one, rmatvec=one, matmat=many, rmatmat=many, dtype=name)

    def _said(self, what: str) -> str:
        p = self.problem
        return f"{what}, {p.size} parameters, {p.samples} samples, mode {p.mode}, kernel {self.kernel}"


class HessianOperator(Operator):
    """The Hessian of the loss.

    Args:
        model, loss, data, parameters, mode, reduction, seed: as for `Problem`.
        kernel: one of `kernels.KernelName`; "auto" takes the fastest that applies, once, at the first product.
        memory: bytes of kept state beyond which batches are prepared anew for every product.
    Errors: those of `Problem`; ValueError for an unknown kernel or one that cannot do this model.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        data: Any,
        *,
        parameters: Parameters = None,
        kernel: KernelName = "auto",
        mode: Mode = "eval",
        reduction: Reduction = "mean",
        seed: int = 0,
        memory: int = MEMORY,
    ) -> None:
        super().__init__(
            Problem(model, loss, data, parameters, mode=mode, reduction=reduction, seed=seed), check_kernel(kernel), memory
        )

    @classmethod
    def of(cls, problem: Problem, *, kernel: KernelName = "auto", memory: int = MEMORY) -> Self:
        """The operator of a problem that is there already."""
        made = cls.__new__(cls)
        Operator.__init__(made, problem, check_kernel(kernel), memory)
        return made

    def moved(self, problem: Problem, kernel: str | None = None) -> "HessianOperator":
        """The same matrix of another problem, by the same kernel or the one named; nothing is kept but the first batch."""
        made = type(self).__new__(type(self))
        Operator.__init__(made, problem, check_kernel(kernel or self.kernel), memory=0)
        return made

    @property
    def description(self) -> str:
        """One line: which matrix, of how many parameters, on how much data, by which kernel."""
        return self._said("Hessian")

    def _prepare(self, batch: Batch) -> Product:
        if self.kernel != "auto":
            try:
                return PREPARE[self.kernel](self.problem, batch)
            except Unsupported as error:
                raise ValueError(f"kernel {self.kernel!r} cannot do this model: {error}") from error
        for name in AUTO:
            try:
                product = PREPARE[name](self.problem, batch)
            except Unsupported:
                continue
            self.kernel = name
            return product
        raise AssertionError("the last kernel of AUTO does every model")


class _OuterOperator(Operator):
    """A matrix J' C J: tangents to the outputs, a matrix there, and back."""

    what: str

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        data: Any,
        *,
        parameters: Parameters = None,
        mode: Mode = "eval",
        reduction: Reduction = "mean",
        seed: int = 0,
        memory: int = MEMORY,
    ) -> None:
        super().__init__(Problem(model, loss, data, parameters, mode=mode, reduction=reduction, seed=seed), "linearize", memory)

    @classmethod
    def of(cls, problem: Problem, *, memory: int = MEMORY) -> Self:
        """The operator of a problem that is there already."""
        made = cls.__new__(cls)
        Operator.__init__(made, problem, "linearize", memory)
        return made

    def moved(self, problem: Problem, kernel: str | None = None) -> Self:
        """The same matrix of another problem; nothing is kept but the first batch."""
        return self.of(problem, memory=0)

    @property
    def description(self) -> str:
        """One line: which matrix, of how many parameters, on how much data, by which kernel."""
        return self._said(self.what)


class GaussNewtonOperator(_OuterOperator):
    """The generalized Gauss-Newton matrix: the Hessian without the second derivatives of the outputs. Arguments: `HessianOperator`."""

    what = "Gauss-Newton matrix"

    def _prepare(self, batch: Batch) -> Product:
        return gauss_newton(self.problem, batch)


class FisherOperator(_OuterOperator):
    """The empirical Fisher matrix, the mean (or sum) of the samples' g g'. Arguments: `HessianOperator`.

    The loss must be the mean (reduction "mean") or the sum over samples of a loss of each sample's own outputs.
    """

    what = "empirical Fisher matrix"

    def _prepare(self, batch: Batch) -> Product:
        return fisher(self.problem, batch)
