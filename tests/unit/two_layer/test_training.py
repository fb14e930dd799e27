import json
from dataclasses import replace

import numpy as np
import pytest
import threadpoolctl
import torch

from flatproof import synth, theory
from flatproof.theory import Loss
from flatproof.verify import DataSpec, Phase, Run, train
from flatproof.verify.two_layer import fused, modules, reference
from flatproof.verify.two_layer.gradient_norms import squared_gradient_norms
from flatproof.verify.two_layer.initialization import initial_network
from flatproof.verify.two_layer.losses import objective
from flatproof.verify.two_layer.training import CURVE, checkpoints, closing
from flatproof.verify.two_layer.training import Run as RunType
from tests.networks import LOGISTIC, VARIANTS, random_network, random_points

KINDS = [(a, "relu", 2) for a in theory.ARCHITECTURES] + [*VARIANTS]


def small(**changes: object) -> RunType:
    run = Run("bias", (Phase(0.01, 30, rho=0.05),), DataSpec("parity", 1, {"d": 6, "n": 20}), width=16, seed=1)
    return replace(run, **changes)


def test_a_run_is_addressed_by_its_settings() -> None:
    assert small().key == small().key
    changed = [small(seed=2), small(width=17), small(phases=(Phase(0.01, 31, rho=0.05),)), small(dtype="float64")]
    assert len({run.key for run in [small(), *changed]}) == 5
    assert json.dumps(small().settings())


def test_addresses_do_not_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that runs had at version 1 of the engine, before losses, activations, depths and projections were settings."""
    monkeypatch.setattr("flatproof.verify.two_layer.settings.ENGINE_VERSION", 1)
    phases = (Phase(0.005, 100_000, rho=0.1), Phase(0.003, 100_000, rho=1.0))
    sim_bn = Run("sim-bn", phases, DataSpec("parity", 1, {"d": 30, "n": 100}), seed=1)
    assert sim_bn.key == "c5a70e4caa483b28321066f2d3276360e92ea7ac2384a69e413f734ab4ef4535"
    assert small().key == "3fa560308e26f23e0a970e578c6353fe1da4ed582bfb410e3adbccfa44aecb42"


def test_later_settings_are_part_of_the_address() -> None:
    phase = small().phases[0]
    changed = [
        small(loss=LOGISTIC),
        small(loss=Loss("logistic", 0.3)),
        small(activation="softplus"),
        small(depth=3),
        small(phases=(replace(phase, first_layer_norm=10),)),
        small(phases=(replace(phase, trace_penalty=0.1),)),
    ]
    assert len({run.key for run in [small(), *changed]}) == 7
    assert small(loss=LOGISTIC).settings()["loss"] == {"name": "logistic", "smoothing": 0.2}


@pytest.mark.parametrize(("architecture", "activation", "depth"), KINDS)
@pytest.mark.parametrize("loss", [theory.MSE, LOGISTIC], ids=lambda loss: loss.name)
def test_every_network_and_loss_trains_and_is_measured(architecture: str, activation: str, depth: int, loss: Loss) -> None:
    """SAM lowers the loss; the measurements are theory's; outputs have the labels' sign where the loss is small."""
    run = small(architecture=architecture, activation=activation, depth=depth, loss=loss, phases=(Phase(0.05, 100, rho=0.01),))
    result, data = train(run), run.data.build()
    assert result.status == "finished"
    assert result.network is not None
    network = result.network.astype("float64")
    assert (network.activation, network.depth) == (activation, depth)
    assert result.final("train_loss") == theory.loss(network, data.x, data.y, loss) < result.curve["train_loss"][0]
    assert result.final("trace") == theory.trace_of_hessian(network, data.x, data.y, loss)
    assert np.isnan(result.lower_bound) == (activation == "softplus")
    assert np.mean(theory.forward(network, data.x) * data.y > 0) > 0.7


def test_the_reference_steps_along_the_gradient_of_theory() -> None:
    """One full-batch step of each loss and network against central differences of theory's loss."""
    x, y = random_points(3, 5, 0)
    y = np.sign(y)
    for architecture, activation, depth in [*VARIANTS, ("sim-ln", "relu", 2)]:
        start = initial_network(architecture, 3, 4, 0, activation=activation, depth=depth)
        for loss in (theory.MSE, LOGISTIC):
            after, _ = reference.advance(start, x, y, np.arange(5)[None], None, Phase(1.0, 1, batch_size=5), loss)
            names = [n for n in ("w1", "b1", "middle", "w2") if getattr(start, n) is not None]
            for name in names:
                value, step = getattr(start, name), np.zeros_like(getattr(start, name))
                for index in np.ndindex(value.shape):
                    nudge = np.zeros_like(value)
                    nudge[index] = 1e-6
                    up, down = (theory.loss(replace(start, **{name: value + s * nudge}), x, y, loss) for s in (1, -1))
                    step[index] = (up - down) / 2e-6
                assert value - getattr(after, name) == pytest.approx(step, abs=1e-7)


