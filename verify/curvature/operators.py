"""Owns the curvature operators: symmetric P x P matrices of a problem, known by their products with vectors.

    HessianOperator      H = d^2 L / d theta^2
    GaussNewtonOperator  G = sum_b w_b J_b' (d^2 loss / d outputs^2) J_b,   J = d outputs / d theta         (Schraudolph 2002)
    FisherOperator       F = (1/n) sum_i g_i g_i',   g_i the gradient of sample i's own loss ("empirical"; sum_i for reduction "sum")

What multiplies is verified once, at the first product, against differences of the gradient (of the outputs, for the last two), on a few
samples (`verification`): `rests_on` says which kernel stands and what that gave; where none does there is an error and no number.
Products are exact up to rounding (but for the kernel "finite-difference") and deterministic. What a kernel keeps belongs to the
parameters it was prepared at: it is renewed by itself when a parameter or buffer was written in place, and by `refresh` when that was
done behind torch's back (through `.data`) or a module's parameter was replaced by another.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Self, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator
from torch import Tensor, nn

from flatproof.verify.curvature.allowance import Allowance, allowed, room_left
from flatproof.verify.curvature.batches import GROUPS, Batch, WeightOf, part_of_batch, same_data
from flatproof.verify.curvature.examination import examine, shortly
from flatproof.verify.curvature.isolation import plain
from flatproof.verify.curvature.kernels import AUTO, PREPARE, KernelName, Product, Unsupported, closed_form, finite_difference
from flatproof.verify.curvature.kernels.outer import Outer, fisher, gauss_newton
from flatproof.verify.curvature.parts import part_of
from flatproof.verify.curvature.problem import Loss, Mode, Problem, Reduction
from flatproof.verify.curvature.processes import distributed, reduced, summed
from flatproof.verify.curvature.selection import Parameters
from flatproof.verify.curvature.verification import differenced, verified, verified_tangents
from flatproof.verify.utils.checks import check_one_of
from flatproof.verify.utils.memory import give_back, trim

MEMORY = 4 << 30  # bytes of kept activations beyond which further batches are prepared anew for each product


class Operator(ABC):
    """A symmetric matrix known by its products.

    Args:
        model: as for `Problem`, like all but the last three.
        loss: (outputs, targets) -> scalar; None: the model's own.
        data: one (inputs, targets) pair or mapping, or any re-iterable of such.
        parameters: names, prefixes of names, modules or parameters; all that require grad if None.
        mode: "eval" or "train".
        reduction: whether the loss is the mean over its batch or the sum.
        seed: of the random numbers that the model draws.
        weight_of: (inputs, targets) -> what a batch's mean is over, if not its samples.
        arithmetic: the precision of the products, if not the parameters' own.
        kernel: what multiplies, one of `KERNELS`; "auto" takes the first of `kernels.AUTO` that applies and is verified, once, at the first
            product, and `rests_on` says which and why not those before it.
        memory: bytes of kept state beyond which batches are prepared anew for every product.
        peak: bytes that looking at the loss, the kernel and the rounding, products and searches for eigenvalues may take at once
            beyond model and data: `allowance` says how they are shared out. The matrix is the same; it costs more time. A block is
            multiplied vector by vector, and what is returned is the caller's. None: what they take; an error where the machine has
            not got that.
        verify: whether what multiplies is verified; if not, it stands as it is, and `rests_on` says so.

    Attributes:
        problem: what is differentiated.
        products: vectors multiplied so far.
        kernel: what computes the products; "auto" until the first.
        gradients: passes over the data spent on verifying.
        rests_on: what verifying gave; "" until the first product.

    Raises:
        TypeError: as for `Problem`.
        ValueError: as for `Problem`; an unknown kernel; at the first product, a kernel that cannot do this model, or none that is verified.
    """

    KERNELS: ClassVar[tuple[str, ...]]
    what: ClassVar[str]

    def __init__(
        self,
        model: nn.Module,
        loss: Loss | None,
        data: Any,
        *,
        parameters: Parameters = None,
        mode: Mode = "eval",
        reduction: Reduction = "mean",
        seed: int = 0,
        weight_of: WeightOf | None = None,
        arithmetic: torch.dtype | None = None,
        kernel: KernelName = "auto",
        memory: int = MEMORY,
        peak: int | None = None,
        verify: bool = True,
    ) -> None:
        problem = Problem(
            model, loss, data, parameters, mode=mode, reduction=reduction, seed=seed, weight_of=weight_of, arithmetic=arithmetic
        )
        self._begin(problem, kernel, memory, verify, peak)

    @classmethod
    def of(
        cls, problem: Problem, *, kernel: KernelName = "auto", memory: int = MEMORY, peak: int | None = None, verify: bool = True
    ) -> Self:
        """The operator of a problem that is there already; arguments of the class."""
        operator = cls.__new__(cls)
        operator._begin(problem, kernel, memory, verify, peak)
        return operator

    def _begin(self, problem: Problem, kernel: str, memory: int, verify: bool, peak: int | None = None) -> None:
        self.kernel: str = check_one_of("kernel", kernel, self.KERNELS)
        for name, count in (("memory", memory), ("peak", 0 if peak is None else peak)):
            if isinstance(count, bool) or not isinstance(count, int) or count < 0:
                raise ValueError(f"{name} must be a whole number of bytes of at least 0, got {count!r}")
        self.allowance: Allowance | None = None if peak is None else allowed(problem, peak)
        if self.allowance is not None:
            problem = problem.lighter(self.allowance.most, self.allowance.narrow)
            memory = min(memory, self.allowance.state)
        self.problem, self.memory = problem, memory
        self.products, self.gradients, self.rests_on, self.verify = 0, 0.0, "", verify
        self._kept: dict[int, tuple[Batch, Product]] = {}
        self._complete = False
        self._alone: Product | None = None  # the short way: one batch, no weight, a kernel that takes a plain vector
        self._versions = problem.versions()
        self.rounding: Any = None  # what `rounding_of` saw, and at which versions

    def moved(self, problem: Problem, kernel: str | None = None) -> Self:
        """The same matrix of another problem, unverified; nothing is kept but the first batch.

        Args:
            problem: of the same parameters.
            kernel: what multiplies; None for the same as here.
        """
        operator = type(self).__new__(type(self))
        operator._begin(problem, kernel or self.kernel, memory=0, verify=False)
        operator.allowance = self.allowance
        return operator

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
    def description(self) -> str:
        """One line: which matrix, of how many parameters, on how much data, by which kernel."""
        p = self.problem
        return f"{self.what}, {p.size} parameters, {p.samples} samples, mode {p.mode}, kernel {self.kernel}"

    @abstractmethod
    def _settle(self) -> None:
        """Decide, once, what multiplies: sets kernel, gradients and rests_on."""

    @abstractmethod
    def _prepare(self, batch: Batch) -> Product:
        """What multiplies (P, k) by the batch's matrix at the present parameters."""

    def matvec(self, vector: Tensor, /) -> Tensor:
        """The product with a vector.

        Args:
            vector: (P,), of the operator's dtype and device.

        Returns:
            H v, (P,).

        Raises:
            TypeError: the vector is no tensor.
            ValueError: it does not fit or is not finite, or there is no product; see the class.
        """
        vector = self.problem.check_vector(vector)
        if self._alone is not None and self.problem.versions() == self._versions:
            self.products += 1
            return self._alone(vector)
        return self._product(vector.unsqueeze(1)).squeeze(1)

    def matmat(self, block: Tensor, /) -> Tensor:
        """The products with k vectors: one call shares what the kernel can share.

        Args:
            block: V, (P, k), of the operator's dtype and device.

        Returns:
            H V, (P, k).

        Raises:
            TypeError: as for `matvec`.
            ValueError: as for `matvec`.
        """
        return self._product(self.problem.check_block(block))

    def __matmul__(self, other: Tensor) -> Tensor:
        return self.matvec(other) if other.ndim == 1 else self.matmat(other)

    def _product(self, block: Tensor) -> Tensor:
        with plain(self.device):
            return self._sum(block)

    def _sum(self, block: Tensor) -> Tensor:
        total: Tensor | None = None
        moving = self.problem.moving
        block = block.clone() if block.is_inference() else block
        block = block if moving is None else block * moving[:, None]
        for batch, product in self._batches():
            if self.allowance is not None and block.shape[1] > 1:
                total = torch.zeros_like(block) if total is None else total
                for column, vector in zip(total.unbind(1), block.unbind(1), strict=True):
                    column.add_(product(vector[:, None])[:, 0], alpha=batch.weight)
                continue
            part = product(block)
            if batch.weight != 1:
                part.mul_(batch.weight)
            total = part if total is None else total.add_(part)
        if total is None:  # a rank without data
            total = torch.zeros_like(block)
        self.products += block.shape[1]
        total = total.detach() if moving is None else total.detach() * moving[:, None]
        return reduced(total)

    @property
    def parts(self) -> int:
        """Over how many parts of the data `apart` goes; 1 where there is one batch, where processes share the data, or memory is short."""
        return 1 if distributed() or self.allowance is not None else min(GROUPS, self.problem.data.count)

    def apart(self, draw: Callable[[], Tensor]) -> Iterator[Tensor]:
        """The products of matrices H_g, H = sum_g H_g, of consecutive batches each, with vectors of their own; counted as products with H.

        Args:
            draw: gives the next part's V, (P, k).

        Yields:
            H_g V, (P, k).
        """
        count, moving = self.problem.data.count, self.problem.moving
        block = draw()
        total, group = torch.zeros_like(block), 0
        for index, (batch, product) in enumerate(self._batches()):
            if part_of_batch(index, count) > group:
                yield total
                block, group = draw(), group + 1
                total = torch.zeros_like(block)
            with plain(self.device):
                part = product(block if moving is None else block * moving[:, None]).detach()
            total.add_(part if moving is None else part * moving[:, None], alpha=batch.weight)
        yield total
        self.products += block.shape[1]

    def _batches(self) -> Any:
        if (versions := self.problem.versions()) != self._versions:
            self.refresh()
            self._versions = versions
        if self._complete:
            yield from self._kept.values()
            return
        used = sum(getattr(p, "bytes", 0) for _, p in self._kept.values())
        every = True
        if not self.rests_on:
            self._settle()
            self._trim()
        for batch in self.problem.batches():
            if batch.index in self._kept and not same_data(batch, self._kept[batch.index][0]):
                raise ValueError(
                    f"data must give the same batches at each pass, batch {batch.index} differs (shuffle=False), or all must fit in memory"
                )
            if batch.index not in self._kept:
                product = self._prepare(batch)
                self._trim()
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

    def part(self) -> "Operator | None":
        """The same matrix of a small part of the data, by the kernel that was settled on; None where there is none (`parts`)."""
        for _ in self._batches():  # settles, and keeps the first batch for the first product
            break
        known = any(hasattr(product, "directions") for _, product in self._kept.values())
        problem = None if known else part_of(self.problem)  # what a kernel knows by itself costs less
        if problem is None:
            return None
        operator = self.moved(problem)
        operator.memory = self.memory
        return operator

    @property
    def rows_held(self) -> int | None:
        """Vectors of a search that memory may hold; None: as many as there is room for."""
        return None if self.allowance is None else self.allowance.rows

    def _examine(self) -> None:
        """Look at the loss, once, where there is room for that."""
        if self.allowance is None and not self.problem.checked and (left := room_left(self.problem)) is not None:
            self.memory = min(self.memory, left // 2)
        self.gradients += examine(self.problem)

    def _trim(self) -> None:
        """Holes between what is kept count for nobody; those that checking and recording left, once."""
        if self.allowance is not None:
            give_back()
        elif not self.products:
            trim(self.problem.size)

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
            return torch.as_tensor(np.ascontiguousarray(values, dtype=name), device="cpu").to(
                dtype=self.dtype, device=self.device
            )

        def single(values: NDArray[Any]) -> NDArray[Any]:
            return self.matvec(tensor(values.reshape(-1))).to("cpu", getattr(torch, name.name)).numpy()

        def many(values: NDArray[Any]) -> NDArray[Any]:
            return self.matmat(tensor(values)).to("cpu", getattr(torch, name.name)).numpy()

        return LinearOperator(self.shape, matvec=single, rmatvec=single, matmat=many, rmatmat=many, dtype=name)


class HessianOperator(Operator):
    """The Hessian of the loss. Arguments: `Operator`."""

    KERNELS = get_args(KernelName)
    what = "Hessian"
    stretch = 1.0  # of the steps of finite differences

    def _settle(self) -> None:
        self._auto = self.kernel == "auto"
        self._left: tuple[str, ...] = AUTO if self.kernel == "auto" else (self.kernel,)
        if self._left[0] == "closed-form" and (len(self._left) == 1 or closed_form.covers(self.problem)):
            self.kernel, self.rests_on = "closed-form", "kernel closed-form"
            return
        self._left = tuple(name for name in self._left if name != "closed-form")
        self._choose()

    def _choose(self) -> None:
        """Take the first of the kernels left that is verified."""
        if not self.verify:
            self.kernel, self._left = self._left[0], self._left[1:]
            self.rests_on = f"kernel {self.kernel}, not verified"
            return
        self._examine()
        if self._left == ("finite-difference",) and not self._auto:
            says, spent = differenced(self.problem)
            self.rests_on, self._left, self.gradients = f"kernel finite-difference, {says}", (), self.gradients + spent
            return
        self.kernel, says, spent = verified(self.problem, self._left)
        self._left = self._left[self._left.index(self.kernel) + 1 :]
        self.gradients += spent
        self.rests_on = f"kernel {self.kernel}, {says}"

    def _prepare(self, batch: Batch) -> Product:
        while True:
            try:
                if self.kernel == "finite-difference":
                    return finite_difference.prepare(self.problem, batch, self.stretch)
                return PREPARE[self.kernel](self.problem, batch)
            except Unsupported as error:
                if not self._left:
                    raise ValueError(f"kernel {self.kernel!r} cannot do this model: {error}") from error
            self._choose()

    def _product(self, block: Tensor) -> Tensor:
        while True:
            try:
                return super()._product(block)
            except (ValueError, torch.OutOfMemoryError):  # said already
                raise
            except Exception as error:  # of torch within a kernel: some operations fail at the first tangent only
                if self.products or self.kernel == "closed-form" or not self.rests_on:
                    raise
                if not self._left:
                    raise ValueError(f"kernel {self.kernel!r} cannot do this model: {shortly(error)}") from error
            self.refresh()
            self._choose()


class _OuterOperator(Operator):
    """A matrix J' C J: tangents to the outputs, a matrix there, and back."""

    KERNELS = ("auto", "linearize")
    _recorded = True  # else tangents by a kept graph

    def _begin(self, problem: Problem, kernel: str, memory: int, verify: bool, peak: int | None = None) -> None:
        super()._begin(problem, kernel, memory, verify, peak)
        self.kernel = "linearize"

    def moved(self, problem: Problem, kernel: str | None = None) -> Self:
        """The same matrix of another problem; there is one kernel, whichever is named."""
        operator = super().moved(problem)
        operator._recorded = self._recorded
        return operator

    def _settle(self) -> None:
        if not self.verify:
            self.rests_on = "tangents not verified"
            return
        self._examine()
        self._recorded, says, spent = verified_tangents(self.problem, self._outer)
        self.gradients += spent
        self.rests_on = says

    def form(self, vector: Tensor) -> float:
        """v'Mv without the way back: of the Fisher matrix a sum of squares.

        Args:
            vector: v, (P,).
        """
        vector, moving = self.problem.check_vector(vector), self.problem.moving
        vector = vector if moving is None else vector * moving
        with plain(self.device):
            total = sum(batch.weight * outer.form(vector) for batch, outer in self._batches())
        self.products += 1
        return summed(total)[0]

    @staticmethod
    @abstractmethod
    def _outer(problem: Problem, batch: Batch, recorded: bool) -> Outer:
        """The matrix of one batch, its tangents recorded or by a kept graph."""

    def _prepare(self, batch: Batch) -> Product:
        return self._outer(self.problem, batch, self._recorded)


class GaussNewtonOperator(_OuterOperator):
    """The generalized Gauss-Newton matrix: the Hessian without the second derivatives of the outputs. Arguments: `Operator`."""

    what = "Gauss-Newton matrix"
    _outer = staticmethod(gauss_newton)


class FisherOperator(_OuterOperator):
    """The empirical Fisher matrix, the mean (or sum) of the samples' g g'. Arguments: `Operator`.

    The loss must be the mean (reduction "mean") or the sum over samples of a loss of each sample's own outputs.
    """

    what = "empirical Fisher matrix"
    _outer = staticmethod(fisher)
