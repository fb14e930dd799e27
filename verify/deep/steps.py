"""Owns the steps: SGD and ADAM on a batch, SAM's two passes, conservative (proximal) and adversarial training.

f is the mean loss of the batch: cross-entropy, its labels smoothed where the method says so, or a function of one's own. The update itself
is torch's optimizer, whose weight decay adds to the gradient.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flatproof.verify.deep.data import picked
from flatproof.verify.deep.registry import builder
from flatproof.verify.deep.settings import CROSS_ENTROPY, Method

PEAK = 0.4  # of all steps: where the schedule "triangle" has its largest step size
Step = Callable[[Tensor, Tensor], Tensor]


def make_optimizer(method: Method, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    """torch's SGD or ADAM in one fused pass over the parameters."""
    if method.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=method.lr, weight_decay=method.weight_decay, fused=True)
    return torch.optim.SGD(parameters, lr=method.lr, momentum=method.momentum, weight_decay=method.weight_decay, fused=True)


def criterion_of(method: Method) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss of scores (n, classes) and classes (n,), a mean over the n. Errors: ValueError for one of one's own that is not there."""
    if method.loss == CROSS_ENTROPY:
        return lambda scores, y: F.cross_entropy(scores, y, label_smoothing=method.smoothing)
    return builder(method.loss, "loss")


def make_step(method: Method, model: nn.Module, optimizer: torch.optim.Optimizer) -> Step:
    """How one batch moves the model.

    Args:
        method: the rule.
        model: the network.
        optimizer: what `make_optimizer` gives for its parameters.

    Returns:
        step(x, y): moves the model; the batch's loss before the move, detached. It synchronizes nothing.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]

    criterion = criterion_of(method)

    def loss_of(x: Tensor, y: Tensor) -> Tensor:
        return criterion(model(x), y)

    def gradient(x: Tensor, y: Tensor) -> Tensor:
        """grad f into p.grad; returns f."""
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(x, y)
        torch.autograd.backward(loss)
        return loss.detach()

    def plain(x: Tensor, y: Tensor) -> Tensor:
        loss = gradient(x, y)
        optimizer.step()
        return loss

    def sam(x: Tensor, y: Tensor) -> Tensor:
        """The gradient at w + rho g / ||g|| moves w (Foret et al. 2021); both passes are of one function, see `repeatable`."""
        with repeatable(model, x.device) as again:
            loss = gradient(x, y)
            grads = [p.grad for p in parameters if p.grad is not None]
            moved = [p.detach() for p in parameters if p.grad is not None]
            before = [p.clone() for p in moved]
            length = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(grads)))
            # where the gradient is exactly zero there is no perturbation
            torch._foreach_add_(moved, torch._foreach_mul(grads, torch.where(length > 0, method.rho / length, 0.0)))
            with again():
                gradient(x, y)
            torch._foreach_copy_(moved, before)
        optimizer.step()
        return loss

    def proximal(x: Tensor, y: Tensor) -> Tensor:
        """`inner` steps on f + lambda/2 ||w - w_k||^2 from w_k."""
        place = [p.detach() for p in parameters]
        center = [p.clone() for p in place]
        first = None
        for _ in range(method.inner):
            loss = gradient(x, y)
            first = loss if first is None else first
            for p, here, there in zip(parameters, place, center, strict=True):
                pull = method.proximal * (here - there)
                p.grad = pull if p.grad is None else p.grad.add_(pull)
            optimizer.step()
        assert first is not None  # inner is at least 1
        return first

    def adversarial(x: Tensor, y: Tensor) -> Tensor:
        """(f(x) + f(x + epsilon sign grad_x f)) / 2; all three passes are of one function, see `repeatable`."""
        with repeatable(model, x.device) as again:
            inputs = x.detach().requires_grad_()
            with again():
                (slope,) = torch.autograd.grad(loss_of(inputs, y), inputs)
            optimizer.zero_grad(set_to_none=True)
            loss = loss_of(x, y)
            with again():
                shaken = loss_of(x + method.adversarial * slope.sign(), y)
            torch.autograd.backward(0.5 * (loss + shaken))
        optimizer.step()
        return loss.detach()

    return sam if method.rho else proximal if method.proximal else adversarial if method.adversarial else plain


def rate_at(method: Method, done: int, steps: int) -> float:
    """The step size of a step.

    Args:
        method: whose schedule it is.
        done: steps before it.
        steps: of the whole training.
    """
    if method.schedule == "constant":
        return method.lr
    return method.lr * float(np.interp(done + 1, (0, PEAK * steps, steps), (0, 1, 0)))  # the last step has size 0, as theirs


def mixed(x: Tensor, y: Tensor, alpha: float, classes: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A batch mixed with a shuffled copy of itself: images, and shares of the classes (n, classes) as labels.

    Args:
        x: images (n, ...).
        y: labels (n,).
        alpha: of the law of the share, Beta(alpha, alpha).
        classes: how many.
        generator: on the CPU.
    """
    gammas = torch._standard_gamma(torch.full((2,), alpha, dtype=torch.float64), generator=generator)
    share = float(gammas[0] / gammas.sum()) if float(gammas.sum()) > 0 else 1.0  # both underflow at a tiny alpha
    other = torch.randperm(len(y), generator=generator).to(y.device)
    shares = F.one_hot(y, classes).to(x.dtype)
    return x.lerp(picked(x, other), 1 - share), shares.lerp(shares.index_select(0, other), 1 - share)


