"""The grids of kaur2023: every claim can be judged from each."""

import pytest

from flatproof.verify.experiments.kaur2023.grid import DROPOUTS, GRIDS, runs_of
from flatproof.verify.experiments.kaur2023.jobs import DENSE, NORMALIZED


@pytest.mark.parametrize("scale", ["smoke", "quick", "paper"])
def test_every_claim_can_be_judged_from_each_grid(scale: str) -> None:
    runs = runs_of(scale, 3)
    assert len({run.key for run in runs}) == len(runs)
    convolutional = [run for run in runs if run.network != DENSE]
    ratios = [(run.setup, run.lr / run.training.batch_size) for run in convolutional if run.training.seed == 1]
    assert any(ratios.count(ratio) > 1 for ratio in ratios)  # claim 2
    by_setup: dict[str, set[int]] = {}
    for run in convolutional:
        if run.training.method.rho:
            by_setup.setdefault(run.setup, set()).add(run.training.batch_size)
    assert all(len(batches) > 1 for batches in by_setup.values())  # claim 3
    assert len({run.p for run in runs}) == len(GRIDS[scale].dropouts)
    assert {run.network for run in runs if run.between} == {NORMALIZED}
    assert len({run.between for run in runs if run.network == NORMALIZED}) == 1  # all of one kind, whatever the learning rate
    assert max(run.p for run in runs) == max(DROPOUTS)  # what claim 4 takes for the largest planned
