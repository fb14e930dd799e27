"""ASAM's normalizations: c against its definition, sharpness against explicit Hessians, and what leaves it unchanged."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from flatproof.verify.curvature import Problem, measures
from flatproof.verify.curvature.sharpness import Landscape, average_case_sharpness, worst_case_sharpness
from flatproof.verify.curvature.sharpness.landscape import normalize
from flatproof.verify.curvature.sharpness.scaling import scale_of

ASAM = ("filter-worst-l2", "layer-worst-l2", "filter-average-l2", "layer-average-l2")
seeds = st.integers(0, 10**6)


def network(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3)).double()


def problem(model: nn.Module, seed: int = 0, **settings: Any) -> Problem:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(12, 3, generator=generator, dtype=torch.float64)
    return Problem(model, nn.functional.cross_entropy, (x, torch.randint(3, (12,), generator=generator)), **settings)


def test_sizes_are_norms_of_filters_and_layers() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 3, 2), nn.Flatten(), nn.Linear(12, 2)).double()
    x = torch.randn(4, 2, 3, 3, dtype=torch.float64)
    place = Landscape(Problem(model, nn.functional.cross_entropy, (x, torch.randint(2, (4,)))))
    conv, linear = model[0], model[2]
    filters = torch.cat([
        torch.stack([w.norm() for w in conv.weight]).repeat_interleave(8), conv.bias.abs(),  # type: ignore[union-attr]
        torch.stack([w.norm() for w in linear.weight]).repeat_interleave(12), linear.bias.abs(),  # type: ignore[union-attr]
    ])  # fmt: skip
    layers = torch.cat([
        conv.weight.norm().expand(24), conv.bias.abs(), linear.weight.norm().expand(24), linear.bias.abs()  # type: ignore[operator, union-attr]
    ])  # fmt: skip
    for scaling, wanted in (("filter", filters), ("layer", layers)):
        c = scale_of(place, scaling)  # type: ignore[arg-type]
        assert c is not None
        assert torch.allclose(c, wanted.detach())
    with pytest.raises(ValueError, match="scaling must be one of none, elementwise, filter, layer, got 'tensor'"):
        worst_case_sharpness(place, scaling="tensor")  # type: ignore[arg-type]


@given(seed=seeds, scaling=st.sampled_from(["none", "elementwise", "filter", "layer"]))
@settings(max_examples=4)
def test_a_quadratic_loss_against_its_explicit_hessian(seed: int, scaling: Any) -> None:
    """Linear regression at interpolation, where L(w + delta) = delta'H delta / 2: rho^2 lambda_max(CHC) / 2 and rho^2 tr(CHC) / 2."""
    torch.manual_seed(seed)
    model, x = nn.Linear(3, 2).double(), torch.randn(9, 3, dtype=torch.float64)
    place = Landscape(Problem(model, nn.functional.mse_loss, (x, model(x).detach())))
    (batch,) = place.batches()

    def loss(delta: Tensor) -> Tensor:
        return place.compare(place.outputs(delta, batch), batch)

    H = torch.autograd.functional.hessian(loss, torch.zeros_like(place.weights))
    c = scale_of(place, scaling)
    C = torch.eye(place.size, dtype=torch.float64) if c is None else torch.diag(c)
    worst = worst_case_sharpness(place, rho=0.3, scaling=scaling, steps=40)
    assert worst.value == pytest.approx(0.09 * float(torch.linalg.eigvalsh(C @ H @ C)[-1]) / 2, rel=1e-3)
    mean = average_case_sharpness(place, rho=0.3, scaling=scaling, draws=200, confidence=0.9999)
    assert mean.covers(0.09 * float((C @ H @ C).trace()) / 2)


def rescaled(model: nn.Sequential, first: Tensor, second: Tensor) -> nn.Sequential:
    """The same function: the neurons of the first and second layer times factors, undone by the next layer's columns."""
    twin = network(0)
    twin.load_state_dict(model.state_dict())
    with torch.no_grad():
        for here, after, factors in ((twin[0], twin[2], first), (twin[2], twin[4], second)):
            here.weight.mul_(factors[:, None])  # type: ignore[operator, union-attr]
            here.bias.mul_(factors)  # type: ignore[operator, union-attr]
            after.weight.div_(factors)  # type: ignore[operator, union-attr]
    return twin


@given(seed=seeds, factors=st.tuples(st.floats(0.2, 5), st.floats(0.2, 5)))
@settings(max_examples=3)
def test_whole_layers_may_be_rescaled(seed: int, factors: tuple[float, float]) -> None:
    model = network(seed)
    ones = torch.ones(4, dtype=torch.float64)
    twin = rescaled(model, factors[0] * ones, factors[1] * ones)
    for name in ASAM:
        given_to = {"steps": 6} if "worst" in name else {"draws": 8}
        first, second = (measures()[name](problem(m, seed), **given_to).value for m in (model, twin))
        assert second == pytest.approx(first, rel=1e-6, abs=1e-9), name
        assert "whole layers" in measures()[name].invariant


