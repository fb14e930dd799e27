"""Drifts among flattest networks: the family of starts, functionals beside autograd, rules on made-up runs."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from flatproof import theory
from flatproof.theory.networks import Network
from flatproof.verify.experiments.selection import functionals, jobs, layer_norm, rules
from flatproof.verify.experiments.selection.jobs import HALF, METHODS, Drift, mixture
from flatproof.verify.experiments.selection.layer_norm import LayerNormDrift
from flatproof.verify.experiments.vocabulary import Verdict
from flatproof.verify.jobs.job import Stored

DRIFT = Drift(8, 12, 30, HALF, "1-SAM", 0.2, 0.01, 100, 3)


def network(memorizing: float = 0.3) -> tuple[Network, Any]:
    data = DRIFT.data()
    return mixture(data, memorizing), data


@pytest.mark.parametrize("memorizing", [0.0, 0.2, 0.7, 1.0])
def test_every_mixture_interpolates_and_is_flattest(memorizing: float) -> None:
    flat, data = network(memorizing)
    assert np.allclose(theory.forward(flat, data.x), data.y, atol=1e-12)
    bound = theory.trace_lower_bound("bias", data.x, data.y)
    assert theory.trace_of_hessian(flat, data.x, data.y) == pytest.approx(bound, rel=1e-12)
    made = jobs.described(flat, data, data.sample(50, 1), 0.01)
    assert made["ratio"] == pytest.approx(1, rel=1e-12)
    assert made["top"] == pytest.approx(1, rel=1e-9) if memorizing == 1 else made["top"] > 1.01


def output(theta: torch.Tensor, flat: Network, x: Any) -> torch.Tensor:
    m, d = flat.w1.shape
    w1, b1, w2 = theta[: m * d].view(m, d), theta[m * d : m * d + m], theta[m * d + m :]
    return torch.relu(torch.as_tensor(x) @ w1.T + b1) @ w2


def parameters(flat: Network) -> torch.Tensor:
    assert flat.b1 is not None
    return torch.tensor(np.concatenate([flat.w1.ravel(), flat.b1, flat.w2]), dtype=torch.float64)


def test_functionals_are_those_of_autograd(monkeypatch: pytest.MonkeyPatch) -> None:
    """λ_max and 1-SAM's displaced loss from gradients of the outputs; where no activation flips it is that of own/flattest-1."""
    flat, data = network()
    rng = np.random.default_rng(0)
    for scale, radius, flips in ((0.0, 0.2, False), (0.3, 3.0, True)):  # a flattest network, and one whose activations flip
        monkeypatch.setattr(functionals, "RADIUS", radius)
        net = replace(flat, b1=flat.b1 + scale * rng.standard_normal(flat.width), w2=flat.w2 * (1 + 4 * scale))
        theta = parameters(net)
        jacobian = torch.autograd.functional.jacobian(lambda t, n=net: output(t, n, data.x), theta).numpy()
        values = functionals.functionals_of(net, data.x, 0.01, 5)
        eigenvalues = np.linalg.eigvalsh(jacobian @ jacobian.T) * 2 / len(data.x)
        assert values["top"] == pytest.approx(len(data.x) * eigenvalues[-1] / eigenvalues.sum())
        assert values["log_det"] == pytest.approx(-np.log1p(-0.005 * eigenvalues).sum() / (0.005 * eigenvalues.sum()))
        f = output(theta, net, data.x).numpy()
        squares = []
        for i, g in enumerate(jacobian):
            for sign in (1, -1):
                moved = theta + sign * functionals.RADIUS * torch.tensor(g / np.linalg.norm(g))
                squares.append((output(moved, net, data.x[i : i + 1]).item() - f[i]) ** 2)
        closed = functionals.unflipped(net, data.x, np.hstack([data.x, np.ones((len(data.x), 1))])).mean()
        assert values["flips"] == pytest.approx(np.mean(squares) / closed)
        assert (abs(values["flips"] - 1) > 1e-6) == flips


def test_a_neuron_on_two_samples_makes_lambda_max_larger() -> None:
    """own/flattest-2: of flattest networks exactly those without a shared neuron have λ_max = trace / n."""
    tops = [jobs.described(network(t)[0], network(t)[1], DRIFT.data().sample(9, 1), 0.01)["top"] for t in (1.0, 0.9, 0.5, 0.0)]
    assert tops == sorted(tops)
    assert tops[0] == pytest.approx(1)


