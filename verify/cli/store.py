"""Owns `flatproof store`: checking every stored outcome, setting a damaged file aside, and taking in outcomes of another machine."""

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flatproof.verify.cli.options import STORE, AsJson, StorePath
from flatproof.verify.cli.terminal import refusing_bad_input, say
from flatproof.verify.utils.errors import UserError

if TYPE_CHECKING:
    from flatproof.verify.jobs.mending import Condition

app = typer.Typer(no_args_is_help=True, help="The store of outcomes: checking it, and keeping what is sound of a damaged one.")


@app.command()
def check(store: StorePath = STORE, as_json: AsJson = False) -> None:
    """Check every row and the file itself; rows stored before there were seals are sealed. Status 1 if anything is damaged."""
    from flatproof.verify.jobs.mending import check as condition_of

    require_store(store)
    condition = condition_of(store)
    if as_json:
        print(json.dumps(asdict(condition) | {"store": str(store), "sound": condition.sound}))
    else:
        _tell(store, condition)
    if not condition.sound:
        raise typer.Exit(1)


def _tell(store: Path, condition: "Condition") -> None:
    for line in (*condition.structure, *map(str, condition.faults)):
        say(f"damaged: {line}")
    if condition.sealed_now:
        say(f"{condition.sealed_now} rows from before there were seals are sealed now, as they stand; their past is not known")
    if condition.sound:
        say(f"{store}: {condition.rows} rows, all as they were sealed")
    elif condition.faults and not condition.rows:
        say(
            f"{store}: all {condition.stored} rows are gone, and nothing is left to keep; "
            "move the file away, and 'flatproof reproduce' runs them anew"
        )
    else:
        say(
            f"{store}: {len(condition.faults)} of {condition.stored} rows are damaged; 'flatproof store mend' sets the file aside "
            "and keeps the others, 'flatproof reproduce --rerun-damaged' also runs the damaged ones anew"
        )


@app.command()
def mend(store: StorePath = STORE) -> None:
    """Set a damaged store aside under another name, and keep its sound rows in a new one."""
    require_store(store)
    mended(store)


@app.command("import")
def take_in(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="outcomes.jsonl.xz, as `make gpu-queue` and a report write it.")],
    store: StorePath = STORE,
    as_json: AsJson = False,
) -> None:
    """Merge the outcomes of another machine. What is stored stays; versions and devices are checked. Status 1 if any is refused."""
    from flatproof.verify.experiments.incoming import take
    from flatproof.verify.jobs.store import Store
    from flatproof.verify.report.outcomes import load

    with refusing_bad_input():
        rows = [kept for build in load(file) for kept in build.rows]
    with refusing_bad_input(), Store(store) as opened:
        taken = take(rows, opened)
    if as_json:
        print(json.dumps(asdict(taken) | {"file": str(file), "store": str(store)}))
    else:
        say(f"{file}: {len(taken.new)} new in {store}, {taken.known} known, {len(taken.refused)} refused")
        for device, count in taken.devices.items():
            say(f"computed on {device}: {count}")
        for why, count in Counter(taken.refused.values()).items():
            first = next(key for key, reason in taken.refused.items() if reason == why)
            say(f"refused: {count}, of which row {first[:12]}: {why}")
    if taken.refused:
        raise typer.Exit(1)


def mended(store: Path) -> None:
    """Mend a store and say what came of it. Errors: StoreError."""
    from flatproof.verify.jobs.mending import mend as set_aside

    kept, aside = set_aside(store)
    if aside is None:
        say(f"{store}: {kept} rows, all as they were sealed")
    else:
        say(f"{store}: {kept} sound rows kept; the damaged file lies in {aside}")


def require_store(path: Path) -> None:
    """UserError unless something lies there. An empty file is what a process killed in its first moment leaves."""
    with refusing_bad_input():
        lies_there = path.is_file() and path.stat().st_size > 0
        held = "is empty" if path.is_file() else "is no file" if path.exists() else "does not exist"
    if not lies_there:
        raise UserError(f"store {path} {held}; expected one that 'flatproof reproduce' has written")