@pytest.mark.parametrize("rho", [0.0, 0.1])
def test_projection_keeps_the_norm_of_the_first_layer(rho: float) -> None:
    """w1 and b1 together, in their proportions; the last layer is that of the step without projection."""
    run = small(architecture="sim-ln", phases=(Phase(0.01, 1, rho=rho, batch_size=20, first_layer_norm=10.0),))
    free = replace(run, phases=(replace(run.phases[0], first_layer_norm=None),))
    kept, plain = train(run).network, train(replace(free, engine="reference")).network
    assert kept is not None
    assert plain is not None
    assert np.linalg.norm(kept.weights) == pytest.approx(10)
    assert kept.weights == pytest.approx(plain.weights * 10 / np.linalg.norm(plain.weights), rel=1e-5)
    assert (kept.w2 == plain.w2).all()


@pytest.mark.parametrize(("architecture", "activation", "depth"), KINDS)
def test_gradient_norms_in_torch_are_those_of_theory(architecture: str, activation: str, depth: int) -> None:
    """On some of the training set; Sim-BN's statistics are of all of it, and one of its neurons is dead there."""
    network, (x, _) = random_network(architecture, 4, 6, 0, activation=activation, depth=depth), random_points(4, 5, 0)
    if architecture == "sim-bn":
        w1, b1 = network.w1.copy(), network.b1.copy()
        w1[0], b1[0] = 0, -1
        network = replace(network, w1=w1, b1=b1)
    module = modules.module(network, train_x=x)
    norms = squared_gradient_norms(module, dict(module.named_parameters()), torch.as_tensor(x[:3]))
    assert norms.detach().numpy() == pytest.approx(theory.squared_gradient_norms(network, x)[:3], rel=1e-10)
    norms.sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in module.parameters())


@pytest.mark.parametrize(("architecture", "activation", "depth"), KINDS)
@pytest.mark.parametrize("loss", [theory.MSE, LOGISTIC], ids=lambda loss: loss.name)
def test_the_trace_penalty_is_a_multiple_of_the_trace(architecture: str, activation: str, depth: int, loss: Loss) -> None:
    """What a step of gradient descent adds is -lr * penalty * the gradient of theory's trace, here along that step."""
    x, y = random_points(4, 6, 1)
    y, start, h = np.sign(y), random_network(architecture, 4, 7, 3, activation=activation, depth=depth), 1e-6
    order, phase = np.arange(6)[None], Phase(h, 1, batch_size=6)
    plain, _ = reference.advance(start, x, y, order, None, phase, loss)
    pushed, _ = reference.advance(start, x, y, order, None, replace(phase, trace_penalty=3.0), loss)
    names = [n for n in ("w1", "b1", "gamma", "middle", "w2") if getattr(start, n) is not None]
    gradient = {n: (getattr(plain, n) - getattr(pushed, n)) / (3 * h) for n in names}
    square = sum(float((g**2).sum()) for g in gradient.values())
    up, down = (
        theory.trace_of_hessian(
            replace(start, **{n: getattr(start, n) + s * 1e-5 * gradient[n] for n in names}), x, objective=loss
        )
        for s in (1, -1)
    )
    assert (up - down) / 2e-5 == pytest.approx(square, rel=1e-4)


