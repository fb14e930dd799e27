"""Owns certificates for the smoothed logistic loss: those of the mean squared error with what they prove of it (own/flattest-7)."""

import math
from fractions import Fraction
from typing import Any

from flatproof.theory.check_certificate import FORMAT, WIDER, Data, Invalid, check, logistic
from flatproof.theory.flatness.arrangement import decimal
from flatproof.theory.flatness.rational import number, numbers
from flatproof.theory.losses import Loss

OUTWARD = Fraction(1, 2**44)  # relative, of the ends of what t is shown to lie between


def for_logistic(certificate: dict[str, Any], smoothing: float) -> dict[str, Any]:
    """A certificate that says, too, what it proves for the logistic loss.

    Args:
        certificate: of the least trace over networks that interpolate labels 1 and -1, with or without predictions, of format 3 or 4.
        smoothing: p, above 0 and below 1/2.

    Returns:
        The certificate, of format 4, which the checker has accepted.

    Raises:
        ValueError: for a smoothing that is none.
        check_certificate.Invalid: for labels other than 1 and -1, a tolerance, and an objective other than the trace.
    """
    p = decimal(Loss("logistic", smoothing).smoothing)
    if certificate.get("format") not in (FORMAT, WIDER):
        raise Invalid(f'expected a certificate of format "{FORMAT}" or "{WIDER}", got {certificate.get("format")!r}')
    target = Fraction(math.log1p((1 - 2 * p) / p))
    low, high = target * (1 - OUTWARD), target * (1 + OUTWARD)
    lower, upper = Fraction(certificate["lower"]), Fraction(certificate["upper"])
    loss: dict[str, Any] = {"name": "logistic", "smoothing": number(p), "target": numbers([low, high])}
    loss |= {"lower": number(low * p * (1 - p) / 2 * lower), "upper": number(high * p * (1 - p) / 2 * upper), "statement": None}
    out = certificate | {"format": WIDER, "loss": loss}
    try:
        logistic(Data(out), loss, lower, upper)
    except Invalid as unsaid:  # its sentence alone is missing
        prefix = 'loss.statement is not "'
        if not str(unsaid).startswith(prefix):
            raise
        loss["statement"] = str(unsaid).removeprefix(prefix).removesuffix('"')
    check(out)
    return out
