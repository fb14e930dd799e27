"""Owns what is shown of wen2023: table-1, table-2, figure 2b as a table, and the training curves of every other figure."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from flatproof.theory.losses import MSE
from flatproof.verify.experiments.vocabulary import (
    DASH,
    Verdict,
    bracketed,
    numbers,
    of_scale,
    provenance_of,
    quantiles,
)
from flatproof.verify.experiments.wen2023 import published
from flatproof.verify.experiments.wen2023.flattest import FLATTEST, Proofs, in_words
from flatproof.verify.experiments.wen2023.grid import ROW, ROWS, Row, phases, points, shortened
from flatproof.verify.experiments.wen2023.published import ID, REPORTED
from flatproof.verify.experiments.wen2023.rules import (
    GENERALIZES,
    RULE,
    RULE_OF_TABLE_1,
    STATEMENTS,
    Judgement,
    Observations,
    columns,
    generalization,
    judge,
    judge_figure,
    largest_neurons,
    networks,
    observations,
    row_of,
)
from flatproof.verify.report.artifacts import NOT_YET, Figure, Table, divergences, seeds_of
from flatproof.verify.report.curves import Panel, draw_curves
from flatproof.verify.two_layer.training import StoredRun
from flatproof.verify.utils.statistics import mean_interval, share_interval

TABLE_1, TABLE_2, FIGURE_2B = f"{ID}/table-1", f"{ID}/table-2", f"{ID}/figure-2b"
IN_TABLE_1 = tuple(ROW[figure] for figure in ("1a", "1b", "2a", "4a", "4b", "6a"))
INTERVALS = (
    "Mean over seeds [95 % interval: Student's t over seeds, for accuracies widened to the exact binomial interval of the pooled "
    "test points]. Every seed draws its own training set, initialization and sample order. A trace can lie slightly below its "
    "bound, which holds for exact interpolation; constant-step SAM keeps a small training loss."
)


def _first_column(proofs: Proofs) -> str:
    """What the first column says, and of which data sets."""
    seeds = sorted({job.seed for job, _ in proofs})
    which = f" (seed{'s' * (len(seeds) > 1)} {_listed(seeds)})" if seeds else ""
    return (
        f"Decided: whether all flattest networks generalize, proved on training sets of these runs{which}, and for how many of them; "
        f"by the rule of {FLATTEST}, where the proofs are."
    )


def _listed(seeds: Sequence[int]) -> str:
    """Seeds in order, those without a gap as the first and the last."""
    if len(seeds) > 2 and seeds[-1] - seeds[0] == len(seeds) - 1:
        return f"{seeds[0]} to {seeds[-1]}"
    return " and ".join(filter(None, [", ".join(map(str, seeds[:-1])), str(seeds[-1])]))


def word(verdict: Verdict) -> str:
    """A verdict as the tables have it."""
    return NOT_YET if verdict is Verdict.NOT_RUN else verdict.value


def provenance(groups: Sequence[Sequence[StoredRun]], scale: str) -> dict[str, str]:
    """Of the runs of some rows."""
    return provenance_of([run for group in groups for run in group], scale, unit="runs", seeds=True)


COLLAPSE = (
    "{off} of {runs} runs leave interpolation in the last phase and collapse towards the zero network. At the smallest trace "
    "||grad f|| = 2 on every sample, almost all of it in gamma and W2; a perturbation of length rho = 1 against the residual "
    "then cancels the active neurons' gamma and W2, where the gradient no longer pulls them back."
)
COLUMNS = (
    "architecture",
    "printed: all flattest generalize",
    "decided: all flattest generalize",
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
BRIEF = tuple(COLUMNS[i] for i in (0, 1, 2, 3, 4, 6, 9, 12))


def table_1(stored: dict[str, list[StoredRun]], scale: str, seeds: int, proofs: Proofs = ()) -> Table:
    """The paper's Table 1 beside what the runs show and what is proved on their training sets.

    Args:
        stored: runs by figure, an entry for each row of IN_TABLE_1.
        scale: of the runs.
        seeds: how many of each row were asked for.
        proofs: behind the first column.
    """
    shown: list[dict[str, object]] = []
    raw: list[dict[str, object]] = []
    for architecture, printed in published.TABLE_1.items():
        first = in_words(proofs, architecture)
        named: dict[str, object] = dict(zip(COLUMNS[:4], (architecture, printed[0], first, printed[1]), strict=True))
        shown.append(dict(named))
        raw.append(dict(named))
        own = [row for row in IN_TABLE_1 if row.architecture == architecture]
        shown[-1]["seeds"] = "; ".join(f"{row.method}: {seeds_of(stored[row.figure], seeds)}" for row in own)
        for row in own:
            text, values = _entries(row, stored[row.figure], scale, printed[1])
            shown[-1] |= text
            raw[-1] |= values
    return Table(
        id=TABLE_1,
        title="Does sharpness minimization generalize? wen2023, Table 1, printed and measured",
        shown=pd.DataFrame(shown).reindex(columns=list(COLUMNS)).astype(object).fillna(DASH),
        raw=pd.DataFrame(raw).convert_dtypes(),
        notes=(
            RULE_OF_TABLE_1,
            _first_column(proofs),
            INTERVALS,
            _settings(scale),
            "–: the paper reports no such run, or nothing was measured.",
        ),
        provenance=provenance([stored[row.figure] for row in IN_TABLE_1], scale),
        brief=BRIEF,
    )


def _entries(row: Row, stored: Sequence[StoredRun], scale: str, printed: str) -> tuple[dict[str, str], dict[str, object]]:
    """What one row of runs contributes to table-1's line: text by column, and the numbers behind it."""
    judged = judge(row, stored, scale)
    measured, verdict = generalization(row, observations(row, stored, scale), scale, printed)
    if not judged.accuracy:
        nothing = "all diverged" if judged.diverged else NOT_YET
        words = {"measured": nothing, "verdict": word(verdict), "remarks": divergences(stored) or DASH}
        return {f"{row.method}: test accuracy": nothing} | (words if row.method == "1-SAM" else {}), {}
    intervals = {
        "test accuracy": (share_interval(judged.accuracy, points(row, scale)), ".3f"),
        "trace": (mean_interval(judged.trace), ".1f"),
        **({"trace / lower bound": (mean_interval(judged.trace_ratio), ".2f")} if judged.trace_ratio else {}),
    }
    text = {f"{row.method}: {name}": bracketed(interval, form) for name, (interval, form) in intervals.items()}
    values: dict[str, object] = {}
    for name, (interval, _) in intervals.items():
        values |= numbers(f"{row.method}: {name}", interval)
    short = shortened(row, scale)
    values |= {
        f"{row.method}: {name}": value
        for name, value in (
            ("finished", len(judged.accuracy)),
            ("diverged", judged.diverged),
            ("off interpolation", judged.off),
            ("shortened", short),
        )
    }
    if row.method != "1-SAM":
        return text, values
    remarks = [f"{sum(a >= GENERALIZES for a in judged.accuracy)} of {len(stored)} runs at least {GENERALIZES:g} accurate"]
    remarks += [divergences(stored)] * bool(judged.diverged)
    remarks += [f"{judged.off} end off interpolation"] * bool(judged.off)
    remarks += [f"shortened to {' + '.join(f'{p.epochs:,}' for p in phases(row, scale))} epochs"] * short
    words = {"measured": measured, "verdict": word(verdict), "remarks": "; ".join(remarks)}
    return text | words, values | words


