"""Owns the callback for Lightning's Trainer (extra `lightning`)."""

from typing import Any

from flatproof.verify.curvature.during.recorder import Recorder, scalars
from flatproof.verify.utils.errors import UserError

try:
    from lightning.pytorch import Callback
except ImportError:
    try:
        from pytorch_lightning import Callback
    except ImportError:
        raise UserError("this needs the package lightning; expected: pip install 'flatproof[lightning]'") from None


class SharpnessCallback(Callback):  # type: ignore[misc]
    """Records measures of sharpness of a LightningModule while it trains, as its forward has it, every k steps of the optimizer.

    The first measurement is before the first step. Values go to the trainer's loggers too, under "sharpness/".

    Args:
        loss: (outputs, targets) -> scalar.
        data: what is measured on, see `Recorder`; brought to the module's device.
        *measures: names, see `Recorder`; its own if none.
        **settings: what else `Recorder` takes: every, budget, file, tensorboard, settings, parameters, mode, seed, ...

    Attributes:
        recorder: of the last training; None before.
    """

    def __init__(self, loss: Any, data: Any, *measures: str, **settings: Any) -> None:
        super().__init__()
        self._given = (loss, data, *([measures] if measures else ()))
        self._settings = settings
        self.recorder: Recorder | None = None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """The recorder is made, and measures."""
        self.recorder = None  # of an earlier training
        self.recorder = Recorder(pl_module, *self._given, step=trainer.global_step, **self._settings)
        self._log(trainer, self.recorder.measure())

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        """Measures where it is due: batches whose gradients are only accumulated are no steps."""
        if self.recorder is not None and trainer.global_step != self.recorder.at:
            self._log(trainer, self.recorder.step(trainer.global_step))

    def on_train_end(self, *_: Any) -> None:
        """The recorder is closed and says what was skipped."""
        if self.recorder is not None:
            self.recorder.close()

    def on_exception(self, *_: Any) -> None:
        """The same where the training fails."""
        self.on_train_end()

    def _log(self, trainer: Any, rows: Any) -> None:
        if values := scalars(rows):
            for logger in trainer.loggers:
                logger.log_metrics(values, step=trainer.global_step)