def test_training_depends_on_the_settings_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Same bits again, and when the epochs are cut into other kernel calls."""
    noisy = small(phases=(Phase(0.01, 30, rho=0.05, label_noise=0.1), Phase(0.005, 20)))
    first, again = train(noisy), train(noisy)
    monkeypatch.setattr("flatproof.verify.two_layer.training.LARGEST_CHUNK", 60)
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
    assert result.diverged_step is not None
    assert result.diverged_step // 20 == result.diverged_at
    assert result.curve["epoch"][0] == 0
    assert all(np.isfinite(result.curve["train_loss"]))


def test_the_step_of_divergence_counts_those_of_earlier_phases(monkeypatch: pytest.MonkeyPatch) -> None:
    """20 samples: 5 epochs of 3 steps, then single samples; cut into kernel calls of one epoch or not."""
    run = small(phases=(Phase(0.01, 5, batch_size=7), Phase(0.01, 5), Phase(1e9, 5)))
    whole = train(run)
    monkeypatch.setattr("flatproof.verify.two_layer.training.LARGEST_CHUNK", 20)
    cut = train(run)
    assert (whole.diverged_at, whole.diverged_step) == (cut.diverged_at, cut.diverged_step)
    assert whole.diverged_step is not None
    assert whole.diverged_at == 10 + (whole.diverged_step - 5 * 3 - 5 * 20) // 20


def test_checkpoints_are_dense_where_a_phase_is_judged() -> None:
    """The ends of phases are among them, and enough of the last quarter of each for a median; short phases have every epoch."""
    marks = checkpoints(small(phases=(Phase(0.01, 1000), Phase(0.01, 200), Phase(0.01, 4))))
    assert marks == sorted(set(marks))
    assert {0, 1, 1000, 1200, 1204} <= set(marks)
    assert marks[-1] == 1204
    for start, end in ((0, 1000), (1000, 1200)):
        assert sum(closing(start, end) <= mark <= end for mark in marks) >= 8
    assert len(marks) <= 66
    assert checkpoints(small(phases=(Phase(0.01, 2), Phase(0.01, 1)))) == [0, 1, 2, 3]


@pytest.mark.parametrize("engine", ["fused", "reference"])
def test_sim_bn_with_gamma_one_diverges_at_the_printed_learning_rate(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Why initial_network draws gamma from [0, 1): figure 2a's lr = 0.005 meets a sharpness of about 2 m = 1000 at gamma = 1."""
    from flatproof.verify.two_layer import initialization, training

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
    from flatproof.verify.two_layer import initialization, training

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
            on_checkpoint=lambda epoch, _: seen.extend(pool["num_threads"] for pool in threadpoolctl.threadpool_info()),
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


