"""The authors' ascent: its projection by what characterizes it, its iterates by a second writing of them, its difference from ours."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from flatproof.verify.curvature import Problem
from flatproof.verify.curvature.estimates import Floats
from flatproof.verify.curvature.sharpness import worst_case_sharpness
from flatproof.verify.curvature.sharpness.ascent import checkpoints
from flatproof.verify.curvature.sharpness.published import nearest
from tests.unit.curvature.diagonal import at_interpolation, drawn

seeds = st.integers(0, 10**6)


@given(seed=seeds, n=st.integers(1, 8), rho=st.floats(0.1, 3))
def test_the_projection_is_the_nearest_point(seed: int, n: int, rho: float) -> None:
    """x = P(y) iff x lies in the convex set and <y - x, p - x> <= 0 for every p in it; a parameter of size 0 stays."""
    generator = torch.Generator().manual_seed(seed)
    y, scale = (
        3 * torch.randn(n, generator=generator, dtype=torch.float64),
        torch.rand(n, generator=generator, dtype=torch.float64),
    )
    scale[scale < 0.1] = 0
    x = nearest(y, scale, rho)
    assert bool((x[scale == 0] == 0).all())
    y, scale, x = (t[scale > 0] for t in (y, scale, x))
    assert float((x / scale).norm()) <= rho * (1 + 1e-9)
    p = torch.randn(200, len(y), generator=generator, dtype=torch.float64)
    p = scale * rho * p / p.norm(dim=1, keepdim=True)
    assert bool(((p - x) @ (y - x) <= 1e-8 * (1 + float(y.norm()))).all())
    if float((y / scale).norm()) <= rho:
        assert torch.equal(x, y)


class Quartic(nn.Module):
    """w itself as output."""

    def __init__(self, w: Floats) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.as_tensor(w))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.w.expand(len(x), -1)


def again(w: Floats, h: Floats, rho: float, norm: str, steps: int) -> float:
    """The description written once more, in numpy: L = sum h w^2 / 2 + sum w^4 / 4, c = |w|; the increase found."""
    c = np.abs(w)

    def loss(d: Floats) -> float:
        return float(np.sum(h * (w + d) ** 2) / 2 + np.sum((w + d) ** 4) / 4)

    def slope(d: Floats) -> Floats:
        return np.asarray(h * (w + d) + (w + d) ** 3)

    def project(y: Floats) -> Floats:
        if norm == "linf":
            return np.clip(y, -rho * c, rho * c)
        if np.linalg.norm(y / c) <= rho:
            return y
        low, high = 0.0, 1e12
        for _ in range(400):  # halve the logarithm: mu may be of any size
            middle = math.sqrt(max(low, 1e-30) * high)
            low, high = (middle, high) if np.linalg.norm(c * y / (c**2 + middle)) > rho else (low, middle)
        return np.asarray(c**2 * y / (c**2 + high))

    d = before = np.zeros_like(w)
    best, best_g, g = loss(d), slope(d), slope(d)
    eta, marks = 2 * rho, checkpoints(steps)
    history, mark, eta_mark, best_mark = [best], 0, eta, best
    for k in range(1, steps + 1):
        step = c * (np.sign(g) if norm == "linf" else g / np.linalg.norm(g))
        z = project(d + eta * step)
        new = z if k == 1 else project(d + 0.75 * (z - d) + 0.25 * (d - before))
        before, d = d, new
        value, g = loss(d), slope(d)
        history.append(value)
        if value > best:
            best, best_g = value, g
        if k in marks:
            rises = sum(b > a for a, b in zip(history[mark:-1], history[mark + 1 :], strict=True))
            cut = rises < 0.75 * (k - mark) or (eta == eta_mark and best == best_mark)
            eta_mark, best_mark = eta, best
            if cut:
                eta, g = eta / 2, best_g  # the model goes back to its best point, d does not
                history[-1] = best
            mark = k
    return best - loss(np.zeros_like(w))


@settings(max_examples=15)
@given(seed=seeds, norm=st.sampled_from(["l2", "linf"]), rho=st.sampled_from([0.05, 0.5, 1.5]), steps=st.sampled_from([1, 7, 20]))
def test_iterates_against_a_second_writing(seed: int, norm: Any, rho: float, steps: int) -> None:
    rng = np.random.default_rng(seed)
    w, h = rng.normal(size=5), rng.normal(size=5)
    x = torch.ones(1, 1, dtype=torch.float64)
    H = torch.as_tensor(h)
    problem = Problem(Quartic(w), lambda out, _: (H * out**2).sum() / 2 + (out**4).sum() / 4, (x, x))
    e = worst_case_sharpness(problem, rho=rho, norm=norm, steps=steps, variant="published")
    assert e.value == pytest.approx(again(w, h, rho, norm, steps), rel=1e-7, abs=1e-12)
    assert e.gradients == steps
    assert "as published" in e.method


def test_it_departs_from_the_steepest_ascent() -> None:
    """One step of l2 on the ellipsoid finds less (here by 4e-4); for c = 1 first steps are the same; at an exact minimum nothing moves."""
    rng = np.random.default_rng(0)
    w, h = rng.normal(size=5), rng.normal(size=5)
    x, H = torch.ones(1, 1, dtype=torch.float64), torch.as_tensor(h)
    problem = Problem(Quartic(w), lambda out, _: (H * out**2).sum() / 2, (x, x))

    def found(variant: Any, **settings: Any) -> float:
        return worst_case_sharpness(problem, rho=0.01, steps=1, variant=variant, **settings).value

    assert found("published") < (1 - 1e-4) * found("steepest")
    assert found("published", norm="linf") == pytest.approx(found("steepest", norm="linf"))
    assert found("published", scaling="none") == pytest.approx(found("steepest", scaling="none"))
    assert worst_case_sharpness(at_interpolation(*drawn(3, 0)), variant="published").value == 0
    with pytest.raises(ValueError, match="the published ascent has one start"):
        worst_case_sharpness(problem, variant="published", starts=2)
    with pytest.raises(ValueError, match="variant must be one of steepest, published"):
        worst_case_sharpness(problem, variant="ours")  # type: ignore[arg-type]
