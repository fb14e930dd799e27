"""The GPU kernels at tiny sizes: on a GPU where there is one, in Triton's interpreter elsewhere."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("triton") is None:  # importing it here would settle whether it compiles or interprets
    pytest.skip("the extra gpu is not installed", allow_module_level=True)

from flatproof.theory.losses import Loss
from flatproof.verify import DataSpec, Phase, Run, train, train_many
from flatproof.verify.bench.gpu.comparisons import PHASES, TINY, comparisons, distance, on_device, one_by_one, problem
from flatproof.verify.two_layer import fused
from flatproof.verify.two_layer.fused.gpu.compiled import longest_loop
from flatproof.verify.two_layer.fused.gpu.layout import REGISTERS, layout
from flatproof.verify.two_layer.fused.gpu.stack import Points, Stack, advance
from flatproof.verify.two_layer.initialization import initial_network

SAM = PHASES["1-SAM"]


@pytest.mark.parametrize(
    "compare", list(comparisons(TINY)), ids=lambda c: " ".join(a for a in (c.func.__name__, *c.args) if isinstance(a, str))
)
def test_what_gpu_check_compares(compare) -> None:
    found = compare()
    assert found.ok, found


def test_a_comparison_can_fail() -> None:
    """Another radius is seen."""
    task = problem("no-bias", TINY, 1)
    ours, theirs = on_device(task, SAM)[0], one_by_one(task, replace(SAM, rho=0.051), fused)[0]
    assert distance(ours, theirs) > 1e-9


def test_cutting_into_launches_changes_nothing() -> None:
    task = problem("bias", TINY, 3, dtype="float32")
    order = task.order.reshape(TINY.networks, -1)
    whole, parts = Stack.of(task.start), Stack.of(task.start)
    points = Points.of("bias", task.data, whole.w.dtype)
    advance(whole, points, order, None, [SAM])
    for part in np.split(order, [1, 16], axis=1):
        advance(parts, points, part, None, [SAM])
    assert (whole.w == parts.w).all()
    assert (whole.a == parts.a).all()


def test_every_network_has_its_own_settings() -> None:
    """Step size, radius, decay and noise of one do not reach another."""
    phases = [Phase(0.003, 1, rho=0.05), Phase(0.002, 1, weight_decay=0.1)]
    task = problem("no-bias", TINY, 1, noise=0.1)
    stack = Stack.of(task.start)
    points = Points.of("no-bias", task.data, stack.w.dtype)
    advance(stack, points, task.order.reshape(2, -1), task.noise.reshape(2, -1), phases)
    for s, phase in enumerate(phases):
        alone = fused.advance(task.start[s], *task.data[s], task.order[s], task.noise[s], phase)[0]
        assert distance([stack.networks()[s]], [alone]) < 1e-12


def test_a_network_that_diverged_keeps_its_parameters() -> None:
    task = problem("sim-ln", TINY, 2)
    task.data[0][1][:] = np.inf
    stack = Stack.of(task.start)
    points = Points.of("sim-ln", task.data, stack.w.dtype)
    stops = advance(stack, points, task.order.reshape(2, -1), None, [replace(SAM, weight_decay=0.1)])
    assert stops.tolist() == [0, -1]
    assert distance(stack.networks()[:1], task.start[:1]) == 0


def test_packing_and_unpacking() -> None:
    start = [initial_network("bias", 5, 20, seed).astype("float32") for seed in range(3)]
    back = Stack.of(start).networks()
    assert distance(back, start) == 0
    assert back[0].w1.dtype == np.float32


@pytest.mark.parametrize(
    ("inputs", "width", "words"), [(1, 1, 1), (5, 20, 1), (30, 500, 1), (31, 500, 2), (63, 500, 1), (30, 1000, 1), (8, 4096, 1)]
)
def test_layouts_cover_the_network_and_fit(inputs: int, width: int, words: int) -> None:
    shape = layout(inputs, width, words)
    assert shape.inputs >= inputs
    assert shape.neurons == 32 * shape.warps * shape.per_thread >= width
    assert shape.programs * 32 * shape.warps * shape.registers <= REGISTERS
    assert shape.registers > words * shape.inputs * shape.per_thread


@pytest.mark.parametrize(("inputs", "width", "words"), [(30, 3000, 1), (30, 1000, 2), (200, 500, 1)])
def test_networks_that_do_not_fit_are_refused(inputs: int, width: int, words: int) -> None:
    with pytest.raises(ValueError, match=f"{width} neurons on {inputs} inputs are padded to"):
        layout(inputs, width, words)


RUN = Run("bias", (Phase(0.01, 3, rho=0.05), Phase(0.005, 2)), DataSpec("parity", 1, {"d": 4, "n": 8}), width=12, seed=1)


def test_train_many_gives_what_train_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Float32, label noise in one run alone, one that diverges, and another cutting into launches."""
    kept = replace(RUN, keep_networks=True)
    noisy = replace(RUN, phases=(replace(RUN.phases[0], label_noise=0.3), RUN.phases[1]))
    wild = replace(RUN, seed=3, phases=(replace(RUN.phases[0], lr=1e4), RUN.phases[1]))
    runs = [kept, wild, replace(noisy, seed=2)]
    monkeypatch.setattr("flatproof.verify.two_layer.many.LARGEST_LAUNCH", 30)
    for ours, theirs in zip(train_many(runs), map(train, runs), strict=True):
        assert (ours.status, ours.lower_bound) == (theirs.status, theirs.lower_bound)
        assert ours.diverged_at == theirs.diverged_at
        assert (ours.diverged_step is None) == (theirs.diverged_step is None)
        assert abs((ours.diverged_step or 0) - (theirs.diverged_step or 0)) <= 1  # a residual shows it a step after a parameter
        for name, curve in theirs.curve.items():
            np.testing.assert_allclose(ours.curve[name], curve, rtol=1e-4)
        assert (ours.network is None) == (theirs.network is None)
        for one, other in zip(ours.earlier, theirs.earlier, strict=True):
            assert distance([one], [other]) < 1e-4


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"width": 13}, "runs must have one width, got 12, 13"),
        ({"architecture": "sim-bn"}, "runs must have one architecture, got bias, sim-bn"),
        ({"phases": (Phase(0.01, 3), Phase(0.005, 3))}, "runs must have one epochs of the phases"),
        (
            {"phases": (Phase(0.01, 3), Phase(0.005, 2, batch_size=2))},
            "no GPU kernel for bias with batch_size 2; use verify.train",
        ),
        ({"loss": Loss("logistic", 0.2)}, "no GPU kernel for logistic loss; use verify.train"),
        ({"activation": "softplus"}, "no GPU kernel for softplus activation; use verify.train"),
        ({"depth": 3}, "no GPU kernel for depth 3; use verify.train"),
        ({"phases": (Phase(0.01, 3, first_layer_norm=1.0), RUN.phases[1])}, "no GPU kernel for first_layer_norm"),
        ({"phases": (Phase(0.01, 3, trace_penalty=0.1), RUN.phases[1])}, "no GPU kernel for trace_penalty"),
        ({"engine": "reference"}, "engine must be 'fused' to run on a GPU, got 'reference'"),
        ({"data": DataSpec("parity", 1, {"d": 4, "n": 9})}, "samples must be of one shape"),
    ],
)
def test_runs_that_do_not_go_together_are_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        train_many([RUN, replace(RUN, **changes)])


