"""Owns `Recorder`: chosen measures of a network every k steps of its training, within a budget, to a CSV file and TensorBoard.

Every measurement starts from random vectors of its own (seed + step). Where no proof of 1 % is asked for (settings={"lambda-max": {"stop":
"ritz"}}) the start leans on the last measurement's eigenvector, which keeps the interval's confidence (`lanczos`) and takes two products
while the network moves slowly. Where a proof is asked for it does not: what a start holds of the top eigenvector it does not say of the
rest (products of 11 measurements of an MLP in training: 116 from random starts, 127 leaning).
"""

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn

from flatproof.verify.curvature.batches import WeightOf
from flatproof.verify.curvature.during.budget import Budget
from flatproof.verify.curvature.during.log_file import LogFile, Row
from flatproof.verify.curvature.during.undisturbed import collected, on_device, undisturbed
from flatproof.verify.curvature.estimates import Estimate
from flatproof.verify.curvature.isolation import unwrapped
from flatproof.verify.curvature.operators import HessianOperator
from flatproof.verify.curvature.parts import Followed
from flatproof.verify.curvature.problem import Mode, Problem, Reduction
from flatproof.verify.curvature.processes import distributed, reduced
from flatproof.verify.curvature.selection import Parameters
from flatproof.verify.curvature.sharpness import Measure, select
from flatproof.verify.utils.checks import check_whole
from flatproof.verify.utils.errors import UserError

FAILURES = (ValueError, TypeError, NotImplementedError, RuntimeError)  # of a measure; torch's own included
logger = logging.getLogger("flatproof")


