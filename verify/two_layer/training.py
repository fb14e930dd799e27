"""Owns `Run`, a training as a job, and `train`: from the settings to the measured curve, in chunks between log-spaced checkpoints."""

import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flatproof import synth, theory
from flatproof.theory.losses import MSE, Loss
from flatproof.theory.networks import PARAMETERS, Network
from flatproof.verify.jobs.job import Job, Outcome, Stored
from flatproof.verify.two_layer import fused
from flatproof.verify.two_layer.engine import engine_of
from flatproof.verify.two_layer.initialization import initial_network
from flatproof.verify.two_layer.settings import Phase, RunSettings, supports
from flatproof.verify.utils.errors import Diverged
from flatproof.verify.utils.threads import single_threaded

CHECKPOINTS = 40  # log-spaced measurements a run
CLOSING = 8  # evenly spaced ones over the last quarter of each phase: what fluctuates from step to step is judged by their median
LARGEST_CHUNK = 2_000_000  # samples visited in one kernel call: bounds the memory that their order takes
ORDER, NOISE = 3, 4  # streams of the run's seed, beside synth's 0, 1 and the initialization's 2
TOO_LARGE = "x, y and first_layer_scale must give the initial network a finite loss and trace; they are too large"
CURVE = ("epoch", "train_loss", "test_accuracy", "test_loss", "trace")
# where labels are real numbers: the share of test points at which the output has the label's sign
AGREEMENT = {"test_accuracy": "sign_agreement"}

ENDINGS = ("finished", "diverged")
WHY_NOT = {
    "test_loss": ": it needs a test set",
    "test_accuracy": ": it needs a test set, and labels that are two classes, -c and c",
    "sign_agreement": ": it needs a test set, and labels that are real numbers",
}

Measurement = dict[str, float]
Points = tuple[NDArray[np.floating], NDArray[np.floating]]


@dataclass(frozen=True)
class Result:
    """What a run left behind.

    status: "finished" or "diverged". curve: for each name of `measured` a list over checkpoints; what was not measured has none.
    `trace` is that of the Hessian of the training loss, residual term included, evaluated in float64. lower_bound: what the trace
    of no interpolating network goes below, NaN where no bound is known or no network interpolates (`contradictory`). network: the
    final one, None when diverged. earlier: those after all phases but the last, where the run keeps them. diverged_at and
    diverged_step: epoch and step, counted from 0 over all phases, in which the loss stopped being finite.
    """

    status: str
    curve: dict[str, list[float]]
    lower_bound: float
    network: Network | None
    diverged_at: int | None
    seconds: float
    diverged_step: int | None = None
    earlier: tuple[Network, ...] = ()

    def final(self, name: str) -> float:
        """The last measurement of a curve. Errors: ValueError for what was not measured, its kind Diverged for a diverged run."""
        if name not in self.curve:
            known = ", ".join(self.curve)
            raise ValueError(f"{name!r} was not measured{WHY_NOT.get(name, '')}; expected one of {known}")
        if self.status == "diverged":
            raise Diverged(
                f"the run diverged in step {self.diverged_step:,}: it has no final {name}; `curve` holds what was measured before"
            )
        return self.curve[name][-1]


def closing(start: float, end: float) -> float:
    """The epoch at which the last quarter of a phase begins."""
    return end - (end - start) / 4


def checkpoints(run: RunSettings) -> list[int]:
    """Epochs at which a run is measured: 0, log-spaced ones, and evenly spaced ones up to the end of each phase."""
    spaced = np.geomspace(1, run.epochs, CHECKPOINTS).round()
    ends = np.cumsum([0, *(phase.epochs for phase in run.phases)])
    last = [np.linspace(closing(start, end), end, CLOSING + 1)[1:].round() for start, end in itertools.pairwise(ends)]
    return sorted({0, *map(int, np.concatenate([spaced, *last]))})


