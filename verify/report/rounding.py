"""Owns when two numbers of two reproductions agree.

Equal: the same text, or the same number. Within rounding: numbers with a point or an exponent that differ by at most the tolerance relative
to the larger, or are both smaller than NOTHING; in a text of the same words, by at most one unit of their last printed digit. Whole
numbers are counts: they are equal or differ.
"""

import math
import re

EQUAL, ROUNDING, DIFFERS, MISSING, EXTRA = STATES = ("equal", "within rounding", "differs", "missing", "extra")
TOLERANCE = 1e-6  # relative: sums in another order, on another processor or by another library
NOTHING = 1e-9  # numbers below it are what rounding leaves of zero
TIME = re.compile(r"(?:^|[^a-z])(?:(?:milli|micro)?seconds|core-hours?|minutes?|hours?|ms)(?:[^a-z]|$)|/s$", re.IGNORECASE)
NUMBER = re.compile(r"[-−+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?")


def state_of(committed: str, fresh: str, tolerance: float = TOLERANCE, printed: bool = False) -> str:
    """Whether two cells are equal, within rounding, or differ; the module's first lines define it.

    Args:
        committed, fresh: the texts.
        tolerance: relative, of numbers.
        printed: whether a number was rounded when it was printed; numbers inside a text were.
    """
    if committed == fresh:
        return EQUAL
    left, right = number(committed), number(fresh)
    if left is not None and right is not None:
        if left == right or (math.isnan(left) and math.isnan(right)):
            return EQUAL
        if all(re.fullmatch(r"[-+]?\d+", text) for text in (committed, fresh)):
            return DIFFERS
        if not math.isfinite(left - right):
            return DIFFERS
        largest = max(abs(left), abs(right))
        reach = max(tolerance * largest, 1.001 * min(_unit(committed), _unit(fresh)) if printed else 0.0)
        return ROUNDING if abs(left - right) <= reach or largest < NOTHING else DIFFERS
    numbers = [[plain_digits(digits) for digits in NUMBER.findall(text)] for text in (committed, fresh)]
    if not numbers[0] or NUMBER.sub("#", committed) != NUMBER.sub("#", fresh):
        return DIFFERS
    states = {state_of(old, now, tolerance, printed=True) for old, now in zip(*numbers, strict=True)}
    return DIFFERS if DIFFERS in states else ROUNDING if ROUNDING in states else EQUAL


def number(text: str) -> float | None:
    """The number that a text is; None for another text."""
    try:
        return float(text)
    except ValueError:
        return None


def plain_digits(digits: str) -> str:
    """A printed number as `float` reads it."""
    return digits.replace(",", "").replace("−", "-")


def _unit(digits: str) -> float:
    """One unit of the last digit that is printed of a number."""
    mantissa, _, exponent = digits.lower().partition("e")
    return float(10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2])))
