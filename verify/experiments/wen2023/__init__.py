"""Owns wen2023's experiments: table-1, the figures 1 to 11 with their training curves, the verdicts, and the ledger's table.

Table-1 is judged by the rule of table-2. `rows` says what
is run, `verdicts` what is reported of each figure and how it is judged, `neurons` what the first layer of figure 2b looks like.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from flatproof.theory.claims import Claim, Dependency, Evidence, Status, gravity, ledger
from flatproof.theory.claims.wen2023.section_3_batchnorm import tick
from flatproof.theory.losses import MSE
from flatproof.theory.networks import Architecture
from flatproof.verify.experiments.ledger import table as ledger_table
from flatproof.verify.experiments.ledger_graph import graph
from flatproof.verify.experiments.wen2023.neurons import FIGURE_2B, figure_2b
from flatproof.verify.experiments.wen2023.rows import ID, INTERPOLATES, ROW, ROWS, Row, judge, phases, points, runs, shortened
from flatproof.verify.experiments.wen2023.verdicts import (
    CONFIDENCE,
    GENERALIZES,
    REPORTED,
    STATEMENTS,
    TABLE_2,
    Seen,
    examine,
    generalization,
    seen,
    table_2,
)
from flatproof.verify.jobs.store import Store
from flatproof.verify.report.artifacts import NOT_YET, Artifact, Table, collected, divergences, seeds_of
from flatproof.verify.report.curves import Panel, draw_curves
from flatproof.verify.two_layer.training import Run, StoredRun
from flatproof.verify.utils.statistics import Interval, mean_interval, share_interval

__all__ = [
    "ARTIFACTS",
    "DEFAULT_SEEDS",
    "ID",
    "ROWS",
    "build",
    "claim_ids",
    "claims",
    "grid",
    "judge",
    "phases",
    "runs",
    "table_1",
]

DEFAULT_SEEDS = {"smoke": 2, "quick": 5, "paper": 20}

RULE = (
    f"Rule: table-2's, with one statement: a run's test accuracy is at least {GENERALIZES:g} (where 'no' is printed: below it). A run "
    "is judged by medians over the last quarter of the last of its phases in which it interpolates (training loss at most "
    f"{INTERPOLATES:g}), of its last phase if it does in none; 'off interpolation' counts runs that do not in the last. Measured "
    f"'yes': the exact binomial interval ({CONFIDENCE:.0%}, two-sided) of the share of seeds at or above {GENERALIZES:g} lies above "
    "one half; 'no': that of the share below it does; otherwise inconclusive. A diverged run shows neither. Agrees: the share of "
    "seeds that show what is printed lies above one half; differs: below; but a shortened row cannot differ, and one whose last phase"
    " drives most seeds off interpolation cannot agree. So a row's runs are judged alike here and as a figure of table-2, which asks "
    "for more where the paper says 'perfect'. Nothing is judged at scale smoke. This rule took the place of another after all of "
    "these runs had been seen: the 95 % interval of their mean accuracy, which called Sim-BN 'yes, agrees' at scale quick where "
    "table-2 called the same runs inconclusive; no other entry changed."
)
INTERVALS = (
    "Mean over seeds [95 % interval: Student's t over seeds, for accuracies widened to the exact binomial interval of the pooled "
    "test points]. Every seed draws its own training set, initialization and sample order. A trace can lie slightly below its "
    "bound, which holds for exact interpolation; constant-step SAM keeps a small training loss."
)


TABLE_1, CLAIMS, CLAIMS_GRAPH = f"{ID}/table-1", f"{ID}/claims", f"{ID}/claims-graph"
ARTIFACTS = (TABLE_1, TABLE_2, FIGURE_2B, CLAIMS, CLAIMS_GRAPH, *(row.id for row in ROWS))
IN_TABLE_1 = tuple(ROW[figure] for figure in ("1a", "1b", "2a", "4a", "4b", "6a"))

# As printed in the paper's Table 1: do all flattest minimizers generalize, does sharpness minimization (1-SAM).
PRINTED: dict[Architecture, tuple[str, str]] = {
    "no-bias": ("yes (Thm 3.1)", "yes"),
    "bias": ("no (Thm 4.1)", "no"),
    "sim-bn": ("yes (Thm 3.2)", "yes"),
    "sim-ln": ("no (Thm 5.1)", "yes"),
}


# What the column 'all flattest minimizers generalize' of table 1 rests on, as printed there.
RESTS_ON = tuple(Dependency(f"{ID}/{name}") for name in ("theorem-3.1", "theorem-4.1", "theorem-3.2", "theorem-5.1"))

STATUS: dict[str, Status] = {"agrees": "tested", "differs": "refuted"}


def claim_ids() -> list[str]:
    """The ids of the paper's empirical claims."""
    return [f"{ID}/{name}" for name in REPORTED]


