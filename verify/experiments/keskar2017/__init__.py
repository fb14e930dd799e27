"""Owns keskar2017's experiments: small against large batches, the sharpness of what they find, and verdicts on its claims 1 to 8.

`published` holds what is printed, `plan` what is run at each scale, `jobs` what is measured, `rules` how claims are judged, `tables`
and `figures` what is written. Networks whose data are not on this machine have rows that say so.
"""

from collections.abc import Callable, Sequence
from typing import Any

from flatproof.theory.claims import Claim, Evidence, Status, gravity
from flatproof.verify.experiments.keskar2017.figures import FIGURES
from flatproof.verify.experiments.keskar2017.plan import NETWORKS, REMEDIES, Plan, plan_of
from flatproof.verify.experiments.keskar2017.published import CLAIMS
from flatproof.verify.experiments.keskar2017.results import Results, detailed, path, sharpness, spectrum
from flatproof.verify.experiments.keskar2017.rules import REFUTED, RULES, SUPPORTED, judge
from flatproof.verify.experiments.keskar2017.tables import ID, TABLES
from flatproof.verify.jobs.job import Job
from flatproof.verify.jobs.store import Store
from flatproof.verify.report.artifacts import Artifact

ARTIFACTS = tuple(f"{ID}/{name}" for name in (*TABLES, *FIGURES))
DEFAULT_SEEDS = {"smoke": 2, "quick": 3, "paper": 5}


def grid(only: Sequence[str], scale: str, seeds: int) -> list[tuple[str, Job[Any]]]:
    """What the artifacts `only` need, of the networks whose data are there: trainings first, then what is measured of them."""
    plan, wanted = plan_of(scale), {id.split("/")[1] for id in only}
    jobs: list[tuple[str, Job[Any]]] = []
    for network in (n for n in NETWORKS if plan.runs(n) and plan.images(n).available()):
        for seed in range(1, seeds + 1):
            jobs += [(f"{network} {name}", job) for artifact, name, job in _needed(plan, network, seed) if artifact & wanted]
    return jobs


ALL_TRAININGS = {"table-1", "table-2", "trainings", "claims", "figure-2"}


def _needed(plan: Plan, network: str, seed: int) -> list[tuple[set[str], str, Job[Any]]]:
    """Every job of a network and seed: the artifacts that need it, the name of its row, the job."""
    sb, lb = plan.sb(network, seed), plan.lb(network, seed)
    both = {"SB": sb, "LB": lb}
    out: list[tuple[set[str], str, Job[Any]]] = []
    shared = ALL_TRAININGS | {"remedies"} | ({"figure-4", "figure-5", "figure-6"} if network in detailed(plan) else set())
    out += [(shared, name, training) for name, training in both.items()]
    metric = {"table-3", "table-4", "claims"} | (shared - ALL_TRAININGS)
    out += [(metric, f"{name} sharpness", sharpness(plan, training)) for name, training in both.items()]
    out += [({"eigenvalues", "claims"}, f"{name} eigenvalues", spectrum(plan, training)) for name, training in both.items()]
    out.append(({"figure-3", "figure-7", "distances", "claims"}, "path", path(plan, network, seed)))
    if network in detailed(plan):
        for batch in sorted({*plan.batch_sizes(network)} - {plan.small_batch(network), plan.large(network)}):
            training = plan.training(network, batch, seed)
            out.append(({"figure-4", "trainings", "claims"}, f"batch {batch}", training))
            out.append(({"figure-4", "claims"}, f"batch {batch} sharpness", sharpness(plan, training, subspace=False)))
        for epoch in plan.warm:
            training = plan.warm_start(network, seed, epoch)
            out.append(({"figure-5", "trainings", "claims"}, f"LB after {epoch} of SB", training))
            out.append(({"figure-5", "claims"}, f"LB after {epoch} of SB, sharpness", sharpness(plan, training, subspace=False)))
        out += [
            ({"figure-6", "claims"}, f"{name} sharpness by epoch", sharpness(plan, training, epoch))
            for name, training in both.items()
            for epoch in training.keep
        ]
    if network in plan.remedied:
        for name in REMEDIES:
            training = plan.remedy(network, seed, name)
            out.append(({"remedies", "trainings", "claims"}, f"LB {name}", training))
            out.append(({"remedies", "claims"}, f"LB {name}, sharpness", sharpness(plan, training, subspace=False)))
    return out


def results(scale: str, seeds: int, store: Store) -> Results:
    """What the store holds of a scale; at 'paper' of the device that it has most of."""
    plans = [plan_of(scale, device) for device in (("cuda", "cpu") if scale == "paper" else (None,))]

    def held(plan: Plan) -> int:
        return sum(plan.lb(n, s) in store for n in NETWORKS if plan.runs(n) for s in range(1, seeds + 1))

    return Results(max(plans, key=held), seeds, store)


def build(only: Sequence[str], scale: str, seeds: int, store: Store) -> list[Artifact]:
    """The artifacts `only`, from stored jobs alone; a figure without a single curve is left out."""
    out: list[Artifact] = []
    found = results(scale, seeds, store)
    makers: dict[str, Callable[[Results], Artifact | None]] = {**TABLES, **FIGURES}
    for name, make in makers.items():
        if f"{ID}/{name}" in only:
            found.used = {}
            artifact = make(found)
            out += [artifact] if artifact is not None else []
    return out


def claim_ids() -> list[str]:
    """The ids of the paper's claims."""
    return [f"{ID}/{name}" for name in CLAIMS]


def claims(ids: Sequence[str], store: Store | None) -> list[Claim]:
    """The paper's claims among `ids` (all if empty), judged from stored runs at the largest scale of which any are stored."""
    found = _stored(store) if store is not None else None  # a store's truth value is its number of runs, not of jobs
    return [_claim(id, found) for id in claim_ids() if not ids or id in ids]


def _stored(store: Store) -> Results | None:
    """The results of the largest scale of which the store holds any."""
    for scale in ("paper", "quick"):
        found = results(scale, DEFAULT_SEEDS["paper"], store)
        if any(found.values(found.plan.lb(network, 1)) for network in NETWORKS if found.plan.runs(network)):
            return found
    return None


def _claim(id: str, found: Results | None) -> Claim:
    name = id.split("/")[1]
    title = name.replace("-", " ").capitalize()
    if found is None:
        evidence: list[Evidence] = [Evidence("open", "training runs", "-", f"not run: flatproof reproduce {ID} runs it")]
        return Claim(id, title, CLAIMS[name], "open", None, tuple(evidence), ())
    status: dict[str, Status] = {SUPPORTED: "tested", REFUTED: "refuted"}
    verdict = judge(found, name)
    evidence = [
        Evidence(
            status.get(finding.verdict, "open"),
            f"training runs, judged by the rule: {RULES[name]}",
            f"{finding.network}, scale {found.plan.scale}",
            f"{finding.verdict}: {finding.said}",
            finding.said if finding.verdict == REFUTED else None,
            *gravity(status.get(finding.verdict, "open")),
        )
        for finding in verdict.findings
    ]
    corrected = " ".join(e.corrected for e in evidence if e.corrected) or None
    whole = status.get(verdict.verdict, "open")
    return Claim(id, title, CLAIMS[name], whole, corrected, tuple(evidence), (), *gravity(whole))
