"""Owns the closed form of the Hessian product for the two-layer family of `verify.two_layer.modules.TwoLayer` with the mean squared error.

Notation of `theory.networks`: x_i the inputs with the bias folded in, h = relu(z), A = 1[z > 0], f the outputs, r = f - y. Since
h_ij = A_ij w_j . x_i, all sums over samples are products with the fixed 0-1 matrix A. For f_i = sum_j c_j h_ij and a tangent (dW, dc):

    U = c dW + dc W,   df_i = x_i . (A U)_i,   Q = (2/n) A' (df * X),   E = (2/n) A' (r * X)
    d(grad_W) = c Q + dc E,    dG_j := d(sum_i (2/n) r_i h_ij) = w_j . Q_j + dw_j . E_j

two products with A, where a gradient has two dense ones, and no pass over n x m elementwise. no-bias, bias: c = a. Sim-BN: c_j =
a_j gamma_j q_j^(-1/2) with q_j = (1/2) w_j' S_j w_j, S_j = (2/N) sum_k A_kj x_k x_k' over the training set that normalizes. Sim-LN divides
by sample instead: f_i = p_i q_i^(-1/2), p_i = sum_j a_j h_ij, q_i = sum_j h_ij^2 (epsilon^-1 p_i below the floor), written out below.
The residual term is included: exact wherever the loss is twice differentiable. On the CPU the products are compiled loops
(`two_layer.cpu`), one network and one vector at a time; elsewhere torch multiplies S networks of one shape and k vectors at once.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from flatproof.theory.networks import Architecture
from flatproof.verify.curvature.batches import Batch
from flatproof.verify.curvature.problem import Problem
from flatproof.verify.two_layer.losses import mse
from flatproof.verify.two_layer.modules import TwoLayer

Multiply = Callable[[NDArray[Any], NDArray[Any]], None]  # of vectors (k, P), into products (k, P)


def refuses(problem: Problem) -> str | None:
    """Why the closed form does not cover the problem; None where it does."""
    model, loss = problem.model, problem.loss_function
    if type(model) is not TwoLayer:
        return f"closed-form needs a verify.two_layer.modules.TwoLayer, got {type(model).__name__}"
    if problem.names != tuple(n for n, _ in model.named_parameters()):
        return "closed-form needs all parameters"
    if problem.arithmetic is not None:
        return "closed-form needs the parameters' own arithmetic"
    wanted = "mean" if problem.mean else "sum"
    if isinstance(loss, nn.MSELoss) and loss.reduction == wanted:
        return None
    if loss in (mse, F.mse_loss) and problem.mean:
        return None
    return (
        "closed-form needs the mean squared error (verify.two_layer.losses.mse, torch.nn.functional.mse_loss, torch.nn.MSELoss)"
    )


def prepare(problem: Problem, batch: Batch) -> Callable[[Tensor], Tensor]:
    """The product with the Hessian of the batch's loss, (P, k) -> (P, k), of a problem that is not refused."""
    model = problem.model
    assert isinstance(model, TwoLayer)
    parameters = [p.detach()[None] for p in problem.tensors]
    train_x = None if model.train_x is None else model.train_x[None]
    many = TwoLayerHessians(
        dict(zip(problem.names, parameters, strict=True)),
        batch.inputs[None],
        batch.targets.to(problem.dtype)[None],
        model.architecture,
        train_x=train_x,
        epsilon=model.epsilon,
        scale=1.0 if problem.mean else float(batch.samples),
    )
    single = _Single(many)
    if model.architecture in ("no-bias", "bias"):
        single.directions = partial(_directions, problem, batch)
    return single


def _directions(problem: Problem, batch: Batch) -> Tensor:
    """The batch's gradient and that of the mean output, rows (2, P), as `Problem.batch_directions` has them, without autograd."""
    w1, *bias, a = (p.detach() for p in problem.tensors)
    x = torch.cat([batch.inputs, batch.inputs.new_ones(len(batch.inputs), 1)], 1) if bias else batch.inputs
    w = torch.cat([w1, bias[0][:, None]], 1) if bias else w1
    z = x @ w.T
    on = (z > 0).to(z.dtype)
    scale = 2.0 if not problem.mean else 2 / batch.samples
    pulls = scale * torch.stack([z.clamp_min(0) @ a - batch.targets.to(z.dtype), torch.ones_like(z[:, 0])])
    e = on.T @ (pulls.unsqueeze(-1) * x)  # (2, m, D)
    moved = a[:, None] * e
    pieces = [moved[:, :, : w1.shape[1]].flatten(1), *([moved[:, :, -1]] if bias else []), (w * e).sum(2)]
    return torch.cat(pieces, 1)


