"""Owns the search for proofs of what all flattest networks do on parity data of any dimension, where patterns cannot be listed.

What a file says and why it proves it is told where it is checked, in theory/check_parity.py, which needs nothing of the rest of the
project. Here the numbers are found: by linear programs, rounded to whole numbers that the checker accepts.

Without bias, a neuron of a flattest network is 1 on the samples that it is active on, all of one label. Which sets of samples that can be
is searched by branch and bound, over the good neurons (up to `spread` near 1) that are active at one sample. The program of a node,

    least t with 1 - t <= u.x_i <= 1 + t on, u.x_i <= 1 + t undecided, u.x_i <= 0 off and for the other label,

is solved in its dual form, whose solution are the weights that refute a node whose t is above `spread`.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linprog, nnls

from flatproof.theory.check_parity import (
    FORMAT,
    HEADS,
    Directions,
    Invalid,
    Quarter,
    Verdict,
    Weights,
    check,
    least_margin,
    proved,
    refutes,
)
from flatproof.theory.flatness.neurons import Array
from flatproof.theory.networks import check_architecture, check_points

__all__ = ["Verdict", "check", "decide_parity", "text"]

Json = dict[str, Any]
Signs = NDArray[np.int64]
SPREADS = (Fraction(1, 50), Fraction(1, 500))
WITHINS = tuple(Fraction(1, 10**k) for k in range(7, 16))  # the largest is taken at which y f is proved to be at least LEAST
LEAST = Fraction(1, 4)
SCALE = 10**4  # of the weights of directions
BITS = (6, 9, 12, 16, 20, 24, 28)  # of the weights of leaves, the fewest that refute
NODES = (160, 640, 2560)  # of a tree, in turn
FIRST = 2  # samples tried before the label's other quarter is taken for granted
PLAIN: Any = {"presolve": False}  # of HiGHS: these programs are small
SIZES = range(15, 400, 2)  # largest entry of a Sim-BN neuron's tail, in turn


def decide_parity(x: ArrayLike, y: ArrayLike, architecture: str) -> Json | None:
    """Whether all flattest networks have the sign of x[1] x[2] on the whole cube, with a proof.

    Args:
        x: training inputs, points of {-1, 1}^d, (n, d).
        y: x[:, 0] * x[:, 1], (n,).
        architecture: one of ARCHITECTURES.

    Returns:
        The content of a file for theory/check_parity.py, which accepts it; None if no proof is found.

    Raises:
        ValueError: for other data.
    """
    kind = check_architecture(architecture)
    points, labels = check_points(x, y)
    if points.shape[1] < 2 or (np.abs(points) != 1).any() or (labels != points[:, 0] * points[:, 1]).any():
        raise ValueError("x must be in {-1, 1}^d, d >= 2, and y = x[:, 0] * x[:, 1]")
    signs = points.astype(np.int64)
    parts = _everywhere(signs) if kind == "no-bias" else _blind(signs) if kind == "sim-bn" else {}
    if parts is None:
        return None
    draft: Json = {"format": FORMAT, "architecture": kind, "x": [_row(row) for row in signs]} | parts
    try:
        verdict = proved(draft)
    except Invalid:
        return None
    return draft | {"answer": verdict.answer, "statement": verdict.statement}


def text(certificate: Json) -> str:
    """A proof as it is written to a file, in one line."""
    return json.dumps(certificate, separators=(",", ":")) + "\n"


def _row(row: Signs) -> str:
    return "".join("+" if sign > 0 else "-" for sign in row)


def _flat(by: Weights) -> list[int]:
    return [entry for pair in by.items() for entry in pair]


# --- without bias -------------------------------------------------------------------------------------------------------


def _everywhere(x: Signs) -> Json | None:
    """What proves "all" without bias; None if it is not found."""
    heads = [(int(a), int(b)) for a, b in x[:, :2]]
    if set(heads) != set(HEADS):
        return None
    reach = _directions(x, np.zeros((0, x.shape[1]), np.int64))
    turns = {head: _turn(x, head) for head in HEADS}
    if reach is None or any(turn is None for turn in turns.values()):
        return None
    rows = x.tolist()
    length = Directions.of(rows, reach, SCALE)
    settled = None
    for spread in SPREADS:
        settled = [_label(x, label, spread, (1 + spread) * length.sup) for label in (1, -1)]
        if all(settled):
            break
    else:
        return None
    quarters, entries = list[Quarter](), list[Json]()
    for head, sample, after, tree in (part for label in settled for part in label or ()):
        turn = turns[head]
        assert turn is not None
        quarters.append(Quarter(head, heads.count(head), after, Directions.of(rows, turn, SCALE).total))
        entries.append({"head": list(head), "sample": sample, "after": after, "turn": [_flat(by) for by in turn], "tree": tree})
    for within in WITHINS:
        if least_margin(len(x), within, spread, length.total, quarters) >= LEAST:
            return {
                "within": str(within),
                "spread": str(spread),
                "scale": SCALE,
                "reach": [_flat(by) for by in reach],
                "quarters": entries,
            }
    return None


def _turn(x: Signs, head: tuple[int, int]) -> list[Weights] | None:
    """Each direction from samples of a quarter, at a price, and of the other label, for nothing."""
    own = np.flatnonzero((x[:, :2] == head).all(axis=1))
    other = np.flatnonzero(x[:, 0] * x[:, 1] != head[0] * head[1])
    found = _directions(np.vstack([x[own], -x[own]]), x[other])
    if found is None:
        return None
    k, out = len(own), list[Weights]()
    for by in found:
        weights = dict[int, int]()
        for column, c in by.items():
            i = int(own[column % k] if column < 2 * k else other[column - 2 * k])
            weights[i] = weights.get(i, 0) + (-c if k <= column < 2 * k else c)
        out.append(weights)
    return out


def _directions(priced: Signs, free: Signs) -> list[Weights] | None:
    """SCALE times e_1, -e_1, e_2, .. as combinations of rows with weights >= 0, cheap in the priced ones; None if there are none."""
    rows = np.vstack([priced, free])
    cost = np.append(np.ones(len(priced)), np.zeros(len(free)))
    out = list[Weights]()
    for k in range(rows.shape[1]):
        for sign in (1, -1):
            target = np.zeros(rows.shape[1])
            target[k] = sign
            solution: Any = linprog(cost, A_eq=rows.T, b_eq=target, method="highs-ds", options=PLAIN)
            if solution.status != 0:
                return None
            c = np.rint(SCALE * solution.x).astype(int)
            out.append({int(i): int(c[i]) for i in np.flatnonzero(c > 0)})
    return out


Part = tuple[tuple[int, int], int, bool, Any]  # head, sample, after, tree


def _label(x: Signs, label: int, spread: Fraction, bound: Fraction) -> list[Part] | None:
    """Trees for both quarters of a label; where the second has none from its first samples, it takes the first for granted."""
    heads = [head for head in HEADS if head[0] * head[1] == label]
    samples = {head: np.flatnonzero((x[:, :2] == head).all(axis=1)).tolist() for head in heads}
    either = [(head, i) for pair in zip_longest(*samples.values()) for head, i in zip(heads, pair, strict=True) if i is not None]
    for nodes in NODES:
        first = next(_parts(x, either, False, spread, bound, nodes), None)
        if first is None:
            continue
        others = [(head, i) for head, i in either if head != first[0]]
        tries = (others[:FIRST], False), (others, True)
        second = next((part for these, after in tries for part in _parts(x, these, after, spread, bound, nodes)), None)
        if second is not None:
            return [first, second]
    return None


def _parts(
    x: Signs, choices: Sequence[tuple[tuple[int, int], int]], after: bool, spread: Fraction, bound: Fraction, nodes: int
) -> Iterator[Part]:
    """Those quarters and samples that have a tree of few nodes."""
    for head, sample in choices:
        search = _Search(x, head, sample, after, spread, bound, nodes)
        with suppress(_NotProved):
            yield head, sample, after, search.tree(search.root())


class _NotProved(Exception):
    """There is another set of samples, or too many nodes."""


@dataclass
class _Search:
    """Branch and bound over the good neurons that are active at a sample.

    Attributes:
        x: samples.
        head: of the quarter.
        sample: that is on.
        after: whether the label's other quarter is off.
        spread: r.
        bound: B, of the largest entry of a neuron.
        nodes: how many are left.
    """

    x: Signs
    head: tuple[int, int]
    sample: int
    after: bool
    spread: Fraction
    bound: Fraction
    nodes: int

    def root(self) -> Signs:
        """The state of each sample, 1 on, -1 off, 0 undecided, (n,)."""
        own = (self.x[:, :2] == self.head).all(axis=1)
        opposite = (-self.x[:, :2] == self.head).all(axis=1)
        state: Signs = np.where(own | (opposite & (not self.after)), 0, -1)
        state[self.sample] = 1
        return state

    def tree(self, state: Signs) -> Any:
        """The proof below a node; _NotProved if none is found."""
        if self.nodes == 0:
            raise _NotProved
        self.nodes -= 1
        least, value, weights = self._solved(state)
        if least > self.spread:
            by = self._refuting(state, weights)
            if by is not None:
                return {"by": _flat(by)}
        undecided = np.flatnonzero(state == 0)
        if not len(undecided):
            if ((state == 1) == (self.x[:, :2] == self.head).all(axis=1)).all():
                return "quarter"
            raise _NotProved
        between = np.minimum(value, 1 - value)[undecided]
        i = int(undecided[np.argmax(between)])
        children = dict[int, Any]()
        for side in (1, -1) if value[i] > 0.5 else (-1, 1):
            state[i] = side
            children[side] = self.tree(state)
        state[i] = 0
        return [i, children[1], children[-1]]

    def _solved(self, state: Signs) -> tuple[float, Array, Array]:
        """Least t, u.x_i of a neuron that attains it (n,), and the weights (n,)."""
        on, undecided, off = (np.flatnonzero(state == side) for side in (1, 0, -1))
        columns = np.vstack([self.x[on], -self.x[on], self.x[undecided], self.x[off]]).T
        paid = 2 * len(on) + len(undecided)
        cost = np.concatenate([np.ones(len(on)), -np.ones(len(on)), np.ones(len(undecided)), np.zeros(len(off))])
        budget = np.append(np.ones(paid), np.zeros(len(off)))[None]
        solution: Any = linprog(
            cost, A_ub=budget, b_ub=[1.0], A_eq=columns, b_eq=np.zeros(len(columns)), method="highs-ds", options=PLAIN
        )
        if solution.status != 0:
            raise _NotProved
        weights = np.zeros(len(state))
        weights[on] = solution.x[: len(on)] - solution.x[len(on) : 2 * len(on)]
        weights[undecided], weights[off] = solution.x[2 * len(on) : paid], solution.x[paid:]
        return -float(solution.fun), self.x @ solution.eqlin.marginals, weights

    def _refuting(self, state: Signs, weights: Array) -> Weights | None:
        """The weights in few bits, if they refute the node."""
        size = float(np.abs(weights).max())
        for bits in BITS:
            c = np.rint(weights / size * 2**bits).astype(int)
            by = {int(i): int(c[i]) for i in np.flatnonzero(c)}
            if refutes(self.x.tolist(), by, state.tolist(), self.spread, self.bound):
                return by
        return None


# --- simplified BatchNorm -----------------------------------------------------------------------------------------------


def _blind(x: Signs) -> Json | None:
    """A neuron a head that hardly sees one sample, and as many points as it can off the training set."""
    heads = list[Json]()
    for head in HEADS:
        members = np.flatnonzero((x[:, :2] == head).all(axis=1))
        found = _one_sample(x, head, members) if len(members) and x.shape[1] > 2 else None
        if found is not None:
            heads.append(found)
    return {"heads": heads} if heads else None


def _one_sample(x: Signs, head: tuple[int, int], members: NDArray[np.intp]) -> Json | None:
    """The shortest v with v.tail <= -1 on the members, rounded until one of them is alone at the top."""
    tails = np.unique(x[members, 2:], axis=0)
    multipliers = nnls(np.vstack([-tails.T, np.ones(len(tails))]).astype(float), np.append(np.zeros(tails.shape[1]), 1.0))[0]
    v = -(multipliers @ tails)
    if not np.abs(v).max() > 1e-9:
        v = tails[0].astype(float)  # no half-space of the tails is empty of samples: one that sees the first alone
    for size in SIZES:
        tail = np.rint(v / np.abs(v).max() * size).astype(int)
        values = tails @ tail
        if (values == values.max()).sum() == 1:
            top = tails[np.argmax(values)]
            sample = next(int(i) for i in members if (x[i, 2:] == top).all())
            return {"head": list(head), "tail": tail.tolist(), "sample": sample}
    return None