def claims(ids: Sequence[str], store: Store | None) -> list[Claim]:
    """The paper's empirical claims among `ids` (all if empty), judged from stored runs by the rules of table-1 and table-2."""
    return [_empirical(id, store) for id in claim_ids() if not ids or id in ids]


def _empirical(id: str, store: Store | None) -> Claim:
    name = id.split("/")[1]
    evidence: list[Evidence] = []
    if store is not None:
        evidence = _of_table_1(store) if id == TABLE_1 else _of_figure(name.removeprefix("figure-"), store)
    complete = len(evidence) == (len(PRINTED) if id == TABLE_1 else 1)
    evidence = evidence or [Evidence("open", "training runs", "-", f"{NOT_YET}: flatproof reproduce --scale paper {id} runs it")]
    if id == TABLE_1:
        evidence = [*evidence, tick()]
    settled: Status = "tested" if complete and all(e.supports == "tested" for e in evidence) else "open"
    corrected = "; ".join(e.corrected for e in evidence if e.corrected) or None
    status: Status = "refuted" if corrected else settled
    title = "Table 1" if id == TABLE_1 else name.replace("-", " ").capitalize()
    rests_on = RESTS_ON if id == TABLE_1 else ()
    return Claim(id, title, REPORTED[name], status, corrected, tuple(evidence), rests_on, *gravity(status))


def _of_table_1(store: Store) -> list[Evidence]:
    return [e for row in IN_TABLE_1 if row.method == "1-SAM" and (e := _measured(row, store))]


def _of_figure(figure: str, store: Store) -> list[Evidence]:
    """What the stored runs say of one figure, at the scale of which most seeds are stored, the paper's own if they are as many."""
    needed = {"2a" if figure == "2b" else figure, *(one.than for one in STATEMENTS[figure] if one.than)}
    at = {
        scale: examine(figure, observed(_stored(needed, scale, DEFAULT_SEEDS["paper"], store), scale), scale)
        for scale in ("paper", "quick")
    }
    scale, found = max(at.items(), key=lambda one: len(one[1].runs))  # the first of equals
    if not found.runs:
        return []
    says = "; ".join(f"{f.text}: {f.shown} of {f.total} seeds" for f in found.findings)
    return [
        Evidence(
            STATUS.get(found.verdict, "open"),
            "training runs, judged by the rule of table-2",
            f"figure {figure}, {len(found.runs)} seeds, scale {scale}",
            f"{found.verdict}; {says}",
            says if found.verdict == "differs" else None,
            *gravity(STATUS.get(found.verdict, "open")),
        )
    ]


def _behind_the_claims(store: Store) -> dict[str, int]:
    """How many runs of each row the empirical claims may rest on, at either scale that is judged."""
    most = DEFAULT_SEEDS["paper"]
    return {
        f"{row.figure} {row.name}, scale {scale}": sum(run in store for run in runs(row, scale, most))
        for scale in ("paper", "quick")
        for row in ROWS
    }


def _measured(row: Row, store: Store) -> Evidence | None:
    """What the stored runs say of one row, at the scale that `_of_figure` takes; None if none are stored."""
    at = {scale: [s for run in runs(row, scale, DEFAULT_SEEDS["paper"]) if (s := store.get(run))] for scale in ("paper", "quick")}
    scale, stored = max(at.items(), key=lambda one: len(one[1]))
    if not stored:
        return None
    judged, tested = judge(row, stored, scale), points(row, scale)
    answer, says = generalization(row, seen(row, stored, scale), scale, PRINTED[row.architecture][1])
    share = _show(share_interval(judged.accuracy, tested), 3) if judged.accuracy else "none"
    return Evidence(
        STATUS.get(says, "open"),
        "training runs, judged by the rule of table-1",
        f"figure {row.figure}, {len(stored)} seeds, scale {scale}",
        f"generalizes: {answer}, {says}; test accuracy {share}; {judged.diverged} diverged, {judged.off} end off interpolation",
        f"1-SAM generalizes, {row.architecture}: {answer}" if says == "differs" else None,
        *gravity(STATUS.get(says, "open")),
    )


