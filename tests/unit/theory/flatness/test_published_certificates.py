"""Every certificate that is committed is checked by the checker as a third party would run it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
FILES = sorted((ROOT / "paper_results/certified/table_1").glob("*.json"))
PROOFS = sorted((ROOT / "paper_results/wen2023/flattest").glob("*.json"))
BEYOND = [path for path in sorted((ROOT / "paper_results/beyond").glob("table_*")) if path.is_dir()]


def test_certificates_are_committed() -> None:
    assert len(FILES) >= 19
    assert len(BEYOND) == 6
    assert len(PROOFS) == 80


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_checker_accepts(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", ROOT / "theory/check_certificate.py", path], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("valid: every interpolating network has trace >= ")


@pytest.mark.slow
@pytest.mark.parametrize("folder", BEYOND, ids=lambda path: path.name)
def test_the_checker_accepts_those_beyond_the_trace(folder: Path) -> None:
    files = sorted(folder.glob("*.json"))
    assert len(files) >= 16
    done = subprocess.run(
        [sys.executable, "-I", "-S", ROOT / "theory/check_certificate.py", *files], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    proved = [line for line in done.stdout.splitlines() if ": valid: every " in line]
    assert len(proved) == len(files)


def test_the_checker_accepts_what_all_flattest_networks_do() -> None:
    done = subprocess.run([sys.executable, "-I", "-S", ROOT / "theory/check_parity.py", *PROOFS], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sum(": valid: all: " in line for line in done.stdout.splitlines()) == 20
    assert sum(": valid: not all: " in line for line in done.stdout.splitlines()) == 60
