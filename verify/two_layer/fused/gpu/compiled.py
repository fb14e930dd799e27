"""Owns what the compiler makes of the GPU kernels: registers, spills and instructions, counted without a GPU.

`python -m verify.two_layer.fused.gpu.compiled` compiles ahead of time for compute capability 9.0 and prints a line of JSON a kernel. Where
kernels are interpreted it must run in a process of its own with TRITON_INTERPRET=0, as `in_a_process` has it.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flatproof.verify.two_layer.fused.gpu.layout import Layout, layout

CAPABILITY = 90  # H100 and H200
SCHEDULERS = 4  # of a multiprocessor: each starts one instruction of a warp in a cycle
WORDS = {"fp32": 1, "fp64": 2}


@dataclass(frozen=True)
class Compiled:
    """One kernel: registers a thread, bytes of its stack (what did not fit), instructions a warp starts in a step.

    cycles_per_step: what a multiprocessor needs at least to start one step's instructions. The counts are None where the
    package of Triton brings no tool that reads them.
    """

    kernel: str
    variant: str
    shape: Layout
    registers: int | None
    stack: int | None
    instructions: int | None
    cycles_per_step: float | None


def rows() -> Iterator[Compiled]:
    """The kernels that `make gpu-check` times, at d = 30, m = 500, and the widest tile."""
    usual = layout(30, 500)
    for kernel in ("plain", "layer_norm"):
        yield compiled(kernel, usual)
        yield compiled(kernel, usual, sam=False, noisy=True)
        yield compiled(kernel, usual, decay=True, noisy=True)
        yield compiled(kernel, layout(30, 500, WORDS["fp64"]), dtype="fp64")
    for shape in (layout(30, 500, per_thread=4, programs=2), layout(30, 500, per_thread=4, programs=3), layout(64, 500)):
        yield compiled("plain", shape)


def compiled(
    kernel: str, shape: Layout, sam: bool = True, decay: bool = False, noisy: bool = False, dtype: str = "fp32"
) -> Compiled:
    """One kernel of `verify.two_layer.fused.gpu.single_sample`, compiled for CAPABILITY."""
    from triton import compile
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from flatproof.verify.two_layer.fused.gpu import single_sample

    function = getattr(single_sample, kernel)
    constants = {
        "K": shape.inputs, "M": shape.neurons, "V": shape.per_thread, "SAM": sam, "DECAY": decay, "NOISY": noisy,
    }  # fmt: skip
    whole = {"order_at": "*i32", "stop_at": "*i32", "steps": "i32", "rows": "i32"}
    types = {name: whole.get(name, "constexpr" if name in constants else f"*{dtype}") for name in function.arg_names}
    aligned = {(i,): [["tt.divisibility", 16]] for i, name in enumerate(function.arg_names) if name.endswith("_at")}
    source = ASTSource(function, types, constants, aligned)
    binary = compile(source, target=GPUTarget("cuda", CAPABILITY, 32), options=shape.options).asm["cubin"]
    registers, stack, instructions = _counts(binary)
    cycles = None if instructions is None else instructions * shape.warps / SCHEDULERS
    said = [name for name, on in (("1-SAM" if sam else "SGD", True), ("decay", decay), ("noise", noisy), (dtype, True)) if on]
    return Compiled(kernel, " ".join(said), shape, registers, stack, instructions, cycles)


def _counts(binary: bytes) -> tuple[int | None, int | None, int | None]:
    """Registers, bytes of stack and instructions in the loop over steps, as the assembler's listing has them."""
    import triton

    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    if not tool.exists():
        return None, None, None
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary)
        file.flush()
        usage, listing = (
            subprocess.run([tool, option, file.name], capture_output=True, encoding="utf-8", errors="replace", check=True).stdout
            for option in ("--dump-resource-usage", "--dump-sass")
        )
    found = {name: int(count) for name, count in re.findall(r"\b(REG|STACK):(\d+)", usage)}
    return found.get("REG"), found.get("STACK"), longest_loop(listing)


def longest_loop(listing: str) -> int | None:
    """Instructions between the target of the farthest backward branch and the branch: the loop over steps, its rare paths too."""
    code = [(int(at, 16), text) for at, text in re.findall(r"^\s*/\*([0-9a-f]{4,})\*/\s+(.*?);", listing, re.MULTILINE)]
    jumps = [(at, int(m[1], 16)) for at, text in code if (m := re.search(r"\bBRA\b.*?0x([0-9a-f]+)", text))]
    loops = [(to, at) for at, to in jumps if to < at]
    if not loops:
        return None
    first, last = max(loops, key=lambda loop: loop[1] - loop[0])
    return sum(first <= at <= last for at, _ in code)


def in_a_process() -> list[dict[str, Any]]:
    """`rows` as dictionaries, compiled in a process that does not interpret. Errors: RuntimeError with what the compiler said."""
    command = [sys.executable, "-m", "flatproof.verify.two_layer.fused.gpu.compiled"]
    done = subprocess.run(
        command, capture_output=True, encoding="utf-8", errors="replace", env=os.environ | {"TRITON_INTERPRET": "0"}
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit status {done.returncode}")
    return [json.loads(line) for line in done.stdout.splitlines()]


if __name__ == "__main__":
    for row in rows():
        print(json.dumps(asdict(row)))
