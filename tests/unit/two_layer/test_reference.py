"""The reference steps against hand-computed ones and torch.optim."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from flatproof.verify.two_layer import reference
from flatproof.verify.two_layer.losses import mse


def quadratic(parameters: reference.Parameters) -> torch.Tensor:
    """(1/2) theta . diag(1, 3) theta, gradient (theta_1, 3 theta_2)."""
    t = parameters["t"]
    return 0.5 * (t[0] ** 2 + 3 * t[1] ** 2)


def test_sam_by_hand() -> None:
    """theta = (4, 1): gradient (4, 3), norm 5; with rho = 5 the ascended point is (8, 4), its gradient (8, 12)."""
    after = reference.sam(quadratic, {"t": torch.tensor([4.0, 1.0])}, lr=0.5, rho=5.0, weight_decay=0.1)
    assert after["t"].tolist() == pytest.approx([4 - 0.5 * (8 + 0.4), 1 - 0.5 * (12 + 0.1)])


def test_sam_does_not_move_from_a_critical_point() -> None:
    assert reference.sam(quadratic, {"t": torch.zeros(2)}, 0.5, 1.0)["t"].tolist() == [0, 0]


@pytest.mark.parametrize(("perturbed", "gradient"), [("first layer", (4.5, 6)), ("above it", (2.5, 6.25))])
def test_sam_of_some_parameters_by_hand(perturbed: reference.Perturbed, gradient: tuple[float, float]) -> None:
    """(1/2) (a w)^2 at a = 2, w = 1, rho = 0.5: the points are (2, 1.5) and (2.5, 1), with gradients (a w^2, a^2 w)."""

    def product(parameters: reference.Parameters) -> torch.Tensor:
        return 0.5 * (parameters["w2"] * parameters["w1"]).square().sum()

    start = {"w2": torch.tensor([2.0]), "w1": torch.tensor([1.0])}
    after = reference.sam(product, start, lr=0.1, rho=0.5, perturbed=perturbed)
    assert [float(after["w2"]), float(after["w1"])] == pytest.approx([2 - 0.1 * gradient[0], 1 - 0.1 * gradient[1]])


@given(st.floats(1e-3, 1), st.floats(0, 0.5), st.integers(0, 1000))
def test_sgd_is_torchs(lr: float, decay: float, seed: int) -> None:
    start = torch.as_tensor(np.random.default_rng(seed).standard_normal(2))
    leaf = start.clone().requires_grad_()
    optimizer = torch.optim.SGD([leaf], lr=lr, weight_decay=decay)
    quadratic({"t": leaf}).backward()
    optimizer.step()
    assert reference.sgd(quadratic, {"t": start}, lr, decay)["t"].tolist() == pytest.approx(leaf.tolist())


def test_label_noise_moves_the_labels() -> None:
    f = {"t": torch.zeros(3)}
    labels, noise = torch.ones(3), torch.tensor([1.0, 0.0, -1.0])
    after = reference.label_noise_sgd(lambda y: lambda p: mse(p["t"], y), labels, noise, f, lr=1.5)
    assert after["t"].tolist() == pytest.approx([2.0, 1.0, 0.0])
