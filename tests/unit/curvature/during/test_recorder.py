"""The recorder in a plain loop: the training is the same with and without it, and what it writes is what is measured."""

import csv
import itertools
import logging
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from flatproof.verify.curvature import HessianOperator, lambda_max, trace
from flatproof.verify.curvature.during import Recorder, read_rows
from tests.unit.curvature.during.trainings import dataset, fixed_batches, network, state

ONE = "tests.unit.curvature.during.trainings:ONE"
MEASURES = ("lambda-max", "trace", "sam", "adaptive-worst-linf", "relative-flatness")


def train(recorded: bool, mode: Any, epochs: int = 2) -> list[list[Any]]:
    """The states after each step; numpy's and Python's random numbers decide too, and the recorder measures on the training's loader."""
    model = network()
    model[0].bias.requires_grad_(False)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    torch.manual_seed(2)
    random.seed(2)
    np.random.seed(2)  # noqa: NPY002
    own = torch.Generator().manual_seed(3) if mode == "eval" else None  # else the loader draws from torch's own
    loader = DataLoader(dataset(), batch_size=8, shuffle=True, generator=own)
    recorder = None
    if recorded:
        settings = {"trace": {"products": 6}, "adaptive-worst-linf": {"steps": 3}}
        recorder = Recorder(model, cross_entropy, loader, MEASURES, every=2, budget=None, settings=settings, mode=mode)
        recorder.measure()
    states = []
    for _ in range(epochs):
        for x, y in loader:
            optimizer.zero_grad()
            loss = cross_entropy(model(x + 0.1 * float(np.random.rand())), y) * (1 + random.random())  # noqa: NPY002
            loss.backward()
            optimizer.step()
            if recorder is not None:
                recorder.step()
            states.append([float(loss.detach()), *state(model, optimizer), own and own.get_state().numpy().tobytes()])
    if recorder is not None:
        assert {row.measure for row in recorder.rows} == {"loss", *MEASURES}
        assert [row.note for row in recorder.rows if row.note] == []
        assert sorted({row.step for row in recorder.rows}) == [0, *range(2, len(states) + 1, 2)]
    return states


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_a_training_is_the_same_bit_for_bit(mode: str) -> None:
    for step, (plain, recorded) in enumerate(zip(train(False, mode), train(True, mode), strict=True)):
        assert plain == recorded, step


def test_values_are_those_of_the_measures_at_that_step(tmp_path: Path) -> None:
    model, data = network().double(), [(x.double(), y) for x, y in fixed_batches()]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    file = tmp_path / "folder" / "s.csv"
    with Recorder(model, cross_entropy, data, every=2, budget=None, file=file, seed=5) as recorder:
        for x, y in data[:2]:
            optimizer.zero_grad()
            cross_entropy(model(x), y).backward()
            optimizer.step()
            rows = recorder.step()
    H = HessianOperator(model, cross_entropy, data)
    assert [row.measure for row in rows] == ["loss", "lambda-max", "trace"]
    assert [row.value for row in rows] == [H.problem.loss(), lambda_max(H, seed=7).value, trace(H, seed=7).value]
    assert all(row.low <= row.value <= row.high and row.step == 2 and row.estimator for row in rows)
    assert rows[1].products == lambda_max(H, seed=7).products
    written = read_rows(file)
    assert [(row.step, row.measure, row.value, row.high) for row in written] == [
        (row.step, row.measure, row.value, row.high) for row in rows
    ]


