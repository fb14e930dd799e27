"""Owns the tables: printed numbers beside ours, eigenvalues, distances, remedies, verdicts."""

from collections.abc import Callable, Sequence

import pandas as pd

from flatproof.verify.deep import Training
from flatproof.verify.experiments.keskar2017.grid import NETWORKS, REMEDIES, Plan, detailed, needed, path, plan_of, spectrum
from flatproof.verify.experiments.keskar2017.published import ACCURACY, CLAIMS, DATA, DESCRIBED, EPSILONS, SHARPNESS, Pair
from flatproof.verify.experiments.keskar2017.results import PERCENT, POSITIVE, Results, capped, interval, known, updates
from flatproof.verify.experiments.keskar2017.rules import JUDGES, RULES, judge, ratios_of_distances
from flatproof.verify.experiments.keskar2017.rules import __doc__ as COMMON
from flatproof.verify.experiments.seconds import seconds_of
from flatproof.verify.experiments.vocabulary import DASH, mean_and_diverged, numbers
from flatproof.verify.experiments.vocabulary.power import seeds_needed, settling
from flatproof.verify.report.artifacts import Table

ID = "keskar2017"
OURS = (
    "Ours: mean over seeds [95 % interval, Student's t over seeds, cut at the limits of what is possible; all seeds see the same images]. "
    "Printed: mean ± standard deviation of 5 trials."
)


def about(plan: Plan) -> str:
    """What the scale changes, in words."""
    if plan.scale == "smoke":
        return "Scale smoke: tiny networks, a few epochs, synthetic images for MNIST and CIFAR-10. Its numbers mean nothing."
    common = f"ADAM, step 1e-3, until the training loss has not improved by 1 % for {plan.patience} epochs"
    if plan.scale == "paper":
        return (
            f"As printed: all images (of TIMIT the first 721,329 frames), SB {plan.small[0]}, LB a tenth of the training set; {common}, at "
            f"most {plan.small_epochs}."
        )
    return (
        f"Shortened: the first {plan.train[0]:,} (F) or {plan.train[1]:,} (C) training and {plan.test:,} test images; SB "
        f"{plan.small[0]} or {plan.small[1]}, LB a tenth of the training set, in the paper's ratio of about 20; F1 with 128 "
        "neurons a layer for 512, C1 with 8 filters for 64, dense layers 96 and 48 for 384 and 192; "
        f"{common}, at most {plan.large_epochs}. The metric averages over the first {plan.points:,} "
        "training images. C2 and C4 run at scale paper."
    )


Rows = list[dict[str, str]]
Raw = list[dict[str, object]]


def _table(r: Results, name: str, title: str, rows: Rows, raw: Raw, *notes: str, brief: Sequence[str] = ()) -> Table:
    shown = pd.DataFrame(rows).astype(object).fillna(DASH)
    return Table(
        f"{ID}/{name}",
        title,
        shown,
        pd.DataFrame(raw).convert_dtypes(),
        (*notes, about(r.plan)),
        r.provenance(),
        tuple(brief or shown.columns),
    )


def _printed(pair: Pair) -> str:
    return f"{pair[0]:.2f} ± {pair[1]:.2f}"


def table_1(r: Results) -> Table:
    """The networks, and what is known of their trainings."""
    rows: Rows = []
    raw: Raw = []
    for network in NETWORKS:
        training = r.values(r.plan.sb(network, 1))
        rows.append({
            "network": network,
            "data": DATA[network],
            "printed": DESCRIBED[network],
            "parameters": f"{training['parameters']:,}" if training else r.absent(network),
            "SB": str(r.plan.small_batch(network)),
            "LB": str(r.plan.large(network)),
            "images": training["edition"] if training else DASH,
        })  # fmt: skip
        raw.append({**rows[-1], "settings": str(r.plan.net(network).settings)})
    return _table(r, "table-1", "keskar2017, table 1: networks", rows, raw, "Parameters of the network as run at this scale.")


