"""The grid, the job on images at scale smoke against the definitions, errors on corrupted images, tables and figures."""

import math
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from flatproof.verify.deep import samples, trained
from flatproof.verify.experiments.andriushchenko2023 import EXPERIMENT, grid, shifted, show
from flatproof.verify.experiments.andriushchenko2023.grid import SIZES, cells_of, model, models
from flatproof.verify.experiments.andriushchenko2023.jobs import Studied
from flatproof.verify.experiments.andriushchenko2023.published import KINDS, RADII
from flatproof.verify.jobs.job import Outcome
from flatproof.verify.jobs.store import Store
from flatproof.verify.jobs.workspace import working_in
from flatproof.verify.realdata.corruptions import NAMES


@pytest.fixture(autouse=True)
def _no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLATPROOF_DATA", str(tmp_path / "nothing"))


def test_hyper_parameters_go_round_all_combinations() -> None:
    jobs = list(models("quick", 24))
    combinations = Counter((j.kind, j.training.method.rho, j.training.method.mixup, j.training.augment) for j in jobs)
    assert len(combinations) == 24
    assert set(combinations.values()) == {2}
    for kind in KINDS:
        rates = [math.log(model(kind, seed, "quick").training.method.lr) for seed in range(1, 201)]
        low, high = map(math.log, SIZES["quick"].rates[kind])
        assert low <= min(rates) <= max(rates) <= high
        assert np.histogram(rates, 4, (low, high))[0].min() > 30
    assert len({j.key for j in jobs}) == len(jobs) == 48


def test_more_seeds_keep_the_models_of_fewer() -> None:
    assert [j.key for j in models("smoke", 2)] == [j.key for j in models("smoke", 5)][:4]


def test_radii_are_the_papers() -> None:
    assert cells_of("ViT", (3,))[3].rho == RADII["ViT"]["c = 1"]["worst-linf"][3] == 8e-5
    assert cells_of("ResNet", (0, 3))[-1] == ("worst-linf", "c = |w|, logits normalized", 0.008)
    assert len(cells_of("ResNet", (0, 1, 2, 3))) == 48


@pytest.fixture(scope="module")
def carried_out(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Studied, Outcome]]:
    with working_in(tmp_path_factory.mktemp("files")):
        return [(job, Outcome(job.carry_out())) for job in models("smoke", 2)]  # type: ignore[arg-type]


def test_a_job_holds_errors_and_sharpness_as_defined(tmp_path: Path) -> None:
    job = model("ViT", 1, "smoke")
    with working_in(tmp_path):
        values = job.carry_out()
        network, _ = trained(job.training)
    data = samples(job.training.data)
    with torch.no_grad():
        wrong = (network(data.test_x).argmax(1) != data.test_y).double().mean()
        base = F.cross_entropy(network(data.train_x[:20]), data.train_y[:20])
    assert values["test_error"] == pytest.approx(float(wrong))
    assert values["measured_loss"] == pytest.approx(float(base), rel=1e-4)
    assert len(values["sharpness"]) == len(job.cells) == 12
    # the worst case in linf is at least what a step along the signs of the gradient gives, batch by batch
    place = next(i for i, cell in enumerate(job.cells) if (cell.law, cell.scaling) == ("worst-linf", "c = 1"))
    increases = []
    for start in (0, 10):
        x, y = data.train_x[start : start + 10], data.train_y[start : start + 10]
        parameters = list(network.parameters())
        loss = F.cross_entropy(network(x), y)
        slopes = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for p, g in zip(parameters, slopes, strict=True):
                p += job.cells[place].rho * g.sign()
            increases.append(float(F.cross_entropy(network(x), y) - loss))
            for p, g in zip(parameters, slopes, strict=True):
                p -= job.cells[place].rho * g.sign()
    assert values["sharpness"][place] >= np.mean(increases) * (1 - 1e-3)


def test_errors_on_corrupted_images_are_counted_by_corruption(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = np.random.default_rng(0)
    pixels, labels = stream.integers(0, 256, (40, 3, 4, 4)).astype(np.uint8), stream.integers(0, 10, 40)
    kinds = np.arange(40) % 15
    made = SimpleNamespace(images=SimpleNamespace(x=pixels, y=labels, edition="made up"), corruption=kinds)
    monkeypatch.setattr(shifted, "images", lambda count, root: made)
    data = SimpleNamespace(prepared=lambda x: torch.from_numpy(x).float())
    answers = torch.from_numpy(pixels.reshape(40, -1)[:, :10].astype(int)).argmax(1).numpy()
    errors = shifted.corrupted_errors(lambda x: x.flatten(1)[:, :10], data, 40)  # type: ignore[arg-type]
    assert errors["ood_error"] == pytest.approx(np.mean(answers != labels))
    assert errors["ood_errors"] == {
        name: pytest.approx(np.mean(answers[kinds == i] != labels[kinds == i])) for i, name in enumerate(NAMES)
    }


def test_without_data_there_are_no_models_to_train() -> None:
    rows = EXPERIMENT.grid(EXPERIMENT.ARTIFACTS, "quick", 2)
    assert {job.JOB for _, job in rows} == {"andriushchenko2023 diagonal"}
    assert shifted.edition() == ""
    assert EXPERIMENT.grid(["andriushchenko2023/diagonal"], "smoke", 2)[0][0] == "diagonal, isotropic, sparse"


def test_tables_and_figures_of_a_part_of_the_grid(tmp_path: Path, carried_out: list[tuple[Studied, Outcome]]) -> None:
    with Store(tmp_path / "s.sqlite") as store:
        for job, outcome in carried_out:
            store.put(job, outcome, {"commit": "c"})
        diverged = model("ResNet", 3, "smoke")
        store.put(
            diverged, Outcome({"status": "diverged", "stopped": "diverged", "epochs": 1, "parameters": 3, "edition": ""}), {}
        )
        made = {a.id: a for a in EXPERIMENT.build(EXPERIMENT.ARTIFACTS, "smoke", 4, store)}
    table = made["andriushchenko2023/correlations-resnet"]
    assert len(table.shown) == 12  # type: ignore[union-attr]
    assert "2 ResNets in 2 groups, 1 diverged" in table.notes[0]
    assert set(made["andriushchenko2023/claims"].shown.verdict) == {"not judged"}  # type: ignore[union-attr]
    assert set(show.PANELS.values()) <= set(made)
    assert "andriushchenko2023/figure-3" not in made  # no diagonal network is stored
    rows = made["andriushchenko2023/models"].shown  # type: ignore[union-attr]
    assert rows.status.tolist().count("diverged") == 1


def test_a_network_of_which_all_models_diverged_has_no_correlation(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite") as store:
        ended = {"status": "diverged", "stopped": "diverged", "epochs": 1, "parameters": 3, "edition": ""}
        store.put(model("ViT", 1, "smoke"), Outcome(ended), {})
        (table,) = EXPERIMENT.build(["andriushchenko2023/correlations-vit"], "smoke", 1, store)
    assert set(table.shown["test error"]) == {"–"}  # type: ignore[union-attr]


def test_without_anything_stored_the_tables_say_so(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite") as store:
        made = EXPERIMENT.build(EXPERIMENT.ARTIFACTS, "quick", 2, store)
        (claim,) = EXPERIMENT.claims(["andriushchenko2023/claim-1"], store)
    assert [artifact.id.split("/")[1] for artifact in made] == [
        "claims",
        "correlations-resnet",
        "correlations-vit",
        "models",
        "later-measures",
        "diagonal",
        "language",
        "correlations-fine-tuned",
    ]
    assert claim.status == "open"
    assert grid.edition() == ""
