"""Owns what is run at each scale: a job is a frozen dataclass, and its settings, which are its address in the store, are its fields.

Replace: `Trained` by what the paper does, `SIZES` by its sizes. Where it trains two-layer networks and their curves are wanted, take
`verify.two_layer.training.Run` for the job (`wen2023` does), for networks on images `verify.deep.Training` (`keskar2017` does).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flatproof.theory.networks import Architecture
from flatproof.verify.jobs.job import Computation
from flatproof.verify.two_layer.settings import DataSpec, Phase
from flatproof.verify.two_layer.training import Run, train

ARCHITECTURES: tuple[Architecture, ...] = ("no-bias", "bias")


@dataclass(frozen=True)
class Size:
    """Of the data and networks, epochs, and the learning rates that are compared."""

    d: int
    n: int
    width: int
    epochs: int
    rates: tuple[float, float]


SIZES = {
    "smoke": Size(4, 12, 16, 40, (0.01, 0.05)),  # exercises the code in seconds
    "quick": Size(10, 40, 100, 2_000, (0.01, 0.05)),  # minutes on a laptop; a verdict says that it is of a reduced size
    "paper": Size(30, 100, 500, 20_000, (0.01, 0.1)),  # as printed
}


@dataclass(frozen=True)
class Trained(Computation):
    """A network trained by gradient descent on one sample a step, and where it ends."""

    architecture: Architecture
    size: Size
    rate: float
    seed: int

    JOB, VERSION = "template training", 1  # raise the version when a change here alters values: what was stored is then run again

    @property
    def cost(self) -> float:
        """Rough seconds on one core; the display's estimate of the time left rests on the ratios."""
        return 1e-9 * self.size.epochs * self.size.n * self.size.width * self.size.d

    def carry_out(self) -> dict[str, Any]:
        """status; if it is "finished": trace, test_accuracy. Runs in a worker process; what it returns is stored as JSON."""
        data = DataSpec("parity", self.seed, {"d": self.size.d, "n": self.size.n})
        run = Run(self.architecture, (Phase(self.rate, self.size.epochs),), data, width=self.size.width, seed=self.seed)
        result = train(run)
        if result.status != "finished":
            return {"status": result.status}
        return {"status": "finished"} | {name: result.final(name) for name in ("trace", "test_accuracy")}

    def summary(self, values: dict[str, Any]) -> str:
        """For the progress display, behind the row."""
        end = f"trace {values['trace']:.4g}" if values["status"] == "finished" else values["status"]
        return f"seed {self.seed}: {end}"

    @property
    def row(self) -> str:
        """Its row in the progress display, over whose seeds that averages, and in the coverage of tables."""
        return f"{self.architecture}, lr {self.rate:g}"


def jobs(scale: str, seeds: int) -> Iterator[Trained]:
    """Everything that is run at a scale, seeds 1 to `seeds`."""
    size = SIZES[scale]
    for architecture in ARCHITECTURES:
        for rate in size.rates:
            for seed in range(1, seeds + 1):
                yield Trained(architecture, size, rate, seed)
