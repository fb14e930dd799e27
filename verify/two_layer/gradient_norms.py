"""Owns ||grad_theta f(x_i)||^2 in closed form in torch, itself differentiable: what a trace penalty adds to the loss.

The formulas are those of `theory.networks`, which is their reference. By differentiation, sample by sample, they would cost
several times as much: a penalized step differentiates them once more.
"""

import torch
from torch import Tensor, nn

from flatproof.verify.two_layer.modules import LINEAR, ThreeLayer, TwoLayer

Parameters = dict[str, Tensor]


def squared_gradient_norms(module: TwoLayer | ThreeLayer, parameters: Parameters, x: Tensor) -> Tensor:
    """||grad_theta f(x_i)||^2 over all parameters.

    Args:
        module: the network; of its parameters only the names count.
        parameters: take the place of the module's.
        x: inputs, (b, d).

    Returns:
        The squared norms, (b,), differentiable in the parameters.
    """
    if isinstance(module, TwoLayer) and module.train_x is not None:
        return _sim_bn(x, parameters, module.train_x)
    w, b = parameters["w1"], parameters.get("b1")
    inputs = x if b is None else torch.cat([x, torch.ones_like(x[:, :1])], dim=1)
    z, a, length = nn.functional.linear(x, w, b), parameters["w2"], inputs.square().sum(dim=1)
    if isinstance(module, ThreeLayer):
        return _three_layers(z, parameters["middle"], a, length)
    if module.activation == "softplus":
        h, slope = nn.functional.softplus(z, threshold=LINEAR), torch.sigmoid(z)
        return length * (slope.square() @ a.square()) + h.square().sum(dim=1)
    h, on = torch.relu(z), (z > 0).to(z.dtype)
    if module.architecture == "sim-ln":
        return _sim_ln(h, on, a, length, module.epsilon)
    return length * (on @ a.square()) + h.square().sum(dim=1)


def _three_layers(z: Tensor, middle: Tensor, a: Tensor, length: Tensor) -> Tensor:
    """||h2||^2 + ||s2||^2 ||h1||^2 + ||s1||^2 ||x'||^2, s the derivatives of f by the pre-activations of a layer."""
    first = torch.relu(z)
    second = torch.relu(nn.functional.linear(first, middle))
    s2 = (second > 0).to(a.dtype) * a
    s1 = (first > 0).to(a.dtype) * (s2 @ middle)
    squares = [t.square().sum(dim=1) for t in (second, s2, first, s1)]
    return squares[0] + squares[1] * squares[2] + squares[3] * length


def _sim_ln(h: Tensor, on: Tensor, a: Tensor, length: Tensor, epsilon: float) -> Tensor:
    """df/dz_j = A_j (a_j - [||h|| > eps] f u_j) / max(||h||, eps) and df/da = u, u = h / max(||h||, eps)."""
    square = h.square().sum(dim=1, keepdim=True)
    above = square > epsilon**2
    scale = torch.where(above, torch.where(above, square, 1).sqrt(), epsilon)
    u = h / scale
    signal = on * (a - torch.where(above, (u @ a)[:, None], 0) * u) / scale
    return length * signal.square().sum(dim=1) + u.square().sum(dim=1)


def _sim_bn(x: Tensor, parameters: Parameters, train_x: Tensor) -> Tensor:
    """u = h / s, c = mean over the training set of u x': du_i/dw = (A_i x'_i - u_i c) / s, df/da = gamma u, df/dgamma = a u.

    ||A_i x'_i - u_i c||^2 is expanded, as A_i u_i = u_i, so that no (b, m, d + 1) vectors are formed. For a neuron that sees few samples
    its terms all but cancel: in float64 they leave as much as vectors in float32 do.
    """
    w, b, a, gamma = (parameters[name].double() for name in ("w1", "b1", "w2", "gamma"))
    inputs, every = (torch.cat([points, torch.ones_like(points[:, :1])], dim=1).double() for points in (x, train_x))
    wide = torch.cat([w, b[:, None]], dim=1)
    base, h = torch.relu(every @ wide.T), torch.relu(inputs @ wide.T)
    square = base.square().mean(dim=0)
    alive = square > 0
    inverse = torch.where(alive, torch.where(alive, square, 1).rsqrt(), 0)
    u, c = h * inverse, (base * inverse).T @ every / len(every)
    on, length = (h > 0).double(), inputs.square().sum(dim=1)
    k = (a * gamma * inverse).square()
    weights = a.square() + gamma.square() + k * c.square().sum(dim=1)
    norms = u.square() @ weights + length * (on @ k) - 2 * ((u * (inputs @ c.T)) @ k)
    return norms.to(x.dtype)
