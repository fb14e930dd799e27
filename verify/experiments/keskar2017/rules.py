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
from dataclasses import dataclass

from flatproof.verify.deep.training import Training
from flatproof.verify.experiments.keskar2017.plan import NETWORKS, REMEDIES
from flatproof.verify.experiments.keskar2017.published import CLAIMS
from flatproof.verify.experiments.keskar2017.results import (
    Column,
    Results,
    detailed,
    differences,
    interval,
    known,
    log_ratios,
    path,
    positive_log_ratios,
    show,
    spectrum,
)
from flatproof.verify.utils.statistics import mean_interval

SUPPORTED_REDUCED, CONTRADICTED_REDUCED = "supported (reduced size)", "contradicted (reduced size)"
SUPPORTED, REFUTED, INCONCLUSIVE, NOT_JUDGED, NOT_RUN = "supported", "refuted", "inconclusive", "not judged", "not run"
REDUCED = {SUPPORTED: SUPPORTED_REDUCED, REFUTED: CONTRADICTED_REDUCED}  # what the verdicts are called below the paper's scale
LEAST_SEEDS = 3
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
    verdict: str
    said: str


@dataclass(frozen=True)
class Verdict:
    """What the findings on all networks amount to."""

    claim: str
    verdict: str
    findings: tuple[Finding, ...]


Judged = tuple[str, str, int]  # the verdict on one network, the numbers in words, the seeds that were there


def judgeable(parts: Sequence[list[float]]) -> bool:
    """Whether each part has enough seeds and none diverged."""
    return all(len(values) >= LEAST_SEEDS and all(map(math.isfinite, values)) for values in parts)


def signs(parts: Sequence[list[float]]) -> str:
    """Supported if every interval lies above 0, refuted if one lies below."""
    if not judgeable(parts):
        return INCONCLUSIVE
    found = [mean_interval(values) for values in parts]
    if any(one.high < 0 for one in found):
        return REFUTED
    return SUPPORTED if all(one.low > 0 for one in found) else INCONCLUSIVE


def similar(r: Results, verdict: str, said: str, groups: Mapping[str, Sequence[Training]]) -> tuple[str, str]:
    """The verdict, or inconclusive where mean training accuracies of some groups differ by more than SAME_TRAINING; what is said."""
    means = {
        name: found.mean
        for name, group in groups.items()
        if (found := interval(known(r.final(group, "train_accuracy")))) is not None
    }
    if not means or max(means.values()) - min(means.values()) <= SAME_TRAINING:
        return verdict, said
    apart = ", ".join(f"{name} {mean:.2f}" for name, mean in means.items())
    return INCONCLUSIVE, f"{said}; training accuracies differ: {apart}"


def claim_1(r: Results, network: str) -> Judged:
    """SB generalizes better, and not because LB trains too long."""
    sb, lb = r.trainings(r.plan.sb, network), r.trainings(r.plan.lb, network)
    last = differences(r.final(sb, "test_accuracy"), r.final(lb, "test_accuracy"))
    best = differences(r.final(sb, "test_accuracy"), r.best(lb, "test_accuracy"))
    verdict = REFUTED if signs([last]) == REFUTED else signs([last, best]).replace(REFUTED, INCONCLUSIVE)
    said = f"test accuracy SB - LB {show(last)} points; SB - best of LB {show(best)}"
    return *similar(r, verdict, said, {"SB": sb, "LB": lb}), len(last)


def claim_2(r: Results, network: str) -> Judged:
    """LB is sharper by orders of magnitude, with many large eigenvalues."""
    sb, lb = r.trainings(r.plan.sb, network), r.trainings(r.plan.lb, network)
    full, subspace = (log_ratios(r.phi(lb, space), r.phi(sb, space)) for space in ("full", "subspace"))
    last, unfit = positive_log_ratios(*([_last_eigenvalue(r, training) for training in of] for of in (lb, sb)))
    verdict = signs([full, subspace, last]).replace(REFUTED, INCONCLUSIVE)
    metric = [one for one in map(interval, (full, subspace)) if one]
    if verdict == SUPPORTED and (unfit or any(one.mean < HALF_AN_ORDER for one in metric)):
        verdict = INCONCLUSIVE
    if judgeable([full, subspace]) and any(one.high < HALF_AN_ORDER for one in metric):
        verdict = REFUTED
    said = f"log10 LB/SB: full space {show(full)}, subspace {show(subspace)}, eigenvalue number {r.plan.eigenvalues} {show(last)}"
    said += f"; not positive, so without a ratio, in {unfit} seeds" if unfit else ""
    return verdict, said, len(full)


def _last_eigenvalue(r: Results, training: Training) -> float | None:
    values = r.values(spectrum(r.plan, training))
    return None if values is None else float(values["values"][-1]) if values["status"] == "measured" else math.nan


