"""Owns provenance: which code, versions and machine produced a number."""

import os
import platform
import re
import subprocess
import sys
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from flatproof import __version__

CODE = ("flatproof", "theory", "synth", "verify", "pyproject.toml", "requirements.lock")
PACKAGES = ("torch", "numpy", "numba", "scipy")


@cache
def provenance() -> dict[str, str]:
    """Versions and machine as a flat dictionary of strings: flatproof's version first, and its commit where there is one."""
    commit = _commit()
    code = {"flatproof": __version__} | ({} if commit is None else {"commit": commit})
    return {**code, "python": platform.python_version(), **_versions(), "machine": _machine()}


def accelerator() -> dict[str, str]:
    """The GPU that this process has computed on, and its driver; nothing where it has used none. torch is not imported for it."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return {}
    return {"device": torch.cuda.get_device_name(), "driver": _driver()}


def _driver(stated: Path = Path("/proc/driver/nvidia/version")) -> str:
    """The version of NVIDIA's driver, as the kernel or `nvidia-smi` states it."""
    try:
        if found := re.search(r"Kernel Module.*?\s(\d+\.[\d.]+)", stated.read_text(encoding="utf-8", errors="replace")):
            return found[1]
        return _output("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader").splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "not known"


def _versions() -> dict[str, str]:
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def _commit() -> str | None:
    """The last commit that changed the code, "+changes" if the working tree differs from it; None outside a repository of its own.

    Commits that touch only results or documents do not count, so that committing a result does not change its provenance.
    """
    root = Path(__file__).resolve().parents[2]
    git = partial(_output, "git", "-C", str(root))
    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != root:
            return None
        commit = git("log", "-1", "--format=%h", "--abbrev=10", "--", *CODE)
        changed = git("status", "--porcelain", "--", *CODE)
    except (OSError, subprocess.CalledProcessError):
        return None
    return (commit or "uncommitted") + ("+changes" if changed else "")


def _output(*command: str) -> str:
    """What a command prints. Errors: OSError, CalledProcessError."""
    return subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=True).stdout.strip()


def _machine() -> str:
    """Processor and number of cores that this process may use."""
    model = platform.processor() or platform.machine()
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{model}, {cores} cores, {platform.system()}"
