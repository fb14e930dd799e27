"""The rules of kaur2023's verdicts on made-up runs with known answers; lambda_max between iterates; the grids; the real command."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from flatproof.verify.experiments import kaur2023
from flatproof.verify.experiments.kaur2023 import rules
from flatproof.verify.experiments.kaur2023.networks import vgg
from flatproof.verify.experiments.kaur2023.runs import (
    BETWEEN,
    DENSE,
    DROPOUTS,
    GRIDS,
    NORMALIZED,
    PLAIN,
    Final,
    along,
    curvature,
    grid,
)
from flatproof.verify.experiments.kaur2023.show import RULES, frame
from flatproof.verify.jobs.job import Stored, StoredValues
from flatproof.verify.jobs.store import Store

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
    found = rules.claim_1(runs(lambda r: 1 - 0.5 * decades(r), lambda r: 0.7 + (0.05 * decades(r) if small(r) else 0.0)))
    assert verdicts(found) == ["supported", "supported"]
    assert [round(e.interval.mean, 2) for e in found[0].effects] == [-0.5, -0.5]
    assert [round(e.interval.mean, 2) for e in found[1].effects] == [0.05, 0.0, 0.05]


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
    found = rules.claim_1(runs(lambda r: 1 - 0.5 * decades(r), lambda r: 0.7 + 0.05 * decades(r), seeds=(1, 2)))
    assert verdicts(found) == ["inconclusive", "inconclusive"]


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
    found = runs(
        lambda r: 1 + (ratio if r["rho"] else 0.0),
        lambda r: 0.7 + ((gain_small if small(r) else gain_large) if r["rho"] else 0.0),
        rhos=(0.0, 0.05),
    )
    assert verdicts(rules.claim_3(found)) == expected


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
    found = runs(lambda r: log_lambda[r["p"]], lambda r: accuracy[r["p"]], dropouts=(0.0, 0.2, 0.7), networks=(DENSE,))
    (part,) = rules.claim_4(found, 0.7)
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
    found = runs(lambda r: r["bn"] * moved(r), lambda r: 0.6 + gained * r["bn"], networks=(PLAIN, NORMALIZED))
    parts = rules.claim_5(found, PLAIN, NORMALIZED)
    assert verdicts(parts) == expected
    assert [len(part.effects) for part in parts] == [len(BATCHES) * len(RATES), len(BATCHES)]
    assert parts[1].effects[0].interval.mean == pytest.approx(gained, abs=5e-3)


@pytest.mark.parametrize(("worth", "expected"), [(0.0, "supported"), (0.05, "refuted"), (0.1, "refuted")])
def test_claim_6_compares_what_flatness_is_worth(worth: float, expected: str) -> None:
    found = runs(lambda r: -decades(r), lambda r: 0.7 + (0.05 if small(r) else worth) * decades(r), networks=(PLAIN, NORMALIZED))
    (part,) = rules.claim_6(found)
    assert part.verdict == expected
    assert [round(e.interval.mean, 2) for e in part.effects[:3]] == [0.05, worth, round(0.05 - worth, 2)]


@pytest.mark.parametrize("worth", [0.0, -0.05])
def test_claim_6_needs_flatness_to_go_with_generalization_at_small_batches(worth: float) -> None:
    # at the large batch flatness harms more, so the worths differ; but there is no link at the small batch that could break
    found = runs(lambda r: -decades(r), lambda r: 0.7 + (worth if small(r) else worth - 0.05) * decades(r), noise=0.0)
    (part,) = rules.claim_6(found.assign(log_lambda=found.log_lambda + 1e-3 * found.seed))
    assert part.effects[2].above
    assert part.verdict == "inconclusive"


def test_chance_decides_in_at_most_one_of_twenty() -> None:
    shape = pd.DataFrame([row for one in _quick() for row in one])
    sgd_or_sam, dense = shape[shape.network != DENSE], shape[shape.network == DENSE]
    rng, trials, decided = np.random.default_rng(0), 60, dict.fromkeys(("1a", "1b", "3a", "3b", "4", "5a", "5b"), 0)
    for _ in range(trials):
        a, b = (
            one.assign(log_lambda=rng.normal(size=len(one)), accuracy=rng.normal(size=len(one))) for one in (sgd_or_sam, dense)
        )
        for part in (*rules.claim_1(a), *rules.claim_3(a), *rules.claim_4(b, 0.7), *rules.claim_5(a, PLAIN, NORMALIZED)):
            decided[part.id] += part.verdict != "inconclusive"
    assert max(decided.values()) <= 0.05 * trials, decided


def _quick() -> Iterator[list[dict[str, object]]]:
    """The settings of scale quick's runs as rows."""
    for run in grid("quick", 3):
        where = {"setup": run.setup, "data": run.images.name, "network": run.network, "rho": run.training.method.rho}
        yield [where | {"batch": run.training.batch_size, "lr": run.lr, "p": run.p, "seed": run.training.seed}]


