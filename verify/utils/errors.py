"""Owns the error that a user can mend: its message is one line that names the culprit and what was expected."""


class UserError(ValueError):
    """What was given cannot be used. At the command line: that line and exit status 2."""
