"""The callback in transformers' own Trainer."""

from pathlib import Path
from typing import Any

import pytest
import torch

from flatproof.verify.curvature import HessianOperator, lambda_max
from flatproof.verify.curvature.during import read_rows
from tests.unit.curvature.during.trainings import state

pytest.importorskip("transformers", reason="the extra transformers is not installed")
pytest.importorskip("accelerate", reason="the extra transformers is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")  # the libraries' own


def examples() -> list[dict[str, Any]]:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(3, 20, (16, 6), generator=generator)
    return [{"input_ids": row, "labels": int(row[0] % 2)} for row in ids]


def classifier() -> Any:
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    sizes = {"vocab_size": 20, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    return BertForSequenceClassification(BertConfig(**sizes, max_position_embeddings=8))


def train(folder: Path, callbacks: list[Any]) -> tuple[list[list[Any]], Any]:
    """The states at the beginning of each step and at the end, and the model."""
    from transformers import Trainer, TrainerCallback, TrainingArguments

    states = []

    class Look(TrainerCallback):  # type: ignore[misc]
        def on_step_begin(self, args: Any, state_: Any, control: Any, model: Any = None, optimizer: Any = None, **_: Any) -> None:
            states.append(state(model, getattr(optimizer, "optimizer", optimizer)))

        def on_train_end(self, args: Any, state_: Any, control: Any, model: Any = None, optimizer: Any = None, **_: Any) -> None:
            states.append(state(model, getattr(optimizer, "optimizer", optimizer)))

    settings: dict[str, Any] = {"report_to": [], "save_strategy": "no", "disable_tqdm": True, "use_cpu": True, "seed": 1}
    arguments = TrainingArguments(str(folder), max_steps=6, per_device_train_batch_size=4, learning_rate=1e-2, **settings)
    model = classifier()
    Trainer(model, arguments, train_dataset=examples(), callbacks=[*callbacks, Look()]).train()
    return states, model


def test_a_training_is_the_same_and_is_recorded(tmp_path: Path) -> None:
    from transformers import default_data_collator

    from flatproof.verify.curvature.during.transformers import SharpnessCallback, own_loss

    file = tmp_path / "s.csv"
    batches = [default_data_collator(examples()[:8]), default_data_collator(examples()[8:])]
    callback = SharpnessCallback(batches, "lambda-max", "sam", every=3, budget=None, file=file)
    plain, _ = train(tmp_path / "plain", [])
    recorded, model = train(tmp_path / "recorded", [callback])
    assert len(plain) == 7
    for step, (expected, found) in enumerate(zip(plain, recorded, strict=True)):
        assert expected == found, step
    rows = read_rows(file)
    assert [(row.step, row.measure) for row in rows] == [(s, m) for s in (0, 3, 6) for m in ("loss", "lambda-max", "sam")]
    assert all(row.low <= row.value <= row.high and not row.note for row in rows)
    H = HessianOperator(model, own_loss, [(dict(batch), batch["labels"]) for batch in batches])
    assert rows[-2].value == pytest.approx(lambda_max(H, seed=6).value, rel=1e-4)


def test_batches_without_labels_are_refused_in_one_line() -> None:
    from flatproof.verify.curvature.during.transformers import SharpnessCallback

    callback = SharpnessCallback([{"input_ids": torch.ones(2, 3, dtype=torch.long)}])
    with pytest.raises(ValueError, match="a batch has no labels, only input_ids"):
        callback.on_train_begin(None, type("State", (), {"global_step": 0}), None, model=classifier())
