"""The rules of kaur2023's verdicts on made-up runs with known answers."""

import math
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import pytest

from flatproof.verify.experiments.kaur2023 import rules
from flatproof.verify.experiments.kaur2023.grid import runs_of
from flatproof.verify.experiments.kaur2023.jobs import DENSE, NORMALIZED, PLAIN
from flatproof.verify.experiments.kaur2023.show import frame
from flatproof.verify.experiments.vocabulary import Effect, Verdict, majority, together

SEEDS = (1, 2, 3)
BATCHES, RATES = (100, 1000), (0.01, 0.1)
Value = Callable[[dict[str, float]], float]


def runs(
    log_lambda: Value,
    accuracy: Value,
    *,
    seeds: tuple[int, ...] = SEEDS,
    rhos: tuple[float, ...] = (0.0,),
    networks: tuple[str, ...] = (PLAIN,),
    dropouts: tuple[float, ...] = (0.0,),
    datasets: tuple[str, ...] = ("cifar10_1k",),
    noise: float = 1e-3,
) -> pd.DataFrame:
    """A run for every combination, with formulas of its settings for log10 lambda_max and accuracy, and a little noise a seed."""
    rng = np.random.default_rng(0)
    rows = []
    for data in datasets:
        for network in networks:
            for batch in BATCHES:
                for lr in RATES:
                    for rho in rhos:
                        for p in dropouts:
                            for seed in seeds:
                                row = {
                                    "batch": batch,
                                    "lr": lr,
                                    "rho": rho,
                                    "p": p,
                                    "seed": seed,
                                    "bn": float(network == NORMALIZED),
                                }
                                values = (log_lambda(row) + noise * rng.normal(), accuracy(row) + noise * rng.normal())
                                names = {"setup": f"{network}, {data}", "data": data, "network": network}
                                rows.append(names | row | {"log_lambda": values[0], "accuracy": values[1]})
    return pd.DataFrame(rows)


def decades(row: dict[str, float]) -> float:
    return math.log10(row["lr"])


def small(row: dict[str, float]) -> bool:
    return row["batch"] == min(BATCHES)


def verdicts(parts: list[rules.Part]) -> list[str]:
    return [part.verdict for part in parts]


def test_claim_1_slopes_and_a_benefit_that_vanishes() -> None:
    parts = rules.claim_1(runs(lambda r: 1 - 0.5 * decades(r), lambda r: 0.7 + (0.05 * decades(r) if small(r) else 0.0)))
    assert verdicts(parts) == ["supported", "supported"]
    assert [round(e.interval.mean, 2) for e in parts[0].effects] == [-0.5, -0.5]
    assert [round(e.interval.mean, 2) for e in parts[1].effects] == [0.05, 0.0, 0.05]


@pytest.mark.parametrize(
    ("log_lambda", "accuracy", "expected"),
    [
        (lambda r: 1 + (0.5 if small(r) else -0.5) * decades(r), lambda r: 0.7 + 0.05 * decades(r), ["refuted", "refuted"]),
        (lambda r: 1.0, lambda r: 0.7, ["inconclusive", "inconclusive"]),
        (lambda r: 1 - decades(r), lambda r: 0.7 - 0.05 * decades(r), ["supported", "inconclusive"]),
    ],
)
def test_claim_1_otherwise(log_lambda: Value, accuracy: Value, expected: list[str]) -> None:
    # without noise the constant cases have intervals of no width, which must not count as a sign
    assert verdicts(rules.claim_1(runs(log_lambda, accuracy, noise=0.0 if expected[0] == "inconclusive" else 1e-3))) == expected


def test_two_seeds_settle_nothing() -> None:
    parts = rules.claim_1(runs(lambda r: 1 - 0.5 * decades(r), lambda r: 0.7 + 0.05 * decades(r), seeds=(1, 2)))
    assert verdicts(parts) == ["inconclusive", "inconclusive"]