def _settings(scale: str) -> str:
    if scale == "smoke":
        return "Scale smoke: d = 10, n = 40, width 32 and a few epochs, to exercise the code. Its numbers mean nothing."
    cut = "" if scale == "paper" else ", except the rows marked shortened (flatproof reproduce --scale paper does not shorten)"
    return (
        "P_xor with d = 30, n = 100, width 500; learning rate, rho, batch size, weight decay and epochs as printed" + cut + ". "
        "The paper states neither its initialization (here: uniform in ±1/sqrt(fan-in), Sim-BN's gamma uniform in [0, 1); "
        "gamma = 1 diverges at the printed learning rate for nearly every seed) nor Sim-LN's epsilon (here: 1e-3)."
    )


def figure(row: Row, stored: Sequence[StoredRun], scale: str, seeds: int, id: str = "", title: str = "") -> Figure:
    """Training curves of one row: median, quartiles and range over seeds.

    Args:
        row: what was trained.
        stored: its runs.
        scale: of the runs.
        seeds: how many were asked for.
        id: of the figure, if not the row's.
        title: in place of the row's name.
    """
    steps = phases(row, scale)
    settings = "; ".join(
        f"{p.epochs:,} epochs, lr {p.lr:g}, "
        + (f"rho {p.rho:g}" if p.rho else f"weight decay {p.weight_decay:g}")
        + ("" if p.perturbed == "all" else f" of the {p.perturbed}")
        + f", batch {p.batch_size}"
        for p in steps
    )
    cut = " (shortened)" if steps != row.phases else ""
    off = judge(row, stored, scale).off
    remarks = (COLLAPSE.format(off=off, runs=len(stored)),) if off and row.figure == "2a" and scale != "smoke" else ()
    ball = row.data == "uniform_ball"
    excess = "" if row.loss == MSE else "excess "
    return draw_curves(
        id=id or row.id,
        title=f"{title or f'Figure {row.figure}: {row.name}'}, {len(stored)} {'seeds' if len(stored) > 1 else 'seed'}",
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
        provenance=provenance([stored], scale),
        interpolates=row.interpolates,
    )