@contextmanager
def repeatable(model: nn.Module, device: torch.device) -> Iterator[Callable[[], AbstractContextManager[None]]]:
    """Gives again(): a pass within it is of the same function of the parameters as the pass made outside, and leaves no trace.

    It draws the same random numbers (torch's generators start where they stood at the beginning: dropout as a module or a function,
    stochastic depth), and it starts from the same buffers (spectral norm's vectors). What it writes into buffers is dropped, so that
    running statistics move once a step; batch normalization still normalizes by the batch.
    """
    state = _random_state(device)
    clones = {id(buffer): buffer.clone() for _, _, buffer in _buffers(model)}  # one that two modules share stays shared
    start = {(id(module), name): clones[id(buffer)] for module, name, buffer in _buffers(model)}

    @contextmanager
    def again() -> Iterator[None]:
        here, places = _random_state(device), _buffers(model)
        held = [start.get((id(module), name), buffer) for module, name, buffer in places]
        spares = {id(buffer): buffer.clone() for buffer in held}
        _set_random_state(device, state)
        for (module, name, _), buffer in zip(places, held, strict=True):
            module._buffers[name] = spares[id(buffer)]
        try:
            with frozen_statistics(model):
                yield
        finally:
            for module, name, buffer in places:
                module._buffers[name] = buffer
            _set_random_state(device, here)

    yield again


def _random_state(device: torch.device) -> tuple[Tensor, Tensor | None]:
    return torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == "cuda" else None


def _set_random_state(device: torch.device, state: tuple[Tensor, Tensor | None]) -> None:
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1], device)


def _batch_norms(model: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    return [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.track_running_stats]


def _buffers(model: nn.Module) -> list[tuple[nn.Module, str, Tensor]]:
    """Every place that holds a buffer, but for batch normalization's, which `frozen_statistics` keeps."""
    kept = {id(m) for m in _batch_norms(model)}
    modules = [m for m in model.modules() if id(m) not in kept]
    return [(m, name, buffer) for m in modules for name, buffer in m._buffers.items() if buffer is not None]


@contextmanager
def frozen_statistics(model: nn.Module) -> Iterator[None]:
    """Batch normalization still normalizes by the batch, but its running statistics and count stay as they are."""
    tracking = _batch_norms(model)
    for module in tracking:
        module.track_running_stats = False
    try:
        yield
    finally:
        for module in tracking:
            module.track_running_stats = True
