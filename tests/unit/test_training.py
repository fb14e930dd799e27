import json
from dataclasses import replace

import numpy as np
import pytest
import threadpoolctl

import synth
import theory
from verify import DataSpec, Phase, Run, fused, reference, train
from verify.runs import Run as RunType
from verify.training import CURVE, checkpoints


def small(**changes: object) -> RunType:
    run = Run("bias", (Phase(0.01, 30, rho=0.05),), DataSpec("parity", 1, {"d": 6, "n": 20}), width=16, seed=1)
    return replace(run, **changes)


def test_a_run_is_addressed_by_its_settings() -> None:
    assert small().key == small().key
    changed = [small(seed=2), small(width=17), small(phases=(Phase(0.01, 31, rho=0.05),)), small(dtype="float64")]
    assert len({run.key for run in [small(), *changed]}) == 5
    assert json.dumps(small().settings())


def test_training_depends_on_the_settings_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Same bits again, and when the epochs are cut into other kernel calls."""
    noisy = small(phases=(Phase(0.01, 30, rho=0.05, label_noise=0.1), Phase(0.005, 20)))
    first, again = train(noisy), train(noisy)
    monkeypatch.setattr("verify.training.LARGEST_CHUNK", 60)
    cut = train(noisy)
    assert first.curve == again.curve == cut.curve
    assert first.network is not None
    assert cut.network is not None
    assert (first.network.w1 == cut.network.w1).all()


@pytest.mark.parametrize("architecture", theory.ARCHITECTURES)
def test_measurements_are_those_of_theory(architecture: str) -> None:
    """On the whole population; Sim-BN with the statistics of the training set."""
    run = small(architecture=architecture, test_points=64)
    result, data = train(run), run.data.build()
    assert result.network is not None
    network = result.network.astype("float64")
    x, y = data.enumerate()
    assert result.final("test_accuracy") == np.mean(theory.forward(network, x, train_x=data.x) * y > 0)
    assert result.final("test_loss") == np.mean((theory.forward(network, x, train_x=data.x) - y) ** 2)
    assert result.final("train_loss") == theory.loss(network, data.x, data.y)
    assert result.final("trace") == theory.trace_of_hessian(network, data.x, data.y)
    assert result.lower_bound == theory.trace_lower_bound(architecture, data.x, data.y, run.epsilon)
    assert {len(result.curve[name]) for name in CURVE} == {len(checkpoints(run))}
    assert result.curve["epoch"][-1] == 30


@pytest.mark.parametrize("architecture", theory.ARCHITECTURES)
def test_fused_and_reference_engines_give_the_same_curve(architecture: str) -> None:
    phases = (Phase(0.01, 4, rho=0.05), Phase(0.01, 4, batch_size=20), Phase(0.01, 4, rho=0.05, batch_size=7))
    run = small(architecture=architecture, dtype="float64", phases=phases)
    fused, reference = train(run), train(replace(run, engine="reference"))
    for name in CURVE:
        assert fused.curve[name] == pytest.approx(reference.curve[name], rel=1e-7)


def test_a_diverged_run_says_so_and_keeps_what_was_measured() -> None:
    result = train(small(phases=(Phase(50.0, 30, rho=0.05),)))
    assert result.status == "diverged"
    assert result.network is None
    assert result.diverged_at is not None
    assert 0 <= result.diverged_at < 30
    assert result.curve["epoch"][0] == 0
    assert all(np.isfinite(result.curve["train_loss"]))


@pytest.mark.parametrize("engine", ["fused", "reference"])
def test_sim_bn_with_gamma_one_diverges_at_the_printed_learning_rate(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Why initial_network draws gamma from [0, 1): figure 2a's lr = 0.005 meets a sharpness of about 2 m = 1000 at gamma = 1."""
    from verify import initialization, training

    def ones(*arguments: object) -> theory.Network:
        start = initialization.initial_network(*arguments)
        return replace(start, gamma=np.ones_like(start.gamma))

    seeds = range(1, 21) if engine == "fused" else (2, 3)
    runs = [
        Run("sim-bn", (Phase(0.005, 2, rho=0.1),), DataSpec("parity", s), seed=s, engine=engine, test_points=100) for s in seeds
    ]
    assert {train(run).status for run in runs} == {"finished"}
    monkeypatch.setattr(training, "initial_network", ones)
    diverged = sum(train(run).status == "diverged" for run in runs)
    assert diverged >= 0.9 * len(runs)  # nearly every seed


