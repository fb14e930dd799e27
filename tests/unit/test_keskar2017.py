"""keskar2017's experiment: its networks, plans, measurements and the rules of its verdicts."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path as Folder

import pytest
import torch
from torch import nn

from verify.deep import ImageData, Net, Stop, Training, trained
from verify.deep.data import samples
from verify.deep.loop import build, loss_and_accuracy
from verify.experiments import keskar2017
from verify.experiments.keskar2017 import rules
from verify.experiments.keskar2017.jobs import Path, Sharpness, Spectrum, estimate_statistics, problem_of, weights_of
from verify.experiments.keskar2017.plan import NETWORKS, PLANS, plan_of
from verify.experiments.keskar2017.published import ACCURACY, CLAIMS, SHARPNESS
from verify.experiments.keskar2017.results import Results, differences, known, log_ratios, show
from verify.jobs import Job, Outcome
from verify.models import alexnet_like, fully_connected, vgg_like
from verify.realdata import UNAVAILABLE
from verify.store import Store
from verify.workspace import working_in

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
    from verify.curvature import measures

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
    from verify.curvature import HessianOperator

    data = ImageData("synthetic", 60, 20, {"side": 3, "noise": 1.0})
    net = Net("verify.models:fully_connected", {"inputs": 9, "width": 6, "depth": 1})
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
        ("claim-7", {**SHARP, ("phi", "early"): 2.0, ("phi", "early small"): 3.0}, "supported"),
        ("claim-7", {**SHARP, ("phi", "early"): 2.0, ("phi", "early small"): 0.2}, "refuted"),
        ("claim-8", {**SHARP, **ACCURATE, ("test_accuracy", "remedy"): 94.0, ("phi", "remedy"): 30.0}, "supported"),
        ("claim-8", {**SHARP, **ACCURATE, ("test_accuracy", "remedy"): 94.0, ("phi", "remedy"): 0.3}, "refuted"),
    ],
)
def test_rules_of_single_networks(store: Store, claim: str, numbers: dict[tuple[str, str], float], verdict: str) -> None:
    assert rules.JUDGES[claim](Made(store, "paper", numbers, 0.002), "C1")[0] == verdict


def test_a_contradiction_at_reduced_size_is_inconclusive_and_smoke_judges_nothing(store: Store) -> None:
    against = {**ACCURATE, ("test_accuracy", "large"): 99.9}
    for scale, verdict in (("paper", "refuted"), ("quick", "inconclusive"), ("smoke", "not judged")):
        found = rules.judge(Made(store, scale, against, 0.002), "claim-1")
        assert found.verdict == verdict, found
    assert "contradicts, at reduced size" in rules.judge(Made(store, "quick", against, 0.002), "claim-1").findings[0].said


def put(store: Store, job: Job, values: dict[str, object]) -> None:
    store.put_outcome(job, Outcome(values, 1.0), {"commit": "test"})


@pytest.mark.parametrize(
    ("large", "verdict"), [((1.0, 1.01, 1.02), "supported"), ((9.0, 9.01, 9.02), "refuted"), ((1.0, 2.0, 9.0), "inconclusive")]
)
def test_claims_3_and_6_from_stored_paths(store: Store, large: tuple[float, ...], verdict: str) -> None:
    found = keskar2017.results("quick", 3, store)
    for seed, distance in enumerate(large, start=1):
        job = keskar2017.path(found.plan, "F1", seed)
        sharp = [0.1 * abs(a) + (a - 1) ** 2 * (10 - distance) for a in job.alphas]
        along = {"train_loss": sharp, "test_loss": sharp}
        curves = {"status": "measured", "alpha": list(job.alphas), "linear": along, "curved": along}
        put(store, job, {**curves, "distance_small": 5.0, "distance_large": distance, "distance_between": 1.0})
    assert rules.claim_6(found, "F1")[0] == verdict
    verdict_3, said, seeds = rules.claim_3(found, "F1")
    assert seeds == 3
    assert "rise at LB less at SB" in said
    # both bend alike, the kink at SB adds 0.1 x 0.25 there
    assert verdict_3 == "refuted"


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


@pytest.mark.parametrize(("large", "status"), [((90.0, 90.5, 91.0), "tested"), ((98.5, 99.0, 99.2), "open")])
def test_the_ledger_takes_the_verdict_from_stored_trainings(store: Store, large: tuple[float, ...], status: str) -> None:
    plan = plan_of("quick")
    for seed, accuracy in enumerate(large, start=1):
        for one, test in ((plan.sb("F1", seed), 0.97), (plan.lb("F1", seed), accuracy / 100)):
            curve = {"epoch": [0.0, 1.0], "train_accuracy": [0.1, 0.999], "test_accuracy": [0.1, test]}
            put(store, one, {"status": "finished", "curve": curve, "device": "cpu"})
    (found,) = keskar2017.claims(["keskar2017/claim-1"], store)
    assert found.status == status
    assert found.printed == CLAIMS["claim-1"]
    mean = sum(large) / 3
    said = next(e for e in found.evidence if e.scope == "F1, scale quick")
    assert f"SB - LB {97 - mean:.2f} [" in said.finding
    assert said.finding.startswith("supported" if status == "tested" else "inconclusive")
    (table,) = keskar2017.build(["keskar2017/table-2"], "quick", 3, store)
    row = table.shown.set_index("network").loc["F1"]  # type: ignore[union-attr]
    assert row["test SB, ours"] == "97.00 [97.00, 97.00]"
    assert row["test SB, printed"] == "98.03 ± 0.07"
    assert table.provenance["seeds"] == "1, 2, 3"
