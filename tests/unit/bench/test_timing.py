"""How implementations are timed."""

import os
import time

import pytest
import torch

from flatproof.verify.bench.timing import in_turn, one_core


def test_implementations_take_turns() -> None:
    calls: list[str] = []

    def slow() -> int:
        calls.append("slow")
        time.sleep(0.02)
        return len(calls)

    timed = in_turn({"slow": slow, "fast": lambda: calls.append("fast") or len(calls)}, 3)
    assert calls == ["slow", "fast"] * 3
    assert {name: len(times.seconds) for name, times in timed.items()} == {"slow": 3, "fast": 3}
    assert (timed["slow"].value, timed["fast"].value) == (5, 6)
    assert 0.02 <= timed["slow"].low <= timed["slow"].median <= timed["slow"].high


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system pins no process")
def test_one_core_gives_back_what_it_took() -> None:
    before, threads = os.sched_getaffinity(0), torch.get_num_threads()
    with one_core():
        assert len(os.sched_getaffinity(0)) == 1
        assert torch.get_num_threads() == 1
    assert os.sched_getaffinity(0) == before
    assert torch.get_num_threads() == threads
