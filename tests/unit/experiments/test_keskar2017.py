"""keskar2017's experiment: its networks, plans, measurements and the rules of its verdicts."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path as Folder

import pytest
import torch
from torch import nn

from flatproof.verify.deep import ImageData, Net, Stop, Training, trained
from flatproof.verify.deep.data import samples
from flatproof.verify.deep.loop import build, loss_and_accuracy
from flatproof.verify.deep.networks import alexnet_like, fully_connected, vgg_like
from flatproof.verify.experiments import keskar2017
from flatproof.verify.experiments.keskar2017 import rules
from flatproof.verify.experiments.keskar2017.jobs import Path, Sharpness, Spectrum, estimate_statistics, problem_of, weights_of
from flatproof.verify.experiments.keskar2017.plan import NETWORKS, PLANS, plan_of
from flatproof.verify.experiments.keskar2017.published import ACCURACY, CLAIMS, EPSILONS, SHARPNESS
from flatproof.verify.experiments.keskar2017.results import Results, differences, known, log_ratios, show
from flatproof.verify.jobs.job import Job, Outcome
from flatproof.verify.jobs.store import Store
from flatproof.verify.jobs.sweep import sweep
from flatproof.verify.jobs.workspace import working_in
from flatproof.verify.realdata import UNAVAILABLE
from flatproof.verify.report.artifacts import Table

QUICK = PLANS["quick"]


@pytest.fixture(autouse=True)
def place(tmp_path: Folder) -> Iterator[None]:
    with working_in(tmp_path / "files"):
        yield


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def norms(*widths: int) -> int:
    return sum(2 * width for width in widths)


def test_networks_have_the_parameters_that_the_paper_describes() -> None:
    f1 = 784 * 512 + 4 * 512**2 + 5 * 512 + norms(*[512] * 5) + 512 * 10 + 10
    assert count(fully_connected()) == f1
    c1 = (75 * 64 + 64) + (25 * 64 * 64 + 64) + norms(64, 64, 384, 192)
    c1 += 64 * 64 * 384 + 384 + 384 * 192 + 192 + 192 * 10 + 10
    assert count(alexnet_like()) == c1
    widths = [64, 64, 128, 128, *[256] * 3, *[512] * 6]
    convolutions = sum(9 * a * b + b for a, b in zip([3, *widths], widths, strict=False))
    c2 = convolutions + norms(*widths, 512) + 512 * 512 + 512 + 512 * 10 + 10
    assert count(vgg_like()) == c2


@pytest.mark.parametrize(
    ("make", "shape"), [(fully_connected, (2, 1, 28, 28)), (alexnet_like, (2, 3, 32, 32)), (vgg_like, (2, 3, 32, 32))]
)
def test_networks_map_images_to_logits_and_drop_out_where_the_paper_does(make: object, shape: tuple[int, ...]) -> None:
    model = make(classes=7)  # type: ignore[operator]
    assert model(torch.randn(shape)).shape == (2, 7)
    rates = [m.p for m in model.modules() if isinstance(m, nn.Dropout)]
    expected = {fully_connected: [], alexnet_like: [0.5, 0.5], vgg_like: [0.3, 0.4, *[0.4] * 6, 0.5, 0.5]}[make]  # type: ignore[index]
    assert rates == expected
    shared = [id(p) for p in model.parameters()]
    assert len(set(shared)) == len(shared)


def test_published_numbers_are_complete() -> None:
    assert set(NETWORKS) == set(ACCURACY) == set(SHARPNESS["full"]) == set(SHARPNESS["subspace"])
    assert set(rules.JUDGES) == set(rules.RULES) == set(CLAIMS)


PRINTED = {  # by network: table 2; table 3 at both epsilons; table 4 at both; "mean deviation" of SB and LB
    "F1": (
        "99.66 0.05, 99.92 0.01, 98.03 0.07, 97.81 0.07",
        "1.23 0.83, 205.14 69.52, 0.61 0.27, 42.90 17.14",
        "0.11 0.00, 9.22 0.56, 0.05 0.00, 9.17 0.14",
    ),
    "F2": (
        "99.99 0.03, 98.35 2.08, 64.02 0.2, 59.45 1.05",
        "1.39 0.02, 310.64 38.46, 0.90 0.05, 93.15 6.81",
        "0.29 0.02, 23.63 0.54, 0.05 0.00, 6.28 0.19",
    ),
    "C1": (
        "99.89 0.02, 99.66 0.2, 80.04 0.12, 77.26 0.42",
        "28.58 3.13, 707.23 43.04, 7.08 0.88, 227.31 23.23",
        "2.18 0.23, 137.25 21.60, 0.71 0.15, 29.50 7.48",
    ),
    "C2": (
        "99.99 0.04, 99.99 0.01, 89.24 0.12, 87.26 0.07",
        "8.68 1.32, 925.32 38.29, 2.07 0.86, 175.31 18.28",
        "0.95 0.34, 25.09 2.61, 0.31 0.08, 5.82 0.52",
    ),
    "C3": (
        "99.56 0.44, 99.88 0.30, 49.58 0.39, 46.45 0.43",
        "29.85 5.98, 258.75 8.96, 8.56 0.99, 105.11 13.22",
        "17.02 2.20, 236.03 31.26, 4.03 1.45, 86.96 27.39",
    ),
    "C4": (
        "99.10 1.23, 99.57 1.84, 63.08 0.5, 57.81 0.17",
        "12.83 3.84, 421.84 36.97, 4.07 0.87, 109.35 16.57",
        "6.05 1.13, 72.99 10.96, 1.89 0.33, 19.85 4.12",
    ),
}


@pytest.mark.parametrize("network", PRINTED)
def test_published_numbers_are_those_of_the_paper(network: str) -> None:
    def pairs(row: str) -> tuple[tuple[float, ...], ...]:
        return tuple(tuple(float(number) for number in pair.split()) for pair in row.split(", "))

    held = (ACCURACY[network], SHARPNESS["full"][network], SHARPNESS["subspace"][network])
    assert held == tuple(map(pairs, PRINTED[network]))
    assert EPSILONS == (1e-3, 5e-4)


@pytest.mark.parametrize("scale", PLANS)
def test_plans_are_consistent(scale: str) -> None:
    plan = plan_of(scale, "cpu")
    for network in NETWORKS:
        if not plan.runs(network):
            continue
        sb, lb = plan.sb(network, 1), plan.lb(network, 1)
        assert lb.batch_size == plan.samples(network) // 10 > sb.batch_size
        assert sb.net == lb.net
        assert {sb.batch_size, lb.batch_size} <= set(plan.batch_sizes(network))
        assert 0 in sb.keep
        assert 0 in lb.keep
        if network in keskar2017.detailed(plan):
            assert set(plan.warm) <= set(sb.keep)  # what warm starts start from
    if scale == "paper":
        assert [plan.sb(n, 1).batch_size for n in NETWORKS] == [256] * 6
        assert [plan.lb(n, 1).batch_size for n in NETWORKS] == [6000, 72132, 5000, 5000, 5000, 5000]
    elif scale == "quick":
        ratios = [plan.large(n) / plan.small_batch(n) for n in ("F1", "C1")]
        assert all(19 < ratio < 24 for ratio in ratios)  # the paper's are 23.4 and 19.5


def test_every_artifact_finds_its_jobs() -> None:
    """What the whole grid holds is what the artifacts need one by one, and each job is there once."""
    everything = keskar2017.grid(keskar2017.ARTIFACTS, "smoke", 1)
    keys = [job.key for _, job in everything]
    assert len(set(keys)) == len(keys)
    single = {job.key for id in keskar2017.ARTIFACTS for _, job in keskar2017.grid([id], "smoke", 1)}
    assert single == set(keys)
    for name, least in (("table-2", 2), ("table-3", 2), ("figure-3", 1), ("figure-4", 4), ("remedies", 10), ("claims", 40)):
        assert len(keskar2017.grid([f"keskar2017/{name}"], "smoke", 1)) >= least


def trained_pair() -> tuple[Training, Training]:
    plan = plan_of("smoke")
    return plan.sb("F1", 1), plan.lb("F1", 1)


def test_a_path_passes_through_both_solutions_and_measures_distances() -> None:
    sb, lb = trained_pair()
    values = Path(sb, lb, (0.0, 0.5, 1.0), None).carry_out()
    data = samples(sb.data)
    for along in ("linear", "curved"):
        for position, one in ((0, sb), (2, lb)):
            model, _ = trained(one)
            estimate_statistics(model, data.train_x)
            loss, accuracy = loss_and_accuracy(model, data.test_x, data.test_y)
            assert values[along]["test_loss"][position] == pytest.approx(loss, rel=1e-5)
            assert values[along]["test_accuracy"][position] == accuracy
    assert values["linear"]["train_loss"][1] != pytest.approx(values["curved"]["train_loss"][1], rel=1e-3)
    start, end = (torch.cat([p.detach().flatten() for p in trained(sb, epoch)[0].parameters()]) for epoch in (0, None))
    assert values["distance_small"] == pytest.approx(float((end - start).norm()), rel=1e-5)
    json.dumps(values, allow_nan=False)


def test_coefficients_of_the_paths() -> None:
    for path in ("linear", "curved"):
        assert weights_of(path, 0.0) == pytest.approx((0, 1))
        assert weights_of(path, 1.0) == pytest.approx((1, 0))
    assert weights_of("linear", -1.0) == (-1.0, 2.0)
    assert weights_of("curved", 0.5) == pytest.approx((math.sqrt(0.5), math.sqrt(0.5)))


def test_statistics_are_those_of_the_images() -> None:
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))
    norm = model[1]
    assert isinstance(norm, nn.BatchNorm1d)
    norm.running_mean.fill_(9.0)  # type: ignore[union-attr]
    x = torch.randn(50, 4) * 3 + 1
    estimate_statistics(model, x)
    torch.testing.assert_close(norm.running_mean, x.mean(0))
    torch.testing.assert_close(norm.running_var, x.var(0))
    assert norm.momentum == 0.1
    assert not any(m.training for m in model.modules())


def test_sharpness_is_the_metric_of_the_trained_network() -> None:
    from flatproof.verify.curvature import measures

    sb, _ = trained_pair()
    values = Sharpness(sb, None, 50).carry_out()
    model, _ = trained(sb)
    problem = problem_of(model, sb, 50)
    data = samples(sb.data)
    assert values["loss"] == pytest.approx(loss_and_accuracy(model, data.train_x[:50], data.train_y[:50])[0], rel=1e-5)
    assert values["full"][1] == pytest.approx(measures()["keskar"](problem, epsilon=5e-4).value, rel=1e-4)
    assert values["full"][0] > values["full"][1] > 0
    assert values["subspace"][0] > values["subspace"][1] > 0
    assert Sharpness(sb, 1, 50, False).carry_out()["loss"] != values["loss"]
    assert "subspace" not in Sharpness(sb, None, 50, False).carry_out()


def test_eigenvalues_agree_with_the_whole_matrix() -> None:
    from flatproof.verify.curvature import HessianOperator

    data = ImageData("synthetic", 60, 20, {"side": 3, "noise": 1.0})
    net = Net("fully-connected", {"inputs": 9, "width": 6, "depth": 1})
    one = Training(data, net, plan_of("smoke").sb("F1", 1).method, Stop(3), batch_size=10)
    values = Spectrum(one, None, None, 3).carry_out()
    exact = torch.linalg.eigvalsh(HessianOperator.of(problem_of(trained(one)[0], one, None)).dense()).flip(0)
    assert values["values"][0] == pytest.approx(float(exact[0]), rel=0.05)
    assert values["low"][0] <= float(exact[0]) * (1 + 1e-5)
    assert values["high"][0] >= float(exact[0]) * (1 - 1e-5)


def test_what_was_not_reached_or_diverged_is_said() -> None:
    sb, _ = trained_pair()
    short = replace(sb, stop=Stop(2, accuracy=0.01), keep=(0, 2))  # stops at once, before epoch 2
    assert Sharpness(short, 2, 20).carry_out() == {"status": "ended"}
    plain = Net(sb.net.build, {**sb.net.settings, "batch_norm": False})
    wild = replace(sb, net=plain, method=replace(sb.method, optimizer="sgd", lr=1e8), stop=Stop(9))
    assert Sharpness(wild, None, 20).carry_out() == {"status": "diverged"}
    assert Path(wild, wild, (0.0, 1.0), 20).carry_out() == {"status": "diverged"}


# ------------------------------------------------------------------------------------------------------------------- rules


def test_columns() -> None:
    assert differences([3.0, None, math.nan], [1.0, 2.0, 1.0])[0] == 2.0
    assert math.isnan(differences([3.0, None, math.nan], [1.0, 2.0, 1.0])[1])
    assert log_ratios([10.0, 1e-9, None], [0.1, 1e-5, 1.0]) == pytest.approx([2.0, 0.0])
    assert math.isnan(log_ratios([math.nan], [1.0])[0])
    assert known([1.0, None, 2.0]) == [1.0, 2.0]
    assert show([]) == "–"
    assert show([1.0]) == "1.00 [one seed]"
    assert show([1.0, 3.0, math.nan]) == "2.00 [-10.71, 14.71]; 1 diverged"


@pytest.mark.parametrize(
    ("parts", "verdict"),
    [
        ([[1.0, 1.1, 0.9]], "supported"),
        ([[-1.0, -1.1, -0.9]], "refuted"),
        ([[1.0, -1.0, 0.1]], "inconclusive"),
        ([[1.0, 1.1]], "inconclusive"),  # too few seeds
        ([[1.0, 1.1, 0.9, math.nan]], "inconclusive"),  # one diverged
        ([[1.0, 1.1, 0.9], [1.0, -1.0, 0.1]], "inconclusive"),
        ([[1.0, 1.1, 0.9], [-1.0, -1.1, -0.9]], "refuted"),
        ([[1.0, 1.1, 0.9], []], "inconclusive"),
    ],
)
def test_signs(parts: list[list[float]], verdict: str) -> None:
    assert rules.signs(parts) == verdict


class Made(Results):
    """Results whose numbers a test chooses."""

    def __init__(self, store: Store, plan: str, numbers: dict[tuple[str, str], float], spread: float = 0.01) -> None:
        super().__init__(plan_of(plan, "cpu"), 3, store)
        self.numbers, self.spread = numbers, spread

    def _chosen(self, kind: str, training: Training, epoch: int | None = None) -> float:
        plan = self.plan
        names = {
            "early": epoch is not None,
            "warm": training.start is not None,
            "remedy": training.method != plan.sb("F1", 1).method or bool(training.augment),
            "small": training.batch_size in plan.small,
        }
        name = next((name for name, is_it in names.items() if is_it), "large")
        name += " small" if name == "early" and names["small"] else ""
        return self.numbers.get((kind, name), 1.0) * (1 + self.spread * (training.seed - 2))

    def final(self, trainings: object, name: str) -> list[float | None]:
        return [self._chosen(name, training) for training in trainings]  # type: ignore[attr-defined]

    best = final

    def phi(self, trainings: object, space: str = "full", which: int = 0, epoch: int | None = None) -> list[float | None]:
        return [self._chosen("phi", training, epoch) for training in trainings]  # type: ignore[attr-defined]

    def values(self, job: Job) -> dict[str, object]:
        assert isinstance(job, Spectrum)
        return {"status": "measured", "values": [self._chosen("eigenvalue", job.training)]}


@pytest.fixture
def store(tmp_path: Folder) -> Iterator[Store]:
    with Store(tmp_path / "runs.sqlite") as opened:
        yield opened


ACCURATE = {
    ("test_accuracy", "small"): 98.0,
    ("test_accuracy", "large"): 90.0,
    ("train_accuracy", "small"): 99.0,
    ("train_accuracy", "large"): 98.5,
}
SHARP = {("phi", "small"): 1.0, ("phi", "large"): 50.0, ("eigenvalue", "small"): 1.0, ("eigenvalue", "large"): 9.0}
HELPED = {
    **SHARP,
    **ACCURATE,
    ("train_accuracy", "remedy"): 98.0,
    ("test_accuracy", "remedy"): 94.0,
    ("phi", "remedy"): 30.0,
}
WARM = {
    **SHARP,
    ("test_accuracy", "warm"): 95.0,
    ("test_accuracy", "large"): 90.0,
    ("phi", "warm"): 1.0,
    ("train_accuracy", "large"): 96.0,
}


@pytest.mark.parametrize(
    ("claim", "numbers", "verdict"),
    [
        ("claim-1", ACCURATE, "supported"),
        ("claim-1", {**ACCURATE, ("test_accuracy", "large"): 99.9}, "refuted"),
        ("claim-1", {**ACCURATE, ("train_accuracy", "large"): 96.0}, "inconclusive"),
        ("claim-2", SHARP, "supported"),
        ("claim-2", {**SHARP, ("phi", "large"): 2.0}, "refuted"),  # sharper, but not by an order of magnitude
        ("claim-2", {**SHARP, ("phi", "large"): 0.1}, "refuted"),
        ("claim-2", {**SHARP, ("eigenvalue", "large"): 0.5}, "inconclusive"),
        ("claim-4", {**ACCURATE, **SHARP}, "supported"),
        ("claim-4", {**ACCURATE, **SHARP, ("phi", "large"): 0.1}, "refuted"),
        (
            "claim-5",
            {("test_accuracy", "warm"): 95.0, ("test_accuracy", "large"): 90.0, **SHARP, ("phi", "warm"): 1.0},
            "supported",
        ),
        ("claim-5", {("test_accuracy", "warm"): 80.0, ("test_accuracy", "large"): 90.0, **SHARP}, "refuted"),
        ("claim-5", {**WARM, ("train_accuracy", "warm"): 95.0}, "supported"),
        ("claim-5", {**WARM, ("train_accuracy", "warm"): 90.0}, "inconclusive"),
        ("claim-4", {**ACCURATE, **SHARP, ("train_accuracy", "large"): 90.0}, "inconclusive"),
        ("claim-4", {**ACCURATE, **SHARP, ("phi", "large"): 0.1, ("train_accuracy", "large"): 90.0}, "inconclusive"),
        ("claim-8", {**HELPED, ("train_accuracy", "remedy"): 90.0}, "inconclusive"),
        ("claim-8", {**HELPED, ("train_accuracy", "small"): 90.0}, "inconclusive"),
        ("claim-2", {**SHARP, ("eigenvalue", "small"): 1e-6, ("eigenvalue", "large"): 9e-6}, "supported"),  # no floor on these
        ("claim-2", {**SHARP, ("eigenvalue", "small"): -1.0}, "inconclusive"),
        ("claim-7", {**SHARP, ("phi", "early"): 2.0, ("phi", "early small"): 3.0}, "supported"),
        ("claim-7", {**SHARP, ("phi", "early"): 2.0, ("phi", "early small"): 0.2}, "refuted"),
        ("claim-8", HELPED, "supported"),
        ("claim-8", {**HELPED, ("phi", "remedy"): 0.3}, "refuted"),
    ],
)
def test_rules_of_single_networks(store: Store, claim: str, numbers: dict[tuple[str, str], float], verdict: str) -> None:
    assert rules.JUDGES[claim](Made(store, "paper", numbers, 0.002), "C1")[0] == verdict


@pytest.mark.parametrize(
    ("large", "paper", "quick"),
    [
        (90.0, "supported", "supported (reduced size)"),
        (99.9, "refuted", "contradicted (reduced size)"),
        (98.0, *["inconclusive"] * 2),
    ],
)
def test_reduced_size_is_said_of_both_directions_and_smoke_judges_nothing(
    store: Store, large: float, paper: str, quick: str
) -> None:
    numbers = {**ACCURATE, ("test_accuracy", "large"): large}
    for scale, verdict in (("paper", paper), ("quick", quick), ("smoke", "not judged")):
        found = rules.judge(Made(store, scale, numbers, 0.002), "claim-1")
        assert found.verdict == verdict, found
        assert {finding.verdict for finding in found.findings} == {verdict}


def put(store: Store, job: Job, values: dict[str, object]) -> None:
    store.put(job, Outcome(values, 1.0), {"commit": "test"})


@pytest.mark.parametrize(
    ("large", "verdict"), [((1.0, 1.01, 1.02), "supported"), ((9.0, 9.01, 9.02), "refuted"), ((1.0, 2.0, 9.0), "inconclusive")]
)
def test_claims_3_and_6_from_stored_paths(store: Store, large: tuple[float, ...], verdict: str) -> None:
    found = keskar2017.results("quick", 3, store)
    for seed, distance in enumerate(large, start=1):
        job = keskar2017.path(found.plan, "F1", seed)
        sharp = [0.1 * abs(a) + (a - 1) ** 2 * (10 - distance) for a in job.alphas]
        falls = [1 - 0.1 * x for x in sharp]
        along = {"train_loss": sharp, "test_loss": sharp, "train_accuracy": falls, "test_accuracy": falls}
        curves = {"status": "measured", "alpha": list(job.alphas), "linear": along, "curved": along}
        put(store, job, {**curves, "distance_small": 5.0, "distance_large": distance, "distance_between": 1.0})
    assert rules.claim_6(found, "F1")[0] == verdict
    verdict_3, said, seeds = rules.claim_3(found, "F1")
    assert seeds == 3
    assert "at LB less at SB: linear, train loss" in said
    # both bend alike, the kink at SB adds 0.1 x 0.25 there
    assert verdict_3 == "refuted"


@pytest.mark.parametrize(
    ("odd", "verdict"),
    [(None, "supported"), ("train_accuracy", "refuted"), ("test_accuracy", "refuted"), ("test_loss", "refuted")],
)
@pytest.mark.parametrize("bent", ["linear", "curved"])
def test_claim_3_wants_all_of_loss_and_accuracy_on_both_paths_and_splits(
    store: Store, odd: str | None, verdict: str, bent: str
) -> None:
    """Steeper at LB in everything supports; one thing that is steeper at SB refutes."""
    found = keskar2017.results("quick", 3, store)
    for seed in found.seeds:
        job = keskar2017.path(found.plan, "F1", seed)

        def kink(at: float, job: Path = job, seed: int = seed) -> list[float]:
            return [(1 + 0.01 * seed) * abs(a - at) for a in job.alphas]

        def measured(at: float, what: str) -> list[float]:
            return [1 - 0.1 * x for x in kink(at)] if what.endswith("accuracy") else kink(at)

        names = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
        values = {
            along: {name: measured(0.0 if (along, name) == (bent, odd) else 1.0, name) for name in names}
            for along in ("linear", "curved")
        }
        put(store, job, {"status": "measured", "alpha": list(job.alphas), **values})
    assert rules.claim_3(found, "F1")[0] == verdict


def test_an_sb_that_stops_early_leaves_its_warm_starts_out_of_the_tables(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the grid through the sweep to every artifact: warm starts from epochs that SB did not reach, and nothing fails."""
    short = replace(PLANS["smoke"], small_epochs=4, patience=1, kept=(0, 1, 4), warm=(1, 4), batches=(), remedied=())
    monkeypatch.setitem(PLANS, "smoke", short)
    monkeypatch.setattr(
        "flatproof.verify.deep.loop.since_improvement", lambda losses, improvement: len(losses) - 1
    )  # stops after one epoch
    names = {"keskar2017/table-1", "keskar2017/trainings", "keskar2017/figure-5", "keskar2017/figure-2", "keskar2017/table-2"}
    jobs = [one for one in keskar2017.grid(sorted(names), "smoke", 1) if one[0].startswith("F1")]
    ended = [job for name, job in jobs if "LB after 4 of SB" in name]
    assert len(ended) == 2  # the training and its sharpness
    assert sweep([job for _, job in jobs], store) == len(jobs)
    for job in ended:
        stored = store.get(job)
        assert stored is not None
        assert stored.result["status"] == "ended"
        assert "ended" in job.summary(stored.result)
    assert sweep([job for _, job in jobs], store) == 0
    found = keskar2017.results("smoke", 1, store)
    never, began = (found.plan.warm_start("F1", 1, epoch) for epoch in (4, 1))
    assert found.final([never], "test_accuracy") == found.best([never], "test_accuracy") == found.phi([never]) == [None]
    assert None not in (*found.final([began], "test_accuracy"), *found.phi([began]))
    assert rules.claim_5(found, "F1")[1].startswith("after 1 epochs")
    built = {a.id: a for a in keskar2017.build([*keskar2017.ARTIFACTS], "smoke", 1, store)}
    assert names <= set(built)
    table = built["keskar2017/trainings"]
    assert isinstance(table, Table)
    rows = table.shown[table.shown["network"] == "F1"].set_index("training")
    assert rows["never began"].to_dict() == {
        "SB, 4": "0", "LB, 12": "0", "LB after 1 epochs of SB": "0", "LB after 4 epochs of SB": "1",
    }  # fmt: skip
    assert rows.loc["SB, 4", "updates"] == "30"
    assert rows.loc["LB, 12", "updates"] == "10"
    assert rows.loc["LB after 4 epochs of SB", "updates"] == "–"