class Recorder:
    """Records the loss and measures of sharpness while a model trains.

    Weights, buffers, gradients, modes, the optimizer and random states are what they were: a training goes on bit for bit as without.
    What the model's own forward and its hooks do elsewhere, to a counter or a log of the user's, is not undone.
    An error of the first measurement is raised; later ones leave a row without a value that says why, and the training goes on. So do
    losses that are not finite.

    Args:
        model: that trains; what torch.compile or data parallelism put around it is taken off.
        loss: (outputs, targets) -> scalar.
        data: what is measured on: one (inputs, targets) pair or an iterable of pairs, gone through once and kept.
        measures: names of `measures()`, or "module:object"; at least one.
        every: steps between measurements.
        budget: seconds of measuring over seconds of training, at most; what does not fit is skipped. The first measurement is always
            taken, and what is done once before it is counted apart. None: no limit.
        file: CSV file that rows are appended to; None: rows are only kept in `rows`.
        tensorboard: folder of a run, or a writer with `add_scalar`; None: none.
        settings: of measures, by name: {"trace": {"products": 30}}.
        parameters: as for `Problem`, like all that follow.
        mode: "eval" or "train".
        reduction: whether the loss is the mean over its batch or the sum.
        weight_of: (inputs, targets) -> what a batch's mean is over, if not its samples.
        seed: of probes and starts; the step is added to it.
        step: at which the training begins, of one that is resumed.

    Attributes:
        rows: what was measured.
        budget: what was spent, taken and skipped.

    Raises:
        TypeError, ValueError: as for `Problem`; an unknown measure or setting; a file with other columns; no TensorBoard.
        OSError: a file that cannot be written.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Callable[[Any, Any], Tensor],
        data: Any,
        measures: Iterable[str] = ("lambda-max", "trace"),
        *,
        every: int = 100,
        budget: float | None = 0.1,
        file: str | Path | None = None,
        tensorboard: str | Path | Any | None = None,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        parameters: Parameters = None,
        mode: Mode = "eval",
        reduction: Reduction = "mean",
        weight_of: WeightOf | None = None,
        seed: int = 0,
        step: int = 0,
    ) -> None:
        self.every, self.seed = check_whole("every", every), check_whole("seed", seed, 0)
        self.at = check_whole("step", step, 0)
        self.measures = _chosen(measures, settings or {})
        self.model, self.loss = unwrapped(model), loss
        self._settings = {name: dict((settings or {}).get(name, {})) for name in self.measures}
        self._followed = {name: Followed() for name, measure in self.measures.items() if _leans(measure, self._settings[name])}
        self._problem: dict[str, Any] = {"mode": mode, "reduction": reduction, "weight_of": weight_of, "seed": seed}
        device = next((p.device for p in self.model.parameters()), torch.device("cpu"))
        with undisturbed(device):
            self._data = collected(data)
            self._operator = self._made(parameters)
            self._leads = not distributed() or torch.distributed.get_rank() == 0
            self._file = LogFile(Path(file)) if file is not None and self._leads else None
            self._board: Any
            self._board, self._own_board = _writer(tensorboard) if self._leads else (None, False)
        self.rows: list[Row] = []
        self._skipped = 0
        self.budget = Budget(budget)

    def step(self, step: int | None = None) -> list[Row]:
        """Call it after each step of the optimizer; measures where it is due and within the budget.

        Args:
            step: the training's steps so far; None: one more than the last time.

        Returns:
            What was measured, if anything.
        """
        before, self.at = self.at, self.at + 1 if step is None else check_whole("step", step, 0)
        if self.at // self.every == before // self.every:  # steps may be counted by more than one
            return []
        if self._agreed(self.budget.allows()):
            return self.measure()
        self.budget.skipped, self._skipped = self.budget.skipped + 1, self._skipped + 1
        return []

    def measure(self, step: int | None = None) -> list[Row]:
        """Measure now, whatever the budget: before the first step, for instance.

        Args:
            step: as for `step`; None: the one reached.
        """
        self.at = self.at if step is None else check_whole("step", step, 0)
        if not self.budget.taken:
            with self.budget.preparing(), undisturbed(self._operator.device):
                self._prepare()
        elapsed = self.budget.training
        with self.budget.spending(), undisturbed(self._operator.device):
            rows = [self._row(name, outcome, elapsed) for name, outcome in list(self._estimates())]
            self.rows += rows
            if self._file is not None:
                self._file.append(rows)
            if self._board is not None:
                for tag, value in scalars(rows).items():
                    self._board.add_scalar(tag, value, self.at)
        self._skipped = 0
        return rows

    def close(self) -> None:
        """Close what was opened, and say what was measured and skipped: as a warning of the logger "flatproof" if any was."""
        if self._board is not None and self._own_board:
            self._board.close()
        self._board = None
        if self._leads:
            logger.log(logging.WARNING if self.budget.skipped else logging.INFO, self.summary())

    def summary(self) -> str:
        """One line: measurements taken and skipped, and the share of the training time that they took."""
        b = self.budget
        limit = "no limit" if b.share == math.inf else f"budget {b.share:.1%}"
        skipped = f"{b.skipped} skipped for the budget" if b.skipped else "none skipped"
        taken = f"{b.taken} measurement{'s' if b.taken != 1 else ''}"
        once = f"; {b.prepared:.1f} s of preparation, once" if b.prepared >= 0.05 else ""
        return f"{taken}, {skipped}; {b.spent:.1f} s of measuring to {b.training:.1f} s of training, {b.used:.1%} ({limit}){once}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # ------------------------------------------------------------------------------------------------------------------- parts

    def _made(self, parameters: Parameters) -> HessianOperator:
        """The operator at the place and precision that the model's parameters have now."""
        device = next((p.device for p in self.model.parameters()), torch.device("cpu"))
        batches = [on_device(batch, device) for batch in self._data]
        return HessianOperator.of(Problem(self.model, self.loss, batches, parameters, **self._problem))

    def _fresh(self) -> HessianOperator:
        """The operator, nothing kept from the step before; made anew where parameters were moved or replaced."""
        problem, present = self._operator.problem, dict(self.model.named_parameters())
        same = all(present.get(n) is p for n, p in zip(problem.names, problem.tensors, strict=True))
        if not same or any((p.device, p.dtype) != (problem.device, problem.dtype) for p in problem.tensors):
            self._operator = self._made(list(problem.names))
        self._operator.refresh()
        return self._operator

    def _prepare(self) -> None:
        """One product, for what comes with the first: what torch imports, and the choice of a kernel, which is checked."""
        if all(measure.needs == "loss" for measure in self.measures.values()):
            return
        with suppress(*FAILURES):  # the measurement says it
            operator = self._fresh()
            operator.matvec(torch.ones(operator.shape[1], dtype=operator.dtype, device=operator.device))

    def _estimates(self) -> Iterable[tuple[str, Estimate | str]]:
        """Each measure with its estimate or with why there is none, the loss first."""
        try:
            operator = self._fresh()
            loss = operator.problem.loss()
        except FAILURES as error:
            if not self.rows:
                raise
            yield from ((name, _brief(error)) for name in ("loss", *self.measures))
            return
        yield "loss", _of_loss(operator.problem, loss)
        if not math.isfinite(loss):
            yield from ((name, f"the loss is {loss}") for name in self.measures)
            return
        for name, measure in self.measures.items():
            own: dict[str, Any] = {"seed": self.seed + self.at} if "seed" in measure.accepts else {}
            if name in self._followed:
                own["near"] = self._followed[name]
            try:
                yield name, measure(operator, **(own | self._settings[name]))
            except FAILURES as error:
                if not self.rows:
                    raise ValueError(f"{name}: {error}") from error
                yield name, _brief(error)
        operator.refresh()  # what it keeps is the training's memory

    def _row(self, name: str, outcome: Estimate | str, elapsed: float) -> Row:
        run = 1 if self._file is None else self._file.run
        head = (run, self.at, round(elapsed, 6), self._skipped, name)
        if isinstance(outcome, str):
            return Row(*head, math.nan, math.nan, math.nan, math.nan, 0, 0.0, 0.0, 0.0, "", "", outcome)
        confidence = math.nan if outcome.confidence is None else outcome.confidence
        cost = outcome.products + math.ceil(outcome.part), outcome.gradients, outcome.losses, round(outcome.seconds, 6)
        return Row(*head, outcome.value, outcome.low, outcome.high, confidence, *cost, outcome.method, outcome.rests_on)

    def _agreed(self, allowed: bool) -> bool:
        """Whether all processes of a group are allowed to: they measure together or not at all."""
        if not distributed():
            return allowed
        return not bool(reduced(torch.tensor(float(not allowed), device=self._operator.device)))