def test_a_run_is_the_same_again_and_ends_flattest() -> None:
    first, second = DRIFT.carry_out(), DRIFT.carry_out()
    assert first == second
    assert first["status"] == "finished"
    assert len(first["looks"]) == jobs.LOOKS
    assert rules.flattest(first)
    assert DRIFT.summary(first).startswith("seed 3: memorized ")
    with pytest.raises(ValueError, match="width must be at least 16, got 15"):
        replace(DRIFT, width=15).carry_out()
    hot = replace(DRIFT, lr=50.0, strength=5.0).carry_out()
    assert hot["status"] == "diverged"
    assert np.isnan(rules.rate(DRIFT, hot))


def made(rate: float, seed: int, drift: Drift, **end: float) -> tuple[Drift, Stored[dict[str, Any]]]:
    """A run whose memorized share is HALF exp(rate epochs)."""
    at = np.arange(jobs.LOOKS + 1) * drift.epochs / jobs.LOOKS / rules.EPOCHS
    looks = [{"memorized": HALF * np.exp(rate * t) * (1 + 1e-5 * seed * t), "top": 3.0 + t, "accuracy": 1.0} for t in at]
    last = looks[-1] | {"loss": 0.0, "ratio": 1.0} | end
    values = {"status": "finished", "start": looks[0], "looks": looks[1:], "end": last}
    return replace(drift, seed=seed), Stored({}, values, {})


def grid(sign: float = -1.0, p: float = 3.0, q: float = 2.0) -> list[tuple[Drift, Stored[dict[str, Any]]]]:
    long = replace(DRIFT, epochs=20_000)
    return [
        made(sign * 300 * rho**p * lr**q / 0.01**q * 0.02, seed, replace(long, strength=rho, lr=lr))
        for rho in jobs.RADII
        for lr in jobs.RATES
        for seed in range(1, 6)
    ]


def test_rules_on_runs_that_are_known() -> None:
    def verdicts(pairs: list[Any]) -> dict[str, rules.Judgement]:
        return {judged.name: judged for judged in rules.judge(pairs, "quick")}

    falling = verdicts(grid())
    assert falling["drift"].verdict is Verdict.SUPPORTED
    assert falling["curved"].verdict is Verdict.SUPPORTED
    assert falling["order"].verdict is Verdict.SUPPORTED
    fitted = rules.exponents(grid())
    assert fitted is not None
    assert fitted[0].mean == pytest.approx(3, abs=0.1)
    assert fitted[1].mean == pytest.approx(2, abs=0.1)
    assert verdicts(grid(sign=1.0))["drift"].verdict is Verdict.REFUTED
    assert verdicts(grid(p=1.0))["order"].verdict is Verdict.REFUTED
    assert verdicts([])["drift"].verdict is Verdict.NOT_RUN
    assert {judged.verdict for judged in rules.judge(grid(), "smoke")} == {Verdict.NOT_JUDGED}
    spoiled = [(job, Stored({}, stored.result | {"end": stored.result["end"] | {"ratio": 1.2}}, {})) for job, stored in grid()]
    assert verdicts(spoiled)["drift"].verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(("kept", "verdict"), [(10, Verdict.SUPPORTED), (6, Verdict.INCONCLUSIVE), (0, Verdict.REFUTED)])
def test_whether_memorizing_networks_stay(kept: int, verdict: Verdict) -> None:
    pairs = [
        made(0.0, seed, replace(DRIFT, memorizing=1.0, method=m, strength=s, lr=lr), memorized=1.0 if seed <= kept else 0.5)
        for m, s, lr in METHODS
        for seed in range(1, 11)
    ]
    stays = next(judged for judged in rules.judge(pairs, "quick") if judged.name == "stays")
    assert stays.verdict is verdict


def test_what_separates_the_methods_ends() -> None:
    rng = np.random.default_rng(1)
    both = {name: rng.standard_normal(8) for name in ("accuracy", *functionals.NAMES)}
    pairs = []
    for number, (m, s, lr) in enumerate(METHODS):
        for seed in range(8):
            end = {name: float(values[seed] + (9 * number if name == "rank" else 0)) for name, values in both.items()}
            pairs.append(made(0.0, seed, replace(DRIFT, memorizing=None, method=m, strength=s, lr=lr), **end))
    found = {row.functional: row for row in rules.separations(pairs)}
    assert found["rank"].words == "separates"
    assert found["rank"].share == 0
    exact = stats.mannwhitneyu(found["rank"].sam, found["rank"].noise).pvalue
    assert found["rank"].p == pytest.approx(min(1, exact * len(found)))
    assert {row.words for name, row in found.items() if name != "rank"} == {"no difference seen"}
    assert rules.separations(pairs[:3]) == []


