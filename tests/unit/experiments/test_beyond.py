"""Beyond the trace: data sets, what jobs store, tables and figures from stored jobs alone, the certificates beside them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from flatproof import theory
from flatproof.synth.cube import cube
from flatproof.theory.check_certificate import check
from flatproof.theory.cube_symmetries import members
from flatproof.theory.losses import Loss
from flatproof.theory.networks import DeepNetwork, trace_lower_bound
from flatproof.verify.experiments.atlas.jobs import decide_subset, labels
from flatproof.verify.experiments.beyond import EXPERIMENT, jobs, show
from flatproof.verify.experiments.beyond.deep import MISS, Deep, Pass, deeps, searched
from flatproof.verify.experiments.beyond.jobs import (
    DIFFERENTIABLE,
    NORMAL,
    SEVEN,
    TEN,
    WRONG,
    Constant,
    Eigenvalue,
    Fit,
    constants,
    eigenvalues,
    fits,
    training_set,
)
from flatproof.verify.experiments.beyond.logistic import Logistic, logistics
from flatproof.verify.experiments.beyond.outputs import ONE_HOT, SIX, Several, labels_of, points_of, several
from flatproof.verify.experiments.beyond.whitening import Whitening, whitenings
from flatproof.verify.jobs.job import Outcome
from flatproof.verify.jobs.store import Store

RESULTS = Path(__file__).parents[3] / "paper_results/beyond"


@pytest.mark.parametrize(
    ("data", "n", "asked"), [(SEVEN, 7, 1), (WRONG, 12, 1), (NORMAL, 12, 0), (TEN, 10, 0), ("cube d=3", 8, 0)]
)
def test_training_sets(data: str, n: int, asked: int) -> None:
    x, y, at, labels = training_set(data)
    assert (len(x), len(y), len(at), len(labels)) == (n, n, asked, asked)
    assert len(np.unique(x, axis=0)) == n
    assert not asked or not (x[:, None] == at).all(axis=2).any()
    if data != NORMAL:
        assert (y != x[:, 0] * x[:, 1]).sum() == (data == WRONG)
        assert (labels == at[:, 0] * at[:, 1]).all()


def test_files_have_names_of_their_own() -> None:
    every = [*fits("quick"), *constants("quick"), *eigenvalues("quick"), *several("quick"), *logistics("quick")]
    assert len({(type(job), job.file) for job in every}) == len({job.key for job in every}) == len(every)
    assert all(job.file.isascii() and " " not in job.file for job in every)


def test_the_constant_decides_whether_the_flattest_generalize() -> None:
    """own/flattest-6 and a price on weights, as the jobs store them."""
    without, small, price = (Constant(*case).carry_out() for case in ((0.0, 0.0), (0.01, 0.0), (0.01, 0.1)))
    x, y, _, _ = training_set(SEVEN)
    assert without["answer"] == price["answer"] == "all"
    assert small["answer"] == "not all"
    assert small["low"] is None
    assert small["upper"] == pytest.approx(4 * (3 + 1e-4) ** 0.5, rel=1e-8)
    assert without["lower"] > trace_lower_bound("no-bias", x, y) > 0.7 * without["lower"]
    for values in (without, small, price):
        verdict = check(json.loads(values["certificate"]))
        assert float(verdict.lower) == values["lower"]
        assert verdict.decision is not None
        assert verdict.decision.startswith(values["answer"])


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """What smoke needs, and two lines of the trade-off at d = 3."""
    store = Store(tmp_path_factory.mktemp("beyond") / "runs.sqlite")
    every: list[Any] = [*fits("smoke"), *constants("smoke"), *eigenvalues("smoke"), *whitenings("smoke")]
    every += [*several("smoke"), *deeps("smoke"), *logistics("smoke")]
    for job in every:
        store.put(job, Outcome(job.carry_out()), {})
    return store


def test_tables_and_figures_are_made_from_what_is_stored(stored: Store) -> None:
    made = EXPERIMENT.build(EXPERIMENT.ARTIFACTS, "smoke", 1, stored)
    assert [artifact.id for artifact in made] == list(EXPERIMENT.ARTIFACTS)
    tables = [artifact for artifact in made if isinstance(artifact, show.Table)]
    assert [len(table.shown) for table in tables] == [2, 4, 8, 8, 4, 3, 8]
    for table in (*tables[:3], tables[4], tables[6]):
        assert set(table.files) == set(table.shown["certificate"])
        for text in table.files.values():
            check(json.loads(text))
    assert len(tables[3].files) == len(tables[3].raw)
    assert list(tables[0].raw.columns[:3]) == ["data", "each", "rms"]
    eigenvalue = tables[2].shown
    flattest = eigenvalue[eigenvalue.objective == "trace"]["λ_max of the trace-flattest"].tolist()
    assert flattest == [">= 2.00000", ">= 1.41421"]  # on the square networks are the flattest in both


def whitened(x: np.ndarray, everything: np.ndarray, digits: int = 12) -> np.ndarray:
    """The images of points under (X'X/n)^(-1/2), in floating point."""
    values, directions = np.linalg.eigh(x.T @ x / len(x))
    return np.round(everything @ (directions / np.sqrt(values) @ directions.T), digits)


@pytest.mark.parametrize("seed", range(4))
def test_whitening_scales_the_flattest_trace_no_more_than_lengths(seed: int) -> None:
    """own/flattest-8: m T(X) <= T(XA') <= M T(X); an orthogonal map changes nothing."""
    rng = np.random.default_rng(seed)
    x, y = np.round(rng.standard_normal((6, 3)), 2), rng.choice([-1.0, 1.0], 6)
    images = whitened(x, x)
    before, after = (theory.flattest(points, y) for points in (x, images))
    ratios = np.linalg.norm(images, axis=1) / np.linalg.norm(x, axis=1)
    assert ratios.min() * before.lower_bound <= after.trace * (1 + 1e-9)
    assert after.lower_bound <= ratios.max() * before.trace * (1 + 1e-9)
    turned = x @ np.array([[0.6, 0.8, 0], [-0.8, 0.6, 0], [0, 0, 1.0]])
    assert theory.flattest(turned, y).trace == pytest.approx(before.trace, rel=1e-6)


@pytest.mark.parametrize("job", whitenings("smoke"), ids=lambda job: f"{job.target}-{job.kinks}")
def test_whitened_subsets_have_certificates_of_their_own(job: Whitening) -> None:
    values = job.carry_out()
    for subset, white, proof in zip(values["subset"], values["white"], values["certificate"], strict=True):
        assert_decides(json.loads(proof), job.target, job.d, job.kinks, subset, white)


def assert_decides(certificate: dict[str, Any], target: str, d: int, kinks: str, subset: int, answer: str) -> None:
    """The certificate is of that subset, whitened, and what it asks is the answer on the whole cube."""
    x, y = cube(d), labels(target, d)
    inside = members(subset, len(x))
    asked = inside if inside.all() else ~inside
    verdict = check(certificate)
    assert " has trace on the whitened inputs >= " in verdict.statement
    assert (certificate["architecture"], certificate["kinks"]) == ("no-bias", kinks)
    assert (certificate["x"], certificate["y"]) == (x[inside].tolist(), y[inside].tolist())
    assert [entry["x"] for entry in certificate["predictions"]] == x[asked].tolist()
    assert certificate["decision"] == {"labels": y[asked].tolist(), "answer": answer}
    assert verdict.decision is not None
    assert verdict.decision.startswith(f"{answer} networks within 0.000001 of the flattest")


def test_published_certificates_of_whitened_subsets_decide_what_the_table_counts() -> None:
    lines = pd.read_csv(RESULTS / "table_4.csv", comment="#")
    assert len(lines) == len(list((RESULTS / "table_4").glob("*.json"))) == 280
    for row in lines.itertuples():
        job = Whitening(str(row.target), int(str(row.d)), str(row.kinks))
        certificate = json.loads((RESULTS / "table_4" / job.file(int(str(row.subset)))).read_text(encoding="utf-8"))
        assert_decides(certificate, job.target, job.d, job.kinks, int(str(row.subset)), str(row.white))


@pytest.mark.slow
def test_whitening_makes_constants_easier() -> None:
    """Of the subsets of the cube that force the constant, against another solver on images in six decimals, all answers."""
    job = next(job for job in whitenings("quick") if (job.target, job.d, job.kinks) == ("constant", 3, DIFFERENTIABLE))
    values = job.carry_out()
    x = cube(3)
    for subset, raw, white in zip(values["subset"], values["raw"], values["white"], strict=True):
        images = whitened(x[members(subset, 8)], x, 6)
        assert white == decide_subset("constant", 3, "no-bias", DIFFERENTIABLE, subset, images)["answer"]
        assert raw == decide_subset("constant", 3, "no-bias", DIFFERENTIABLE, subset)["answer"]
    gained = [s for s, raw, white in zip(values["subset"], values["raw"], values["white"], strict=True) if raw != white]
    assert len(gained) == 1


def test_nothing_stored_makes_nothing(tmp_path: Path) -> None:
    assert EXPERIMENT.build(EXPERIMENT.ARTIFACTS, "quick", 1, Store(tmp_path / "runs.sqlite")) == []
    assert {name for name, _ in EXPERIMENT.grid([show.FITS], "quick", 1)} == {"fits within a tolerance"}
    assert len(EXPERIMENT.grid([show.FITS, show.FITS_DRAWN], "quick", 1)) == len(fits("quick"))


def test_a_fit_and_an_eigenvalue_say_what_they_are() -> None:
    fit, eigenvalue = Fit(SEVEN, 0.5, 0.0), Eigenvalue("square", "no-bias", DIFFERENTIABLE, 0.25, 1.0)
    assert fit.file in fit.summary({"upper": 1.0, "gap": 1e-9})
    assert eigenvalue.file == "square_no-bias_0.25_1.json"
    assert jobs.Fit(SEVEN, 0.0, 0.5).file == "7_of_cube_d3_rms_0.5.json"


@pytest.mark.parametrize(("architecture", "answer"), [("no-bias", "all"), ("bias", "not all"), ("sim-bn", "not all")])
def test_the_logistic_loss_has_the_answer_of_the_mean_squared_error(architecture: str, answer: str) -> None:
    """Seven vertices, the bounds of both losses, and the line on the eighth."""
    job = Logistic(SEVEN, architecture, DIFFERENTIABLE, 0.2)
    values = job.carry_out()
    verdict = check(json.loads(values["certificate"]))
    assert values["answer"] == answer
    assert verdict.loss is not None
    assert verdict.loss.startswith("for the logistic loss, labels smoothed by p = 1/5: ")
    share = Loss("logistic", 0.2).targets(np.ones(1))[0] * Loss("logistic", 0.2).curvature_at_targets / 2
    for end in ("lower", "upper"):
        assert values[end] == pytest.approx(share * values[f"mse_{end}"], rel=1e-12)
    assert (values["mse_lower"], values["mse_upper"]) == (float(verdict.lower), float(verdict.upper))


def test_labels_of_several_outputs() -> None:
    for job in several("quick"):
        x, asked = points_of(job.data)
        y = labels_of(job.labels, x)
        assert y.shape[0] == len(x)
        assert not asked.size or not (x[:, None] == asked).all(axis=2).any()
        if job.labels == ONE_HOT:
            assert (y.sum(axis=1) == 1).all()
            assert (y[:, 0] - y[:, 1] == x[:, 0] * x[:, 1]).all()


def test_seven_vertices_force_the_class_of_the_eighth() -> None:
    """And six do not let the least trace be sqrt(2) times that of one output."""
    values = Several(SEVEN, ONE_HOT, "no-bias", DIFFERENTIABLE).carry_out()
    verdict = check(json.loads(values["certificate"]))
    assert values["wrong_less_right"] < -0.99
    assert len(verdict.predictions) == 1
    assert float(verdict.upper) == values["upper"] == pytest.approx(2**0.5 * values["one_output"][1], rel=1e-6)
    six = Several(SIX, ONE_HOT, "no-bias", DIFFERENTIABLE).carry_out()
    assert six["relaxed"] < six["lower"] <= six["upper"] < 0.999 * 2**0.5 * six["one_output"][0]


@pytest.mark.parametrize("seed", range(3))
def test_the_search_knows_the_trace_and_its_gradient(seed: int) -> None:
    """Against the closed form of any depth, and differences."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((5, 3))
    layers, towards = ([rng.standard_normal(shape) for shape in ((2, 4, 3), (2, 6, 4), (2, 6))] for _ in range(2))
    now = Pass.of(layers, x)
    for k in range(2):
        network = DeepNetwork((layers[0][k], layers[1][k], layers[2][k][None]), None)
        assert network.forward(x) == pytest.approx(now.f[k])
        assert network.trace_of_hessian(x) == pytest.approx(now.trace(x)[k])
    ends = [Pass.of([w + s * v for w, v in zip(layers, towards, strict=True)], x) for s in (1e-6, -1e-6)]
    for slope, ours in (
        ((ends[0].trace(x) - ends[1].trace(x)) / 2e-6, now.back_of_trace(layers, x)),
        ((ends[0].f - ends[1].f)[:, 2] / 2e-6, now.back(np.eye(5)[[2, 2]], x)),
    ):
        products = [sum(float(np.sum(g[k] * v[k])) for g, v in zip(ours, towards, strict=True)) for k in range(2)]
        assert slope == pytest.approx(products, rel=1e-5)


def test_the_search_ends_at_networks_that_interpolate_no_flatter_than_the_bound() -> None:
    x = cube(3)[1:]
    y = x[:, 0] * x[:, 1]
    now = Pass.of(searched(x, y, 8, 10, 400), x)
    fits = np.abs(now.f - y).max(axis=1) <= MISS
    trace, least = now.trace(x)[fits], 6 * 3 ** (1 / 3)
    assert fits.sum() >= 4
    assert (trace >= least * (1 - 1e-7)).all()
    assert trace.min() < 1.2 * least


def test_two_networks_of_three_layers_attain_the_bound() -> None:
    values = Deep(3, (5, 6), 2, 6, 20).carry_out()
    assert values["memorizing"] == pytest.approx(values["bound"]) == pytest.approx(values["generalizing"])
    assert values["memorizing_margins"] == pytest.approx([-1, -1])
