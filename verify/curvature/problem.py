"""Owns what is differentiated: a model, a loss, its data and a choice of parameters, checked once, with every error named.

    L(theta) = sum_b w_b loss(model(x_b; theta), y_b),   w_b = n_b / n for reduction "mean", 1 for "sum",

so that batches of unequal size give the mean over all n samples; where the loss is a mean over something else (tokens that are not
ignored, samples weighed by class) `weight_of` counts it in place of n_b, and n is its sum. In a process group every rank holds its own
batches, n counts the samples of all ranks, and sums over the batches run over all ranks.

How a model takes its inputs: a tensor alone, a tuple in order, a mapping by name, or as one argument where forward has no argument of any
of its names. The targets among a mapping are left out where forward does not take them.
"""

import copy
import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from flatproof.verify.curvature.batches import LABELS, Batch, Batches, WeightOf, brief
from flatproof.verify.curvature.heads import IN_LOSSES, IN_MODELS, accurate
from flatproof.verify.curvature.isolation import Room, isolated, unwrapped
from flatproof.verify.curvature.processes import distributed, reduced
from flatproof.verify.curvature.selection import Parameters, choose, common_form, embeddings, moving_rows
from flatproof.verify.curvature.shared import Shared
from flatproof.verify.curvature.tree import cast
from flatproof.verify.utils.checks import check_one_of, check_whole

Mode = Literal["eval", "train"]
Reduction = Literal["mean", "sum"]
Loss = Callable[[Any, Any], Tensor]


def own_loss(outputs: Any, _: Any) -> Tensor:
    """The loss that a model computes itself: its only output, or that of the name "loss"; ValueError where there is none."""
    if isinstance(outputs, tuple) and outputs and isinstance(outputs[0], Tensor):
        outputs = outputs[0]
    named = outputs.get("loss") if isinstance(outputs, Mapping) else getattr(outputs, "loss", None)
    value = outputs if isinstance(outputs, Tensor) else named
    if not isinstance(value, Tensor) or value.numel() != 1:
        raise ValueError(
            "the model's outputs hold no loss; expected batches with labels among them, or a loss of outputs and targets"
        )
    return value


def first_derivative(compute: Callable[[], Tensor], leaves: Sequence[Tensor]) -> tuple[Tensor, Sequence[Tensor | None]]:
    """A value and its derivatives in the leaves; by `backward` where reentrant checkpointing insists on it.

    Args:
        compute: gives the value, of a fresh graph at each call.
        leaves: tensors that require grad.
    """
    state = torch.get_rng_state()
    value = compute()
    try:
        return value, torch.autograd.grad(value, leaves, allow_unused=True)
    except RuntimeError as error:
        if not insists(error):
            raise
    torch.set_rng_state(state)
    value = compute()
    value.backward()  # type: ignore[no-untyped-call]
    return value, [leaf.grad for leaf in leaves]


def insists(error: RuntimeError) -> bool:
    """Whether reentrant checkpointing asks for a plain `backward`."""
    return "use_reentrant" in str(error) or "Checkpointing is not compatible" in str(error)