def table_2(r: Results) -> Table:
    """Accuracies of SB and LB."""
    rows: Rows = []
    raw: Raw = []
    for network in NETWORKS:
        row: dict[str, str] = {"network": network}
        entry: dict[str, object] = {"network": network}
        columns = [(split, size) for split in ("train", "test") for size in ("SB", "LB")]
        for (split, size), printed in zip(columns, ACCURACY[network], strict=True):
            of = r.plan.sb if size == "SB" else r.plan.lb
            values = known(r.final(r.trainings(of, network), f"{split}_accuracy"))
            row |= {
                f"{split} {size}, printed": _printed(printed),
                f"{split} {size}, ours": mean_and_diverged(values, limits=PERCENT) if values else r.absent(network),
            }
            entry |= {
                f"{split} {size}, printed": printed[0],
                **numbers(f"{split} {size}", interval(values, PERCENT)),
                "seeds": len(values),
            }
        rows.append(row)
        raw.append(entry)
    brief = ("network", "test SB, printed", "test SB, ours", "test LB, printed", "test LB, ours")
    note = "Updates, and how many runs only the limit on epochs ended: table `trainings`."
    return _table(r, "table-2", "keskar2017, table 2: accuracies in percent", rows, raw, OURS, note, brief=brief)


def kinds_of(r: Results, network: str) -> dict[str, list[Training]]:
    """Every kind of training of a network: batch sizes, warm starts, remedies."""
    small, large = r.plan.small_batch(network), r.plan.large(network)
    sizes = r.plan.batch_sizes(network) if network in detailed(r.plan) else [small, large]
    names = {small: "SB", large: "LB"}
    kinds = {
        f"{names[b]}, {b}" if b in names else f"batch {b}": [r.plan.training(network, b, seed) for seed in r.seeds] for b in sizes
    }
    for epoch in r.plan.warm if network in detailed(r.plan) else ():
        kinds[f"LB after {epoch} epochs of SB"] = [r.plan.warm_start(network, seed, epoch) for seed in r.seeds]
    for name in REMEDIES if network in r.plan.remedied else ():
        kinds[f"LB, {name}"] = [r.plan.remedy(network, seed, name) for seed in r.seeds]
    return kinds


def effort(r: Results, trainings: Sequence[Training]) -> dict[str, str]:
    """Updates of trainings of a kind, and how many of them only the limit on epochs ended."""
    finished = r.finished(trainings)
    if not finished:
        return {"updates": DASH, "at the limit of epochs": DASH}
    made = sorted(updates(training, values) for training, values in finished)
    spread = f"{made[0]:,}" if made[0] == made[-1] else f"{made[0]:,} to {made[-1]:,}"
    return {"updates": spread, "at the limit of epochs": f"{sum(capped(*training) for training in finished)} of {len(finished)}"}


def trainings_table(r: Results) -> Table:
    """How long every kind of training went on."""
    rows: Rows = []
    raw: Raw = []
    for network in (n for n in NETWORKS if r.plan.runs(n)):
        for kind, trainings in kinds_of(r, network).items():
            accuracy = known(r.final(trainings, "train_accuracy"))
            never = sum(v is not None and v["status"] == "ended" for v in map(r.values, trainings))
            shown = mean_and_diverged(accuracy, limits=PERCENT) if accuracy else r.absent(network) if not never else DASH
            row = {"network": network, "training": kind, **effort(r, trainings), "train accuracy": shown}
            rows.append(row | {"never began": str(never)})
            raw += [
                {
                    "network": network,
                    "training": kind,
                    "seed": training.seed,
                    "batch size": training.batch_size,
                    "epochs": values["epochs"],
                    "updates": updates(training, values),
                    "at the limit of epochs": capped(training, values),
                }
                for training, values in r.finished(trainings)
            ]
    note = (
        "Updates: steps of the optimizer, fewest to most over seeds; a larger batch gets fewer of them an epoch, and conservative training "
        "3 a batch. At the limit of epochs: runs whose training loss had not stopped improving when the epochs were over. Never began: "
        "warm starts from an epoch that SB did not reach, or from an SB that diverged."
    )
    return _table(r, "trainings", "keskar2017: how long training went on", rows, raw, note)