LAYER_NORM = LayerNormDrift(8, 12, 30, 0.4, 3.0, 0.1, 50, 3)


@pytest.mark.parametrize(("memorizing", "size"), [(1.0, 1.0), (0.4, 3.0), (0.5, 10.0)])
def test_a_start_with_layer_norm_fits_with_activations_of_its_size(memorizing: float, size: float) -> None:
    """Without its spare neurons f = y exactly, ||h|| = size, and the trace is 2: own/layernorm-1's infimum."""
    drift = replace(LAYER_NORM, memorizing=memorizing, size=size, width=16 if memorizing < 1 else 12)
    data = jobs.data_without_repeats(drift.d, drift.n, drift.seed)
    start = layer_norm.start_network(drift, data).astype("float64")
    assert theory.forward(start, data.x) == pytest.approx(data.y, abs=1e-6)
    made = layer_norm.described(start, data, data.sample(400, 1))
    assert made["size"] == pytest.approx(size, rel=1e-6)
    assert made["trace"] == pytest.approx(2, rel=1e-5)
    assert made["accuracy"] == pytest.approx(1.0) if memorizing < 1 else made["accuracy"] < 0.1  # f = 0 beyond the samples
    spare = layer_norm.start_network(replace(drift, width=30), data)
    assert spare.width == 30
    assert theory.loss(spare, data.x, data.y) < 1e-4
    with pytest.raises(ValueError, match="width must be at least"):
        layer_norm.start_network(replace(drift, width=5), data)


def made_up(sizes: tuple[float, float], memorized: float, random: float) -> list[tuple[LayerNormDrift, Stored[Any]]]:
    """Runs of five seeds: the share that half memorizing ends with at the smallest and largest size, and what others end with."""
    pairs = []
    for drift in layer_norm.layer_norm_drifts("quick", 5):
        ends = {layer_norm.ACTIVATIONS[0]: sizes[0], layer_norm.ACTIVATIONS[-1]: sizes[1]}
        share = memorized if drift.memorizing == 1 else random if drift.memorizing is None else ends.get(drift.size, 0.4)
        jitter = 1e-3 * np.random.default_rng(drift.seed).standard_normal()
        start = {"memorized": drift.memorizing or 0.0, "size": 1.0}
        end = {"memorized": share + jitter, "size": 2.0 + jitter, "loss": 1e-4, "accuracy": 0.9, "trace": 2.0, "alignment": 0.5}
        pairs.append((drift, Stored(drift.settings(), {"status": "finished", "start": start, "end": end}, {}, 1.0)))
    return pairs


def test_what_layer_norm_s_runs_show_is_judged_by_its_rules() -> None:
    says = {j.name: j.verdict for j in layer_norm.judge_layer_norm(made_up((0.3, 0.49), 0.99, 0.01), "quick")}
    assert set(says) == set(layer_norm.STATEMENTS)
    assert set(says.values()) == {Verdict.SUPPORTED}
    against = {j.name: j.verdict for j in layer_norm.judge_layer_norm(made_up((0.6, 0.4), 0.5, 0.3), "quick")}
    assert [name for name, verdict in against.items() if verdict is Verdict.REFUTED] == ["stays", "shrinks", "fades", "enters"]
    assert {j.verdict for j in layer_norm.judge_layer_norm(made_up((0.3, 0.49), 0.99, 0.01), "smoke")} == {Verdict.NOT_JUDGED}
    assert {j.verdict for j in layer_norm.judge_layer_norm([], "quick")} == {Verdict.NOT_RUN}
    table = layer_norm.layer_norm_ends(made_up((0.3, 0.49), 0.99, 0.01), "quick")
    assert len(table.shown) == 14
    assert set(table.shown["fit at the end"]) == {"5"}


def test_a_short_drift_with_layer_norm() -> None:
    values = LAYER_NORM.carry_out()
    assert values["status"] == "finished"
    assert values["end"]["loss"] < 0.01
    assert values == LAYER_NORM.carry_out()
