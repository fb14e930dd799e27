"""Checks what is said of all flattest networks on parity data, in whole numbers and with Python's standard library alone:

    python check_parity.py FILE...

A file has points x_i of {-1, 1}^d, i < n, labelled y_i = x_i[1] x_i[2], and answers for one architecture whether all interpolating
two-layer ReLU networks of the least trace (of the Hessian of the mean squared error) have the sign of x[1] x[2] on the cube. A prediction
of 0 is no sign. A head is a pair (x[1], x[2]), a tail x[3:d], a quarter the samples of one head h; y_h = h[1] h[2].

Without bias: "all". Let T be the trace of f = sum_j a_j max(w_j.x, 0), relu'(0) = 0, that interpolates. Write s_j for the sign of a_j,
m_j = a_j^2 sqrt(d), u_j = w_j / (|a_j| sqrt(d)). Then f = sum_j s_j m_j max(u_j.x, 0), and |grad f(x_i)|^2 is the sum of sqrt(d) m_j (1 +
(u_j.x_i)^2) over the neurons active at x_i, so that, with sum_j s_j m_j y_i max(u_j.x_i, 0) = 1,

    T - 4 sqrt(d) = (2 sqrt(d)/n) sum_j m_j e_j,     e_j = sum_{i: u_j.x_i > 0} (1 - s_j y_i u_j.x_i)^2.                          (1)

4 sqrt(d) is attained by the neurons h.x/2 of the four heads. T <= (1 + within) 4 sqrt(d) means sum_j m_j e_j <= E = 2 n within. Let 0 < r
< 1 be `spread`. Sums "at x_i" are of m_j max(u_j.x_i, 0).
 - Neurons with e_j > r^2 are bad. They add at most kappa = E (1/r^2 + 1/r) at each x_i, as max(u_j.x_i, 0) <= 1 + sqrt(e_j).
 - A good neuron is active on samples of its own label s_j alone (another costs more than 1), where |u_j.x_i - 1| <= r. So at x_i, neurons
   of sign -y_i add at most kappa, those of sign y_i between 1 and 1 + kappa; the good ones active there have sum m_j <= (1 + kappa)/(1 -
   r), and by Cauchy-Schwarz sum m_j |u_j.x_i - 1| <= theta, theta^2 = E (1 + kappa)/(1 - r).
 - `reach` writes each scale (+-e_k) as a combination of samples, weights >= 0, and a small rest. So |u_j|_inf <= B for good neurons; and
   neurons that add at most sigma at every x_i have sum m_j max(u_j.q, 0) <= C sigma at every q of the cube.
 - Of each quarter Q, one `sample` i0, and a `tree` that cuts the good neurons active at i0 by whether further samples of the label are on
   or off. Each leaf is refuted by weights c (any sign on samples that are on, else >= 0): for such a u, with R = sum_i c_i x_i,

       -B |R|_1 <= R.u <= sum_on (c_i + r |c_i|) + (1 + r) sum_undecided c_i < 0;

   or it is Q itself. So all good neurons active at i0 are active on Q alone. M_Q, their sum of m_j, is at least 1 - kappa - theta, and
   others of that sign add at most 2 kappa + 2 theta at samples of Q. Where `after` is true the tree leaves out neurons active on the
   label's other quarter Q', for which this is shown before: at i0 these add at most omega = (1 + r)/(1 - r) |Q'| sigma_Q', and both
   bounds give way by omega.
 - `turn` writes each scale (+-e_k) as a combination of samples of Q, weights of any sign, of samples of the other label, weights >= 0,
   and a rest. With v = h.x/2, v.x_i = 1 on Q and 0 for the other label, where u_j.x_i <= 0. So sum m_j max((u_j - v).q, 0) <= K_Q theta,
   and with -q for q, over the good neurons of Q.
 - At q with head h: y f(q) >= M_Q - K_Q theta - sum (K_Q' theta + C sigma_Q') over the two quarters Q' of the other label, the larger
   sigma alone. It is above 0.

With bias and Sim-LN: "not all". Neurons y_i max(x_i.x - d + 1, 0), one a distinct sample, are active at x_i alone on the whole cube.
Split so that a_j^2 (d + 1) = (w.x)^2 there, |grad f(x_i)|^2 = 2 sqrt(d + 1), the least with a bias (wen2023, equation 3); in Sim-LN,
scaled above the floor epsilon < sqrt(d + 1), the trace is 2, the least (lemma A.12). At all other points f = 0.

Sim-BN: "not all", nearly flattest, as the infimum is not attained. For each head h a `tail` v of whole numbers and a `sample` x_0 of that
head, v.x_0 greater than at all others: M (h.x[1:2] - 2) + v.(x - x_0)[3:d] + eta, M > |v|_1, 0 < eta < 1, is eta at x_0 and negative at
all other samples; so is x_0.x - d + eta. Normalized, both are sqrt(n) at x_0 (copies count once), whatever eta: with gamma W2 = -y c and
y c they cancel on the training set and their share of the trace is 4 c each, the derivatives in W1 being 0. Off it the first alone is
active, where x has head h and v.x[3:d] > v.x_0[3:d], and tends to infinity over s_j as eta -> 0. Added to any interpolating network
within kappa/2 of the infimum, all four pairs with 32 c <= kappa/2 and a small eta give one within kappa that is wrong at all these
points.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isqrt
from typing import Any, NamedTuple

FORMAT = "flatproof-parity-1"
HEADS = ((1, 1), (-1, -1), (1, -1), (-1, 1))
FIELDS = {
    "no-bias": ("within", "spread", "scale", "reach", "quarters"),
    "bias": (),
    "sim-ln": (),
    "sim-bn": ("heads",),
}
UNIT = 10**15  # roots are rounded up to multiples of 1 / UNIT
Points = Sequence[Sequence[int]]
Weights = dict[int, int]


class Invalid(ValueError):
    """The file proves nothing; the message says why."""


class Verdict(NamedTuple):
    """What a valid file proves: of the 2^d points, how many all such networks get right, and how many some get wrong at once."""

    statement: str
    answer: str
    right: int
    wrong: int
    margin: Fraction


def need(condition: bool, reason: str) -> None:
    """Raise Invalid unless the condition holds."""
    if not condition:
        raise Invalid(reason)


def whole(value: Any, name: str) -> int:
    """A whole number."""
    need(type(value) is int, f"{name} is {json.dumps(value)[:60]}, not a whole number")
    return int(value)


def items(value: Any, name: str, size: int | None = None) -> list[Any]:
    """A list, of the given length."""
    need(isinstance(value, list), f"{name} is no list")
    need(size is None or len(value) == size, f"{name} has {len(value)} entries instead of {size}")
    return list(value)


def fields(value: Any, name: str, known: Iterable[str]) -> dict[str, Any]:
    """An object with exactly the fields named."""
    need(isinstance(value, dict) and set(value) == set(known), f"{name} has not the fields {', '.join(known)}")
    return dict(value)


def share(value: Any, name: str) -> Fraction:
    """A number above 0 and below 1, as "a/b"."""
    need(isinstance(value, str) and value.replace("/", "", 1).isdigit(), f'{name} is {json.dumps(value)[:60]}, not "a/b"')
    top, _, bottom = value.partition("/")
    need(int(bottom or 1) > 0, f"{name} is divided by 0")
    number = Fraction(int(top), int(bottom or 1))
    need(0 < number < 1, f"{name} is not between 0 and 1")
    return number


def points(value: Any) -> list[list[int]]:
    """Rows of signs, each a string of + and -."""
    rows = items(value, "x")
    need(bool(rows) and all(isinstance(row, str) and set(row) <= {"+", "-"} for row in rows), "x is not made of + and -")
    need(len(rows[0]) >= 2 and len({len(row) for row in rows}) == 1, "points of x differ in length, or have no two coordinates")
    return [[1 if sign == "+" else -1 for sign in row] for row in rows]


def weights(value: Any, name: str, n: int) -> Weights:
    """[i, c_i, j, c_j, ...] with distinct samples."""
    flat = [whole(entry, name) for entry in items(value, name)]
    out = dict(zip(flat[::2], flat[1::2], strict=False))
    need(2 * len(out) == len(flat) and all(0 <= i < n for i in out), f"{name} is no list of samples and weights")
    return out


def combination(x: Points, by: Weights) -> list[int]:
    """sum_i c_i x_i."""
    total = [0] * len(x[0])
    for i, c in by.items():
        for k, sign in enumerate(x[i]):
            total[k] += sign * c
    return total


@dataclass(frozen=True)
class Directions:
    """Combinations for scale (+-e_k), in units of scale.

    For any v and numbers h_i >= 0 such that combination . v <= sum_i |c_i| h_i for each: |v|_inf <= sup max_i h_i, and q.v is at most a
    combination of the h_i with weights of sum `total` that q alone determines, for every q of the cube.
    """

    total: Fraction
    sup: Fraction

    @classmethod
    def of(cls, x: Points, combinations: Sequence[Weights], scale: int) -> "Directions":
        """Of 2 d combinations, for e_1, -e_1, e_2, and so on."""
        sums, rests, largest = list[int](), list[int](), dict[int, int]()
        for number, by in enumerate(combinations):
            rest = combination(x, by)
            rest[number // 2] -= scale * (1 - 2 * (number % 2))
            rests.append(sum(map(abs, rest)))
            sums.append(sum(map(abs, by.values())))
            for i, c in by.items():
                largest[i] = max(largest.get(i, 0), abs(c))
        room = scale - max(rests)
        need(room > 0, "rests of combinations are too large")
        either = sum(max(pair) for pair in zip(sums[::2], sums[1::2], strict=True))
        rest_sum = sum(max(pair) for pair in zip(rests[::2], rests[1::2], strict=True))
        total = Fraction(either, scale) + Fraction(rest_sum * sum(largest.values()), scale * room)
        return cls(total, Fraction(max(sums), room))


def refutes(x: Points, by: Weights, state: Sequence[int], spread: Fraction, bound: Fraction) -> bool:
    """Whether weights refute a leaf.

    Args:
        x: samples.
        by: the weights.
        state: of each sample, 1 on, -1 off (and the other label's), 0 undecided.
        spread: r.
        bound: B.
    """
    if any(c < 0 and state[i] != 1 for i, c in by.items()):
        return False
    most = Fraction(0)
    for i, c in by.items():
        most += c + spread * abs(c) if state[i] == 1 else (1 + spread) * c if state[i] == 0 else 0
    return most + bound * sum(map(abs, combination(x, by))) < 0


@dataclass(frozen=True)
class Quarter:
    """What is proved of a quarter apart from `within`: its head and size, whether it comes after its label's other one, and K_Q."""

    head: tuple[int, int]
    size: int
    after: bool
    turn: Fraction


def least_margin(n: int, within: Fraction, spread: Fraction, reach: Fraction, quarters: Sequence[Quarter]) -> Fraction:
    """The least y f(q) that follows, over the cube; negative where nothing does.

    Args:
        n: how many samples.
        within: how near the flattest.
        spread: r.
        reach: C.
        quarters: all four, of each label in order.
    """
    excess = 2 * n * within
    kappa = excess * (1 / spread**2 + 1 / spread)
    square = excess * (1 + kappa) / (1 - spread)
    theta = Fraction(isqrt(int(square * UNIT**2)) + 1, UNIT)
    mass, stray = dict[tuple[int, int], Fraction](), dict[tuple[int, int], Fraction]()
    for quarter in quarters:
        opposite = (-quarter.head[0], -quarter.head[1])
        omega = Fraction(0)
        if quarter.after:
            before = next(q for q in quarters if q.head == opposite)
            omega = (1 + spread) / (1 - spread) * before.size * stray[opposite]
        mass[quarter.head] = 1 - kappa - theta - omega
        stray[quarter.head] = 2 * kappa + 2 * theta + omega
    margins = []
    for quarter in quarters:
        others = [q for q in quarters if q.head[0] * q.head[1] != quarter.head[0] * quarter.head[1]]
        wrong = sum(q.turn * theta for q in others) + reach * max(stray[q.head] for q in others)
        margins.append(mass[quarter.head] - quarter.turn * theta - wrong)
    return min(margins)


def check_all(data: dict[str, Any], x: Points) -> Verdict:
    """Without bias."""
    n, d, heads = len(x), len(x[0]), [(row[0], row[1]) for row in x]
    within, spread, scale = share(data["within"], "within"), share(data["spread"], "spread"), whole(data["scale"], "scale")
    need(scale > 0, "scale is not above 0")
    reach = [weights(by, "reach", n) for by in items(data["reach"], "reach", 2 * d)]
    need(all(c >= 0 for by in reach for c in by.values()), "reach has a negative weight")
    directions = Directions.of(x, reach, scale)
    quarters = list[Quarter]()
    for number, value in enumerate(items(data["quarters"], "quarters", 4)):
        name = f"quarters[{number}]"
        entry = fields(value, name, ("head", "sample", "after", "turn", "tree"))
        head = (items(entry["head"], f"{name}.head", 2)[0], entry["head"][1])
        need(head in HEADS and head not in [q.head for q in quarters], f"{name}.head is no head, or one that was before")
        members = {i for i, other in enumerate(heads) if other == head}
        opposite = {i for i, (a, b) in enumerate(heads) if (-a, -b) == head}
        sample = whole(entry["sample"], f"{name}.sample")
        need(sample in members, f"{name}.sample is not of its head")
        turn = [weights(by, f"{name}.turn", n) for by in items(entry["turn"], f"{name}.turn", 2 * d)]
        for by in turn:
            need(all(i in members or (c >= 0 and i not in opposite) for i, c in by.items()), f"{name}.turn has a wrong sign")
        need(type(entry["after"]) is bool, f"{name}.after is neither true nor false")
        settled = [q for q in quarters if q.head == (-head[0], -head[1])]
        need(not entry["after"] or bool(settled), f"{name} comes after a quarter that is not before it")
        state = [0 if i in members or i in opposite else -1 for i in range(n)]
        for i in opposite if entry["after"] else ():
            state[i] = -1
        state[sample] = 1
        check_tree(entry["tree"], f"{name}.tree", x, state, members, (spread, (1 + spread) * directions.sup))
        quarters.append(Quarter(head, len(members), entry["after"], Directions.of(x, turn, scale).total))
    margin = least_margin(n, within, spread, directions.total, quarters)
    need(margin > 0, "predictions may stray past 0: within is too large")
    text = (
        f"all: every network without bias (relu'(0) = 0) that interpolates these {n} points with a trace of at most (1 + "
        f"{float(within):g}) 4 sqrt({d}), {float(within):g} above the least, has y f >= {float(margin):.3f} at all 2^{d} points"
    )
    return Verdict(text, "all", 2**d, 0, margin)


def check_tree(
    node: Any, name: str, x: Points, state: list[int], members: set[int], constants: tuple[Fraction, Fraction]
) -> None:
    """Raise Invalid unless every leaf is refuted or the quarter itself."""
    if node == "quarter":
        need(all(s == (1 if i in members else -1) for i, s in enumerate(state)), f"{name}: a leaf is not the quarter")
        return
    if isinstance(node, dict):
        by = weights(fields(node, name, ("by",))["by"], name, len(x))
        need(refutes(x, by, state, *constants), f"{name}: a leaf is not refuted")
        return
    sample, on, off = items(node, name, 3)
    need(0 <= whole(sample, name) < len(x) and state[sample] == 0, f"{name}: a sample is decided twice")
    for child, side in ((on, 1), (off, -1)):
        state[sample] = side
        check_tree(child, name, x, state, members, constants)
    state[sample] = 0


def check_memorized(architecture: str, x: Points) -> Verdict:
    """With a bias and Sim-LN: distinct points of the cube need nothing more."""
    n, d = len({tuple(row) for row in x}), len(x[0])
    least = f"4 sqrt({d + 1})" if architecture == "bias" else f"2 (epsilon < sqrt({d + 1}))"
    kind = "with bias" if architecture == "bias" else "with simplified LayerNorm"
    text = (
        f"not all: a network {kind}, of a neuron for each of the {n} distinct points, interpolates with trace {least}, the "
        f"least there is, and is 0 at the other 2^{d} - {n} points"
    )
    return Verdict(text, "not all", 0, 2**d - n, Fraction(0))


def check_blind(data: dict[str, Any], x: Points) -> Verdict:
    """Sim-BN."""
    d, wrong = len(x[0]), 0
    seen = set[tuple[int, int]]()
    for number, value in enumerate(items(data["heads"], "heads")):
        name = f"heads[{number}]"
        entry = fields(value, name, ("head", "tail", "sample"))
        head = (items(entry["head"], f"{name}.head", 2)[0], entry["head"][1])
        need(head in HEADS and head not in seen, f"{name}.head is no head, or one that was before")
        seen.add(head)
        tail = [whole(v, f"{name}.tail") for v in items(entry["tail"], f"{name}.tail", d - 2)]
        sample = whole(entry["sample"], f"{name}.sample")
        need(0 <= sample < len(x) and (x[sample][0], x[sample][1]) == head, f"{name}.sample is not of its head")
        top = sum(v * t for v, t in zip(tail, x[sample][2:], strict=True))
        for row in x:
            if (row[0], row[1]) == head and row != x[sample]:
                need(sum(v * t for v, t in zip(tail, row[2:], strict=True)) < top, f"{name} sees a second sample")
        counts = {0: 1}
        for v in tail:
            after = dict[int, int]()
            for total, count in counts.items():
                for side in (total + v, total - v):
                    after[side] = after.get(side, 0) + count
            counts = after
        wrong += sum(count for total, count in counts.items() if total > top)
    need(wrong > 0, "no point is wrong")
    text = (
        f"not all: at any excess trace above the infimum some networks with simplified BatchNorm that interpolate these {len(x)} "
        f"points have the wrong sign at the same {wrong} of the 2^{d} points"
    )
    return Verdict(text, "not all", 0, wrong, Fraction(0))


def proved(data: dict[str, Any]) -> Verdict:
    """What a file proves, whatever it states.

    Args:
        data: its content, without an answer and a statement.

    Returns:
        The verdict.

    Raises:
        Invalid: if it proves nothing.
    """
    need(data.get("format") == FORMAT, f"format is not {FORMAT}")
    architecture = data.get("architecture")
    need(isinstance(architecture, str) and architecture in FIELDS, f"architecture is not one of {', '.join(FIELDS)}")
    data = fields(data, "the file", ("format", "architecture", "x", *FIELDS[str(architecture)]))
    x = points(data["x"])
    if architecture == "no-bias":
        return check_all(data, x)
    return check_blind(data, x) if architecture == "sim-bn" else check_memorized(str(architecture), x)


def check(data: Any) -> Verdict:
    """What a file proves, if it states that.

    Args:
        data: its content.

    Returns:
        The verdict.

    Raises:
        Invalid: if it proves nothing, or another thing than it states.
    """
    need(isinstance(data, dict), "the file is no object")
    verdict = proved({name: value for name, value in data.items() if name not in ("answer", "statement")})
    need(data.get("answer") == verdict.answer, f"the answer is {verdict.answer}, not {json.dumps(data.get('answer'))[:60]}")
    need(data.get("statement") == verdict.statement, f"the file states another thing than: {verdict.statement}")
    return verdict


def main(arguments: Sequence[str]) -> int:
    """What each file proves, a line each; 0 if all are valid, 1 if one is not, 2 for a wrong call."""
    if not arguments or any(path.startswith("--") for path in arguments):
        print("usage: python check_parity.py FILE...")
        return 2
    invalid = 0
    for path in arguments:
        try:
            with open(path, encoding="utf-8") as file:
                line = f"valid: {check(json.load(file)).statement}"
        except (ValueError, OSError, RecursionError) as error:
            invalid, line = 1, f"INVALID: {error}"
        print(f"{path}: {line}" if len(arguments) > 1 else line)
    return invalid


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
