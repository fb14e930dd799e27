"""The sweep over training losses: its Hessians written out against torch's, its losses, and the table from a small run."""

import numpy as np
import pytest
import torch

from flatproof.verify.curvature import HessianOperator
from flatproof.verify.experiments.curvature import well_fitted
from flatproof.verify.jobs.job import Stored


@pytest.mark.parametrize("wanted", [1.0, 1e-2])
@pytest.mark.parametrize("head", well_fitted.HEADS)
def test_the_hessian_written_out_is_torchs_where_torch_keeps_its_digits(head: str, wanted: float) -> None:
    model, loss, (x, y), (H, value) = well_fitted.made(head, "float64", wanted, 0)
    dense = HessianOperator(model, loss, (x, y), kernel="double-backward").dense().numpy()
    assert np.abs(dense - H.astype(np.float64)).max() < 1e-12 * np.abs(dense).max()
    assert float(loss(model(x), y).detach()) == pytest.approx(float(value), rel=1e-12)
    assert float(well_fitted.largest(H)) == pytest.approx(np.linalg.eigvalsh(dense)[-1], rel=1e-12)


@pytest.mark.parametrize("head", [head for head in well_fitted.HEADS if head != "mean squares"])
@pytest.mark.parametrize("wanted", [1e-8, 1e-30])
def test_networks_are_as_well_fitted_as_wanted(head: str, wanted: float) -> None:
    """In float64; that of float32 parameters is that of the nearest ones."""
    for dtype, close in (("float64", 1e-6), ("float32", 1e-3)):
        _, _, (x, _), (H, value) = well_fitted.made(head, dtype, wanted, 1)
        assert float(value) == pytest.approx(wanted, rel=close)
        assert x.dtype == getattr(torch, dtype)
        assert 0 < float(H.trace()) < 1e7 * wanted


def test_a_small_run_and_its_table() -> None:
    ready = []
    for head in ("binary", "spelt out"):
        job = well_fitted.Fitted(head, "float32", 5)
        values = job.carry_out()
        ready.append((job, Stored(job.settings(), values, {})))
        cells = [cell["lambda-max"] for cell in values["losses"]]
        assert sum(c["covered"] for c in cells) >= 38
        assert all(c["trials"] == 5 for c in cells)
        assert job.summary(values) == f"lambda-max {sum(c['covered'] for c in cells)}/40"
        assert cells[-1]["known"] == (5 if head == "binary" else 0)  # what is lost is not claimed
    table = well_fitted.table("curvature/well-fitted", ready)
    assert len(table.shown) == 2 * len(well_fitted.LOSSES)
    assert table.shown["λ_max covered"].iloc[-1].endswith("(0)")