def sharpness_table(r: Results, space: str, name: str) -> Table:
    """Tables 3 and 4: the metric."""
    rows: Rows = []
    raw: Raw = []
    for network in NETWORKS:
        row: dict[str, str] = {"network": network}
        entry: dict[str, object] = {"network": network}
        columns = [(i, size) for i in range(len(EPSILONS)) for size in ("SB", "LB")]
        for (i, size), printed in zip(columns, SHARPNESS[space][network], strict=True):
            of = r.plan.sb if size == "SB" else r.plan.lb
            values = known(r.phi(r.trainings(of, network), space, i))
            label = f"{EPSILONS[i]:g} {size}"
            row |= {
                f"{label}, printed": _printed(printed),
                f"{label}, ours": mean_and_diverged(values, limits=POSITIVE) if values else r.absent(network),
            }
            entry |= {f"{label}, printed": printed[0], **numbers(label, interval(values, POSITIVE)), "seeds": len(values)}
        rows.append(row)
        raw.append(entry)
    title = "in the full space" if space == "full" else "in random subspaces of dimension 100"
    note = (
        "Metric 2.1, percent: 100 (max f - f(x)) / (1 + f(x)) over |z_i| <= epsilon (|(A+ x)_i| + 1), the largest loss met within ten "
        "iterations of L-BFGS-B from x itself (`verify.curvature`, measures keskar and keskar-subspace); f is the training loss in eval "
        "mode. Entries of A are standard normal; the paper does not say how A is drawn (unit columns give values sqrt(P) times as small)."
    )
    brief = ("network", *(f"0.001 {size}, {whose}" for size in ("SB", "LB") for whose in ("printed", "ours")))
    return _table(r, name, f"keskar2017, {name.replace('-', ' ')}: sharpness {title}", rows, raw, OURS, note, brief=brief)


def eigenvalues(r: Results) -> Table:
    """The largest eigenvalues of SB's and LB's Hessian, a row a network and batch size."""
    rows: Rows = []
    raw: Raw = []
    for network in NETWORKS:
        for size, of in (("SB", r.plan.sb), ("LB", r.plan.lb)):
            spectra = r.measured(spectrum(r.plan, training) for training in r.trainings(of, network))
            row, k = {"network": network, "batch": size}, r.plan.eigenvalues
            if not spectra:
                rows.append(row | {"largest": r.absent(network)})
                continue
            first = [v["values"][0] for v in spectra]
            reach = max((v["high"][0] or float("inf")) / max(v["values"][0], 1e-300) for v in spectra) - 1
            last = [v["values"][-1] for v in spectra]
            above = [float(sum(e > 0.1 * v["values"][0] for e in v["values"])) for v in spectra]
            rows.append(row | {
                "largest": mean_and_diverged(first, ".4f"),
                "proved upper bound, at most": f"{reach:+.1%}",
                f"number {k}": mean_and_diverged(last, ".4f"),
                f"of {k}, above a tenth of the largest": mean_and_diverged(above, ".1f", (0.0, k)),
            })  # fmt: skip
            raw.append(
                {
                    **row,
                    "seeds": len(spectra),
                    **numbers("largest", interval(first)),
                    **numbers(f"number {k}", interval(last)),
                    "reach": reach,
                }
            )
    note = (
        "Hessian of the training loss, eval mode, by Lanczos until each Ritz value has a residual of at most 5 %: some eigenvalue lies "
        "within it with certainty. Proved upper bound: how far lambda_max may lie above the largest Ritz value, at 99.5 % over the random "
        "start, worst seed."
    )
    return _table(r, "eigenvalues", "keskar2017, claim 2: largest eigenvalues of the Hessian", rows, raw, OURS, note)


def distances(r: Results) -> Table:
    """Claim 6: how far SB and LB end from their common start."""
    rows: Rows = []
    raw: Raw = []
    for network in NETWORKS:
        ratios = known(ratios_of_distances(r, network))
        paths = r.measured(path(r.plan, network, seed) for seed in r.seeds)
        keys = {"SB": "distance_small", "LB": "distance_large", "SB to LB": "distance_between"}
        parts = {label: [v[key] for v in paths] for label, key in keys.items()}
        row = {
            "network": network,
            "ratio, printed": "3 to 10",
            "ratio, ours": mean_and_diverged(ratios, limits=POSITIVE) if ratios else r.absent(network),
        }
        rows.append(row | {f"distance {label}": mean_and_diverged(values, limits=POSITIVE) for label, values in parts.items()})
        raw.append({"network": network, "seeds": len(ratios), **numbers("ratio", interval(ratios, POSITIVE))})
    note = "Euclidean distances of all trainable parameters from the start that SB and LB of a seed share."
    return _table(r, "distances", "keskar2017, claim 6: distances from the start", rows, raw, OURS, note)


