"""Owns `Training`: one training of a network on images as a job. torch is imported when it is carried out."""

from typing import Any

from flatproof.verify.deep.settings import TrainingSettings
from flatproof.verify.jobs.job import Computation, Outcome

ENDINGS = ("finished", "diverged", "ended")


class Training(TrainingSettings, Computation):
    """A training by its settings; its result is the outcome of `loop.trained`, plain JSON."""

    @property
    def cost(self) -> float:
        """Epochs times samples, as if a sample took 0.2 ms; only ratios matter."""
        passes = 1 + bool(self.method.rho) + bool(self.method.adversarial) + self.method.inner * bool(self.method.proximal)
        return 2e-4 * self.stop.epochs * (self.data.train or 60_000) * passes

    def carry_out(self) -> dict[str, Any]:
        """Train, or go on from the last checkpoint. Raises what `loop.trained` raises."""
        from flatproof.verify.deep.loop import trained

        return trained(self)[1]

    def result(self, outcome: Outcome) -> dict[str, Any]:
        """The values. Raises ValueError for an ending that `loop.trained` does not know."""
        if outcome.values["status"] not in ENDINGS:
            raise ValueError(f"status {outcome.values['status']!r}, expected one of {', '.join(ENDINGS)}")
        return outcome.values

    def summary(self, result: dict[str, Any]) -> str:
        """How it ended."""
        if result["status"] == "ended":
            return f"seed {self.seed}: not trained ({result['stopped']})"
        if result["status"] == "diverged":
            return f"seed {self.seed}: diverged at step {result['diverged_at']}"
        curve = result["curve"]
        accuracies = f"accuracy {curve['train_accuracy'][-1]:.4f} training, {curve['test_accuracy'][-1]:.4f} test"
        return f"seed {self.seed}: {accuracies}, {curve['epoch'][-1]:.0f} epochs ({result['stopped']})"
