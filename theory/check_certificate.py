"""Checks certificates of flatness, in whole numbers and with Python's standard library alone:

    python check_certificate.py [--data POINTS.csv] FILE...

A file claims, for inputs x_i in Q^d and labels y_i, i < n, that every two-layer ReLU network of the architecture that interpolates
them has trace of the Hessian of (1/n) sum_i (f(x_i) - y_i)^2 at least `lower`, and that `neurons` come to `upper`. It may say more:
what every network that is nearly as flat predicts at other points. Read x_i as (x_i, 1) unless the architecture is "no-bias", and
write <u, v>_D for the sum of u_i v_i over i in D, |v|_D for the length.

Trace. The Hessian is (2/n) sum_i (g_i g_i' + (f(x_i) - y_i) f''(x_i)), g_i the gradient of f(x_i) in all parameters; at interpolation
its trace is (2/n) sum_i |g_i|^2, a sum over neurons.

Cost of a neuron. A neuron a max(w.x, 0), D = {i : x_i.w > 0}, has the derivatives max(w.x_i, 0) in a and a x_i in w, for i in D. Its
share of the trace is (2/n) (|Xw|_D^2 + a^2 sum_{i in D} |x_i|^2), by the inequality of the two means at least
(4/n) |a| |Xw|_D sqrt(sum_{i in D} |x_i|^2); equality is reached by scaling w by t and a by 1/t. With v = |a| w and s the sign of a it
adds s max(x_i.v, 0) to f(x_i) and costs c_D |Xv|_D. For "sim-bn" the neuron is a g max(w.x, 0) / r with r^2 = (1/n) |Xw|_D^2 and
parameters a, g and w. The squares of the derivatives in a sum to g^2 |Xw|_D^2 / r^2 = n g^2, in g to n a^2, and those in w are not
negative, though they vanish as w grows; so the share is at least 2 (a^2 + g^2) >= 4 |a g|, which is approached for |a| = |g|. With
v = |a g| w / r it adds s max(x_i.v, 0), and |Xv|_D = |a g| sqrt(n). Altogether

    c_D^2 = 16 sum_{i in D} |x_i|^2 / n^2  ("no-bias", "bias"),    c_D^2 = 16 / n  ("sim-bn").

Lower bound. Suppose that for every set D that can occur, both signs s, and all v with x_i.v >= 0 on D and x_i.v <= 0 off D,

    s <dual, Xv>_D <= c_D |Xv|_D.                                                                                          (*)

Sum over the neurons of an interpolating network: dual.y = sum_j s_j <dual, X v_j>_{D_j} <= trace. So `lower` = dual.y.
Proofs of (*): either sum_{i in D} max(s dual_i, 0)^2 <= c_D^2 (then (*) is Cauchy-Schwarz, as x_i.v >= 0 on D), or a u and mu >= 0 with

    sum_{i in D} (x_i.u - s dual_i) x_i = sum_{i in D} mu_i x_i - sum_{i not in D} mu_i x_i    and    |Xu|_D <= c_D:

multiply by any v as above: <Xu, Xv>_D - s <dual, Xv>_D = sum_i mu_i |x_i.v| >= 0, and <Xu, Xv>_D <= |Xu|_D |Xv|_D <= c_D |Xv|_D.
A file gives u as `v`, or mu alone where G = sum_{i in D} x_i x_i' is invertible: then G u = t, t = s sum_{i in D} dual_i x_i + sum_{i in D}
mu_i x_i - sum_{i not in D} mu_i x_i, has one solution, and |Xu|_D^2 = u'G u = t'G^-1 t.

Every D that can occur. The hyperplanes x_i.w = 0 cut space into cells ("differentiable": no input x_i != 0 may lie on a kink) or,
if that is allowed ("relu'(0)=0"), into faces of every dimension. Each listed w shows one sign vector (x_i.w)_i to occur; their number
must be the number there is. Cells: adding a hyperplane H to others adds as many cells as these cut H into (Zaslavsky 1975). Faces:
the cells of the restriction to every intersection of hyperplanes. Both are counted here, without looking at the list, and the count
stops as soon as it exceeds the list.

Upper bound. The listed neurons interpolate exactly, and each has a rational cost q with q^2 >= c_D^2 |Xv|_D^2; `upper` sums them.

Predictions. Let U = (1 + within) upper: the statements are about every interpolating network of trace at most U, which all networks
within that of the flattest are among. At a point q, read like x_i, a "high" end has a `dual` and a tau >= 0 such that for every D, both
signs s, and v as above

    s max(q.v, 0) - s <dual, Xv>_D <= tau c_D |Xv|_D;                                                                      (**)

summed over neurons, f(q) <= dual.y + tau trace <= dual.y + tau U, the `bound`. A "low" end bounds -f(q) in the same way, with -s for the
first s. (**) is proved on {q.v >= 0} and on {q.v <= 0} in turn, for the end e = 1 or -1, by a u, mu >= 0 and nu >= 0 with |Xu|_D <= tau c_D

    sum_{i in D} (x_i.u + s dual_i) x_i - [q.v >= 0] e s q = sum_{i in D} mu_i x_i - sum_{i not in D} mu_i x_i +- nu q,

or by Cauchy-Schwarz: `cone` writes q = sum_i beta_i x_i with beta >= 0, so that max(q.v, 0) <= <beta, Xv>_D, and the left-hand side is at
most |max(e s beta - s dual, 0)|_D |Xv|_D where q.v >= 0 and e s = 1, at most |max(-s dual, 0)|_D |Xv|_D elsewhere.

A "ray" says q = c x_i with c >= 0: f(q) = c y_i for every network whose bias is read as above. A "direction" w has w.q > 0 and
w.x_i <= 0 for all i: a neuron along w changes f(q) and, moved off the kinks by next to nothing, costs next to nothing on the data, as
do two barely active neurons that cancel there for "sim-bn". So for every within > 0 predictions at q are unbounded. A "witness" is a
network that interpolates exactly at a cost of at most (1 + within) lower, within that of the flattest whatever the flattest is, and
its prediction. A decision counts: "all" if every prediction is proved to have its label's sign, "not all" if at some point a witness has it
not, predictions are unbounded, or a bound proves that no network has it. Bounds say nothing where there are no such networks, so they count
if lower > 0 and within > 0, for then some network comes within that of the infimum, or upper = 0, which the network in the file attains; a
prediction that is a single value counts anyway.

Other objectives (format 4, "no-bias" and "bias" only). `objective` bounds t trace + l lambda_max + r (sum of the squares of all parameters)
in place of the trace, lambda_max being the Hessian's largest eigenvalue. At interpolation the nonzero eigenvalues of the Hessian are those
of K = (2/n) sum of the g_i.g_k, so l lambda_max >= sum_ik P_ik K_ik for every P >= 0 (semidefinite, `metric`) of trace l. A neuron adds
(2/n) a^2 x_i.x_k + (2/n) (w.x_i)(w.x_k) to K_ik for i, k in D. So its share of the whole is at least (2/n) (a^2 h_D + w'M_D w), where

    M_D = t G_D + sum_{i,k in D} P_ik x_i x_k' + (n/2) r I,   h_D = t sum_{i in D} |x_i|^2 + sum_{i,k in D} P_ik x_i.x_k + (n/2) r,

by the means at least (4/n) sqrt(h_D) sqrt(v'M_D v): everything above holds with M_D for G_D, sqrt(v'M_D v) for |Xv|_D, and c_D^2 =
16 h_D / n^2; Cauchy-Schwarz alone, as M_D >= t G_D, where sum_{i in D} max(s dual_i, 0)^2 <= t c_D^2. The network of an objective with
lambda_max has a > 0 for each neuron in place of its cost, w = v / a; `eigenvalue` is a number that K is at most.
If r > 0, no direction is free: (**) is then to be proved for D = {}, too, where samples may be on kinks, also if the origin is the only
face without active inputs, for a neuron that is 0 at every input may be seen at q.

Inputs under a linear map (format 4, "no-bias" and "bias" only). With `inner` = M, positive definite, the objective is t times the trace
of networks on the inputs A x_i, where A is invertible and A'A = M (A (x_i, 1) where there is a bias). Such a network's neuron with weights
w' has the activations w'.A x_i = w.x_i, w = A'w', and the derivatives a A x_i in w': patterns, outputs and |Xw|_D are those of w on the
x_i, and h_D = t sum_{i in D} x_i'M x_i is all that changes. What is said of a point q is said of A q. The inputs are whitened, of second
moments (1/n) sum_i A x_i x_i'A' = I, if M sum_i x_i x_i' = n I; with a bias if M is such a matrix and 1 for the constant.

Fits within a tolerance (format 4). Off the kinks f is linear in a and in w, so that f'' has the diagonal 0, and the trace is (2/n) sum_i
|g_i|^2 for every network. sum_i dual_i f(x_i) is at least dual.y - e sum_i |dual_i| if |f(x_i) - y_i| <= e at all inputs, and at least
dual.y - sqrt(n m) |dual| if the mean of (f(x_i) - y_i)^2 is at most m: that is `lower`, and what bounds on predictions lose.

Another loss (format 4). With `loss` the labels y_i are 1 and -1, and a second statement is of l(f, y) = log(1 + e^f) - q f in place of (f
- y)^2, q = 1/2 + (1/2 - p) y the label smoothed by p, 0 < p < 1/2. l'(f) = e^f/(1 + e^f) - q is 0 at f = t y alone, t = ln((1 - p)/p),
where l'' = q (1 - q) = p (1 - p): the Hessian of a network of a perfect fit, f(x_i) = t y_i, is (p (1 - p)/n) sum_i g_i g_i', and its
trace p (1 - p)/n sum_i |g_i|^2. f is homogeneous: all weights times sqrt(t) make t f of f and sqrt(t) g_i of g_i (for "sim-bn", too,
where a, g and w count with the degrees 1, 1 and 0). So they take the networks that interpolate, one to one and with their patterns, to
those of a perfect fit, and the trace to t p (1 - p)/2 times it: the flattest are the flattest, and predict t times as much. `target`
holds two numbers that t is shown to lie between, by ln 2^k m = k ln 2 + ln m and ln m = 2 sum_{j >= 0} z^(2j+1)/(2j+1), z = (m - 1)/(m +
1), where the terms from J on come to at most 2 z^(2J+1)/((2J+1)(1 - z^2)); `lower` and `upper` of the loss are these times p (1 - p)/2
times those of the trace.

Several outputs (format 5, "no-bias" and "bias" only). Labels y_i, duals and second layers a are in Q^K; the trace is that of the Hessian of
(1/n) sum_i |f(x_i) - y_i|^2 at interpolation, (2/n) sum_{i,k} |grad f_k(x_i)|^2. A neuron's w has the derivatives a_k x_i in f_k and each
a_k has max(w.x_i, 0) in f_k alone, for i in D: its share is (2/n) (K |Xw|_D^2 + |a|^2 sum_{i in D} |x_i|^2), at least
(4/n) sqrt(K) |a| |Xw|_D sqrt(sum_{i in D} |x_i|^2) = sqrt(K) c_D |a| |Xw|_D. So `lower` = sum_i dual_i.y_i if for every D and v as in (*)

    |sum_{i in D} (x_i.v) dual_i|^2 <= K c_D^2 |Xv|_D^2,

for the sum over neurons of a.(sum_{i in D} (x_i.w) dual_i) is at most that of |a| sqrt(K) c_D |Xw|_D. It is proved by `products` N >= 0 for
which K c_D^2 G_D - B B' - M is positive semidefinite, B = sum_{i in D} x_i dual_i', and M the matrix of the form sum_{i<=k} N_ik r_i r_k,
r_i(v) = |x_i.v|, that is x_i.v on D and -x_i.v off D: the form is not negative for these v. A prediction bounds direction.f(q) by
sum_i dual_i.y_i + tau U: for every D, where q.v >= 0 and where q.v <= 0, with B less q direction' in the first case, tau^2 K c_D^2 for
K c_D^2, and r_n(v) = |q.v| among the r. Or by `ends`: where `cone` writes q = sum_i beta_i x_i with beta >= 0, m = max(q.v, 0) is at most
q_D.v, q_D = sum_{i in D} beta_i x_i, and the length of B'v - m direction, convex in m, is largest at m = q_D.v or m = 0: with B less
q_D direction' and r_n = q_D.v in the first case.

Speed. Vectors of whole numbers are packed into one number each, a field of bits an entry (`Packed`): a sum of vectors is a sum of numbers.
Formats 1 and 2, which are still read, have `v` in every proof; format 1 has no digest and no predictions.
"""

