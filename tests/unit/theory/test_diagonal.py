"""Closed forms of diagonal networks beside the loss itself: batches, zeros, correlated data, what is refused."""

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from flatproof.theory import diagonal
from flatproof.theory.claims import statements
from flatproof.theory.claims.brute_force import Instance, instances
from flatproof.theory.diagonal import Diagonal

SCALINGS = ("none", "elementwise", 1.5)
MEASURES: dict[str, Callable[[Diagonal], np.ndarray]] = {
    "trace": diagonal.trace,
    "lambda_max": diagonal.lambda_max,
    "fisher_rao": diagonal.fisher_rao,
    "average_case": lambda network: diagonal.average_case(network, 0.3, "linf", "none"),
    "worst_case_linf": lambda network: diagonal.worst_case_linf(network, 0.3),
    "second_order_linf": lambda network: diagonal.second_order_linf(network, 0.3),
    "keskar": lambda network: diagonal.keskar(network, 0.3),
    "worst_case_l2, low": lambda network: diagonal.worst_case_l2(network, 0.3, "none")[0],
    "worst_case_l2, high": lambda network: diagonal.worst_case_l2(network, 0.3, "none")[1],
    "one_sample_linf": lambda network: diagonal.one_sample_linf(network, 0.3),
    "one_sample_second_order": lambda network: diagonal.one_sample_second_order(network, 0.3),
    "first_order": lambda network: diagonal.first_order(network, np.arange(float(len(network.x))), 0.3),
}


def closed(instance: Instance) -> Diagonal:
    return Diagonal(instance.u, instance.v, instance.x, instance.kappa)


def differences(instance: Instance, step: float = 1e-4) -> np.ndarray:
    """The Hessian by central second differences of the loss; it is a polynomial of degree 4."""
    size = 2 * len(instance.u)
    units, ones = step * np.eye(size), np.ones(size)
    points = np.array([s * a + t * b for a in units for b in units for s, t in product((1, -1), repeat=2)])
    values = instance.losses(points, ones).reshape(size, size, 4)
    return (values[..., 0] - values[..., 1] - values[..., 2] + values[..., 3]) / (4 * step**2)


def test_the_hessian_is_that_of_the_loss_on_and_off_interpolation() -> None:
    for instance, radius in instances(20, 30):
        network = closed(instance)
        assert np.allclose(differences(instance), diagonal.hessian(network), atol=1e-5)
        instance.y = instance.y + radius
        assert np.allclose(differences(instance), diagonal.hessian(network, instance.y), atol=1e-5)
        assert np.trace(diagonal.hessian(network, instance.y)) == pytest.approx(float(diagonal.trace(network)))


