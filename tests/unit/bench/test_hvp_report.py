"""The comparison of Hessian-vector products: the bars' verdicts, and workloads measured one by one on one table."""

import json
from pathlib import Path

import pytest

from flatproof.verify.bench.hvp.report import artifacts, judged
from flatproof.verify.bench.hvp.timings import Row, hvp_timings
from flatproof.verify.report.artifacts import Table
from flatproof.verify.report.write import write


def rows(workload: str, ours: float, theirs: float) -> list[Row]:
    kernel = "ours: closed-form" if workload == "two-layer" else "ours: linearize"
    common = {"low": 1.0, "high": 2.0, "gradient_ms": 1.0, "floor": 1.0, "disagreement": 1e-7}
    return [
        Row(workload, kernel, ours, block_gradients=ours, lambda_products=2, lambda_seconds=1.0, peak_mb=9.0, **common),
        Row(workload, "pyhessian", theirs, lambda_products=3, lambda_seconds=2.0, peak_mb=10.0, **common),
        Row(workload, "curvlinops", 2 * theirs, block_gradients=1.5 * theirs, lambda_products=2, lambda_seconds=0.5, **common),
        Row(workload, "hessian-eigenthings", note="not installed"),
    ]


def test_verdicts() -> None:
    bars = {(bar["workload"], bar["bar"]): bar for bar in judged(rows("two-layer", 1.0, 2.9) + rows("mlp", 2.0, 2.0))}
    verdicts = {key: bar[""] for key, bar in bars.items()}
    assert verdicts["two-layer", "closed form against the best peer"] == "missed"
    assert verdicts["mlp", "time of a product over the best peer's"] == "met"
    assert verdicts["mlp", "a vector of 8 against the best peer's"] == "missed"
    assert bars["mlp", "a vector of 8 against the best peer's"]["measured"] == "1.00x (pyhessian)"
    assert verdicts["mlp", "products to λ_max"] == "missed"  # as few as a peer is not fewer
    assert verdicts["mlp", "seconds to λ_max"] == "missed"
    assert verdicts["mlp", "products to λ_max, the part's counted"] == "met"
    assert bars["mlp", "seconds to λ_max over the best peer's"]["measured"] == "2.00 (curvlinops)"
    assert verdicts["mlp", "seconds to λ_max over the best peer's"] == "missed"
    assert verdicts["mlp", "peak memory"] == "met"
    assert {bar[""] for bar in judged(rows("mlp", 2.2, 2.0)) if "time of" in bar["bar"]} == {"missed"}


def test_workloads_one_by_one(tmp_path: Path) -> None:
    write(artifacts(rows("mlp", 1.5, 2.0), {"commit": "a"}, tmp_path), tmp_path, "c")
    write(artifacts(rows("two-layer", 0.1, 1.5), {"commit": "b"}, tmp_path), tmp_path, "c")
    table = artifacts(rows("mlp", 1.4, 2.0), {"commit": "c"}, tmp_path)[0]
    assert isinstance(table, Table)
    assert list(dict.fromkeys(table.raw.workload)) == ["two-layer", "mlp"]
    assert table.raw.gradients.tolist()[4] == 1.4
    assert table.provenance["commit"] == "b (1 workloads); c (1 workloads)"
    kept = tmp_path / "curvature/table_1/rows.json"
    kept.write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(ValueError, match=r"rows\.json is not what 'flatproof bench hvp' writes"):
        artifacts(rows("mlp", 1.4, 2.0), {}, tmp_path)
    kept.write_text(json.dumps({"mlp": {"rows": [{"no": 1}]}}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"rows\.json is not what 'flatproof bench hvp' writes"):
        artifacts(rows("two-layer", 0.1, 1.5), {}, tmp_path)


def test_the_two_layer_workload_is_measured() -> None:
    """Ours on the smallest workload: numbers where there should be some, and agreement with double backward in float64."""
    measured = {row.implementation: row for row in hvp_timings("two-layer", 1, memory=False)}
    ours = measured["ours: closed-form"]
    assert ours.gradients is not None
    assert ours.disagreement is not None
    assert ours.disagreement < 1e-5
    assert ours.lambda_products is not None
    assert ours.lambda_products <= 3
    assert ours.proved_products is not None
    assert ours.proved_products >= ours.lambda_products
