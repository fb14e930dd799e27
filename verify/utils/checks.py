"""Owns the checks of settings: each gives the value in its plain form, or one ValueError that names the setting."""

import math
import operator

import numpy as np


def check_whole(name: str, value: object, least: int, most: int = 10**12) -> int:
    """`value` as an int in range (numpy's integers too); ValueError names the setting otherwise."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = least - 1
    if isinstance(value, bool) or not least <= number <= most:
        bounds = f"at least {least}" if number < least else f"at most {most}"
        raise ValueError(f"{name} must be a whole number of {bounds}, got {value!r}")
    return number


def check_number(name: str, value: object, least: float, strictly: bool = False) -> float:
    """`value` as a finite float in range; ValueError names the setting otherwise."""
    ok = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool) and math.isfinite(value)
    if not ok or value < least or (strictly and value == least):  # type: ignore[operator]
        raise ValueError(f"{name} must be a finite number {'above' if strictly else 'of at least'} {least:g}, got {value!r}")
    return float(value)  # type: ignore[arg-type]


def check_one_of(name: str, value: object, known: tuple[str, ...]) -> None:
    """ValueError naming the known values unless `value` is one of them."""
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")


def replace_fields(frozen: object, /, **values: object) -> None:
    """Replace fields of frozen settings by their checked form, so that equal settings have equal addresses."""
    for name, value in values.items():
        object.__setattr__(frozen, name, value)
