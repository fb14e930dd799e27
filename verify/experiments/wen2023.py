"""Owns wen2023's experiments: table-1 and the training curves of figures 1a, 1b, 2a, 4a, 4b, 6a, and the ledger's table.

The rule of table-1's verdicts was written after a pilot on seed 0, before the seeds it judges (1, 2, ...) were run.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from theory.architectures import Architecture
from theory.claims import Claim, Evidence, ledger
from verify.claims import table as ledger_table
from verify.curves import Panel, curves
from verify.report import Artifact, Table, collected
from verify.runs import DataSpec, Phase, Run
from verify.statistics import Interval, mean_interval, share_interval
from verify.store import Store, Stored
from verify.training import enumerated

ID = "wen2023"
DEFAULT_SEEDS = {"smoke": 2, "quick": 5, "paper": 20}

GENERALIZES = 0.9
INTERPOLATES = 0.05
RULE = (
    f"Rule. A run is judged at the end of the last of its phases that leaves it interpolating (training loss at most "
    f"{INTERPOLATES:g}), at its last checkpoint if none does; 'off interpolation' counts runs whose last phase does not. "
    f"Measured 'yes': the 95 % interval of the mean test accuracy of 1-SAM lies above {GENERALIZES:g}; 'no': below; "
    "otherwise inconclusive. Inconclusive, too, if a run diverged, with fewer than three seeds, or if a shortened row contradicts "
    "what is printed. Nothing is judged at scale smoke. "
    "Agrees or differs: measured against printed."
)
INTERVALS = (
    "Mean over seeds [95 % interval: Student's t over seeds, for accuracies widened to the exact binomial interval of the pooled "
    "test points]. Every seed draws its own training set, initialization and sample order. A trace can lie slightly below its "
    "bound, which holds for exact interpolation; constant-step SAM keeps a small training loss."
)


@dataclass(frozen=True)
class Row:
    """One row of the paper's Table 2: a figure, its settings as printed, and what is shortened at the scale 'quick'."""

    figure: str
    architecture: Architecture
    method: str
    phases: tuple[Phase, ...]
    quick_epochs: tuple[int, ...] | None = None
    first_layer_scale: float = 1.0

    @property
    def id(self) -> str:
        """The artifact of its training curves."""
        return f"{ID}/figure-{self.figure}"


DECAY = Phase(lr=0.01, epochs=100_000, batch_size=100, weight_decay=0.05)
ROWS = (
    Row("1a", "no-bias", "weight decay", (DECAY,)),
    Row("1b", "no-bias", "1-SAM", (Phase(lr=0.01, epochs=100_000, rho=0.05),)),
    Row(
        "2a",
        "sim-bn",
        "1-SAM",
        (Phase(lr=0.005, epochs=100_000, rho=0.1), Phase(lr=0.003, epochs=100_000, rho=1.0)),
        quick_epochs=(4_000, 1_000),
    ),
    Row("4a", "bias", "weight decay", (DECAY,)),
    Row("4b", "bias", "1-SAM", (Phase(lr=0.01, epochs=200_000, rho=0.05), Phase(lr=0.01, epochs=400_000, rho=0.1))),
    Row("6a", "sim-ln", "1-SAM", (Phase(lr=0.1, epochs=100_000, rho=0.1),), first_layer_scale=0.01),
)
TABLE_1, CLAIMS = f"{ID}/table-1", f"{ID}/claims"
ARTIFACTS = (TABLE_1, CLAIMS, *(row.id for row in ROWS))

# As printed in the paper's Table 1: do all flattest minimizers generalize, does sharpness minimization (1-SAM).
PRINTED: dict[Architecture, tuple[str, str]] = {
    "no-bias": ("yes (Thm 3.1)", "yes"),
    "bias": ("no (Thm 4.1)", "no"),
    "sim-bn": ("yes (Thm 3.2)", "yes"),
    "sim-ln": ("no (Thm 5.1)", "yes"),
}