def own_points(labels: str = "signs", n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(n).standard_normal((n, 4))
    return x, np.sign(x[:, 0]) if labels == "signs" else np.abs(x[:, 1]) - np.abs(x[:, 2])


def test_users_own_points() -> None:
    x, y = np.random.default_rng(0).standard_normal((12, 4)), np.ones(12)
    result = train(small(), synth.given(x, y, x, y))
    assert result.status == "finished"
    assert result.final("test_accuracy") == 1


def test_what_was_not_measured_is_absent() -> None:
    """Without a test set there is no test error, and for real labels no accuracy; `final` says which and why."""
    seen: list[dict[str, float]] = []
    alone = train(small(), synth.given(*own_points()), lambda _, values: seen.append(values))
    assert list(alone.curve) == ["epoch", "train_loss", "trace"]
    assert {tuple(values) for values in seen} == {("train_loss", "trace")}
    for name in ("test_accuracy", "test_loss"):
        with pytest.raises(ValueError, match=f"'{name}' was not measured: it needs a test set"):
            alone.final(name)
    real = train(small(), synth.given(*own_points("real"), *own_points("real", 30)))
    assert list(real.curve) == ["epoch", "train_loss", "sign_agreement", "test_loss", "trace"]
    with pytest.raises(ValueError, match="labels that are two classes"):
        real.final("test_accuracy")
    with pytest.raises(ValueError, match="'accuracy' was not measured; expected one of epoch, train_loss"):
        real.final("accuracy")
    both = train(small(), synth.given(*own_points(), *own_points(n=30)))
    assert list(both.curve) == list(CURVE)
    assert alone.network is not None
    assert both.network is not None
    assert (alone.network.w1 == both.network.w1).all()


@pytest.mark.parametrize("architecture", ["no-bias", "bias", "sim-bn", "sim-ln"])
def test_where_no_network_interpolates_there_is_no_bound(architecture: str) -> None:
    """One point with two labels, -0 and 0 being one number; without bias the point 0 with a label, too."""
    for x, y, none in (
        ([[1, 2], [0.0, 3], [-0.0, 3]], [1, 1, -1], True),
        ([[1, 2], [0.0, 3], [-0.0, 3]], [1, -1, -1], False),
        ([[0, 0], [1, 2]], [1, -1], architecture == "no-bias"),
        ([[0, 0], [1, 2]], [0, 1.5], False),
    ):
        result = train(small(architecture=architecture), synth.given(np.array(x, float), np.array(y, float)))
        assert np.isnan(result.lower_bound) == none


def test_test_error_of_given_points_is_on_all_of_them() -> None:
    x, y = own_points(n=300)
    result = train(small(test_points=10), synth.given(x, y, x, y))
    assert result.network is not None
    f = theory.forward(result.network.astype("float64"), x)
    assert result.final("test_accuracy") == np.mean(f * y > 0)


def test_codes_of_two_classes_train_as_classes_when_asked() -> None:
    """The network of labels 0 and 1 is that of -1 and 1, and its accuracy counts classes; unasked, they are refused."""
    x, y = own_points()
    codes = (y + 1) / 2
    with pytest.raises(ValueError, match="y holds 0 and 1, which look like codes of classes"):
        synth.given(x, codes, x, codes)
    asked, plain = (train(small(), data) for data in (synth.given(x, codes, x, codes, "classes"), synth.given(x, y, x, y)))
    assert asked.curve == plain.curve


def test_a_diverged_run_has_no_final_measurements() -> None:
    result = train(small(phases=(Phase(10.0, 30),)))
    assert result.status == "diverged"
    for name in ("train_loss", "test_accuracy", "trace", "epoch"):
        with pytest.raises(ValueError, match=f"diverged in step .*: it has no final {name}"):
            result.final(name)


def test_test_labels_must_be_those_of_the_loss() -> None:
    x, y = own_points()
    data = synth.given(x, y, x, 2 * y, "real")
    with pytest.raises(ValueError, match="nothing but -1 and 1 for the loss 'logistic'"):
        train(small(loss=LOGISTIC), data)


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
        (lambda: small(loss="logistic"), "loss must be a Loss, got 'logistic'"),
        (lambda: small(architecture="sim-bn", activation="softplus"), "'softplus' is for 'no-bias' and 'bias'"),
        (lambda: small(architecture="no-bias", depth=3), "depth 3 is for 'bias', got 'no-bias'"),
        (lambda: small(depth=4), "depth must be 2 or 3, got 4"),
        (lambda: small(loss=LOGISTIC, phases=(Phase(0.1, 1, label_noise=1.0),)), "label_noise must be 0 for the loss 'logistic'"),
        (lambda: Phase(0.1, 1, first_layer_norm=0.0), "first_layer_norm must be a finite number above 0"),
        (lambda: Phase(0.1, 1, trace_penalty=-1), "trace_penalty must be a finite number of at least 0"),
        (lambda: train(small(loss=LOGISTIC, data=DataSpec("uniform_ball"))), "nothing but -1 and 1 for the loss 'logistic'"),
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


def test_a_wide_networks_record_does_not_depend_on_the_threads_around_it() -> None:
    """From the first measurement on, which once was taken outside the limit."""
    run = small(depth=3, width=500, phases=(Phase(0.01, 1),))
    curves = []
    for threads in (1, 2):
        with threadpoolctl.threadpool_limits(threads):
            curves.append(train(run).curve)
    assert curves[0] == curves[1]


def test_softplus_of_large_numbers_has_finite_gradients_in_float32() -> None:
    f = torch.full((3,), 79.0, requires_grad=True)
    objective(LOGISTIC)(f, -torch.ones(3)).mul(1e6).backward()
    assert f.grad is not None
    assert torch.isfinite(f.grad).all()
