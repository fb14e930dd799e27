"""Measures that share what they have in common: the same numbers as alone, for fewer products, and forgotten when the parameters move."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from flatproof.verify.cli.measuring import measure_all
from flatproof.verify.curvature import HessianOperator, Problem, eigenvalues, krylov_trace, lambda_max, spectral_density, trace
from flatproof.verify.curvature.estimates import Estimate, gaussian, generator_of
from flatproof.verify.curvature.krylov import Krylov, Prefix
from flatproof.verify.curvature.scaled import Rescaled
from flatproof.verify.curvature.shared import once, sharing
from tests.unit.curvature.matrices import SPECTRA, Dense, with_spectrum


def _problem() -> Problem:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    return Problem(model, F.cross_entropy, (torch.randn(20, 5).double(), torch.arange(20) % 3))


def _explicit(problem: Problem) -> np.ndarray:
    """The Hessian, by torch.autograd.functional alone."""
    shapes = [p.shape for p in problem.tensors]
    (batch,) = problem.batches()

    def loss(flat: torch.Tensor) -> torch.Tensor:
        pieces = torch.split(flat, [s.numel() for s in shapes])
        named = {n: p.reshape(s) for n, p, s in zip(problem.names, pieces, shapes, strict=True)}
        return F.cross_entropy(torch.func.functional_call(problem.model, named, (batch.inputs,)), batch.targets)

    return np.asarray(torch.autograd.functional.hessian(loss, problem.weights))


def _ends(e: Estimate) -> tuple[float, ...]:
    return e.value, e.low, e.high


def test_estimates_are_the_same_numbers_shared_or_alone_and_cover_the_explicit_hessian() -> None:
    problem = _problem()
    exact = _explicit(problem)
    estimators: dict[str, Callable[[HessianOperator], Estimate]] = {
        "largest": lambda_max,
        "trace": lambda H: trace(H, "krylov", products=40),
        "chosen trace": lambda H: trace(H, products=40),
        "smallest": lambda H: eigenvalues(H, which="smallest")[0],
        "third": lambda H: eigenvalues(H, 3)[2],
    }
    alone = {name: f(HessianOperator.of(problem)) for name, f in estimators.items()}
    for order in (list(estimators), list(estimators)[::-1]):
        H = HessianOperator.of(problem)
        with sharing(problem):
            shared = {name: estimators[name](H) for name in order}
            curve = spectral_density(H, probes=2, steps=12)
        assert {n: _ends(e) for n, e in shared.items()} == {n: _ends(e) for n, e in alone.items()}
        assert sum(e.products for e in shared.values()) < sum(e.products for e in alone.values()) - 20
        assert curve.mass.products == 12  # one of the two directions was multiplied already
        np.testing.assert_array_equal(curve.density, spectral_density(HessianOperator.of(problem), probes=2, steps=12).density)
    values = np.linalg.eigvalsh(exact)
    assert alone["largest"].covers(values[-1])
    assert alone["smallest"].covers(values[0])
    assert alone["trace"].covers(np.trace(exact))
    assert alone["chosen trace"].covers(np.trace(exact))
    assert problem.shared is None


def test_what_is_shared_is_forgotten_when_the_parameters_move() -> None:
    problem = _problem()
    H = HessianOperator.of(problem)
    with sharing(problem):
        before = lambda_max(H)
        with torch.no_grad():
            problem.tensors[0].mul_(3)
        after = lambda_max(H)
        assert once(problem, "key", lambda: 1) == once(problem, "key", lambda: 2) == 1
    assert after.value != before.value
    assert after.value == pytest.approx(np.linalg.eigvalsh(_explicit(problem))[-1], rel=1e-6)
    assert once(problem, "key", lambda: 2) == 2


def test_measures_together_are_those_alone() -> None:
    names = ["average-l2", "keskar", "lambda-max", "adaptive-lambda-max", "sam", "m-sharpness", "trace", "adaptive-trace"]
    krylov = ["trace.method=krylov"]
    together = {row.measure.name: row.estimate for row in measure_all(_problem(), names, settings=krylov)}
    for name in names:
        (row,) = measure_all(_problem(), [name], settings=krylov if name == "trace" else None)
        estimate = together[name]
        assert row.estimate is not None
        assert estimate is not None
        assert _ends(estimate) == _ends(row.estimate), name
    assert together["trace"] is not None
    assert together["trace"].products < 60
    assert together["m-sharpness"] is not None


def test_a_space_that_closes_is_left_to_each() -> None:
    """H = diag(2, 2, 2, 1, 1, 0, ...): a start's space closes after three products, and what each adds is its own."""
    H = Dense(torch.diag(torch.tensor([2.0, 2, 2, 1, 1, *[0] * 15], dtype=torch.float64)))
    whole = Krylov(Rescaled(H), gaussian(H, 1, generator_of(0)))
    first, second = Prefix(whole), Prefix(whole)
    for space in (first, second):
        while not space.invariant:
            space.grow()
    assert H.products == first.size == second.size == 3
    assert first.restart(gaussian(H, 1, generator_of(1)))
    first.grow()
    assert (first.size, second.size, whole.size) == (4, 3, 3)
    basis = first.basis.numpy()
    np.testing.assert_allclose(basis.T @ basis, np.eye(4), atol=1e-12)
    np.testing.assert_allclose(basis.T @ H.matrix.numpy() @ basis, first.T, atol=1e-12)


def test_krylov_aware_trace_covers_is_unbiased_and_exact_where_the_basis_spans() -> None:
    for name, spectrum in SPECTRA.items():
        values = spectrum(np.random.default_rng(0), 100)
        operator = with_spectrum(values, 0)
        estimates = [krylov_trace(operator, products=30, seed=s) for s in range(150)]
        assert all(e.products == 30 for e in estimates)
        assert np.mean([e.covers(values.sum()) for e in estimates]) >= 0.9, name
        error = np.array([e.value - values.sum() for e in estimates])
        assert abs(error.mean()) <= 4 * error.std() / np.sqrt(len(error)) + 1e-12, name
    small = krylov_trace(with_spectrum(np.arange(1.0, 9), 0), products=20)
    assert small.value == pytest.approx(36, abs=1e-12)
    assert small.covers(36)
    assert small.confidence is None