def scalars(rows: Iterable[Row]) -> dict[str, float]:
    """Rows as names and numbers for a logger: each value, and the finite ends of its interval beside it."""
    named = {}
    for row in rows:
        for end in ("value", "low", "high") if row.measure != "loss" else ("value",):
            if math.isfinite(number := getattr(row, end)):
                named[f"sharpness/{row.measure}" + ("" if end == "value" else f"-{end}")] = number
    return named


def _chosen(names: Iterable[str], settings: Mapping[str, Mapping[str, Any]]) -> dict[str, Measure]:
    """The measures by name; ValueError for one that is not known, or a setting that it does not take."""
    if isinstance(names, str):
        raise ValueError(f"measures must be a list of names, got the text {names!r}")
    if not (names := list(names)):
        raise ValueError(
            "measures must name at least one, such as 'lambda-max' or 'trace', got none; the loss is recorded beside them"
        )
    chosen = select(names)
    for name, own in settings.items():
        if name not in chosen:
            raise ValueError(f"settings are of {name!r}, which is not measured; expected some of: {', '.join(chosen)}")
        for setting in own:
            if setting not in (accepted := chosen[name].accepts):
                raise ValueError(f"{name} has no setting {setting!r}; expected some of: {', '.join(sorted(accepted))}")
    return chosen


def _leans(measure: Measure, settings: Mapping[str, Any]) -> bool:
    """Whether the measure goes on from the eigenvector of the last time."""
    return measure.follows and bool(settings.get("lean", settings.get("stop", "interval") != "interval"))


def _of_loss(problem: Problem, loss: float) -> Estimate:
    method = f"{'mean' if problem.mean else 'sum'} over {problem.samples} samples"
    return Estimate(loss, loss, loss, None, 0, 0.0, problem.samples, problem.mode, None, method, "", losses=1.0)


def _brief(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def _writer(tensorboard: str | Path | Any | None) -> tuple[Any, bool]:
    """What scalars are added to, and whether it was opened here."""
    if tensorboard is None or hasattr(tensorboard, "add_scalar"):
        return tensorboard, False
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UserError("tensorboard needs the package tensorboard; expected: pip install 'flatproof[tensorboard]'") from None
    return SummaryWriter(str(tensorboard)), True
