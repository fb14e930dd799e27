"""The memory of a product is measured in a fresh process, wherever flatproof and the working folder are."""

from pathlib import Path

import pytest

from flatproof.verify.bench.hvp.memory import peak_memory


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="resident memory is read as Linux has it")
def test_a_fresh_process_finds_flatproof(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    peak = peak_memory("two-layer", "double backward")
    assert peak is not None
    assert 0 <= peak < 1000
