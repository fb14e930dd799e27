"""Owns the Fisher-Rao norm, w'I(w)w, which no reparametrization by positive rescaling between ReLU layers changes.

With f_i = f(x_i; w), t_i = (df_i/dw) w the directional derivative along the parameters themselves, and l_i the loss of sample i:
- "empirical": (1/n) sum_i (grad_f l_i . t_i)^2 = w' [(1/n) sum_i grad_w l_i grad_w l_i'] w;
- "model": (1/n) sum_i t_i' (Hess_f l_i) t_i = w'Gw with the Gauss-Newton matrix G, which is the Fisher information of the model's own
  distribution for cross-entropy (and for squared error up to its constant).
A rescaling w -> s * w that leaves f as a function of x unchanged leaves df/dw . w unchanged. For a network that is positively homogeneous
of degree D in w, t_i = D f_i (Euler).
Source: Liang, Poggio, Rakhlin, Stokes, AISTATS 2019, definition 2 and theorem 3.1.
"""

from typing import Literal

import torch

from flatproof.verify.curvature.estimates import Estimate
from flatproof.verify.curvature.operators import FisherOperator, GaussNewtonOperator
from flatproof.verify.curvature.sharpness.landscape import Cost, Landscape
from flatproof.verify.curvature.sharpness.registry import Measure
from flatproof.verify.utils.checks import check_one_of

SOURCE = "Liang et al. 2019, definition 2"


def fisher_rao_norm(source: object, *, fisher: Literal["empirical", "model"] = "empirical") -> Estimate:
    """w'I(w)w, exact up to rounding, by one derivative of each batch's outputs along the parameters.

    The loss must be a mean ("sum" for that reduction) of losses of the batch's samples, each of its own outputs: so that sample i's
    gradient is row i of the batch's. In mode "train" batch normalization ties the samples together and t_i includes its statistics.

    Args:
        source: a problem, or an operator with one.
        fisher: "empirical" or the "model"'s own Fisher matrix.

    Returns:
        The norm; its interval is rounding.

    Raises:
        TypeError: a bare matrix.
        ValueError: an unknown `fisher`, or outputs without such a derivative, as of the operator of that matrix.
    """
    check_one_of("fisher", fisher, ("empirical", "model"))
    landscape = Landscape.of(source)
    cost, problem = Cost(landscape), landscape.problem
    operator = (FisherOperator if fisher == "empirical" else GaussNewtonOperator).of(problem, memory=0)
    total = operator.form(landscape.weights)
    landscape.gradients += operator.gradients + problem.data.local / problem.samples
    rounding = 64 * torch.finfo(landscape.weights.dtype).eps * abs(total)
    return cost.estimate(
        total,
        total - rounding,
        total + rounding,
        method=f"derivative along the parameters, {fisher} Fisher",
        source=SOURCE,
        rests_on=operator.rests_on,
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
