"""What counts as flattest and as which kind, on networks built by hand; the artifacts from real runs at the smallest scale."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from flatproof import synth, theory
from flatproof.verify.experiments import tuning
from flatproof.verify.experiments.minimizers import EXPERIMENT
from flatproof.verify.experiments.minimizers.ends import End, Group, flattest, pin
from flatproof.verify.experiments.minimizers.kinds import Kind, kind
from flatproof.verify.experiments.minimizers.methods import METHODS, TUNED, Setting, run, tuned
from flatproof.verify.experiments.minimizers.show import FIGURE
from flatproof.verify.jobs.job import Outcome
from flatproof.verify.jobs.store import Store

RESULTS = Path(__file__).parents[3] / "paper_results"
DATA = synth.parity(10, 24, 0)
SIGNS = np.array([(1, 1), (1, -1), (-1, 1), (-1, -1)], dtype=float)


def four_neurons(architecture: str, size: float) -> theory.Network:
    """One neuron a quarter: relu(size (s1 x1 + s2 x2 - 1)), which is size on its quarter, 0 elsewhere."""
    w1 = np.zeros((4, 10))
    w1[:, :2] = size * SIGNS
    shares = np.array([np.mean((DATA.x[:, :2] == signs).all(axis=1)) for signs in SIGNS])
    bias = np.full(4, -size)
    if architecture == "sim-bn":  # outputs 1 / sqrt(share) before gamma and w2
        gamma = np.sqrt(np.sqrt(shares))
        return theory.Network(w1, gamma * SIGNS.prod(axis=1), bias, gamma, "sim-bn")
    return theory.Network(w1, SIGNS.prod(axis=1) / (1 if architecture == "sim-ln" else size), bias, architecture=architecture)


@pytest.mark.parametrize(("architecture", "size"), [("bias", 11**0.25), ("sim-bn", 1e4), ("sim-ln", 1.0)])
def test_the_flattest_trace_known_is_that_of_networks(architecture: str, size: float) -> None:
    network = four_neurons(architecture, size)
    bound, known = flattest(architecture, DATA, np.nan)
    assert theory.loss(network, DATA.x, DATA.y) == pytest.approx(0, abs=1e-20)
    assert theory.trace_of_hessian(network, DATA.x, DATA.y) == pytest.approx(known, rel=1e-6)
    assert bound <= known * (1 + 1e-12)
    assert (bound == known) == (architecture != "sim-bn")


def test_without_bias_the_flattest_trace_is_the_pinned_infimum() -> None:
    job = pin("quick", 1)
    data = run("no-bias", METHODS[0], Setting(), "quick", 1).data.build()
    values = job.carry_out()
    bound, known = flattest("no-bias", data, values["infimum"])
    assert (bound, known) == (values["bound"], values["infimum"])
    assert bound <= known * (1 + 1e-12)


@pytest.mark.parametrize("architecture", ["bias", "sim-bn", "sim-ln"])
def test_a_generalizing_network_is_recognized(architecture: str) -> None:
    assert kind(four_neurons(architecture, 2.0), DATA.x) == Kind(neurons=4, single=0, memorized=0, alignment=1)


@pytest.mark.parametrize("architecture", ["bias", "sim-ln"])
def test_a_memorizing_network_is_recognized(architecture: str) -> None:
    """Repeated inputs are one."""
    found = kind(theory.memorizing_network(DATA.x, DATA.y, architecture), np.vstack([DATA.x, DATA.x[:3]]))
    assert (found.neurons, found.single, found.name) == (24, 24, "memorizing")
    assert found.memorized == pytest.approx(1)
    assert found.alignment < 0.5


def test_barely_active_neurons_are_not_counted() -> None:
    network = four_neurons("bias", 2.0)
    w1, b1 = np.vstack([network.w1, DATA.x[:1]]), np.append(network.b1, -9.0)
    found = kind(replace(network, w1=w1, b1=b1, w2=np.append(network.w2, 1e-6)), DATA.x)
    assert (found.neurons, found.single) == (4, 0)
    assert 0 < found.memorized < 1e-5
    zero = replace(network, w2=np.zeros(4))
    assert kind(zero, DATA.x) == Kind(0, 0, 0.0, 0.0)


def test_who_reaches_the_flattest_trace() -> None:
    def end(ratio: float, loss: float) -> End:
        return End(1, 1.0, ratio, loss, 1.0, Kind(4, 0, 0.0, 0.95))

    assert end(1.04, 1e-5).reaches
    assert not end(1.06, 1e-5).reaches
    assert not end(1.0, 1e-2).reaches
    assert end(1.0, 0.0).kind.name == "generalizing"
    assert Kind(4, 0, 0.4, 0.5).name == "between"


def test_every_method_starts_from_the_same_network_on_the_same_data() -> None:
    for architecture in theory.ARCHITECTURES:
        runs = [run(architecture, method, tuned(architecture, method, "quick"), "quick", 2) for method in METHODS]
        assert len({(run.seed, run.data.seed, str(run.data.settings), run.width) for run in runs}) == 1
        assert len({run.key for run in runs}) == len(METHODS)
        assert {run.phases[-1] for run in runs} == {runs[0].phases[-1]}
        budget = 5_000 if architecture == "sim-bn" else 20_000
        assert all(0.99 * budget <= sum(p.epochs for p in run.phases[:-1]) <= budget for run in runs[:-1])


def test_every_method_has_the_same_number_of_settings_and_the_first_is_its_own() -> None:
    for method in METHODS:
        assert [len({*method.tried(scale)}) for scale in ("quick", "paper")] == [8, 12]
        plain = replace(method.settings[0], falls=method.settings[0].falls and "two parts")
        assert plain == method.settings[0]
        assert (plain.rate, plain.strength) == (1, 1)
    runs = {run("bias", m, setting, "paper", 1).key for m in METHODS for setting in m.tried("paper")}
    assert len(runs) == 12 * len(METHODS)


def test_halved_strengths_fall_to_a_thirty_second() -> None:
    method = METHODS[3]
    phases = run("bias", method, Setting(4, 2, "halved"), "quick", 1).phases
    assert [phase.rho for phase in phases] == [0.4, 0.2, 0.1, 0.05, 0.025, 0.0125, 0]
    assert [phase.lr for phase in phases] == [0.04] * 6 + [0.01]


def searched(setting: Setting, *ends: tuple[float, float]) -> Group:
    """A group with these (trace / flattest, training loss)."""
    made = tuple(End(101 + k, ratio, ratio, loss, 1.0, Kind(4, 0, 0.0, 1.0)) for k, (ratio, loss) in enumerate(ends))
    return Group("bias", METHODS[3], setting, (), made, (), ())


def test_the_best_setting_fits_on_every_seed_and_is_flattest() -> None:
    flat, unfit, half, steep = (Setting(1, k, "two parts") for k in (1, 2, 3, 4))
    tried = [
        searched(steep, (3.0, 1e-9), (3.0, 1e-9)),
        searched(flat, (1.2, 1e-5), (1.3, 1e-5)),
        searched(unfit, (1.0, 1e-5), (1.0, 1e-2)),
        searched(half, (1.0, 1e-5)),
    ]
    assert tuning.best(tried, 2) == flat
    assert tuning.best([tried[2], searched(steep, (1.0, 0.5), (1.0, 0.1))], 2) == unfit
    assert tuning.best(tried[3:], 2) is None


@pytest.mark.parametrize("scale", TUNED)
def test_the_settings_are_those_that_the_published_search_found_best(scale: str) -> None:
    best = TUNED[scale]
    folder = RESULTS / "tuning" / ("" if scale == "quick" else f"{scale}_scale")
    table = pd.read_csv(folder / "table_1.csv", comment="#", keep_default_na=False)
    chosen = table[table["best"].astype(str) == "True"]
    assert len(table) >= len(chosen) == 2 * len(best)  # two seeds each
    rows = zip(*(chosen[name] for name in ("architecture", "method", "rate", "strength", "falls")), strict=True)
    assert {(a, m): Setting(rate, strength, falls) for a, m, rate, strength, falls in rows} == best
    assert all(setting in method.tried(scale) for method in METHODS for (_, name), setting in best.items() if name == method.name)


def test_artifacts_from_real_runs(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite") as store:
        (empty,) = EXPERIMENT.build(EXPERIMENT.ARTIFACTS, "smoke", 1, store)
        assert set(empty.shown["reaches"]) == {"not yet run"}
        assert set(empty.shown["trace"]) == {"–"}
        job = pin("smoke", 1)
        store.put(job, Outcome(job.carry_out(), 1.0), {"commit": "c"})
        for method in METHODS:
            job = run("bias", method, tuned("bias", method, "smoke"), "smoke", 1)
            store.put(job, job.carry_out(), {"commit": "c"})
        table, figure = EXPERIMENT.build(EXPERIMENT.ARTIFACTS, "smoke", 1, store)
        assert list(table.raw["method"]) == [method.name for method in METHODS]
        assert np.allclose(table.raw["trace"], table.raw["trace / flattest"] * 4 * np.sqrt(7))
        assert figure.id == FIGURE
        seeds = table.shown.groupby("architecture")["seeds"].unique().str.join(", ")
        assert dict(seeds) == {"bias": "1 of 1", "no-bias": "0 of 1", "sim-bn": "0 of 1", "sim-ln": "0 of 1"}
        assert len(EXPERIMENT.grid(EXPERIMENT.ARTIFACTS, "smoke", 1)) == 4 * len(METHODS) + 1
