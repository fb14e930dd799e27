"""A peak for curvature: the same matrix in parts, the same search with its basis in a file, and one line where it does not fit."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from flatproof.verify.bench.large import large_row
from flatproof.verify.curvature import HessianOperator, Problem, allowance, basis, lambda_max
from flatproof.verify.curvature.basis import Basis
from flatproof.verify.utils import memory
from tests.unit.curvature.models import mlp

MB = 1 << 20


@pytest.fixture
def data() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(24, 4, generator=generator), torch.randint(0, 3, (24,), generator=generator)


@pytest.fixture
def tight(monkeypatch: pytest.MonkeyPatch) -> None:
    """Constants at which a small network meets its peak."""
    monkeypatch.setattr(allowance, "BASE", 0)
    monkeypatch.setattr(allowance, "WIDE", 10**6)


def peak_for(problem: Problem, samples: int) -> int:
    """So that parts have about that many samples."""
    need = allowance.Need.of(problem)
    return int(need.own(0) - need.fixed + 2 * need.batch(samples)) + 1


@pytest.mark.usefixtures("tight")
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("weighed", [False, True])
def test_products_in_parts_are_those_of_the_whole(data: Any, reduction: str, weighed: bool) -> None:
    x, y = data
    y = y.clone()
    y[::5] = -100  # ignored: what the mean is over differs from part to part
    model = mlp().float()
    loss = nn.CrossEntropyLoss(reduction=reduction)
    weight_of = (lambda _, t: (t != -100).sum()) if weighed or reduction == "mean" else None
    problem = Problem(model, loss, [(x[:14], y[:14]), (x[14:], y[14:])], reduction=reduction, weight_of=weight_of)  # type: ignore[arg-type]
    whole = HessianOperator.of(problem)
    parts = HessianOperator.of(problem, peak=peak_for(problem, 3))
    assert parts.allowance is not None
    assert parts.allowance.most == 3
    assert parts.problem.data.count == 9  # 14 and 10 samples, three at a time
    assert parts.problem.narrow
    torch.testing.assert_close(parts.dense(), whole.dense(), rtol=1e-4, atol=1e-6)
    assert "in float32" in parts.rests_on
    assert len(parts._kept) < 9  # what does not fit is recorded anew


@pytest.mark.usefixtures("tight")
def test_a_loss_of_the_whole_batch_is_not_cut(data: Any) -> None:
    x, y = data

    def coupled(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(outputs - outputs.mean(0), targets)

    problem = Problem(mlp().float(), coupled, (x, y))
    with pytest.raises(ValueError, match=r"peak must be at least .* MB .* its batches cannot be cut.* raise it"):
        HessianOperator.of(problem, peak=peak_for(problem, 3))


def test_a_peak_too_small_is_refused_in_one_line(data: Any) -> None:
    with pytest.raises(ValueError, match=r"^peak must be at least 0\.268 GB") as refused:
        HessianOperator(mlp().float(), F.cross_entropy, data, peak=MB)
    assert "got 1.05 MB" in str(refused.value)
    assert "parameters=" in str(refused.value)
    assert "\n" not in str(refused.value)
    with pytest.raises(ValueError, match=r"peak must be a whole number of bytes of at least 0, got 1\.5"):
        HessianOperator(mlp().float(), F.cross_entropy, data, peak=1.5)  # type: ignore[arg-type]


def test_a_machine_without_room_is_refused_before_the_first_product(data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allowance, "available", lambda: 150 * MB)
    operator = HessianOperator(mlp().float(), F.cross_entropy, data)
    with pytest.raises(ValueError, match=r"products of \d+ parameters take .* at once .*, 0\.157 GB are free: give peak="):
        operator.matvec(torch.ones(operator.shape[0]))
    assert operator.products == 0
    monkeypatch.setattr(allowance, "available", lambda: 400 * MB)
    operator = HessianOperator(mlp().float(), F.cross_entropy, data)
    operator.matvec(torch.ones(operator.shape[0]))
    assert operator.memory < 100 * MB  # kept state leaves the machine room


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (5, 1), (5, 3), (40, 2), (0, 1)])
def test_inner_products_are_those_of_float64(count: int, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several stretches, the last one shorter: terms that cancel to a millionth keep their digits."""
    monkeypatch.setattr(basis, "CONVERTED", 256)
    generator = torch.Generator().manual_seed(count)
    half = torch.randn(count, 500, generator=generator), torch.randn(500, columns, generator=generator)
    rows, block = torch.cat([half[0], half[0]], 1), torch.cat([half[1], -half[1]])
    block[-1] += 1e-3
    torch.testing.assert_close(basis.inner_products(rows, block), rows.double() @ block.double(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("held", [0, 3])
@pytest.mark.parametrize("place", ["file", "host"])
def test_a_basis_elsewhere_holds_the_same_rows(held: int, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(basis, "SEGMENT", 100)  # several stretches a row
    if place == "host":  # as of vectors on a GPU, whose rows beyond lie in the machine's memory
        monkeypatch.setattr(basis._Elsewhere, "__init__", _on_host)
    generator = torch.Generator().manual_seed(0)
    rows = torch.linalg.qr(torch.randn(330, 20, generator=generator))[0].T.contiguous()
    near, far = Basis(), Basis(held)
    for row in rows:
        near.append(row)
        far.append(row)
    assert (near.elsewhere, far.elsewhere) == (0, 20 - held)
    for size in (1, 7, 20):
        assert torch.equal(near.tensor(size), rows[:size])
        assert torch.equal(far.tensor(size), rows[:size])
        blocks = [torch.randn(330, 2, generator=torch.Generator().manual_seed(size)) for _ in range(2)]
        given = blocks[0].clone()
        coordinates = [b.remove(block, size) for b, block in zip((near, far), blocks, strict=True)]
        torch.testing.assert_close(torch.as_tensor(coordinates[1]), (rows[:size].double() @ given.double()), rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(blocks[1], given - rows[:size].T @ (rows[:size] @ given), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(blocks[0], blocks[1], rtol=1e-6, atol=1e-6)
        for begin in {0, size // 2, size - 1}:
            window = [given.clone(), given.clone()]
            parts = [b.remove(block, size, begin) for b, block in zip((near, far), window, strict=True)]
            wanted = rows[:size].double() @ given.double()
            wanted[:begin] = 0
            for part, block in zip(parts, window, strict=True):
                torch.testing.assert_close(torch.as_tensor(part), wanted, rtol=1e-6, atol=1e-6)
                torch.testing.assert_close(block, given - rows[:size].T @ wanted.float(), rtol=1e-5, atol=1e-5)
        weights = torch.randn(size, 2, dtype=torch.float64, generator=generator).numpy()
        torch.testing.assert_close(far.combine(weights, size), near.combine(weights, size), rtol=1e-6, atol=1e-6)
        copied = far.copy(size)
        far._chunks[-1].put(0, rows[0] * 0) if size == 20 else None
        assert torch.equal(copied.tensor(size), rows[:size])


def _on_host(self: Any, capacity: int, like: torch.Tensor) -> None:
    self.capacity, self._length, self._dtype, self._device = capacity, len(like), like.dtype, like.device
    self._width, self._file = like.element_size(), None
    self._rows = torch.empty(capacity, self._length, dtype=like.dtype)


@pytest.mark.usefixtures("tight")
def test_a_search_with_its_basis_in_a_file_finds_the_same(data: Any) -> None:
    problem = Problem(mlp().float(), F.cross_entropy, data)
    whole = lambda_max(HessianOperator.of(problem), tolerance=1e-3)
    need = allowance.Need.of(problem)
    parts = HessianOperator.of(problem, peak=int(need.own(need.largest)) + 1)
    assert parts.rows_held == allowance.OWN - allowance.SEARCH < whole.products  # some rows lie in the file
    found = lambda_max(parts, tolerance=1e-3)
    assert found.value == pytest.approx(whole.value, rel=1e-5)
    assert found.high == pytest.approx(whole.high, rel=1e-3)
    assert found.covers(float(torch.linalg.eigvalsh(HessianOperator.of(problem).dense().double())[-1]))


def test_no_room_for_the_file_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(basis.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10})())
    with pytest.raises(ValueError, match=r"8 more vectors of 50 numbers take .* set TMPDIR to a folder with room"):
        Basis(0).append(torch.ones(50))


@pytest.mark.parametrize("version", [1, 2])
def test_what_a_control_group_leaves(tmp_path: Path, version: int) -> None:
    proc, groups = tmp_path / "proc", tmp_path / "groups"
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:    8000 kB\n", encoding="utf-8")
    assert memory.available(proc, groups) == 8000 << 10
    (proc / "self" / "cgroup").write_text("5:cpu:/\n4:memory:/a/b\n" if version == 1 else "0::/a/b\n", encoding="utf-8")
    inner = groups / ("memory/a/b" if version == 1 else "a/b")
    inner.mkdir(parents=True)
    limit, used = ("memory.limit_in_bytes", "memory.usage_in_bytes") if version == 1 else ("memory.max", "memory.current")

    def write(folder: Path, name: str, text: str) -> None:
        (folder / name).write_text(text, encoding="utf-8")

    write(inner, limit, "9223372036854771712" if version == 1 else "max")
    write(inner, used, "1000")
    assert memory.available(proc, groups) == 8000 << 10
    write(inner.parent, limit, "5000000")
    write(inner.parent, used, "4000000")
    write(inner.parent, "memory.stat", "cache 7\ntotal_inactive_file 300000\n" if version == 1 else "inactive_file 300000\n")
    assert memory.available(proc, groups) == 1_300_000
    assert memory.available(tmp_path / "none", groups) is None


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="resident memory is read as Linux has it")
def test_a_search_keeps_to_its_peak() -> None:
    """In a fresh process, a transformer of six million parameters; without a peak it takes more than that."""
    row = large_row("6m", tolerance=0.5)
    assert row.note == ""
    assert math.isfinite(row.high)
    assert row.low <= row.value <= row.high
    assert row.samples < row.tokens // 64
    assert row.rise <= row.peak
