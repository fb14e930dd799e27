"""Owns the rules by which kaur2023's claims are judged, written before any run of the grid; functions of a table of finished runs.

A run is a row: setup (network and data), rho, batch, lr, p (dropout), seed, log_lambda = log10 of lambda_max, accuracy on test images.
lambda_max of networks with batch normalization is that between iterates, of all others that at the iterate: the paper goes between
iterates at small learning rates; here it is done at all of them, so that what is compared within a network is of one kind.
Only runs that reached 99 % training accuracy count. Every effect is computed within a seed (a paired difference, or a least-squares
slope over learning rates), and its interval is Student's t at 95 % over seeds; with fewer than `LEAST_SEEDS` seeds it is not
judged. Where any one of k effects can decide, "among k" says that its interval is taken at 1 - 0.05/k (Bonferroni), so that chance
decides in at most 5 % of repetitions however many effects there are. Where all must agree, or a majority without dissent, the
intervals at 95 % suffice: chance seldom makes all agree.

    claim-1   a  s = d log10 lambda_max / d log10 lr in every (setup, batch), SGD.
                 supported: every interval below 0; refuted: one above 0, among all of them.
              b  g_B = d accuracy / d log10 lr at batch B. The benefit vanishes in a setup if g_small lies above 0, g_large does
                 not, and g_small - g_large lies above 0 (the first and the last among all setups). supported ("sometimes"): in one
                 setup at least; refuted: g_large lies above 0 in every setup.
    claim-2   (B, lr) against (kB, k lr), averaged over a setup's pairs. A setup supports it if the difference of log10 lambda_max
                 excludes 0 and that of accuracy lies within ±MARGIN; it contradicts it if the former lies within ±SAME, or the
                 latter outside ±MARGIN. By majority.
    claim-3   a  log10 lambda_max(SAM) - log10 lambda_max(SGD) at equal setup, batch, lr: as 1a.
              b  the accuracies' difference at the smallest and the largest batch: vanishing as in 1b; by majority of the setups with a
                 benefit at the small batch. contradicts: the benefit at the large batch lies above 0.
    claim-4   the largest p against the p < it that the *other* seeds find best in accuracy. A data set supports it if both
                 differences, of accuracy and of log10 lambda_max, lie below 0; it contradicts it if either lies above 0. By majority.
                 (Of settings at which every p reached 99 %; where the largest planned p never did, the data set is open.)
    claim-5   a  log10 lambda_max with batch normalization minus without, at equal data, batch, lr. supported ("not consistently
                 lower"): one interval above 0, among all of them; refuted: every interval below 0.
              b  the same difference of accuracy for each (data, batch): supports above 0, contradicts below 0; by majority.
    claim-6   e_B = d accuracy / d(-log10 lambda_max) over learning rates and optimizers at batch B: what a tenth of lambda_max is
                 worth. Of the setups with e_small above 0 (flatness goes with generalization), one supports it if e_small - e_large
                 lies above 0, else contradicts it if that lies below MARGIN; the others are open. By majority.

By majority: supported if more setups support than half and none contradicts; refuted the other way round; inconclusive otherwise.
A claim of two parts is supported if both are, refuted if one is. At a reduced size (any scale but paper) a verdict says so, and what
would refute is called contradicted: networks other than the paper's settle nothing about its statement, which the ledger leaves open.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
import pandas as pd

from flatproof.verify.experiments.kaur2023.grid import DROPOUTS
from flatproof.verify.experiments.kaur2023.jobs import DENSE, NORMALIZED, PLAIN
from flatproof.verify.experiments.vocabulary import Effect, Says, Verdict, consistently_below, majority

MARGIN = 0.02  # of test accuracy: less is no change in generalization
SAME = float(np.log10(1.1))  # of log10 lambda_max: less is no change
COLUMNS = ("setup", "data", "network", "rho", "batch", "lr", "p", "seed", "log_lambda", "accuracy")
RULES = {
    "1a": "slope of log10 λ_max over log10 lr, each network, data set and batch size: all below 0; one above 0 refutes (among all)",
    "1b": "somewhere accuracy rises with lr at the smallest batch, not at the largest, and the slopes differ (among all)",
    "2": "lr / batch kept: λ_max changes, accuracy stays within ±2 points; majority of networks and data sets, none against",
    "3a": "λ_max of SAM over SGD's at equal settings, each network, data set and batch: all below 1; one above refutes (among all)",
    "3b": "where SAM gains at the smallest batch it does not at the largest, and the gains differ (among all); majority, none against",
    "4": "largest p against the p that the other seeds find best: accuracy and λ_max both lower; majority, none against",
    "5a": "λ_max with over without, each data set, batch size and lr: one above 1 supports (among all), all below 1 refute",
    "5b": "accuracy with minus without, each data set and batch size: above 0; majority, none against",
    "6": "accuracy gained per tenth of λ_max: above 0 at the smallest batch, and more there than at the largest; majority, none against",
}


@dataclass(frozen=True)
class Part:
    """One part of a claim ("1a").

    Attributes:
        id: of the part.
        decide: the rule, a function of effects alone.
        of: the effects in the order in which the rule takes them; None where there is no value.
    """

    id: str
    decide: Callable[[Sequence[Effect | None]], Verdict]
    of: tuple[Effect | None, ...]

    @cached_property
    def verdict(self) -> Verdict:
        """Of the effects as they are."""
        return self.decide(self.of)

    @property
    def effects(self) -> tuple[Effect, ...]:
        """Those that have values."""
        return _kept(*self.of)


def effect_of(where: str, quantity: str, values: pd.Series) -> Effect | None:
    """An effect from one value a seed.

    Args:
        where: on which runs.
        quantity: what the values are of.
        values: by seed; NaN are left out.

    Returns:
        None without a value.
    """
    kept = values.dropna()
    return Effect(where, quantity, tuple(kept.tolist()), tuple(kept.index.tolist())) if len(kept) else None


def slopes(runs: pd.DataFrame, x: str, y: str) -> pd.Series:
    """Least-squares slopes of column y against column x, by seed; seeds with fewer than two different x are left out."""
    slope_of = {}
    for seed, group in runs.groupby("seed"):
        centred = group[x] - group[x].mean()
        if group[x].nunique() > 1:
            slope_of[seed] = float((centred * group[y]).sum() / (centred**2).sum())
    return pd.Series(slope_of, dtype=float)


def differences(first: pd.DataFrame, second: pd.DataFrame, on: Sequence[str], y: str) -> pd.DataFrame:
    """Paired differences.

    Args:
        first, second: runs.
        on: columns that pairs share, beside the seed.
        y: the column whose difference is taken.

    Returns:
        The matched rows, with first - second in a column `d`.
    """
    keys = [*on, "seed"]
    both = first[[*keys, y]].merge(second[[*keys, y]], on=keys, suffixes=("_1", "_2"))
    return both.assign(d=both[f"{y}_1"] - both[f"{y}_2"])


def by_seed(paired: pd.DataFrame) -> pd.Series:
    """The mean of `d` within each seed."""
    return paired.groupby("seed").d.mean()


def where(key: object) -> str:
    """A group's key in words."""
    values = key if isinstance(key, tuple) else (key,)
    return ", ".join(f"batch {v}" if isinstance(v, (int, np.integer)) else str(v) for v in values)


