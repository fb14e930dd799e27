"""Owns Question 1 of wen2023 for one data set: do all flattest networks that fit the training set classify the population correctly?

The question is asked of all interpolating networks of trace at most (1 + within) times the flattest, and answered as far as proofs
in rational numbers carry: "all" where every prediction has its label's sign by a proved bound, "not all" where a network is at hand
whose trace, interpolation and wrong prediction are exact, a proved bound says that every network errs at a point, or predictions are
unbounded there, "undecided" otherwise. A prediction of 0 is no sign.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from flatproof.notebooks import html_rows
from flatproof.theory.flatness.arrangement import decimal
from flatproof.theory.flatness.certificate import total
from flatproof.theory.flatness.exact_predictions import Neuron
from flatproof.theory.flatness.flattest import Flattest, flattest
from flatproof.theory.flatness.neurons import NotRealized
from flatproof.theory.flatness.patterns import null_space
from flatproof.theory.flatness.predictions import WITHIN, Case
from flatproof.theory.flatness.rational import ONE, ZERO, dot, number
from flatproof.theory.flatness.realize import on_flat
from flatproof.theory.networks import Array, Network

Answer = Literal["all", "not all", "undecided"]
LITTLE = 1e-6  # output weight of a neuron that no sample sees, per square root of its product: large weights come first
TRIED = 5  # points at which a witness is looked for
NOT_POSITIVE = 1e-9  # of label times prediction, relative to the largest label: a witness may come out at 0 or below
GROWN = 1e6  # s_j in a Sim-BN network, in sizes of the inputs


class Population(Protocol):
    """A training set and every point of its population, as synth.Data is."""

    @property
    def x(self) -> Array:
        """Training inputs, (n, d)."""
        ...

    @property
    def y(self) -> Array:
        """Training labels, (n,)."""
        ...

    def enumerate(self) -> tuple[Array, Array]:
        """Every point (N, d) and its label (N,)."""
        ...


@dataclass(frozen=True)
class Decision:
    """The answer for one data set.

    Attributes:
        answer: "all" networks within `within` of the flattest classify the population correctly, "not all" do, or "undecided".
        solution: the flattest networks.
        x, y: the population, (N, d) and (N,).
        within: how near the flattest, relative.
        cases: what is known at each point.
        low, high: the range of predictions at each point, (N,); NaN where an end was not needed.
        certified: points at which both ends are proved, (N,).
        right: points at which all networks are proved to have the label's sign, (N,).
        wrong: points at which none has it, proved, (N,).
        worst: index of the point with a witness, or else where predictions may stray furthest from the label's sign; None if all
            are right.
    """

    answer: Answer
    solution: Flattest
    x: Array
    y: Array
    within: float
    cases: tuple[Case, ...]
    low: Array
    high: Array
    certified: NDArray[np.bool_]
    right: NDArray[np.bool_]
    wrong: NDArray[np.bool_]
    worst: int | None

    def _repr_html_(self) -> str:
        rows = {"answer": self.answer, "within": f"{self.within:g} of the flattest trace {self.solution.trace:.10g}"}
        rows |= {"certified right": f"{int(self.right.sum())} of {len(self.y)}", "certified wrong": str(int(self.wrong.sum()))}
        return html_rows("Do all flattest networks classify the points correctly?", rows)

    def witness(self) -> Network | None:
        """The witness of "not all": an interpolating network within `within` of the flattest with the wrong sign at the worst point.

        Returns:
            The exact one of `cases[worst].witness`, rounded; None if there is none.

        Raises:
            NotRealized: as `rounded`.
        """
        exact = None if self.worst is None else self.cases[self.worst].witness
        return None if exact is None else rounded(self.solution, exact[0])

    def proved(self, lower: Fraction) -> "Decision":
        """The decision without its witness if that costs more than networks within `within` of a lower bound may.

        Args:
            lower: of a certificate, which of nearly dependent points lies below that of `solution`.

        Returns:
            What the certificate proves.
        """
        worst = self.worst
        exact = None if worst is None else self.cases[worst].witness
        if exact is None or total(exact[0]) <= (ONE + decimal(self.within)) * lower:
            return self
        cases = tuple(replace(case, witness=None) for case in self.cases)
        return _concluded(self.solution, self.x, self.y, self.within, cases, None)

    def certificate(self) -> dict[str, Any]:
        """The flattest network's certificate, with every prediction and the decision as it proves them; see theory.check_certificate.

        Returns:
            The certificate, ready for JSON.

        Raises:
            ValueError: as Flattest.certificate.
        """
        flattest_certificate, predictions = self.solution.certificate(), self.solution.predictions
        proved, entries = self.proved(Fraction(flattest_certificate["lower"])), []
        for case in proved.cases:
            draft = predictions.entry(case, self.within, None)
            entries.append(draft | {"statement": predictions.check(case, self.within)})
        answer = {"labels": [number(decimal(value)) for value in self.y.tolist()], "answer": proved.answer}
        return flattest_certificate | {"within": number(decimal(self.within)), "predictions": entries, "decision": answer}


def decide(
    data: Population,
    architecture: str = "no-bias",
    kinks: str = "differentiable",
    solution: Flattest | None = None,
    within: float = WITHIN,
    ranges: bool = True,
    note: Callable[[str], None] = lambda _: None,
) -> Decision:
    """Whether all networks nearly as flat as the flattest classify the population of `data` correctly.

    Args:
        data: with x, y and enumerate(), as synth.Data; labels must not be 0.
        architecture: as `flattest` takes it.
        kinks: as `flattest` takes it.
        solution: of `flattest` for data.x, data.y, if known.
        within: how near the flattest, relative.
        ranges: whether both ends are wanted at every point; otherwise only what the answer needs.
        note: is told how many points are done, in words.

    Returns:
        The answer and what is known at each point.

    Raises:
        ValueError: for a label 0 in the population or within not above 0; all that `flattest` raises.
    """
    if not 0 < within < np.inf:
        raise ValueError(f"within must be a number above 0, got {within}")
    solution = flattest(data.x, data.y, architecture, kinks) if solution is None else solution
    x, y = data.enumerate()
    if (y == 0).any():
        raise ValueError(f"label {int(np.flatnonzero(y == 0)[0])} of the population is 0: its class is no sign")
    predictions, signs = solution.predictions, np.where(y > 0, 1, -1)
    cases = []
    for done, point in enumerate(x):
        note(f"test point {done + 1:,} of {len(x):,}")
        cases.append(predictions.case(point, within, (-1, 1) if ranges else ()))
    note("looking for a network that errs")
    worst = _first_witness(solution, cases, signs, within)
    if worst is None and not ranges:
        for sign, case in zip(signs.tolist(), cases, strict=True):
            if -sign not in case.proved:
                predictions.prove(case, -sign, within)
    return _concluded(solution, x, y, within, tuple(cases), worst)


def _concluded(solution: Flattest, x: Array, y: Array, within: float, cases: tuple[Case, ...], worst: int | None) -> Decision:
    """The decision from what is known at each point, `worst` being that with a witness."""
    low, high = (np.array([getattr(case, name) for case in cases], float) for name in ("low", "high"))
    least, most = np.where(y > 0, low, -high), np.where(y > 0, high, -low)  # of label times prediction
    signs = np.where(y > 0, 1, -1).tolist()
    against, for_label = (
        np.array([side * sign in case.proved for sign, case in zip(signs, cases, strict=True)], bool) for side in (-1, 1)
    )
    right, wrong = against & (least > 0), for_label & (most <= 0)
    unbounded = bool((against & np.isneginf(least)).any())
    answer: Answer = "all" if right.all() else "not all" if worst is not None or wrong.any() or unbounded else "undecided"
    if worst is None and not right.all():
        worst = int(np.argmin(np.where(right | np.isnan(least), np.inf, least)))
    certified = np.array([case.proved == {-1, 1} for case in cases], bool)
    return Decision(answer, solution, x, y, within, cases, low, high, certified, right, wrong, worst)


def _first_witness(solution: Flattest, cases: Sequence[Case], signs: NDArray[np.int_], within: float) -> int | None:
    """The first point with a witness against its label's sign, from unbounded predictions on; it is put into its case."""
    tried = 0
    places = [case.place for case in cases]
    order = sorted(range(len(cases)), key=lambda i: (place := places[i]) is None or place.beta is not None)
    for i in order:
        sign, case, place = int(signs[i]), cases[i], places[i]
        if place is None:
            continue
        if place.beta is None:
            doubtful = not (case.low > 0 if sign > 0 else case.high < 0)
        else:
            try:
                attained = sign * solution.predictions.attain(case, -sign, within)
            except ArithmeticError:
                continue
            doubtful = attained <= NOT_POSITIVE * solution.setting.top
        if doubtful and tried < TRIED:
            tried += 1
            if _witness(solution, case, sign, within):
                return i
    return None