def claim_3(r: Results, network: str) -> Judged:
    """Around LB the loss rises, and accuracy falls, faster than around SB."""
    cases = [
        (along, split, what) for along in ("linear", "curved") for split in ("train", "test") for what in ("loss", "accuracy")
    ]
    parts = [known([_rise(r, network, seed, along, f"{split}_{what}") for seed in r.seeds]) for along, split, what in cases]
    said = "; ".join(f"{along}, {split} {what} {show(part, 3)}" for (along, split, what), part in zip(cases, parts, strict=True))
    return signs(parts), f"rise of the loss and fall of accuracy (of 1) at LB less at SB: {said}", len(parts[0])


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
    said = f"batch {sizes[0]} to {sizes[-1]}: test accuracy lost {show(lost)} points, log10 of the metric gained {show(grown)}"
    return *similar(r, signs([lost, grown]), said, {f"batch {sizes[0]}": first, f"batch {sizes[-1]}": last}), len(lost)


def claim_5(r: Results, network: str) -> Judged:
    """After enough epochs of SB, LB ends flat and generalizes."""
    cold = r.trainings(r.plan.lb, network)
    columns = []
    for epoch in r.plan.warm:
        warm = [r.plan.warm_start(network, seed, epoch) for seed in r.seeds]
        gained = differences(r.final(warm, "test_accuracy"), r.final(cold, "test_accuracy"))
        columns.append((len(gained), epoch, gained, log_ratios(r.phi(cold), r.phi(warm))))
    seeds, epoch, gained, fallen = max(columns, key=lambda column: column[:2])  # of most seeds, the last epoch
    said = f"after {epoch} epochs: test accuracy gained {show(gained)} points, log10 of the metric lost {show(fallen)}"
    warm = [r.plan.warm_start(network, seed, epoch) for seed in r.seeds]
    return *similar(r, signs([gained, fallen]), said, {"warm": warm, "from the start": cold}), seeds


def claim_6(r: Results, network: str) -> Judged:
    """SB goes farther from the start."""
    ratios = known(ratios_of_distances(r, network))
    found, verdict = interval(ratios), INCONCLUSIVE
    if found and judgeable([ratios]):
        if RATIO[0] <= found.low and found.high <= RATIO[1]:
            verdict = SUPPORTED
        elif found.high < RATIO[0] or found.low > RATIO[1]:
            verdict = REFUTED
    return verdict, f"ratio of distances {show(ratios)}", len(ratios)


def ratios_of_distances(r: Results, network: str) -> Column:
    """||x_SB - x_0|| / ||x_LB - x_0||."""
    found = [r.values(path(r.plan, network, seed)) for seed in r.seeds]
    return [
        None if v is None else v["distance_small"] / v["distance_large"] if v["status"] == "measured" else math.nan for v in found
    ]


def claim_7(r: Results, network: str) -> Judged:
    """Along training LB's sharpness grows and SB's falls."""
    trainings = [r.trainings(of, network) for of in (r.plan.lb, r.plan.sb)]
    lb, sb = (log_ratios(r.phi(one), r.phi(one, epoch=1)) for one in trainings)
    said = f"log10 of the metric, end over epoch 1: LB {show(lb)}, SB {show(sb)}"
    return signs([lb, [-v for v in sb]]), said, len(lb)


def claim_8(r: Results, network: str) -> Judged:
    """Remedies help LB generalize and leave it sharp."""
    sb, lb = r.trainings(r.plan.sb, network), r.trainings(r.plan.lb, network)
    parts, said = [], []
    groups = {"SB": sb, "LB": lb}
    for name in REMEDIES:
        groups[name] = remedied = [r.plan.remedy(network, seed, name) for seed in r.seeds]
        gain = differences(r.final(remedied, "test_accuracy"), r.final(lb, "test_accuracy"))
        sharp = log_ratios(r.phi(remedied), r.phi(sb))
        parts += [gain, sharp]
        said.append(f"{name}: gain {show(gain)} points, log10 of the metric over SB's {show(sharp)}")
    return *similar(r, signs(parts), "; ".join(said), groups), min(map(len, parts))


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


def judge(r: Results, claim: str) -> Verdict:
    """The claim by its rule, from stored runs."""
    findings = []
    for network in networks_of(r, claim):
        verdict, said, seeds = JUDGES[claim](r, network)
        if not seeds:
            findings.append(Finding(network, NOT_RUN, r.absent(network)))
            continue
        findings.append(Finding(network, NOT_JUDGED if r.plan.scale == "smoke" else verdict, said))
    ran = {finding.verdict for finding in findings} - {NOT_RUN}
    if not ran:
        overall = NOT_RUN
    elif ran == {NOT_JUDGED}:
        overall = NOT_JUDGED
    else:
        overall = REFUTED if REFUTED in ran else SUPPORTED if ran == {SUPPORTED} else INCONCLUSIVE
    if r.plan.scale == "paper":
        return Verdict(claim, overall, tuple(findings))
    reduced = tuple(Finding(one.network, REDUCED.get(one.verdict, one.verdict), one.said) for one in findings)
    return Verdict(claim, REDUCED.get(overall, overall), reduced)


def verdicts(r: Results) -> list[Verdict]:
    """All claims."""
    return [judge(r, claim) for claim in CLAIMS]
