"""Owns a process that carries out cases for `python -m tests.torture`: requests and answers are lines of JSON."""

import json
import os
import sys
import time
import traceback
from pathlib import Path

import flatproof
from flatproof import theory
from tests.command import here
from tests.torture.scenario import FIGURE, TABLE, Common, Scenario, Selection, scratch_of
from tests.torture.scenarios import SCENARIOS
from tests.torture.shim import loaded


def main(arguments: list[str]) -> None:
    """Serve until the input ends: FOLDER SEED SHORT (1 or 0)."""
    folder, seed, short = Path(arguments[0]), int(arguments[1]), arguments[2] == "1"
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # nothing but answers goes where they go
    common = Common(scratch_of(folder), loaded(), short)
    warm(common.scratch / "warm")
    ready: dict[str, Scenario] = {}
    for line in sys.stdin:
        request = json.loads(line)
        start = time.monotonic()
        try:
            answer = _answer(request, common, seed, ready)
        except Exception:  # a fault of the harness is told as one
            answer = {"wrong": [f"the harness itself failed: {traceback.format_exc()}"]}
        print(json.dumps(answer | {"seconds": time.monotonic() - start}), file=answers, flush=True)


def warm(folder: Path) -> None:
    """Have in this process, before it is forked, all that commands import and compile."""
    for name in theory.__all__:
        getattr(theory, name)
    for name in flatproof.__all__:
        getattr(flatproof, name)
    folder.mkdir(parents=True)
    ended = here(*Selection(TABLE + FIGURE, 1).sweep(), cwd=folder)
    if ended.returncode != 0:
        raise RuntimeError(f"an undisturbed run failed: {ended.stderr}")


def _answer(request: dict[str, object], common: Common, seed: int, ready: dict[str, Scenario]) -> dict[str, object]:
    name = str(request["scenario"])
    if name not in ready:
        scenario = SCENARIOS[name](common, seed)
        if why := scenario.prepare():
            return {"skipped": why}
        ready[name] = scenario
    number, count = int(str(request["case"])), min(ready[name].count(), ready[name].most)
    return {"count": count, "wrong": ready[name].run(number) if number < count else []}


if __name__ == "__main__":
    main(sys.argv[1:])