def test_majorities_and_parts() -> None:
    assert rules.majority(["supports", "supports", "open"]) == "supported"
    assert rules.majority(["supports", "open"]) == "inconclusive"
    assert rules.majority(["supports", "supports", "contradicts"]) == "inconclusive"
    assert rules.majority(["contradicts", "contradicts", "open"]) == "refuted"
    assert rules.majority([]) == "inconclusive"
    parts = [rules.Part(str(i), verdict, ()) for i, verdict in enumerate(("supported", "inconclusive", "refuted"))]  # type: ignore[arg-type]
    assert [rules.together(parts[:1]), rules.together(parts[:2]), rules.together(parts)] == [
        "supported",
        "inconclusive",
        "refuted",
    ]


def test_slopes_within_seeds_ignore_the_seeds_own_level() -> None:
    table = pd.DataFrame({"seed": [1, 1, 2, 2, 3], "x": [0.0, 1.0, 0.0, 2.0, 1.0], "y": [5.0, 7.0, -3.0, 1.0, 9.0]})
    assert rules.slopes(table, "x", "y").to_dict() == {1: 2.0, 2: 2.0}


def test_signs_of_intervals() -> None:
    one = rules.Effect("", "", (0.001, 0.01, 0.019))
    assert one.interval == pytest.approx(
        (0.01, 0.01 - 4.3027 * 0.009 / math.sqrt(3), 0.01 + 4.3027 * 0.009 / math.sqrt(3)), rel=1e-4
    )
    assert (one.above, one.below, one.within(0.05), one.within(0.02), one.outside(0.0)) == (False, False, True, False, False)
    sure = rules.Effect("", "", (0.009, 0.01, 0.011))
    assert sure.above
    # t at 1 - 0.05/2/k with 2 degrees of freedom: 6.2053 for k = 2, 17.277 for k = 15; the mean is 17.32 standard errors from 0
    assert sure.among(2).low == pytest.approx(0.01 - 6.2053 * 0.001 / math.sqrt(3), rel=1e-4)
    assert (sure.above_among(15), sure.above_among(16)) == (True, False)
    two = rules.Effect("", "", (0.01, 0.0101))
    assert not any((two.above, two.within(1.0), two.outside(0.0)))


# ------------------------------------------------------------------------------------------------------------------- measuring


