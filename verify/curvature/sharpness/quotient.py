"""Owns coordinates of horizontal geodesics in the quotient by G -> G A^-1, H -> H A': da Silva, Dangel and Oore, ICML 2025, section 5.

With the singular value decomposition G H' = U D V', the point G~ = U D^(1/2), H~ = V D^(1/2) of the orbit has G~'G~ = H~'H~ = D, and
G = G~ T, H = H~ S with T = D^(-1/2) U'G, S = D^(-1/2) V'H: what is found there is carried to w by T and S. In coordinates Z in which the
metric at that point is ||Z_G||_F^2 + ||Z_H||_F^2, with a = U'Z_G, b = V'Z_H and D = diag(d):

    invariant   xi_G = Z_G D^(1/2)    horizontal: d_i a_ij = d_j b_ji
    mixed       xi_G = Z_G D^(-1/2)   horizontal: a = b'

and the same for H. U, D and V depend on G H' alone, their signs are fixed: so does every number here.
"""

from typing import Literal, Protocol

import torch
from torch import Tensor

from flatproof.verify.curvature.sharpness.symmetries import Pairs

Metric = Literal["invariant", "mixed"]


class Block(Protocol):
    """Some of the parameters, with coordinates z of their displacements."""

    def displace(self, z: Tensor, delta: Tensor) -> None:
        """Write the displacement of these parameters to delta, (P,), from the coordinates z, (P,)."""

    def horizontal(self, z: Tensor) -> None:
        """Take from z, (P,), what only moves along an orbit."""

    def grow(self, z: Tensor) -> None:
        """Write to z, (P,), the velocity in which these parameters grow in proportion to themselves."""


class Geodesics:
    """delta(z) of blocks of paired parameters, and |w| * z of all others.

    Args:
        weights: w, (P,).
        blocks: of the paired ones, each parameter in at most one.
    """

    def __init__(self, weights: Tensor, blocks: list[Block]) -> None:
        self.weights, self.blocks = weights, blocks
        self.size = len(weights)

    def displaced(self, z: Tensor) -> Tensor:
        """The end of the geodesic less w, (P,)."""
        delta = self.weights.abs() * z
        for block in self.blocks:
            block.displace(z, delta)
        return delta

    def pulled(self, z: Tensor, gradient: Tensor) -> Tensor:
        """The gradient in z, horizontal."""
        with torch.enable_grad():
            leaf = z.detach().clone().requires_grad_()
            (pulled,) = torch.autograd.grad(self.displaced(leaf), leaf, gradient)
        return pulled

    def moving(self, z: Tensor) -> Tensor:
        """The horizontal part of z."""
        out = z.clone()
        for block in self.blocks:
            block.horizontal(out)
        return out

    def growth(self) -> Tensor:
        """The velocity in which all parameters grow in proportion to themselves."""
        z = self.weights.sign()
        for block in self.blocks:
            block.grow(z)
        return z


