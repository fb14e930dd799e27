"""Owns the Fisher-Rao norm, w'I(w)w, which no reparametrization by positive rescaling between ReLU layers changes.

With f_i = f(x_i; w), t_i = (df_i/dw) w the directional derivative along the parameters themselves, and l_i the loss of sample i:
- "empirical": (1/n) sum_i (grad_f l_i . t_i)^2 = w' [(1/n) sum_i grad_w l_i grad_w l_i'] w;
- "model": (1/n) sum_i t_i' (Hess_f l_i) t_i = w'Gw with the Gauss-Newton matrix G, which is the Fisher information of the model's own
  distribution for cross-entropy (and for squared error up to its constant).
A rescaling w -> s * w that leaves f as a function of x unchanged leaves df/dw . w unchanged. For a network that is positively homogeneous
of degree D in w, t_i = D f_i (Euler).
Source: Liang, Poggio, Rakhlin, Stokes, AISTATS 2019, definition 2 and theorem 3.1.
"""

from functools import partial
from typing import Literal

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from flatproof.verify.curvature.estimates import Estimate
from flatproof.verify.curvature.processes import summed
from flatproof.verify.curvature.sharpness.landscape import Cost, Landscape
from flatproof.verify.curvature.sharpness.registry import Measure
from flatproof.verify.utils.checks import check_one_of

SOURCE = "Liang et al. 2019, definition 2"


def fisher_rao_norm(source: object, *, fisher: Literal["empirical", "model"] = "empirical") -> Estimate:
    """w'I(w)w, exact up to rounding, by one forward derivative of each batch.

    The loss must be a mean ("sum" for that reduction) of losses of the batch's samples, each of its own outputs: so that sample i's
    gradient is row i of the batch's. In mode "train" batch normalization ties the samples together and t_i includes its statistics.

    Args:
        source: a problem, or an operator with one.
        fisher: "empirical" or the "model"'s own Fisher matrix.

    Returns:
        The norm; its interval is rounding.

    Raises:
        TypeError: the model's outputs are no single tensor.
        ValueError: an unknown `fisher`, or a model that torch's forward mode cannot do.
    """
    check_one_of("fisher", fisher, ("empirical", "model"))
    landscape = Landscape.of(source)
    cost = Cost(landscape)
    total = 0.0
    for batch in landscape.batches():
        count = batch.samples
        with torch.enable_grad():
            moved = torch.zeros_like(landscape.weights)
            try:
                with sdpa_kernel(SDPBackend.MATH):
                    pair = torch.func.jvp(partial(landscape.outputs, batch=batch), (moved,), (landscape.weights,))
            except (NotImplementedError, RuntimeError) as error:
                raise ValueError(f"torch's forward mode cannot do this model: {' '.join(str(error).split())[:200]}") from error
            if not isinstance(pair[0], torch.Tensor):
                raise TypeError(f"the model's outputs must be one tensor for this measure, got a {type(pair[0]).__name__}")
            leaf, along = pair[0].detach().requires_grad_(), pair[1].detach()
            (gradient,) = torch.autograd.grad(landscape.compare(leaf, batch), leaf, create_graph=fisher == "model")
            each = (gradient * along).reshape(count, -1).sum(dim=1)
            if fisher == "empirical":
                # a batch's mean carries 1 / count in every sample's gradient; whole data: mean over samples, or their sum
                total += float(each.detach().square().sum()) * (
                    count**2 / landscape.problem.samples if landscape.problem.mean else 1
                )
            elif each.requires_grad:
                (second,) = torch.autograd.grad(each.sum(), leaf)
                total += batch.weight * float((second * along).sum())
        landscape.gradients += count / landscape.problem.samples
    (total,) = summed(total)
    rounding = 64 * torch.finfo(landscape.weights.dtype).eps * abs(total)
    return cost.estimate(
        total,
        total - rounding,
        total + rounding,
        method=f"forward derivative along the parameters, {fisher} Fisher",
        source=SOURCE,
        rests_on="rounding only",
    )


MEASURES = (
    Measure(
        "fisher-rao",
        "(1/n) sum_i (grad_w l_i . w)^2",
        SOURCE,
        fisher_rao_norm,
        "loss",
        "positive rescaling between ReLU layers",
    ),
    Measure(
        "fisher-rao-model",
        "w'Gw, G the Gauss-Newton matrix",
        SOURCE,
        fisher_rao_norm,
        "loss",
        "positive rescaling between ReLU layers",
        (("fisher", "model"),),
    ),
)