def test_single_neurons_may_not() -> None:
    model = network(1)
    factors = torch.tensor([1.0, 4.0, 0.25, 2.0], dtype=torch.float64)
    twin = rescaled(model, factors, factors)
    for name in ASAM:
        first, second = (measures()[name](problem(m)).value for m in (model, twin))
        assert abs(second - first) > 0.05 * abs(first), name


def test_a_filter_before_batch_norm_may_be_rescaled() -> None:
    """By batch statistics, its output does not change; with one norm a layer it matters, and to |w| too it does not."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4, bias=False), nn.BatchNorm1d(4, eps=1e-30), nn.ReLU(), nn.Linear(4, 3)).double()
    place = problem(model, mode="train")
    names = ("filter-worst-l2", "adaptive-worst-l2", "layer-worst-l2", "worst-l2")
    before = [measures()[name](place, steps=6).value for name in names]
    with torch.no_grad():
        model[0].weight.mul_(torch.tensor([[1.0], [5.0], [0.2], [3.0]], dtype=torch.float64))  # type: ignore[operator, union-attr]
    after = [measures()[name](place, steps=6).value for name in names]
    assert after[:2] == pytest.approx(before[:2], rel=1e-6)
    assert all(abs(b - a) > 1e-3 * a for a, b in zip(before[2:], after[2:], strict=True))


def test_logits_as_the_paper_has_them() -> None:
    """Centred, over max(norm, 1e-10); over the standard deviation they are sqrt K times as long."""
    logits = torch.randn(7, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    centred = logits - logits.mean(1, keepdim=True)
    assert torch.allclose(normalize(logits, "normalized"), nn.functional.normalize(centred, dim=1, eps=1e-10))
    assert torch.allclose(normalize(logits, "standardized"), centred / logits.std(1, unbiased=False, keepdim=True))
    tiny = 1e-12 * centred
    assert torch.allclose(normalize(tiny, "normalized"), tiny / 1e-10)


def test_average_case_over_batches_of_m() -> None:
    """In mode train batch norm takes each batch's statistics: S_avg by hand, with the same draws."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 3)).double()
    place = Landscape(problem(model, mode="train"))
    e = average_case_sharpness(place, rho=0.2, batch_size=4, draws=6)
    generator, means = torch.Generator().manual_seed(0), []
    for _ in range(3):
        delta = 0.2 * torch.randn(place.size, generator=generator, dtype=torch.float64) * place.weights.abs()
        pairs = [place.value(s * delta, b) - place.value(None, b) for s in (1, -1) for b in place.batches(4)]
        means.append(sum(pairs) / len(pairs))
    assert e.value == pytest.approx(sum(means) / 3)
    assert e.method.endswith("batches of 4")
    assert average_case_sharpness(place, rho=0.2, draws=6).value != pytest.approx(e.value)
    steady = problem(network(0))
    assert average_case_sharpness(steady, batch_size=5, draws=8).value == pytest.approx(
        average_case_sharpness(steady, draws=8).value
    )


def test_each_batch_has_displacements_of_its_own() -> None:
    """Three batches: 50 losses, 25 pairs a batch, and S_avg by hand."""
    place = Landscape(problem(network(0)))
    e = average_case_sharpness(place, rho=0.2, batch_size=5)
    assert (e.losses, e.method.split(", rho")[0]) == (51, "50 Gaussian draws in pairs, each part its own")
    passes = []
    for which in range(25):
        increase = 0.0
        for index, batch in enumerate(place.batches(5)):
            seed = int(np.random.SeedSequence((0, which, index)).generate_state(1, np.uint64)[0])
            normal = torch.randn(place.size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
            moved = [place.value(s * 0.2 * normal * place.weights.abs(), batch) for s in (1, -1)]
            increase += batch.samples / 12 * (sum(moved) / 2 - place.value(None, batch))
        passes.append(increase)
    assert e.value == pytest.approx(np.mean(passes), rel=1e-9)
    half = 2.0639 * np.std(passes, ddof=1) / 5
    assert (e.low, e.high) == pytest.approx((np.mean(passes) - half, np.mean(passes) + half), rel=1e-4)
    many = average_case_sharpness(place, rho=0.2, batch_size=1)  # ten parts of twelve batches
    assert (many.losses, many.method.split(", rho")[0]) == (31, "30 Gaussian draws in pairs, each part its own")
    single = average_case_sharpness(place, rho=0.2)
    assert single.value == average_case_sharpness(place, rho=0.2, draws=100).value  # one batch: nothing of its own