class Matrices:
    """k pairs (G, H) of matrices; geodesics to second order (equations 5, 11 and 12 of the paper).

    Args:
        weights: w, (P,).
        pairs: where G, (k, n, h), and H, (k, m, h), stand.
        metric: "invariant" or "mixed".

    Raises:
        ValueError: a product G H' of rank below h.
    """

    def __init__(self, weights: Tensor, pairs: Pairs, metric: Metric) -> None:
        self.left, self.right, self.metric = pairs.left, pairs.right, metric
        G, H = (weights[place].double() for place in (pairs.left, pairs.right))
        (Q, R), (K, L) = torch.linalg.qr(G), torch.linalg.qr(H)
        U, d, Vt = torch.linalg.svd(R @ L.mT)
        least = max(G.shape[1:] + H.shape[1:]) * torch.finfo(weights.dtype).eps
        if Q.shape[2] < G.shape[2] or K.shape[2] < H.shape[2] or bool((d[:, -1] <= least * d[:, 0]).any()):
            raise ValueError(
                f"{pairs.name}: a product G H' has a rank below the {G.shape[2]} columns of G and H; expected full rank"
            )
        U, V = Q @ U, K @ Vt.mT
        largest = U.gather(1, U.abs().argmax(dim=1, keepdim=True)).sign()
        U, V, root = U * largest, V * largest, d.sqrt()[:, None]
        T, S = U.mT @ G / root.mT, V.mT @ H / root.mT
        self.U, self.V, self.d, self.T, self.S = (part.to(weights.dtype) for part in (U, V, d, T, S))
        self.G, self.H = self.U * self.d.sqrt()[:, None], self.V * self.d.sqrt()[:, None]

    def _horizontal(self, z: Tensor) -> tuple[Tensor, Tensor]:
        Z, Y = z[self.left], z[self.right]
        a, b = self.U.mT @ Z, (self.V.mT @ Y).mT
        if self.metric == "invariant":
            i, j = self.d[:, :, None], self.d[:, None]
            excess = (i * a - j * b) / (i.square() + j.square())
            return Z - self.U @ (i * excess), Y + self.V @ (j * excess).mT
        return Z - self.U @ (a - b) / 2, Y + self.V @ (a - b).mT / 2

    def displace(self, z: Tensor, delta: Tensor) -> None:
        """As for every block."""
        Z, Y = self._horizontal(z)
        d, root = self.d[:, None], self.d.sqrt()[:, None]
        if self.metric == "invariant":
            left, right = _along_invariant(Z * root, self.G, d), _along_invariant(Y * root, self.H, d)
        else:
            X, W = Z / root, Y / root
            left, right = _along_mixed(X, W, self.G, self.H, d), _along_mixed(W, X, self.H, self.G, d)
        delta[self.left], delta[self.right] = left @ self.T, right @ self.S

    def horizontal(self, z: Tensor) -> None:
        """As for every block."""
        z[self.left], z[self.right] = self._horizontal(z)

    def grow(self, z: Tensor) -> None:
        """As for every block."""
        size = 1 if self.metric == "invariant" else self.d[:, None]
        z[self.left], z[self.right] = self.U * size, self.V * size


def _along_invariant(X: Tensor, G: Tensor, d: Tensor) -> Tensor:
    """xi_G - Gamma(xi, xi)_G / 2 where G'G = D."""
    XG = X.mT @ G
    return X + ((X / d) @ (XG + XG.mT) - (G / d) @ (X.mT @ X)) / 2


def _along_mixed(X: Tensor, W: Tensor, G: Tensor, H: Tensor, d: Tensor) -> Tensor:
    """xi_G - Gamma(xi, xi)_G / 2 with xi = (X, W) where H'H = D."""
    WH = W.mT @ H
    return X - (X @ ((WH + WH.mT) / d) - G @ (W.mT @ W / d)) / 2


class Factors:
    """Pairs of numbers u, v used through u v; geodesics exactly. A pair whose product is 0 stays.

    Args:
        weights: w, (P,).
        left: where each u stands, (K,).
        right: where each v stands, (K,).
        metric: "invariant" (b = du / u, length sqrt 2 |b|) or "mixed" (length sqrt 2 |u v b|).
    """

    def __init__(self, weights: Tensor, left: Tensor, right: Tensor, metric: Metric) -> None:
        self.left, self.right, self.metric = left, right, metric
        self.u, self.v = weights[left], weights[right]
        product = (self.u * self.v).abs()
        self.size = (product > 0).to(weights) if metric == "invariant" else product

    def displace(self, z: Tensor, delta: Tensor) -> None:
        """As for every block."""
        mean = (z[self.left] + z[self.right]) / 2
        if self.metric == "invariant":
            less_one = torch.expm1(mean * self.size)
            delta[self.left], delta[self.right] = self.u * less_one, self.v * less_one
            return
        ratio = 1 + 2 * torch.where(self.size > 0, mean / self.size, 0)
        root = ratio.abs().sqrt()
        delta[self.left], delta[self.right] = self.u * (root - 1), self.v * (ratio.sign() * root - 1)

    def horizontal(self, z: Tensor) -> None:
        """As for every block."""
        mean = torch.where(self.size > 0, (z[self.left] + z[self.right]) / 2, 0)
        z[self.left], z[self.right] = mean, mean

    def grow(self, z: Tensor) -> None:
        """As for every block."""
        z[self.left], z[self.right] = self.size, self.size
