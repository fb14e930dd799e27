"""Losses on lines and planes: against the same computed by hand, from models that are really moved."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from flatproof.verify.curvature import Problem, slices
from flatproof.verify.curvature.estimates import generator_of
from tests.unit.curvature.models import cnn, images, mlp, points


def problem(model: nn.Module, data: tuple[Tensor, Tensor], **settings: Any) -> Problem:
    return Problem(model, cross_entropy, data, **settings)


def loss_at(model: nn.Module, states: list[tuple[float, dict[str, Tensor]]], data: tuple[Tensor, Tensor]) -> float:
    """The loss of the combination of state dicts, by load_state_dict."""
    moved = copy.deepcopy(model).eval()
    first = states[0][1]
    moved.load_state_dict({n: sum(c * s[n] for c, s in states) if t.is_floating_point() else t for n, t in first.items()})
    with torch.no_grad():
        return float(cross_entropy(moved(data[0]), data[1]))


def trained(model: nn.Module, data: tuple[Tensor, Tensor], stages: int) -> list[dict[str, Tensor]]:
    """State dicts along a training, running statistics included."""
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    states = [copy.deepcopy(model.state_dict())]
    for _ in range(stages - 1):
        for _ in range(3):
            optimizer.zero_grad()
            cross_entropy(model(data[0]), data[1]).backward()
            optimizer.step()
        states.append(copy.deepcopy(model.state_dict()))
    return states


def test_filters_get_the_length_of_their_weights_and_vectors_stay() -> None:
    model = cnn()
    p = problem(model, images())
    direction = p.named(slices.random_direction(p, "filter", generator_of(3)))
    assert {n for n, d in direction.items() if d.any()} == {"0.weight", "5.weight", "10.weight"}
    for name in ("0.weight", "5.weight", "10.weight"):
        weights = dict(model.named_parameters())[name].detach()
        assert torch.allclose(direction[name].flatten(1).norm(dim=1), weights.flatten(1).norm(dim=1))
    whole = p.named(slices.random_direction(p, "parameter", generator_of(3)))
    assert float(whole["0.weight"].norm()) == pytest.approx(float(model[0].weight.detach().norm()))  # type: ignore[index]


def test_rescaling_a_filter_before_batch_norm_changes_no_picture() -> None:
    """What the normalization is for: the network is the same function, and so is its picture (Li et al. 2018, section 4)."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3, bias=False), nn.BatchNorm2d(3, eps=1e-30), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3)
    ).double()
    x, y = images()
    model(x)
    rescaled = copy.deepcopy(model)
    with torch.no_grad():
        rescaled[0].weight *= torch.tensor([0.1, 1.0, 7.0]).reshape(3, 1, 1, 1)
    lines = {
        scaling: [
            slices.random_line(problem(m, (x, y), mode="train"), points=5, directions=2, scaling=scaling)
            for m in (model, rescaled)
        ]
        for scaling in ("filter", "none")
    }
    np.testing.assert_allclose(lines["filter"][0].losses, lines["filter"][1].losses, rtol=1e-9)
    assert not np.allclose(lines["none"][0].losses, lines["none"][1].losses, rtol=1e-2)


def test_random_lines_and_planes_are_losses_of_moved_models() -> None:
    model, data = cnn(), images()
    p, state = problem(model, data), copy.deepcopy(model.state_dict())
    line = slices.random_line(p, reach=0.5, points=5, directions=2, seed=4)
    generator = generator_of(4)
    steps = [p.named(slices.random_direction(p, "filter", generator)) for _ in range(2)]
    moves = [{n: s.get(n, torch.zeros_like(t)) for n, t in state.items()} for s in steps]
    for k in range(2):
        expected = [loss_at(model, [(1, state), (float(a), moves[k])], data) for a in line.at]
        np.testing.assert_allclose(line.losses[k], expected, rtol=1e-12)
    plane = slices.random_plane(p, reach=0.5, points=3, seed=4)
    expected = [
        [loss_at(model, [(1, state), (float(a), moves[0]), (float(b), moves[1])], data) for b in plane.second]
        for a in plane.first
    ]
    np.testing.assert_allclose(plane.losses, expected, rtol=1e-12)
    assert plane.losses[1, 1] == line.losses[0, 2] == p.loss()
    assert all(torch.equal(t, model.state_dict()[n]) for n, t in state.items())


