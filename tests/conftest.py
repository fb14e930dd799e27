"""Hypothesis profiles: "ci" (default) and "thorough" (HYPOTHESIS_PROFILE=thorough) for a nightly run."""

import os
from pathlib import Path

from hypothesis import HealthCheck, settings

if not Path("/dev/nvidia0").exists():  # before anything imports Triton: without a GPU its interpreter runs the kernels
    os.environ.setdefault("TRITON_INTERPRET", "1")

# before anything imports torch: pytest -n has a process for every core, and threads that wait for one another are 50 times as slow there
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("ci", max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", max_examples=1000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
