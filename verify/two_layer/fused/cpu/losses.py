"""Owns dl/df of the kernels, as FACTOR times a residual:

    mse       2 (f - y)
    logistic  1 (sigmoid(f) - q), with the smoothed probabilities q (`theory.losses`) as the targets that kernels are given

`logistic` is None for the mean squared error and True for the logistic loss: known when a kernel is compiled.
"""

import numpy as np

from flatproof.theory.compiled import part


@part
def factor(logistic):  # type: ignore[no-untyped-def]
    """What dl/df is a multiple of."""
    return 2 if logistic is None else 1


@part
def residual(f, target, logistic):  # type: ignore[no-untyped-def]
    """(dl/df) / FACTOR of one sample."""
    if logistic is None:
        return f - target
    return 1 / (1 + np.exp(-f)) - target
