"""The rules of keskar2017's verdicts, on numbers with known answers."""

import math

import pytest

from flatproof.verify.deep import Training
from flatproof.verify.experiments.keskar2017 import rules
from flatproof.verify.experiments.keskar2017.grid import path, plan_of
from flatproof.verify.experiments.keskar2017.jobs import Path, Spectrum
from flatproof.verify.experiments.keskar2017.results import Results, differences, known, log_ratios, results_of
from flatproof.verify.experiments.vocabulary import Shelf, mean_and_diverged
from flatproof.verify.jobs.job import Job, Outcome
from flatproof.verify.jobs.store import Store


def test_columns() -> None:
    assert differences([3.0, None, math.nan], [1.0, 2.0, 1.0])[0] == 2.0
    assert math.isnan(differences([3.0, None, math.nan], [1.0, 2.0, 1.0])[1])
    assert log_ratios([10.0, 1e-9, None], [0.1, 1e-5, 1.0]) == pytest.approx([2.0, 0.0])
    assert math.isnan(log_ratios([math.nan], [1.0])[0])
    assert known([1.0, None, 2.0]) == [1.0, 2.0]
    assert mean_and_diverged([]) == "–"
    assert mean_and_diverged([1.0]) == "1.00 [one seed]"
    assert mean_and_diverged([1.0, 3.0, math.nan]) == "2.00 [-10.71, 14.71]; 1 diverged"


@pytest.mark.parametrize(
    ("parts", "verdict"),
    [
        ([[1.0, 1.1, 0.9]], "supported"),
        ([[-1.0, -1.1, -0.9]], "refuted"),
        ([[1.0, -1.0, 0.1]], "inconclusive"),
        ([[1.0, 1.1]], "inconclusive"),  # too few seeds
        ([[1.0, 1.1, 0.9, math.nan]], "inconclusive"),  # one diverged
        ([[1.0, 1.1, 0.9], [1.0, -1.0, 0.1]], "inconclusive"),
        ([[1.0, 1.1, 0.9], [-1.0, -1.1, -0.9]], "refuted"),
        ([[1.0, 1.1, 0.9], []], "inconclusive"),
    ],
)
def test_signs(parts: list[list[float]], verdict: str) -> None:
    assert rules.Judged(parts, "").verdict == verdict


class Made(Results):
    """Results whose numbers a test chooses."""

    def __init__(self, store: Store, plan: str, numbers: dict[tuple[str, str], float], spread: float = 0.01) -> None:
        super().__init__(plan_of(plan, "cpu"), 3, Shelf(store))
        self.numbers, self.spread = numbers, spread

    def _chosen(self, kind: str, training: Training, epoch: int | None = None) -> float:
        plan = self.plan
        names = {
            "early": epoch is not None,
            "warm": training.start is not None,
            "remedy": training.method != plan.sb("F1", 1).method or bool(training.augment),
            "small": training.batch_size in plan.small,
        }
        name = next((name for name, is_it in names.items() if is_it), "large")
        name += " small" if name == "early" and names["small"] else ""
        return self.numbers.get((kind, name), 1.0) * (1 + self.spread * (training.seed - 2))

    def final(self, trainings: object, name: str) -> list[float | None]:
        return [self._chosen(name, training) for training in trainings]  # type: ignore[attr-defined]

    best = final

    def phi(self, trainings: object, space: str = "full", which: int = 0, epoch: int | None = None) -> list[float | None]:
        return [self._chosen("phi", training, epoch) for training in trainings]  # type: ignore[attr-defined]

    def values(self, job: Job) -> dict[str, object]:
        assert isinstance(job, Spectrum)
        return {"status": "measured", "values": [self._chosen("eigenvalue", job.training)]}


ACCURATE = {
    ("test_accuracy", "small"): 98.0,
    ("test_accuracy", "large"): 90.0,
    ("train_accuracy", "small"): 99.0,
    ("train_accuracy", "large"): 98.5,
}
SHARP = {("phi", "small"): 1.0, ("phi", "large"): 50.0, ("eigenvalue", "small"): 1.0, ("eigenvalue", "large"): 9.0}
HELPED = {
    **SHARP,
    **ACCURATE,
    ("train_accuracy", "remedy"): 98.0,
    ("test_accuracy", "remedy"): 94.0,
    ("phi", "remedy"): 30.0,
}
WARM = {
    **SHARP,
    ("test_accuracy", "warm"): 95.0,
    ("test_accuracy", "large"): 90.0,
    ("phi", "warm"): 1.0,
    ("train_accuracy", "large"): 96.0,
}


