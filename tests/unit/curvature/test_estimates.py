"""What an estimate says, and what asks for one."""

import numpy as np
import pytest
import torch

from flatproof.verify.curvature import lambda_max
from flatproof.verify.curvature.estimates import Estimate, Symmetric
from tests.unit.curvature.matrices import Dense, with_spectrum


def test_dense_is_an_operator() -> None:
    assert isinstance(with_spectrum(np.ones(2), 0), Symmetric)


def test_an_estimate_says_what_it_allows() -> None:
    e = Estimate(2.0, 1.0, np.inf, None, 3, 0.1, None, None, None, "m", "s")
    assert e.relative_error == np.inf
    assert e.covers(1e9)
    assert e.as_dict()["high"] is None


def test_a_product_that_is_not_finite() -> None:
    with pytest.raises(ValueError, match="product 1 of the operator holds NaN or infinity"):
        lambda_max(Dense(torch.full((3, 3), torch.nan)))
