"""Checks certificates of flatness, in whole numbers and with Python's standard library alone:  python check_certificate.py FILE...

A file claims, for inputs x_i in Q^d and labels y_i, i < n, that every two-layer ReLU network of the architecture that interpolates
them has trace of the Hessian of (1/n) sum_i (f(x_i) - y_i)^2 at least `lower`, and that `neurons` come to `upper`. Read x_i as (x_i, 1)
unless the architecture is "no-bias", and write <u, v>_D for the sum of u_i v_i over i in D.

Cost of a neuron. A neuron is a sign s and a vector v (the first-layer weights times the size of the second-layer one); it adds
s max(x_i.v, 0) to f(x_i). With D = {i : x_i.v > 0} its share of the trace at interpolation is at least c_D |Xv|_D, and comes to it
after rescaling (for "sim-bn" in the limit of large first-layer weights), where

    c_D^2 = 16 sum_{i in D} |x_i|^2 / n^2  ("no-bias", "bias"),    c_D^2 = 16 / n  ("sim-bn").

Lower bound. Suppose that for every set D that can occur, both signs s, and all v with x_i.v >= 0 on D and x_i.v <= 0 off D,

    s <dual, Xv>_D <= c_D |Xv|_D.                                                                                          (*)

Sum over the neurons of an interpolating network: dual.y = sum_j s_j <dual, X v_j>_{D_j} <= trace. So `lower` = dual.y.
Proofs of (*): either sum_{i in D} max(s dual_i, 0)^2 <= c_D^2 (then (*) is Cauchy-Schwarz, as x_i.v >= 0 on D), or a u and mu >= 0 with

    sum_{i in D} (x_i.u - s dual_i) x_i = sum_{i in D} mu_i x_i - sum_{i not in D} mu_i x_i    and    |Xu|_D <= c_D:

multiply by any v as above: <Xu, Xv>_D - s <dual, Xv>_D = sum_i mu_i |x_i.v| >= 0, and <Xu, Xv>_D <= |Xu|_D |Xv|_D <= c_D |Xv|_D.

Every D that can occur. The hyperplanes x_i.w = 0 cut space into cells ("differentiable": no input x_i != 0 may lie on a kink) or,
if that is allowed ("relu'(0)=0"), into faces of every dimension. Each listed w shows one sign vector (x_i.w)_i to occur; their number
must be the number there is. Cells: adding a hyperplane H to others adds as many cells as these cut H into (Zaslavsky 1975). Faces:
the cells of the restriction to every intersection of hyperplanes. Both are counted here, without looking at the list.

Upper bound. The listed neurons interpolate exactly, and each has a rational cost q with q^2 >= c_D^2 |Xv|_D^2; `upper` sums them.
"""

import json
import re
import sys
from collections.abc import Iterable, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from fractions import Fraction
from functools import cache
from math import gcd, lcm
from operator import mul
from typing import Any, NamedTuple

FORMAT = "flatproof-certificate-1"
ARCHITECTURES = {"no-bias": "network without bias", "bias": "network with bias", "sim-bn": "network with simplified BatchNorm"}
KINKS = {"differentiable": "with no input on a kink", "relu'(0)=0": "with relu'(0) = 0"}
FIELDS = ("format", "statement", "architecture", "kinks", "x", "y", "dual", "lower", "upper", "patterns", "neurons")
NUMBER = re.compile("-?[0-9]+(/0*[1-9][0-9]*)?")
Line = tuple[int, ...]


class Invalid(ValueError):
    """The certificate proves nothing; the message says why."""


class Verdict(NamedTuple):
    """What a valid certificate proves."""

    statement: str
    lower: Fraction
    upper: Fraction

    @property
    def relative_gap(self) -> Fraction:
        """(upper - lower) / upper, 0 where both are."""
        return (self.upper - self.lower) / self.upper if self.upper else Fraction(0)


# --- reading ------------------------------------------------------------------------------------------------------------


def need(condition: bool, reason: str) -> None:
    """Raise Invalid unless the condition holds."""
    if not condition:
        raise Invalid(reason)


def rational(value: Any, name: str) -> Fraction:
    """A whole number, or the string "a/b"."""
    if type(value) is not int and not (type(value) is str and NUMBER.fullmatch(value)):
        raise Invalid(f'{name} is {json.dumps(value)[:60]}, not a whole number or "a/b"')
    return Fraction(value)


def items(value: Any, name: str, size: int | None = None) -> list[Any]:
    """A list, of the given length."""
    need(isinstance(value, list), f"{name} is no list")
    need(size is None or len(value) == size, f"{name} has {len(value)} entries instead of {size}")
    return list(value)


def vector(value: Any, size: int, name: str) -> list[Fraction]:
    """A list of rationals."""
    return [rational(entry, f"{name}[{k}]") for k, entry in enumerate(items(value, name, size))]