class _Single:
    """A single network's product; `vector` takes one vector without the detour over a block, `directions` as for a batch."""

    directions: Callable[[], Tensor]

    def __init__(self, many: "TwoLayerHessians") -> None:
        self.many = many
        self._multiply = many.compiled[0] if many.compiled else None

    def __call__(self, block: Tensor) -> Tensor:
        if self._multiply is None:
            return self.many.products(block[None])[0]
        given = _as_rows(block)
        out = np.empty_like(given)
        self._multiply(given, out)
        return torch.from_numpy(out).mT

    def vector(self, vector: Tensor) -> Tensor:
        """(P,) -> (P,)."""
        if self._multiply is None:
            return self.many.products(vector[None, :, None])[0, :, 0]
        given = vector.contiguous().numpy()
        out = np.empty_like(given)
        self._multiply(given[None], out[None])
        return torch.from_numpy(out)


def _as_rows(block: Tensor) -> NDArray[Any]:
    """(P, k) -> (k, P), contiguous; no copy of a block that is the transpose of one."""
    given = block.numpy()
    if given.T.flags.c_contiguous:
        return given.T
    from flatproof.verify.curvature.two_layer.cpu import transpose  # numba is slow to import

    rows = np.empty(given.shape[::-1], given.dtype)
    transpose(np.ascontiguousarray(given), rows)
    return rows


