"""The imagenet experiment: blocks, their traces and eigenvalues against closed forms, what is said without data, own folders."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.sparse.linalg import LinearOperator, eigsh

from flatproof.verify.deep.efficientnet import EfficientNetLite
from flatproof.verify.experiments.imagenet import EXPERIMENT, jobs
from flatproof.verify.experiments.imagenet.jobs import Score, Sharpness, Subject, Traces, blocks, places, subjects
from flatproof.verify.experiments.imagenet.show import Measured
from flatproof.verify.jobs.job import Outcome
from flatproof.verify.jobs.store import Store
from flatproof.verify.realdata import UNAVAILABLE, files
from flatproof.verify.utils.statistics import binomial_interval

NOISE = Subject("efficientnet-lite0", "noise", 2)


def classifier_inputs() -> tuple[np.ndarray, np.ndarray]:
    """[h; 1] of each image, (n, 1281), and the predicted probabilities, (n, 1000)."""
    model = NOISE.model()
    ((x, _),) = NOISE.batches()
    with torch.no_grad():
        h = model.head(model.blocks(model.stem(x))).mean(dim=(2, 3)).double()
        probabilities = model(x).double().softmax(1)
    return np.hstack([h.numpy(), np.ones((len(h), 1))]), probabilities.numpy()


def test_the_classifiers_curvature_has_a_closed_form() -> None:
    # H_bb = mean_i S_i kron a_i a_i' with S_i = diag(p_i) - p_i p_i' and a_i = [h_i; 1]. With G = a a'/n = R R', its eigenvalues other
    # than 0 are those of (R' kron 1) blockdiag(S_i) (R kron 1), a matrix of n times 1000 rows for one of 1.3 million.
    a, p = classifier_inputs()
    n, classes, width = len(a), p.shape[1], a.shape[1]
    values, vectors = np.linalg.eigh(a @ a.T / n)
    root = vectors * np.sqrt(values.clip(0))

    def multiply(v: np.ndarray) -> np.ndarray:
        z = root @ v.reshape(n, classes)
        return np.asarray((root.T @ (p * z - p * (p * z).sum(1, keepdims=True))).ravel())

    operator = LinearOperator((n * classes,) * 2, matvec=multiply, dtype=np.float64)
    exact = float(eigsh(operator, k=1, return_eigenvectors=False)[0])
    estimate = Sharpness(NOISE, "lambda-max", "classifier").carry_out()
    assert estimate["value"] == pytest.approx(exact, rel=jobs.BLOCK_TOLERANCE)
    assert estimate["low"] <= exact <= estimate["high"]
    assert estimate["parameters"] == classes * width

    traces = Traces(NOISE, 8, 1).carry_out()
    trace = float(((a**2).sum(1) * (1 - (p**2).sum(1))).mean())
    forms = np.array(traces["forms"])[:, traces["blocks"].index("classifier")]
    assert forms.shape == (8,)
    assert abs(forms.mean() - trace) < 5 * forms.std(ddof=1) / np.sqrt(8)
    assert sum(traces["sizes"]) == Score(NOISE).carry_out()["parameters"] == 4_652_008


def test_blocks_hold_every_parameter_once() -> None:
    model = EfficientNetLite("efficientnet-lite0")
    named = dict(model.named_parameters())
    slices = places(list(named), [p.numel() for p in named.values()], blocks(model))
    assert slices[0][0] == 0
    assert [end for _, end in slices[:-1]] == [start for start, _ in slices[1:]]
    assert len(slices) == 19
    with pytest.raises(ValueError, match="hold every parameter once"):
        places(list(named), [p.numel() for p in named.values()], blocks(model)[1:])
    with pytest.raises(ValueError, match="block absent must have its parameters in a row"):
        places(list(named), [p.numel() for p in named.values()], ["absent"])


def test_traces_add_up_over_blocks() -> None:
    forms = np.array([[1.0, 10.0], [3.0, 20.0], [2.0, 30.0]])
    measured = Measured(NOISE, {}, {}, {}, ["a", "b"], [1, 1], forms)
    assert [i.mean for i in measured.traces().values()] == [2.0, 20.0]
    assert measured.trace().mean == 22.0
    assert measured.traces()["a"].low == pytest.approx(2 - 4.3027 / np.sqrt(3), rel=1e-4)


def test_a_count_has_its_exact_interval() -> None:
    assert binomial_interval(18, 20) == pytest.approx((0.9, 0.683, 0.98765), abs=1e-4)  # Clopper and Pearson 1934


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(files, "DEFAULT", str(tmp_path / "nothing"))
    monkeypatch.setenv(files.ENVIRONMENT, str(tmp_path / "chosen"))
    return tmp_path


def test_without_data_nothing_runs_and_the_table_says_so(empty: Path) -> None:
    assert EXPERIMENT.grid(EXPERIMENT.ARTIFACTS, "quick", 1) == []
    with Store(empty / "runs.sqlite") as store:
        (table,) = EXPERIMENT.build(EXPERIMENT.ARTIFACTS, "quick", 1, store)
    rows = table.shown.set_index("data")["Lite 0"]  # type: ignore[union-attr]
    assert rows["20 sample images"] == rows["ImageNet, validation images"] == UNAVAILABLE
    assert "75.1%" in rows["ImageNet, all 50,000 validation images"]


def own_folder(root: Path) -> None:
    """Two classes of two images, and the index that a part of the classes needs."""
    ids = sorted({f"n{i:08d}" for i in range(1, 1001)})
    root.mkdir(parents=True)
    (root / "LOC_synset_mapping.txt").write_text("".join(f"{name} word\n" for name in ids))
    for name in (ids[3], ids[7]):
        (root / "val" / name).mkdir(parents=True)
        for i in range(2):
            Image.fromarray(np.full((40, 50, 3), 40 * i + 10, dtype=np.uint8)).save(root / "val" / name / f"{i}.JPEG")


def test_an_own_folder_is_measured_and_told_from_others(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = empty / "chosen"
    own_folder(root)
    monkeypatch.setattr(jobs, "weights_root", lambda network: empty)
    jobs.listed.cache_clear()
    there = subjects("quick")
    assert list(there) == ["validation"]
    first = there["validation"][0]
    assert first.images == 4
    ((x, y),) = first.batches()
    assert x.shape == (4, 3, 224, 224)
    assert y.tolist() == [3, 7, 3, 7]
    before = [job.key for _, job in EXPERIMENT.grid(EXPERIMENT.ARTIFACTS, "quick", 1)]
    Image.fromarray(np.full((60, 50, 3), 99, dtype=np.uint8)).save(root / "val" / "n00000004" / "0.JPEG")
    jobs.listed.cache_clear()
    after = [job.key for _, job in EXPERIMENT.grid(EXPERIMENT.ARTIFACTS, "quick", 1)]
    assert before
    assert not set(before) & set(after)


@pytest.mark.parametrize("there", [True, False])
def test_scale_paper_takes_a_gpu_where_there_is_one(empty: Path, monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    own_folder(empty / "chosen")
    monkeypatch.setattr(jobs, "weights_root", lambda network: empty)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    jobs.listed.cache_clear()
    assert {job.subject.device for job in jobs.jobs_of("paper", 1)} == {"cuda" if there else "cpu"}
    assert {job.subject.device for job in jobs.jobs_of("quick", 1)} == {"cpu"}
    chosen, other = (jobs.jobs_of("paper", 1, device) for device in ("cuda", "cpu"))
    assert not {job.key for job in chosen} & {job.key for job in other}
    with Store(empty / "runs.sqlite") as store:
        values = {"parameters": 1, "loss": 0.5, "top1": 3, "top5": 4, "images": 4}
        forms = {"blocks": ["stem"], "sizes": [1], "forms": [[1.0], [2.0]]}
        for job in chosen:
            if isinstance(job, (Score, Traces)):
                store.put(job, Outcome(values if isinstance(job, Score) else forms, 1.0), {"commit": "c"})
        tables = EXPERIMENT.build([jobs.TABLE], "paper", 1, store)  # a report needs no GPU
    rows = tables[0].shown  # type: ignore[union-attr]
    assert "0.5000" in rows[rows.quantity == "loss"]["Lite 0"].tolist()


def test_a_subjects_device_holds_network_and_images() -> None:
    there = replace(NOISE, device="meta")  # a device that every machine has and that is not the CPU
    assert {p.device.type for p in there.model().parameters()} == {"meta"}
    assert {tensor.device.type for pair in there.batches() for tensor in pair} == {"meta"}
    assert "meta" in str(Score(there).settings())


def test_measuring_is_in_full_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(Score, "values", lambda job: seen.append(torch.backends.cudnn.allow_tf32) or {})
    before = torch.backends.cudnn.allow_tf32
    Score(NOISE).carry_out()
    assert (seen, torch.backends.cudnn.allow_tf32) == ([False], before)


def test_the_default_root_stands_in_for_the_chosen_one(empty: Path) -> None:
    own_folder(empty / "nothing")
    assert jobs.data_root("imagenet") == empty / "nothing"
    own_folder(empty / "chosen")
    assert jobs.data_root("imagenet") == empty / "chosen"
