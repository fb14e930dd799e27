"""Owns the checks of settings: each gives the value in its plain form, or one ValueError that names the setting."""

import math
import operator
from typing import TypeVar

import numpy as np

Known = TypeVar("Known")


def check_whole(name: str, value: object, least: int = 1, most: int = 10**12) -> int:
    """`value` as an int in range, numpy's integers too.

    Args:
        name: the setting, as the message calls it.
        value: what was given.
        least: the smallest value accepted.
        most: the largest value accepted.

    Raises:
        ValueError: `value` is no whole number in that range.
    """
    try:
        number = least - 1 if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = least - 1
    if not least <= number <= most:
        bounds = f"at least {least}" if number < least else f"at most {most}"
        raise ValueError(f"{name} must be a whole number of {bounds}, got {value!r}")
    return number


def check_number(name: str, value: object, least: float, strictly: bool = False) -> float:
    """`value` as a finite float in range.

    Args:
        name: the setting, as the message calls it.
        value: what was given.
        least: the smallest value accepted.
        strictly: whether `least` itself is refused.

    Raises:
        ValueError: `value` is no finite number in that range.
    """
    ok = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool) and math.isfinite(value)
    if not ok or value < least or (strictly and value == least):  # type: ignore[operator]
        raise ValueError(f"{name} must be a finite number {'above' if strictly else 'of at least'} {least:g}, got {value!r}")
    return float(value)  # type: ignore[arg-type]


def check_positive(name: str, value: object) -> float:
    """`value` as a finite float above 0; ValueError naming the setting otherwise."""
    return check_number(name, value, 0, strictly=True)


def check_share(name: str, value: object) -> float:
    """`value` as a float strictly between 0 and 1; ValueError naming the setting otherwise."""
    if not isinstance(value, (float, np.floating)) or not 0 < value < 1:
        raise ValueError(f"{name} must lie strictly between 0 and 1, got {value!r}")
    return float(value)


def check_one_of(name: str, value: Known, known: tuple[str, ...]) -> Known:
    """`value` itself; ValueError naming the setting and the known values unless it is one of them."""
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")
    return value


def replace_fields(frozen: object, /, **values: object) -> None:
    """Replace fields of frozen settings by their checked form, so that equal settings have equal addresses."""
    for name, value in values.items():
        object.__setattr__(frozen, name, value)
