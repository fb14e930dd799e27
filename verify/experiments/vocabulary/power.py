"""Owns how many seeds a rule needs: the rule itself, put to seeds drawn from the normal law with the means and covariances seen.

With values X (N seeds, E effects), their means m and C = X - m, a drawn seed is m + z C / sqrt(N - 1), z ~ N(0, I_N): the effects of a
drawn seed vary together as those of a seed that was run. It is as if each true effect were exactly its mean so far, so a number of seeds
here says what it takes if the effects are as large as they look; one whose effect is chance may never be decided.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flatproof.verify.experiments.vocabulary.cells import DASH
from flatproof.verify.experiments.vocabulary.verdicts import Effect, Verdict

COUNTS = (3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64, 96, 128)
POWER = 0.8  # of deciding
DRAWS = 400
SEED = 5
OPEN = (Verdict.INCONCLUSIVE, Verdict.NOT_JUDGED, Verdict.NOT_RUN)

Rule = Callable[[Sequence[Any]], Verdict]  # of effects, or of None where there is no value


@dataclass(frozen=True)
class Needed:
    """What a rule needs.

    Attributes:
        seeds: the fewest of COUNTS with which it decides, and decides alike, in POWER of the draws; None if not even the last will do.
        verdict: which; the most frequent one at the last count where `seeds` is None.
        share: of the draws that end so, at that count.
    """

    seeds: int | None
    verdict: Verdict
    share: float


def seeds_needed(decide: Rule, effects: Sequence[Effect | None]) -> Needed | None:
    """How many seeds the rule needs, were the effects what they look like.

    Args:
        decide: the rule's verdict on effects.
        effects: as seen; None where there is no value. Those with two seeds at least vary in the draws.

    Returns:
        None where nothing varies, or a training diverged: the rule judges no such effect.
    """
    seen = [e for e in effects if e is not None]
    if not seen or any(e.seeds < 2 or not np.isfinite(e.values).all() for e in seen):
        return None

    @cache
    def outcome(count: int) -> tuple[Verdict, float]:
        verdicts = Counter(decide(drawn) for drawn in _draws(effects, count))
        decided = {verdict: n for verdict, n in verdicts.items() if verdict not in OPEN} or verdicts
        verdict = max(decided, key=lambda v: decided[v])
        return verdict, verdicts[verdict] / DRAWS

    def decides(count: int) -> bool:
        verdict, share = outcome(count)
        return verdict not in OPEN and share >= POWER

    # not by bisection: where one effect must not show, more seeds can undo a verdict
    fewest = next(filter(decides, COUNTS), None)
    return Needed(fewest, *outcome(fewest or COUNTS[-1]))


def _draws(effects: Sequence[Effect | None], count: int) -> list[list[Effect | None]]:
    """DRAWS times the effects with `count` seeds, which vary together, as those of the seeds that were run do."""
    seeds = sorted({seed for e in effects if e is not None for seed in _seeds(e)})
    normal = np.random.default_rng((SEED, count)).standard_normal((DRAWS, count, len(seeds)))
    columns = [None if e is None else _drawn(e, normal[:, :, [seeds.index(seed) for seed in _seeds(e)]]) for e in effects]
    return [
        [
            None if e is None or c is None else replace(e, values=tuple(c[i].tolist()), of=())
            for e, c in zip(effects, columns, strict=True)
        ]
        for i in range(DRAWS)
    ]


def _seeds(effect: Effect) -> Sequence[int]:
    return effect.of or range(1, effect.seeds + 1)


def _drawn(effect: Effect, normal: NDArray[np.float64]) -> NDArray[np.float64]:
    values = np.array(effect.values)
    centred = (values - values.mean()) / np.sqrt(len(values) - 1)
    return np.asarray(values.mean() + normal @ centred)


def in_words(needed: Needed | None, reduced: bool) -> tuple[str, str]:
    """The number of seeds, and as what they decide with which share of the draws, as tables print them."""
    if needed is None:
        return DASH, DASH
    if needed.seeds is None:
        most = "no verdict" if needed.verdict in OPEN else f"{needed.verdict.worded(reduced)} in {needed.share:.0%}"
        return f"> {COUNTS[-1]}", most
    return str(needed.seeds), f"{needed.verdict.worded(reduced)} in {needed.share:.0%}"


def settling(
    rows: Sequence[tuple[dict[str, str], Verdict, int, Needed | None, float | None]], scale: str
) -> tuple[pd.DataFrame, pd.DataFrame, tuple[str, ...]]:
    """The table of what would settle each rule: as shown, raw, and its notes.

    Args:
        rows: of each rule its name by columns, its verdict, the seeds it rests on, what it needs, and the stated GPU hours that one seed
            of its runs takes at scale paper; None: not asked.
        scale: of the runs.
    """
    shown, raw = [], []
    for name, verdict, seeds, needed, hours in rows:
        count, outcome = in_words(needed, scale != "paper")
        in_all = (
            DASH
            if needed is None or hours is None
            else f"{'> ' * (needed.seeds is None)}{hours * (needed.seeds or COUNTS[-1]):.2g}"
        )
        shown.append({
            **name, "verdict": verdict.worded(scale != "paper"), "seeds": str(seeds), "seeds needed": count,
            "would end as": outcome, "GPU hours a seed": DASH if hours is None else f"{hours:.2g}", "GPU hours in all": in_all,
        })  # fmt: skip
        raw.append({
            **name, "verdict": verdict.value, "seeds": seeds, "needed": needed.seeds if needed else None,
            "outcome": needed.verdict.value if needed else None, "share": needed.share if needed else None, "hours": hours,
        })  # fmt: skip
    notes = (
        f"Seeds needed: the fewest of {', '.join(map(str, COUNTS))} with which the rule itself, put to {DRAWS} draws of seeds from the "
        "normal law with the means and covariances seen here, decides alike in "
        f"{POWER:.0%} of them at least. It is as if each effect were exactly as large as its mean so far: an effect that is chance may "
        f"never be decided, and networks of the paper's size may vary otherwise. {DASH}: not judged, one seed, or a diverged one.",
        "GPU hours: stated, not measured: what the runs of the rule take at most, each to its last epoch, at scale paper on one GPU of "
        "the class of an H100, at 20 Tflop/s of float32 and 80 microseconds a layer and step at least (verify/deep/costs.py); in all: "
        "times the seeds needed.",
    )
    return pd.DataFrame(shown), pd.DataFrame(raw).convert_dtypes(), notes