def cells(runs: pd.DataFrame, keys: Sequence[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """The groups of runs by columns, each with its name."""
    for key, group in runs.groupby(list(keys), sort=False):
        yield where(key), group


def triples(effects: Sequence[Effect | None]) -> list[tuple[Effect | None, ...]]:
    """Of each setup the effects at the small batch, at the large one, and their difference."""
    return list(zip(*[iter(effects)] * 3, strict=True))


def vanishing(gains: Sequence[Sequence[Effect | None]]) -> list[tuple[bool, bool, bool]]:
    """What becomes of a benefit from small batches to large ones.

    Args:
        gains: the `triples` of setups.

    Returns:
        For each setup whether there is a benefit at the small batch, whether it vanishes at the large one, and whether it persists
        there. One setup can decide, so benefit and difference are judged among all.
    """
    seen = []
    for small, large, gap in gains:
        benefit = small is not None and small.above_among(len(gains))
        persists = large is not None and large.above
        differs = gap is not None and gap.above_among(len(gains))
        seen.append((benefit, benefit and differs and large is not None and large.judged and not persists, persists))
    return seen


def _ends(runs: pd.DataFrame, value: Callable[[pd.DataFrame], pd.Series], name: str, what: str) -> list[Effect | None]:
    """An effect at the smallest and at the largest batch of a setup, and the first minus the second."""
    batches = sorted(runs.batch.unique())
    if len(batches) < 2:
        return [None, None, None]
    small, large = (value(runs[runs.batch == b]) for b in (batches[0], batches[-1]))
    return [
        effect_of(f"{name}, batch {batches[0]}", what, small),
        effect_of(f"{name}, batch {batches[-1]}", what, large),
        effect_of(f"{name}, batch {batches[0]} minus {batches[-1]}", what, small - large),
    ]


def _kept(*effects: Effect | None) -> tuple[Effect, ...]:
    return tuple(e for e in effects if e is not None)


SLOPE_LAMBDA = "d log10 λ_max per decade of learning rate"
SLOPE_ACCURACY = "d test accuracy per decade of learning rate"
RATIO, GAIN = "log10 of the ratio of λ_max", "difference of test accuracy"
WORTH = "d test accuracy per tenth of λ_max"


def falls(effects: Sequence[Effect | None]) -> Verdict:
    """The rule of 1a and 3a."""
    return consistently_below(_kept(*effects))


def _rises(effects: Sequence[Effect | None]) -> Verdict:
    """The rule of 5a: the opposite statement."""
    return falls(effects).opposite


def _sometimes_vanishes(effects: Sequence[Effect | None]) -> Verdict:
    """The rule of 1b."""
    seen = vanishing(triples(effects))
    if any(vanishes for _, vanishes, _ in seen):
        return Verdict.SUPPORTED
    return Verdict.REFUTED if seen and all(persists for *_, persists in seen) else Verdict.INCONCLUSIVE


def claim_1(runs: pd.DataFrame) -> list[Part]:
    """Larger learning rates: lambda_max at every batch size; the benefit at large ones."""
    sgd = runs[runs.rho == 0].assign(log_lr=np.log10(runs.lr))
    slope = [effect_of(w, SLOPE_LAMBDA, slopes(group, "log_lr", "log_lambda")) for w, group in cells(sgd, ("setup", "batch"))]
    gains = [
        _ends(group, lambda cell: slopes(cell, "log_lr", "accuracy"), w, SLOPE_ACCURACY) for w, group in cells(sgd, ("setup",))
    ]
    return [Part("1a", falls, _kept(*slope)), Part("1b", _sometimes_vanishes, tuple(chain(*gains)))]


def _moves_alone(effects: Sequence[Effect | None]) -> Verdict:
    """The rule of 2, of pairs: the change of lambda_max, that of accuracy."""
    says: list[Says] = []
    for moved, gained in zip(*[iter(effects)] * 2, strict=True):
        if moved is None or gained is None:
            continue
        if (moved.above or moved.below) and gained.within(MARGIN):
            says.append("supports")
        else:
            says.append("contradicts" if moved.within(SAME) or gained.outside(MARGIN) else "open")
    return majority(says)


def claim_2(runs: pd.DataFrame) -> list[Part]:
    """Batch size and learning rate scaled together."""
    effects: list[Effect | None] = []
    for name, group in cells(runs[runs.rho == 0], ("setup",)):
        ratio = group.assign(ratio=(group.lr / group.batch).map("{:.6e}".format))
        small = ratio[ratio.batch == ratio.batch.min()]
        large = ratio[ratio.batch > ratio.batch.min()]
        pair = [
            effect_of(name, what, by_seed(differences(large, small, ("ratio",), y)))
            for y, what in (("log_lambda", RATIO), ("accuracy", GAIN))
        ]
        effects += pair if None not in pair else []
    return [Part("2", _moves_alone, tuple(effects))]


def _vanishes(effects: Sequence[Effect | None]) -> Verdict:
    """The rule of 3b, of triples."""
    seen = vanishing(triples(effects))
    return majority(
        ["supports" if vanishes else "contradicts" if persists else "open" for benefit, vanishes, persists in seen if benefit]
    )


def claim_3(runs: pd.DataFrame) -> list[Part]:
    """SAM against SGD at equal settings."""

    def against(group: pd.DataFrame, y: str) -> pd.Series:
        return by_seed(differences(group[group.rho > 0], group[group.rho == 0], ("batch", "lr"), y))

    both = runs[runs.setup.isin(runs[runs.rho > 0].setup)]
    ratios = [effect_of(w, RATIO, against(group, "log_lambda")) for w, group in cells(both, ("setup", "batch"))]
    gains = [_ends(group, lambda cell: against(cell, "accuracy"), w, GAIN) for w, group in cells(both, ("setup",))]
    return [Part("3a", falls, _kept(*ratios)), Part("3b", _vanishes, tuple(chain(*gains)))]


def _degrades(effects: Sequence[Effect | None]) -> Verdict:
    """The rule of 4, of pairs: the change of accuracy, that of lambda_max; two None of a data set where dropout was not excessive."""
    says: list[Says] = []
    for gained, moved in zip(*[iter(effects)] * 2, strict=True):
        if gained is None or moved is None:
            says.append("open")
        else:
            contradicts = gained.above or moved.above
            says.append("contradicts" if contradicts else "supports" if gained.below and moved.below else "open")
    return majority(says)


def claim_4(runs: pd.DataFrame, most: float) -> list[Part]:
    """The largest planned dropout, `most`, against the best of the others, which the other seeds choose."""
    effects: list[Effect | None] = []
    for name, group in cells(runs, ("data",)):
        group = group[group.groupby(["seed", "batch", "lr"]).p.transform("nunique") == group.p.nunique()]
        if most not in group.p.values or group.p.nunique() < 2 or group.seed.nunique() < 2:
            effects += [None, None]  # excessive dropout was not seen here, or there is nothing to compare it with
            continue
        table = {y: group.groupby(["seed", "p"])[y].mean().unstack() for y in ("accuracy", "log_lambda")}
        lesser = table["accuracy"].drop(columns=most)
        best = {seed: lesser.drop(index=seed).mean().idxmax() for seed in lesser.index}
        effects += [
            effect_of(
                f"{name}, p = {most:g} against the best",
                what,
                pd.Series({seed: t.loc[seed, most] - t.loc[seed, p] for seed, p in best.items()}, dtype=float),
            )
            for t, what in ((table["accuracy"], GAIN), (table["log_lambda"], RATIO))
        ]
    return [Part("4", _degrades, tuple(effects))]


def _helps(effects: Sequence[Effect | None]) -> Verdict:
    """The rule of 5b."""
    return majority(["supports" if e.above else "contradicts" if e.below else "open" for e in _kept(*effects)])


def claim_5(runs: pd.DataFrame, plain: str, normalized: str) -> list[Part]:
    """Batch normalization against none, at equal data, batch, learning rate."""
    sgd = runs[runs.rho == 0]
    keys = ("data", "batch", "lr")
    first, second = sgd[sgd.network == normalized], sgd[sgd.network == plain]
    moved = [
        effect_of(f"{d}, batch {b}, lr {lr:g}", RATIO, by_seed(group))
        for (d, b, lr), group in differences(first, second, keys, "log_lambda").groupby(list(keys), sort=False)
    ]
    gained = [
        effect_of(w, GAIN, by_seed(group)) for w, group in cells(differences(first, second, keys, "accuracy"), ("data", "batch"))
    ]
    return [Part("5a", _rises, _kept(*moved)), Part("5b", _helps, _kept(*gained))]


def _limits(effects: Sequence[Effect | None]) -> Verdict:
    """The rule of 6, of triples."""
    says: list[Says] = []
    for small, _, gap in triples(effects):
        if gap is not None:
            benefit = small is not None and small.above
            below_margin = gap.judged and gap.interval.high < MARGIN
            says.append("open" if not benefit else "supports" if gap.above else "contradicts" if below_margin else "open")
    return majority(says)


def claim_6(runs: pd.DataFrame) -> list[Part]:
    """What a tenth of lambda_max is worth in accuracy, at the smallest and the largest batch."""
    flat = runs.assign(flatness=-runs.log_lambda)
    ends = [
        _ends(group, lambda cell: slopes(cell, "flatness", "accuracy"), name, WORTH) for name, group in cells(flat, ("setup",))
    ]
    return [Part("6", _limits, tuple(chain(*ends)))]


def judge(runs: pd.DataFrame) -> dict[str, list[Part]]:
    """Every claim's parts, from the runs that reached 99 % training accuracy."""
    runs = runs[runs.reached]
    convolutional, dense = runs[runs.network != DENSE], runs[runs.network == DENSE]
    return {
        "claim-1": claim_1(convolutional),
        "claim-2": claim_2(convolutional),
        "claim-3": claim_3(convolutional),
        "claim-4": claim_4(dense, max(DROPOUTS)),
        "claim-5": claim_5(convolutional, PLAIN, NORMALIZED),
        "claim-6": claim_6(convolutional),
    }
