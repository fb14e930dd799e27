"""Owns many networks of one shape side by side on a device: packing, the training call, unpacking."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flatproof.theory.networks import Architecture, Network, with_ones
from flatproof.verify.two_layer.fused.gpu import single_sample
from flatproof.verify.two_layer.fused.gpu.layout import Layout, layout, missing
from flatproof.verify.two_layer.fused.gpu.runtime import COMPILED, DEVICE
from flatproof.verify.two_layer.settings import Phase

Sample = tuple[NDArray[np.floating], NDArray[np.floating]]


@dataclass(frozen=True)
class Points:
    """Padded inputs x' (G, n, K) and labels (G, n) on the device: one set for each network, or G = 1 for all."""

    x: Tensor
    y: Tensor

    @classmethod
    def of(cls, architecture: Architecture, samples: Sequence[Sample], dtype: torch.dtype = torch.float64) -> "Points":
        """One sample (x (n, d), y (n,)) for all networks, or one for each, all of the same n."""
        if len({np.shape(x) for x, _ in samples}) != 1:
            raise ValueError(f"samples must be of one shape, got {sorted({np.shape(x) for x, _ in samples})}")
        inputs = np.stack([with_ones(architecture, np.asarray(x, dtype=np.float64)) for x, _ in samples])
        pad = layout(inputs.shape[2], 1).inputs - inputs.shape[2]
        x = torch.as_tensor(np.pad(inputs, ((0, 0), (0, 0), (0, pad))))
        y = torch.as_tensor(np.stack([np.asarray(y, dtype=np.float64) for _, y in samples]))
        return cls(x.to(DEVICE, dtype), y.to(DEVICE, dtype))

    def to(self, dtype: torch.dtype) -> "Points":
        """The same points in another precision."""
        return Points(self.x.to(dtype), self.y.to(dtype))

    def select(self, rows: Tensor) -> "Points":
        """The points of some of the networks."""
        return self if len(self.x) == 1 else Points(self.x[rows], self.y[rows])


