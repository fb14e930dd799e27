"""Owns how a network is laid over a multiprocessor: padded sizes, threads, registers, and what a step costs at least."""

from dataclasses import dataclass

from flatproof.theory.losses import MSE, Loss
from flatproof.verify.two_layer.settings import Phase

REGISTERS = 65_536  # 32-bit registers of a multiprocessor (compute capability 7.0 to 12.0)
LANES = 128  # float32 multiply-adds a multiprocessor starts in a cycle (8.6 to 9.0 and later; 64 on 7.0 and 8.0)
WARP = 32
SCRATCH = 32  # registers a thread needs beside its weights and the input, as `verify.two_layer.fused.gpu.compiled` counts them


@dataclass(frozen=True)
class Layout:
    """One network on chip.

    inputs, neurons: the padded first layer, powers of two. per_thread: neurons a thread owns. programs: networks that share a
    multiprocessor. words: registers a number takes, 1 in float32 and 2 in float64.
    """

    inputs: int
    neurons: int
    per_thread: int
    programs: int
    words: int

    @property
    def warps(self) -> int:
        """Warps of a program."""
        return self.neurons // (WARP * self.per_thread)

    @property
    def registers(self) -> int:
        """The most registers a thread may take so that `programs` networks fit."""
        return min(255, REGISTERS // (WARP * self.warps * self.programs) // 8 * 8)

    @property
    def options(self) -> dict[str, int | bool]:
        """How Triton is to compile: nothing of a step's loads can be pipelined into another step."""
        return {"num_warps": self.warps, "num_stages": 1, "maxnreg": self.registers, "enable_fp_fusion": True}


def missing(architecture: str, phase: Phase, loss: Loss = MSE, activation: str = "relu", depth: int = 2) -> str | None:
    """The setting for which there is no GPU kernel; None where there is one.

    Sim-BN's statistics need the whole training set in each step, which one multiprocessor's registers do not hold.
    """
    held = {
        architecture: architecture != "sim-bn",
        f"{activation} activation": activation == "relu",
        f"depth {depth}": depth == 2,
        f"{loss.name} loss": loss == MSE,
        f"{architecture} with batch_size {phase.batch_size}": phase.batch_size == 1,
        "first_layer_norm": phase.first_layer_norm is None,
        "trace_penalty": not phase.trace_penalty,
        "perturbed": phase.perturbed == "all" or not phase.rho,
    }
    return next((name for name, has in held.items() if not has), None)


def layout(inputs: int, width: int, words: int = 1, per_thread: int | None = None, programs: int | None = None) -> Layout:
    """How to run networks of `width` neurons on `inputs` inputs (d, or d + 1 with a bias).

    per_thread and programs replace the choices made here, for measurements. A thread owns at least two neurons: for one, Triton
    lays the inputs over threads, and pre-activations become sums over a warp. Errors: ValueError when the registers do not hold
    a network.
    """
    rows, neurons = max(4, _power_of_two(inputs)), max(2 * WARP, _power_of_two(width))
    owned = per_thread or min(max(64 // (rows * words), 2), 8, neurons // WARP)
    threads = neurons // owned
    fit = REGISTERS // (threads * (words * rows * (owned + 1) + SCRATCH))
    if not programs and (fit < 1 or threads > 1024):
        raise ValueError(
            f"{width} neurons on {inputs} inputs are padded to {rows} x {neurons} weights of {4 * words} bytes, more than a "
            f"multiprocessor's registers hold; expected at most {REGISTERS // 2 // words} weights and 64 inputs, or engine='fused'"
        )
    return Layout(rows, neurons, owned, programs or min(fit, 2048 // threads, 32), words)


def _power_of_two(size: int) -> int:
    return 1 << (size - 1).bit_length()


def bytes_per_step(noisy: bool) -> int:
    """What must reach the chip for one step of one network: the sample's index, and label noise in float32."""
    return 8 if noisy else 4


def cycles_per_step(inputs: int, width: int) -> float:
    """Cycles of a multiprocessor that one step's multiply-adds take at least: the update of W, and x.W, no padding counted."""
    return 2 * inputs * width / LANES