import csv
import hashlib
import json
import re
import sys
from collections.abc import Iterable, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from functools import cache
from html import escape
from itertools import combinations_with_replacement, compress
from math import gcd, inf, lcm
from operator import mul
from typing import Any, NamedTuple

FORMAT = "flatproof-certificate-3"
WIDER = "flatproof-certificate-4"  # of other objectives and of fits within a tolerance
OUTPUTS = "flatproof-certificate-5"  # of several outputs
FORMATS = ("flatproof-certificate-1", "flatproof-certificate-2", FORMAT, WIDER, OUTPUTS)
ARCHITECTURES = {"no-bias": "network without bias", "bias": "network with bias", "sim-bn": "network with simplified BatchNorm"}
KINKS = {"differentiable": "with no input on a kink", "relu'(0)=0": "with relu'(0) = 0"}
FIELDS = ("format", "statement", "architecture", "kinks", "x", "y", "dual", "lower", "upper", "patterns", "neurons")
ADDED = ("data_sha256", "within", "predictions", "decision")
CHANGES = ("objective", "tolerance", "loss")  # of format WIDER
TERMS = 40  # of a logarithm's series
HALVES = ((1, 1), (1, -1), (-1, 1), (-1, -1))  # output sign, side of q: the order of proofs
NUMBER = re.compile("-?[0-9]+(/0*[1-9][0-9]*)?")
FINE = 2**128  # bits kept of a network's K
Line = tuple[int, ...]
MORE = "patterns has too few entries: there are more cells or faces"


class Invalid(ValueError):
    """The certificate proves nothing; the message says why."""


class Verdict(NamedTuple):
    """What a valid certificate proves."""

    statement: str
    lower: Fraction
    upper: Fraction
    predictions: tuple[str, ...] = ()
    decision: str | None = None
    loss: str | None = None

    @property
    def lines(self) -> list[str]:
        """All that is proved, a sentence each."""
        return [f"valid: {self.statement}", *self.predictions, *filter(None, (self.decision, self.loss))]

    @property
    def relative_gap(self) -> Fraction:
        """(upper - lower) / upper, 0 where both are."""
        return (self.upper - self.lower) / self.upper if self.upper else Fraction(0)

    def _repr_html_(self) -> str:
        return "".join(f"<p>{escape(text)}</p>" for text in self.lines)


# --- reading ------------------------------------------------------------------------------------------------------------


def need(condition: bool, reason: str) -> None:
    """Raise Invalid unless the condition holds."""
    if not condition:
        raise Invalid(reason)


def rational(value: Any, name: str) -> Fraction:
    """A whole number, or the string "a/b"."""
    if type(value) is not int and not (type(value) is str and NUMBER.fullmatch(value)):
        raise Invalid(f'{name} is {json.dumps(value)[:60]}, not a whole number or "a/b"')
    top, _, bottom = str(value).partition("/")
    return Fraction(int(top), int(bottom or 1))


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


