"""Relative flatness against its double sum over explicit Hessian blocks, its value for least squares, and its invariances."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from flatproof.verify.curvature import Problem, measures
from flatproof.verify.curvature.sharpness import Landscape, relative_flatness
from tests.unit.curvature.test_scalings import network, rescaled

seeds = st.integers(0, 10**6)


def problem(model: nn.Module, seed: int = 0, parameters: Any = None) -> Problem:
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.randn(12, 3, generator=generator, dtype=torch.float64), torch.randint(3, (12,), generator=generator)
    return Problem(model, nn.functional.cross_entropy, [(x[:5], y[:5]), (x[5:], y[5:])], parameters)


def by_blocks(place: Landscape, weight: Tensor) -> float:
    """The double sum over rows, from the explicit Hessian of a landscape over this weight alone."""

    def loss(delta: Tensor) -> Tensor:
        return torch.stack([b.weight * place.compare(place.outputs(delta, b), b) for b in place.batches()]).sum()

    d, m = len(weight), weight[0].numel()
    H = torch.autograd.functional.hessian(loss, torch.zeros_like(place.weights)).reshape(d, m, d, m)
    rows = weight.detach().reshape(d, m)
    return sum(float(rows[s] @ rows[t]) * float(H[s, :, t].trace()) for s in range(d) for t in range(d))


@settings(max_examples=5)
@given(seed=seeds, layer=st.sampled_from(["0", "2.weight", "4"]))
def test_against_the_explicit_blocks(seed: int, layer: str) -> None:
    model = network(seed)
    name = layer.removesuffix(".weight") + ".weight"
    weight = dict(model.named_parameters())[name]
    truth = by_blocks(Landscape(problem(model, seed, [name])), weight)
    exact = relative_flatness(problem(model, seed), layer=layer, products=2 * weight.numel())
    assert exact.value == pytest.approx(truth, rel=1e-8, abs=1e-10)
    assert exact.products > 0
    assert relative_flatness(problem(model, seed), layer=layer, products=24, confidence=0.9999).covers(truth)


def test_of_a_convolution() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 2), nn.Tanh(), nn.Flatten(), nn.Linear(8, 3)).double()
    x, y = torch.randn(5, 1, 3, 3, dtype=torch.float64), torch.randint(3, (5,))
    whole = Problem(model, nn.functional.cross_entropy, (x, y))
    part = Problem(model, nn.functional.cross_entropy, (x, y), ["0.weight"])
    e = relative_flatness(whole, layer="0", products=16)
    assert e.value == pytest.approx(by_blocks(Landscape(part), model[0].weight))  # type: ignore[arg-type]
    assert relative_flatness(whole).value == relative_flatness(whole, layer="3").value  # the only linear layer


def test_least_squares_is_ridge() -> None:
    """For one output and squared error: ||w||^2 times the trace of the Hessian 2 X'X / n."""
    torch.manual_seed(0)
    model, x = nn.Linear(4, 1, bias=False).double(), torch.randn(9, 4, dtype=torch.float64)
    e = relative_flatness(Problem(model, nn.functional.mse_loss, (x, torch.randn(9, 1, dtype=torch.float64))), products=8)
    assert e.value == pytest.approx(float(model.weight.detach().square().sum() * 2 * x.square().sum() / 9))


@settings(max_examples=5)
@given(seed=seeds, layer=st.floats(0.2, 5), own=st.lists(st.floats(0.2, 5), min_size=4, max_size=4))
def test_whole_layers_and_its_own_neurons_may_be_rescaled(seed: int, layer: float, own: list[float]) -> None:
    """The default layer is the last but one: its own neurons by any factors, the layer before it by one."""
    model = network(seed)
    twin = rescaled(model, torch.full((4,), layer, dtype=torch.float64), torch.tensor(own, dtype=torch.float64))
    first, second = (measures()["relative-flatness"](problem(m, seed), products=32).value for m in (model, twin))
    assert second == pytest.approx(first, rel=1e-6, abs=1e-10)


def test_the_neurons_before_it_may_not() -> None:
    """Single columns of W are not told apart; nor is the scale of the logits taken out."""
    model = network(3)
    twin = rescaled(model, torch.tensor([0.2, 4.0, 1.0, 3.0]).double(), torch.ones(4).double())
    values = [relative_flatness(problem(m), products=32).value for m in (model, twin)]
    assert abs(values[1] - values[0]) > 0.05 * abs(values[0])


def test_bad_input() -> None:
    whole = problem(network(0))
    for call, words in (
        (
            lambda: relative_flatness(whole, layer="7"),
            "layer '7' has no chosen weight; expected one of 0.weight, 2.weight, 4.weight",
        ),
        (lambda: relative_flatness(whole, layer="0.bias"), r"has a weight of shape \(4,\); expected a matrix"),
        (lambda: relative_flatness(problem(network(0), 0, ["0.bias"])), "needs a linear layer among the chosen parameters"),
    ):
        with pytest.raises(ValueError, match=words):
            call()
    with pytest.raises(TypeError, match="expected a Problem, got Tensor"):
        relative_flatness(torch.eye(3))
