"""Starts that lean on a part of the data, or on an earlier search: fewer products, and intervals that cover as often as ever."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from flatproof.verify.curvature import HessianOperator, Problem, Scaled, eigenvalues, parts
from flatproof.verify.curvature.parts import Followed, part_of
from tests.unit.curvature.matrices import SPECTRA, Dense, with_spectrum
from tests.unit.curvature.models import mlp


def samples(n: int, classes: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(n)
    y = torch.arange(n) % classes
    return torch.randn(n, 4, generator=generator, dtype=torch.float64) + 2 * y[:, None], y


def test_samples_are_taken_evenly_whatever_batches_they_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = samples(47)
    whole = part_of(Problem(mlp(), nn.CrossEntropyLoss(), (x, y)))
    batches = [(x[:20], y[:20]), (x[20:21], y[20:21]), (x[21:], y[21:])]
    split = part_of(Problem(mlp(), nn.CrossEntropyLoss(), batches))
    assert whole is not None
    assert split is not None
    (batch,) = whole.batches()
    assert torch.equal(batch.inputs, x[[0, 9, 18, 28, 37]])
    assert torch.equal(torch.cat([b.inputs for b in split.batches()]), batch.inputs)
    assert torch.equal(torch.cat([b.targets for b in split.batches()]), batch.targets)
    assert split.loss() == pytest.approx(whole.loss())
    monkeypatch.setattr(parts, "MOST", 4)
    fewer = part_of(Problem(mlp(), nn.CrossEntropyLoss(), batches))
    assert fewer is not None
    assert fewer.samples == 4


@pytest.mark.parametrize(("samples_", "taken"), [(10, 3), (20, 3), (49, 5), (50, 10), (95, 10), (200, 20), (30_000, 2_000)])
def test_a_part_is_a_tenth_or_ten_samples_where_that_is_no_more_than_a_fifth(samples_: int, taken: int) -> None:
    data = torch.zeros(samples_, 4, dtype=torch.float64), torch.zeros(samples_, dtype=torch.long)
    part = part_of(Problem(mlp(), nn.CrossEntropyLoss(), data))
    assert part is not None
    assert part.samples == taken


def test_few_samples_or_targets_of_another_kind_have_no_part() -> None:
    x, y = samples(9)
    assert part_of(Problem(mlp(), nn.CrossEntropyLoss(), (x, y))) is None
    x, y = samples(30)
    assert part_of(Problem(mlp(), lambda z, t: z.square().mean() * t, (x, torch.tensor(2.0)))) is None
    loose = HessianOperator(mlp(), lambda z, t: z.square().mean() * t, (x, torch.tensor(2.0)))
    assert eigenvalues(loose, stop="ritz")[0].part == 0


class Parted(Dense):
    """A matrix whose "part of the data" is another matrix, a tenth of its cost."""

    def __init__(self, matrix: Tensor, other: Tensor) -> None:
        super().__init__(matrix)
        self.problem = SimpleNamespace(samples=100)
        self.other = other

    def part(self) -> Dense:
        smaller = Dense(self.other)
        smaller.problem = SimpleNamespace(samples=10)  # type: ignore[attr-defined]
        return smaller


def hidden(values: np.ndarray, seed: int) -> tuple[Tensor, Tensor]:
    """A matrix, and a part of it whose top eigenvectors are orthogonal to its own, which the part does not have at all."""
    whole = with_spectrum(np.sort(values)[::-1].copy(), seed).matrix
    basis = torch.linalg.eigh(whole)[1].flip(1)
    others = torch.as_tensor(np.sort(values)[::-1].copy())
    return whole, (basis[:, 2:] * others[2:].abs().add(1)) @ basis[:, 2:].T


ADVERSE = SPECTRA | {
    "clustered": lambda rng, p: np.r_[1.0 - 1e-4 * np.arange(6), rng.uniform(-0.9, 0.9, p - 6)],
    "indefinite": lambda rng, p: np.r_[2.0, -2.01, -2.0, 1.9, rng.uniform(-1.8, 1.8, p - 4)],
    "tiny gap": lambda rng, p: np.r_[1.0, 1 - 1e-9, rng.uniform(0, 0.5, p - 2)],
}


@pytest.mark.parametrize("stop", ["ritz", "interval"])
@pytest.mark.parametrize("kind", ["hidden", "alike", "follow"])
def test_a_start_that_leans_on_a_part_keeps_the_bound(kind: str, stop: str) -> None:
    """The part may not hold the top eigenvector at all: the interval covers as often."""
    covered = trials = 0
    for place, spectrum in enumerate(ADVERSE.values()):
        for seed in range(100 * place, 100 * place + 30):
            values = spectrum(np.random.default_rng(seed), 40)
            whole, other = hidden(values, seed)
            near = Followed(torch.linalg.eigh(other)[1][:, -1]) if kind == "follow" else None
            if kind == "alike":
                other = whole + 0.02 * with_spectrum(values, seed + 1).matrix
            e = eigenvalues(Parted(whole, other), lean=True, near=near, stop=stop, seed=seed)[0]  # type: ignore[arg-type]
            assert (e.part > 0) == (kind != "follow")
            assert e.low <= values.max() + 1e-9
            covered += e.covers(values.max())
            trials += 1
    assert covered >= 0.985 * trials


def test_the_bound_is_sharp_when_confidence_is_low() -> None:
    """At 60 %, with a part that hides the top eigenvector, intervals miss it sometimes, and not more often than they may."""
    missed = trials = 0
    for seed in range(400):
        values = np.r_[3.0, 1.0, 1 / np.arange(2, 40.0)]
        whole, other = hidden(values, seed)
        missed += not eigenvalues(Parted(whole, other), lean=True, confidence=0.6, seed=seed)[0].covers(3.0)
        trials += 1
    assert 0 < missed <= 0.46 * trials


def test_the_explicit_hessian_is_met_in_fewer_products() -> None:
    x, y = samples(200)
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 3)).double()
    operator = HessianOperator(model, nn.CrossEntropyLoss(), [(x[:70], y[:70]), (x[70:], y[70:])])
    truth = float(np.linalg.eigvalsh(operator.dense().numpy())[-1])
    before = operator.products
    e = eigenvalues(operator, stop="ritz")[0]
    assert abs(e.value - truth) <= 0.01 * truth
    assert e.covers(truth)
    assert 0 < e.part <= 2
    assert operator.products - before == e.products + e.checks / 2  # the part's are counted apart
    assert e.products + e.part <= 5 < eigenvalues(operator)[0].products
    again = eigenvalues(operator, stop="ritz")[0]
    assert (again.value, again.part) == (e.value, e.part)
    scaled = Scaled(operator, operator.problem.weights.abs())
    truth = float(np.linalg.eigvalsh((scaled.scale[:, None] * operator.dense() * scaled.scale).numpy())[-1])
    leaning = eigenvalues(scaled, stop="ritz")[0]
    assert leaning.part > 0
    assert leaning.covers(truth)
    assert abs(leaning.value - truth) <= 0.02 * truth