def test_increase_and_gradient_are_those_of_the_loss() -> None:
    for instance, radius in instances(20, 31):
        network, d = closed(instance), len(instance.u)
        instance.y = instance.y - radius
        step = np.random.default_rng(0).standard_normal((5, 2 * d))
        moved = instance.losses(step, np.ones(2 * d))
        base = float(network.loss(instance.y))
        assert np.allclose(moved - base, network.increase(instance.y, step[:, :d], step[:, d:]))
        slope = (instance.losses(1e-6 * step, np.ones(2 * d)) - instance.losses(-1e-6 * step, np.ones(2 * d))) / 2e-6
        assert np.allclose(slope, step @ network.gradient(instance.y), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("scaling", SCALINGS)
def test_every_closed_form_is_what_brute_force_finds(scaling: str | float) -> None:
    rng = np.random.default_rng(1)
    for number, (instance, radius) in enumerate(instances(24, 32)):
        network, rho = closed(instance), radius * (1, 2.5)[number % 2]
        c = np.concatenate(network.scales(scaling))
        curved = c[:, None] * diagonal.hessian(network) * c
        assert np.trace(curved) == pytest.approx(float(diagonal.trace(network, scaling)))
        assert np.linalg.eigvalsh(curved)[-1] == pytest.approx(float(diagonal.lambda_max(network, scaling)), abs=1e-12)
        for norm in ("l2", "linf"):
            assert instance.mean(rho, c, norm) == pytest.approx(float(diagonal.average_case(network, rho, norm, scaling)))
        assert instance.over_box(rho, c) == pytest.approx(float(diagonal.worst_case_linf(network, rho, scaling)))
        samples = [instance.over_box(rho, c, slice(k, k + 1)) for k in range(len(instance.x))]
        assert np.mean(samples) == pytest.approx(float(diagonal.one_sample_linf(network, rho, scaling)))
        low, high = map(float, diagonal.worst_case_l2(network, rho, scaling))
        reached = instance.over_ball(rho, c, rng)
        assert low * (1 - 1e-4) <= reached <= high * (1 + 1e-9)


@pytest.mark.parametrize("scaling", ["none", "elementwise", 2.0])
def test_the_ball_is_exact_for_diagonal_covariance(scaling: str | float) -> None:
    rng = np.random.default_rng(2)
    for instance, rho in instances(16, 33, uncorrelated=True):
        instance.x = instance.x * np.linspace(0.5, 1, len(instance.u))  # variances that differ
        network = closed(instance)
        instance.y = network.forward()
        low, high = diagonal.worst_case_l2(network, rho, scaling)
        assert network.uncorrelated
        assert low == high
        assert instance.over_ball(rho, np.concatenate(network.scales(scaling)), rng) == pytest.approx(float(high), rel=1e-4)


def test_the_second_order_is_the_limit() -> None:
    for instance, _ in instances(12, 34):
        network = closed(instance)
        for form, leading in (
            (diagonal.worst_case_linf, diagonal.second_order_linf),
            (diagonal.one_sample_linf, diagonal.one_sample_second_order),
        ):
            near, far = (float(form(network, rho)) / rho**2 for rho in (1e-4, 2e-4))
            assert 2 * near - far == pytest.approx(float(leading(network, 1.0)), rel=1e-6, abs=1e-12)
        one = [diagonal.lambda_max(replace(network, x=network.x[k : k + 1])) for k in range(len(network.x))]
        assert np.mean(one) / 2 == pytest.approx(float(diagonal.one_sample_second_order(network, 1.0, "l2", "none")))


def test_one_coordinate_alone_with_zeros_and_extremes() -> None:
    rng = np.random.default_rng(3)
    angles = np.linspace(0, 2 * np.pi, 20001)
    for terms in (*(10.0 ** rng.uniform(-6, 3, (40, 3))), (0, 0, 1), (1, 0, 0), (0, 2, 1), (3, 3, 0), (0, 0, 0), (1, 0, 1e9)):
        a, b, c = map(float, terms)
        rho = float(10.0 ** rng.uniform(-3, 1))
        s, t = rho * np.cos(angles), rho * np.sin(angles)
        grid = float(np.abs(a * s + b * t + c * s * t).max())
        assert float(diagonal.reach_of_one(*map(np.asarray, (a, b, c)), rho)) == pytest.approx(grid, rel=1e-6)


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("n", [2, 6])
def test_many_networks_at_once_are_one_after_another(name: str, n: int) -> None:
    rng = np.random.default_rng(4)
    u, v, x = rng.standard_normal((2, 3, 4)), rng.standard_normal((2, 3, 4)), rng.standard_normal((n, 4))
    many = MEASURES[name](Diagonal(u, v, x))
    assert many.shape == (2, 3)
    for at in np.ndindex(2, 3):
        assert float(MEASURES[name](Diagonal(u[at], v[at], x))) == pytest.approx(float(many[at]), rel=1e-10)


def test_two_hundred_dimensions_where_coordinates_separate() -> None:
    rng = np.random.default_rng(5)
    x = np.linalg.qr(rng.standard_normal((200, 200)))[0] * np.sqrt(200)
    network = Diagonal(rng.standard_normal((3, 200)), rng.standard_normal((3, 200)), x)
    beta, rho = network.beta, 0.1
    assert np.allclose(diagonal.worst_case_linf(network, rho), (2 * rho + rho**2) ** 2 * np.sum(beta**2, axis=-1))
    low, high = diagonal.worst_case_l2(network, rho)
    assert np.allclose(low, (np.sqrt(2) * rho + rho**2 / 2) ** 2 * np.max(beta**2, axis=-1))
    assert np.array_equal(low, high)


def test_sams_point_vanishes_with_the_gradient() -> None:
    network = Diagonal(np.array([[1.0, 2.0], [0.5, -1.0]]), np.ones((2, 2)), np.eye(2))
    assert diagonal.first_order(network, network.forward()[0], 0.1)[0] == 0
    assert diagonal.first_order(network, network.forward()[0], 0.1)[1] > 0


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: Diagonal(np.ones(2), np.ones(3), np.ones((1, 2))),
            r"u and v must be of shape \(..., 2\), got \(2,\) and \(3,\)",
        ),
        (lambda: Diagonal(np.ones(3), np.ones(3), np.ones((1, 2))), r"u and v must be of shape \(..., 2\)"),
        (lambda: Diagonal(np.ones(2), np.ones(2), np.ones(2)), r"x must be of shape \(n, d\), got \(2,\)"),
        (lambda: Diagonal(np.ones(2), np.array([1, np.nan]), np.ones((1, 2))), r"v must be finite, entry \[1\] is not"),
        (lambda: Diagonal(np.ones(2), np.ones(2), np.ones((1, 2)), 0), "kappa must be a number above 0, got 0"),
        (lambda: known().loss(np.ones(3)), r"y must be of shape \(2,\), got \(3,\)"),
        (lambda: known().scales("layer"), "scaling must be 'none', 'elementwise', a number or a pair of arrays, got 'layer'"),
        (lambda: known().scales(0.5), r"scaling q = 0\.5 < 1 needs u and v without zeros"),
        (lambda: known().scales((-np.ones(2), np.ones(2))), "a pair of arrays without an entry below 0"),
        (lambda: diagonal.average_case(known(), 0.1, "l1"), "norm must be one of l2, linf, got 'l1'"),
        (lambda: diagonal.one_sample_second_order(known(), 0.1, "l1"), "norm must be 'l2' or 'linf', got 'l1'"),
        (lambda: diagonal.worst_case_l2(known(), -1), "rho must be a number above 0, got -1"),
        (lambda: diagonal.worst_case_linf(known(), np.inf), "rho must be a number above 0, got inf"),
        (
            lambda: diagonal.worst_case_linf(Diagonal(np.ones(21), np.ones(21), np.ones((1, 21))), 0.1),
            r"correlated data of dimension 21 has 2\^21 vertices; expected at most 20",
        ),
    ],
)
def test_bad_input_is_named(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def test_every_statement_that_the_module_names_is_proved() -> None:
    text = Path(diagonal.__file__).read_text(encoding="utf-8")
    named = {f"own/{name}" for name in re.findall(r"own/(diagonal-\d+)", text)}
    named |= {f"andriushchenko2023/{name}" for name in re.findall(r"\b(diag-\d+)", text)}
    assert len(named) > 10
    assert {id for id in named if not any(e.supports == "proved" for e in statements()[id].claim().evidence)} == set()


def known() -> Diagonal:
    return Diagonal(np.array([0.0, 1.0]), np.ones(2), np.eye(2))
