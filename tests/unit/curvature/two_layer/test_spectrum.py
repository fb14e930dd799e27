"""Two-layer spectra against explicit Hessians."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from flatproof.theory.networks import ARCHITECTURES, Architecture, Network, forward, trace_of_hessian
from flatproof.verify.curvature import HessianOperator, lambda_max
from flatproof.verify.curvature.traces import xtrace
from flatproof.verify.curvature.two_layer.spectrum import gram, whole_spectrum
from flatproof.verify.two_layer.modules import TwoLayer


def random_network(architecture: Architecture, m: int, d: int, seed: int, epsilon: float = 1e-3) -> Network:
    rng = np.random.default_rng(seed)
    b1 = None if architecture == "no-bias" else rng.standard_normal(m)
    gamma = rng.standard_normal(m) if architecture == "sim-bn" else None
    return Network(rng.standard_normal((m, d)), rng.standard_normal(m), b1, gamma, architecture, epsilon)


def explicit_hessian(network: Network, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    model = TwoLayer(network, x)
    shapes = {name: p.shape for name, p in model.named_parameters()}
    inputs, targets = torch.as_tensor(x), torch.as_tensor(y)

    def loss(flat: Tensor) -> Tensor:
        parts = torch.split(flat, [s.numel() for s in shapes.values()])
        tensors = {name: part.view(s) for (name, s), part in zip(shapes.items(), parts, strict=True)}
        return (torch.func.functional_call(model, tensors, (inputs,)) - targets).square().mean()

    flat = torch.cat([p.detach().reshape(-1) for p in model.parameters()])
    return torch.autograd.functional.hessian(loss, flat).numpy()


@given(
    architecture=st.sampled_from(ARCHITECTURES),
    m=st.integers(1, 6),
    n=st.integers(1, 12),
    d=st.integers(1, 9),
    seed=st.integers(0, 10**6),
    interpolating=st.booleans(),
    floored=st.booleans(),
)
def test_whole_spectrum(
    architecture: Architecture, m: int, n: int, d: int, seed: int, interpolating: bool, floored: bool
) -> None:
    network = random_network(architecture, m, d, seed, epsilon=2.0 if floored else 1e-3)
    rng = np.random.default_rng(seed + 1)
    x = rng.standard_normal((n, d))
    y = forward(network, x) if interpolating else rng.standard_normal(n)
    hessian = explicit_hessian(network, x, y)
    if not np.isfinite(hessian).all():
        return
    truth = np.linalg.eigvalsh(hessian)[::-1]
    spectrum = whole_spectrum(network, x, y)
    scale = np.abs(truth).max() + 1
    assert len(spectrum.all()) == spectrum.size == len(truth)
    assert np.abs(spectrum.all() - truth).max() <= 1e-8 * scale
    assert spectrum.trace().value == pytest.approx(trace_of_hessian(network, x, y), abs=1e-8 * scale * len(truth))
    if interpolating:
        assert spectrum.method == "gram"
        assert whole_spectrum(TwoLayer(network, x), x).all() == pytest.approx(spectrum.all())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_gram_against_autograd(architecture: Architecture) -> None:
    network, x = random_network(architecture, 7, 4, 0), np.random.default_rng(1).standard_normal((9, 4))
    model, inputs = TwoLayer(network, x), torch.as_tensor(x)
    f = model(inputs)
    rows = [torch.cat([g.reshape(-1) for g in torch.autograd.grad(v, list(model.parameters()), retain_graph=True)]) for v in f]
    jacobian = torch.stack(rows).numpy()
    assert gram(network, x) == pytest.approx(jacobian @ jacobian.T, abs=1e-11)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_lanczos_agrees_with_the_whole_spectrum(architecture: Architecture) -> None:
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((12, 5)), rng.standard_normal(12)
    model = TwoLayer(random_network(architecture, 8, 5, 0), x)
    exact = whole_spectrum(model, x, y)
    data = torch.as_tensor(x), torch.as_tensor(y)
    operator = HessianOperator(model, lambda f, t: (f - t).square().mean(), data)
    e = lambda_max(operator)
    assert e.covers(exact.lambda_max().value)
    assert (e.samples, e.mode) == (12, "eval")
    assert xtrace(operator, products=40).covers(exact.trace().value)


def test_large_plain_network_needs_no_large_matrix() -> None:
    rng = np.random.default_rng(0)
    x = rng.choice([-1.0, 1.0], (40, 20))
    spectrum = whole_spectrum(random_network("bias", 150, 20, 0), x, x[:, 0] * x[:, 1], limit=400)
    assert spectrum.method == "low-rank"
    assert spectrum.size == 150 * 22
    assert spectrum.trace().covers(trace_of_hessian(random_network("bias", 150, 20, 0), x, x[:, 0] * x[:, 1]))
    with pytest.raises(ValueError, match=r"the dense problem has size \d+, above the limit 400"):
        whole_spectrum(random_network("sim-ln", 150, 20, 0), x, x[:, 0], limit=400)