@pytest.mark.parametrize(
    ("moved", "gained", "expected"),
    [
        (0.3, 0.0, "supported"),
        (-0.3, 0.0, "supported"),
        (0.0, 0.0, "refuted"),
        (0.3, 0.1, "refuted"),
        (0.3, -0.1, "refuted"),
        (0.3, 0.02, "inconclusive"),
    ],
)
def test_claim_2_pairs_equal_ratios(moved: float, gained: float, expected: str) -> None:
    def log_lambda(r: dict[str, float]) -> float:
        return 0.0 if small(r) else moved

    def accuracy(r: dict[str, float]) -> float:
        return 0.7 if small(r) else 0.7 + gained

    (part,) = rules.claim_2(runs(log_lambda, accuracy))
    assert part.verdict == expected
    # of (100, 0.01), (100, 0.1), (1000, 0.01), (1000, 0.1) one pair keeps lr / batch
    assert {e.seeds for e in part.effects} == {3}
    assert part.effects[0].interval.mean == pytest.approx(moved, abs=5e-3)
    assert rules.claim_2(runs(log_lambda, accuracy).query("lr < 0.05"))[0].effects == ()


@pytest.mark.parametrize(
    ("ratio", "gain_small", "gain_large", "expected"),
    [
        (-0.3, 0.05, 0.0, ["supported", "supported"]),
        (-0.3, 0.05, 0.05, ["supported", "refuted"]),
        (0.3, 0.0, 0.0, ["refuted", "inconclusive"]),
        (-0.3, -0.05, 0.05, ["supported", "inconclusive"]),
    ],
)
def test_claim_3_pairs_sam_with_sgd(ratio: float, gain_small: float, gain_large: float, expected: list[str]) -> None:
    table = runs(
        lambda r: 1 + (ratio if r["rho"] else 0.0),
        lambda r: 0.7 + ((gain_small if small(r) else gain_large) if r["rho"] else 0.0),
        rhos=(0.0, 0.05),
    )
    assert verdicts(rules.claim_3(table)) == expected


@pytest.mark.parametrize(
    ("accuracy", "log_lambda", "expected"),
    [
        ({0.0: 0.70, 0.2: 0.75, 0.7: 0.60}, {0.0: 1.0, 0.2: 0.5, 0.7: 0.1}, "supported"),
        ({0.0: 0.70, 0.2: 0.75, 0.7: 0.60}, {0.0: 1.0, 0.2: 0.5, 0.7: 0.9}, "refuted"),
        ({0.0: 0.70, 0.2: 0.75, 0.7: 0.80}, {0.0: 1.0, 0.2: 0.5, 0.7: 0.1}, "refuted"),
    ],
)
def test_claim_4_compares_the_largest_dropout_with_the_best(
    accuracy: dict[float, float], log_lambda: dict[float, float], expected: str
) -> None:
    table = runs(lambda r: log_lambda[r["p"]], lambda r: accuracy[r["p"]], dropouts=(0.0, 0.2, 0.7), networks=(DENSE,))
    (part,) = rules.claim_4(table, 0.7)
    assert part.verdict == expected
    assert [e.interval.mean for e in part.effects] == pytest.approx(
        [accuracy[0.7] - accuracy[0.2], log_lambda[0.7] - log_lambda[0.2]], abs=5e-3
    )


def test_claim_4_lets_the_other_seeds_choose() -> None:
    # every seed is best by chance at a p of its own: choosing by itself would make it look 0.1 better than it is
    luck = {1: 0.0, 2: 0.2, 3: 0.4}
    table = runs(lambda r: 0.0, lambda r: 0.7, dropouts=(0.0, 0.2, 0.4, 0.7), networks=(DENSE,), noise=0.0)
    table["accuracy"] += 0.1 * (table.p == table.seed.map(luck))
    (part,) = rules.claim_4(table, 0.7)
    assert part.effects[0].interval.mean == pytest.approx(0.0)