def seconds(stored: Sequence[StoredRun]) -> float:
    """A run's median time on one core, nan for none; with as many runs at a time as there are cores."""
    return float(np.median([run.result.seconds for run in stored])) if stored else np.nan


def time_needed(stored: Mapping[str, Sequence[StoredRun]], seeds: int) -> str:
    """What all seeds take by the runs so far, rows that have none and Sim-BN's left out and named."""
    known = {row.figure: seconds(stored[row.figure]) for row in ROWS if stored.get(row.figure)}
    cheap = {figure: cost for figure, cost in known.items() if ROW[figure].architecture != "sim-bn"}
    without = [row.figure for row in ROWS if row.figure not in cheap]
    hours = sum(cheap.values()) * seeds / 3600
    return (
        f"Time: 'seconds a run' is the median on one core with a run on every core. By these, {seeds} seeds of all rows but "
        f"{', '.join(without)} take {hours:.1f} core-hours."
    )


def table_2(runs: Mapping[str, Observations], scale: str, stored: Mapping[str, Sequence[StoredRun]], seeds: int) -> Table:
    """One line a figure: what the paper reports of one run, and what many seeds show.

    Args:
        runs: as `judge_figure` takes them.
        scale: of the runs.
        stored: what they come from, by figure.
        seeds: how many of each were asked for.
    """
    shown, raw = [], []
    for name in STATEMENTS:
        text, values = _line(judge_figure(name, runs, scale), stored.get(row_of(name).figure, ()), scale, seeds)
        shown.append(text)
        raw.append(values)
    return Table(
        id=TABLE_2,
        title="Figures 1 to 11 of wen2023: what the paper reports of one run, and what many seeds show",
        shown=pd.DataFrame(shown),
        raw=pd.DataFrame(raw),
        notes=(
            RULE,
            "Test accuracy, test loss (for the logistic loss in excess of its smallest value), trace and its ratio to the lower bound "
            "that no interpolating network goes below: smallest / lower quartile / median / upper quartile / largest over seeds (of "
            "fewer than five, each). –: not yet run, or no bound is known. Figure 2b: the networks of 2a after the phase at whose end "
            "they are judged. A trace can lie below its bound, which holds for exact interpolation: constant-step SAM keeps a small "
            "training loss, and off interpolation the residual term counts, too.",
            "Baseline: weight decay as printed. Logistic loss: label smoothing 0.2, read such that outputs get the labels' sign "
            "(theory/losses.py). Figure 6b: W1 and b1 are scaled together to norm 10 after each step. Test error on the uniform ball is "
            "squared, and there is no accuracy, as its labels are real numbers. Neither the initialization nor Sim-LN's epsilon is "
            "printed; see table-1.",
            time_needed(stored, seeds),
        ),
        provenance=provenance(list(stored.values()), scale),
        brief=("figure", "run", "seeds that show it", "verdict", "seeds", "remarks"),
    )