def _figures(only: Sequence[str]) -> set[str]:
    """The figures whose runs the artifacts `only` need; figure 2b's are those of 2a."""
    wanted = {row.figure for row in ROWS if row.id in only or TABLE_2 in only or (TABLE_1 in only and row in IN_TABLE_1)}
    return wanted | ({"2a"} if FIGURE_2B in only else set())


def _groups(figures: set[str], scale: str, seeds: int) -> dict[str, list[Run]]:
    return {row.figure: runs(row, scale, seeds) for row in ROWS if row.figure in figures}


def grid(only: Sequence[str], scale: str, seeds: int) -> list[tuple[str, Run]]:
    """The runs that the artifacts `only` need, each with the name of its row."""
    names = {row.figure: f"{row.figure} {row.name}" for row in ROWS}
    return [(names[name], run) for name, group in _groups(_figures(only), scale, seeds).items() for run in group]


def _stored(figures: set[str], scale: str, seeds: int, store: Store) -> dict[str, list[StoredRun]]:
    groups = _groups(figures, scale, seeds).items()
    return {name: [s for run in group if (s := store.get(run))] for name, group in groups}


def observed(stored: dict[str, list[StoredRun]], scale: str) -> dict[str, dict[int, Seen | None]]:
    """The runs of each figure by seed; "2b": those of 2a."""
    out = {name: seen(ROW[name], group, scale) for name, group in stored.items()}
    return out | ({"2b": out["2a"]} if "2a" in out else {})


def build(only: Sequence[str], scale: str, seeds: int, store: Store) -> list[Artifact]:
    """The artifacts `only`, from stored runs alone."""
    stored = _stored(_figures(only), scale, seeds, store)
    out: list[Artifact] = []
    if CLAIMS in only:
        out.append(replace(ledger_table(CLAIMS, [*ledger(), *claims([], store)]), coverage=_behind_the_claims(store)))
    if CLAIMS_GRAPH in only:
        out.append(graph(CLAIMS_GRAPH, [*ledger(), *claims([TABLE_1], store)]))
    if TABLE_1 in only:
        out.append(table_1(stored, scale, seeds))
    if TABLE_2 in only:
        out.append(table_2(observed(stored, scale), scale, stored, seeds))
    if FIGURE_2B in only:
        out.append(figure_2b(stored["2a"], scale))
    # a row whose runs all diverged before their second checkpoint has no curve to draw; the tables count them
    drawn = [row for row in ROWS if row.id in only and any(len(s.result.curve["epoch"]) > 1 for s in stored[row.figure])]
    out += [figure(row, stored[row.figure], scale, seeds) for row in drawn]
    return out


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
    "seeds",
    "1-SAM: trace",
    "1-SAM: trace / lower bound",
    "weight decay: test accuracy",
    "weight decay: trace",
    "remarks",
)
BRIEF = tuple(COLUMNS[i] for i in (0, 2, 3, 4, 5, 6, 8, 11))


def table_1(stored: dict[str, list[StoredRun]], scale: str, seeds: int) -> Table:
    """The paper's Table 1 beside what the runs show; seeds: how many of each row were asked for."""
    shown: list[dict[str, object]] = []
    raw: list[dict[str, object]] = []
    for architecture, printed in PRINTED.items():
        named: dict[str, object] = dict(zip(COLUMNS[:3], (architecture, *printed), strict=True))
        shown.append(dict(named))
        raw.append(dict(named))
        own = [row for row in IN_TABLE_1 if row.architecture == architecture]
        shown[-1]["seeds"] = "; ".join(f"{row.method}: {seeds_of(stored[row.figure], seeds)}" for row in own)
        for row in own:
            text, numbers = _entries(row, stored[row.figure], scale, printed[1])
            shown[-1] |= text
            raw[-1] |= numbers
    return Table(
        id=TABLE_1,
        title="Does sharpness minimization generalize? wen2023, Table 1, printed and measured",
        shown=pd.DataFrame(shown).reindex(columns=list(COLUMNS)).astype(object).fillna("–"),
        raw=pd.DataFrame(raw).convert_dtypes(),
        notes=(RULE, INTERVALS, _settings(scale), "–: the paper reports no such run, or nothing was measured."),
        provenance=collected([s for row in IN_TABLE_1 for s in stored[row.figure]], scale),
        brief=BRIEF,
    )