def test_claim_4_leaves_out_settings_at_which_some_dropout_fails() -> None:
    table = runs(lambda r: r["p"], lambda r: 0.7 - r["p"] - r["lr"], dropouts=(0.0, 0.2, 0.7), networks=(DENSE,), noise=0.0)
    failed = (table.p == 0.7) & (table.lr == max(RATES)) & (table.seed == 2)
    (part,) = rules.claim_4(table[~failed], 0.7)
    assert part.effects[0].interval.mean == pytest.approx(-0.7)  # not moved by the learning rate that p = 0.7 lacks


@pytest.mark.parametrize(
    "lacking",
    [
        lambda t: t.p == 0.7,  # the largest never fits: the next must not be called excessive in its place
        lambda t: (t.p == 0.7) == (t.lr == max(RATES)),  # no setting at which every p fits
        lambda t: t.p < 0.7,  # nothing to compare with
        lambda t: t.seed > 1,
    ],
)
def test_claim_4_is_open_where_excessive_dropout_was_not_seen(lacking: Callable[[pd.DataFrame], pd.Series]) -> None:
    table = runs(lambda r: -r["p"], lambda r: 0.7 - r["p"], dropouts=(0.0, 0.2, 0.7), networks=(DENSE,))
    assert verdicts(rules.claim_4(table, 0.7)) == ["supported"]
    (part,) = rules.claim_4(table[~lacking(table)], 0.7)
    assert (part.verdict, part.effects) == ("inconclusive", ())
    both = pd.concat([table, table[~lacking(table)].assign(data="fashion_mnist_1k")])
    assert verdicts(rules.claim_4(both, 0.7)) == ["inconclusive"]  # one of two is no majority


@pytest.mark.parametrize(
    ("moved", "gained", "expected"),
    [
        (lambda r: -0.5 if r["lr"] < 0.05 else 0.5, 0.05, ["supported", "supported"]),
        (lambda r: -0.5, 0.05, ["refuted", "supported"]),
        (lambda r: 0.5, -0.05, ["supported", "refuted"]),
    ],
)
def test_claim_5_pairs_networks(moved: Value, gained: float, expected: list[str]) -> None:
    table = runs(lambda r: r["bn"] * moved(r), lambda r: 0.6 + gained * r["bn"], networks=(PLAIN, NORMALIZED))
    parts = rules.claim_5(table, PLAIN, NORMALIZED)
    assert verdicts(parts) == expected
    assert [len(part.effects) for part in parts] == [len(BATCHES) * len(RATES), len(BATCHES)]
    assert parts[1].effects[0].interval.mean == pytest.approx(gained, abs=5e-3)


@pytest.mark.parametrize(("worth", "expected"), [(0.0, "supported"), (0.05, "refuted"), (0.1, "refuted")])
def test_claim_6_compares_what_flatness_is_worth(worth: float, expected: str) -> None:
    table = runs(lambda r: -decades(r), lambda r: 0.7 + (0.05 if small(r) else worth) * decades(r), networks=(PLAIN, NORMALIZED))
    (part,) = rules.claim_6(table)
    assert part.verdict == expected
    assert [round(e.interval.mean, 2) for e in part.effects[:3]] == [0.05, worth, round(0.05 - worth, 2)]


@pytest.mark.parametrize("worth", [0.0, -0.05])
def test_claim_6_needs_flatness_to_go_with_generalization_at_small_batches(worth: float) -> None:
    # at the large batch flatness harms more, so the worths differ; but there is no link at the small batch that could break
    table = runs(lambda r: -decades(r), lambda r: 0.7 + (worth if small(r) else worth - 0.05) * decades(r), noise=0.0)
    (part,) = rules.claim_6(table.assign(log_lambda=table.log_lambda + 1e-3 * table.seed))
    assert part.effects[2].above
    assert part.verdict == "inconclusive"


