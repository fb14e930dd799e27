"""What keskar2017 prints, and the networks that it describes."""

import pytest
import torch
from torch import nn

from flatproof.verify.deep.networks import alexnet_like, fully_connected, vgg_like
from flatproof.verify.experiments.keskar2017 import rules
from flatproof.verify.experiments.keskar2017.grid import NETWORKS
from flatproof.verify.experiments.keskar2017.published import ACCURACY, CLAIMS, EPSILONS, SHARPNESS


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def norms(*widths: int) -> int:
    return sum(2 * width for width in widths)


def test_networks_have_the_parameters_that_the_paper_describes() -> None:
    f1 = 784 * 512 + 4 * 512**2 + 5 * 512 + norms(*[512] * 5) + 512 * 10 + 10
    assert count(fully_connected()) == f1
    c1 = (75 * 64 + 64) + (25 * 64 * 64 + 64) + norms(64, 64, 384, 192)
    c1 += 64 * 64 * 384 + 384 + 384 * 192 + 192 + 192 * 10 + 10
    assert count(alexnet_like()) == c1
    widths = [64, 64, 128, 128, *[256] * 3, *[512] * 6]
    convolutions = sum(9 * a * b + b for a, b in zip([3, *widths], widths, strict=False))
    c2 = convolutions + norms(*widths, 512) + 512 * 512 + 512 + 512 * 10 + 10
    assert count(vgg_like()) == c2


@pytest.mark.parametrize(
    ("make", "shape"), [(fully_connected, (2, 1, 28, 28)), (alexnet_like, (2, 3, 32, 32)), (vgg_like, (2, 3, 32, 32))]
)
def test_networks_map_images_to_logits_and_drop_out_where_the_paper_does(make: object, shape: tuple[int, ...]) -> None:
    model = make(classes=7)  # type: ignore[operator]
    assert model(torch.randn(shape)).shape == (2, 7)
    rates = [m.p for m in model.modules() if isinstance(m, nn.Dropout)]
    expected = {fully_connected: [], alexnet_like: [0.5, 0.5], vgg_like: [0.3, 0.4, *[0.4] * 6, 0.5, 0.5]}[make]  # type: ignore[index]
    assert rates == expected
    shared = [id(p) for p in model.parameters()]
    assert len(set(shared)) == len(shared)


def test_published_numbers_are_complete() -> None:
    assert set(NETWORKS) == set(ACCURACY) == set(SHARPNESS["full"]) == set(SHARPNESS["subspace"])
    assert set(rules.JUDGES) == set(rules.RULES) == set(CLAIMS)


PRINTED = {  # by network: table 2; table 3 at both epsilons; table 4 at both; "mean deviation" of SB and LB
    "F1": (
        "99.66 0.05, 99.92 0.01, 98.03 0.07, 97.81 0.07",
        "1.23 0.83, 205.14 69.52, 0.61 0.27, 42.90 17.14",
        "0.11 0.00, 9.22 0.56, 0.05 0.00, 9.17 0.14",
    ),
    "F2": (
        "99.99 0.03, 98.35 2.08, 64.02 0.2, 59.45 1.05",
        "1.39 0.02, 310.64 38.46, 0.90 0.05, 93.15 6.81",
        "0.29 0.02, 23.63 0.54, 0.05 0.00, 6.28 0.19",
    ),
    "C1": (
        "99.89 0.02, 99.66 0.2, 80.04 0.12, 77.26 0.42",
        "28.58 3.13, 707.23 43.04, 7.08 0.88, 227.31 23.23",
        "2.18 0.23, 137.25 21.60, 0.71 0.15, 29.50 7.48",
    ),
    "C2": (
        "99.99 0.04, 99.99 0.01, 89.24 0.12, 87.26 0.07",
        "8.68 1.32, 925.32 38.29, 2.07 0.86, 175.31 18.28",
        "0.95 0.34, 25.09 2.61, 0.31 0.08, 5.82 0.52",
    ),
    "C3": (
        "99.56 0.44, 99.88 0.30, 49.58 0.39, 46.45 0.43",
        "29.85 5.98, 258.75 8.96, 8.56 0.99, 105.11 13.22",
        "17.02 2.20, 236.03 31.26, 4.03 1.45, 86.96 27.39",
    ),
    "C4": (
        "99.10 1.23, 99.57 1.84, 63.08 0.5, 57.81 0.17",
        "12.83 3.84, 421.84 36.97, 4.07 0.87, 109.35 16.57",
        "6.05 1.13, 72.99 10.96, 1.89 0.33, 19.85 4.12",
    ),
}


@pytest.mark.parametrize("network", PRINTED)
def test_published_numbers_are_those_of_the_paper(network: str) -> None:
    def pairs(row: str) -> tuple[tuple[float, ...], ...]:
        return tuple(tuple(float(number) for number in pair.split()) for pair in row.split(", "))

    held = (ACCURACY[network], SHARPNESS["full"][network], SHARPNESS["subspace"][network])
    assert held == tuple(map(pairs, PRINTED[network]))
    assert EPSILONS == (1e-3, 5e-4)