class TwoLayerHessians:
    """The Hessians of S two-layer networks of one shape, each on its own or on common data, at a fixed point.

    Args:
        parameters: w1 (S, m, d), w2 (S, m), and b1, gamma (S, m) where the architecture has them.
        x: inputs, (S, n, d) or (n, d).
        y: labels, (S, n) or (n,).
        train_x: what Sim-BN's statistics are taken over, (S, N, d) or (N, d); x itself if None.
        scale: the loss is scale times the mean of the squares.
        architecture: of all of them.
        epsilon: Sim-LN's floor of the divisor.
        compiled: whether loops compiled for the CPU do the products, or torch; None: wherever they can (float32, float64).

    Raises:
        ValueError: NaN in the loss.
    """

    def __init__(
        self,
        parameters: dict[str, Tensor],
        x: Tensor,
        y: Tensor,
        architecture: Architecture,
        *,
        train_x: Tensor | None = None,
        epsilon: float = 1e-3,
        scale: float = 1.0,
        compiled: bool | None = None,
    ) -> None:
        w1 = parameters["w1"]
        self.architecture, self.shape = architecture, w1.shape
        self.biased = architecture != "no-bias"
        self.scale = 2 * scale / x.shape[-2]
        self.compiled: list[Multiply] = []
        if compiled is None:
            compiled = w1.device.type == "cpu" and w1.dtype in (torch.float32, torch.float64)
        if compiled:
            self.compiled = self._loops(parameters, x, y, x if train_x is None else train_x, epsilon)
            return
        self.a = parameters["w2"].unsqueeze(-1)
        self.gamma = parameters["gamma"].unsqueeze(-1) if architecture == "sim-bn" else None
        self.w = torch.cat([w1, parameters["b1"].unsqueeze(-1)], -1) if self.biased else w1
        self.x = self._with_ones(x)
        z = self.x @ self.w.mT
        self.on = (z > 0).to(z.dtype)
        h = z.clamp_min(0)
        {"sim-bn": self._at_batch_norm, "sim-ln": self._at_layer_norm}.get(architecture, self._at_plain)(h, y, train_x, epsilon)

    def _loops(self, parameters: dict[str, Tensor], x: Tensor, y: Tensor, base: Tensor, epsilon: float) -> list[Multiply]:
        """One compiled product a network."""
        from flatproof.verify.curvature.two_layer import cpu  # numba is slow to import

        count = len(parameters["w1"])
        stacked = {name: p.detach().contiguous().numpy() for name, p in parameters.items()}
        inputs, labels, bases = (t.detach().expand(count, *t.shape[-axes:]).numpy() for t, axes in ((x, 2), (y, 1), (base, 2)))

        def each(k: int) -> Multiply:
            own = {name: p[k] for name, p in stacked.items()}
            w1, a = own["w1"], own["w2"]
            if self.architecture == "sim-bn":
                return cpu.batch_norm_at(w1, own["b1"], own["gamma"], a, inputs[k], labels[k], bases[k], self.scale)
            if self.architecture == "sim-ln":
                return cpu.layer_norm_at(w1, own["b1"], a, inputs[k], labels[k], self.scale, epsilon)
            return cpu.plain_at(w1, own.get("b1"), a, inputs[k], labels[k], self.scale)

        return [each(k) for k in range(count)]

    def _with_ones(self, x: Tensor) -> Tensor:
        return torch.cat([x, x.new_ones(*x.shape[:-1], 1)], -1) if self.biased else x

    def _residual_sums(self, f: Tensor, y: Tensor) -> Tensor:
        """E = scale A' (r * X), (S, m, D)."""
        residual = f - y
        if not bool(torch.isfinite(residual).all()):
            raise ValueError("loss must be finite, the network's outputs or the labels are not")
        self.pull = self.scale * residual
        return self.on.mT @ (self.pull.unsqueeze(-1) * self.x)

    def _at_plain(self, h: Tensor, y: Tensor, train_x: Tensor | None, epsilon: float) -> None:
        self.e = self._residual_sums((h @ self.a).squeeze(-1), y)

    def _at_batch_norm(self, h: Tensor, y: Tensor, train_x: Tensor | None, epsilon: float) -> None:
        base = self.x if train_x is None else self._with_ones(train_x)
        z = base @ self.w.mT
        t, count = z.clamp_min(0), base.shape[-2]
        q = t.square().mean(-2).unsqueeze(-1)
        root = torch.where(q > 0, q, torch.inf).rsqrt()
        self.rho, self.rho1, self.rho2 = root, -(root**3) / 2, 3 * root**5 / 4
        self.tq = (2 / count) * (t.mT @ base)  # dq_j / dw_j
        self.base, self.base_on, self.base_scale = base, (z > 0).to(z.dtype), 2 / count
        # S_j explicitly where that is the smaller sum
        self.s = None
        if base.shape[-1] <= 64:
            both = base.expand(*z.shape[:-2], *base.shape[-2:])
            self.s = torch.einsum("...km,...kd,...ke->...mde", self.base_scale * self.base_on, both, both)
        assert self.gamma is not None
        self.ag = self.a * self.gamma
        self.c = self.ag * self.rho
        self.e = self._residual_sums((h @ self.c).squeeze(-1), y)
        self.g = (self.w * self.e).sum(-1, keepdim=True)
        self.kappa = self.g * self.ag * self.rho1

    def _at_layer_norm(self, h: Tensor, y: Tensor, train_x: Tensor | None, epsilon: float) -> None:
        self.h = h
        q = h.square().sum(-1)
        above = q > epsilon**2
        safe = torch.where(above, q, 1)
        self.psi = torch.where(above, safe.rsqrt(), 1 / epsilon)
        self.psi1 = torch.where(above, -(safe**-1.5) / 2, 0)
        psi2 = torch.where(above, 3 * safe**-2.5 / 4, 0)
        p = (h @ self.a).squeeze(-1)
        residual = p * self.psi - y
        if not bool(torch.isfinite(residual).all()):
            raise ValueError("loss must be finite, the network's outputs or the labels are not")
        pull = self.scale * residual
        self.p = p
        self.alpha, self.beta = pull * self.psi, 2 * pull * p * self.psi1
        self.pull1, self.pull2 = pull * self.psi1, pull * p * psi2
        self.e = self.on.mT @ (self.alpha.unsqueeze(-1) * self.x)
        self.on_beta = self.on * self.beta.unsqueeze(-1)

    # -------------------------------------------------------------------------------------------------------------- products

    def products(self, vectors: Tensor) -> Tensor:
        """H V for each network: (S, P, k) -> (S, P, k), parameters in the order w1, b1, gamma, w2."""
        if not self.compiled:
            return self._batched(vectors)
        out = torch.empty(vectors.mT.shape, dtype=vectors.dtype, device="cpu")
        for multiply, block, written in zip(self.compiled, vectors, out.numpy(), strict=True):
            multiply(_as_rows(block), written)
        return out.mT

    def _batched(self, vectors: Tensor) -> Tensor:
        s, k = vectors.shape[0], vectors.shape[-1]
        m, d = self.shape[-2:]
        dw = vectors[:, : m * d].reshape(s, m, d, k)
        rest = vectors[:, m * d :].reshape(s, -1, m, k)
        if self.biased:
            dw = torch.cat([dw, rest[:, :1].transpose(1, 2)], 2)
        da = rest[:, -1]
        if self.architecture == "sim-bn":
            gw, *others = self._batch_norm(dw, rest[:, -2], da)
        elif self.architecture == "sim-ln":
            gw, *others = self._layer_norm(dw, da)
        else:
            gw, *others = self._plain(dw, da)
        pieces = [gw[:, :, :d].reshape(s, m * d, k)]
        if self.biased:
            pieces.append(gw[:, :, d])
        return torch.cat([*pieces, *others], 1)

    def _mixed(self, dw: Tensor, c: Tensor, dc: Tensor) -> tuple[Tensor, Tensor]:
        """(S, m, D, k), (S, m, 1), (S, m, k) -> Q of c dW + dc W, and w_j . Q_j + dw_j . E_j."""
        s, m, d, k = dw.shape
        u = torch.addcmul(dw * c.unsqueeze(-1), self.w.unsqueeze(-1), dc.unsqueeze(2))
        spread = (self.on @ u.reshape(s, m, d * k)).reshape(s, -1, d, k)
        x = self.x.unsqueeze(-1)
        df = (x * spread).sum(2, keepdim=True)
        q = (self.on.mT @ (x * (self.scale * df)).reshape(s, -1, d * k)).reshape(s, m, d, k)
        return q, torch.addcmul(self.w.unsqueeze(-1) * q, dw, self.e.unsqueeze(-1)).sum(2)

    def _plain(self, dw: Tensor, da: Tensor) -> tuple[Tensor, Tensor]:
        q, dg = self._mixed(dw, self.a, da)
        return torch.addcmul(q * self.a.unsqueeze(-1), self.e.unsqueeze(-1), da.unsqueeze(2)), dg

    def _batch_norm(self, dw: Tensor, dgamma: Tensor, da: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a, gamma = self.a, self.gamma
        assert gamma is not None
        dq = (dw * self.tq.unsqueeze(-1)).sum(2)
        dag = da * gamma + a * dgamma
        dc = dag * self.rho + self.ag * self.rho1 * dq
        q, dg = self._mixed(dw, self.c, dc)
        dkappa = dg * (self.ag * self.rho1) + self.g * (dag * self.rho1 + self.ag * self.rho2 * dq)
        gw = q * self.c.unsqueeze(-1) + self.e.unsqueeze(-1) * dc.unsqueeze(2)
        gw = gw + self.tq.unsqueeze(-1) * dkappa.unsqueeze(2) + self._spread(dw) * self.kappa.unsqueeze(-1)
        drho = self.rho1 * dq
        return (
            gw,
            dg * (a * self.rho) + self.g * (da * self.rho + a * drho),
            dg * (gamma * self.rho) + self.g * (dgamma * self.rho + gamma * drho),
        )

    def _spread(self, dw: Tensor) -> Tensor:
        """S_j dw_j."""
        if self.s is not None:
            return self.s @ dw
        z = torch.einsum("...nd,...mdk->...nmk", self.base, dw) * (self.base_scale * self.base_on).unsqueeze(-1)
        return torch.einsum("...nmk,...nd->...mdk", z, self.base)

    def _layer_norm(self, dw: Tensor, da: Tensor) -> tuple[Tensor, Tensor]:
        s, m, d, k = dw.shape
        move = torch.matmul(self.x, dw.transpose(1, 2).reshape(s, d, m * k)).reshape(s, -1, m, k) * self.on.unsqueeze(-1)  # dh
        a, h = self.a, self.h.unsqueeze(-1)
        dp = (move * a.unsqueeze(1)).sum(2) + self.h @ da
        dq = 2 * (h * move).sum(2)

        def column(v: Tensor) -> Tensor:
            return v.unsqueeze(-1)

        df = self.scale * (column(self.psi) * dp + column(self.p * self.psi1) * dq)
        dalpha = df * column(self.psi) + column(self.pull1) * dq
        dbeta = 2 * (df * column(self.p * self.psi1) + column(self.pull1) * dp + column(self.pull2) * dq)
        # d(grad_W) = sum_i (A (dalpha a + alpha da) + dbeta h + beta dh) x_i
        inner = torch.addcmul(move * self.beta[..., None, None], h, dbeta.unsqueeze(2))
        inner = torch.addcmul(inner, (self.on * a.mT).unsqueeze(-1), dalpha.unsqueeze(2))
        gw = torch.matmul(self.x.mT, inner.reshape(s, -1, m * k)).reshape(s, d, m, k).transpose(1, 2)
        gw = torch.addcmul(gw, self.e.unsqueeze(-1), da.unsqueeze(2))
        return gw, self.h.mT @ dalpha + (move * self.alpha[..., None, None]).sum(1)
