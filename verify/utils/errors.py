"""Owns the errors that the command line shows in the words they bring."""


class UserError(ValueError):
    """What was given cannot be used: one line names the culprit and what was expected. At the command line: that and status 2."""


class Diverged(ValueError):
    """A training diverged: it has no final values. A study keeps that as its outcome instead of failing."""


class SweepError(RuntimeError):
    """Some runs could not be carried out; all others are stored. Its lines name each with its reason. At the command line: status 1.

    `tracebacks`: of those that have one, in the same order.
    """

    def __init__(self, message: str, tracebacks: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.tracebacks = tracebacks