def test_measurements_start_from_other_random_vectors() -> None:
    recorder = Recorder(network(), cross_entropy, fixed_batches(), ["trace"], budget=None, settings={"trace": {"products": 6}})
    values = [recorder.measure(step)[1].value for step in (0, 100, 100)]
    assert values[0] != values[1]
    assert values[1] == values[2]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_exceeds_the_budget_is_skipped_counted_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A step takes a second, a measurement two: at most a quarter of the training is one in eight steps."""
    clock = Clock()
    recorder = Recorder(network(), cross_entropy, fixed_batches(), [ONE], every=1, budget=0.25, file=tmp_path / "s.csv")
    monkeypatch.setattr(recorder.budget, "_clock", clock)
    monkeypatch.setattr(recorder.budget, "_start", 0.0)
    fresh = recorder._fresh

    def slow() -> HessianOperator:
        clock.now += 2
        return fresh()

    monkeypatch.setattr(recorder, "_fresh", slow)
    for _ in range(40):
        clock.now += 1
        recorder.step()
        if recorder.budget.taken > 1:
            assert recorder.budget.used <= 0.25
    assert [row.step for row in recorder.rows[::2]] == [1, 16, 24, 32, 40]
    assert [row.skipped for row in read_rows(tmp_path / "s.csv")[::2]] == [0, 14, 7, 7, 7]
    assert recorder.budget.skipped == 35
    with caplog.at_level(logging.WARNING, logger="flatproof"):
        recorder.close()
    assert (
        "5 measurements, 35 skipped for the budget; 10.0 s of measuring to 40.0 s of training, 25.0% (budget 25.0%)"
        in caplog.text
    )


def test_what_is_done_once_is_counted_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes with the first product takes 100 s, the first measurement 3 s beside it, later ones 1 s: neither holds others back."""
    clock = Clock()
    recorder = Recorder(
        network(), cross_entropy, fixed_batches(), ["trace"], every=1, budget=0.5, settings={"trace": {"products": 4}}
    )
    monkeypatch.setattr(recorder.budget, "_clock", clock)
    monkeypatch.setattr(recorder.budget, "_start", 0.0)
    matvec, fresh = HessianOperator.matvec, recorder._fresh

    def first(operator: HessianOperator, vector: torch.Tensor) -> torch.Tensor:
        clock.now += 100 if not recorder.budget.prepared else 0
        return matvec(operator, vector)

    def slow() -> HessianOperator:
        clock.now += 0 if not recorder.budget.prepared else 3 if not recorder.budget.taken else 1
        return fresh()

    monkeypatch.setattr(HessianOperator, "matvec", first)
    monkeypatch.setattr(recorder, "_fresh", slow)
    for _ in range(20):
        clock.now += 1
        recorder.step()
        if recorder.budget.taken > 1:
            assert recorder.budget.used <= 0.5
    assert recorder.budget.training == 20
    assert sorted({row.step for row in recorder.rows}) == [1, 12, 13, 14, 15, 16, 18, 20]
    assert "; 100.0 s of preparation, once" in recorder.summary()


def test_a_diverged_training_goes_on() -> None:
    model = network()
    recorder = Recorder(model, cross_entropy, fixed_batches(), ["lambda-max"], budget=None)
    with torch.no_grad():
        model[4].weight.fill_(math.inf)
    loss, largest = recorder.measure()
    assert math.isnan(loss.value)
    assert (math.isnan(largest.value), largest.note) == (True, "the loss is nan")


def test_the_first_failure_is_raised_and_later_ones_are_noted() -> None:
    target = torch.zeros(24, 3)
    broken = False

    def loss(outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        if broken:
            raise RuntimeError("no\nmore")
        return cross_entropy(outputs, y)

    data = dataset().tensors
    with pytest.raises((RuntimeError, ValueError), match="loss must return a scalar"):
        Recorder(network(), lambda out, y: out - target, data, budget=None).measure()
    recorder = Recorder(network(), loss, data, ["lambda-max"], budget=None)
    recorder.measure()
    broken = True
    assert [row.note for row in recorder.measure()] == ["no more", "no more"]


def test_a_parameter_that_was_replaced_is_followed() -> None:
    model = network()
    recorder = Recorder(model, cross_entropy, fixed_batches(), [ONE], budget=None)
    before = recorder.measure()[0].value
    model[4].weight = nn.Parameter(torch.zeros_like(model[4].weight))
    model[4].bias.data.zero_()
    after = recorder.measure()[0].value
    assert before != after
    assert after == pytest.approx(math.log(3), abs=1e-6)


def test_wrapped_models_and_scalars() -> None:
    class Writer:
        def __init__(self) -> None:
            self.seen: dict[str, list[tuple[float, int]]] = {}

        def add_scalar(self, tag: str, value: float, step: int) -> None:
            self.seen.setdefault(tag, []).append((value, step))

    model, writer = network(), Writer()
    recorder = Recorder(nn.DataParallel(model), cross_entropy, fixed_batches(), ["sam"], every=3, budget=None, tensorboard=writer)
    assert recorder.model is model
    rows = [row for _ in range(6) for row in recorder.step()]
    recorder.close()
    assert writer.seen["sharpness/sam"] == [(rows[1].value, 3), (rows[3].value, 6)]
    assert set(writer.seen) == {"sharpness/loss", "sharpness/sam", "sharpness/sam-low", "sharpness/sam-high"}


def test_tensorboard_reads_what_was_written(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with Recorder(network(), cross_entropy, fixed_batches(), [ONE], every=1, budget=None, tensorboard=tmp_path) as recorder:
        value = recorder.step()[0].value
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [(e.step, e.value) for e in events.Scalars("sharpness/loss")] == [(1, pytest.approx(value))]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"measures": ["sharp"]}, "unknown measure 'sharp'; expected some of"),
        ({"measures": []}, "measures must name at least one, such as 'lambda-max' or 'trace', got none"),
        ({"measures": "trace"}, "measures must be a list of names"),
        ({"every": 0}, "every must be a whole number of at least 1, got 0"),
        ({"budget": 0}, "budget must be a finite number above 0, got 0"),
        ({"settings": {"trace": {"probe": 3}}}, "trace has no setting 'probe'"),
        ({"settings": {"sam": {"rho": 3}}}, "settings are of 'sam', which is not measured"),
        ({"data": 3}, "data must be an \\(inputs, targets\\) pair"),
        ({"data": []}, "at least one sample"),
        ({"data": DataLoader(dataset(), num_workers=1, persistent_workers=True)}, "persistent_workers"),
    ],
)
def test_bad_settings_are_refused_when_it_is_made(settings: dict[str, Any], words: str) -> None:
    given: dict[str, Any] = {"model": network(), "loss": cross_entropy, "data": fixed_batches()} | settings
    with pytest.raises((ValueError, TypeError), match=words) as refusal:
        Recorder(**given)
    assert "\n" not in str(refusal.value)


