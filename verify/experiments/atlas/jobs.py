"""Owns atlas's jobs: for every training subset S of the cube {-1, 1}^d, do all flattest networks that fit S classify the whole cube?

Question 1 of wen2023, answered exhaustively for d = 2, 3, 4 and every Boolean function of two relevant coordinates (up to symmetry
four: parity, one coordinate, and, constant). S *forces* the function on an architecture if the answer of `theory.decide` is "all".

    Symmetry.  A signed permutation g of the coordinates with f(g x) = f(x) for all x, or -f(x) for all x, takes flattest networks on S to
               those on g S (or their negatives), so that one subset of each orbit is decided (cube_symmetries.py), on one vertex of each
               orbit under the symmetries that keep S. Tables count subsets.
    No bias.   Every orbit is decided by the convex program, for both notions at kinks. A cube vertex outside the cone of S is free (see
               flatness/predictions.py), so S forces only if each vertex outside S is in its cone. Functions of two coordinates are always
               feasible: the odd part of any of them is linear, and the even part is no constraint (flatness/feasibility.py).
    Bias, simplified BatchNorm.  Theorem: S forces if and only if S is the whole cube. Each vertex x is an extreme point of the cube, hence
               outside the convex hull of S unless in S, where a neuron inactive on S moves f(x) at no cost (flatness/predictions.py; for
               Sim-BN two barely active neurons). The program checks it on every orbit for d <= 3, and on the whole cube and a seeded
               sample of orbits for d = 4; a job that contradicts it fails.
    d = 5.     2^32 subsets are too many: DRAWN of each size in SIZES are drawn, uniformly, on which parity is decided without bias.
               Exact are the number of subsets of a size and of orbits (Burnside); the share that forces has an exact binomial interval.
    Proofs.    "all" rests on a bound, in rational numbers, on every prediction of all networks within WITHIN of the flattest trace; "not
               all" on a network within that of the flattest that errs or predicts 0 on some vertex, in rational numbers, or on a proof
               that predictions are unbounded there. Where neither is found on MEMBERS members of the orbit (numerically they are
               different problems), it is undecided.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from flatproof import synth
from flatproof.synth.cube import cube as full_cube
from flatproof.theory.cube_symmetries import Index, members, moved, orbits, orbits_by_size, symmetries
from flatproof.theory.flatness.decide import Population, decide
from flatproof.theory.flatness.feasibility import Infeasible
from flatproof.theory.flatness.predictions import WITHIN
from flatproof.verify.jobs.job import OFF_ADDRESS, Computation

ID = "atlas"
SUMMARY, BY_SIZE, SAMPLED = f"{ID}/table-1", f"{ID}/table-2", f"{ID}/table-3"
FRACTION, SMALLEST = f"{ID}/figure-1", f"{ID}/figure-2"
ARTIFACTS = (SUMMARY, BY_SIZE, SAMPLED, FRACTION, SMALLEST)

TARGETS = ("parity", "coordinate", "and", "constant")
DIFFERENTIABLE, ZERO_AT_KINKS = "differentiable", "relu'(0)=0"
FREE = ("bias", "sim-bn")  # the architectures of the theorem
CATEGORIES = ("all", "not all", "infeasible", "undecided")
CHUNK = 64  # orbits a job
MEMBERS = 16  # of an orbit that are tried
SAMPLE, SAMPLE_SEED = 32, 0  # orbits of d = 4 on which the theorem is checked
NOTIONS = (DIFFERENTIABLE, ZERO_AT_KINKS)
DIMENSIONS = {"smoke": (2,), "quick": (2, 3), "paper": (2, 3, 4)}
LARGE = 5  # the dimension whose subsets are sampled
SIZES = (6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 20, 24, 28, 31, 32)
DRAWN, SHARE = 20, 5  # subsets of a size, and how many of them a job decides


@cache
def cube(d: int) -> NDArray[np.floating]:
    """The vertices, (2^d, d); a subset is the number whose bit i says whether row i is in it."""
    return full_cube(d)


def labels(target: str, d: int) -> NDArray[np.floating]:
    """The target function on the vertices, (2^d,)."""
    x = cube(d)
    return {
        "parity": x[:, 0] * x[:, 1],
        "coordinate": x[:, 0],
        "and": np.where((x[:, 0] > 0) & (x[:, 1] > 0), 1.0, -1.0),
        "constant": np.ones(len(x)),
    }[target]


@cache
def group(target: str, d: int) -> Index:
    """The symmetries of a target as permutations of the vertices."""
    return symmetries(cube(d), labels(target, d))


@cache
def classes(target: str, d: int) -> dict[int, int]:
    """A subset of each orbit, and how many there are in it."""
    return dict(zip(*(a.tolist() for a in orbits(group(target, d))), strict=True))


@dataclass(frozen=True)
class Decisions(Computation):
    """The answers for some subsets."""

    JOB = "atlas decisions"
    VERSION = 2  # raised when a change here or in theory alters answers

    target: str = field(metadata=OFF_ADDRESS)
    d: int
    architecture: str
    kinks: str
    subsets: tuple[int, ...]

    @property
    def cost(self) -> float:
        """About 20 ms a subset of a cube of dimension 3, three times that in dimension 4 and hundreds of times in 5."""
        return {2: 0.01, 3: 0.02, 4: 0.06, 5: 8.0}[self.d] * len(self.subsets)

    def settings(self) -> dict[str, Any]:
        """The fields, with the target as its labels."""
        return super().settings() | {"labels": labels(self.target, self.d).astype(int).tolist()}

    def carry_out(self) -> dict[str, Any]:
        """Decide every subset.

        Returns:
            Lists over the subsets: `answer`; `margin`, the smallest bound on label times prediction that is proved for "all", the
            witness' for "not all" (None where there is none); `tried`, members of the orbit.

        Raises:
            RuntimeError: if an answer contradicts the theorem on bias and Sim-BN.
        """
        rows = [self._decide(subset) for subset in self.subsets]
        if self.architecture in FREE:
            for subset, row in zip(self.subsets, rows, strict=True):
                if row["answer"] not in (by_theorem(subset, self.d), "undecided"):
                    raise RuntimeError(
                        f"{self.target}, d = {self.d}, {self.architecture}, subset {subset}: the program answers {row['answer']!r} "
                        f"where the theorem says {by_theorem(subset, self.d)!r}"
                    )
        return {name: [row[name] for row in rows] for name in rows[0]}

    def summary(self, values: dict[str, Any]) -> str:
        """How many force."""
        counts = Counter(values["answer"])
        rest = "".join(f", {counts[name]} {name}" for name in CATEGORIES[2:] if counts[name])
        sizes = sorted({subset.bit_count() for subset in self.subsets})
        n = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
        return f"n = {n}: {counts['all']} of {len(self.subsets)} orbits force{rest}"

    def _decide(self, subset: int) -> dict[str, Any]:
        images = {int(moved(np.array([subset]), g)[0]) for g in group(self.target, self.d)} - {subset}
        for tried, member in enumerate([subset, *sorted(images)][:MEMBERS], start=1):
            row = decide_subset(self.target, self.d, self.architecture, self.kinks, member)
            if row["answer"] != "undecided":
                return row | {"tried": tried}
        return row | {"tried": tried}


def decide_subset(
    target: str, d: int, architecture: str, kinks: str, subset: int, points: NDArray[np.floating] | None = None
) -> dict[str, Any]:
    """The answer for one subset, with its margin. A trained point is right by interpolation.

    Args:
        target: one of TARGETS.
        d: dimension of the cube.
        architecture: "no-bias", "bias" or "sim-bn".
        kinks: the notion at kinks.
        subset: its number, see `cube`.
        points: what stands for the vertices, (2^d, d), under a map that the symmetries go with; None: the vertices themselves.

    Returns:
        `answer` and `margin`, as in `Decisions.carry_out`.
    """
    x, y = cube(d) if points is None else points, labels(target, d)
    inside = members(subset, len(x))
    asked = inside if inside.all() else representatives(target, d, subset)
    try:
        data = cast(Population, synth.given(x[inside], y[inside], x[asked], y[asked]))
        decision = decide(data, architecture, kinks, within=WITHIN, ranges=False)
    except Infeasible:
        return {"answer": "infeasible", "margin": None}
    except (ArithmeticError, np.linalg.LinAlgError):
        return {"answer": "undecided", "margin": None}
    margin: float | None = None
    if decision.answer == "all":
        margin = float(np.where(decision.y > 0, decision.low, -decision.high).min())
    elif decision.worst is not None and (witness := decision.cases[decision.worst].witness) is not None:
        margin = float(witness[1]) * float(decision.y[decision.worst])
    return {"answer": decision.answer, "margin": margin}


def representatives(target: str, d: int, subset: int) -> NDArray[np.bool_]:
    """One vertex outside the subset of each orbit under the symmetries that keep the subset, (2^d,): they settle the others."""
    symmetric = [g for g in group(target, d) if int(moved(np.array([subset]), g)[0]) == subset]
    out = ~members(subset, 2**d)
    for i in range(2**d):
        if out[i]:
            out[[int(g[i]) for g in symmetric if g[i] != i]] = False
    return out


def by_theorem(subset: int, d: int) -> str:
    """The answer with a bias, and for simplified BatchNorm."""
    return "all" if subset.bit_count() == 2**d else "not all"


@dataclass(frozen=True)
class Part:
    """The orbits of one target that one architecture decides."""

    target: str
    d: int
    architecture: str
    kinks: str

    @property
    def complete(self) -> bool:
        """Whether every orbit is decided by the program."""
        return self.architecture not in FREE or self.d <= 3

    def subsets(self) -> list[int]:
        """One subset of each orbit; for the check of the theorem in d = 4 a sample of them and the whole cube."""
        everything = list(classes(self.target, self.d))
        if self.complete:
            return everything
        drawn = np.random.default_rng(SAMPLE_SEED).choice(len(everything) - 1, SAMPLE, replace=False)
        return [everything[i] for i in sorted(drawn)] + everything[-1:]

    def jobs(self) -> list[Decisions]:
        """The subsets by size, at most CHUNK at a time."""
        ordered = sorted(self.subsets(), key=lambda subset: (subset.bit_count(), subset))
        return [
            Decisions(self.target, self.d, self.architecture, self.kinks, tuple(ordered[i : i + CHUNK]))
            for i in range(0, len(ordered), CHUNK)
        ]


@dataclass(frozen=True)
class Sample:
    """Subsets of n vertices of the cube of dimension LARGE, on which parity is decided without bias."""

    kinks: str
    n: int

    @property
    def number(self) -> int:
        """Of all subsets of that size."""
        return math.comb(2**LARGE, self.n)

    @property
    def orbits(self) -> int:
        """Of these under parity's symmetries."""
        return orbits_by_size(group("parity", LARGE))[self.n]

    def subsets(self) -> list[int]:
        """DRAWN different ones, each set of them as likely as any; all if there are no more. The same for both notions."""
        rng, drawn = np.random.default_rng((SAMPLE_SEED, LARGE, self.n)), dict[int, None]()
        while len(drawn) < min(DRAWN, self.number):
            drawn[sum(1 << int(i) for i in rng.choice(2**LARGE, self.n, replace=False))] = None
        return list(drawn)

    def jobs(self) -> list[Decisions]:
        """SHARE subsets at a time."""
        drawn = self.subsets()
        return [
            Decisions("parity", LARGE, "no-bias", self.kinks, tuple(drawn[i : i + SHARE])) for i in range(0, len(drawn), SHARE)
        ]


def samples(only: Sequence[str], scale: str) -> list[Sample]:
    """What is drawn in dimension LARGE, at scale paper, for the table and the figure."""
    wanted = scale == "paper" and (SAMPLED in only or FRACTION in only)
    return [Sample(kinks, n) for n in SIZES for kinks in NOTIONS] if wanted else []


def parts(only: Sequence[str], scale: str) -> list[Part]:
    """What is decided.

    Args:
        only: ids of artifacts; figures need parity alone.
        scale: smoke, d = 2; quick, d = 2, 3; paper, d = 2, 3, 4.
    """
    if not {SUMMARY, BY_SIZE, FRACTION, SMALLEST}.intersection(only):
        return []
    targets = TARGETS if SUMMARY in only or BY_SIZE in only else TARGETS[:1]
    rows = [*(("no-bias", kinks) for kinks in NOTIONS), *((free, DIFFERENTIABLE) for free in FREE)]
    return [Part(target, d, *row) for d in DIMENSIONS[scale] for target in targets for row in rows]