def _witness(solution: Flattest, case: Case, sign: int, within: float) -> bool:
    """Whether there is a witness against the sign at a point; it is put into the case."""
    exact = solution.predictions.find_witness(case, -sign, within)
    if exact is None or exact[1] * sign > 0:
        return False
    case.witness = exact
    return True


def witness(solution: Flattest, x: Array, end: Literal[-1, 1], within: float = WITHIN) -> Network | None:
    """A network that interpolates, nearly as flat as the flattest, whose prediction at a point is extreme in one direction.

    Its trace, interpolation and prediction were verified in rational numbers before it was rounded.

    Args:
        solution: of `flattest`.
        x: the point, (d,).
        end: 1 for a large prediction, -1 for a small one; where the range is infinite, past 0 by the size of the largest label.
        within: the trace is at most (1 + within) times the flattest.

    Returns:
        The network; None where none was found.

    Raises:
        NotRealized: as `rounded`.
    """
    predictions = solution.predictions
    exact = predictions.find_witness(predictions.case(x, within, ()), end, within)
    return None if exact is None else rounded(solution, exact[0])


def rounded(solution: Flattest, neurons: list[Neuron]) -> Network:
    """A network of rational neurons in floating point, each split between the layers so that it is flattest.

    Args:
        solution: of `flattest`, for the data.
        neurons: of the network, exact.

    Returns:
        The network.

    Raises:
        NotRealized: if double precision cannot keep the samples on the kinks that they are on.
    """
    predictions = solution.predictions
    kind, rows = solution.architecture, predictions.rows
    points = solution.setting.points
    w1, w2, gamma = [], [], []
    for v, sign, _ in neurons:
        activation = [max(dot(row, v), ZERO) for row in rows]
        square = float(sum(h * h for h in activation))
        if kind == "sim-bn":  # v = |a g| w / r, r^2 = square of w's activations / n
            product = float(np.sqrt(square / len(rows)))  # |a g|
            scale = GROWN * float(np.abs(points).max()) * max(1.0, product**0.5) / product
            w2.append(sign * product**0.5)
            gamma.append(product**0.5)
        else:
            t = float(sum(dot(row, row) for row, h in zip(rows, activation, strict=True) if h))
            a = (square / t) ** 0.25 if t else LITTLE * float(max(map(abs, v))) ** 0.5
            scale = 1 / a
        w = np.array([float(c) for c in v]) * scale
        kinks = [any(row) and not dot(row, v) for row in rows]
        if any(kinks):
            w = on_flat(null_space(points[kinks]), w, points)
        w1.append(w)
        if kind != "sim-bn":
            w2.append(sign * float(max(map(abs, v))) / np.abs(w).max())
        if (points @ w > 0).tolist() != [h > 0 for h in activation] and any(activation):
            raise NotRealized("double precision cannot keep samples on the witness' kinks: expected points in few decimals")
    first = np.array(w1)
    return Network(
        w1=first if kind == "no-bias" else first[:, :-1],
        w2=np.array(w2),
        b1=None if kind == "no-bias" else first[:, -1],
        gamma=np.array(gamma) if kind == "sim-bn" else None,
        architecture=kind,
    )