def test_chance_decides_in_at_most_one_of_twenty() -> None:
    shape = pd.DataFrame(_quick())
    sgd_or_sam, dense = shape[shape.network != DENSE], shape[shape.network == DENSE]
    rng, trials, decided = np.random.default_rng(0), 60, dict.fromkeys(("1a", "1b", "3a", "3b", "4", "5a", "5b"), 0)
    for _ in range(trials):
        a, b = (
            table.assign(log_lambda=rng.normal(size=len(table)), accuracy=rng.normal(size=len(table)))
            for table in (sgd_or_sam, dense)
        )
        for part in (*rules.claim_1(a), *rules.claim_3(a), *rules.claim_4(b, 0.7), *rules.claim_5(a, PLAIN, NORMALIZED)):
            decided[part.id] += part.verdict != "inconclusive"
    assert max(decided.values()) <= 0.05 * trials, decided


def _quick() -> Iterator[dict[str, object]]:
    """The settings of scale quick's runs as rows."""
    for run in runs_of("quick", 3):
        where = {"setup": run.setup, "data": run.images.name, "network": run.network, "rho": run.training.method.rho}
        yield where | {"batch": run.training.batch_size, "lr": run.lr, "p": run.p, "seed": run.training.seed}


def test_majorities_and_parts() -> None:
    assert majority(["supports", "supports", "open"]) == "supported"
    assert majority(["supports", "open"]) == "inconclusive"
    assert majority(["supports", "supports", "contradicts"]) == "inconclusive"
    assert majority(["contradicts", "contradicts", "open"]) == "refuted"
    assert majority([]) == "inconclusive"
    parts = ("supported", "inconclusive", "refuted")
    assert [together(parts[:1]), together(parts[:2]), together(parts)] == [
        "supported",
        "inconclusive",
        "refuted",
    ]


def test_slopes_within_seeds_ignore_the_seeds_own_level() -> None:
    table = pd.DataFrame({"seed": [1, 1, 2, 2, 3], "x": [0.0, 1.0, 0.0, 2.0, 1.0], "y": [5.0, 7.0, -3.0, 1.0, 9.0]})
    assert rules.slopes(table, "x", "y").to_dict() == {1: 2.0, 2: 2.0}


def test_signs_of_intervals() -> None:
    effect = Effect("", "", (0.001, 0.01, 0.019))
    assert effect.interval == pytest.approx(
        (0.01, 0.01 - 4.3027 * 0.009 / math.sqrt(3), 0.01 + 4.3027 * 0.009 / math.sqrt(3)), rel=1e-4
    )
    assert (effect.above, effect.below, effect.within(0.05), effect.within(0.02), effect.outside(0.0)) == (
        False,
        False,
        True,
        False,
        False,
    )
    sure = Effect("", "", (0.009, 0.01, 0.011))
    assert sure.above
    # t at 1 - 0.05/2/k with 2 degrees of freedom: 6.2053 for k = 2, 17.277 for k = 15; the mean is 17.32 standard errors from 0
    assert sure.among(2).low == pytest.approx(0.01 - 6.2053 * 0.001 / math.sqrt(3), rel=1e-4)
    assert (sure.above_among(15), sure.above_among(16)) == (True, False)
    two = Effect("", "", (0.01, 0.0101))
    assert not any((two.above, two.within(1.0), two.outside(0.0)))


def test_verdicts_of_reduced_runs_say_so() -> None:
    words = [Verdict(v).worded(reduced) for reduced in (True, False) for v in ("supported", "refuted", "inconclusive")]
    assert words[:3] == ["supported (reduced size)", "contradicted (reduced size)", "inconclusive"]
    assert words[3:] == ["supported", "refuted", "inconclusive"]


def test_every_part_has_its_rule_in_words() -> None:
    parts = [part.id for parts in rules.judge(frame([])).values() for part in parts]
    assert parts == list(rules.RULES)