def test_steps_that_are_counted_by_two_are_not_missed() -> None:
    recorder = Recorder(network(), cross_entropy, fixed_batches(), [ONE], every=5, budget=None, step=4)
    assert [step for step in range(6, 22, 2) if recorder.step(step)] == [6, 10, 16, 20]


def test_a_restart_goes_on_in_the_file(tmp_path: Path) -> None:
    file, model = tmp_path / "s.csv", network()
    for steps in ((10, 20, 30), (20, 30, 40)):
        recorder = Recorder(model, cross_entropy, fixed_batches(), [ONE], every=10, budget=None, file=file)
        for step in steps:
            recorder.step(step)
        with torch.no_grad():
            model[4].bias.add_(torch.tensor([1.0, 0, 0]))
    rows = list(csv.DictReader(file.open(encoding="utf-8")))
    assert [(row["run"], row["step"]) for row in rows[::2]] == [
        ("1", "10"),
        ("1", "20"),
        ("1", "30"),
        ("2", "20"),
        ("2", "30"),
        ("2", "40"),
    ]
    assert [(row.run, row.step) for row in read_rows(file)[::2]] == [(1, 10), (2, 20), (2, 30), (2, 40)]


def test_wherever_a_kill_cuts_the_file_a_restart_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "s.csv"
    recorder = Recorder(network(), cross_entropy, fixed_batches(), [ONE], every=1, budget=None, file=file)
    for step in (1, 2):
        recorder.step(step)
    whole = file.read_bytes()
    first = whole.find(b"\n") + 1
    for cut in itertools.chain(range(0, first, 7), range(first, len(whole), 11)):
        file.write_bytes(whole[:cut])
        again = Recorder(network(), cross_entropy, fixed_batches(), [ONE], every=1, budget=None, file=file)
        again.step(3)
        kept = whole[:cut].count(b"\n") - 1
        assert [row.step for row in read_rows(file)] == [*(k // 2 + 1 for k in range(kept)), 3, 3]


@pytest.mark.parametrize("content", ["step,value\n1,2\n", "step,value", "\x00\n", "\n"])
def test_a_file_with_other_columns_is_refused_and_left(tmp_path: Path, content: str) -> None:
    file = tmp_path / "s.csv"
    file.write_text(content)
    with pytest.raises(ValueError, match=r"s\.csv begins with .*; expected the columns run,step,") as refusal:
        Recorder(network(), cross_entropy, fixed_batches(), [ONE], file=file)
    assert "\n" not in str(refusal.value)
    assert file.read_text() == content


def test_a_row_that_is_none_is_named(tmp_path: Path) -> None:
    file = tmp_path / "s.csv"
    Recorder(network(), cross_entropy, fixed_batches(), [ONE], every=1, budget=None, file=file).step()
    file.write_text(file.read_text() + "1,2,3\n")
    with pytest.raises(ValueError, match=r"s\.csv, row 4 has 3 columns; expected 16"):
        read_rows(file)


def test_a_followed_eigenvector_takes_two_products_a_measurement() -> None:
    """A slowly moving training: 1 % in two products, near the explicit Hessian's largest eigenvalue, which the intervals hold."""
    torch.manual_seed(0)
    x = torch.randn(80, 6, dtype=torch.float64)
    y = (x[:, 0] + 0.5 * x[:, 1] > 0).long() + (x[:, 2] > 0.3).long()
    model = nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 3)).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    recorder = Recorder(
        model, cross_entropy, (x, y), ["lambda-max"], every=5, budget=None, settings={"lambda-max": {"stop": "ritz"}}
    )
    products, near, covered, plain = [], 0, 0, []
    for _ in range(200):
        optimizer.zero_grad()
        cross_entropy(model(x), y).backward()
        optimizer.step()
        for row in recorder.step()[1:]:
            operator = HessianOperator(model, cross_entropy, (x, y))
            truth = float(np.linalg.eigvalsh(operator.dense().numpy())[-1])
            products.append(row.products)
            plain.append(lambda_max(operator).products)
            near += abs(row.value - truth) <= 0.01 * truth
            covered += row.low <= truth <= row.high
    assert len(products) == 40
    assert products[10:] == [2] * 30  # 4 once, among the first, where the network moves fastest
    assert max(products[1:]) <= 4
    assert near >= 39
    assert covered == 40
    assert sum(plain) > 2.5 * sum(products)
