"""Owns the steps: SGD and ADAM on a batch, SAM's two passes, conservative (proximal) and adversarial training.

f is the mean cross-entropy of the batch; the update itself is torch's optimizer, whose weight decay adds to the gradient.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from verify.deep.settings import Method

Step = Callable[[Tensor, Tensor], Tensor]


def make_optimizer(method: Method, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    """torch's SGD or ADAM in one fused pass over the parameters."""
    if method.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=method.lr, weight_decay=method.weight_decay, fused=True)
    return torch.optim.SGD(parameters, lr=method.lr, momentum=method.momentum, weight_decay=method.weight_decay, fused=True)


def make_step(method: Method, model: nn.Module, optimizer: torch.optim.Optimizer) -> Step:
    """step(x, y): move the model by one batch; returns the batch's loss before the move, detached, and synchronizes nothing."""
    parameters = [p for p in model.parameters() if p.requires_grad]

    def gradient(x: Tensor, y: Tensor) -> Tensor:
        """grad f into p.grad; returns f."""
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(model(x), y)
        torch.autograd.backward(loss)
        return loss.detach()

    def plain(x: Tensor, y: Tensor) -> Tensor:
        loss = gradient(x, y)
        optimizer.step()
        return loss

    def sam(x: Tensor, y: Tensor) -> Tensor:
        """The gradient at w + rho g / ||g|| moves w (Foret et al. 2021); both passes see the same dropout masks."""
        with same_masks(model, x.device) as again:
            loss = gradient(x, y)
            grads = [p.grad for p in parameters if p.grad is not None]
            moved = [p.detach() for p in parameters if p.grad is not None]
            before = [p.clone() for p in moved]
            length = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(grads)))
            # where the gradient is exactly zero there is no perturbation
            torch._foreach_add_(moved, torch._foreach_mul(grads, torch.where(length > 0, method.rho / length, 0.0)))
            again()
            with frozen_statistics(model):
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
        """(f(x) + f(x + epsilon sign grad_x f)) / 2."""
        with same_masks(model, x.device) as again:
            inputs = x.detach().requires_grad_()
            with frozen_statistics(model):
                (slope,) = torch.autograd.grad(F.cross_entropy(model(inputs), y), inputs)
            again()
            optimizer.zero_grad(set_to_none=True)
            loss = F.cross_entropy(model(x), y)
            again()
            with frozen_statistics(model):
                shaken = F.cross_entropy(model(x + method.adversarial * slope.sign()), y)
            torch.autograd.backward(0.5 * (loss + shaken))
        optimizer.step()
        return loss.detach()

    return sam if method.rho else proximal if method.proximal else adversarial if method.adversarial else plain


@contextmanager
def frozen_statistics(model: nn.Module) -> Iterator[None]:
    """Batch normalization still normalizes by the batch, but its running statistics and count stay as they are."""
    tracking = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.track_running_stats]
    for module in tracking:
        module.track_running_stats = False
    try:
        yield
    finally:
        for module in tracking:
            module.track_running_stats = True


@contextmanager
def same_masks(model: nn.Module, device: torch.device) -> Iterator[Callable[[], None]]:
    """Gives again(): the next pass draws the dropout masks that the pass before it drew; free where there is no dropout."""
    if not any(isinstance(m, nn.modules.dropout._DropoutNd) and m.p > 0 for m in model.modules()):
        yield lambda: None
        return
    if device.type == "cuda":
        state = torch.cuda.get_rng_state(device)
        yield lambda: torch.cuda.set_rng_state(state, device)
    else:
        state = torch.get_rng_state()
        yield lambda: torch.set_rng_state(state)
