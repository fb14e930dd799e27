"""Owns the loss on lines and planes through the space of parameters: along random directions, and along given checkpoints.

Random directions are normalized filter by filter (Li, Xu, Taylor, Studer, Goldstein, NeurIPS 2018, section 4): a Gaussian direction d
gets in each filter the length that the weights have there, d_ij <- d_ij ||w_ij|| / ||d_ij||, where the filters of a parameter are its
entries along its first axis: output channels of a convolution, rows of a linear layer or an embedding. Parameters of one axis or none,
biases and the scales and shifts of normalization, do not move, as in that paper's figures; neither do running statistics. A position 1
on an axis is a displacement as long as the weights that move.

Between checkpoints all parameters move linearly, and so do running statistics and other floating buffers: at a checkpoint the loss is its
own. A plane of principal components keeps the buffers of its centre, the last checkpoint: elsewhere on it there are none to be had.

A loss is that of the whole data, exact but for rounding; NaN where it is not finite.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from flatproof.verify.curvature.estimates import Floats, generator_of
from flatproof.verify.curvature.problem import Problem
from flatproof.verify.curvature.sharpness.landscape import Landscape
from flatproof.verify.utils.checks import check_number, check_one_of, check_positive, check_whole

Scaling = Literal["filter", "parameter", "none"]


@dataclass(frozen=True)
class Line:
    """Losses on lines.

    Attributes:
        at: positions, (a,).
        losses: of each line at each position, (k, a).
        names: of the lines, k.
        label: of the positions.
        marks: positions of checkpoints, (m,); 0 for the model itself.
        method: how it was computed, in words.
    """

    at: Floats
    losses: Floats
    names: tuple[str, ...]
    label: str
    marks: Floats
    method: str


@dataclass(frozen=True)
class Plane:
    """Losses on a plane.

    Attributes:
        first: positions on the first axis, (a,).
        second: positions on the second axis, (b,).
        losses: (a, b).
        labels: of the axes.
        marks: positions of the checkpoints' projections, (m, 2); (0, 0) for the model itself.
        off: distances of the checkpoints from the plane over their distances from its centre, (m,).
        method: how it was computed, in words.
    """

    first: Floats
    second: Floats
    losses: Floats
    labels: tuple[str, str]
    marks: Floats
    off: Floats
    method: str


def random_line(
    problem: Problem, *, reach: float = 1.0, points: int = 41, directions: int = 5, scaling: Scaling = "filter", seed: int = 0
) -> Line:
    """The loss along random directions through the model, one line each.

    Args:
        problem: model, loss and data.
        reach: positions go from -reach to reach.
        points: positions, odd, so that the model itself is one.
        directions: how many.
        scaling: "filter" as at the head of this module; "parameter": each parameter's direction as long as the parameter; "none".
        seed: of the directions.

    Returns:
        The losses.

    Raises:
        ValueError: settings out of range; what `Landscape` refuses.
    """
    at = _symmetric(reach, points)
    place = Landscape.of(problem)
    count = check_whole("directions", directions)
    generator = generator_of(seed)
    losses = []
    for _ in range(count):
        direction = random_direction(problem, scaling, generator)
        losses.append([_loss(place, place.weights + float(a) * direction) for a in at])
    names = tuple(f"direction {i + 1}" for i in range(count))
    return Line(at, np.array(losses), names, _UNIT[scaling], np.zeros(1), f"{_SAYS[scaling]}, seed {seed}{_data(problem)}")


def random_plane(problem: Problem, *, reach: float = 1.0, points: int = 25, scaling: Scaling = "filter", seed: int = 0) -> Plane:
    """The loss on a plane that two random directions span. Arguments, errors: `random_line`."""
    at = _symmetric(reach, points)
    place = Landscape.of(problem)
    generator = generator_of(seed)
    one, two = (random_direction(problem, scaling, generator) for _ in range(2))
    losses = np.array([[_loss(place, place.weights + float(a) * one + float(b) * two) for b in at] for a in at])
    labels = (f"first {_UNIT[scaling]}", f"second {_UNIT[scaling]}")
    method = f"{_SAYS[scaling]}, seed {seed}{_data(problem)}"
    return Plane(at, at, losses, labels, np.zeros((1, 2)), np.zeros(1), method)


def random_direction(problem: Problem, scaling: Scaling, generator: torch.Generator) -> Tensor:
    """A Gaussian direction, scaled as at the head of this module, (P,)."""
    check_one_of("scaling", scaling, get_args(Scaling))
    pieces = []
    for weights in problem.points():
        p, d = weights, torch.randn(weights.shape, generator=generator, dtype=weights.dtype, device="cpu").to(weights.device)
        if scaling == "none":
            pieces.append(d)
        elif p.ndim < 2:
            pieces.append(torch.zeros_like(d))
        elif scaling == "parameter":
            pieces.append(d * (weights.norm() / d.norm()))
        else:
            rows, own = d.flatten(1), weights.flatten(1)
            pieces.append((rows * (own.norm(dim=1) / rows.norm(dim=1))[:, None]).reshape(p.shape))
    direction = problem.flatten(pieces)
    if not bool(direction.any()):
        raise ValueError("no parameter has two axes or more, and those of one do not move; expected weights, or scaling 'none'")
    return direction


def path_line(problem: Problem, checkpoints: Sequence[Mapping[str, Tensor]], *, points: int = 21, beyond: float = 0.0) -> Line:
    """The loss on the way from checkpoint to checkpoint, straight between two.

    Args:
        problem: model, loss and data; which parameters move.
        checkpoints: state dicts in the order of the way, two at least.
        points: positions from one to the next, both included.
        beyond: how far the line goes on before the first and after the last, in units of the way from one to the next.

    Returns:
        The losses; position i is checkpoint i.

    Raises:
        ValueError: settings out of range; checkpoints that do not fit, or differ in parameters that do not move.
    """
    check_whole("points", points, 2)
    check_number("beyond", beyond, 0)
    states = _states(problem, checkpoints, 2)
    last = len(states) - 1
    inside = np.linspace(0, last, last * (points - 1) + 1)
    outside = np.linspace(0, beyond, max(2, round(beyond * (points - 1)) + 1))[1:] if beyond else np.zeros(0)
    at = np.concatenate([-outside[::-1], inside, last + outside])
    place = Landscape.of(problem)
    losses = []
    for position in at:
        i = min(max(int(np.floor(position)), 0), last - 1)
        share = float(position) - i
        (before, held), (after, next_held) = states[i], states[i + 1]
        # an end itself, not what rounding makes of it
        weights = before if share == 0 else after if share == 1 else torch.lerp(before, after, share)
        buffers = {
            n: held[n] if share == 0 else next_held[n] if share == 1 else torch.lerp(held[n], next_held[n], share) for n in held
        }
        losses.append(_loss(place, weights, buffers))
    method = f"straight from checkpoint to checkpoint, running statistics with the weights{_data(problem)}"
    return Line(at, np.array([losses]), ("loss",), "checkpoint", np.arange(last + 1.0), method)


def path_plane(problem: Problem, checkpoints: Sequence[Mapping[str, Tensor]], *, points: int = 25, margin: float = 0.2) -> Plane:
    """The loss on the plane of the first two principal components of a trajectory, seen from its end.

    The components are those of the checkpoints minus the last one (Li et al. 2018, section 7); through three checkpoints goes a plane.

    Args:
        problem: model, loss and data; which parameters move.
        checkpoints: state dicts in the order of the training, three at least.
        points: positions on each axis.
        margin: how far the plane reaches beyond the checkpoints, over their extent.

    Returns:
        The losses, with distances of parameters as units.

    Raises:
        ValueError: as for `path_line`; checkpoints on one line.
    """
    check_whole("points", points, 2)
    check_positive("margin", margin)
    states = _states(problem, checkpoints, 3)
    centre, held = states[-1]
    steps = torch.stack([weights - centre for weights, _ in states]).double()
    values, vectors = torch.linalg.eigh(steps @ steps.T)  # of the small Gram matrix: the components are combinations of the steps
    if not float(values[-2]) > 1e-12 * float(values[-1]):
        raise ValueError("checkpoints lie on one line; expected three that span a plane")
    axes = torch.stack([(vectors[:, -1 - k] @ steps) / values[-1 - k].sqrt() for k in range(2)])
    axes = torch.stack([axis if float(steps[0] @ axis) >= 0 else -axis for axis in axes])  # the sign is nobody's choice
    marks = (steps @ axes.T).cpu().numpy()
    lengths = torch.linalg.vector_norm(steps, dim=1)
    off = torch.linalg.vector_norm(steps - (steps @ axes.T) @ axes, dim=1) / torch.where(lengths > 0, lengths, 1.0)
    first, second = (_with_margin(marks[:, k], margin, points) for k in range(2))
    place = Landscape.of(problem)
    one, two = (axis.to(centre.dtype) for axis in axes)
    losses = [[_loss(place, centre + float(a) * one + float(b) * two, held) for b in second] for a in first]
    shares = (values.flip(0)[:2] / values.clamp_min(0).sum()).tolist()
    labels = (f"first component, {shares[0]:.1%}", f"second component, {shares[1]:.1%}")
    method = (
        f"principal components of {len(states)} checkpoints minus the last, whose running statistics are kept{_data(problem)}"
    )
    return Plane(first, second, np.array(losses), labels, marks, off.cpu().numpy(), method)


# --------------------------------------------------------------------------------------------------------------------- parts

_SAYS = {
    "filter": "filter-normalized directions (Li et al. 2018), biases and normalization fixed",
    "parameter": "random directions, each parameter's as long as it, biases and normalization fixed",
    "none": "Gaussian directions, not normalized",
}
_UNIT: dict[str, str] = {
    "filter": "direction, over the length of each filter",
    "parameter": "direction, over the length of each parameter",
    "none": "direction, in standard deviations of a step",
}


def _data(problem: Problem) -> str:
    return f"; {problem.samples:,} samples, {problem.mode} mode"


def _symmetric(reach: float, points: int) -> Floats:
    check_positive("reach", reach)
    if check_whole("points", points, 3) % 2 == 0:
        raise ValueError(f"points must be odd, so that the model itself is one of them, got {points}")
    return np.linspace(-reach, reach, points)


def _with_margin(values: Any, margin: float, points: int) -> Floats:
    low, high = float(values.min()), float(values.max())
    extent = margin * (high - low)
    return np.linspace(low - extent, high + extent, points)


def _loss(place: Landscape, weights: Tensor, buffers: Mapping[str, Tensor] = MappingProxyType({})) -> float:
    """The loss over the whole data at these weights, (P,), with these buffers in place of the model's; NaN where it is not finite."""
    problem, total = place.problem, 0.0
    pieces = problem.unflatten(weights)
    for batch in problem.batches():
        # nothing requires grad but what the model itself differentiates
        with torch.enable_grad(), problem.prepared(batch) as own:
            safe = [problem.safe(n, p) for n, p in zip(problem.names, pieces, strict=True)]
            outputs = problem.outputs(safe, own | {n: b.clone() for n, b in buffers.items()}, batch)
            total += batch.weight * float(problem.compare(outputs, batch).detach())
    return total if np.isfinite(total) else float("nan")