def test_a_path_goes_through_the_checkpoints_themselves() -> None:
    """Running statistics and all: the loss of each is its own, to the last bit."""
    model, data = cnn(), images()
    states = trained(model, data, 3)
    line = slices.path_line(problem(model, data), states, points=3, beyond=1.0)
    np.testing.assert_allclose(line.at, [-1, -0.5, 0, 0.5, 1, 1.5, 2, 2.5, 3])
    own = []
    for state in states:
        model.load_state_dict(state)
        own.append(problem(model, data).loss())
    assert line.losses[0, 2::2][:3].tolist() == own
    expected = [
        loss_at(model, [(0.5, states[0]), (0.5, states[1])], data),
        loss_at(model, [(1.5, states[0]), (-0.5, states[1])], data),
    ]
    np.testing.assert_allclose(line.losses[0, [3, 1]], expected, rtol=1e-9)


def test_three_checkpoints_lie_on_their_plane() -> None:
    model, data = mlp(), points()
    states = trained(model, data, 3)
    plane = slices.path_plane(problem(model, data), states, points=4, margin=0.5)
    assert plane.marks[-1].tolist() == [0, 0]
    assert plane.off.max() < 1e-9
    flat = [torch.cat([t.reshape(-1) for t in s.values()]) for s in states]
    for i in (0, 1):  # distances in the picture are those of the parameters
        assert np.linalg.norm(plane.marks[i]) == pytest.approx(float((flat[i] - flat[2]).norm()))
    coefficients = np.linalg.solve(plane.marks[:2].T, np.array([plane.first[0], plane.second[1]]))
    combination = [(float(c), s) for c, s in zip([*coefficients, 1 - coefficients.sum()], states, strict=True)]
    assert plane.losses[0, 1] == pytest.approx(loss_at(model, combination, data), rel=1e-9)


def test_components_are_those_of_a_singular_value_decomposition() -> None:
    model, data = mlp(), points()
    states = trained(model, data, 6)
    plane = slices.path_plane(problem(model, data), states, points=2)
    flat = torch.stack([torch.cat([t.reshape(-1) for t in s.values()]) for s in states])
    steps = (flat - flat[-1]).numpy()
    U, S, _ = np.linalg.svd(steps, full_matrices=False)
    np.testing.assert_allclose(np.abs(plane.marks), np.abs((U * S)[:, :2]), atol=1e-9)
    assert plane.labels[0] == f"first component, {S[0] ** 2 / (S**2).sum():.1%}"


def test_a_loss_that_is_not_finite_is_nan() -> None:
    model = nn.Linear(4, 3).double()
    line = slices.random_line(Problem(model, lambda z, y: z.exp().mean(), points()), reach=1e4, points=3, directions=1)
    assert np.isnan(line.losses[0, [0, 2]]).any()
    assert np.isfinite(line.losses[0, 1])


def bare() -> Problem:
    return problem(mlp(), points())


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda p, s: slices.random_line(p, points=4), "points must be odd"),
        (lambda p, s: slices.random_line(p, reach=0), "reach must be a finite number above 0"),
        (lambda p, s: slices.random_plane(p, scaling="layer"), "scaling must be one of filter, parameter, none, got 'layer'"),
        (lambda p, s: slices.path_line(p, s[:1]), "expected at least 2 checkpoints, got 1"),
        (lambda p, s: slices.path_plane(p, s[:2]), "expected at least 3 checkpoints, got 2"),
        (lambda p, s: slices.path_plane(p, [s[0], s[0], s[0]]), "checkpoints lie on one line"),
        (lambda p, s: slices.path_line(p, [s[0], {}]), "checkpoint 1 has no '0.weight'"),
        (lambda p, s: slices.path_line(p, [s[0], s[0] | {"0.bias": torch.ones(2)}]), "checkpoint 1: 0.bias has shape \\(2,\\)"),
        (lambda p, s: slices.path_line(p, [s[0], s[0] | {"0.bias": s[0]["0.bias"] / 0}]), "0.bias holds NaN or infinity"),
    ],
)
def test_bad_input_is_named(call: Any, words: str) -> None:
    states = trained(mlp(), points(), 2)
    with pytest.raises(ValueError, match=words):
        call(bare(), states)


def test_parameters_that_stay_must_be_the_same() -> None:
    model = mlp()
    states = trained(model, points(), 2)
    with pytest.raises(ValueError, match=r"checkpoint 0 differs in 2\.weight, which is not among the parameters that move"):
        slices.path_line(problem(model, points(), parameters=["0"]), states)
    with pytest.raises(ValueError, match="no parameter has two axes"):
        slices.random_line(problem(model, points(), parameters=["0.bias"]))
