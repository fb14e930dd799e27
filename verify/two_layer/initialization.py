"""Owns the random starting point of training."""

import numpy as np

from flatproof.theory.networks import Network, check_kind


def initial_network(
    architecture: str,
    d: int,
    width: int,
    seed: int,
    first_layer_scale: float = 1.0,
    epsilon: float = 1e-3,
    activation: str = "relu",
    depth: int = 2,
) -> Network:
    """A random network, float64: torch's default for linear layers, entries uniform in ±1/sqrt(fan-in); gamma uniform in [0, 1).

    wen2023 does not state its initialization. Linear layers get what such code gets by default. For Sim-BN that leaves gamma,
    and it matters: at the paper's first learning rate (0.005, m = 500) gamma = 1 diverges for nearly every seed, since the
    sharpness at initialization is about 2 m and 2 / lr = 400, while gamma of order 1/sqrt(m) collapses to the zero network.
    Uniform in [0, 1), the default of batch norm in torch before 1.2, trains. Drawn by numpy from SeedSequence([seed, 2]): stream 2,
    beside synth's 0 and 1.

    Args:
        architecture: one of `theory.ARCHITECTURES`.
        d: inputs.
        width: neurons of each hidden layer.
        seed: of the draws.
        first_layer_scale: multiplies w1 and b1 (figures 6a and 10b use 1/100).
        epsilon: Sim-LN's floor of the hidden layer's norm.
        activation: "relu" or "softplus".
        depth: layers, 2 or 3.

    Raises:
        ValueError: naming the argument.
    """
    kind = check_kind(architecture, activation, depth)
    for name, value in (("d", d), ("width", width)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    rng = np.random.default_rng(np.random.SeedSequence([seed, 2]))
    inner, outer = first_layer_scale / np.sqrt(d), 1 / np.sqrt(width)
    w1 = inner * rng.uniform(-1, 1, (width, d))
    b1 = inner * rng.uniform(-1, 1, width)
    w2 = outer * rng.uniform(-1, 1, width)
    gamma = rng.uniform(0, 1, width)
    middle = None if depth == 2 else outer * rng.uniform(-1, 1, (width, width))
    return Network(
        w1=w1,
        w2=w2,
        b1=None if kind == "no-bias" else b1,
        gamma=gamma if kind == "sim-bn" else None,
        architecture=kind,
        epsilon=epsilon,
        activation=activation,
        middle=middle,
    )
