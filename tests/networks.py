"""Random networks and data for tests; hypothesis strategies over their settings."""

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from theory import ARCHITECTURES, Network

architectures = st.sampled_from(ARCHITECTURES)
seeds = st.integers(0, 2**32 - 2)  # so that seed + 1 is one too


def random_network(architecture: str, d: int, m: int, seed: int, scale: float = 1.0, epsilon: float = 0.3) -> Network:
    """Gaussian parameters; gamma away from 0."""
    rng = np.random.default_rng(seed)
    return Network(
        w1=scale * rng.standard_normal((m, d)),
        w2=rng.standard_normal(m),
        b1=None if architecture == "no-bias" else scale * rng.standard_normal(m),
        gamma=rng.uniform(0.5, 1.5, m) if architecture == "sim-bn" else None,
        architecture=architecture,
        epsilon=epsilon,
    )


def random_points(d: int, n: int, seed: int, signs: bool = False) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gaussian points, or sign vectors, with Gaussian labels."""
    rng = np.random.default_rng([seed, 1])
    x = 1.0 - 2.0 * rng.integers(0, 2, (n, d)) if signs else rng.standard_normal((n, d))
    return x, rng.standard_normal(n)
