"""Data shared by two processes: the same matrices as in one, and a recorder that measures in both or in neither."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from flatproof.verify.curvature import GaussNewtonOperator, HessianOperator, Problem, eigenvalues, measures
from flatproof.verify.curvature.during import Recorder, read_rows
from tests.unit.curvature.models import CLOSE, error, mlp, points


def _rank(rank: int, folder: str, kernel: Any) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    try:
        model, (x, y) = mlp(), points()
        mine = [(x[:2], y[:2]), (x[2:5], y[2:5])] if rank == 0 else [(x[5:], y[5:])]
        operator = HessianOperator(model, nn.CrossEntropyLoss(), mine, kernel=kernel)
        v = torch.as_tensor(np.random.default_rng(0).standard_normal((operator.shape[0], 2)))
        newton = GaussNewtonOperator(model, nn.CrossEntropyLoss(), mine)
        results = (
            operator.matmat(v),
            newton.matvec(v[:, 0]),
            operator.problem.gradient(),
            operator.problem.loss(),
            operator.problem.samples,
            operator.directions(),
            eigenvalues(operator, tolerance=1e-8, stop="ritz")[0].value,
        )
        torch.save(results, f"{folder}/{rank}.pt")
        torch.save(_measured(mine), f"{folder}/measured-{rank}.pt")
        _record(rank, nn.parallel.DistributedDataParallel(model), mine, f"{folder}/s.csv")
        _refuse_shards(mine)
    finally:
        torch.distributed.destroy_process_group()


def _refuse_shards(mine: list[Any]) -> None:
    """Of parameters that are spread over the processes there is no product: one line in place of torch's own error."""
    sharded = mlp()
    fully_shard(sharded, mesh=init_device_mesh("cpu", (2,)))
    with pytest.raises(
        TypeError, match=r"parameters must be whole on every rank, 0\.weight is sharded \(DTensor, as of fully_shard\)"
    ):
        HessianOperator(sharded, nn.CrossEntropyLoss(), mine)


def _measured(batches: list[Any]) -> dict[str, list[float]]:
    """What every measure that this network has says of it: value, ends, losses."""
    problem, out = Problem(mlp(), nn.CrossEntropyLoss(), batches), {}
    for name, measure in measures().items():
        if not name.startswith("geodesic"):  # of attention layers
            e = measure(problem)
            out[name] = [e.value, e.low, e.high, e.losses]
    return out


def _record(rank: int, model: nn.Module, mine: list[Any], file: str) -> None:
    """Both measure in steps 1 and 2; from step 3 on the second process alone finds that it is enough."""
    recorder = Recorder(model, nn.CrossEntropyLoss(), mine, ["lambda-max"], every=1, budget=1e9, file=file)
    for step in range(1, 5):
        if rank == 1 and step == 3:
            recorder.budget.share = 1e-9
        recorder.step(step)
    assert (recorder.budget.taken, recorder.budget.skipped) == (2, 2)


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without distributed")
def test_two_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3]))  # new processes look for this module where the present one would
    torch.multiprocessing.spawn(_rank, args=(str(tmp_path), "auto"), nprocs=2)
    model, data = mlp(), points()
    operator = HessianOperator(model, nn.CrossEntropyLoss(), data)
    v = torch.as_tensor(np.random.default_rng(0).standard_normal((operator.shape[0], 2)))
    for rank in (0, 1):
        product, newton, gradient, loss, samples, directions, largest = torch.load(tmp_path / f"{rank}.pt")
        assert error(product, operator.matmat(v)) < CLOSE
        assert error(newton, GaussNewtonOperator(model, nn.CrossEntropyLoss(), data).matvec(v[:, 0])) < CLOSE
        assert error(gradient, operator.problem.gradient()) < CLOSE
        assert loss == pytest.approx(operator.problem.loss())
        assert samples == 9
        assert error(directions[:, 0], operator.directions()[:, 0]) < CLOSE
        assert largest == pytest.approx(float(torch.linalg.eigvalsh(operator.dense())[-1]), rel=1e-6)
    x, y = data
    alone = _measured([(x[:2], y[:2]), (x[2:5], y[2:5]), (x[5:], y[5:])])
    first, second = (torch.load(tmp_path / f"measured-{rank}.pt") for rank in (0, 1))
    assert {"worst-l2", "m-sharpness", "keskar", "average-l2", "fisher-rao", "relative-flatness"} < first.keys()
    for name, values in alone.items():
        assert first[name][0] == second[name][0], name  # to the last bit, on which a decision may rest
        assert first[name] == pytest.approx(second[name], rel=1e-12), name
        assert first[name] == pytest.approx(values, rel=1e-6), name
    rows = read_rows(tmp_path / "s.csv")
    assert [(row.step, row.measure) for row in rows] == [(step, name) for step in (1, 2) for name in ("loss", "lambda-max")]
    recorded = Recorder(model, nn.CrossEntropyLoss(), data, ["lambda-max"]).measure(1)
    assert [row.value for row in rows[:2]] == pytest.approx([row.value for row in recorded])
