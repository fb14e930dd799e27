"""Owns the callback for transformers' Trainer (extra `transformers`)."""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from flatproof.verify.curvature.during.recorder import Recorder
from flatproof.verify.curvature.during.undisturbed import collected
from flatproof.verify.curvature.problem import own_loss
from flatproof.verify.utils.errors import UserError

try:
    from transformers import TrainerCallback
except ImportError:
    raise UserError(
        "this needs the packages transformers and accelerate; expected: pip install 'flatproof[transformers]'"
    ) from None


class SharpnessCallback(TrainerCallback):  # type: ignore[misc]
    """Records measures of sharpness of a model while transformers' Trainer trains it, every k steps of the optimizer.

    The first measurement is before the first step.

    Args:
        data: batches as the Trainer's collator makes them, mappings with "labels", or (inputs, targets) pairs; gone through once.
        *measures: names, see `Recorder`; its own if none.
        loss: (outputs, targets) -> scalar; default: the model's own.
        **settings: what else `Recorder` takes: every, budget, file, tensorboard, settings, parameters, mode, seed, weight_of, ...

    Attributes:
        recorder: of the last training; None before.
    """

    def __init__(self, data: Any, *measures: str, loss: Any = own_loss, **settings: Any) -> None:
        self._loss, self._data, self._measures, self._settings = loss, data, measures, settings
        self.recorder: Recorder | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """The recorder is made, and measures."""
        given = (self._loss, _Labelled(self._data), *([self._measures] if self._measures else ()))
        self.recorder = Recorder(model, *given, step=state.global_step, **self._settings)
        self.recorder.measure()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Measures where it is due."""
        if self.recorder is not None:
            self.recorder.step(state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The recorder is closed and says what was skipped."""
        if self.recorder is not None:
            self.recorder.close()


class _Labelled:
    """Batches as (inputs, targets) pairs: a mapping is all inputs, its labels are the targets."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __iter__(self) -> Iterable[Any]:
        alone = isinstance(self.data, Mapping)
        plain = isinstance(self.data, (tuple, list)) and all(isinstance(batch, Mapping) for batch in self.data)
        batches = [self.data] if alone else self.data if plain else collected(self.data)
        for batch in batches:
            if isinstance(batch, Mapping) and not isinstance(batch.get("labels"), Tensor):
                raise ValueError(f"data: a batch has no labels, only {', '.join(map(str, batch))}; expected one with labels")
            yield (dict(batch), batch["labels"]) if isinstance(batch, Mapping) else batch
