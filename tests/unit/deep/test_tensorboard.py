"""The export of curves."""

import sys
import types
from pathlib import Path

import pytest

from flatproof.verify.deep import Stop, loop
from flatproof.verify.deep.tensorboard import export
from flatproof.verify.jobs.store import Store
from flatproof.verify.jobs.sweep import sweep
from tests.unit.deep.trainings import (
    job,
)


def test_curves_go_to_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each stored training gets a run of its own with every curve; a stand-in for TensorBoard's writer takes them."""
    written: dict[str, list[tuple[str, float, int]]] = {}

    class Writer:
        def __init__(self, folder: str) -> None:
            self.lines = written.setdefault(Path(folder).name, [])

        def __enter__(self) -> "Writer":
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def add_scalar(self, name: str, value: float, step: int) -> None:
            self.lines.append((name, value, step))

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", types.SimpleNamespace(SummaryWriter=Writer))
    first, second = job(stop=Stop(2)), job(stop=Stop(2), seed=8)
    with Store(tmp_path / "runs.sqlite") as store:
        sweep([first], store)
        early = job(stop=Stop(4, accuracy=0.01), keep=(3,))
        never = job(start=early, start_epoch=3)
        sweep([never], store)
        assert export([("C1/SB", first), ("C1 SB", second), ("warm", never)], store, tmp_path / "board") == 1
        stored = store.get(first)
    assert stored is not None
    ((name, lines),) = written.items()
    assert name == f"C1-SB, seed 3, {first.key[:8]}"
    accuracy = [(value, step) for quantity, value, step in lines if quantity == "test_accuracy"]
    assert accuracy == list(zip(stored.result["curve"]["test_accuracy"], (0, 1, 2), strict=True))
    assert len(lines) == 3 * (len(loop.CURVE) - 1) - 1  # before the first step there is no loss of a step