def remedies(r: Results) -> Table:
    """Claim 8: LB with augmentation, conservative and adversarial training."""
    rows: Rows = []
    raw: Raw = []
    for network in r.plan.remedied:
        kinds = {"SB": r.trainings(r.plan.sb, network), "LB": r.trainings(r.plan.lb, network)} | {
            f"LB, {name}": [r.plan.remedy(network, seed, name) for seed in r.seeds] for name in REMEDIES
        }
        for kind, trainings in kinds.items():
            train, test = (known(r.final(trainings, f"{split}_accuracy")) for split in ("train", "test"))
            sharp = known(r.phi(trainings))
            row = {"network": network, "training": kind}
            shown = mean_and_diverged(test, limits=PERCENT) if test else r.absent(network)
            measured = {
                "train accuracy": mean_and_diverged(train, limits=PERCENT),
                "test accuracy": shown,
                "sharpness, 0.001": mean_and_diverged(sharp, limits=POSITIVE),
            }
            rows.append(row | measured | effort(r, trainings))
            raw.append(
                {
                    **row,
                    "seeds": len(test),
                    **numbers("test accuracy", interval(test, PERCENT)),
                    **numbers("sharpness", interval(sharp, POSITIVE)),
                }
            )
    note = (
        "Augmentation: shifts by up to an eighth of the side and, on CIFAR, mirroring. Conservative: 3 ADAM steps a batch, lambda 1e-3: "
        "in as many epochs, three times the updates of plain LB. "
        "Adversarial: half of the loss at inputs moved by 0.02 (normalized units) along the sign of their gradient. Strengths are ours."
    )
    return _table(r, "remedies", "keskar2017, claim 8: what helps LB", rows, raw, OURS, note)


def claims_table(r: Results) -> Table:
    """The verdict on every claim."""
    rows: Rows = []
    for claim, printed in CLAIMS.items():
        judgement = judge(r, claim)
        measured = "; ".join(f"{f.network}: {f.verdict.worded(r.reduced)}, {f.numbers}" for f in judgement.findings)
        verdict = judgement.verdict.worded(r.reduced)
        rows.append({"claim": claim, "printed": printed, "verdict": verdict, "measured": measured, "rule": RULES[claim]})
    common = " ".join((COMMON or "").split("\n\n", 1)[1].split())
    raw: Raw = [dict(row) for row in rows]
    brief = ("claim", "printed", "verdict", "measured")
    return _table(r, "claims", "keskar2017: verdicts on its claims", rows, raw, f"Rules. {common}", brief=brief)


def settling_table(r: Results) -> Table:
    """What would settle each rule."""
    paper = plan_of("paper", "cuda")
    smoke = r.plan.scale == "smoke"

    def hours(network: str) -> float:
        return sum(seconds_of(job) for ids, _, job in needed(paper, network, 1) if "claims" in ids) / 3600

    of_network = {network: None if smoke else hours(network) for network in NETWORKS}
    rows = []
    for claim in CLAIMS:
        for finding in judge(r, claim).findings:
            judged = JUDGES[claim](r, finding.network)
            open_ = not smoke and judged.seeds > 0 and judged.alike
            needs = seeds_needed(judged.decide, judged.effects) if open_ else None
            rows.append(
                ({"claim": claim, "network": finding.network}, finding.verdict, judged.seeds, needs, of_network[finding.network])
            )
    shown, raw, notes = settling(rows, r.plan.scale)
    apart = "No number where training accuracies differ: no number of seeds mends that. The hours are those of all rules of a network."
    title = f"{ID}: what would settle each rule, and its cost"
    return Table(f"{ID}/settling", title, shown, raw, (apart, *notes, about(r.plan)), r.provenance(), tuple(shown.columns))


TABLES: dict[str, Callable[[Results], Table]] = {
    "table-1": table_1,
    "table-2": table_2,
    "table-3": lambda r: sharpness_table(r, "full", "table-3"),
    "table-4": lambda r: sharpness_table(r, "subspace", "table-4"),
    "eigenvalues": eigenvalues,
    "distances": distances,
    "remedies": remedies,
    "trainings": trainings_table,
    "claims": claims_table,
    "settling": settling_table,
}