@pytest.mark.parametrize(
    ("order", "noise", "phases", "words"),
    [
        (np.zeros((3, 4)), None, [SAM], r"order must have shape \(2, steps\)"),
        (np.full((2, 4), 10), None, [SAM], "order must hold indices of 10 samples, got 10"),
        (np.full((2, 4), -1), None, [SAM], "order must hold indices of 10 samples, got -1"),
        (np.zeros((2, 4)), np.zeros((2, 3)), [SAM], r"noise must have the shape \(2, 4\) of order"),
        (np.zeros((2, 4)), None, [SAM] * 3, "phases must be one for all or 2"),
        (np.zeros((2, 4)), None, [Phase(0.1, 1, batch_size=5)], "no GPU kernel for no-bias with batch_size 5"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(
    order: np.ndarray, noise: np.ndarray | None, phases: list[Phase], words: str
) -> None:
    task = problem("no-bias", TINY, 1)
    stack = Stack.of(task.start)
    with pytest.raises(ValueError, match=words):
        advance(stack, Points.of("no-bias", task.data, stack.w.dtype), order, noise, phases)


def test_the_kernel_compiles_without_a_gpu_and_spills_nothing() -> None:
    """In a process that does not interpret. d = 30, m = 500: two networks of eight warps fill a multiprocessor's registers."""
    code = (
        "import json; from dataclasses import asdict; from verify.two_layer.fused.gpu.compiled import compiled; "
        "from verify.two_layer.fused.gpu.layout import layout; print(json.dumps(asdict(compiled('plain', layout(30, 500)))))"
    )
    environment = os.environ | {"TRITON_INTERPRET": "0"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True, timeout=300)
    row = json.loads(done.stdout)
    assert row["registers"] is None or row["registers"] <= layout(30, 500).registers == 128
    assert not row["stack"]


def test_the_longest_loop_of_a_listing() -> None:
    listing = """
        /*0000*/                   MOV R1, c[0x0][0x28] ;      /* 0x00000a0000017a02 */
        /*0010*/                   FADD R2, R2, R1 ;           /* 0x0000000102027221 */
        /*0020*/                   FADD R3, R2, R1 ;           /* 0x0000000102037221 */
        /*0030*/              @!P0 BRA 0x20 ;                  /* 0xfffffffffffc0947 */
        /*0040*/               @P1 BRA 0x10 ;                  /* 0xfffffffffffc0947 */
        /*0050*/                   BRA 0x50;                   /* 0xfffffffffffc0947 */
    """
    assert longest_loop(listing) == 4
    assert longest_loop(listing.replace("BRA", "NOP")) is None