def common(values: Sequence[Fraction]) -> tuple[list[int], int]:
    """Numbers in units of 1 / denominator, and that denominator."""
    denominator = lcm(*(value.denominator for value in values))
    return [value.numerator * (denominator // value.denominator) for value in values], denominator


class Packed:
    """Vectors of whole numbers, each as one number with a field of bits an entry: their combinations are sums of numbers.

    A field holds an entry of absolute value at most 2^(width - 1) - 1; a negative one borrows from the field above, which `half`, added
    before fields are read, gives back.

    Args:
        vectors: of one length.
        reach: the largest sum of |weight|, of the combinations that are made.
    """

    def __init__(self, vectors: Sequence[Sequence[int]], reach: int) -> None:
        self.size = len(vectors[0])
        largest = max((abs(c) for vector in vectors for c in vector), default=0)
        self.bytes = (largest * max(reach, 1)).bit_length() // 8 + 1
        self.ones = sum(1 << 8 * self.bytes * k for k in range(self.size))
        self.half = self.ones << 8 * self.bytes - 1
        self.numbers = [self.pack(vector) for vector in vectors]

    def pack(self, vector: Sequence[int]) -> int:
        """The number of a vector."""
        bias = 1 << 8 * self.bytes - 1
        return int.from_bytes(b"".join((c + bias).to_bytes(self.bytes, "little") for c in vector), "little") - self.half

    def unpack(self, number: int) -> list[int]:
        """The vector of a number."""
        text, bias = (number + self.half).to_bytes(self.bytes * self.size, "little"), 1 << 8 * self.bytes - 1
        return [int.from_bytes(text[k : k + self.bytes], "little") - bias for k in range(0, len(text), self.bytes)]

    def above(self, number: int, least: int) -> int:
        """The highest bit of every field whose entry is at least 0 or 1."""
        return (number + self.half - least * self.ones) & self.half

    def where(self, above: int) -> bytes:
        """A byte an entry, other than 0 where its field has its highest bit."""
        return above.to_bytes(self.bytes * self.size, "little")[self.bytes - 1 :: self.bytes]

    def kept(self, number: int, above: int) -> int:
        """The vector with 0 in every field that has not its highest bit in `above`."""
        whole_fields = 2 * above - (above >> 8 * self.bytes - 1)
        return ((number + self.half) & whole_fields) - above


def square(gram: Sequence[Sequence[int]], t: Sequence[int]) -> tuple[int, int]:
    """t' G^-1 t as numerator and denominator, the determinant of G, for a positive semidefinite G; (0, 0) if G is singular.

    Elimination in whole numbers (Bareiss 1968) of G bordered by t: the last entry is det [[G, t], [t', 0]] = -det(G) t' G^-1 t.
    """
    p, rows, last = len(gram), [[*row, b] for row, b in zip(gram, t, strict=True)] + [[*t, 0]], 1
    for k in range(p):
        top = rows[k]
        pivot = top[k]
        if not pivot:  # a leading minor of a positive definite matrix is positive
            return 0, 0
        for i in range(k + 1, p + 1):
            row, factor = rows[i], top[i]
            for j in range(i, p + 1):
                row[j] = (pivot * row[j] - factor * top[j]) // last
        last = pivot
    return -rows[p][p], last


def semidefinite(matrix: Sequence[Sequence[int]]) -> bool:
    """Whether a symmetric matrix of whole numbers has no negative eigenvalue, by the same elimination."""
    rows, last = [list(row) for row in matrix], 1
    for k, top in enumerate(rows):
        pivot = top[k]
        if pivot < 0 or (pivot == 0 and any(top[k:])):
            return False
        if pivot == 0:  # what is left of this row and column is 0
            continue
        for i in range(k + 1, len(rows)):
            row, factor = rows[i], top[i]
            for j in range(i, len(rows)):
                row[j] = (pivot * row[j] - factor * top[j]) // last
        last = pivot
    return True


def line(normal: Sequence[int]) -> Line:
    """The same for all multiples of a vector: no common divisor, first entry other than 0 positive; () for the zero vector."""
    divisor = gcd(*normal) if next(filter(None, normal), 1) > 0 else -gcd(*normal)
    return tuple(c // divisor for c in normal) if divisor else ()


def restrict(p: Line, normal: Line) -> Line:
    """p as a line of the hyperplane normal . w = 0, coordinate j eliminated; () if p vanishes on it."""
    j = next(k for k, c in enumerate(normal) if c)
    return line([normal[j] * a - p[j] * b for k, (a, b) in enumerate(zip(p, normal, strict=True)) if k != j])


def count_cells(lines: frozenset[Line], most: float = inf, known: dict[frozenset[Line], int] | None = None) -> int:
    """One, and for each hyperplane as many cells as those before it cut it into. Stops with Invalid above `most`."""
    known = {} if known is None else known
    if lines not in known:
        order, total = sorted(lines), 1
        if order and len(order[0]) == 2:
            total, order = 2 * len(order), []
        for k, h in enumerate(order):
            need(total <= most, MORE)
            total += count_cells(frozenset(restrict(p, h) for p in order[:k]) - {()}, most - total, known)
        known[lines] = total
    need(known[lines] <= most, MORE)
    return known[lines]


def count_faces(lines: frozenset[Line], most: float = inf) -> int:
    """The cells of the restrictions to all intersections of hyperplanes, the whole space and the smallest included."""
    known = dict[frozenset[Line], int]()
    total, flats = 0, {frozenset[Line](): {p: p for p in lines}}  # by the lines that vanish on it: the others, restricted to it
    while flats:
        below = dict[frozenset[Line], dict[Line, Line]]()
        for gone, rest in flats.items():
            total += count_cells(frozenset(rest.values()), most - total, known)
            for h in set(rest.values()):
                need(len(below) <= most, MORE)
                cut = {p: restrict(q, h) for p, q in rest.items()}
                below[gone.union(p for p in cut if not cut[p])] = {p: q for p, q in cut.items() if q}
        flats = below
    return total


# --- the check ----------------------------------------------------------------------------------------------------------


class Data:
    """Inputs and labels of a certificate, with the constant 1 appended where there is a bias."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.architecture, self.kinks = data["architecture"], data["kinks"]
        need(
            isinstance(self.architecture, str) and self.architecture in ARCHITECTURES,
            f"architecture is none of {', '.join(ARCHITECTURES)}",
        )
        need(isinstance(self.kinks, str) and self.kinks in KINKS, f"kinks is none of {', '.join(KINKS)}")
        rows = items(data["x"], "x")
        self.n, self.d = len(rows), len(items(rows[0], "x[0]")) if rows else 0
        need(self.n > 0 and self.d > 0, "x is empty")
        self.x = [self.point(row, f"x[{i}]") for i, row in enumerate(rows)]
        several = data.get("format") == OUTPUTS
        self.y = [Fraction(0)] * self.n if several else vector(data["y"], self.n, "y")  # Outputs has them
        self.p = len(self.x[0])
        self.scale = lcm(*(c.denominator for row in self.x for c in row))
        self.whole = [[int(c * self.scale) for c in row] for row in self.x]
        self.directions = [whole(row) for row in self.x]
        self.pairs = list(combinations_with_replacement(range(self.p), 2))
        self.products = [[row[a] * row[b] for a, b in self.pairs] for row in self.whole]
        self.grams = Packed(self.products, self.n)
        self.columns = cache(lambda bits: Packed(list(zip(*self.directions, strict=True)), 1 << bits))
        self.objective = Objective(self, data.get("objective"))
        self.tolerance = Tolerance(self, data.get("tolerance"))

    def point(self, value: Any, name: str) -> list[Fraction]:
        """An input, the constant 1 appended."""
        return vector(value, self.d, name) + [Fraction(1)] * (self.architecture != "no-bias")

    def signs(self, w: Sequence[int], name: str) -> tuple[bytes, bytes]:
        """Where x_i.w > 0 and where it is >= 0, which must be the same for inputs x_i != 0 unless kinks are allowed."""
        packed = self.columns(64 * (sum(map(abs, w)).bit_length() // 64 + 1))
        z = sum(map(mul, w, packed.numbers))
        above, least = packed.where(packed.above(z, 1)), packed.where(packed.above(z, 0))
        if above != least and self.kinks == "differentiable":
            on_kink = [i for i in range(self.n) if above[i] != least[i] and any(self.x[i])]
            need(not on_kink, f"{name} has x{on_kink[:1]} on its kink")
        return above, least

    def gram(self, on: Iterable[int]) -> list[list[int]]:
        """sum_{i in D} x_i x_i', times the square of the scale."""
        entries = self.grams.unpack(sum(map(self.grams.numbers.__getitem__, on)))
        return self.matrix(entries)

    def matrix(self, entries: Sequence[int]) -> list[list[int]]:
        """The symmetric matrix whose entries for the pairs of columns these are."""
        known = dict(zip(self.pairs, entries, strict=True))
        return [[known[min(a, b), max(a, b)] for b in range(self.p)] for a in range(self.p)]

    def index(self, text: str, name: str) -> int:
        """The number of an input, a key of an object."""
        fine = text.isdecimal() and text == str(int(text)) and int(text) < self.n
        need(fine, f"{name} names no input: {json.dumps(text)[:60]}")
        return int(text)

    def weights(self, value: Any, name: str) -> dict[int, Fraction]:
        """Numbers >= 0 for some inputs."""
        need(isinstance(value, dict), f"{name} is no object")
        out = {}
        for text, entry in value.items():
            i = self.index(text, name)
            out[i] = rational(entry, f"{name}[{text}]")
            need(out[i] >= 0, f"{name}[{i}] is negative")
        return out

    def network(self, value: Any, name: str, y: Sequence[Fraction]) -> tuple[Fraction, list[tuple[list[Fraction], int]]]:
        """The cost of neurons that interpolate, or fit as well as they have to, and these with their output signs."""
        total, neurons, groups = Fraction(0), [], dict[int, list[tuple[list[int], int, tuple[int, ...]]]]()
        price = "a" if self.objective.largest else "cost"
        balanced = list[tuple[list[Fraction], Fraction, tuple[int, ...]]]()
        for k, entry in enumerate(items(value, name)):
            at = f"{name}[{k}]"
            neuron = fields(entry, at, ("v", "sign", price))
            v, q = vector(neuron["v"], self.p, f"{at}.v"), rational(neuron[price], f"{at}.{price}")
            need(type(neuron["sign"]) is int and neuron["sign"] in (1, -1), f"{at}.sign is not 1 or -1")
            w, unit = common(v)
            on = tuple(compress(range(self.n), self.signs(w, f"{at}.v")[0]))
            need(bool(on) or self.architecture != "sim-bn", f"{at} is silent: its statistics have length 0")
            if self.objective.largest:
                need(q > 0, f"{at}.a is not positive")
                balanced.append((v, q, on))
            else:
                case = self.objective.over(on, self.gram(on))
                above, below = case.price
                length = dot((dot(row, w) for row in case.gram), w)
                enough = q.numerator**2 * below * case.unit * unit**2 >= above * length * q.denominator**2
                need(q >= 0 and enough, f"{at}.cost is too small")
                total += q
            neurons.append((v, neuron["sign"]))
            groups.setdefault(unit, []).append((w, neuron["sign"], on))
        output = [Fraction(0)] * self.n
        for unit, group in groups.items():  # x_i.v in units of 1 / (scale unit)
            packed = Packed(list(zip(*self.whole, strict=True)), sum(sum(map(abs, w)) for w, _, _ in group))
            sums = 0
            for w, sign, _ in group:
                z = sum(map(mul, w, packed.numbers))
                sums += sign * packed.kept(z, packed.above(z, 0))
            for i, z in enumerate(packed.unpack(sums)):
                if z:
                    output[i] += Fraction(z, unit * self.scale)
        self.tolerance.compare(output, y, name)
        return total + self.objective.of(balanced), neurons


class OnSet(NamedTuple):
    """One on-set D: its members, M_D (sum_{i in D} x_i x_i' where the trace is bounded) times the unit, and as quotients the square of a
    price and what sum_{i in D} max(s dual_i, 0)^2 may be.
    """

    members: frozenset[int]
    gram: list[list[int]]
    unit: int
    price: tuple[int, int]
    simple: tuple[int, int]


class Objective:
    """What is bounded: trace * (the trace) + largest * (the largest eigenvalue) + squares * (the sum of the squares of all parameters)."""

    def __init__(self, data: Data, value: Any) -> None:
        self.data, self.trace, self.squares, self.largest = data, Fraction(1), Fraction(0), Fraction(0)
        self.inner: list[list[int]] | None = None  # M in units of 1 / inner_unit
        self.inner_unit = 1
        if value is not None:
            need(data.architecture != "sim-bn", "the objective of sim-bn is its trace")
            wider = ("lambda_max", "metric", "eigenvalue") if isinstance(value, dict) and "lambda_max" in value else ()
            mapped = ("inner",) if isinstance(value, dict) and "inner" in value else ()
            parts = fields(value, "objective", ("trace", "squares", *wider, *mapped))
            self.trace, self.squares = (rational(parts[name], f"objective.{name}") for name in ("trace", "squares"))
            if wider:
                self.largest = rational(parts["lambda_max"], "objective.lambda_max")
                need(self.largest > 0, "objective.lambda_max is not positive")
                self.eigenvalue = rational(parts["eigenvalue"], "objective.eigenvalue")
            need(self.trace >= 0 and self.squares >= 0, "a weight of the objective is negative")
            need(self.trace + self.squares + self.largest > 0, "the objective is 0")
            if mapped:
                need(not self.largest and not self.squares, "objective.inner goes with the trace alone")
                self.inner, self.inner_unit = self.definite(parts["inner"], "objective.inner")
        metric = [[Fraction(0)] * data.n] * data.n
        if self.largest:
            metric = [
                vector(row, data.n, f"objective.metric[{i}]") for i, row in enumerate(items(parts["metric"], "metric", data.n))
            ]
            need(all(metric[i][k] == metric[k][i] for i in range(data.n) for k in range(i)), "objective.metric is not symmetric")
            need(sum(metric[i][i] for i in range(data.n)) == self.largest, "the trace of objective.metric is not lambda_max")
        (self.weight, self.ridge, *entries), self.unit = common(
            [self.trace, self.squares * data.n / 2, *(entry for row in metric for entry in row)]
        )
        self.metric = [entries[data.n * i : data.n * (i + 1)] for i in range(data.n)]
        need(semidefinite(self.metric), "objective.metric has a negative eigenvalue")

    def definite(self, value: Any, name: str) -> tuple[list[list[int]], int]:
        """A positive definite matrix of the inputs' size, in whole numbers with their unit."""
        size = self.data.p
        rows = [vector(row, size, f"{name}[{i}]") for i, row in enumerate(items(value, name, size))]
        need(all(rows[i][k] == rows[k][i] for i in range(size) for k in range(i)), f"{name} is not symmetric")
        entries, unit = common([entry for row in rows for entry in row])
        out = [entries[size * k : size * (k + 1)] for k in range(size)]
        need(semidefinite(out) and square(out, [0] * size)[1] > 0, f"{name} is not positive definite")
        return out, unit

    @property
    def whitens(self) -> bool:
        """Whether the inputs under the map have second moments of 1, the constant staying what it is."""
        data, inner = self.data, self.inner
        if inner is None:
            return False
        d, unit = data.d, self.inner_unit
        moments = [[dot((row[a] for row in data.whole), (row[b] for row in data.whole)) for b in range(d)] for a in range(d)]
        size = unit * data.n * data.scale**2
        white = all(dot(inner[a][:d], moments[b]) == size * (a == b) for a in range(d) for b in range(d))
        return white and all(inner[a][b] == unit * (a == b) for a in range(d, data.p) for b in range(data.p))

    def over(self, on: Sequence[int], gram: list[list[int]], tau: Fraction = Fraction(1)) -> OnSet:
        """One on-set with tau c_D for a price: gram is sum_{i in D} x_i x_i' times the square of the scale."""
        data = self.data
        p, scale, members = data.p, data.scale**2, frozenset(on)
        if data.architecture == "sim-bn":
            price = 16 * tau.numerator**2, data.n * tau.denominator**2
            return OnSet(members, gram, scale, price, price)
        whole = [[self.weight * entry for entry in row] for row in gram]
        if self.largest:
            rows = [data.whole[i] for i in on]
            moved = [[dot((self.metric[i][k] for k in on), column) for column in zip(*rows, strict=True)] for i in on]
            for a in range(p if rows else 0):
                for b in range(p):
                    whole[a][b] += dot((row[a] for row in rows), (row[b] for row in moved))
        head, head_unit = sum(whole[k][k] for k in range(p)) + self.ridge * scale, 1
        if self.inner is not None:
            head, head_unit = sum(map(dot, self.inner, whole)), self.inner_unit
        for k in range(p):
            whole[k][k] += self.ridge * scale
        above, below = 16 * head * tau.numerator**2, data.n**2 * self.unit * scale * head_unit * tau.denominator**2
        return OnSet(members, whole, self.unit * scale, (above, below), (above * self.weight, below * self.unit))

    def of(self, neurons: Sequence[tuple[list[Fraction], Fraction, tuple[int, ...]]]) -> Fraction:
        """An upper bound for neurons v = a w, a and on-sets; 0 where these have costs instead.

        Every neuron's share of K is rounded down to multiples of 1 / FINE, which changes the eigenvalues of the sum and their sum by at
        most `error` in all.
        """
        if not self.largest:
            return Fraction(0)
        data, n = self.data, self.data.n
        kernel, squares, error = [[0] * n for _ in range(n)], 0, Fraction(n * len(neurons), FINE)
        for v, a, on in neurons:
            w, unit = common(v)
            above, below = a.numerator**2, a.denominator**2  # of a^2
            h, bottom = [dot(row, w) for row in data.whole], n * above * below * (data.scale * unit) ** 2
            for i in on:
                for k in on:
                    share = (above * unit) ** 2 * dot(data.whole[i], data.whole[k]) + below**2 * h[i] * h[k]
                    kernel[i][k] += 2 * FINE * share // bottom
            squares += FINE * ((above * unit) ** 2 + below**2 * dot(w, w)) // (above * below * unit**2)
        most = (self.eigenvalue - error) * FINE
        rest = [[(most.numerator if i == k else 0) - most.denominator * kernel[i][k] for k in range(n)] for i in range(n)]
        need(semidefinite(rest), "objective.eigenvalue is less than the largest of the network")
        trace = Fraction(sum(kernel[i][i] for i in range(n)), FINE) + error
        return self.trace * trace + self.squares * (Fraction(squares, FINE) + error) + self.largest * self.eigenvalue

    def __str__(self) -> str:
        parts = [(self.trace, "trace"), (self.largest, "lambda_max"), (self.squares, "(squares of the parameters)")]
        out = " + ".join(name if weight == 1 else f"{weight} {name}" for weight, name in parts if weight)
        if self.inner is None:
            return out
        return out + (" on the whitened inputs" if self.whitens else " on the inputs A x, A'A = objective.inner,")


class Tolerance:
    """How well networks fit: |f(x_i) - y_i| <= each, or the mean of (f(x_i) - y_i)^2 at most `mean`; exactly if neither is given."""

    def __init__(self, data: Data, value: Any) -> None:
        self.n, self.each, self.mean = data.n, Fraction(0), Fraction(0)
        if value is not None:
            need(data.architecture != "sim-bn", "networks of sim-bn have to interpolate")
            need(not data.objective.largest, "a bound on lambda_max has no tolerance: it holds at interpolation")
            name = "mean_square" if isinstance(value, dict) and "mean_square" in value else "each"
            most = rational(fields(value, "tolerance", (name,))[name], f"tolerance.{name}")
            need(most >= 0, f"tolerance.{name} is negative")
            self.each, self.mean = (most, self.mean) if name == "each" else (self.each, most)

    def compare(self, output: Sequence[Fraction], y: Sequence[Fraction], name: str) -> None:
        """Raise Invalid unless outputs fit."""
        misses = [abs(a - b) for a, b in zip(output, y, strict=True)]
        if self.mean:
            need(sum(miss**2 for miss in misses) <= self.n * self.mean, f"the {name} miss y by more than the tolerance")
            return
        for i, miss in enumerate(misses):
            need(miss <= self.each, f"the {name} do not interpolate y[{i}]" + (" within the tolerance" if self.each else ""))

    def covers(self, loss: Fraction, dual: Sequence[Fraction]) -> bool:
        """Whether the loss is what sum_i dual_i f(x_i) can differ from dual.y by, or for a mean square at least that."""
        if self.mean:
            return loss >= 0 and loss**2 >= self.n * self.mean * dot(dual, dual)
        return loss == self.each * sum(map(abs, dual))

    def __str__(self) -> str:
        if self.mean:
            return f"network of mean squared error at most {self.mean}"
        return f"network with |f - y| <= {self.each} at all inputs" if self.each else "interpolating network"


def check_proof(data: Data, proof: Any, case: OnSet, target: tuple[list[int], int], name: str, q: Any) -> None:
    """sum_{i in D} (x_i.u) x_i = target + sum_{i in D} mu_i x_i - sum_{i not in D} mu_i x_i + nu q, and |Xu|_D^2 <= price.

    Args:
        data: the certificate's data.
        proof: u and mu (and nu), as they stand in the file.
        case: the on-set D with its price.
        target: (p,), in units of 1 / the number beside it.
        name: of the proof, for messages.
        q: None, or a point (p,) that the half space where the inequality is wanted is on the positive side of, with its unit.

    Raises:
        Invalid: if it proves nothing.
    """
    given = ["v"] if isinstance(proof, dict) and "v" in proof else []
    parts = fields(proof, name, (*given, "mu", *(("nu",) if q is not None else ())))
    right, unit = target
    mu = data.weights(parts["mu"], f"{name}.mu")
    if mu:
        shares, small = common([m if i in case.members else -m for i, m in mu.items()])
        right, unit = added(right, unit, [dot(shares, (data.whole[i][k] for i in mu)) for k in range(data.p)], small * data.scale)
    if q is not None:
        nu = rational(parts["nu"], f"{name}.nu")
        need(nu >= 0, f"{name}.nu is negative")
        right, unit = added(right, unit, [nu.numerator * c for c in q[0]], nu.denominator * q[1])
    above, below = case.price
    if given:  # M u is in units of 1 / (case.unit small)
        u, small = common(vector(parts["v"], data.p, f"{name}.v"))
        left = [dot(row, u) for row in case.gram]
        need(dot(left, u) * below <= above * small**2 * case.unit, f"{name}: the activations of v are longer than the price")
        same = all(a * unit == b * small * case.unit for a, b in zip(left, right, strict=True))
        need(same, f"{name}: v and mu do not satisfy the identity")
    else:
        length, determinant = square(case.gram, right)  # t' M^-1 t is length case.unit / (determinant unit^2)
        need(determinant > 0, f"{name}: there is no v, and the active inputs do not determine it")
        need(
            length * case.unit * below <= above * determinant * unit**2,
            f"{name}: the activations of v are longer than the price",
        )


def added(a: Sequence[int], unit: int, b: Sequence[int], other: int) -> tuple[list[int], int]:
    """Two vectors in units of 1 / unit and 1 / other, added up: with the unit of the sum."""
    both = lcm(unit, other)
    return [both // unit * c + both // other * e for c, e in zip(a, b, strict=True)], both


def check(certificate: Any) -> Verdict:
    """What the certificate, as read from JSON, proves. Raises Invalid, naming the culprit, if it does not prove what it says."""
    need(isinstance(certificate, dict), "the certificate is no object")
    network_file = "format" not in certificate and {"architecture", "w1", "w2"} <= certificate.keys()
    need(not network_file, "this is a network, not a certificate; its certificate is the file that was written beside it")
    version = certificate.get("format")
    need(isinstance(version, str) and version in FORMATS, f'the field "format" is not "{FORMAT}"')
    if version == OUTPUTS:
        return check_outputs(certificate)
    added = [field for field in ADDED if version != FORMATS[0] and (field in certificate or field == "data_sha256")]
    added += [field for field in CHANGES if version == WIDER and field in certificate]
    data = fields(certificate, "the certificate", (*FIELDS, *added))
    inputs = Data(data)
    if version != FORMATS[0]:
        need(data["data_sha256"] == digest(data["x"], data["y"]), "data_sha256 is not the digest of x and y")
    n, dual = inputs.n, vector(data["dual"], inputs.n, "dual")

    seen, active, proved = dict[tuple[bytes, bytes], int](), list[tuple[int, ...]](), set[tuple[tuple[int, ...], int]]()
    if inputs.kinks != "differentiable":
        seen[inputs.signs([0] * inputs.p, "the origin")] = -1  # a face; it needs no witness, and (*) no proof
    sums, missing = Weighted(inputs, dual), list[tuple[int, int, str]]()
    for k, entry in enumerate(items(data["patterns"], "patterns")):
        name = f"patterns[{k}]"
        pattern = fields(entry, name, ("w", "plus", "minus"))
        shown = inputs.signs(whole(vector(pattern["w"], inputs.p, f"{name}.w")), f"{name}.w")
        need(shown not in seen, f"{name}.w lies in the same cell or face as patterns[{seen.get(shown)}].w")
        seen[shown] = k
        on = tuple(compress(range(n), shown[0]))
        active.append(on)
        gram, linear, squares = sums.over(on)
        on_set = inputs.objective.over(on, gram)
        for s, side in ((1, "plus"), (-1, "minus")):
            if pattern[side] is not None:
                check_proof(
                    inputs, pattern[side], on_set, ([s * c for c in linear], sums.unit * inputs.scale), f"{name}.{side}", None
                )
                proved.add((on, s))  # faces with the same active inputs share it
            elif squares[s < 0] * on_set.simple[1] > on_set.simple[0] * sums.unit**2:
                missing.append((k, s, side))
    for k, s, side in missing:
        need((active[k], s) in proved, f"patterns[{k}].{side} has no proof and needs one")
    lines = frozenset(map(line, inputs.directions)) - {()}
    count = count_cells(lines, len(seen)) if inputs.kinks == "differentiable" else count_faces(lines, len(seen))
    need(len(seen) == count, f"patterns has {len(active)} entries, but there are {count - len(seen) + len(active)}")

    lower, most = rational(data["lower"], "lower"), dot(dual, inputs.y)
    upper, _ = inputs.network(data["neurons"], "neurons", inputs.y)
    less = " less what the tolerance takes" if "tolerance" in data else ""
    need(inputs.tolerance.covers(most - lower, dual), f"lower is not dual . y = {most}{less}")
    least, upper = upper, rational(data["upper"], "upper")
    need(upper >= least if inputs.objective.largest else upper == least, f"upper is not the sum of the neurons' costs, {least}")
    need(lower <= upper, "lower exceeds upper")
    claimed = statement(
        inputs.architecture, inputs.kinks, n, inputs.d, lower, upper, str(inputs.objective), str(inputs.tolerance)
    )
    need(data["statement"] == claimed, f'statement is not "{claimed}"')
    loss = logistic(inputs, data["loss"], lower, upper) if "loss" in data else None
    if "predictions" not in data:
        need("within" not in data and "decision" not in data, "within and decision belong to predictions, and there are none")
        return Verdict(claimed, lower, upper, loss=loss)
    need(not inputs.objective.largest, "predictions do not go with lambda_max")
    need("within" in data, 'the certificate lacks the field "within"')
    within = rational(data["within"], "within")
    need(within >= 0, "within is negative")
    silent = (
        {()} if inputs.kinks != "differentiable" else set()
    )  # neurons across all inputs, or on all kinks: what q sees of them
    cases = [
        Prediction(inputs, entry, f"predictions[{k}]", sorted(silent.union(active)), within, lower, upper)
        for k, entry in enumerate(items(data["predictions"], "predictions"))
    ]
    for case, entry in zip(cases, data["predictions"], strict=True):
        need(entry["statement"] == case.statement, f'{case.name}.statement is not "{case.statement}"')
    some = (lower > 0 and within > 0) or upper == 0
    decision = check_decision(data["decision"], cases, within, some) if "decision" in data else None
    return Verdict(claimed, lower, upper, tuple(case.statement for case in cases), decision, loss)


def logarithm(value: Fraction) -> tuple[Fraction, Fraction]:
    """Two numbers that ln(value) lies between, value >= 1."""
    k = 0
    while value >= 2:
        value, k = value / 2, k + 1
    low, high = Fraction(0), Fraction(0)
    for times, m in ((k, Fraction(2)), (1, value)):
        z = (m - 1) / (m + 1)
        part = 2 * times * sum((z ** (2 * j + 1) / (2 * j + 1) for j in range(TERMS)), Fraction(0))
        low, high = low + part, high + part + 2 * times * z ** (2 * TERMS + 1) / ((2 * TERMS + 1) * (1 - z**2))
    return low, high


def logistic(data: Data, value: Any, lower: Fraction, upper: Fraction) -> str:
    """What bounds on the trace of the mean squared error prove for the smoothed logistic loss, in a sentence."""
    parts = fields(value, "loss", ("name", "smoothing", "target", "lower", "upper", "statement"))
    need(parts["name"] == "logistic", 'loss.name is not "logistic"')
    objective = data.objective
    need(not objective.largest and not objective.squares, "loss goes with the trace alone")
    need(not data.tolerance.each and not data.tolerance.mean, "loss goes with a perfect fit: there is no tolerance")
    odd = [i for i, label in enumerate(data.y) if abs(label) != 1]
    need(not odd, f"y{odd[:1]} is neither 1 nor -1, as the logistic loss has them")
    p = rational(parts["smoothing"], "loss.smoothing")
    need(0 < 2 * p < 1, "loss.smoothing is not between 0 and 1/2")
    low, high = vector(parts["target"], 2, "loss.target")
    least, most = logarithm((1 - p) / p)
    need(0 < low <= least and most <= high, "loss.target does not enclose ln((1 - p)/p)")
    bounds = low * p * (1 - p) / 2 * lower, high * p * (1 - p) / 2 * upper
    for name, bound in zip(("lower", "upper"), bounds, strict=True):
        need(rational(parts[name], f"loss.{name}") == bound, f"loss.{name} is not target p (1 - p)/2 {name} = {bound}")
    said = (
        f"for the logistic loss, labels smoothed by p = {p}: all weights times sqrt(t), t = ln((1 - p)/p) from "
        f"{decimal(low, ROUND_FLOOR)} to {decimal(high, ROUND_CEILING)}, take the networks that interpolate to those of a perfect "
        f"fit, f to t f, and {objective} to at least {decimal(bounds[0], ROUND_FLOOR)}, that of the network in the file to at most "
        f"{decimal(bounds[1], ROUND_CEILING)}"
    )
    need(parts["statement"] == said, f'loss.statement is not "{said}"')
    return said


class Weighted:
    """Sums over on-sets of x_i x_i', of dual_i x_i and of the squares of the positive parts of dual_i and -dual_i, in whole numbers."""

    def __init__(self, data: Data, dual: Sequence[Fraction]) -> None:
        self.data = data
        shares, self.unit = common(dual)
        self.packed = Packed(
            [
                [*products, *(share * c for c in row), max(share, 0) ** 2, max(-share, 0) ** 2]
                for products, row, share in zip(data.products, data.whole, shares, strict=True)
            ],
            data.n,
        )

    def over(self, on: Iterable[int]) -> tuple[list[list[int]], list[int], list[int]]:
        """The sums over D: in units of 1 / scale^2, of 1 / (scale unit), and of 1 / unit^2."""
        sums = self.packed.unpack(sum(map(self.packed.numbers.__getitem__, on)))
        return self.data.matrix(sums[: -2 - self.data.p]), sums[-2 - self.data.p : -2], sums[-2:]


class Prediction:
    """What is proved of f(q) for every interpolating network of trace at most (1 + within) upper, q one point."""

    def __init__(
        self,
        data: Data,
        entry: Any,
        name: str,
        active: Sequence[tuple[int, ...]],
        within: Fraction,
        lower: Fraction,
        upper: Fraction,
    ) -> None:
        need(isinstance(entry, dict), f"{name} is no object")
        self.data, self.name, self.active = data, name, active
        optional = [f for f in ("ray", "direction", "cone", "low", "high", "witness") if f in entry]
        parts = fields(entry, name, ("x", "statement", *optional))
        self.q = data.point(parts["x"], f"{name}.x")
        self.low: Fraction | None = None
        self.high: Fraction | None = None
        self.reached: Fraction | None = None
        self.unbounded = "direction" in parts
        if "ray" in parts:
            ray = fields(parts["ray"], f"{name}.ray", ("of", "times"))
            i, c = data.index(str(ray["of"]), f"{name}.ray.of"), rational(ray["times"], f"{name}.ray.times")
            need(c >= 0 and self.q == [c * value for value in data.x[i]], f"{name}.x is not that multiple of x[{i}]")
            need(not data.tolerance.mean, f"{name}.ray does not go with a mean square")
            self.low, self.high = c * (data.y[i] - data.tolerance.each), c * (data.y[i] + data.tolerance.each)
        if self.unbounded:
            w = vector(parts["direction"], data.p, f"{name}.direction")
            need(within > 0 and lower > 0, f"{name}.direction needs within > 0 and lower > 0")
            need(not data.objective.squares, f"{name}.direction is not free: it has a weight")
            need(dot(w, self.q) > 0, f"{name}.direction is not positive at x")
            need(all(dot(w, row) <= 0 for row in data.x), f"{name}.direction is positive at an input")
        self.beta: dict[int, Fraction] | None = None
        if "cone" in parts or (("low" in parts or "high" in parts) and not data.objective.squares):
            need("cone" in parts, f'{name} lacks the field "cone"')
            self.beta = data.weights(parts["cone"], f"{name}.cone")
            sums = [sum((b * data.x[i][k] for i, b in self.beta.items()), Fraction(0)) for k in range(data.p)]
            need(sums == self.q, f"{name}.cone does not sum to x")
        most = (1 + within) * upper
        if "low" in parts:
            self.low = -self.end(parts["low"], -1, f"{name}.low", most)
        if "high" in parts:
            self.high = self.end(parts["high"], 1, f"{name}.high", most)
        if "witness" in parts:
            cost, neurons = data.network(parts["witness"], f"{name}.witness", data.y)
            need(cost <= (1 + within) * lower, f"{name}.witness costs {cost}, more than (1 + within) lower")
            self.reached = sum((s * max(dot(self.q, v), Fraction(0)) for v, s in neurons), Fraction(0))
        self.statement = self.told(within)

    def end(self, value: Any, e: int, name: str, most: Fraction) -> Fraction:
        """The bound on e f(q) that is proved."""
        data = self.data
        parts = fields(value, name, ("bound", "dual", "tau", "proofs"))
        dual, tau = vector(parts["dual"], data.n, f"{name}.dual"), rational(parts["tau"], f"{name}.tau")
        need(tau >= 0, f"{name}.tau is negative")
        need(isinstance(parts["proofs"], dict), f"{name}.proofs is no object")
        proofs = {key: items(entry, f"{name}.proofs", 4) for key, entry in parts["proofs"].items()}
        sums = Weighted(data, dual)
        unit = sums.unit * data.scale
        q, q_unit = common(self.q)
        for on in self.active:
            key = ",".join(map(str, on))
            given = proofs.pop(key, (None,) * 4)
            gram, linear, _ = sums.over(on)
            case = data.objective.over(on, gram, tau)
            for proof, (s, side) in zip(given, HALVES, strict=True):
                gain = e * s if side > 0 else 0  # of max(q.v, 0)
                if proof is None:
                    shares = (self.beta or {}) if gain > 0 else {}
                    terms = [shares.get(i, 0) - s * dual[i] for i in on]
                    short = sum((t * t for t in terms if t > 0), Fraction(0)) <= Fraction(*case.simple)
                    need(
                        short and (gain <= 0 or self.beta is not None),
                        f"{name} has no proof for the inputs {key or 'none'} and needs one",
                    )
                else:
                    target = added([gain * c for c in q], q_unit, [-s * c for c in linear], unit)
                    check_proof(data, proof, case, target, f"{name}.proofs[{key}]", ([side * c for c in q], q_unit))
        need(not proofs, f"{name}.proofs has sets of inputs that no pattern has: {[*proofs][:1]}")
        bound, least = rational(parts["bound"], f"{name}.bound"), dot(dual, data.y) + tau * most
        need(
            data.tolerance.covers(bound - least, dual),
            f"{name}.bound is not dual . y + tau U = {least}, with what the tolerance adds",
        )
        return bound

    def told(self, within: Fraction) -> str:
        """The statement, in a sentence; decimals are rounded outwards."""
        at, near = point(self.q[: self.data.d]), f"within {exact(within)} of the flattest"
        facts = []
        if self.low is not None:
            facts.append(f"every network {near} has f >= {decimal(self.low, ROUND_FLOOR)}")
        if self.high is not None:
            facts.append(f"every network {near} has f <= {decimal(self.high, ROUND_CEILING)}")
        if self.unbounded:
            facts.append(f"networks {near} take values without bound")
        if self.reached is not None:
            facts.append(f"a network {near} has f = {decimal(self.reached, ROUND_HALF_EVEN)}")
        return f"at {at}: " + ("; ".join(facts) or "nothing is proved")


def check_decision(value: Any, cases: Sequence[Prediction], within: Fraction, some: bool) -> str:
    """Whether all networks within that of the flattest have the labels' signs at all points, as far as the predictions prove it.

    `some` says that there are such networks.
    """
    parts = fields(value, "decision", ("labels", "answer"))
    labels = vector(parts["labels"], len(cases), "decision.labels")
    need(all(labels), "a label of the decision is 0, which is no sign")
    right, wrong = [], []
    for label, case in zip(labels, cases, strict=True):
        least, most = (case.low, case.high) if label > 0 else (case.high, case.low)
        right.append(least is not None and least * label > 0)
        missed = most is not None and most * label <= 0 and (some or least == most)
        wrong.append(case.unbounded or missed or (case.reached is not None and case.reached * label <= 0))
    answer = "all" if all(right) else "not all" if any(wrong) else "undecided"
    need(parts["answer"] == answer, f'decision.answer is not "{answer}"')
    signs = "".join("+" if label > 0 else "-" for label in labels)
    near = f"networks within {exact(within)} of the flattest have the labels' signs {signs} at {len(cases)} points"
    return f"{answer}: not decided whether all {near}" if answer == "undecided" else f"{answer} {near}"


Query = tuple[Sequence[Fraction], int, Sequence[Fraction]]  # a point, the side of it that v is on, 1 or -1, and a direction


class Outputs:
    """Labels, dual points and networks of several outputs, and the proofs that go with them."""

    def __init__(self, data: Data, y: Any) -> None:
        self.data = data
        rows = items(y, "y", data.n)
        self.count = len(items(rows[0], "y[0]"))
        need(self.count > 0, "y has no outputs")
        self.y = self.table(rows, "y")

    def table(self, value: Any, name: str) -> list[list[Fraction]]:
        """A row of K numbers for each input."""
        rows = items(value, name, self.data.n)
        return [vector(row, self.count, f"{name}[{i}]") for i, row in enumerate(rows)]

    def at_labels(self, dual: Sequence[Sequence[Fraction]]) -> Fraction:
        """sum_i dual_i.y_i."""
        return sum((dot(a, b) for a, b in zip(dual, self.y, strict=True)), Fraction(0))

    def price(self, on: Sequence[int]) -> Fraction:
        """K c_D^2."""
        return Fraction(16 * self.count * sum(dot(self.data.x[i], self.data.x[i]) for i in on)) / self.data.n**2

    def within(self, beta: dict[int, Fraction], on: Iterable[int]) -> list[Fraction]:
        """sum_{i in D} beta_i x_i."""
        shared = [i for i in on if i in beta]
        return [sum((beta[i] * self.data.x[i][k] for i in shared), Fraction(0)) for k in range(self.data.p)]

    def products(self, value: Any, name: str, rows: int) -> dict[tuple[int, int], Fraction]:
        """Numbers >= 0 by pairs "i,k", i <= k < rows."""
        need(isinstance(value, dict), f"{name} is no object")
        out = {}
        for key, entry in value.items():
            i, _, k = key.partition(",")
            fine = key == f"{i},{k}" and all(t.isdecimal() and t == str(int(t)) for t in (i, k)) and int(i) <= int(k) < rows
            need(fine, f"{name} names no pair of inputs: {json.dumps(key)[:60]}")
            out[int(i), int(k)] = rational(entry, f"{name}[{key}]")
            need(out[int(i), int(k)] >= 0, f"{name}[{key}] is negative")
        return out

    def prove(
        self,
        on: Sequence[int],
        dual: Sequence[Sequence[Fraction]],
        products: dict[tuple[int, int], Fraction],
        tau: Fraction = Fraction(1),
        query: Query | None = None,
    ) -> list[list[Fraction]]:
        """The matrix that must be semidefinite: tau^2 K c_D^2 G_D - B B' - M.

        Args:
            on: D.
            dual: (n, K).
            products: N by pairs; n stands for the query.
            tau: 1 but for predictions.
            query: q, the side of it that v is on, 1 or -1, and the direction.
        """
        data, members = self.data, frozenset(on)
        rows = [row if i in members else [-c for c in row] for i, row in enumerate(data.x)]
        b = [[sum((data.x[i][a] * dual[i][k] for i in on), Fraction(0)) for k in range(self.count)] for a in range(data.p)]
        if query is not None:
            q, side, direction = query
            rows.append([side * c for c in q])
            if side > 0:
                b = [[c - q[a] * e for c, e in zip(row, direction, strict=True)] for a, row in enumerate(b)]
        price, gram, unit = tau**2 * self.price(on), data.gram(on), data.scale**2
        out = [[price * gram[a][c] / unit - dot(b[a], b[c]) for c in range(data.p)] for a in range(data.p)]
        for (i, k), m in products.items():
            for a, c in data.pairs:
                less = m * (rows[i][a] * rows[k][c] + rows[k][a] * rows[i][c]) / 2
                out[a][c] -= less
                if a != c:
                    out[c][a] -= less
        return out

    def network(self, value: Any) -> Fraction:
        """The cost of neurons that interpolate."""
        data, total = self.data, Fraction(0)
        output = [[Fraction(0)] * self.count for _ in range(data.n)]
        for j, entry in enumerate(items(value, "neurons")):
            at = f"neurons[{j}]"
            neuron = fields(entry, at, ("w", "a", "cost"))
            w, a = vector(neuron["w"], data.p, f"{at}.w"), vector(neuron["a"], self.count, f"{at}.a")
            cost = rational(neuron["cost"], f"{at}.cost")
            on = tuple(compress(range(data.n), data.signs(whole(w), f"{at}.w")[0]))
            h = {i: dot(data.x[i], w) for i in on}
            square = self.price(on) * sum(z**2 for z in h.values()) * dot(a, a)
            need(cost >= 0 and cost**2 >= square, f"{at}.cost is too small")
            total += cost
            for i, z in h.items():
                output[i] = [o + z * c for o, c in zip(output[i], a, strict=True)]
        for i, (made, label) in enumerate(zip(output, self.y, strict=True)):
            need(made == label, f"the neurons do not interpolate y[{i}]")
        return total

    def prediction(self, entry: Any, name: str, active: Sequence[tuple[int, ...]], within: Fraction, upper: Fraction) -> str:
        """What a prediction proves, in a sentence."""
        data = self.data
        cone = ("cone",) if isinstance(entry, dict) and "cone" in entry else ()
        parts = fields(entry, name, ("x", "direction", "statement", "bound", "dual", "tau", "proofs", *cone))
        q, direction = data.point(parts["x"], f"{name}.x"), vector(parts["direction"], self.count, f"{name}.direction")
        dual, tau = self.table(parts["dual"], f"{name}.dual"), rational(parts["tau"], f"{name}.tau")
        need(tau >= 0, f"{name}.tau is negative")
        need(isinstance(parts["proofs"], dict), f"{name}.proofs is no object")
        proofs = dict(parts["proofs"])
        beta = data.weights(parts["cone"], f"{name}.cone") if cone else None
        need(beta is None or self.within(beta, range(data.n)) == q, f"{name}.cone does not sum to x")
        for on in active:
            key = ",".join(map(str, on))
            need(key in proofs, f"{name} has no proof for the inputs {key or 'none'} and needs one")
            given, at = proofs.pop(key), f"{name}.proofs[{key}]"
            cases: tuple[Query | None, ...] = (q, 1, direction), (q, -1, direction)
            if isinstance(given, dict):
                given = fields(given, at, ("ends",))["ends"]
                if beta is None:
                    raise Invalid(f"{at} has ends, and {name} no cone")
                cases = (self.within(beta, on), 1, direction), None
            for query, proof in zip(cases, items(given, at, 2), strict=True):
                rest = self.prove(on, dual, self.products(proof, at, data.n + (query is not None)), tau, query)
                need(semidefinite(in_whole(rest)), f"{at} leaves a negative eigenvalue")
        need(not proofs, f"{name}.proofs has sets of inputs that no pattern has: {[*proofs][:1]}")
        bound, least = rational(parts["bound"], f"{name}.bound"), self.at_labels(dual) + tau * (1 + within) * upper
        need(bound == least, f"{name}.bound is not dual . y + tau U = {least}")
        at, near = point(q[: data.d]), f"within {exact(within)} of the flattest"
        said = f"at {at}: every network {near} has {point(direction)} . f <= {decimal(bound, ROUND_CEILING)}"
        need(parts["statement"] == said, f'{name}.statement is not "{said}"')
        return said


def in_whole(matrix: Sequence[Sequence[Fraction]]) -> list[list[int]]:
    """A positive multiple of a matrix in whole numbers."""
    size, entries = len(matrix), common([entry for row in matrix for entry in row])[0]
    return [entries[size * k : size * (k + 1)] for k in range(size)]


def check_outputs(certificate: Any) -> Verdict:
    """What a certificate of several outputs proves."""
    more = ("within", "predictions") if "predictions" in certificate else ()
    data = fields(certificate, "the certificate", (*FIELDS, "data_sha256", *more))
    need(data["architecture"] != "sim-bn", "several outputs do not go with sim-bn")
    inputs = Data(data)
    outputs = Outputs(inputs, data["y"])
    need(data["data_sha256"] == digest(data["x"], data["y"]), "data_sha256 is not the digest of x and y")
    dual = outputs.table(data["dual"], "dual")
    seen, active, proved = dict[tuple[bytes, bytes], int](), list[tuple[int, ...]](), set[tuple[int, ...]]()
    if inputs.kinks != "differentiable":
        seen[inputs.signs([0] * inputs.p, "the origin")] = -1  # a face; it needs no witness
        active.append(())
        proved.add(())
    for k, entry in enumerate(items(data["patterns"], "patterns")):
        name = f"patterns[{k}]"
        pattern = fields(entry, name, ("w", "products"))
        shown = inputs.signs(whole(vector(pattern["w"], inputs.p, f"{name}.w")), f"{name}.w")
        need(shown not in seen, f"{name}.w lies in the same cell or face as patterns[{seen.get(shown)}].w")
        seen[shown] = k
        on = tuple(compress(range(inputs.n), shown[0]))
        active.append(on)
        if pattern["products"] is not None:
            rest = outputs.prove(on, dual, outputs.products(pattern["products"], f"{name}.products", inputs.n))
            need(semidefinite(in_whole(rest)), f"{name}.products leaves a negative eigenvalue")
            proved.add(on)  # faces with the same active inputs share it
    for k, on in enumerate(active):
        need(on in proved, f"the pattern of the inputs {','.join(map(str, on)) or 'none'} has no proof and needs one: entry {k}")
    lines = frozenset(map(line, inputs.directions)) - {()}
    count = count_cells(lines, len(seen)) if inputs.kinks == "differentiable" else count_faces(lines, len(seen))
    need(len(seen) == count, f"patterns has too few entries: {count - len(seen)} are missing")
    lower, upper = rational(data["lower"], "lower"), rational(data["upper"], "upper")
    need(lower == outputs.at_labels(dual), f"lower is not dual . y = {outputs.at_labels(dual)}")
    least = outputs.network(data["neurons"])
    need(upper == least, f"upper is not the sum of the neurons' costs, {least}")
    need(lower <= upper, "lower exceeds upper")
    networks = f"interpolating network of {outputs.count} output{'s' * (outputs.count > 1)}"
    claimed = statement(inputs.architecture, inputs.kinks, inputs.n, inputs.d, lower, upper, networks=networks)
    need(data["statement"] == claimed, f'statement is not "{claimed}"')
    if not more:
        return Verdict(claimed, lower, upper)
    within = rational(data.get("within"), "within")
    need(within >= 0, "within is negative")
    cases = enumerate(items(data["predictions"], "predictions"))
    said = [outputs.prediction(entry, f"predictions[{k}]", sorted(set(active)), within, upper) for k, entry in cases]
    return Verdict(claimed, lower, upper, tuple(said))


def rows_of(x: Any, y: Any) -> list[list[Any]]:
    """A row a point, its label or labels last."""
    return [[*row, *(label if isinstance(label, list) else [label])] for row, label in zip(x, y, strict=True)]


def digest(x: Any, y: Any) -> str:
    """SHA-256 of inputs and labels: their numbers in lowest terms, a line a point, the label last."""
    lines = [",".join(str(rational(c, "x or y")) for c in row) for row in rows_of(x, y)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def decimal(value: Fraction, rounding: str, digits: int = 15) -> Decimal:
    """A short decimal number, rounded as told."""
    return Context(digits, rounding).divide(Decimal(value.numerator), Decimal(value.denominator)).normalize()


def exact(value: Fraction) -> str:
    """The number as it is: in decimals if 17 digits hold it, or else as a fraction."""
    rounded = decimal(value, ROUND_HALF_EVEN, 17)
    return str(rounded if Fraction(rounded) == value else value)


def point(values: Iterable[Fraction]) -> str:
    """A point's coordinates as they are."""
    return "(" + ", ".join(map(exact, values)) + ")"


def statement(
    architecture: str,
    kinks: str,
    n: int,
    d: int,
    lower: Fraction,
    upper: Fraction,
    objective: str = "trace",
    networks: str = "interpolating network",
) -> str:
    """What is proved, in a sentence; decimals are rounded away from each other."""
    reaches = "reaches {}" if architecture != "sim-bn" else "has as infimum, over growing first-layer weights, at most {}"
    gap = decimal(Verdict("", lower, upper).relative_gap, ROUND_CEILING, 2)
    return (
        f"every {networks} has {objective} >= {lower} (={decimal(lower, ROUND_FLOOR)}); the network in the file "
        f"{reaches.format(decimal(upper, ROUND_CEILING))}; relative gap {gap}: {ARCHITECTURES[architecture]} {KINKS[kinks]}, "
        f"{n} inputs in dimension {d}"
    )


def read(path: str) -> Any:
    """A JSON file without repeated fields; floating-point numbers become strings that are no numbers of a certificate."""

    def pairs(fields_read: list[tuple[str, Any]]) -> dict[str, Any]:
        need(len(dict(fields_read)) == len(fields_read), "a field occurs twice in one object")
        return dict(fields_read)

    with open(path, encoding="utf-8") as file:
        return json.load(file, object_pairs_hook=pairs, parse_float=str, parse_constant=str)  # no exact numbers: refused


def compare(data: Any, path: str) -> None:
    """Raise Invalid unless the CSV file (a row a point, the label last, a header allowed) has the inputs and labels of a certificate."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = [row for row in csv.reader(file) if any(cell.strip() for cell in row)]
    numbers = list[list[Fraction]]()
    for k, row in enumerate(rows):
        try:
            numbers.append([Fraction(repr(float(cell))) for cell in row])  # as it is read where certificates are made
        except ValueError:
            need(k == 0, f"{path}: row {k + 1} is not made of numbers")
    stated = [[rational(c, "x or y") for c in row] for row in rows_of(data["x"], data["y"])]
    need(len(numbers) == len(stated), f"{path} has {len(numbers)} points, the certificate {len(stated)}")
    for k, (a, b) in enumerate(zip(numbers, stated, strict=True)):
        need(a == b, f"{path}: point {k} is not that of the certificate")


def main(arguments: Sequence[str]) -> int:
    """What each file proves, a line a statement; 0 if all are valid, 1 if one is not, 2 for a wrong call."""
    paths, points = list(arguments), None
    if paths[:1] == ["--data"] and len(paths) > 1:
        points, paths = paths[1], paths[2:]
    if not paths or any(path.startswith("--") for path in paths):
        print("usage: python check_certificate.py [--data POINTS.csv] FILE...")
        return 2
    invalid = 0
    for path in paths:
        try:
            certificate = read(path)
            verdict = check(certificate)
            if points is not None:
                compare(certificate, points)
            lines = verdict.lines
        except (ValueError, OSError, RecursionError) as error:
            invalid, lines = 1, [f"INVALID: {error}"]
        for text in lines:
            print(f"{path}: {text}" if len(paths) > 1 else text)
    return invalid


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