@pytest.mark.parametrize("engine", [fused.advance, reference.advance], ids=["fused", "reference"])
@pytest.mark.parametrize(("rho", "stays"), [(0.1, True), (1.0, False)])
def test_flattest_sim_bn_network_survives_small_rho_and_collapses_at_rho_1(engine: object, rho: float, stays: bool) -> None:
    """Figure 2a's second phase (lr = 0.003, rho = 1), started at lemma-A.1's flattest network with large first-layer weights."""
    data = synth.complete_parity(6, 40)
    signs = np.array([(1, 1), (1, -1), (-1, 1), (-1, -1)], dtype=float)
    w1 = np.zeros((4, 6))
    w1[:, :2] = 20 * signs
    half = np.full(4, np.sqrt(0.5))
    start = theory.Network(w1, half * signs.prod(axis=1), np.full(4, -20.0), half, "sim-bn")
    assert theory.loss(start, data.x, data.y) == pytest.approx(0, abs=1e-24)
    assert theory.trace_of_hessian(start, data.x) == pytest.approx(8, rel=0.01)
    order = np.random.default_rng(0).permuted(np.tile(np.arange(40), (100, 1)), axis=1)
    after, _ = engine(start, data.x, data.y, order, None, Phase(0.003, 1, rho=rho))
    if stays:
        assert theory.loss(after, data.x, data.y) < 0.01
    else:
        assert theory.loss(after, data.x, data.y) > 0.9


def test_seeds_differ_in_the_order_of_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Same data, same start: what is left of the seed is the order and the label noise."""
    from verify import initialization, training

    data, start = synth.parity(6, 20, 1), initialization.initial_network("bias", 6, 16, 0)
    monkeypatch.setattr(training, "initial_network", lambda *_: start)
    one, other, again = (train(small(seed=s), data).network for s in (1, 2, 1))
    assert one is not None
    assert other is not None
    assert again is not None
    assert (one.w1 != other.w1).any()
    assert (one.w1 == again.w1).all()


def test_training_uses_one_thread() -> None:
    seen: list[int] = []
    for engine in ("reference", "fused"):
        train(
            small(engine=engine, phases=(Phase(0.01, 1, rho=0.05),)),
            on_checkpoint=lambda epoch, _: epoch and seen.extend(pool["num_threads"] for pool in threadpoolctl.threadpool_info()),
        )
    assert seen
    assert set(seen) == {1}


@pytest.mark.parametrize("architecture", theory.ARCHITECTURES)
@pytest.mark.parametrize("engine", ["fused", "reference"])
def test_the_diverged_epoch_is_one_of_the_runs(architecture: str, engine: str) -> None:
    for epochs in (1, 2, 3):
        result = train(small(architecture=architecture, engine=engine, phases=(Phase(1e12, epochs),), epsilon=1e3))
        assert result.status == "finished" or 0 <= (result.diverged_at or 0) < epochs


def test_equal_runs_have_equal_addresses() -> None:
    one = small(phases=(Phase(1, np.int64(2), rho=np.float64(0.5)),), seed=np.int64(3))
    other = small(phases=[Phase(1.0, 2, rho=0.5)], seed=3)
    assert one == other
    assert one.key == other.key
    assert hash(one) == hash(other)


def test_users_own_points() -> None:
    x, y = np.random.default_rng(0).standard_normal((12, 4)), np.ones(12)
    result = train(small(), synth.given(x, y))
    assert result.status == "finished"
    assert result.final("test_accuracy") == 1


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: small(architecture="mlp"), "architecture must be one of no-bias, bias, sim-bn, sim-ln, got 'mlp'"),
        (lambda: small(phases=Phase(0.1, 1)), "phases must hold at least one Phase and nothing else"),
        (lambda: small(phases=("a",)), "phases must hold at least one Phase and nothing else"),
        (lambda: small(data="parity"), "data must be a DataSpec"),
        (lambda: small(seed=2**32), "seed must be a whole number of at most 4294967295"),
        (lambda: DataSpec("parity", -1), "seed must be a whole number of at least 0"),
        (lambda: Phase(0.1, 10**30), "epochs must be a whole number of at most"),
        (lambda: train(small(), synth.given(np.full((2, 2), 1e200), np.ones(2))), "they are too large"),
        (lambda: small(width=0), "width must be a whole number of at least 1, got 0"),
        (lambda: small(seed=-1), "seed must be a whole number of at least 0"),
        (lambda: small(phases=()), "phases must hold at least one Phase"),
        (lambda: small(dtype="float16"), "dtype must be one of float32, float64"),
        (lambda: small(engine="gpu"), "engine must be one of fused, reference"),
        (lambda: small(epsilon=0.0), "epsilon must be a finite number above 0"),
        (lambda: Phase(0.0, 1), "lr must be a finite number above 0"),
        (lambda: Phase(float("nan"), 1), "lr must be a finite number above 0"),
        (lambda: Phase(0.1, 0), "epochs must be a whole number of at least 1"),
        (lambda: Phase(0.1, 1, rho=-1.0), "rho must be a finite number of at least 0"),
        (lambda: Phase(0.1, 1, batch_size=0), "batch_size must be a whole number of at least 1"),
        (lambda: DataSpec("mnist"), "data must be one of parity, complete_parity"),
        (lambda: DataSpec("parity", 0, {"m": 3}).build(), "data settings of parity"),
        (lambda: DataSpec("parity", 0, {"n": 0}).build(), "n must be a whole number of at least 1, got 0"),
    ],
)
def test_bad_settings_name_the_culprit(make: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()