@pytest.mark.parametrize(
    ("claim", "numbers", "verdict"),
    [
        ("claim-1", ACCURATE, "supported"),
        ("claim-1", {**ACCURATE, ("test_accuracy", "large"): 99.9}, "refuted"),
        ("claim-1", {**ACCURATE, ("train_accuracy", "large"): 96.0}, "inconclusive"),
        ("claim-2", SHARP, "supported"),
        ("claim-2", {**SHARP, ("phi", "large"): 2.0}, "refuted"),  # sharper, but not by an order of magnitude
        ("claim-2", {**SHARP, ("phi", "large"): 0.1}, "refuted"),
        ("claim-2", {**SHARP, ("eigenvalue", "large"): 0.5}, "inconclusive"),
        ("claim-4", {**ACCURATE, **SHARP}, "supported"),
        ("claim-4", {**ACCURATE, **SHARP, ("phi", "large"): 0.1}, "refuted"),
        (
            "claim-5",
            {("test_accuracy", "warm"): 95.0, ("test_accuracy", "large"): 90.0, **SHARP, ("phi", "warm"): 1.0},
            "supported",
        ),
        ("claim-5", {("test_accuracy", "warm"): 80.0, ("test_accuracy", "large"): 90.0, **SHARP}, "refuted"),
        ("claim-5", {**WARM, ("train_accuracy", "warm"): 95.0}, "supported"),
        ("claim-5", {**WARM, ("train_accuracy", "warm"): 90.0}, "inconclusive"),
        ("claim-4", {**ACCURATE, **SHARP, ("train_accuracy", "large"): 90.0}, "inconclusive"),
        ("claim-4", {**ACCURATE, **SHARP, ("phi", "large"): 0.1, ("train_accuracy", "large"): 90.0}, "inconclusive"),
        ("claim-8", {**HELPED, ("train_accuracy", "remedy"): 90.0}, "inconclusive"),
        ("claim-8", {**HELPED, ("train_accuracy", "small"): 90.0}, "inconclusive"),
        ("claim-2", {**SHARP, ("eigenvalue", "small"): 1e-6, ("eigenvalue", "large"): 9e-6}, "supported"),  # no floor on these
        ("claim-2", {**SHARP, ("eigenvalue", "small"): -1.0}, "inconclusive"),
        ("claim-7", {**SHARP, ("phi", "early"): 2.0, ("phi", "early small"): 3.0}, "supported"),
        ("claim-7", {**SHARP, ("phi", "early"): 2.0, ("phi", "early small"): 0.2}, "refuted"),
        ("claim-8", HELPED, "supported"),
        ("claim-8", {**HELPED, ("phi", "remedy"): 0.3}, "refuted"),
    ],
)
def test_rules_of_single_networks(store: Store, claim: str, numbers: dict[tuple[str, str], float], verdict: str) -> None:
    assert rules.JUDGES[claim](Made(store, "paper", numbers, 0.002), "C1").verdict == verdict


@pytest.mark.parametrize(
    ("large", "paper", "quick"),
    [
        (90.0, "supported", "supported (reduced size)"),
        (99.9, "refuted", "contradicted (reduced size)"),
        (98.0, *["inconclusive"] * 2),
    ],
)
def test_reduced_size_is_said_of_both_directions_and_smoke_judges_nothing(
    store: Store, large: float, paper: str, quick: str
) -> None:
    numbers = {**ACCURATE, ("test_accuracy", "large"): large}
    for scale, verdict in (("paper", paper), ("quick", quick), ("smoke", "not judged")):
        results = Made(store, scale, numbers, 0.002)
        judgement = rules.judge(results, "claim-1")
        assert judgement.verdict.worded(results.reduced) == verdict, judgement
        assert {finding.verdict.worded(results.reduced) for finding in judgement.findings} == {verdict}


def put(store: Store, job: Job, values: dict[str, object]) -> None:
    store.put(job, Outcome(values, 1.0), {"commit": "test"})


@pytest.mark.parametrize(
    ("large", "verdict"), [((1.0, 1.01, 1.02), "supported"), ((9.0, 9.01, 9.02), "refuted"), ((1.0, 2.0, 9.0), "inconclusive")]
)
def test_claims_3_and_6_from_stored_paths(store: Store, large: tuple[float, ...], verdict: str) -> None:
    for seed, distance in enumerate(large, start=1):
        job = path(plan_of("quick"), "F1", seed)
        sharp = [0.1 * abs(a) + (a - 1) ** 2 * (10 - distance) for a in job.alphas]
        falls = [1 - 0.1 * x for x in sharp]
        along = {"train_loss": sharp, "test_loss": sharp, "train_accuracy": falls, "test_accuracy": falls}
        curves = {"status": "measured", "alpha": list(job.alphas), "linear": along, "curved": along}
        put(store, job, {**curves, "distance_small": 5.0, "distance_large": distance, "distance_between": 1.0})
    results = results_of("quick", 3, store)
    assert rules.claim_6(results, "F1").verdict == verdict
    judged = rules.claim_3(results, "F1")
    assert judged.seeds == 3
    assert "at LB less at SB: linear, train loss" in judged.numbers
    # both bend alike, the kink at SB adds 0.1 x 0.25 there
    assert judged.verdict == "refuted"


@pytest.mark.parametrize(
    ("odd", "verdict"),
    [(None, "supported"), ("train_accuracy", "refuted"), ("test_accuracy", "refuted"), ("test_loss", "refuted")],
)
@pytest.mark.parametrize("bent", ["linear", "curved"])
def test_claim_3_wants_all_of_loss_and_accuracy_on_both_paths_and_splits(
    store: Store, odd: str | None, verdict: str, bent: str
) -> None:
    """Steeper at LB in everything supports; one thing that is steeper at SB refutes."""
    for seed in range(1, 4):
        job = path(plan_of("quick"), "F1", seed)

        def kink(at: float, job: Path = job, seed: int = seed) -> list[float]:
            return [(1 + 0.01 * seed) * abs(a - at) for a in job.alphas]

        def measured(at: float, what: str) -> list[float]:
            return [1 - 0.1 * x for x in kink(at)] if what.endswith("accuracy") else kink(at)

        names = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
        values = {
            along: {name: measured(0.0 if (along, name) == (bent, odd) else 1.0, name) for name in names}
            for along in ("linear", "curved")
        }
        put(store, job, {"status": "measured", "alpha": list(job.alphas), **values})
    assert rules.claim_3(results_of("quick", 3, store), "F1").verdict == verdict
