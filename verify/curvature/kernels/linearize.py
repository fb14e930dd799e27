"""Owns the kernel that linearizes once: the gradient is computed and recorded one time, every product replays its derivative.

Pearlmutter's (1994) R-operator, over the recorded operations of any model (`tape`, `tangents`): activations and back-propagated signals
at the point are kept, so a product costs two multiplications a layer on the way forward and up to four on the way back, no graph,
and only what the rules need stays in memory. Convolutions are recorded with channels last, the layout that they are fastest in.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from flatproof.verify.curvature.batches import Batch
from flatproof.verify.curvature.kernels.tangents import Unsupported
from flatproof.verify.curvature.kernels.tape import Program, Tape
from flatproof.verify.curvature.problem import Problem
from flatproof.verify.curvature.tree import mapped

# batching saves calls and costs copies: it pays for many vectors on a small network, such as a whole matrix
TOGETHER_FROM, TOGETHER_BYTES = 16, 32 << 20


def prepare(problem: Problem, batch: Batch) -> Callable[[Tensor], Tensor]:
    """The product with the Hessian of the batch's loss, (P, k) -> (P, k); Unsupported if the model cannot be recorded."""
    try:
        return _Recorded(problem, batch, channels_last=True)
    except (Unsupported, RuntimeError):
        # a model may insist on a layout (x.view of a feature map): record it as it is
        return _Recorded(problem, batch, channels_last=False)


class _Recorded:
    """The recorded gradient of one batch. `bytes` is what it keeps.

    A vector of lower precision than the parameters' is converted piece by piece, and so is its product.
    """

    converts = True

    def __init__(self, problem: Problem, batch: Batch, channels_last: bool) -> None:
        self.problem = problem
        tape = Tape()
        leaves = [laid_out(p, channels_last).requires_grad_() for p in problem.each_point()]
        self.formats = [p.is_contiguous(memory_format=torch.channels_last) and not p.is_contiguous() for p in leaves]
        inputs = batch if not channels_last else _channels_last(batch)
        sources = [tape.watch(leaf) for leaf in leaves]
        with torch.enable_grad(), problem.prepared(batch) as buffers, sdpa_kernel(SDPBackend.MATH), tape:
            with tape.watcher():
                value = problem.batch_loss(leaves, buffers, inputs)
            problem.check_loss(value, batch)
            tape.forward = False
            with tape.watcher():  # checkpointing runs the model's own Python again
                grads = torch.autograd.grad(value, leaves, allow_unused=True)
        self.program: Program = tape.program(sources, grads)
        self.bytes = self.program.bytes
        self.together = True

    def __call__(self, block: Tensor) -> Tensor:
        k = block.shape[1]
        with torch.no_grad():
            if k >= TOGETHER_FROM and self.together and self.bytes * k <= TOGETHER_BYTES:
                try:
                    return torch.vmap(self._single, in_dims=1, out_dims=1)(block)
                except RuntimeError:  # an operation without a batching rule
                    self.together = False
            if k == 1:
                return self._poured(block.squeeze(1)).unsqueeze(1)
            return torch.stack([self._poured(vector) for vector in block.unbind(1)], dim=1)

    def _pieces(self, vector: Tensor) -> Iterator[Tensor]:
        pieces = self.problem.unflatten(vector)
        return (laid_out(p.to(self.problem.dtype), last) for p, last in zip(pieces, self.formats, strict=True))

    def _single(self, vector: Tensor) -> Tensor:
        return self.problem.flatten(self.program(self._pieces(vector)))

    def _poured(self, vector: Tensor) -> Tensor:
        """The same, piece by piece into its place: no second copy of the product is held."""
        product = torch.empty_like(vector, memory_format=torch.contiguous_format)
        places = self.problem.unflatten(product)
        still = set(range(len(places)))

        def put(place: int, tangent: Tensor) -> None:
            places[place].copy_(tangent)
            still.discard(place)

        self.program.pour(self._pieces(vector), put)
        for place in still:
            places[place].zero_()
        return product


def laid_out(tensor: Tensor, channels_last: bool) -> Tensor:
    """The tensor, copied to channels-last layout if it is a feature map or a bank of filters and that is wanted."""
    return tensor.contiguous(memory_format=torch.channels_last) if channels_last and tensor.ndim == 4 else tensor


def _channels_last(batch: Batch) -> Batch:
    inputs = mapped(lambda t: laid_out(t, True), batch.inputs)
    return replace(batch, inputs=inputs, targets=inputs if batch.targets is batch.inputs else batch.targets)