def fields(value: Any, name: str, known: Sequence[str]) -> dict[str, Any]:
    """An object with exactly the fields named."""
    need(isinstance(value, dict), f"{name} is no object")
    for field in known:
        need(field in value, f'{name} lacks the field "{field}"')
    for field in value:
        need(field in known, f"{name} has the unknown field {json.dumps(field)[:60]}")
    return dict(value)


def dot(u: Iterable[Any], v: Iterable[Any]) -> Any:
    """u . v exactly."""
    return sum(map(mul, u, v))


# --- counting cells and faces -------------------------------------------------------------------------------------------


def whole(values: Sequence[Fraction]) -> list[int]:
    """A positive multiple in whole numbers."""
    factor = lcm(*(v.denominator for v in values))
    return [int(v * factor) for v in values]


def line(normal: Sequence[int]) -> Line:
    """The same for all multiples of a vector: no common divisor, first entry other than 0 positive; () for the zero vector."""
    divisor = gcd(*normal) if next(filter(None, normal), 1) > 0 else -gcd(*normal)
    return tuple(c // divisor for c in normal) if divisor else ()


def restrict(p: Line, normal: Line) -> Line:
    """p as a line of the hyperplane normal . w = 0, coordinate j eliminated; () if p vanishes on it."""
    j = next(k for k, c in enumerate(normal) if c)
    return line([normal[j] * a - p[j] * b for k, (a, b) in enumerate(zip(p, normal, strict=True)) if k != j])


@cache
def count_cells(lines: frozenset[Line]) -> int:
    """One, and for each hyperplane as many cells as those before it cut it into."""
    order = sorted(lines)
    if order and len(order[0]) == 2:
        return 2 * len(order)
    return 1 + sum(count_cells(frozenset(restrict(p, h) for p in order[:k]) - {()}) for k, h in enumerate(order))


def count_faces(lines: frozenset[Line]) -> int:
    """The cells of the restrictions to all intersections of hyperplanes, the whole space and the smallest included."""
    total, flats = 0, {frozenset[Line](): {p: p for p in lines}}  # by the lines that vanish on it: the others, restricted to it
    while flats:
        below = {}
        for gone, rest in flats.items():
            total += count_cells(frozenset(rest.values()))
            for h in set(rest.values()):
                cut = {p: restrict(q, h) for p, q in rest.items()}
                below[gone.union(p for p in cut if not cut[p])] = {p: q for p, q in cut.items() if q}
        flats = below
    return total


# --- the check ----------------------------------------------------------------------------------------------------------


def check(certificate: Any) -> Verdict:
    """What the certificate, as read from JSON, proves. Raises Invalid, naming the culprit, if it does not prove what it says."""
    need(isinstance(certificate, dict) and certificate.get("format") == FORMAT, f'the field "format" is not "{FORMAT}"')
    data = fields(certificate, "the certificate", FIELDS)
    architecture, kinks = data["architecture"], data["kinks"]
    need(isinstance(architecture, str) and architecture in ARCHITECTURES, f"architecture is none of {', '.join(ARCHITECTURES)}")
    need(isinstance(kinks, str) and kinks in KINKS, f"kinks is none of {', '.join(KINKS)}")
    rows = items(data["x"], "x")
    n, d = len(rows), len(items(rows[0], "x[0]")) if rows else 0
    need(n > 0 and d > 0, "x is empty")
    one = [Fraction(1)] * (architecture != "no-bias")
    x = [vector(row, d, f"x[{i}]") + one for i, row in enumerate(rows)]
    y, dual = vector(data["y"], n, "y"), vector(data["dual"], n, "dual")
    squares, directions = [dot(row, row) for row in x], [whole(row) for row in x]

    def signs(v: Sequence[Fraction], name: str) -> tuple[int, ...]:
        w = whole(v)
        found = tuple((z > 0) - (z < 0) for z in (dot(row, w) for row in directions))
        on_kink = [i for i in range(n) if found[i] == 0 and any(x[i])]
        need(not on_kink or kinks != "differentiable", f"{name} has x{on_kink[:1]} on its kink")
        return found

    def price(on: Sequence[int]) -> Fraction:
        return Fraction(16, n) if architecture == "sim-bn" else 16 * sum((squares[i] for i in on), Fraction(0)) / n**2

    def check_proof(proof: Any, on: Sequence[int], s: int, name: str) -> None:
        parts = fields(proof, name, ("v", "mu"))
        u = vector(parts["v"], len(x[0]), f"{name}.v")
        need(isinstance(parts["mu"], dict), f"{name}.mu is no object")
        left = {i: dot(x[i], u) for i in on}
        need(dot(left.values(), left.values()) <= price(on), f"{name}: the activations of v are longer than the price")
        weight = {i: z - s * dual[i] for i, z in left.items()}
        for index, value in parts["mu"].items():
            need(
                index.isdecimal() and index == str(int(index)) and int(index) < n,
                f"{name}.mu names no input: {json.dumps(index)[:60]}",
            )
            i, m = int(index), rational(value, f"{name}.mu[{index}]")
            need(m >= 0, f"{name}.mu[{i}] is negative")
            weight[i] = weight.get(i, Fraction(0)) - (m if i in left else -m)
        gradient = [dot(weight.values(), (x[i][k] for i in weight)) for k in range(len(x[0]))]
        need(not any(gradient), f"{name}: v and mu do not satisfy the identity")

    seen, active, proved = dict[tuple[int, ...], int](), list[tuple[int, ...]](), set[tuple[tuple[int, ...], int]]()
    if kinks != "differentiable":
        seen[(0,) * n] = -1  # the origin is a face; it needs no witness
    for k, entry in enumerate(items(data["patterns"], "patterns")):
        name = f"patterns[{k}]"
        pattern = fields(entry, name, ("w", "plus", "minus"))
        shown = signs(vector(pattern["w"], len(x[0]), f"{name}.w"), f"{name}.w")
        need(shown not in seen, f"{name}.w lies in the same cell or face as patterns[{seen.get(shown)}].w")
        seen[shown] = k
        active.append(tuple(i for i in range(n) if shown[i] > 0))
        for s, side in ((1, "plus"), (-1, "minus")):
            if pattern[side] is not None:
                check_proof(pattern[side], active[k], s, f"{name}.{side}")
                proved.add((active[k], s))  # faces with the same active inputs share it
    for k, on in enumerate(active):
        for s, side in ((1, "plus"), (-1, "minus")):
            short = (on, s) in proved or sum(max(s * dual[i], Fraction(0)) ** 2 for i in on) <= price(on)
            need(short, f"patterns[{k}].{side} has no proof and needs one")
    lines = frozenset(map(line, directions)) - {()}
    count = count_cells(lines) if kinks == "differentiable" else count_faces(lines)
    need(len(seen) == count, f"patterns has {len(active)} entries, but there are {count - len(seen) + len(active)}")

    lower, upper, output = dot(dual, y), Fraction(0), [Fraction(0)] * n
    for k, entry in enumerate(items(data["neurons"], "neurons")):
        name = f"neurons[{k}]"
        neuron = fields(entry, name, ("v", "sign", "cost"))
        v, q = vector(neuron["v"], len(x[0]), f"{name}.v"), rational(neuron["cost"], f"{name}.cost")
        need(type(neuron["sign"]) is int and neuron["sign"] in (1, -1), f"{name}.sign is not 1 or -1")
        activation = {i: dot(x[i], v) for i, sign in enumerate(signs(v, f"{name}.v")) if sign > 0}
        need(q >= 0 and q**2 >= price([*activation]) * dot(activation.values(), activation.values()), f"{name}.cost is too small")
        upper += q
        for i, z in activation.items():
            output[i] += neuron["sign"] * z
    for i in range(n):
        need(output[i] == y[i], f"the neurons do not interpolate y[{i}]")
    need(rational(data["lower"], "lower") == lower, f"lower is not dual . y = {lower}")
    need(rational(data["upper"], "upper") == upper, f"upper is not the sum of the neurons' costs, {upper}")
    need(lower <= upper, "lower exceeds upper")
    verdict = Verdict(statement(architecture, kinks, n, d, lower, upper), lower, upper)
    need(data["statement"] == verdict.statement, f'statement is not "{verdict.statement}"')
    return verdict


def statement(architecture: str, kinks: str, n: int, d: int, lower: Fraction, upper: Fraction) -> str:
    """What is proved, in a sentence; decimals are rounded away from each other."""

    def decimal(value: Fraction, rounding: str, digits: int = 15) -> Decimal:
        return Context(digits, rounding).divide(Decimal(value.numerator), Decimal(value.denominator)).normalize()

    reaches = "reaches {}" if architecture != "sim-bn" else "has as infimum, over growing first-layer weights, at most {}"
    gap = decimal(Verdict("", lower, upper).relative_gap, ROUND_CEILING, 2)
    return (
        f"every interpolating network has trace >= {lower} (={decimal(lower, ROUND_FLOOR)}); the network in the file "
        f"{reaches.format(decimal(upper, ROUND_CEILING))}; relative gap {gap}: {ARCHITECTURES[architecture]} {KINKS[kinks]}, "
        f"{n} inputs in dimension {d}"
    )


def read(path: str) -> Any:
    """A JSON file without repeated fields and without floating-point numbers."""

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        need(len(dict(found)) == len(found), "a field occurs twice in one object")
        return dict(found)

    def refuse(text: str) -> None:
        raise Invalid(f"{text[:60]} is no exact number")

    with open(path, encoding="utf-8") as file:
        return json.load(file, object_pairs_hook=pairs, parse_float=refuse, parse_constant=refuse)


def main(paths: Sequence[str]) -> int:
    """One line a file; 0 if all are valid, 1 if one is not, 2 if none is named."""
    if not paths:
        print("usage: python check_certificate.py FILE...")
        return 2
    invalid = 0
    for path in paths:
        try:
            line = f"valid: {check(read(path)).statement}"
        except (ValueError, OSError, RecursionError) as error:
            invalid, line = 1, f"INVALID: {error}"
        print(f"{path}: {line}" if len(paths) > 1 else line)
    return invalid


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