class Problem:
    """A loss as a function of some of a model's parameters.

    Args:
        model: any module. Its parameters are read where they stand; nothing of it is written, whatever its forward does. What data
            parallelism and torch.compile put around it is taken off.
        loss: (outputs, targets) -> scalar; the mean over the batch (reduction "mean") or the sum over it ("sum"); None: `own_loss`.
        data: one batch, or any re-iterable of batches. A batch is an (inputs, targets) pair, its inputs a tensor, or a tuple or mapping of
            arguments; or one mapping, inputs and targets together (`batches`).
        parameters: names, prefixes of names ("layer1"), modules or parameters; all that require grad if None.
        mode: "eval", or "train": batch norm uses each batch's own statistics. Random numbers that the model draws, in either mode, are
            drawn once from `seed` and the batch's place, the same for every product.
        reduction: whether the loss is the mean over its batch or the sum.
        seed: of the random numbers that the model draws.
        weight_of: (inputs, targets) -> what a batch's mean is over, if not its samples: `lambda x, y: (y != -100).sum()`.
        arithmetic: the precision that parameters, buffers and data are converted to wherever they are read, such as torch.float32 for
            weights in bfloat16; None: the parameters' own.

    Attributes:
        names: of the chosen parameters, in the model's order; flat vectors follow it.
        tensors: the chosen parameters.
        size: P, the length of flat vectors.
        moving: None, or (P,) with 0 for the rows of embeddings at their padding_idx, whose gradient torch sets to zero, else 1:
            matrices hold these rows constant.
        samples: n, over all ranks.
        shared: what its measures share, within `shared.sharing`; None outside of it.
        narrow: whether what is looked at in float64 otherwise is looked at in the parameters' own precision, to take less memory.

    Raises:
        TypeError: a model, loss or data of another kind, one-shot data, parameters that are no floating point numbers.
        ValueError: settings out of range, empty data, parameters that name nothing or are all frozen, mixed dtypes or devices; later, a
            loss that is not a finite scalar or does not depend on the parameters.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss | None,
        data: Any,
        parameters: Parameters = None,
        *,
        mode: Mode = "eval",
        reduction: Reduction = "mean",
        seed: int = 0,
        weight_of: WeightOf | None = None,
        arithmetic: torch.dtype | None = None,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
        model, loss = unwrapped(model), own_loss if loss is None else loss
        if any(isinstance(module, torch.jit.ScriptModule) for module in model.modules()):
            raise TypeError(
                "model must be written in Python, torch.jit's parameters cannot be replaced; expected what was scripted"
            )
        if arithmetic is not None and (not isinstance(arithmetic, torch.dtype) or not arithmetic.is_floating_point):
            raise TypeError(f"arithmetic must be a floating point torch.dtype, got {arithmetic!r}")
        if not callable(loss):
            raise TypeError(f"loss must be callable as loss(outputs, targets), got {type(loss).__name__}")
        check_one_of("mode", mode, get_args(Mode))
        check_one_of("reduction", reduction, get_args(Reduction))
        self.seed = check_whole("seed", seed, 0, 2**64 - 1)
        self.model, self.mode, self.reduction, self.arithmetic = model, mode, reduction, arithmetic
        self.loss_function: Loss = loss
        if arithmetic is not None and isinstance(loss, nn.Module):
            self.loss_function = copy.deepcopy(loss).to(arithmetic)
        chosen = choose(model, parameters)
        self.names, self.tensors = tuple(chosen), tuple(chosen.values())
        self.dtype, self.device = common_form(chosen, arithmetic)
        self.shapes = tuple(p.shape for p in self.tensors)
        self.sizes = tuple(p.numel() for p in self.tensors)
        self.size = sum(self.sizes)
        self._chosen = frozenset(self.names)
        self._rooms: list[Room] = []
        self._written: set[str] | None = None  # what a forward pass writes in place; not known before the first
        self.checked = False
        self.shared: Shared | None = None
        self.narrow = False
        self._embeddings = embeddings(model)
        self.moving = moving_rows(self._embeddings, chosen)
        self._watched = (*model.parameters(), *model.buffers())
        self._takes = _names_of(model)
        self.mean = reduction == "mean"
        self.data = Batches(
            data,
            mean=self.mean,
            weight_of=weight_of,
            fixed=mode == "train",
            dtype=self.dtype,
            device=self.device,
            cast=arithmetic is not None,
        )
        self.samples = self.data.samples

    def batches(self) -> Iterator[Batch]:
        """This rank's batches; ValueError where they are not those of the first pass."""
        return iter(self.data)

    def lighter(self, most: int | None, narrow: bool) -> "Problem":
        """The same problem for less memory.

        Args:
            most: samples that are run at a time; None: whole batches.
            narrow: see `narrow`.
        """
        made = copy.copy(self)
        made.data = self.data if most is None else self.data.in_parts(most)
        made.narrow, made._rooms = narrow, []
        return made

    # ------------------------------------------------------------------------------------------------------------ evaluation

    @contextmanager
    def prepared(self, batch: Batch) -> Iterator[dict[str, Tensor]]:
        """Within the block the model is in `mode` and random numbers are this batch's own; yields buffers that may be written.

        The tensors that `outputs` is given last stand in the model until the block ends: run the backward pass within it.
        """
        rank = torch.distributed.get_rank() if distributed() else 0
        seed = (self.seed * 1_000_003 + batch.index * 65_537 + rank) % 2**63
        with isolated(self.model, training=self.mode == "train", seed=seed, device=self.device) as room:
            self._rooms.append(room)
            for module, held in self._embeddings:  # changed for the block, and restored with everything else
                module.sparse = False
                module.padding_idx = module.padding_idx if held else None
            try:
                yield {k: self._fit(b).clone() for k, b in room.buffers.items()}
                room.look()
                self._written = (self._written or set()) | (room.written & room.parameters.keys())
            finally:
                self._rooms.pop()

    def _fit(self, tensor: Tensor) -> Tensor:
        value: Tensor = tensor.detach() if self.arithmetic is None else cast(tensor.detach(), self.arithmetic)
        return value.clone() if value.is_inference() else value

    def outputs(self, tensors: Sequence[Tensor], buffers: Mapping[str, Tensor], batch: Batch) -> Any:
        """The model's outputs; call it within `prepared`.

        Args:
            tensors: what stands in place of the chosen parameters, in their shapes.
            buffers: what stands in place of buffers, by name.
            batch: whose inputs the model takes.
        """
        args, kwargs = self.arguments(batch)
        self.place(tensors, buffers)
        try:
            with accurate(IN_MODELS):
                return self.model(*args, **kwargs)
        except RuntimeError as error:
            # a model that differentiates what it computes of its parameters needs all of them to be differentiable
            if "does not require grad" not in str(error):
                raise
        self.place([t if t.requires_grad else t.detach().requires_grad_() for t in tensors], buffers, differentiable=True)
        with accurate(IN_MODELS):
            return self.model(*args, **kwargs)

    def arguments(self, batch: Batch) -> tuple[Sequence[Any], dict[str, Any]]:
        """What the model is called with; see the head of this module."""
        inputs = batch.inputs
        if not isinstance(inputs, Mapping):
            return (inputs if isinstance(inputs, (tuple, list)) else (inputs,)), {}
        if self._takes is None:
            return (), dict(inputs)
        if self._takes.isdisjoint(inputs):
            return (inputs,), {}
        return (), {name: value for name, value in inputs.items() if name in self._takes or name not in LABELS}

    def place(self, tensors: Sequence[Tensor], buffers: Mapping[str, Tensor], differentiable: bool = False) -> None:
        """Put `tensors` in the place of the chosen parameters until the end of the block `prepared`, for a later backward pass."""
        room = self._rooms[-1]
        # the other parameters are constants: detached, so that nothing is recorded for them
        fixed = {n: self.safe(n, self._fit(p)) for n, p in room.parameters.items() if n not in self._chosen}
        if differentiable:
            fixed = {n: p.requires_grad_(p.is_floating_point()) for n, p in fixed.items()}
        room.substitute({**fixed, **dict(zip(self.names, tensors, strict=True)), **buffers})

    def safe(self, name: str, tensor: Tensor) -> Tensor:
        """The tensor, or a copy where a forward pass writes to it in place or may do so."""
        return tensor.clone() if self._written is None or name in self._written else tensor

    def points(self) -> list[Tensor]:
        """The chosen parameters at their present values, constants that a forward pass may write to."""
        return list(self.each_point())

    def each_point(self) -> Iterator[Tensor]:
        """The same one after another, to be copied."""
        return (self.safe(n, self._fit(p)) for n, p in zip(self.names, self.tensors, strict=True))

    def beside(self, shift: Tensor, factor: float = 1.0) -> list[Tensor]:
        """The chosen parameters moved by `factor` times `shift`, in a row of memory that nothing is copied to or from.

        Args:
            shift: (P,), of any precision.
            factor: of it.
        """
        moved = torch.empty(self.size, dtype=self.dtype, device=self.device).copy_(shift).mul_(factor)
        places = self.unflatten(moved)
        for place, p in zip(places, self.tensors, strict=True):
            place.add_(p.detach())
        return [place.data for place in places]  # each with a version of its own

    def compare(self, outputs: Any, batch: Batch) -> Tensor:
        """The batch's loss, a checked scalar."""
        with accurate(IN_LOSSES):
            value = self.loss_function(outputs, batch.targets)
        if not isinstance(value, Tensor) or value.numel() != 1:
            shape = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else brief(value)
            raise ValueError(f"loss must return a scalar tensor, got {shape}")
        return value.reshape(())

    def batch_loss(self, tensors: Sequence[Tensor], buffers: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """The batch's loss as a function of the chosen parameters; call it within `prepared`."""
        return self.compare(self.outputs(tensors, buffers, batch), batch)

    def batch_value(self, batch: Batch) -> float:
        """The batch's loss at the present parameters."""
        # nothing requires grad but what the model itself differentiates
        with torch.enable_grad(), self.prepared(batch) as buffers:
            return float(self.batch_loss(self.points(), buffers, batch).detach())

    def leaves(self) -> list[Tensor]:
        """The chosen parameters at their present values, as leaves of a fresh graph."""
        return [p.requires_grad_() for p in self.points()]

    @property
    def weights(self) -> Tensor:
        """The chosen parameters at their present values, in a row, (P,)."""
        return self.flatten([self._fit(p) for p in self.tensors])

    def check_loss(self, value: Tensor, batch: Batch) -> Tensor:
        """The loss itself; ValueError unless it is finite and depends on the parameters."""
        if not value.requires_grad:
            raise ValueError("loss must depend on the chosen parameters by differentiable operations, it has no grad")
        if not bool(torch.isfinite(value.detach())):
            raise ValueError(f"loss must be finite, it is {float(value.detach())} at batch {batch.index}")
        return value

    def loss(self) -> float:
        """L at the present parameters."""
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        for batch in self.batches():
            total += batch.weight * self.batch_value(batch)
        return float(reduced(total))

    def gradient(self) -> Tensor:
        """The gradient of L, (P,)."""
        total = torch.zeros(self.size, dtype=self.dtype, device=self.device)
        for batch in self.batches():
            with torch.enable_grad(), self.prepared(batch) as buffers:
                leaves = self.leaves()
                compute = partial(self.batch_loss, leaves, buffers, batch)
                grads = first_derivative(lambda: self.check_loss(compute(), batch), leaves)[1]  # noqa: B023
            total.add_(self.flatten(grads), alpha=batch.weight)
        return reduced(total)

    def directions(self) -> Tensor:
        """Where large curvature tends to lie: the gradient, and J' C e, which moves all outputs together, as unit columns (P, c <= 2).

        C is the Hessian of the loss in the outputs and e the outputs' direction that it bends most on average; near a fit
        H ~ J' C J, whose top eigenvectors lie in the range of J'. A hint and no more: what is not to be had is left out.
        Costs one forward and two backward passes.
        """
        return self.joined((self.batch_directions(batch), batch) for batch in self.batches())

    def joined(self, parts: Iterable[tuple[Tensor, Batch]]) -> Tensor:
        """Unit columns from each batch's rows (2, P), which are written over."""
        sums: Tensor | None = None
        for part, batch in parts:
            sums = part.mul_(batch.weight) if sums is None else sums.add_(part, alpha=batch.weight)
        if sums is None:  # a rank without data
            sums = torch.zeros(2, self.size, dtype=self.dtype, device=self.device)
        lengths = torch.linalg.vector_norm(reduced(sums), dim=1).tolist()
        if not all(0 < length < math.inf for length in lengths):  # squares that underflow or overflow, or nothing at all
            lengths = torch.linalg.vector_norm(sums.double(), dim=1).tolist()
        kept = [place for place, length in enumerate(lengths) if 0 < length < math.inf]
        for place in kept:
            sums[place].div_(lengths[place])
        return (sums if len(kept) == 2 else sums[kept]).T

    def batch_directions(self, batch: Batch) -> Tensor:
        """One batch's gradient and J' C e, rows (2, P); 0 where there is none."""
        with torch.enable_grad(), self.prepared(batch) as buffers:
            leaves = self.leaves()
            outputs = self.outputs(leaves, buffers, batch)
            value = self.check_loss(self.compare(outputs, batch), batch)
            pull = self._common_pull(outputs, batch)
            grads = torch.autograd.grad(value, leaves, retain_graph=pull is not None, allow_unused=True)
            common = [None] * len(leaves) if pull is None else torch.autograd.grad(outputs, leaves, pull, allow_unused=True)
        rows = torch.empty(2, self.size, dtype=self.dtype, device=self.device)
        for row, pieces in zip(rows, (grads, common), strict=True):
            self.flatten(pieces, out=row)
        return rows

    def _common_pull(self, outputs: Any, batch: Batch) -> Tensor | None:
        """C e in the outputs' shape; None for outputs that are no single tensor or a loss without second derivatives in them."""
        if not isinstance(outputs, Tensor) or not outputs.requires_grad:
            return None
        z = outputs.detach().requires_grad_()
        slope = torch.autograd.grad(self.compare(z, batch), z, create_graph=True, allow_unused=True)[0]
        if slope is None or not slope.requires_grad:
            return None
        start = torch.randn(z.shape[1:], generator=torch.Generator().manual_seed(0), device="cpu").to(z)
        e = start = start if z.ndim > 1 else torch.ones_like(start)
        pull = torch.zeros_like(z)
        for _ in range(8):  # power iteration on the mean of C: a rough direction will do
            bent = torch.autograd.grad(slope, z, e.expand_as(z), retain_graph=True, allow_unused=True)[0]
            if bent is None:
                return None
            pull, e = bent, bent.sum(0)
            length = torch.linalg.vector_norm(e)
            if z.ndim == 1 or not float(length) > 0:
                break
            e = e / length
        return pull if float((e * start).sum()) >= 0 else -pull  # one sign for all batches

    # --------------------------------------------------------------------------------------------------------------- vectors

    def flatten(self, pieces: Sequence[Tensor | None], out: Tensor | None = None) -> Tensor:
        """One tensor a parameter -> (P,), written to `out` if there is one; None counts as zero."""
        return torch.cat([
            torch.zeros(n, dtype=self.dtype, device=self.device) if p is None else (p.to_dense() if p.is_sparse else p).reshape(-1)
            for p, n in zip(pieces, self.sizes, strict=True)
        ], out=out)  # fmt: skip

    def unflatten(self, vector: Tensor) -> list[Tensor]:
        """(P,) -> one view a parameter, in its shape; (k, P) -> (k, *shape) each."""
        front = vector.shape[:-1]
        pieces = torch.split(vector, list(self.sizes), dim=-1)
        return [piece.reshape((*front, *shape)) for piece, shape in zip(pieces, self.shapes, strict=True)]

    def named(self, vector: Tensor) -> dict[str, Tensor]:
        """(P,) -> {name of the parameter: its part of the vector, in its shape}."""
        return dict(zip(self.names, self.unflatten(self.check_vector(vector)), strict=True))

    def slices(self) -> dict[str, slice]:
        """Where each parameter stands in a flat vector."""
        out, start = {}, 0
        for name, n in zip(self.names, self.sizes, strict=True):
            out[name] = slice(start, start + n)
            start += n
        return out

    def check_vector(self, vector: Tensor, what: str = "vector") -> Tensor:
        """The vector itself; TypeError or ValueError unless it is a finite (P,) tensor of the parameters' dtype and device."""
        return self._checked(vector, what, 1)

    def check_block(self, block: Tensor) -> Tensor:
        """The same for (P, k)."""
        return self._checked(block, "block", 2)

    def _checked(self, value: Tensor, what: str, ndim: int) -> Tensor:
        if not isinstance(value, Tensor):
            raise TypeError(f"{what} must be a torch.Tensor, got {type(value).__name__}")
        if value.ndim != ndim or value.shape[0] != self.size or 0 in value.shape:
            wanted = f"({self.size},)" if ndim == 1 else f"({self.size}, k) with k >= 1"
            raise ValueError(f"{what} must have shape {wanted}, one entry a parameter, got {tuple(value.shape)}")
        if value.dtype != self.dtype or value.device != self.device:
            raise ValueError(
                f"{what} must be {self.dtype} on {self.device} like the parameters, got {value.dtype} on {value.device}"
            )
        # a sum is NaN or infinite if an entry is; the other way round only by overflow
        if not math.isfinite(float(value.sum())) and not bool(torch.isfinite(value).all()):
            raise ValueError(f"{what} must be finite, it holds NaN or infinity")
        return value.detach()

    def versions(self) -> list[int]:
        """Changes whenever a parameter or buffer of the model is written in place."""
        return [0 if t.is_inference() else t._version for t in self._watched]


def _names_of(model: nn.Module) -> frozenset[str] | None:
    """Of the arguments of the model's forward; None where it takes any."""
    try:
        arguments = inspect.signature(model.forward).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(a.kind is a.VAR_KEYWORD for a in arguments):
        return None
    return frozenset(a.name for a in arguments if a.kind in (a.POSITIONAL_OR_KEYWORD, a.KEYWORD_ONLY))