def phases(row: Row, scale: str) -> tuple[Phase, ...]:
    """The phases of a row at a scale: as printed at 'paper', as printed unless shortened at 'quick', a token at 'smoke'."""
    if scale == "smoke":
        return tuple(replace(p, epochs=max(2, p.epochs // 5_000), batch_size=min(p.batch_size, 40)) for p in row.phases)
    if scale == "quick" and row.quick_epochs:
        return tuple(replace(p, epochs=e) for p, e in zip(row.phases, row.quick_epochs, strict=True))
    return row.phases


def runs(row: Row, scale: str, seeds: int) -> list[Run]:
    """A row's runs, seeds 1 to `seeds`; d = 30, n = 100, width 500 as in the paper, smaller at 'smoke'."""
    small = scale == "smoke"
    size: dict[str, int | float] = {"d": 10, "n": 40} if small else {"d": 30, "n": 100}
    return [
        Run(
            architecture=row.architecture,
            phases=phases(row, scale),
            data=DataSpec("parity", seed, size),
            width=32 if small else 500,
            seed=seed,
            first_layer_scale=row.first_layer_scale,
        )
        for seed in range(1, seeds + 1)
    ]


# What the paper reports of each figure (and of table-1); figures without a row here have not been run.
REPORTED = {
    "table-1": "Sharpness minimization (1-SAM) generalizes without bias, with simplified BatchNorm and LayerNorm, not with bias.",
    "figure-1a": "No bias, baseline: perfect generalization.",
    "figure-1b": "No bias, 1-SAM: perfect generalization.",
    "figure-2a": "Sim-BN, 1-SAM in two phases: generalizes; first two columns of W1 of norms 42.47 and 42.48, others at most 5.65.",
    "figure-4a": "Bias, baseline: generalizes better than 4b, at a larger trace.",
    "figure-4b": "Bias, 1-SAM: much flatter than 4a but generalizes much worse, degrading after 4000 epochs.",
    "figure-5a": "Bias, softplus, baseline: as 4a.",
    "figure-5b": "Bias, softplus, 1-SAM: as 4b.",
    "figure-6a": "Sim-LN, 1-SAM: almost perfect generalization.",
    "figure-6b": "Sim-LN, projected, 1-SAM: almost perfect generalization.",
    "figure-7a": "Uniform ball, no bias, 1-SAM: much better than 7b.",
    "figure-7b": "Uniform ball, bias, 1-SAM: much worse than 7a.",
    "figure-8a": "No bias, logistic, baseline: as its MSE counterpart.",
    "figure-8b": "No bias, logistic, 1-SAM: as its MSE counterpart.",
    "figure-9a": "Bias, logistic, baseline: as its MSE counterpart.",
    "figure-9b": "Bias, logistic, 1-SAM: as its MSE counterpart, degrading after 2000 epochs.",
    "figure-10a": "Sim-BN, logistic, 1-SAM: as its MSE counterpart.",
    "figure-10b": "Sim-LN, logistic, 1-SAM: as its MSE counterpart.",
    "figure-11a": "Three layers, bias in the first, baseline: better than 11b, at a larger trace.",
    "figure-11b": "Three layers, bias in the first, 1-SAM: flatter and much worse than 11a.",
}


def claim_ids() -> list[str]:
    """The ids of the paper's empirical claims."""
    return [f"{ID}/{name}" for name in REPORTED]


def claims(ids: Sequence[str], store: Store | None) -> list[Claim]:
    """The paper's empirical claims among `ids` (all if empty), judged from stored runs by RULE."""
    return [_empirical(id, store) for id in claim_ids() if not ids or id in ids]


def _empirical(id: str, store: Store | None) -> Claim:
    rows = [row for row in ROWS if row.id == id or (id == TABLE_1 and row.method == "1-SAM")]
    evidence = [e for row in rows if store and (e := _measured(row, store))]
    if not evidence:
        remedy = f"flatproof reproduce {id} runs it" if rows else "no experiment yet"
        evidence = [Evidence("open", "training runs", "-", f"not run: {remedy}")]
    settled = len(evidence) == len(rows) and all(e.supports == "tested" for e in evidence)
    title = "Table 1" if id == TABLE_1 else id.split("/")[1].replace("-", " ").capitalize()
    return Claim(id, title, REPORTED[id.split("/")[1]], "tested" if settled else "open", None, tuple(evidence), ())


def _measured(row: Row, store: Store) -> Evidence | None:
    """What the stored runs say of one row, at the largest scale of which any are stored; None if none are."""
    for scale in ("paper", "quick"):
        stored = [s for run in runs(row, scale, DEFAULT_SEEDS["paper"]) if (s := store.get(run))]
        if stored:
            break
    else:
        return None
    judged, points = judge(row, stored, scale), _points(row, scale)
    printed = "no" if row.figure == "4b" else "yes"
    measured, says = verdict(judged, points, printed, phases(row, scale) != row.phases)
    share = _show(share_interval(judged.accuracy, points), 3) if judged.accuracy else "none"
    return Evidence(
        "open" if says == "inconclusive" else "tested",
        "training runs, judged by the rule of table-1",
        f"figure {row.figure}, {len(stored)} seeds, scale {scale}",
        f"generalizes: {measured}, {says}; test accuracy {share}; {judged.diverged} diverged, {judged.off} end off interpolation",
    )


def _points(row: Row, scale: str) -> int | None:
    """On how many fresh samples a run's test accuracy is counted; None when it is the whole population."""
    run = runs(row, scale, 1)[0]
    return None if enumerated(run.data.build(), run) else run.test_points


def _rows(only: Sequence[str]) -> list[Row]:
    return [row for row in ROWS if row.id in only or TABLE_1 in only]


def grid(only: Sequence[str], scale: str, seeds: int) -> list[tuple[str, Run]]:
    """The runs that the artifacts `only` need, each with the name of its row."""
    return [(f"{row.figure} {row.architecture} {row.method}", run) for row in _rows(only) for run in runs(row, scale, seeds)]


def build(only: Sequence[str], scale: str, seeds: int, store: Store) -> list[Artifact]:
    """The artifacts `only`, from stored runs alone."""
    stored = {row.figure: [s for run in runs(row, scale, seeds) if (s := store.get(run))] for row in _rows(only)}
    out: list[Artifact] = []
    if CLAIMS in only:
        out.append(ledger_table(CLAIMS, [*ledger(), *claims([], store)]))
    if TABLE_1 in only:
        out.append(table_1(stored, scale))
    # a row whose runs all diverged before their second checkpoint has no curve to draw; table-1 counts them
    drawn = [row for row in ROWS if row.id in only and any(len(s.result.curve["epoch"]) > 1 for s in stored[row.figure])]
    out += [figure(row, stored[row.figure], scale) for row in drawn]
    return out


@dataclass(frozen=True)
class Judged:
    """A row's runs at the checkpoints where they are judged."""

    accuracy: list[float]
    trace: list[float]
    excess: list[float]
    diverged: int
    off: int


def judge(row: Row, stored: Sequence[Stored], scale: str) -> Judged:
    """Each finished run at the end of the last phase that leaves it interpolating (RULE)."""
    ends = [float(e) for e in np.cumsum([p.epochs for p in phases(row, scale)])]
    accuracy, trace, excess, diverged, off = [], [], [], 0, 0
    for one in stored:
        if one.result.status != "finished":
            diverged += 1
            continue
        curve = one.result.curve
        candidates = [i for i, epoch in enumerate(curve["epoch"]) if epoch in ends and curve["train_loss"][i] <= INTERPOLATES]
        at = candidates[-1] if candidates else len(curve["epoch"]) - 1
        off += curve["train_loss"][-1] > INTERPOLATES
        accuracy.append(curve["test_accuracy"][at])
        trace.append(curve["trace"][at])
        excess.append(curve["trace"][at] / one.result.lower_bound)
    return Judged(accuracy, trace, excess, diverged, off)


def verdict(judged: Judged, points: int | None, printed: str, shortened: bool) -> tuple[str, str]:
    """What the runs say ('yes', 'no', 'inconclusive') and the verdict on the printed entry, by RULE."""
    if judged.diverged or len(judged.accuracy) < 3:
        return "inconclusive", "inconclusive"
    _, low, high = share_interval(judged.accuracy, points)
    measured = "yes" if low > GENERALIZES else "no" if high < GENERALIZES else "inconclusive"
    if measured == printed:
        return measured, "agrees"
    return measured, "inconclusive" if shortened or measured == "inconclusive" else "differs"


def _show(interval: Interval, digits: int) -> str:
    if not np.isfinite(interval.low):
        return f"{interval.mean:.{digits}f} [one seed]"
    return f"{interval.mean:.{digits}f} [{interval.low:.{digits}f}, {interval.high:.{digits}f}]"


COLLAPSE = (
    "{off} of {runs} runs leave interpolation in the last phase and collapse towards the zero network. At the smallest trace "
    "||grad f|| = 2 on every sample, almost all of it in gamma and W2; a perturbation of length rho = 1 against the residual "
    "then cancels the active neurons' gamma and W2, where the gradient no longer pulls them back."
)
COLUMNS = (
    "architecture",
    "printed: all flattest generalize",
    "printed: 1-SAM generalizes",
    "1-SAM: test accuracy",
    "measured",
    "verdict",
    "1-SAM: trace",
    "1-SAM: trace / lower bound",
    "weight decay: test accuracy",
    "weight decay: trace",
    "remarks",
)
BRIEF = tuple(COLUMNS[i] for i in (0, 2, 3, 4, 5, 7, 10))


def table_1(stored: dict[str, list[Stored]], scale: str) -> Table:
    """The paper's Table 1 beside what the runs show."""
    shown: list[dict[str, object]] = []
    raw: list[dict[str, object]] = []
    for architecture, printed in PRINTED.items():
        named: dict[str, object] = dict(zip(COLUMNS[:3], (architecture, *printed), strict=True))
        shown.append(dict(named))
        raw.append(dict(named))
        for row in (r for r in ROWS if r.architecture == architecture):
            text, numbers = _entries(row, stored[row.figure], scale, printed[1])
            shown[-1] |= text
            raw[-1] |= numbers
    return Table(
        id=TABLE_1,
        title="Does sharpness minimization generalize? wen2023, Table 1, printed and measured",
        shown=pd.DataFrame(shown).reindex(columns=list(COLUMNS)).astype(object).fillna("–"),
        raw=pd.DataFrame(raw).convert_dtypes(),
        notes=(RULE, INTERVALS, _settings(scale), "–: the paper reports no such run."),
        provenance=collected([s for rows in stored.values() for s in rows], scale),
        brief=BRIEF,
    )


def _entries(row: Row, stored: Sequence[Stored], scale: str, printed: str) -> tuple[dict[str, str], dict[str, object]]:
    """What one row of runs contributes to table-1's line: text by column, and the numbers behind it."""
    judged, points = judge(row, stored, scale), _points(row, scale)
    if not judged.accuracy:
        nothing = "all diverged" if judged.diverged else "not run"
        verdicts = {"measured": nothing, "verdict": nothing} if row.method == "1-SAM" else {}
        return {f"{row.method}: test accuracy": nothing, **verdicts}, {}
    intervals = {
        "test accuracy": share_interval(judged.accuracy, points),
        "trace": mean_interval(judged.trace),
        "trace / lower bound": mean_interval(judged.excess),
    }
    digits = {"test accuracy": 3, "trace": 1, "trace / lower bound": 2}
    text = {f"{row.method}: {name}": _show(interval, digits[name]) for name, interval in intervals.items()}
    numbers: dict[str, object] = {
        f"{row.method}: {name}, {part}": value
        for name, interval in intervals.items()
        for part, value in interval._asdict().items()
    }
    shortened = phases(row, scale) != row.phases
    numbers |= {
        f"{row.method}: {name}": value
        for name, value in (
            ("finished", len(judged.accuracy)),
            ("diverged", judged.diverged),
            ("off interpolation", judged.off),
            ("shortened", shortened),
        )
    }
    if row.method == "1-SAM":
        measured, says = verdict(judged, points, printed, shortened)
        if scale == "smoke":
            says = "not judged"
        remarks = [f"{sum(a > GENERALIZES for a in judged.accuracy)} of {len(stored)} runs above {GENERALIZES:g}"]
        remarks += [f"{judged.diverged} diverged"] * bool(judged.diverged)
        remarks += [f"{judged.off} end off interpolation"] * bool(judged.off)
        remarks += [f"shortened to {' + '.join(f'{p.epochs:,}' for p in phases(row, scale))} epochs"] * shortened
        said = {"measured": measured, "verdict": says, "remarks": "; ".join(remarks)}
        text |= said
        numbers |= said
    return text, numbers


def _settings(scale: str) -> str:
    if scale == "smoke":
        return "Scale smoke: d = 10, n = 40, width 32 and a few epochs, to exercise the code. Its numbers mean nothing."
    cut = "" if scale == "paper" else ", except the rows marked shortened (flatproof reproduce --scale paper does not shorten)"
    return (
        "P_xor with d = 30, n = 100, width 500; learning rate, rho, batch size, weight decay and epochs as printed" + cut + ". "
        "The paper states neither its initialization (here: uniform in ±1/sqrt(fan-in), Sim-BN's gamma uniform in [0, 1); "
        "gamma = 1 diverges at the printed learning rate for nearly every seed) nor Sim-LN's epsilon (here: 1e-3)."
    )


def figure(row: Row, stored: Sequence[Stored], scale: str) -> Artifact:
    """Training curves of one row: median and range over seeds."""
    steps = phases(row, scale)
    settings = "; ".join(
        f"{p.epochs:,} epochs, lr {p.lr:g}, "
        + (f"rho {p.rho:g}" if p.rho else f"weight decay {p.weight_decay:g}")
        + f", batch {p.batch_size}"
        for p in steps
    )
    shortened = " (shortened)" if steps != row.phases else ""
    off = judge(row, stored, scale).off
    remarks = (COLLAPSE.format(off=off, runs=len(stored)),) if off and row.architecture == "sim-bn" and scale != "smoke" else ()
    return curves(
        id=row.id,
        title=f"Figure {row.figure}: {row.architecture}, {row.method}",
        stored=stored,
        panels=(
            Panel("train_loss", "training loss", "log"),
            Panel("test_accuracy", "test accuracy", "linear", limits=(0.4, 1.02)),
            Panel("trace", "trace of the Hessian", "symlog" if row.architecture.startswith("sim") else "log", bound=True),
        ),
        phase_ends=[int(e) for e in np.cumsum([p.epochs for p in steps])[:-1]],
        notes=(
            f"Line: median over seeds; band: smallest to largest. {settings}{shortened}.",
            "Trace of the Hessian of the training loss, residual term included; dashed: no interpolating network goes below.",
            *remarks,
        ),
        provenance=collected(stored, scale),
    )