class Quadratic(nn.Module):
    """Logits (w, 0) whatever the input: cross-entropy for class 0 is log(1 + exp(-w)), of second derivative s (1 - s), s = 1/(1+e^-w)."""

    def __init__(self, w: float) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([w], dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, 1) -> (n, 2)."""
        return torch.cat([self.w.expand(len(x), 1), torch.zeros(len(x), 1, dtype=torch.float64)], dim=1)


def test_between_iterates_is_where_the_next_full_step_passes() -> None:
    def bend(w: float) -> float:
        s = 1 / (1 + math.exp(-w))
        return s * (1 - s)

    w, lr = -4.0, 10.0
    model = Quadratic(w)
    batch = (torch.zeros(3, 1, dtype=torch.float64), torch.zeros(3, dtype=torch.int64))
    slope = 1 / (1 + math.exp(-w)) - 1
    places = [model, *along(model, batch, "eval", lr, BETWEEN)]
    found = [curvature(one, batch, "eval", 0.01).value for one in places]
    assert found == pytest.approx([bend(w - a * lr * slope) for a in (0.0, *BETWEEN)])
    assert float(model.w.detach()) == w  # the network itself stays where it is
    assert max(found) > 10 * found[0]  # a step over a ridge that the iterate does not show


def test_batch_norm_is_measured_through_the_statistics_of_the_images() -> None:
    torch.manual_seed(0)
    first, norm, last = nn.Linear(3, 4, bias=False), nn.BatchNorm1d(4), nn.Linear(4, 3, bias=False)
    model = nn.Sequential(first, norm, nn.ReLU(), last).double()
    x, y = torch.randn(40, 3, dtype=torch.float64), torch.randint(3, (40,))
    norm.running_mean += 1.0  # type: ignore[operator]
    sizes = [12, 4, 4, 12]

    def by_hand(weights: torch.Tensor) -> torch.Tensor:
        w, gamma, beta, v = weights.split(sizes)
        z = x @ w.reshape(4, 3).T
        z = (z - z.mean(0)) / torch.sqrt(z.var(0, unbiased=False) + norm.eps)
        return cross_entropy(torch.relu(gamma * z + beta) @ v.reshape(3, 4).T, y)

    weights = torch.cat([p.detach().flatten() for p in model.parameters()])
    exact = float(torch.linalg.eigvalsh(torch.autograd.functional.hessian(by_hand, weights))[-1])
    assert curvature(model, (x, y), "train", 0.001).value == pytest.approx(exact, rel=2e-3)
    assert curvature(model, (x, y), "eval", 0.001).value != pytest.approx(exact, rel=0.05)


def test_the_vgg_takes_both_data_sets() -> None:
    for channels, side in ((3, 32), (1, 28), (1, 8)):
        assert vgg(channels, side, narrow=32)(torch.zeros(2, channels, side, side)).shape == (2, 10)
    with pytest.raises(ValueError, match="side must be an even number of pixels up to 32, got 33"):
        vgg(side=33)
    torch.manual_seed(0)
    model = vgg()
    stds = [m.weight.std().item() / math.sqrt(2 / m.weight[0].numel()) for m in model if isinstance(m, nn.Conv2d)]
    assert stds == pytest.approx([1.0] * 8, abs=0.05)
    norms = [m for m in vgg(narrow=8, normalized=True) if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 8


# ----------------------------------------------------------------------------------------------------------------------- grids


@pytest.mark.parametrize("scale", ["smoke", "quick", "paper"])
def test_every_claim_can_be_judged_from_each_grid(scale: str) -> None:
    found = grid(scale, 3)
    assert len({run.key for run in found}) == len(found)
    convolutional = [run for run in found if run.network != DENSE]
    ratios = [(run.setup, run.lr / run.training.batch_size) for run in convolutional if run.training.seed == 1]
    assert any(ratios.count(one) > 1 for one in ratios)  # claim 2
    by_setup: dict[str, set[int]] = {}
    for run in convolutional:
        if run.training.method.rho:
            by_setup.setdefault(run.setup, set()).add(run.training.batch_size)
    assert all(len(batches) > 1 for batches in by_setup.values())  # claim 3
    assert len({run.p for run in found}) == len(GRIDS[scale].dropouts)
    assert {run.network for run in found if run.between} == {NORMALIZED}
    assert len({run.between for run in found if run.network == NORMALIZED}) == 1  # all of one kind, whatever the learning rate
    assert max(run.p for run in found) == max(DROPOUTS)  # what claim 4 takes for the largest planned


def stored(run: Final, accuracy: float, top: float, reached: bool = True, between: tuple[float, ...] = ()) -> StoredValues:
    estimate = {"value": top, "low": top, "high": 1.1 * top}
    values = {
        "status": "finished",
        "stopped": "",
        "epochs": 10,
        "train_accuracy": 0.995 if reached else 0.5,
        "test_accuracy": accuracy,
        "at": estimate,
        "between": [{"value": b, "low": b, "high": 1.1 * b} for b in between],
        "edition": "made up",
    }
    return Stored(run.settings(), values, {"commit": "c"})


def test_runs_short_of_99_percent_do_not_count() -> None:
    found = [(run, stored(run, 0.5, 10.0, reached=run.training.seed != 2)) for run in grid("quick", 3)]
    table = frame(found)
    assert table.reached.sum() == 2 * len(table) // 3
    assert {e.seeds for part in kaur2023.judged(found)["claim-3"] for e in part.effects} == {2}


def test_between_iterates_counts_in_place_of_the_iterate_for_batch_normalization_alone() -> None:
    found = grid("quick", 1)
    normalized = frame([(run, stored(run, 0.5, 10.0, between=(20.0, 100.0, 30.0))) for run in found if run.network == NORMALIZED])
    assert set(normalized.log_lambda) == {2.0}
    assert set(normalized["at"]) == {10.0}
    assert normalized.bound.tolist() == pytest.approx([0.1] * len(normalized))  # of what is judged, not of the iterate
    plain = frame([(run, stored(run, 0.5, 10.0)) for run in found if run.network == PLAIN])
    assert set(plain.log_lambda) == {1.0}
    assert plain.between.isna().all()


def test_the_table_shows_both_places(tmp_path: Path) -> None:
    with Store(tmp_path / "runs.sqlite") as store:
        for run in grid("quick", 1):
            outcome = stored(run, 0.5, 10.0, between=(100.0,) if run.between else ())
            store.put(run, outcome.outcome, outcome.provenance)
        (table,) = kaur2023.build(["kaur2023/table-2"], "quick", 1, store)
    shown = table.shown.set_index("network")  # type: ignore[union-attr]
    assert set(shown.loc[NORMALIZED, "λ_max"]) == {"100 *"}
    assert set(shown.loc[NORMALIZED, "at the iterate"]) == {"10"}
    assert set(shown.loc[PLAIN, "λ_max"]) == {"10"}


@pytest.mark.parametrize("there", [True, False])
def test_scale_paper_takes_a_gpu_where_there_is_one(there: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    device = "cuda" if there else "cpu"
    assert {run.training.device for run in grid("paper", 1)} == {device}
    assert {run.training.device for run in grid("quick", 1)} == {"cpu"}
    run = next(run for run in grid("paper", 1, "cuda"))
    with Store(tmp_path / "runs.sqlite") as store:
        outcome = stored(run, 0.5, 10.0)
        store.put(run, outcome.outcome, outcome.provenance)
        assert [one.key for one, _ in kaur2023.stored_runs("paper", 1, store)] == [run.key]  # a report needs no GPU


def test_the_ledger_shows_verdicts_of_stored_runs(tmp_path: Path) -> None:
    assert {c.status for c in kaur2023.claims([], None)} == {"open"}
    with Store(tmp_path / "runs.sqlite") as store:
        for run in grid("quick", 3):
            lower = 0.5 ** (run.p + (run.training.method.rho > 0))
            worse = 0.3 * (run.p > 0.5) + 0.01 * run.training.seed
            outcome = stored(run, 0.8 - worse, 10 * lower)
            store.put(run, outcome.outcome, outcome.provenance)
        found = {c.id: c for c in kaur2023.claims([], store)}
        assert found["kaur2023/claim-4"].status == "open"  # only scale paper settles it
        assert "supported" in found["kaur2023/claim-4"].evidence[0].finding
        assert "supported (reduced size)" in found["kaur2023/claim-4"].evidence[0].finding
        assert found["kaur2023/claim-1"].status == "open"  # lambda_max does not depend on the learning rate here
        names = {a.id for a in kaur2023.build(kaur2023.ARTIFACTS, "quick", 3, store)}
    assert names == set(kaur2023.ARTIFACTS)


@pytest.mark.parametrize(("scale", "status"), [("quick", "open"), ("paper", "tested")])
def test_only_scale_paper_supports(scale: str, status: str, tmp_path: Path) -> None:
    with Store(tmp_path / "runs.sqlite") as store:
        for run in (run for run in grid(scale, 3, "cpu") if run.network == DENSE):
            lower = 0.5**run.p * (1 + 0.001 * run.training.seed)
            outcome = stored(run, 0.8 - 0.3 * (run.p > 0.5) + 0.001 * run.training.seed * run.p, 10 * lower)
            store.put(run, outcome.outcome, outcome.provenance)
        claim = kaur2023.claims(["kaur2023/claim-4"], store)[0]
    assert claim.status == claim.evidence[0].supports == status
    assert claim.evidence[0].finding.startswith("supported")


@pytest.mark.parametrize(
    ("scale", "word", "status"), [("quick", "contradicted (reduced size)", "open"), ("paper", "refuted", "refuted")]
)
def test_only_scale_paper_refutes(scale: str, word: str, status: str, tmp_path: Path) -> None:
    with Store(tmp_path / "runs.sqlite") as store:
        for run in (run for run in grid(scale, 3, "cpu") if run.network == DENSE):
            outcome = stored(run, 0.8 + 0.1 * run.p + 0.001 * run.training.seed, 10.0)  # the more dropout the better
            store.put(run, outcome.outcome, outcome.provenance)
        claim = kaur2023.claims(["kaur2023/claim-4"], store)[0]
        (table,) = kaur2023.build(["kaur2023/table-1"], scale, 3, store)
    assert claim.status == claim.evidence[0].supports == status
    assert claim.evidence[0].finding.startswith(word)
    assert (claim.corrected is None) == (status == "open")
    if claim.corrected is not None:
        assert claim.corrected.startswith("Instead, 4 refuted: ")
        assert "4 above 0" in claim.corrected  # of four data sets
    rows = table.shown.set_index("claim")  # type: ignore[union-attr]
    assert rows.loc["claim-4", "verdict"] == rows.loc["claim-4", "part"] == word


def test_verdicts_of_reduced_runs_say_so() -> None:
    said = [rules.in_size(v, reduced) for reduced in (True, False) for v in ("supported", "refuted", "inconclusive")]
    assert said[:3] == ["supported (reduced size)", "contradicted (reduced size)", "inconclusive"]
    assert said[3:] == ["supported", "refuted", "inconclusive"]


def test_without_data_the_tables_say_so(tmp_path: Path) -> None:
    with Store(tmp_path / "runs.sqlite") as store:
        tables = {a.id: a for a in kaur2023.build(kaur2023.ARTIFACTS, "quick", 3, store)}
    cells = tables["kaur2023/table-2"].shown  # type: ignore[union-attr]
    assert cells["λ_max"].tolist() == ["data not available on this machine"] * 2
    assert set(tables["kaur2023/table-1"].shown.verdict) == {"data not available on this machine"}  # type: ignore[union-attr]


def test_every_part_has_its_rule_in_words() -> None:
    parts = [part.id for parts in kaur2023.judged([]).values() for part in parts]
    assert parts == list(RULES)