def test_tables_state_updates_and_the_limit_of_epochs(store: Store) -> None:
    plan = plan_of("quick")
    for seed, (steps, stopped) in enumerate(
        [(500, "100 epochs"), (500, "100 epochs"), (150, "training loss no longer improves")], 1
    ):
        for one in (plan.lb("C1", seed), plan.remedy("C1", seed, "conservative training")):
            curve = {"train_accuracy": [0.9], "test_accuracy": [0.5]}
            values = {"status": "finished", "curve": curve, "steps": steps, "epochs": steps // 5, "stopped": stopped}
            put(store, one, values)
    trainings, remedied = keskar2017.build(["keskar2017/trainings", "keskar2017/remedies"], "quick", 3, store)[::-1]
    for table, network, plain in ((trainings, "C1", "LB, 250"), (remedied, "C1", "LB")):
        assert isinstance(table, Table)
        rows = table.shown[table.shown["network"] == network].set_index("training")
        assert rows.loc[plain, "updates"] == "150 to 500"
        assert rows.loc["LB, conservative training", "updates"] == "450 to 1,500"
        assert rows.loc[plain, "at the limit of epochs"] == "2 of 3"
    assert any("three times the updates of plain LB" in note for note in remedied.notes)


def test_timit_at_the_papers_scale_is_as_large_as_the_papers() -> None:
    """Fewer frames are an error of the data set's limit, other features or classes one of the network's fit."""
    training = plan_of("paper", "cpu").lb("F2", 1)
    assert training.data.train == 721_329
    assert (training.net.settings["inputs"], training.net.settings["classes"]) == (360, 1973)


def test_an_empty_store_says_what_is_missing(store: Store) -> None:
    artifacts = keskar2017.build(keskar2017.ARTIFACTS, "quick", 3, store)
    assert [a.id for a in artifacts] == [f"keskar2017/{name}" for name in keskar2017.TABLES]
    table = next(a for a in artifacts if a.id == "keskar2017/table-2")
    said = dict(zip(table.shown["network"], table.shown["test SB, ours"], strict=True))  # type: ignore[union-attr]
    assert said["C2"] == "not run at scale quick"
    for network in ("F1", "F2", "C1", "C3"):
        assert said[network] == ("not run" if QUICK.images(network).available() else UNAVAILABLE)
    ledger = keskar2017.claims([], store)
    assert [c.id for c in ledger] == [f"keskar2017/{name}" for name in CLAIMS]
    assert {c.status for c in ledger} == {"open"}
    assert (
        keskar2017.claims(["keskar2017/claim-4"], None)[0].evidence[0].finding
        == "not run: flatproof reproduce keskar2017 runs it"
    )


def test_data_that_are_absent_are_not_in_the_grid(tmp_path: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLATPROOF_DATA", str(tmp_path))
    assert keskar2017.grid(keskar2017.ARTIFACTS, "quick", 2) == []
    assert {name.split()[0] for name, _ in keskar2017.grid(keskar2017.ARTIFACTS, "smoke", 2)} == {"F1", "C1", "C2"}


def test_sb_and_lb_share_their_start() -> None:
    sb, lb = trained_pair()
    one, other = (build(t.net, t.seed).state_dict() for t in (sb, lb))
    assert all(torch.equal(value, other[name]) for name, value in one.items())
    assert not torch.equal(next(iter(one.values())), next(iter(build(sb.net, 2).state_dict().values())))


@pytest.mark.parametrize(
    ("scale", "large", "status", "verdict"),
    [
        ("quick", (90.0, 90.5, 91.0), "open", "supported (reduced size)"),
        ("quick", (98.5, 99.0, 99.2), "open", "contradicted (reduced size)"),
        ("paper", (90.0, 90.5, 91.0), "tested", "supported"),
        ("paper", (98.5, 99.0, 99.2), "refuted", "refuted"),
    ],
)
def test_the_ledger_takes_the_verdict_from_stored_trainings(
    store: Store, scale: str, large: tuple[float, ...], status: str, verdict: str
) -> None:
    plan = plan_of(scale, "cpu")
    for seed, accuracy in enumerate(large, start=1):
        for one, test in ((plan.sb("F1", seed), 0.97), (plan.lb("F1", seed), accuracy / 100)):
            curve = {"epoch": [0.0, 1.0], "train_accuracy": [0.1, 0.999], "test_accuracy": [0.1, test]}
            put(store, one, {"status": "finished", "curve": curve, "device": "cpu"})
    (found,) = keskar2017.claims(["keskar2017/claim-1"], store)
    assert found.status == status
    assert (found.corrected is not None) == (status == "refuted")
    assert found.printed == CLAIMS["claim-1"]
    mean = sum(large) / 3
    said = next(e for e in found.evidence if e.scope == f"F1, scale {scale}")
    assert f"SB - LB {97 - mean:.2f} [" in said.finding
    assert said.finding.startswith(f"{verdict}: ")
    (table,) = keskar2017.build(["keskar2017/table-2"], scale, 3, store)
    row = table.shown.set_index("network").loc["F1"]  # type: ignore[union-attr]
    assert row["test SB, ours"] == "97.00 [97.00, 97.00]"
    assert row["test SB, printed"] == "98.03 ± 0.07"
    assert table.provenance["seeds"] == "1, 2, 3"
