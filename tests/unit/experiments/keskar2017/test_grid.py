"""What keskar2017 runs at each scale."""

from pathlib import Path

import pytest
import torch

from flatproof.verify.deep.loop import build
from flatproof.verify.experiments.keskar2017 import EXPERIMENT
from flatproof.verify.experiments.keskar2017.grid import NETWORKS, PLANS, detailed, plan_of


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
        if network in detailed(plan):
            assert set(plan.warm) <= set(sb.keep)  # what warm starts start from
    if scale == "paper":
        assert [plan.sb(n, 1).batch_size for n in NETWORKS] == [256] * 6
        assert [plan.lb(n, 1).batch_size for n in NETWORKS] == [6000, 72132, 5000, 5000, 5000, 5000]
    elif scale == "quick":
        ratios = [plan.large(n) / plan.small_batch(n) for n in ("F1", "C1")]
        assert all(19 < ratio < 24 for ratio in ratios)  # the paper's are 23.4 and 19.5


def test_every_artifact_finds_its_jobs() -> None:
    """What the whole grid holds is what the artifacts need one by one, and each job is there once."""
    everything = EXPERIMENT.grid(EXPERIMENT.ARTIFACTS, "smoke", 1)
    keys = [job.key for _, job in everything]
    assert len(set(keys)) == len(keys)
    single = {job.key for id in EXPERIMENT.ARTIFACTS for _, job in EXPERIMENT.grid([id], "smoke", 1)}
    assert single == set(keys)
    for name, least in (("table-2", 2), ("table-3", 2), ("figure-3", 1), ("figure-4", 4), ("remedies", 10), ("claims", 40)):
        assert len(EXPERIMENT.grid([f"keskar2017/{name}"], "smoke", 1)) >= least


def test_timit_at_the_papers_scale_is_as_large_as_the_papers() -> None:
    """Fewer frames are an error of the data set's limit, other features or classes one of the network's fit."""
    training = plan_of("paper", "cpu").lb("F2", 1)
    assert training.data.train == 721_329
    assert (training.net.settings["inputs"], training.net.settings["classes"]) == (360, 1973)


def test_data_that_are_absent_are_not_in_the_grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLATPROOF_DATA", str(tmp_path))
    assert EXPERIMENT.grid(EXPERIMENT.ARTIFACTS, "quick", 2) == []
    assert {name.split()[0] for name, _ in EXPERIMENT.grid(EXPERIMENT.ARTIFACTS, "smoke", 2)} == {"F1", "C1", "C2"}


def test_sb_and_lb_share_their_start() -> None:
    plan = plan_of("smoke")
    sb, lb = plan.sb("F1", 1), plan.lb("F1", 1)
    small, large = (build(t.net, t.seed).state_dict() for t in (sb, lb))
    assert all(torch.equal(value, large[name]) for name, value in small.items())
    assert not torch.equal(next(iter(small.values())), next(iter(build(sb.net, 2).state_dict().values())))