def _line(judged: Judgement, stored: Sequence[StoredRun], scale: str, seeds: int) -> tuple[dict[str, str], dict[str, object]]:
    """A figure's line of table-2: text by column, and the numbers behind it."""
    row, finished = row_of(judged.figure), [run for run in judged.runs.values() if run]
    accuracy, trace, test_loss = ([getattr(run, name) for run in finished] for name in ("accuracy", "trace", "test_loss"))
    counts = {
        "seeds": len(judged.runs),
        "diverged": len(judged.runs) - len(finished),
        "never": sum(not run.fits for run in finished),
        "off": sum(run.fits and run.off for run in finished),
    }
    remarks = [
        "shortened" if shortened(row, scale) and judged.runs else "",
        divergences(stored),
        f"{counts['never']} never interpolate" if counts["never"] else "",
        f"{counts['off']} leave interpolation in the last phase" if counts["off"] else "",
    ]
    text = {
        "figure": judged.figure,
        "run": row.name,
        "the paper reports": REPORTED[f"figure-{judged.figure}"],
        "seeds that show it": "; ".join(f"{f.text}: {f.shown} of {f.total}" for f in judged.findings) if judged.runs else DASH,
        "verdict": word(judged.verdict),
        "seeds": f"{len(judged.runs)} of {seeds}",
        "test accuracy": quantiles(accuracy, ".3f"),
        "test loss": quantiles(test_loss, ".3f"),
        "trace": quantiles(trace, "#.3g"),
        "trace / lower bound": quantiles([run.trace_ratio for run in finished if run.trace_ratio is not None], ".2f"),
        "seconds a run": f"{seconds(stored):.0f}" if stored else DASH,
        "remarks": "; ".join(filter(None, remarks)) or DASH,
    }
    levels = {
        f"{label}, {part}": float(value)
        for label, values in (("test accuracy", accuracy), ("test loss", test_loss), ("trace", trace))
        for part, value in zip(
            ("min", "25%", "median", "75%", "max"), np.quantile(values or [np.nan], np.arange(5) / 4), strict=True
        )
    }
    shares = {f"statement {i}": f.shown / f.total if f.total else np.nan for i, f in enumerate(judged.findings, start=1)}
    head = {"figure": judged.figure, "verdict": word(judged.verdict), "shortened": judged.short}
    return text, {**head, **counts, **levels, **shares, "seconds": seconds(stored)}


def figure_2b(stored: Sequence[StoredRun], scale: str) -> Table:
    """A line a phase and seed, from the runs of 2a."""
    shown: list[dict[str, str]] = [published.NETWORK_2B]
    raw: list[dict[str, object]] = []
    row = ROW["2a"]
    ends = np.cumsum([p.epochs for p in phases(row, scale)])
    for phase, label in enumerate(("the first phase", "both phases")):
        for run in stored:
            network = dict(networks(row, run.result)).get(phase)
            if network is None:
                continue
            curve, seed = run.result.curve, run.settings["seed"]
            accuracy = curve["test_accuracy"][curve["epoch"].index(ends[phase])]
            neurons = largest_neurons(network)
            norms = dict(zip(("column 1", "column 2", "largest other"), columns(network), strict=True))
            line = {"seed": str(seed), "after": label, "test accuracy": f"{accuracy:.3f}"}
            line |= {f"neuron {k}": f"{p:.3f}, {q:.3f} | {rest:.2f}" for k, (p, q, rest) in enumerate(neurons, start=1)}
            shown.append(line | {name: f"{norm:.2f}" for name, norm in norms.items()})
            parts = {
                f"neuron {k}, {part}": value
                for k, neuron in enumerate(neurons, start=1)
                for part, value in zip(("1", "2", "rest"), neuron, strict=True)
            }
            raw.append({"seed": seed, "after": label, "test accuracy": accuracy, **parts, **norms})
    if not raw:
        shown.append(dict.fromkeys(published.NETWORK_2B, DASH) | {"seed": NOT_YET})
    return Table(
        id=FIGURE_2B,
        title="Figure 2b: the first layer that Sim-BN learns, seed by seed",
        shown=pd.DataFrame(shown),
        raw=pd.DataFrame(raw),
        notes=(
            "Of the four neurons with the largest first-layer weights: W1[1], W1[2] | norm of W1[3:d]. Then the norms of the first two "
            "columns of W1 and the largest norm of another column. Runs of figure 2a: after its first phase, and after both (where rho = 1 "
            "drives the network off interpolation its neurons are those of the collapsed network). "
            "A run has no line for a phase in which it diverged.",
            *of_scale(scale),
        ),
        provenance=provenance([stored], scale),
        brief=("seed", "after", "neuron 1", "neuron 2", "column 1", "column 2", "largest other"),
    )