def _states(problem: Problem, checkpoints: Sequence[Mapping[str, Tensor]], least: int) -> list[tuple[Tensor, dict[str, Tensor]]]:
    """Each checkpoint's parameters that move, (P,), and its floating buffers."""
    if len(checkpoints) < least:
        raise ValueError(f"expected at least {least} checkpoints, got {len(checkpoints)}")
    parameters, buffers = dict(problem.model.named_parameters()), dict(problem.model.named_buffers())
    buffers = {name: b for name, b in buffers.items() if b.is_floating_point() and name in problem.model.state_dict()}
    states = []
    for i, state in enumerate(checkpoints):
        for name, own in (parameters | buffers).items():
            if name not in state:
                raise ValueError(f"checkpoint {i} has no {name!r}; expected the names of the model's state dict")
            if state[name].shape != own.shape:
                raise ValueError(
                    f"checkpoint {i}: {name} has shape {tuple(state[name].shape)}, the model's has {tuple(own.shape)}"
                )
            if not bool(torch.isfinite(state[name]).all()):
                raise ValueError(f"checkpoint {i}: {name} holds NaN or infinity; expected finite numbers")
            if name in parameters and name not in problem.names and not torch.equal(state[name].to(own), own):
                raise ValueError(f"checkpoint {i} differs in {name}, which is not among the parameters that move")
        weights = problem.flatten([state[name].to(p) for name, p in zip(problem.names, problem.tensors, strict=True)])
        states.append((weights.detach(), {name: state[name].to(b) for name, b in buffers.items()}))
    return states
