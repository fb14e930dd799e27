"""The callback in Lightning's own Trainer."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from flatproof.verify.curvature.during import read_rows
from tests.unit.curvature.during.trainings import dataset, fixed_batches, network, state

pytest.importorskip("lightning", reason="the extra lightning is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's own, on how it likes to be used


def train(folder: Path, callbacks: list[Any], **settings: Any) -> tuple[list[list[Any]], Any]:
    """The states after each batch, and the trainer."""
    from lightning.pytorch import LightningModule, Trainer
    from lightning.pytorch.loggers import CSVLogger

    states = []

    class Module(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = network()

        def forward(self, x: torch.Tensor) -> Any:
            return self.net(x)

        def training_step(self, batch: Any, _: int) -> Any:
            return cross_entropy(self(batch[0]), batch[1])

        def on_train_batch_start(self, batch: Any, _: int) -> None:
            states.append(state(self, self.trainer.optimizers[0]))

        def on_train_end(self) -> None:
            states.append(state(self, self.trainer.optimizers[0]))

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)

    module = Module()
    torch.manual_seed(2)
    np.random.seed(2)  # noqa: NPY002
    quiet: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    trainer = Trainer(
        accelerator="cpu", max_epochs=2, callbacks=callbacks, logger=CSVLogger(folder), log_every_n_steps=1, **quiet, **settings
    )
    trainer.fit(module, DataLoader(dataset(), batch_size=4, shuffle=True))
    return states, trainer


def test_a_training_is_the_same_and_is_recorded(tmp_path: Path) -> None:
    from flatproof.verify.curvature.during.lightning import SharpnessCallback

    file = tmp_path / "s.csv"
    callback = SharpnessCallback(cross_entropy, fixed_batches(), "lambda-max", "sam", every=2, budget=None, file=file)
    plain, _ = train(tmp_path / "plain", [], accumulate_grad_batches=2)
    recorded, trainer = train(tmp_path / "recorded", [callback], accumulate_grad_batches=2)
    assert len(plain) == 13
    for batch, (expected, found) in enumerate(zip(plain, recorded, strict=True)):
        assert expected == found, batch
    rows = read_rows(file)
    assert [(row.step, row.measure) for row in rows] == [(s, m) for s in (0, 2, 4, 6) for m in ("loss", "lambda-max", "sam")]
    assert all(row.low <= row.value <= row.high and not row.note for row in rows)
    with (Path(trainer.logger.log_dir) / "metrics.csv").open(encoding="utf-8") as metrics:
        logged = [row["sharpness/lambda-max"] for row in csv.DictReader(metrics) if row["sharpness/lambda-max"]]
    assert [float(value) for value in logged] == pytest.approx([row.value for row in rows if row.measure == "lambda-max"])
