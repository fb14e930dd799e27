"""Owns which outcomes of another machine may enter a store: those of jobs that are known here in the same version, whole, device named."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from flatproof.verify import experiments
from flatproof.verify.deep.settings import VERSION as TRAINING
from flatproof.verify.jobs.job import Computation
from flatproof.verify.jobs.rows import Kept
from flatproof.verify.jobs.store import Store
from flatproof.verify.two_layer.settings import ENGINE_VERSION

ADDRESS = re.compile("[0-9a-f]{64}")
Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Taken:
    """What came of it: addresses that are new, how many were known, those refused with why, how many by each device or machine."""

    new: tuple[str, ...]
    known: int
    refused: dict[str, str]
    devices: dict[str, int]


def take(rows: Sequence[Kept], store: Store) -> Taken:
    """Add the outcomes that may enter to a store, which keeps what it has; all of them in one transaction.

    Args:
        rows: of which two may have one address; the first that may enter counts.
        store: where they go.

    Raises:
        StoreError: the store cannot be written.
    """
    settings = {kept.row.key: json.loads(kept.row.settings) for kept in rows}
    versions = known_versions()
    first: dict[str, Kept] = {}
    refused: dict[str, str] = {}
    for kept in rows:
        if why := refusal(kept, settings, versions):
            refused.setdefault(kept.row.key, why)
        else:
            first.setdefault(kept.row.key, kept)
    refused = {key: why for key, why in refused.items() if key not in first}
    entering = list(first.values())
    new = store.take(entering)
    devices: dict[str, int] = {}
    for kept in entering:
        name = produced_on(kept)
        devices[name] = devices.get(name, 0) + 1
    return Taken(tuple(new), len(entering) - len(new), refused, devices)


def refusal(kept: Kept, settings: Mapping[str, Settings], versions: Mapping[str, int]) -> str | None:
    """Why an outcome may not enter, in a few words; None if it may.

    Args:
        kept: the outcome with its seal.
        settings: of all that come with it, by address: jobs name each other so.
        versions: `known_versions`.
    """
    if kept.whole is not None:
        return "of its curves the ends alone were published"
    if kept.seal.arrays is not None and kept.row.arrays is None:
        return "its arrays were not published with it"
    own = settings[kept.row.key]
    if "job" not in own and "engine_version" not in own:
        return "its settings name no job"
    parts = list(_parts(own, settings, {kept.row.key}))
    for part in parts:
        if "job" in part:
            job, version = part["job"], part.get("version")
            expected = _version_of(str(job), versions)
            if expected is None:
                return f"the job {job!r} is unknown here"
            if version != expected:
                return f"the job {job!r} has version {version}, this version of flatproof has {expected}"
        if part.get("engine_version", ENGINE_VERSION) != ENGINE_VERSION:
            return f"a run has engine_version {part['engine_version']}, this version of flatproof has {ENGINE_VERSION}"
    on_gpu = any(part.get("device") == "cuda" for part in parts)
    if on_gpu and not (json.loads(kept.row.provenance).get("device") or json.loads(kept.row.outcome).get("device")):
        return "its settings say device cuda, and its provenance names none"
    return None


def known_versions() -> dict[str, int]:
    """The version of each job that the project computes, by the name in its settings."""
    for name in (*experiments.HERE, "study", "own_sweep.jobs"):
        import_module(f"{experiments.__name__}.{name}")
    jobs = {
        kind.JOB: kind.VERSION
        for kind in _kinds(Computation.__subclasses__())
        if hasattr(kind, "JOB") and hasattr(kind, "VERSION")
    }
    return jobs | {"training": TRAINING}


def produced_on(kept: Kept) -> str:
    """The GPU that an outcome was computed on with its driver, else the machine."""
    at = json.loads(kept.row.provenance)
    return (
        f"{at['device']} (driver {at.get('driver', 'not known')})"
        if "device" in at
        else str(at.get("machine", "an unnamed machine"))
    )


def _kinds(classes: Sequence[type[Computation]]) -> Iterator[type[Computation]]:
    for kind in classes:
        yield kind
        yield from _kinds(kind.__subclasses__())


def _version_of(job: str, versions: Mapping[str, int]) -> int | None:
    """The version of a job's class: its name is that of the job, or all of its words are the first of the job's."""
    names = [name for name in versions if job == name or job.startswith(f"{name} ")]
    return versions[max(names, key=len)] if names else None


def _parts(value: Any, settings: Mapping[str, Settings], seen: set[str]) -> Iterator[Settings]:
    """Every dictionary within settings, and within those of the jobs that they name by address."""
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from _parts(item, settings, seen)
    elif isinstance(value, list):
        for item in value:
            yield from _parts(item, settings, seen)
    elif isinstance(value, str) and value in settings and value not in seen and ADDRESS.fullmatch(value):
        seen.add(value)
        yield from _parts(settings[value], settings, seen)