@dataclass
class Stack:
    """S networks of one architecture, shape and precision: w (S, K, M) and a (S, M), padded, on the device; epsilon (S,)."""

    architecture: Architecture
    d: int
    width: int
    epsilon: NDArray[np.float64]
    w: Tensor
    a: Tensor

    @classmethod
    def of(cls, networks: Sequence[Network]) -> "Stack":
        """Errors: ValueError for no network, networks that differ in architecture, shape or dtype, Sim-BN, or too large ones."""
        kinds = {(n.architecture, n.w1.shape, n.w1.dtype.name) for n in networks}
        if len(kinds) != 1:
            raise ValueError(f"networks must be of one architecture, shape and dtype, got {sorted(map(str, kinds)) or 'none'}")
        first = networks[0]
        if first.architecture == "sim-bn":
            raise ValueError("no GPU kernel for 'sim-bn'; expected no-bias, bias or sim-ln")
        for n in networks:
            if (n.activation, n.depth) != ("relu", 2):
                raise ValueError(f"no GPU kernel for {n.activation} networks of depth {n.depth}; expected relu and depth 2")
        if first.w1.dtype not in (np.float32, np.float64):
            raise ValueError(f"networks must be float32 or float64, got {first.w1.dtype}")
        weights = np.stack([n.weights.T for n in networks])
        shape = layout(weights.shape[1], first.width, first.w1.dtype.itemsize // 4)
        rows, columns = shape.inputs - weights.shape[1], shape.neurons - first.width
        w = torch.as_tensor(np.pad(weights, ((0, 0), (0, rows), (0, columns))), device=DEVICE)
        a = torch.as_tensor(np.pad(np.stack([n.w2 for n in networks]), ((0, 0), (0, columns))), device=DEVICE)
        epsilon = np.array([n.epsilon for n in networks])
        return cls(first.architecture, first.w1.shape[1], first.width, epsilon, w.contiguous(), a.contiguous())

    def __len__(self) -> int:
        return len(self.w)

    @property
    def inputs(self) -> int:
        """Inputs of the first layer, the bias's 1 included."""
        return self.d + (self.architecture != "no-bias")

    def networks(self) -> list[Network]:
        """The networks, without padding."""
        w, a = self.w.cpu().numpy()[:, : self.inputs, : self.width], self.a.cpu().numpy()[:, : self.width]
        return [
            Network(
                w1=np.ascontiguousarray(w[s, : self.d].T),
                w2=a[s].copy(),
                b1=None if self.architecture == "no-bias" else w[s, self.d].copy(),
                architecture=self.architecture,
                epsilon=float(self.epsilon[s]),
            )
            for s in range(len(self))
        ]

    def select(self, rows: Tensor) -> "Stack":
        """Some of the networks."""
        kept = self.epsilon[rows.cpu().numpy()]
        return Stack(self.architecture, self.d, self.width, kept, self.w[rows].contiguous(), self.a[rows].contiguous())


def advance(
    stack: Stack,
    points: Points,
    order: NDArray[np.integer] | Tensor,
    noise: NDArray[np.floating] | Tensor | None,
    phases: Sequence[Phase],
    shape: Layout | None = None,
) -> NDArray[np.int64]:
    """Train every network of the stack in place, one step a sample; the trajectory of `verify.two_layer.fused.advance` up to rounding.

    Args:
        points: the training set, in the stack's precision.
        order: (S, T), row s the samples that network s visits. noise: (S, T), added to their labels, or None.
        phases: settings of each network, or one for all; epochs and label_noise are not consulted.
        shape: a layout to use in place of the default one.
    Returns: (S,), the step at which a network's loss stopped being finite, or -1. Its parameters are not meaningful then.
    Errors: ValueError for shapes that do not fit, a sample that does not exist, or settings without a kernel.
    """
    count, dtype = len(stack), stack.w.dtype
    settings = list(phases) if len(phases) > 1 else list(phases) * count
    visits = torch.as_tensor(order, device=DEVICE).to(torch.int32).contiguous()
    if visits.ndim != 2 or len(visits) != count or not visits.shape[1]:
        raise ValueError(f"order must have shape ({count}, steps) with steps >= 1, got {tuple(visits.shape)}")
    if len(settings) != count:
        raise ValueError(f"phases must be one for all or {count}, one for each network, got {len(phases)}")
    for phase in settings:
        if lacking := missing(stack.architecture, phase):
            raise ValueError(f"no GPU kernel for {lacking}; expected single samples, without projection or penalty")
    sets, n, inputs = points.x.shape
    if sets not in (1, count) or inputs != stack.w.shape[1] or points.x.dtype != dtype:
        wanted = f"1 or {count} sets of {stack.w.shape[1]} padded inputs in {dtype}"
        raise ValueError(f"points must hold {wanted}, got shape {tuple(points.x.shape)} in {points.x.dtype}")
    least, most = int(visits.min()), int(visits.max())
    if least < 0 or most >= n:
        raise ValueError(f"order must hold indices of {n} samples, got {least if least < 0 else most}")
    jitter = visits if noise is None else torch.as_tensor(noise, device=DEVICE).to(dtype).contiguous()
    if jitter.shape != visits.shape:
        raise ValueError(f"noise must have the shape {tuple(visits.shape)} of order, got {tuple(jitter.shape)}")
    hyper = np.array([(2 * p.lr, p.rho, 1 - p.lr * p.weight_decay, e) for p, e in zip(settings, stack.epsilon, strict=True)])
    shape = shape or layout(stack.inputs, stack.width, stack.w.element_size() // 4)
    stop = torch.full((count,), -1, dtype=torch.int32, device=DEVICE)
    step = single_sample.layer_norm if stack.architecture == "sim-ln" else single_sample.plain
    with np.errstate(over="ignore", invalid="ignore"):  # the interpreter computes in numpy
        step[(count,)](
            stack.w,
            stack.a,
            points.x.contiguous(),
            points.y.contiguous(),
            points.x.square().sum(dim=2),
            visits,
            jitter,
            torch.as_tensor(hyper, device=DEVICE).to(dtype),
            stop,
            visits.shape[1],
            n if sets > 1 else 0,
            K=stack.w.shape[1],
            M=stack.w.shape[2],
            V=shape.per_thread,
            SAM=any(p.rho for p in settings),
            DECAY=any(p.weight_decay for p in settings),
            NOISY=noise is not None,
            **(shape.options if COMPILED else {}),
        )
    finite = stack.w.isfinite().all(dim=2).all(dim=1) & stack.a.isfinite().all(dim=1)
    # a parameter that overflows in the last step, or to -inf, leaves no trace in a residual
    stop = torch.where((stop < 0) & ~finite, visits.shape[1] - 1, stop)
    return stop.cpu().numpy().astype(np.int64)
