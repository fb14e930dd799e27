"""Owns how tests run: profiles, seeds, which tests are slow, and which share a worker so that nothing dear is made twice.

Hypothesis' profiles are "ci" (default) and "thorough" (HYPOTHESIS_PROFILE=thorough) for a nightly run.
What a test draws without a seed of its own depends on TEST_SEED alone (0), not on the tests that ran before it.
"""

import operator
import os
import random
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

if not Path("/dev/nvidia0").exists():  # before anything imports Triton: without a GPU its interpreter runs the kernels
    os.environ.setdefault("TRITON_INTERPRET", "1")

# before anything imports torch: pytest -n has a process for every core, and threads that wait for one another are 50 times as slow there
os.environ.setdefault("OMP_NUM_THREADS", "1")

# one folder of compiled kernels for every process that tests start, whatever HOME they give it
cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
os.environ.setdefault("NUMBA_CACHE_DIR", str(cache / "flatproof" / "numba"))

settings.register_profile("ci", max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", max_examples=1000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

LISTED = {  # marks of tests, by the file that lists them; measured
    mark: frozenset(Path(__file__).with_name(f"{mark}.txt").read_text().split())
    for mark in ("slow", "long")  # each takes some seconds; five and more
}
TOGETHER = {  # where a test lies that compiles kernels of training, or of the Hessian in closed form, or asks for all statements
    "training": (
        "tests/integration/test_cli.py",
        "tests/property/test_batch_norm.py",
        "tests/property/test_fused.py",
        "tests/torture/",
        "tests/unit/cli/test_train.py",
        "tests/unit/jobs/",
        "tests/unit/two_layer/",
    ),
    "statements": ("tests/unit/theory/claims/test_claims.py",),
    "closed form": ("tests/property/test_curvature.py", "tests/unit/curvature/two_layer/"),
}
UNCOMPILED = ("test_networks_on_images_without_any_data", "test_an_experiment_at_scale_smoke_needs_no_data")  # of those files


@pytest.hookimpl(tryfirst=True)  # before a module's fixtures, which may draw too
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Seed the generators that are shared by all tests of a process; a network's first weights come from torch's."""
    seed = int(os.environ.get("TEST_SEED", "0"))
    random.seed(seed)
    for name, seeded in (("numpy", "random.seed"), ("torch", "manual_seed")):
        if name in sys.modules:
            operator.attrgetter(seeded)(sys.modules[name])(seed)


def placed(nodeid: str) -> tuple[str, str]:
    """The file and the function of a test."""
    place, _, name = nodeid.partition("[")[0].partition("::")
    return place, name


def together(nodeid: str) -> str | None:
    """What a test shares with others, which run on one worker; None: nothing."""
    place, name = placed(nodeid)
    return next((group for group, places in TOGETHER.items() if place.startswith(places) and name not in UNCOMPILED), None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the slow tests, and begin with what shares a worker and with the longest."""
    for item in items:
        for mark, names in LISTED.items():
            if "::".join(placed(item.nodeid)) in names:
                item.add_marker(mark)
        if item.get_closest_marker("long") is not None:
            item.add_marker("slow")
    items.sort(key=lambda item: (together(item.nodeid) is None, item.get_closest_marker("slow") is None))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Tests that make the same on one worker (--dist loadgroup); marks do not do it, since pytest-xdist 3.8 writes them into ids that
    pytest 9.2 no longer reads."""
    from xdist.scheduler import LoadScopeScheduling

    class Together(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return together(nodeid) or nodeid

    return Together(config, log) if config.getoption("dist") == "loadgroup" else None
