"""What keskar2017 measures of trained networks."""

import json
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from flatproof.verify.deep import ImageData, Net, Stop, Training, trained
from flatproof.verify.deep.data import samples
from flatproof.verify.deep.loop import loss_and_accuracy
from flatproof.verify.experiments.keskar2017.grid import plan_of
from flatproof.verify.experiments.keskar2017.jobs import Path, Sharpness, Spectrum, estimate_statistics, problem_of, weights_of


def trained_pair() -> tuple[Training, Training]:
    plan = plan_of("smoke")
    return plan.sb("F1", 1), plan.lb("F1", 1)


def test_a_path_passes_through_both_solutions_and_measures_distances() -> None:
    sb, lb = trained_pair()
    values = Path(sb, lb, (0.0, 0.5, 1.0), None).carry_out()
    data = samples(sb.data)
    for along in ("linear", "curved"):
        for position, training in ((0, sb), (2, lb)):
            model, _ = trained(training)
            estimate_statistics(model, data.train_x)
            loss, accuracy = loss_and_accuracy(model, data.test_x, data.test_y)
            assert values[along]["test_loss"][position] == pytest.approx(loss, rel=1e-5)
            assert values[along]["test_accuracy"][position] == accuracy
    assert values["linear"]["train_loss"][1] != pytest.approx(values["curved"]["train_loss"][1], rel=1e-3)
    start, end = (torch.cat([p.detach().flatten() for p in trained(sb, epoch)[0].parameters()]) for epoch in (0, None))
    assert values["distance_small"] == pytest.approx(float((end - start).norm()), rel=1e-5)
    json.dumps(values, allow_nan=False)


def test_coefficients_of_the_paths() -> None:
    for path in ("linear", "curved"):
        assert weights_of(path, 0.0) == pytest.approx((0, 1))
        assert weights_of(path, 1.0) == pytest.approx((1, 0))
    assert weights_of("linear", -1.0) == (-1.0, 2.0)
    assert weights_of("curved", 0.5) == pytest.approx((math.sqrt(0.5), math.sqrt(0.5)))


def test_statistics_are_those_of_the_images() -> None:
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))
    norm = model[1]
    assert isinstance(norm, nn.BatchNorm1d)
    norm.running_mean.fill_(9.0)  # type: ignore[union-attr]
    x = torch.randn(50, 4) * 3 + 1
    estimate_statistics(model, x)
    torch.testing.assert_close(norm.running_mean, x.mean(0))
    torch.testing.assert_close(norm.running_var, x.var(0))
    assert norm.momentum == 0.1
    assert not any(m.training for m in model.modules())


def test_sharpness_is_the_metric_of_the_trained_network() -> None:
    from flatproof.verify.curvature import measures

    sb, _ = trained_pair()
    values = Sharpness(sb, None, 50).carry_out()
    model, _ = trained(sb)
    problem = problem_of(model, sb, 50)
    data = samples(sb.data)
    assert values["loss"] == pytest.approx(loss_and_accuracy(model, data.train_x[:50], data.train_y[:50])[0], rel=1e-5)
    assert values["full"][1] == pytest.approx(measures()["keskar"](problem, epsilon=5e-4).value, rel=1e-4)
    assert values["full"][0] > values["full"][1] > 0
    assert values["subspace"][0] > values["subspace"][1] > 0
    assert Sharpness(sb, 1, 50, False).carry_out()["loss"] != values["loss"]
    assert "subspace" not in Sharpness(sb, None, 50, False).carry_out()


def test_eigenvalues_agree_with_the_whole_matrix() -> None:
    from flatproof.verify.curvature import HessianOperator

    data = ImageData("synthetic", 60, 20, {"side": 3, "noise": 1.0})
    net = Net("fully-connected", {"inputs": 9, "width": 6, "depth": 1})
    training = Training(data, net, plan_of("smoke").sb("F1", 1).method, Stop(3), batch_size=10)
    values = Spectrum(training, None, None, 3).carry_out()
    exact = torch.linalg.eigvalsh(HessianOperator.of(problem_of(trained(training)[0], training, None)).dense()).flip(0)
    assert values["values"][0] == pytest.approx(float(exact[0]), rel=0.05)
    assert values["low"][0] <= float(exact[0]) * (1 + 1e-5)
    assert values["high"][0] >= float(exact[0]) * (1 - 1e-5)


def test_what_was_not_reached_or_diverged_is_said() -> None:
    sb, _ = trained_pair()
    short = replace(sb, stop=Stop(2, accuracy=0.01), keep=(0, 2))  # stops at once, before epoch 2
    assert Sharpness(short, 2, 20).carry_out() == {"status": "ended"}
    plain = Net(sb.net.build, {**sb.net.settings, "batch_norm": False})
    wild = replace(sb, net=plain, method=replace(sb.method, optimizer="sgd", lr=1e8), stop=Stop(9))
    assert Sharpness(wild, None, 20).carry_out() == {"status": "diverged"}
    assert Path(wild, wild, (0.0, 1.0), 20).carry_out() == {"status": "diverged"}
