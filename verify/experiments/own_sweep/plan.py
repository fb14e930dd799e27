"""Owns what a sweep of a user's own consists of: which checkpoints are measured how, and which are left out for which reason."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from flatproof.verify.experiments.own_sweep.error_file import NAME, ErrorFile, read_errors
from flatproof.verify.experiments.own_sweep.jobs import CheckpointSharpness, Subject, digest_of_code, digest_of_data
from flatproof.verify.experiments.own_sweep.matching import LEAST, Checkpoint, checkpoints, matched
from flatproof.verify.jobs.store import Store
from flatproof.verify.utils.table_files import name_of

if TYPE_CHECKING:
    from torch import nn

SKIP = "--skip-broken leaves such out"


@dataclass(frozen=True)
class Cell:
    """A measure with settings: a column of sharpness.

    Args:
        label: for people.
        measure: its name.
        source: the name or address by which it was asked for.
        arguments: its settings, as JSON.
    """

    label: str
    measure: str
    source: str
    arguments: str


@dataclass(frozen=True)
class Plan:
    """A sweep.

    Args:
        subject: model, data and loss.
        cells: what is measured.
        models: the checkpoints, each with the SHA-256 of its content and the number of its row of errors.
        errors: by row.
        left_out: a line for each checkpoint, row or cell that was left out.
        others: a line for each checkpoint whose names had a prefix, or that holds other weights beside those that are measured.
    """

    subject: Subject
    cells: tuple[Cell, ...]
    models: tuple[tuple[Checkpoint, str, int], ...]
    errors: ErrorFile
    left_out: tuple[str, ...]
    others: tuple[str, ...] = ()

    def jobs(self, checkpoint: Checkpoint, digest: str) -> list[CheckpointSharpness]:
        """Of one checkpoint, in the order of the cells."""
        name, path = checkpoint.name, checkpoint.path
        return [
            CheckpointSharpness(self.subject, name, path, digest, c.measure, c.source, c.arguments, c.label) for c in self.cells
        ]

    def grid(self) -> list[tuple[str, CheckpointSharpness]]:
        """All jobs, each with its checkpoint's name, checkpoint by checkpoint."""
        return [(checkpoint.name, job) for checkpoint, digest, _ in self.models for job in self.jobs(checkpoint, digest)]


def planned(
    subject: Subject,
    cells: Sequence[Cell],
    folder: Path,
    errors: Path,
    store: Store,
    skip_broken: bool,
    note: Callable[[str], None],
) -> Plan:
    """Find the checkpoints and their errors, and look at everything that could fail before anything is measured.

    Args:
        subject: model, data and loss, without digests.
        cells: what is measured.
        folder: of the checkpoints.
        errors: the CSV file.
        store: what is there was read once, and is not read again.
        skip_broken: leave out what does not fit, rather than refuse it.
        note: is told what is looked at.

    Raises:
        ValueError: names what cannot be used.
        OSError: a file cannot be read.
    """
    table = read_errors(errors)
    there = checkpoints(folder)
    pairs, strays = matched(folder, there, table.names)
    if table.title != NAME and matched(folder, there, [table.title])[0]:
        raise ValueError(
            f"--errors {name_of(errors)} has no header: its first row, of {table.title!r}, was taken as the names of columns; expected "
            "one such as name,test_error"
        )
    faults = [*table.faults, *strays]
    _refuse(faults, skip_broken)
    subject = _with_digests(subject)
    plan = Plan(subject, tuple(cells), (), table, ())
    models, others, stored, tried = list[tuple[Checkpoint, str, int]](), list[str](), store.keys(), False
    for number, (row, checkpoint) in enumerate(pairs.items(), start=1):
        note(f"reading {checkpoint.name} ({number} of {len(pairs)})")
        try:
            digest = _digest(checkpoint)
            if any(job.key not in stored for job in plan.jobs(checkpoint, digest)):
                network, more, names = subject.network(checkpoint.path)
                said = [names] if names else []
                said += [f"it also holds {', '.join(more)}; --entry {more[0]} measures that"] if more else []
                others += [f"{checkpoint.name}: {'; '.join(said)}"] if said else []
                tried = tried or _measurable(subject, network)
        except (ValueError, OSError) as error:
            if isinstance(error, Unmeasurable) or str(error).startswith("--"):  # an option's fault, not a checkpoint's
                raise
            faults.append(_line(error, checkpoint))
            _refuse(faults, skip_broken)
            continue
        models.append((checkpoint, digest, row))
    check_enough(len(models), faults)
    return replace(plan, models=tuple(models), left_out=tuple(faults), others=tuple(others))


def check_enough(count: int, faults: Sequence[str]) -> None:
    """ValueError unless there are checkpoints enough."""
    if count < LEAST:
        why = f"; {faults[0]}" + (f" (and {len(faults) - 1} more lines like this)" if len(faults) > 1 else "") if faults else ""
        raise ValueError(f"{count} checkpoints have errors and can be measured; expected at least {LEAST}{why}")


def _refuse(faults: Sequence[str], skip_broken: bool) -> None:
    if faults and not skip_broken:
        more = f" (and {len(faults) - 1} more lines like this)" if len(faults) > 1 else ""
        raise ValueError(f"{faults[0]}{more}; {SKIP}")


def _with_digests(subject: Subject) -> Subject:
    """With the digests of data and code, which are imported here."""
    from flatproof.verify.curvature.user_model import import_model, load_loss

    load_loss(subject.loss)
    import_model(subject.model)
    data = digest_of_data(subject.batches())
    return replace(subject, data_digest=data, code_digest=digest_of_code(subject.model, subject.loss))


def _digest(checkpoint: Checkpoint) -> str:
    from flatproof.verify.curvature.user_weights import digest

    return digest(checkpoint.path)


def _measurable(subject: Subject, network: "nn.Module") -> bool:
    """Compute a loss once, so that a model, a loss and data that do not go together end the command before the sweep."""
    from flatproof.verify.curvature.user_model import NotFinite

    try:
        subject.problem(network, subject.batches())
    except NotFinite:
        return False
    except ValueError as error:
        raise Unmeasurable(str(error)) from error
    return True


def _line(error: ValueError | OSError, checkpoint: Checkpoint) -> str:
    if isinstance(error, OSError):
        return f"checkpoint {checkpoint.path} cannot be read: {error.strerror or error}"
    return str(error)


class Unmeasurable(ValueError):
    """Model, loss and data do not go together, whatever the checkpoint."""
