"""Owns the verdicts on claims 1 to 8: the rule of each, written before the runs it judges, and what it says of stored runs.

Common to all: values are paired by seed (SB and LB of a seed share their start), intervals are Student's t at 95 % over seeds. A rule is
judged for each network that was run; a claim is refuted if one network refutes it, supported if all support it, otherwise inconclusive.
Inconclusive, too, with fewer than three seeds or a diverged training. At scale quick, where networks and training are shortened, the
same rules say "supported (reduced size)" or "contradicted (reduced size)", and the ledger leaves the claim open either way: only the
paper's own scale supports or refutes. Nothing is judged at scale smoke.

Similar training accuracy: where a rule asks for it, mean training accuracies at the end differ by at most 2 points; otherwise the claim is
inconclusive, for what looks like a gap in generalization may be underfitting.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from flatproof.verify.deep import Training
from flatproof.verify.experiments.keskar2017.grid import NETWORKS, REMEDIES, detailed, path, spectrum
from flatproof.verify.experiments.keskar2017.results import (
    Column,
    Results,
    differences,
    interval,
    known,
    log_ratios,
    positive_log_ratios,
)
from flatproof.verify.experiments.vocabulary import Effect, Verdict, every_above, mean_and_diverged, together

SAME_TRAINING = 2.0  # percentage points between mean training accuracies that still are "similar"
STEP = 0.25  # of alpha, at which rises along a path are compared
HALF_AN_ORDER = 0.5  # log10 of a ratio of the metric
RATIO = (3.0, 10.0)  # of claim 6

RULES = {
    "claim-1": "SB's final test accuracy less LB's, and less LB's best over all epochs (were LB over-trained, that would catch up): both "
    "intervals above 0 support, the first below 0 refutes. Similar training accuracy of SB and LB.",
    "claim-2": "log10 of LB's metric over SB's (each at least 1e-4) at epsilon 1e-3, in the full space and in the subspace, and log10 of "
    "the ratio of the smallest of their computed largest eigenvalues, which must be positive (never supported if one is not). Supported: "
    "all three intervals above 0, and both means of the "
    f"metric's at least {HALF_AN_ORDER:g}, nearer to one order of magnitude than to none. Refuted: an interval of the metric's below that.",
    "claim-3": f"Rise of the loss at {STEP:g} of the way to either side of a solution, mean of both sides, and likewise the fall of "
    "accuracy; LB's less SB's on the straight and on the curved path, on training and on test data. All eight intervals above 0 "
    "support, one below 0 refutes.",
    "claim-4": "Smallest batch size against the largest of figure 4: loss of test accuracy, and log10 of the growth of the metric. Both "
    "intervals above 0 support, one below 0 refutes. Similar training accuracy of the two.",
    "claim-5": "LB after the last of the warm starts that most seeds have, against LB from the start: gain of test accuracy, and log10 "
    "of the fall of the metric. Both intervals above 0 support, one below 0 refutes. Similar training accuracy of the two.",
    "claim-6": "Mean ratio of distances: interval within 3 to 10 supports, outside of it refutes.",
    "claim-7": "log10 of the metric at the end over that after the first epoch: LB's interval above 0 and SB's below 0 support; LB's "
    "below 0 or SB's above 0 refutes.",
    "claim-8": "Each remedy against plain LB: gain of test accuracy; log10 of its metric over SB's. For all remedies both intervals above "
    "0 support; one below 0 refutes. Similar training accuracy of SB, LB and each remedy.",
}


@dataclass(frozen=True)
class Finding:
    """What a rule says of one network, and the numbers it says it of."""

    network: str
    verdict: Verdict
    numbers: str


@dataclass(frozen=True)
class Judgement:
    """What the findings on all networks amount to."""

    claim: str
    verdict: Verdict
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Judged:
    """One network before a rule.

    Attributes:
        columns: what the rule looks at, one entry a seed each.
        numbers: in words.
        decide: the rule, a function of the columns as effects.
        alike: whether trainings are as similar as the rule asks for.
        counted: the seeds that were there, if not those of the first column.
    """

    columns: Sequence[list[float]]
    numbers: str
    decide: Callable[[Sequence[Effect]], Verdict] = every_above
    alike: bool = True
    counted: int | None = None

    @property
    def seeds(self) -> int:
        """How many seeds were there."""
        return len(self.columns[0]) if self.counted is None else self.counted

    @property
    def effects(self) -> list[Effect]:
        """The columns as effects."""
        return [Effect("", "", tuple(values)) for values in self.columns]

    @property
    def verdict(self) -> Verdict:
        """Of the rule, inconclusive where trainings are not alike."""
        return self.decide(self.effects) if self.alike else Verdict.INCONCLUSIVE


def never_refuted(verdict: Verdict) -> Verdict:
    """The verdict of a rule that cannot refute."""
    return Verdict.INCONCLUSIVE if verdict.against else verdict


def similar(r: Results, judged: Judged, groups: Mapping[str, Sequence[Training]]) -> Judged:
    """What a rule says that asks for similar training accuracy.

    Args:
        r: what is stored.
        judged: by the rule without that.
        groups: trainings by name.

    Returns:
        The same, not alike where mean training accuracies differ by more than SAME_TRAINING, with those accuracies in words then.
    """
    means = {
        name: accuracy.mean
        for name, group in groups.items()
        if (accuracy := interval(known(r.final(group, "train_accuracy")))) is not None
    }
    if not means or max(means.values()) - min(means.values()) <= SAME_TRAINING:
        return judged
    apart = ", ".join(f"{name} {mean:.2f}" for name, mean in means.items())
    return replace(judged, alike=False, numbers=f"{judged.numbers}; training accuracies differ: {apart}")


def _gap(seen: Sequence[Effect]) -> Verdict:
    """The rule of claim 1: at the end, and against the best of all epochs, which cannot refute."""
    return Verdict.REFUTED if every_above(seen[:1]).against else never_refuted(every_above(seen))


def claim_1(r: Results, network: str) -> Judged:
    """SB generalizes better, and not because LB trains too long."""
    sb, lb = r.trainings(r.plan.sb, network), r.trainings(r.plan.lb, network)
    last = differences(r.final(sb, "test_accuracy"), r.final(lb, "test_accuracy"))
    best = differences(r.final(sb, "test_accuracy"), r.best(lb, "test_accuracy"))
    numbers = f"test accuracy SB - LB {mean_and_diverged(last)} points; SB - best of LB {mean_and_diverged(best)}"
    return similar(r, Judged([last, best], numbers, _gap), {"SB": sb, "LB": lb})


def _orders(seen: Sequence[Effect], unfit: int = 0) -> Verdict:
    """The rule of claim 2; `unfit`: seeds whose last eigenvalues have no ratio."""
    verdict = never_refuted(every_above(seen))
    metric = [ratio for ratio in (interval(effect.values) for effect in seen[:2]) if ratio]
    if verdict is Verdict.SUPPORTED and (unfit or any(ratio.mean < HALF_AN_ORDER for ratio in metric)):
        verdict = Verdict.INCONCLUSIVE
    if all(effect.judged for effect in seen[:2]) and any(ratio.high < HALF_AN_ORDER for ratio in metric):
        verdict = Verdict.REFUTED
    return verdict


def claim_2(r: Results, network: str) -> Judged:
    """LB is sharper by orders of magnitude, with many large eigenvalues."""
    sb, lb = r.trainings(r.plan.sb, network), r.trainings(r.plan.lb, network)
    full, subspace = (log_ratios(r.phi(lb, space), r.phi(sb, space)) for space in ("full", "subspace"))
    last, unfit = positive_log_ratios(*([_last_eigenvalue(r, training) for training in of] for of in (lb, sb)))
    numbers = (
        f"log10 LB/SB: full space {mean_and_diverged(full)}, subspace {mean_and_diverged(subspace)}, "
        f"eigenvalue number {r.plan.eigenvalues} {mean_and_diverged(last)}"
    )
    numbers += f"; not positive, so without a ratio, in {unfit} seeds" if unfit else ""
    return Judged([full, subspace, last], numbers, partial(_orders, unfit=unfit))


def _last_eigenvalue(r: Results, training: Training) -> float | None:
    values = r.values(spectrum(r.plan, training))
    return None if values is None else float(values["values"][-1]) if values["status"] == "measured" else math.nan


def claim_3(r: Results, network: str) -> Judged:
    """Around LB the loss rises, and accuracy falls, faster than around SB."""
    cases = [
        (along, split, what) for along in ("linear", "curved") for split in ("train", "test") for what in ("loss", "accuracy")
    ]
    parts = [known([_rise(r, network, seed, along, f"{split}_{what}") for seed in r.seeds]) for along, split, what in cases]
    numbers = "; ".join(
        f"{along}, {split} {what} {mean_and_diverged(part, '.3f')}"
        for (along, split, what), part in zip(cases, parts, strict=True)
    )
    return Judged(parts, f"rise of the loss and fall of accuracy (of 1) at LB less at SB: {numbers}")


def _rise(r: Results, network: str, seed: int, along: str, name: str) -> float | None:
    """How much more the loss rises, or accuracy falls, within STEP of LB (alpha = 1) than of SB (alpha = 0)."""
    values = r.values(path(r.plan, network, seed))
    if values is None or values["status"] != "measured":
        return None if values is None else math.nan
    at = dict(zip(values["alpha"], values[along][name], strict=True))
    large, small = (0.5 * (at[a - STEP] + at[a + STEP]) - at[a] for a in (1.0, 0.0))
    return float(small - large if name.endswith("accuracy") else large - small)


def claim_4(r: Results, network: str) -> Judged:
    """Large batches lose accuracy and end sharper."""
    sizes = r.plan.batch_sizes(network)
    first, last = ([r.plan.training(network, size, seed) for seed in r.seeds] for size in (sizes[0], sizes[-1]))
    lost = differences(r.final(first, "test_accuracy"), r.final(last, "test_accuracy"))
    grown = log_ratios(r.phi(last), r.phi(first))
    numbers = (
        f"batch {sizes[0]} to {sizes[-1]}: test accuracy lost {mean_and_diverged(lost)} points, "
        f"log10 of the metric gained {mean_and_diverged(grown)}"
    )
    return similar(r, Judged([lost, grown], numbers), {f"batch {sizes[0]}": first, f"batch {sizes[-1]}": last})


def claim_5(r: Results, network: str) -> Judged:
    """After enough epochs of SB, LB ends flat and generalizes."""
    cold = r.trainings(r.plan.lb, network)
    columns = []
    for epoch in r.plan.warm:
        warm = [r.plan.warm_start(network, seed, epoch) for seed in r.seeds]
        gained = differences(r.final(warm, "test_accuracy"), r.final(cold, "test_accuracy"))
        columns.append((len(gained), epoch, gained, log_ratios(r.phi(cold), r.phi(warm))))
    _, epoch, gained, fallen = max(columns, key=lambda column: column[:2])  # of most seeds, the last epoch
    numbers = (
        f"after {epoch} epochs: test accuracy gained {mean_and_diverged(gained)} points, "
        f"log10 of the metric lost {mean_and_diverged(fallen)}"
    )
    warm = [r.plan.warm_start(network, seed, epoch) for seed in r.seeds]
    return similar(r, Judged([gained, fallen], numbers), {"warm": warm, "from the start": cold})


def _in_range(seen: Sequence[Effect]) -> Verdict:
    """The rule of claim 6."""
    (ratio,) = seen
    if not ratio.judged:
        return Verdict.INCONCLUSIVE
    _, low, high = ratio.interval
    if RATIO[0] <= low and high <= RATIO[1]:
        return Verdict.SUPPORTED
    return Verdict.REFUTED if high < RATIO[0] or low > RATIO[1] else Verdict.INCONCLUSIVE


def claim_6(r: Results, network: str) -> Judged:
    """SB goes farther from the start."""
    ratios = known(ratios_of_distances(r, network))
    return Judged([ratios], f"ratio of distances {mean_and_diverged(ratios)}", _in_range)


def ratios_of_distances(r: Results, network: str) -> Column:
    """||x_SB - x_0|| / ||x_LB - x_0||."""
    paths = [r.values(path(r.plan, network, seed)) for seed in r.seeds]
    return [
        None if v is None else v["distance_small"] / v["distance_large"] if v["status"] == "measured" else math.nan for v in paths
    ]


def claim_7(r: Results, network: str) -> Judged:
    """Along training LB's sharpness grows and SB's falls."""
    trainings = [r.trainings(of, network) for of in (r.plan.lb, r.plan.sb)]
    lb, sb = (log_ratios(r.phi(of), r.phi(of, epoch=1)) for of in trainings)
    numbers = f"log10 of the metric, end over epoch 1: LB {mean_and_diverged(lb)}, SB {mean_and_diverged(sb)}"
    return Judged([lb, [-v for v in sb]], numbers)


def claim_8(r: Results, network: str) -> Judged:
    """Remedies help LB generalize and leave it sharp."""
    sb, lb = r.trainings(r.plan.sb, network), r.trainings(r.plan.lb, network)
    parts, numbers = [], []
    groups = {"SB": sb, "LB": lb}
    for name in REMEDIES:
        groups[name] = remedied = [r.plan.remedy(network, seed, name) for seed in r.seeds]
        gain = differences(r.final(remedied, "test_accuracy"), r.final(lb, "test_accuracy"))
        sharp = log_ratios(r.phi(remedied), r.phi(sb))
        parts += [gain, sharp]
        numbers.append(f"{name}: gain {mean_and_diverged(gain)} points, log10 of the metric over SB's {mean_and_diverged(sharp)}")
    return similar(r, Judged(parts, "; ".join(numbers), counted=min(map(len, parts))), groups)


Judge = Callable[[Results, str], Judged]
JUDGES: dict[str, Judge] = {
    "claim-1": claim_1,
    "claim-2": claim_2,
    "claim-3": claim_3,
    "claim-4": claim_4,
    "claim-5": claim_5,
    "claim-6": claim_6,
    "claim-7": claim_7,
    "claim-8": claim_8,
}


def networks_of(r: Results, claim: str) -> list[str]:
    """The networks that a claim is judged on at this scale."""
    if claim in ("claim-4", "claim-5", "claim-7"):
        return detailed(r.plan)
    return [n for n in NETWORKS if r.plan.runs(n) and (claim != "claim-8" or n in r.plan.remedied)]


def judge(r: Results, claim: str) -> Judgement:
    """The claim by its rule, from what is stored."""
    findings = []
    for network in networks_of(r, claim):
        judged = JUDGES[claim](r, network)
        if not judged.seeds:
            findings.append(Finding(network, Verdict.NOT_RUN, r.absent(network)))
            continue
        findings.append(Finding(network, Verdict.NOT_JUDGED if r.plan.scale == "smoke" else judged.verdict, judged.numbers))
    return Judgement(claim, together(finding.verdict for finding in findings), tuple(findings))
