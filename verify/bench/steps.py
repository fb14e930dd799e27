"""Owns the comparison behind `flatproof bench train`: the 1-SAM step by the fused kernel, a plain torch loop and jax.

Sim-BN's step depends on the stage of training: it is timed in the first epochs of figure 10a and after LATE of them, by the kernel
on second moments and by the one that keeps pre-activations, and once over all epochs, by the kernel that each epoch is given.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import torch
from rich.table import Table as Grid

from flatproof import synth
from flatproof.theory.losses import Loss
from flatproof.theory.networks import Network
from flatproof.verify.bench.timing import in_turn, one_core
from flatproof.verify.two_layer import fused
from flatproof.verify.two_layer.initialization import initial_network
from flatproof.verify.two_layer.modules import TwoLayer
from flatproof.verify.two_layer.settings import Phase

D, N, WIDTH = 30, 100, 500
PHASE = Phase(lr=0.01, epochs=1, rho=0.05)
MOST_US, TIMES_JAX = 1.0, 15.0  # what the fused step was to reach: microseconds, and times jax.lax.scan
MOST_US_SIM_BN = 30.0  # the same of Sim-BN's, over a run
STEPS = {"fused": 100_000, "torch": 400, "jax": 10_000}


@dataclass(frozen=True)
class Timing:
    """Microseconds per 1-SAM step: median, smallest and largest over the repeats of one run."""

    implementation: str
    architecture: str
    us_per_step: float
    us_low: float
    us_high: float
    steps: int
    repeats: int


def grid(rows: Sequence[Timing]) -> Grid:
    """The rows for a terminal."""
    plain = {row.architecture: row.us_per_step for row in rows if row.implementation == "torch"}
    out = Grid(title=f"1-SAM, d = {D}, m = {WIDTH}, n = {N}, float32, one core", title_justify="left")
    for column in ("architecture", "implementation", "µs per step", "range", "times plain torch"):
        out.add_column(column, justify="left" if column in ("architecture", "implementation") else "right")
    for row in rows:
        us, spread = f"{row.us_per_step:.2f}", f"{row.us_low:.2f}–{row.us_high:.2f}"
        times = f"{plain[row.architecture] / row.us_per_step:.1f}" if row.architecture in plain else "–"
        out.add_row(row.architecture, row.implementation, us, spread, times)
    return out


def bars(rows: Sequence[Timing]) -> list[str]:
    """Each architecture's fused step against MOST_US and, where jax is installed, TIMES_JAX, Sim-BN's over a run against MOST_US_SIM_BN;
    a line each."""
    us = {(row.architecture, row.implementation): row.us_per_step for row in rows}
    lines = []
    for architecture, implementation in us:
        if implementation == WHOLE:
            over = us[architecture, implementation]
            lines.append(
                f"{architecture}: {over:.2f} µs, wanted at most {MOST_US_SIM_BN:g}: {'met' if over <= MOST_US_SIM_BN else 'missed'}"
            )
        if implementation != "fused":
            continue
        ours, jax = us[architecture, "fused"], us.get((architecture, "jax"))
        parts = [f"{ours:.2f} µs, wanted at most {MOST_US:g}: {'met' if ours <= MOST_US else 'missed'}"]
        if jax is not None:
            parts.append(
                f"{jax / ours:.0f}x jax.lax.scan, wanted {TIMES_JAX:g}x: {'met' if jax >= TIMES_JAX * ours else 'missed'}"
            )
        lines.append(f"{architecture}: {'; '.join(parts)}")
    return lines


def sam_step_timings(repeats: int = 5) -> list[Timing]:
    """One 1-SAM step at d = 30, m = 500, n = 100, float32, one core: fused, the plain torch loop, jax.lax.scan if installed.

    Args:
        repeats: timed runs of each; compilation is not timed.

    Returns:
        A row for each implementation and architecture.
    """
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
    makers = {"fused": fused_steps, "torch": torch_steps} | ({"jax": jax_steps} if find_spec("jax") else {})
    out = []
    with one_core():
        for architecture in ("no-bias", "bias"):
            ready = {name: make(architecture, STEPS[name]) for name, make in makers.items()}
            for run in ready.values():
                run()
            for name, timed in in_turn(ready, repeats).items():
                us = 1e6 / STEPS[name]
                spread = timed.median * us, timed.low * us, timed.high * us
                out.append(Timing(name, architecture, *spread, STEPS[name], repeats))
    return out


LATE = 300  # epochs of figure 10a after which most neurons stand still
ALL = 40_000  # its epochs
SIM_BN = Phase(lr=0.1, epochs=1, rho=0.2)  # figure 10a, smoothed logistic loss
WHOLE = "as chosen"


def sim_bn_timings(repeats: int = 5, epochs: int = 10) -> list[Timing]:
    """Figure 10a's step, first epochs and late ones, by both kernels of Sim-BN, and once over all epochs; rows as for
    `sam_step_timings`."""
    data, loss = synth.parity(D, N, seed=1), Loss("logistic", smoothing=0.2)
    start = initial_network("sim-bn", D, WIDTH, seed=1).astype("float32")
    orders = np.random.default_rng(0).permuted(np.tile(np.arange(N), (ALL, 1)), axis=1)

    def steps(network: Network, count: int, kernel: str | None) -> Callable[[], object]:
        return lambda: fused.advance(network, data.x, data.y, orders[:count], None, SIM_BN, loss, kernel)

    out = []

    def time(stage: str, ready: dict[str, Callable[[], object]], count: int, times: int) -> None:
        us = 1e6 / (count * N)
        for name, timed in in_turn(ready, times).items():
            spread = timed.median * us, timed.low * us, timed.high * us
            out.append(Timing(name, f"sim-bn, {stage}", *spread, count * N, times))

    with one_core():
        late, _ = fused.advance(start, data.x, data.y, orders[:LATE], None, SIM_BN, loss)
        for stage, network in (("first epochs", start), (f"after {LATE} epochs", late)):
            ready = {kernel: steps(network, epochs, kernel) for kernel in ("moments", "pre-activations")}
            for run in ready.values():
                run()
            time(stage, ready, epochs, repeats)
        time(f"all {ALL:,} epochs", {WHOLE: steps(start, ALL, None)}, ALL, 1)
    return out


def _problem(architecture: str, steps: int) -> tuple[synth.Data, Network, np.ndarray]:
    data = synth.parity(D, N, seed=0)
    start = initial_network(architecture, D, WIDTH, seed=0).astype("float32")
    rng = np.random.default_rng(0)
    return data, start, rng.permuted(np.tile(np.arange(N), (-(-steps // N), 1)), axis=1)


def fused_steps(architecture: str, steps: int) -> Callable[[], object]:
    """`steps` steps of the fused kernel, packing and unpacking of the parameters included."""
    data, start, order = _problem(architecture, steps)
    return lambda: fused.advance(start, data.x, data.y, order, None, PHASE)


def torch_steps(architecture: str, steps: int) -> Callable[[], object]:
    """The loop that a user of torch would write: module, optimizer, two backward passes, in-place perturbation."""
    data, start, order = _problem(architecture, steps)
    visits = order.ravel()[:steps].tolist()
    x, y = torch.as_tensor(data.x, dtype=torch.float32), torch.as_tensor(data.y, dtype=torch.float32)

    def run() -> None:
        model = TwoLayer(start, dtype=torch.float32)
        parameters = list(model.parameters())
        optimizer = torch.optim.SGD(parameters, lr=PHASE.lr)
        for i in visits:
            optimizer.zero_grad()
            (model(x[i : i + 1]) - y[i]).square().sum().backward()
            with torch.no_grad():
                grads = [p.grad for p in parameters if p.grad is not None]
                scale = PHASE.rho / torch.sqrt(sum((g.square().sum() for g in grads), start=torch.zeros(())))
                moves = [g * scale for g in grads]
                for p, move in zip(parameters, moves, strict=True):
                    p.add_(move)
            optimizer.zero_grad()
            (model(x[i : i + 1]) - y[i]).square().sum().backward()
            with torch.no_grad():
                for p, move in zip(parameters, moves, strict=True):
                    p.sub_(move)
            optimizer.step()

    return run


def jax_steps(architecture: str, steps: int) -> Callable[[], object]:
    """The same steps as one compiled jax.lax.scan."""
    import jax
    import jax.numpy as jnp

    data, start, order = _problem(architecture, steps)
    x, y = jnp.asarray(data.x, jnp.float32), jnp.asarray(data.y, jnp.float32)
    visits = jnp.asarray(order.ravel()[:steps], jnp.int32)
    parameters = {n: jnp.asarray(v) for n in ("w1", "b1", "w2") if (v := getattr(start, n)) is not None}

    def loss(p: dict[str, jax.Array], i: jax.Array) -> jax.Array:
        z = p["w1"] @ x[i] + p.get("b1", 0.0)
        return (p["w2"] @ jax.nn.relu(z) - y[i]) ** 2

    def step(p: dict[str, jax.Array], i: jax.Array) -> tuple[dict[str, jax.Array], None]:
        g = jax.grad(loss)(p, i)
        scale = PHASE.rho / jnp.sqrt(sum(jnp.sum(v * v) for v in g.values()))
        up = jax.grad(loss)({n: v + scale * g[n] for n, v in p.items()}, i)
        return {n: v - PHASE.lr * up[n] for n, v in p.items()}, None

    compiled = jax.jit(lambda p: jax.lax.scan(step, p, visits)[0])
    return lambda: jax.tree.map(lambda leaf: leaf.block_until_ready(), compiled(parameters))
