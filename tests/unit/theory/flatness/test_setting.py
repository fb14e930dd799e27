"""One problem, validated once: what `Setting.of` refuses, and that nobody behind it looks again."""

import numpy as np
import pytest

from flatproof import theory
from flatproof.theory.flatness import setting as module
from flatproof.theory.flatness.setting import KINKS, Setting
from flatproof.theory.networks import ARCHITECTURES, forward, trace_of_hessian

X, Y = np.array([[1, 2], [3, -1], [0, 1]]), np.array([1.0, -2.0, 0.5])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1.0, np.nan]], [1.0]), "x must be finite, row 0"),
        (([[1.0, 2.0]], [1.0, 2.0]), r"y must have shape \(1,\)"),
        ((X, Y, "layer"), "architecture must be no-bias, bias or sim-bn, got 'layer'"),
        ((X, Y, "sim-ln"), "sim-ln.*: its trace is no convex program"),
        ((X, Y, "bias", "relu"), "kinks must be one of differentiable, relu'"),
    ],
)
def test_bad_input_names_the_culprit(arguments, message):
    with pytest.raises(ValueError, match=message):
        Setting.of(*arguments)


@pytest.mark.parametrize("architecture", [name for name in ARCHITECTURES if name != "sim-ln"])
def test_a_setting_holds_the_data_as_the_programs_need_them(architecture):
    setting = Setting.of(X, Y, architecture)
    assert setting.x.dtype == setting.y.dtype == np.float64
    assert setting.top == 2
    assert setting.points.shape == (3, 2 + (architecture != "no-bias"))
    assert np.allclose(setting.points @ setting.coordinates.basis, setting.coordinates.u)
    zero = setting.zero_network()
    assert not forward(zero, setting.x).any()
    assert trace_of_hessian(zero, setting.x) == 0


@pytest.mark.parametrize("kinks", KINKS)
def test_the_solvers_validate_once(kinks, monkeypatch):
    calls = []

    def counted(*arguments):
        calls.append(arguments)
        return check_names(*arguments)

    check_names = module.check_names
    monkeypatch.setattr(module, "check_names", counted)
    solution = theory.flattest(X, Y, "bias", kinks)
    solution.certificate()
    solution.prediction_range(X)
    assert calls == [("bias", kinks)]
    theory.bracket(X, Y, "bias", kinks, rounds=2)
    assert calls == [("bias", kinks)] * 2


def test_the_nearest_points_are_not_the_same_one_twice() -> None:
    """Without bias points on one line are dependent, as are those opposite; with it only equal ones are."""
    x = np.array([[2, 2], [1, -1], [4, 4], [-2, -2.00002], [0, 0], [1, -1]])
    i, k, apart = Setting.of(x, np.zeros(6)).nearest() or (0, 0, 0.0)
    assert (i, k) == (0, 3)
    assert apart == pytest.approx(5e-6, rel=1e-3)
    assert (Setting.of(x, np.zeros(6), "bias").nearest() or ())[:2] == (1, 4)
    assert Setting.of(x[[0, 2, 4]], np.zeros(3)).nearest() is None
