"""The vectors of the kernels against numpy, and the order in which they are summed."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flatproof.theory.compiled import kernel
from flatproof.verify.two_layer.fused.cpu import lanes
from flatproof.verify.two_layer.fused.cpu.activations import softplus
from flatproof.verify.two_layer.fused.cpu.lanes import load, nought, relu, root, scratch, store, total, where_positive
from flatproof.verify.two_layer.fused.cpu.products import multiply

PRECISIONS = pytest.mark.parametrize("dtype", ["float32", "float64"])


@kernel
def arithmetic(a, b, out):  # type: ignore[no-untyped-def]
    u, v = load(a, 0), load(b, 1)
    store(out, (0, 1), 2 * u + v / 3)
    store(out, (1, 0), where_positive(u, root(v * v) - 1))
    store(out, (1, 1), relu(u))
    return total(u)


@kernel
def begins_at_a_line(like):  # type: ignore[no-untyped-def]
    return scratch((3, 5), like).ctypes.data % 64 == 0 and total(nought(like)) == 0


@PRECISIONS
def test_vectors_are_numpys_rows(dtype: str) -> None:
    rng, width = np.random.default_rng(0), lanes.width(dtype)
    a, b = rng.standard_normal((2, width)).astype(dtype), rng.standard_normal((2, width)).astype(dtype)
    out = np.zeros((2, 2, width), dtype)
    whole = arithmetic(a, b, out.transpose(1, 0, 2))  # strided: out[k, j] is the kernel's out[j, k]
    tolerance = 10 * np.finfo(dtype).eps
    assert np.allclose(out[1, 0], 2 * a[0] + b[1] / 3, rtol=tolerance, atol=tolerance)
    assert np.allclose(out[0, 1], np.where(a[0] > 0, np.abs(b[1]) - 1, 0), rtol=tolerance, atol=tolerance)
    assert (out[1, 1] == np.maximum(a[0], 0)).all()
    assert (out[0, 0] == 0).all()
    halves = a[0].copy()
    while len(halves) > 1:
        halves = halves[: len(halves) // 2] + halves[len(halves) // 2 :]
    assert whole == halves[0]


@PRECISIONS
def test_not_a_number_passes_through_relu(dtype: str) -> None:
    a = np.full((1, lanes.width(dtype)), np.nan, dtype)
    arithmetic(a, np.ones((2, a.shape[1]), dtype), out := np.zeros((2, 2, a.shape[1]), dtype))
    assert np.isnan(out[1, 1]).all()


@kernel
def softpluses(z, h, slope):  # type: ignore[no-untyped-def]
    for j in range(z.shape[0]):
        one, other = softplus(load(z, j))
        store(h, j, one)
        store(slope, j, other)


@PRECISIONS
def test_softplus_and_its_derivative_err_by_less_than_three_units_in_the_last_place(dtype: str) -> None:
    """Against numpy in extended precision, from where e^z is no normal number to where h = z."""
    kind, width, edge = np.finfo(dtype), lanes.width(dtype), {"float32": -87, "float64": -708}[dtype]
    rng = np.random.default_rng(0)
    near_zero = np.concatenate([[0, -0.0], *(sign * np.geomspace(kind.tiny, 1, 2000) for sign in (1, -1))])
    z = np.concatenate([np.linspace(edge, 60, 20001), 3 * rng.standard_normal(20000), near_zero]).astype(dtype)
    z = np.resize(z, (-(-len(z) // width), width))
    softpluses(z, h := np.empty_like(z), slope := np.empty_like(z))
    exact = z.astype(np.longdouble)
    t = np.exp(-np.abs(exact))
    for ours, theirs in ((h, np.maximum(exact, 0) + np.log1p(t)), (slope, np.where(exact > 0, 1, t) / (1 + t))):
        assert (np.abs(ours - theirs) < 3 * np.spacing(theirs.astype(dtype))).all()


@PRECISIONS
def test_softplus_far_out(dtype: str) -> None:
    edge, big = {"float32": (-87.1, 1e38), "float64": (-708.1, 1e308)}[dtype]
    z = np.resize(np.array([edge, -big, -np.inf, big, np.inf, np.nan], dtype), (1, lanes.width(dtype)))
    softpluses(z, h := np.empty_like(z), slope := np.empty_like(z))
    assert np.array_equal(h[0, :6], np.array([0, 0, 0, big, np.inf, np.nan], dtype), equal_nan=True)
    assert np.array_equal(slope[0, :6], np.array([0, 0, 0, 1, 1, np.nan], dtype), equal_nan=True)


@PRECISIONS
@pytest.mark.parametrize("m", [1, 15, 16, 32, 45])
def test_packing_and_back(dtype: str, m: int) -> None:
    rows = np.random.default_rng(m).standard_normal((m, 7)).astype(dtype)
    packed = lanes.pack(rows)
    assert packed.ctypes.data % 64 == 0
    assert (packed[(m - 1) // lanes.width(dtype), :, (m - 1) % lanes.width(dtype)] == rows[-1]).all()
    assert np.count_nonzero(packed) == rows.size
    assert (lanes.unpack(packed, m) == rows).all()
    stretched = lanes.stretch(rows)
    assert (stretched.reshape(m, -1)[:, :7] == rows).all()
    assert (stretched.reshape(m, -1)[:, 7:] == 0).all()


@PRECISIONS
def test_scratch_begins_at_a_cache_line(dtype: str) -> None:
    assert begins_at_a_line(np.zeros((1, lanes.width(dtype)), dtype))


@PRECISIONS
@pytest.mark.parametrize("count", [1, 3, 4, 11])
def test_products_do_not_depend_on_their_place(dtype: str, count: int) -> None:
    rng = np.random.default_rng(count)
    left = rng.standard_normal((3, 6, lanes.width(dtype))).astype(dtype)
    rows = rng.standard_normal((count, 9)).astype(dtype)  # longer than the inner axis
    out = np.zeros((3, count, lanes.width(dtype)), dtype)
    multiply(left, rows, out)
    assert np.allclose(out, np.einsum("ip,jpl->jil", rows[:, :6], left), rtol=0, atol=1e3 * np.finfo(dtype).eps)
    for i in range(count):
        multiply(left, rows[i : i + 1], alone := np.zeros((3, 1, lanes.width(dtype)), dtype))
        assert (alone[:, 0] == out[:, i]).all()


def test_a_kernel_is_compiled_anew_when_one_that_it_calls_changes(tmp_path: Path) -> None:
    """In files of their own, of which only the callee's changes."""
    (tmp_path / "caller.py").write_text(
        "from theory.compiled import kernel\nfrom callee import inner\n\n@kernel\ndef outer(v):\n    return inner(v)\n"
    )
    seen = []
    for factor in (2, 3):
        body = f"from theory.compiled import kernel\n\n@kernel\ndef inner(v):\n    return {factor} * v\n"
        (tmp_path / "callee.py").write_text(body)
        paths = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[3])])
        environment = os.environ | {
            "NUMBA_CACHE_DIR": str(tmp_path / "cache"),
            "PYTHONPATH": paths,
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        command = [sys.executable, "-c", "from caller import outer; print(outer(5))"]
        seen.append(int(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout))
    assert seen == [10, 15]