def steps_per_epoch(phase: Phase, n: int) -> int:
    """Steps in which a phase visits n samples once; the last batch may be smaller."""
    return -(-n // phase.batch_size)


def segments(run: RunSettings, longest: int) -> list[tuple[int, int, bool]]:
    """Kernel calls: (index of the phase, epochs, measure afterwards), of at most `longest` epochs each and none across phases."""
    marks = checkpoints(run)
    out, ends = [], np.cumsum([phase.epochs for phase in run.phases])
    for start, stop in itertools.pairwise(marks):
        phase = int(np.searchsorted(ends, start, side="right"))
        while start < stop:
            epochs = min(longest, stop - start)
            start += epochs
            out.append((phase, epochs, start == stop))
    return out


def measured(data: synth.Data) -> tuple[str, ...]:
    """The names of the curves that a run on these data has, in order: CURVE; no accuracy for labels that are real numbers, and
    nothing of a test set where none is given."""
    if data.draw is None:
        return tuple(name for name in CURVE if not name.startswith("test"))
    return CURVE if data.labels == "signs" else tuple(AGREEMENT.get(name, name) for name in CURVE)


def test_set(data: synth.Data, run: RunSettings) -> Points | None:
    """The points on which test error is measured: the whole population where it is small enough or given by the user, else fresh
    samples; None where nothing but the training set is known."""
    if data.draw is None:
        return None
    return data.enumerate() if enumerated(data, run) else data.sample(run.test_points, run.seed)


def enumerated(data: synth.Data, run: RunSettings) -> bool:
    """Whether test error is measured on the whole population, so that no counting error is left."""
    return data.size is not None and (data.size <= run.test_points or data.name == "given")


def contradictory(architecture: str, data: synth.Data) -> bool:
    """Whether no network can interpolate: one point has two labels, or without bias 0 has a label other than 0."""
    known = {np.zeros(data.x.shape[1]).tobytes(): 0.0} if architecture == "no-bias" else {}
    pairs = zip(data.x + 0.0, data.y, strict=True)  # -0 becomes 0
    return any(known.setdefault(point.tobytes(), label) != label for point, label in pairs)


def measure(network: Network, data: synth.Data, test: Points | None, loss: Loss = MSE) -> Measurement:
    """What `measured` names but the epoch, in float64: training loss, share of test points with y f(x) > 0 (test accuracy for labels
    that are classes, sign agreement for real ones), test loss and trace of the Hessian.

    The logistic loss is in excess of its smallest value, so that 0 is a perfect fit.

    Args:
        network: of any dtype.
        data: the training set, (n, d) and (n,).
        test: test points, (N, d) and (N,), or None.
        loss: of which training and test loss are measured.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        values = {"train_loss": theory.loss(network, data.x, data.y, loss)}
        if test is not None:
            f = fused.outputs(network, test[0], data.x)
            values["test_accuracy" if data.labels == "signs" else "sign_agreement"] = float(np.mean(f * test[1] > 0))
            values["test_loss"] = float(np.mean(loss.value(f, test[1])))
        return values | {"trace": theory.trace_of_hessian(network, data.x, data.y, loss)}


def train(
    run: RunSettings,
    data: synth.Data | None = None,
    on_checkpoint: Callable[[int, Measurement], None] | None = None,
) -> Result:
    """Carry out a run. The result depends on the settings alone, not on other runs, workers or the cutting into chunks.

    Args:
        run: the settings.
        data: to train on in place of `run.data`; `synth.given` makes one of plain arrays.
        on_checkpoint: called as `on_checkpoint(epoch, measurement)` at each checkpoint with what `measured` names.

    Returns:
        The curve, the networks and how it ended.

    Raises:
        ValueError: when the data refuse their settings, the loss refuses the labels, or the data are so large that the loss of the
            initial network is not finite.
    """
    began = time.perf_counter()
    data = run.data.build() if data is None else data
    run.loss.check_labels(data.y)
    start = initial_network(
        run.architecture,
        data.x.shape[1],
        run.width,
        run.seed,
        run.first_layer_scale,
        run.epsilon,
        run.activation,
        run.depth,
    )
    network = start.astype(run.dtype)
    order, noise = (np.random.default_rng(np.random.SeedSequence([run.seed, s])) for s in (ORDER, NOISE))
    n, test = len(data.y), test_set(data, run)
    if test is not None:
        run.loss.check_labels(test[1])
    curve: dict[str, list[float]] = {name: [] for name in measured(data)}
    with np.errstate(over="ignore", invalid="ignore"):
        bound = theory.trace_lower_bound(run.architecture, data.x, data.y, run.epsilon, run.loss, run.activation, run.depth)
    if contradictory(run.architecture, data):
        bound = np.nan
    advance = engine_of(run, network)  # imports, before the thread pools are limited
    epoch = steps = 0
    earlier: list[Network] = []

    def record(values: Measurement) -> None:
        for name, values_so_far in curve.items():
            values_so_far.append(float(epoch) if name == "epoch" else values[name])
        if on_checkpoint:
            on_checkpoint(epoch, values)

    def diverged(at: int, step: int) -> Result:
        return Result("diverged", curve, bound, None, at, time.perf_counter() - began, step, tuple(earlier))

    with single_threaded():
        first = measure(network, data, test, run.loss)
        if np.isinf(bound) or not all(map(np.isfinite, first.values())):  # NaN: no bound is known
            raise ValueError(TOO_LARGE)
        record(first)
        for index, epochs, due in segments(run, max(1, LARGEST_CHUNK // n)):
            phase = run.phases[index]
            if run.keep_networks and index > len(earlier):
                earlier.append(network)
            visits = order.permuted(np.tile(np.arange(n), (epochs, 1)), axis=1)
            jitter = phase.label_noise * noise.standard_normal(visits.shape) if phase.label_noise else None
            network, stop = advance[index](network, data.x, data.y, visits, jitter, phase, run.loss)
            if stop is not None:
                return diverged(epoch + stop // steps_per_epoch(phase, n), steps + stop)
            epoch, steps = epoch + epochs, steps + epochs * steps_per_epoch(phase, n)
            if due:
                values = measure(network, data, test, run.loss)
                if not all(map(np.isfinite, values.values())):
                    return diverged(epoch - 1, steps - 1)
                record(values)
    return Result("finished", curve, bound, network, None, time.perf_counter() - began, earlier=tuple(earlier))


REFERENCE_STEP = 3e-4  # seconds that torch's dispatch alone takes
# Runs on real labels were stored when their sign agreement went by the name of an accuracy; stored curves keep that name.
AS_STORED = {name: stored for stored, name in AGREEMENT.items()}
LAST = "last"  # label of the final network's arrays; earlier ones are counted from 0


class Run(RunSettings, Job[Result]):
    """A training as a job: its settings determine its result."""

    @property
    def cost(self) -> float:
        """Rough seconds on one core."""
        n, d = (int(self.data.settings.get(name) or default) for name, default in (("n", 100), ("d", 30)))
        size, step = self.width * (d + 1 + (self.width if self.depth == 3 else 0)), 0.8e-10
        seconds = 0.0
        for phase in self.phases:
            visits = phase.epochs * n
            if not supports(phase, self.architecture):
                seconds += visits / phase.batch_size * REFERENCE_STEP
            if self.architecture == "sim-bn":
                seconds += visits / phase.batch_size * size * n * 0.6e-10
            else:
                seconds += visits * size * step
        return seconds

    def carry_out(self) -> Outcome:
        """Train."""
        return stored_form(train(self))

    def result(self, outcome: Outcome) -> Result:
        """The curve under the names that its quantities deserve, and the networks, where they were read."""
        values, kept = outcome.values, self._networks(outcome.arrays)
        if values["status"] not in ENDINGS:
            raise ValueError(f"status {values['status']!r}, expected one of {', '.join(ENDINGS)}")
        names = {} if self.data.labels == "signs" else AGREEMENT
        return Result(
            values["status"],
            {names.get(name, name): curve for name, curve in values["curve"].items()},
            values["lower_bound"],
            kept.pop(LAST, None),
            values["diverged_at"],
            outcome.seconds,
            values["diverged_step"],
            tuple(kept.values()),
        )

    def _networks(self, arrays: Mapping[str, NDArray[Any]]) -> dict[str, Network]:
        """The networks of arrays "0/w1", ..., "last/w2" by label, in their order."""
        parameters: dict[str, dict[str, Any]] = {}
        for name, array in arrays.items():
            label, parameter = name.split("/")
            parameters.setdefault(label, {})[parameter] = array
        kind: dict[str, Any] = {"architecture": self.architecture, "epsilon": self.epsilon, "activation": self.activation}
        return {label: Network(**named, **kind) for label, named in parameters.items()}

    def summary(self, result: Result) -> str:
        """The seed and the figures, or where the run diverged."""
        if result.status != "finished":
            return f"seed {self.seed}: diverged in step {result.diverged_step:,}"
        shown = {"test_accuracy": "test accuracy {:.3f}", "trace": "trace {:.4g}"}
        if self.data.labels == "real":
            shown = {"test_loss": "test loss {:.4g}", "trace": "trace {:.4g}"}
        return f"seed {self.seed}: " + ", ".join(
            text.format(result.final(name)) for name, text in shown.items() if name in result.curve
        )

    def figures(self, result: Result) -> dict[str, float]:
        """Test accuracy, where labels are classes, and trace; empty for a diverged run."""
        shown = {"test accuracy": "test_accuracy", "trace": "trace"}
        return {k: result.final(name) for k, name in shown.items() if result.status == "finished" and name in result.curve}

    def remark(self, result: Result) -> str | None:
        """Whether it diverged."""
        return None if result.status == "finished" else result.status


StoredRun = Stored[Result]


def stored_form(result: Result) -> Outcome:
    """A result as it is stored; what `Run.result` reads."""
    labelled = {str(i): network for i, network in enumerate(result.earlier)}
    labelled |= {} if result.network is None else {LAST: result.network}
    parameters = ((label, name, getattr(network, name)) for label, network in labelled.items() for name in PARAMETERS)
    return Outcome(
        {
            "status": result.status,
            "curve": {AS_STORED.get(name, name): curve for name, curve in result.curve.items()},
            "lower_bound": result.lower_bound,
            "diverged_at": result.diverged_at,
            "diverged_step": result.diverged_step,
        },
        result.seconds,
        {f"{label}/{name}": array for label, name, array in parameters if array is not None},
    )