def _entries(row: Row, stored: Sequence[StoredRun], scale: str, printed: str) -> tuple[dict[str, str], dict[str, object]]:
    """What one row of runs contributes to table-1's line: text by column, and the numbers behind it."""
    judged, tested = judge(row, stored, scale), points(row, scale)
    measured, says = generalization(row, seen(row, stored, scale), scale, printed)
    if not judged.accuracy:
        nothing = "all diverged" if judged.diverged else NOT_YET
        verdicts = {"measured": nothing, "verdict": says, "remarks": divergences(stored) or "–"} if row.method == "1-SAM" else {}
        return {f"{row.method}: test accuracy": nothing, **verdicts}, {}
    intervals = {
        "test accuracy": share_interval(judged.accuracy, tested),
        "trace": mean_interval(judged.trace),
        **({"trace / lower bound": mean_interval(judged.excess)} if judged.excess else {}),
    }
    digits = {"test accuracy": 3, "trace": 1, "trace / lower bound": 2}
    text = {f"{row.method}: {name}": _show(interval, digits[name]) for name, interval in intervals.items()}
    numbers: dict[str, object] = {
        f"{row.method}: {name}, {part}": value
        for name, interval in intervals.items()
        for part, value in interval._asdict().items()
    }
    short = shortened(row, scale)
    numbers |= {
        f"{row.method}: {name}": value
        for name, value in (
            ("finished", len(judged.accuracy)),
            ("diverged", judged.diverged),
            ("off interpolation", judged.off),
            ("shortened", short),
        )
    }
    if row.method == "1-SAM":
        remarks = [f"{sum(a >= GENERALIZES for a in judged.accuracy)} of {len(stored)} runs at least {GENERALIZES:g} accurate"]
        remarks += [divergences(stored)] * bool(judged.diverged)
        remarks += [f"{judged.off} end off interpolation"] * bool(judged.off)
        remarks += [f"shortened to {' + '.join(f'{p.epochs:,}' for p in phases(row, scale))} epochs"] * short
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


def figure(row: Row, stored: Sequence[StoredRun], scale: str, seeds: int) -> Artifact:
    """Training curves of one row: median, quartiles and range over the stored of the `seeds` asked for."""
    steps = phases(row, scale)
    settings = "; ".join(
        f"{p.epochs:,} epochs, lr {p.lr:g}, "
        + (f"rho {p.rho:g}" if p.rho else f"weight decay {p.weight_decay:g}")
        + f", batch {p.batch_size}"
        for p in steps
    )
    cut = " (shortened)" if steps != row.phases else ""
    off = judge(row, stored, scale).off
    remarks = (COLLAPSE.format(off=off, runs=len(stored)),) if off and row.figure == "2a" and scale != "smoke" else ()
    ball = row.data == "uniform_ball"
    excess = "" if row.loss == MSE else "excess "
    return draw_curves(
        id=row.id,
        title=f"Figure {row.figure}: {row.name}, {len(stored)} {'seeds' if len(stored) > 1 else 'seed'}",
        stored=stored,
        panels=(
            Panel("train_loss", excess + "training loss"),
            Panel("test_loss", "test loss") if ball else Panel("test_accuracy", "test accuracy", (0.4, 1.02)),
            Panel("trace", "trace of the Hessian", bound=True),
        ),
        phase_ends=[int(e) for e in np.cumsum([p.epochs for p in steps])[:-1]],
        notes=(
            f"{seeds_of(stored, seeds)} seeds. Line: median over them; bands: quartiles, smallest to largest. {settings}{cut}.",
            *filter(None, [divergences(stored)]),
            "Trace of the Hessian of the training loss, residual term included; dashed: no network that interpolates exactly goes below"
            + (" (no bound is known for softplus)." if row.activation == "softplus" else "."),
            *(("Excess training loss: above the smallest that the smoothed labels allow.",) if excess else ()),
            *remarks,
        ),
        provenance=collected(stored, scale),
    )
