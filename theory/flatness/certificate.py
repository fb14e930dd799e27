"""Owns certificates of flatness: floating-point dual points and neurons turned into a proof in rational numbers.

What a certificate says and why it proves it is told where it is checked, in theory/check_certificate.py, which needs nothing of the
rest of the project. Here the numbers are found. The points are scaled to whole numbers first, which rescales v only.

Proofs. A dual point lambda, shortened to BITS bits an entry, needs for every on-set D and sign s, with S = 1 on D and -1 off D,

    G v - sum_i S_i mu_i x_i = s sum_{i in D} lambda_i x_i,   G = sum_{i in D} x_i x_i',   mu >= 0,   |D X v| <= c_D.

The system asks for neither complementary slackness nor S_i x_i . v >= 0, so the multipliers of the floating-point projection are
shortened, and v follows from them (multipliers.py). Where G is singular, as many multipliers as the system then determines are
corrected: the largest, which stay positive. If one does not, or the length is larger than it should be, the projection is found in
exact arithmetic.
All of it scales: proofs for lambda, times theta, are proofs for theta lambda. The theta taken is the one that the worst proof needs.

Interpolation. Neurons w_j fit y with coefficients alpha_j to rounding; those at the pivots of the matrix relu(x_i . w_j) are
corrected, so that they fit y exactly. A coefficient's sign is the neuron's output sign.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, count
from math import lcm
from operator import mul
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import qr

from flatproof.theory.check_certificate import FORMAT, Verdict, check, digest, statement
from flatproof.theory.flatness.arrangement import decimal
from flatproof.theory.flatness.bumps import fitted
from flatproof.theory.flatness.multipliers import OnSets, Quotients
from flatproof.theory.flatness.patterns import Patterns, sides_of
from flatproof.theory.flatness.rational import (
    ONE,
    ZERO,
    Rationals,
    Whole,
    as_whole,
    common,
    nearest,
    number,
    numbers,
    root,
    short,
    solve,
)
from flatproof.theory.flatness.setting import Setting

__all__ = ["Verdict", "certificate", "check", "save", "text"]

Array = NDArray[np.floating]
Key = tuple[tuple[int, ...], int]  # an on-set and a sign
ROUNDING = 2.0**-40  # a proof is improved where it exceeds its price by this, relative and squared
NEXT = 1e-14  # quotients that are this near each other when rounded are compared exactly
ON_KINK = 1e-9  # |x_i . w| / max |x_i|, relative to the largest, up to which a point is put on a kink where that is allowed
ROUNDED = 1e-12  # likewise, where it is on all of them
MANY = (
    32  # points from which exact interpolation is by bumps (bumps.py): the numbers that it takes otherwise grow with their number
)
HOPELESS = 200  # points from which these numbers are too long to wait for: bumps are taken whatever they cost
WITNESS_BITS = (3, 6, 12, 24)  # sizes of whole numbers tried for witnesses


@dataclass(frozen=True)
class Proof:
    """v (None: what the multipliers determine) and multipliers (None: Cauchy-Schwarz alone) for one on-set and sign, and the square of
    the length that c_D must cover.
    """

    square: Fraction
    v: Rationals | None = None
    mu: dict[int, Fraction] | None = None


def certificate(
    setting: Setting,
    dual: ArrayLike,
    patterns: Patterns,
    neurons: ArrayLike,
    coefficients: ArrayLike,
    multipliers: ArrayLike | None = None,
    network: list[tuple[Rationals, int, Fraction]] | None = None,
) -> dict[str, Any]:
    """A certificate, ready for JSON, that the flattest interpolating network has trace dual . y up to rounding.

    Args:
        setting: the problem; its floats are read as the decimal fractions that they print as, like everywhere in patterns.py.
        dual: the dual point (n,); the further it is from feasible, the more the lower bound loses.
        patterns: all cells of the points (for "relu'(0)=0" all faces), with p = d or d + 1 columns.
        neurons: w_j, (K, p).
        coefficients: (K,), y = sum_j coefficient_j relu(w_j . x') to rounding. They are corrected, and neurons of the patterns' witnesses
            added as far as it takes, until it holds exactly.
        multipliers: mu of the projections of dual and -dual onto each pattern, (2, M, n), as theory.flatness.projection gives them; found
            in exact arithmetic, slowly, where they are missing or nan. Rows are not read where the projection is not needed.
        network: the neurons in rational numbers if they are known already, in place of those made from `neurons`.

    Returns:
        The certificate. Whether the patterns are complete, and their signs and witnesses right, is for `check` to find.

    Raises:
        ValueError: for wrong shapes and nan, labels that no network fits, and, for "differentiable", neurons with a point on their kink.
    """
    kind, kinks = setting.architecture, setting.kinks
    rows = decimal_rows(kind, setting.x)
    problem = Problem(kind == "sim-bn", rows)
    n, p = len(rows), len(rows[0])
    signs, witnesses = np.asarray(patterns.signs), np.asarray(patterns.witnesses)
    weights, alpha, start = (np.asarray(a, dtype=np.float64) for a in (neurons, coefficients, dual))
    mu = None if multipliers is None else np.asarray(multipliers, dtype=np.float64)
    shapes = (signs.shape, witnesses.shape, weights.shape, start.shape, (2, len(signs), n) if mu is None else mu.shape)
    if shapes != ((len(signs), n), (len(signs), p), (len(alpha), p), (n,), (2, len(signs), n)) or alpha.ndim != 1:
        raise ValueError(f"signs, witnesses, neurons, dual and multipliers have shapes {shapes} for {n} points with {p} columns")
    if not all(np.isfinite(a).all() for a in (weights, alpha, start)):
        raise ValueError("neurons, coefficients and dual must be finite")
    point = [short(value) for value in start.tolist()]
    proofs, worst = problem.proofs(point, signs > 0, mu)
    theta = shrinkage(worst)
    point = [theta * value for value in point]
    entries, shown = list[dict[str, Any]](), problem.short_witnesses(signs, witnesses)
    for w, row in zip(shown, (signs > 0).tolist(), strict=True):
        on = tuple(i for i in range(n) if row[i])
        sides = [problem.written(proofs.pop((on, s), None), theta) for s in (1, -1)]  # of faces with one on-set the first has it
        entries.append({"w": numbers(w), "plus": sides[0], "minus": sides[1]})
    exact = [decimal(value) for value in setting.y.tolist()]
    network = network or problem.network(weights, alpha, shown, exact, setting.differentiable)
    lower = sum((a * b for a, b in zip(point, exact, strict=True)), ZERO)
    d = setting.x.shape[1]
    upper, inputs = total(network), [numbers(row[:d]) for row in rows]
    return {
        "format": FORMAT,
        "statement": statement(kind, kinks, n, d, lower, upper),
        "architecture": kind,
        "kinks": kinks,
        "data_sha256": digest(inputs, numbers(exact)),
        "x": inputs,
        "y": numbers(exact),
        "dual": numbers(point),
        "lower": number(lower),
        "upper": number(upper),
        "neurons": neurons_written(network),
        "patterns": entries,
    }


def decimal_rows(architecture: str, points: NDArray[np.floating]) -> list[Rationals]:
    """Points (n, d) as the decimal fractions that they print as, the constant 1 appended where there is a bias."""
    return [[decimal(c) for c in row] + [ONE] * (architecture != "no-bias") for row in points.tolist()]


def text(certificate: dict[str, Any]) -> str:
    """A certificate as JSON, a line for each field, pattern and neuron."""

    def lines(value: Any) -> str:
        if isinstance(value, list) and value and isinstance(value[0], (dict, list)):
            return "[\n  " + ",\n  ".join(map(json.dumps, value)) + "\n ]"
        return json.dumps(value)

    return "{\n" + ",\n".join(f" {json.dumps(key)}: {lines(value)}" for key, value in certificate.items()) + "\n}\n"


def save(certificate: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Write a certificate; the file is there in full or not at all.

    Args:
        certificate: as `certificate` returns it.
        path: of the file.
    """
    target = Path(path)
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        draft.write_text(text(certificate), encoding="utf-8")
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)


class Problem:
    """The points in whole numbers, x_i = points_i / scale, and what follows from them alone."""

    def __init__(self, one_price: bool, rows: list[Rationals], also: Sequence[Fraction] = ()) -> None:
        self.scale = lcm(*(c.denominator for row in rows for c in row), *(c.denominator for c in also))
        self.points: Whole = [[int(c * self.scale) for c in row] for row in rows]
        self.n, self.p, self.one_price = len(rows), len(rows[0]), one_price
        self.squares = [sum(c * c for c in row) for row in self.points]
        self.units = np.array([[c / (max(map(abs, row)) or 1) for c in row] for row in self.points])
        self.lengths = [float(Fraction(square, self.scale**2)) ** 0.5 for square in self.squares]

    def price(self, on: Sequence[int]) -> Fraction:
        """c_D^2."""
        if self.one_price:
            return Fraction(16, self.n)
        return Fraction(16 * sum(map(self.squares.__getitem__, on)), (self.n * self.scale) ** 2)

    def excess(self, on: Sequence[int], proof: Proof) -> Fraction:
        """By how much the square of lambda must shrink for the proof to hold: at most 1 if it holds as it is."""
        return proof.square / self.price(on) if on else ZERO

    def proofs(self, dual: Rationals, active: NDArray[np.bool_], multipliers: Array | None) -> tuple[dict[Key, Proof], Fraction]:
        """A proof for each on-set and sign; the worst ones are improved until the worst cannot be.

        Args:
            dual: lambda, (n,).
            active: on-sets, (M, n).
            multipliers: mu of the projections of lambda and -lambda in floating point, (2, M, n), if known.

        Returns:
            The proofs by on-set and sign, and the largest `excess` among them.
        """
        first = np.sort(np.unique(active, axis=0, return_index=True)[1])
        active, given = active[first], None if multipliers is None else multipliers[:, first]
        sets = OnSets(self.points, dual, active)
        price, keys = self.prices(sets), [tuple(np.flatnonzero(row).tolist()) for row in active]
        proofs, ratios, improvable = dict[Key, Proof](), dict[Key, float](), dict[Key, int]()
        for side, s in enumerate((1, -1)):
            squares = Quotients(sets.by_signs.above[side], sets.by_signs.below[side])
            ratio = np.where(sets.trace > 0, (squares / price).floats(), 0.0)
            proofs |= {(on, s): Proof(squares.exact(m)) for m, on in enumerate(keys)}
            chosen = np.flatnonzero(ratio > 1 + ROUNDING)
            better, mu = sets.squares(chosen, side, None if given is None else given[side, chosen])
            shorter = (better / price.take(chosen)).floats()
            for k, m in enumerate(chosen.tolist()):
                key, candidate = (keys[m], s), None
                if shorter[k] < ratio[m]:
                    candidate = Proof(better.exact(k), None, mu[k])
                elif better.below[k] == 0 and given is not None:
                    candidate = self.rounded(keys[m], self.target(sets, m, s), given[side, m])
                if candidate is not None and candidate.square < proofs[key].square:
                    proofs[key], ratio[m] = candidate, float(self.excess(keys[m], candidate))
                improvable[key] = m
            ratios |= {(on, s): value for on, value in zip(keys, ratio.tolist(), strict=True)}
        order = sorted(improvable, key=lambda key: -ratios[key])
        for k, key in enumerate(order):
            if ratios[key] <= 1 + ROUNDING:
                break
            best = self.projected(key[0], self.target(sets, improvable[key], key[1]))
            if best is not None and best.square < proofs[key].square:
                proofs[key], ratios[key] = best, float(self.excess(key[0], best))
            if ratios[key] >= max((ratios[following] for following in order[k + 1 : k + 2]), default=1.0):
                break
        largest = max(ratios.values(), default=0.0)
        worst = (self.excess(key[0], proofs[key]) for key, ratio in ratios.items() if ratio >= largest * (1 - NEXT))
        return proofs, max(worst, default=ZERO)

    def prices(self, sets: OnSets) -> Quotients:
        """c_D^2 of every on-set."""
        many, n = len(sets.trace), self.n
        if self.one_price:
            return Quotients(np.full(many, 16, object), np.full(many, n, object))
        return Quotients(16 * sets.trace, np.full(many, (n * self.scale) ** 2, object))

    def target(self, sets: OnSets, m: int, s: int) -> Rationals:
        """s times the scale times sum_{i in D} lambda_i x_i."""
        return [Fraction(s * c, sets.unit) for c in sets.linear[m]]

    def rounded(self, on: Sequence[int], target: Rationals, mu: Array, extra: Sequence[list[int]] = ()) -> Proof | None:
        """The proof with multipliers near those given; None if there is none with those that are positive.

        Args:
            on: D.
            target: scale times the linear term, (p,).
            mu: (n,), or (n + 1,) with that of `extra`.
            extra: at most one more row that v is on the positive side of.
        """
        lengths = [*self.lengths, *(float(sum(c * c for c in row)) ** 0.5 / self.scale for row in extra)]
        sizes = {i: value * lengths[i] for i, value in enumerate(mu.tolist()) if value > 0 and lengths[i] > 0}
        support = sorted(sizes, key=sizes.__getitem__, reverse=True)
        cone = self.cone(on, extra)
        free = [ZERO] * self.p + [short(float(mu[i])) for i in support]
        solution = solve(self.system(on, [cone[i] for i in support]), target, free)
        if solution is None or min(solution[self.p :], default=ZERO) < 0:
            return None
        return self.proof(on, solution[: self.p], dict(zip(support, solution[self.p :], strict=True)))

    def projected(self, on: Sequence[int], target: Rationals, extra: Sequence[list[int]] = ()) -> Proof | None:
        """The shortest proof: the projection, in exact arithmetic."""
        projection = nearest(self.system(on, []), target, self.cone(on, extra))
        return None if projection is None else self.proof(on, *projection)

    def cone(self, on: Sequence[int], extra: Sequence[list[int]]) -> Whole:
        """Rows that v is on the positive side of: S_i x_i, and more."""
        members = set(on)
        return [row if i in members else [-c for c in row] for i, row in enumerate(self.points)] + list(extra)

    def system(self, on: Sequence[int], columns: Whole) -> Whole:
        """The matrix of G v - sum_k mu_k column_k."""
        active = [self.points[i] for i in on]
        return [[sum(row[j] * row[k] for row in active) for k in range(self.p)] + [-c[j] for c in columns] for j in range(self.p)]

    def proof(self, on: Sequence[int], v: Rationals, mu: dict[int, Fraction]) -> Proof:
        """A proof with its length."""
        (entries,), denominator = common(v)
        return Proof(Fraction(sum(sum(map(mul, self.points[i], entries)) ** 2 for i in on), denominator**2), v, mu)

    def written(self, proof: Proof | None, theta: Fraction) -> dict[str, Any] | None:
        """The proof of theta lambda, for JSON."""
        if proof is None or proof.mu is None:
            return None
        mu = {str(i): number(theta * value) for i, value in sorted(proof.mu.items()) if value}
        if proof.v is None:
            return {"mu": mu}
        return {"v": numbers([theta * self.scale * value for value in proof.v]), "mu": mu}

    def short_witnesses(self, signs: NDArray[Any], witnesses: NDArray[Any]) -> Whole:
        """Whole numbers, as few digits as possible, on the same side of every hyperplane."""
        thin = [any(value != value for value in row) for row in witnesses.tolist()]
        rows = [self.inside(s) if t else as_whole(w) for s, w, t in zip(signs.tolist(), witnesses.tolist(), thin, strict=True)]
        exact = np.array(rows, dtype=object).reshape(-1, self.p)
        sides = sides_of(np.array(self.points, dtype=object), exact)
        out, left = exact.copy(), np.arange(len(exact))
        for bits in WITNESS_BITS:
            largest = abs(exact[left]).max(axis=1, keepdims=True)
            short = (exact[left] * 2 ** (bits + 1) + largest) // (2 * largest + (largest == 0))
            same = (sides_of(np.array(self.points, dtype=object), short) == sides[left]).all(axis=1)
            out[left[same]] = short[same]
            left = left[~same]
        return [list(map(int, row)) for row in out]

    def inside(self, signs: Sequence[int]) -> list[int]:
        """A point of a cell: w with S_i x_i . w >= t > 0, where (-w, t) projects (0, 1) on the cone that this makes (LDP, Lawson &
        Hanson 1974).
        """
        cone = [[-s * c for c in row] + [-1] for s, row in zip(signs, self.points, strict=True) if any(row)]
        identity = [[int(j == k) for k in range(self.p + 1)] for j in range(self.p + 1)]
        projection = nearest(identity, [ZERO] * self.p + [ONE], cone)
        if projection is None or projection[0][-1] <= 0:
            raise ValueError("a pattern without witness is no cell")
        return as_whole([-c for c in projection[0][:-1]])

    def settled(self, w: Array) -> list[int]:
        """Whole weights that have on their kink, exactly, the points that w has there to rounding: they cost least so."""
        unit = w / (np.abs(w).max() or 1)
        z = np.abs(self.units @ unit)
        on_kink = z <= max(ON_KINK * z.max(), ROUNDED)
        kink = [row for row, zero in zip(self.points, on_kink, strict=True) if zero]
        free = [Fraction(value) for value in unit.tolist()]
        return as_whole(solve(kink, [ZERO] * len(kink), free) or free)

    def network(
        self, weights: Array, alpha: Array, spare: Whole, y: Rationals, differentiable: bool
    ) -> list[tuple[Rationals, int, Fraction]]:
        """Neurons v = |alpha| w with their signs and short bounds on their costs, which interpolate y exactly.

        Args:
            weights: w, (K, p).
            alpha: coefficients that interpolate to rounding, (K,).
            spare: whole weights of neurons that are added as far as they are needed, (M, p).
            y: labels, (n,).
            differentiable: whether no point may lie on a kink; otherwise neurons are put on the kinks that they are on to rounding.

        Returns:
            Each neuron's v, sign and cost.

        Raises:
            ValueError: for a neuron with a point on its kink where that is not allowed, and labels that are not fitted.
        """
        given = [as_whole(row) if differentiable else self.settled(row) for row in weights]
        start = [
            short(a) * Fraction(float(np.abs(row).max())) / max(map(abs, w)) if any(w) else ZERO
            for a, row, w in zip(alpha.tolist(), weights, given, strict=True)
        ]
        if differentiable:
            for j, output in enumerate(self.outputs(given)):
                if start[j] and max(output) > 0 and (stuck := [i for i, z in enumerate(output) if not z and any(self.points[i])]):
                    raise ValueError(f"neuron {j} has point {stuck[0]} on its kink, where the loss has no Hessian")
        right = [value * self.scale for value in y]
        aim_at = total(self.priced(given, self.active(given), dict(enumerate(start)))) * (1 + Fraction(ROUNDING) * 2**15)
        short_fit = self.with_bumps(given, start, right) if self.n > MANY else None
        if short_fit is not None and (self.n > HOPELESS or total(short_fit) <= aim_at):
            return short_fit
        candidates = list[list[tuple[Rationals, int, Fraction]]]()
        aim: Fraction | None = None
        for varied in (False, True):
            whole = given + (self.varied(spare) if varied else spare)
            active = self.active(whole)
            start += [ZERO] * (len(whole) - len(start))
            order = [j for j in well_conditioned(active, start) if any(active[j]) and (start[j] or j >= len(given))]
            for columns in ([j for k, j in enumerate(order) if k < self.n or start[j]], order):
                matrix = [[active[j][i] for j in columns] for i in range(self.n)]
                solution = solve(matrix, right, [start[j] for j in columns])
                if solution is None:
                    continue
                aim = aim or total(self.priced(whole, active, dict(enumerate(start[: len(given)])))) * (
                    1 + Fraction(ROUNDING) * 2**15
                )
                candidates.append(self.priced(whole, active, dict(zip(columns, solution, strict=True))))
                if (
                    total(candidates[-1]) <= aim
                ):  # else the columns were nearly dependent, and small corrections took large weights
                    return candidates[-1]
        if not candidates:
            raise ValueError("no network fits the labels exactly")
        return min(candidates, key=total)

    def active(self, weights: Whole) -> Whole:
        """max(w . x_i, 0), a row for each w."""
        return [[max(z, 0) for z in output] for output in self.outputs(weights)]

    def with_bumps(self, given: Whole, start: Rationals, right: Rationals) -> list[tuple[Rationals, int, Fraction]] | None:
        """The network that short coefficients near those given and bumps make; None where bumps do not do."""
        used = [j for j, value in enumerate(start) if value]
        active = np.array(self.active([given[j] for j in used]), object).reshape(-1, self.n).T
        fit = fitted(active, self.points, [short(float(start[j])) for j in used], right)
        if fit is None:
            return None
        whole = [*(given[j] for j in used), *(w for w, _ in fit[1])]
        return self.priced(whole, self.active(whole), dict(enumerate([*fit[0], *(value for _, value in fit[1])])))

    def outputs(self, weights: Whole) -> Whole:
        """w . x_i, a row for each w."""
        return (np.array(weights, dtype=object).reshape(-1, self.p) @ np.array(self.points, dtype=object).T).tolist()

    def varied(self, weights: Whole) -> Whole:
        """The weights and p more near each, with the same signs where these are not 0, that span the space with it."""
        out = list(weights)
        for w, output in zip(weights, self.outputs(weights), strict=True):
            least, largest = min((abs(z) for z in output if z), default=1), max(abs(c) for row in self.points for c in row)
            out += [[(largest // least + 1) * c + (j == k) for k, c in enumerate(w)] for j in range(self.p)]
        return out

    def priced(self, whole: Whole, active: Whole, coefficients: dict[int, Fraction]) -> list[tuple[Rationals, int, Fraction]]:
        """The neurons with their costs."""
        network = []
        for j, value in sorted(coefficients.items()):
            if value and any(active[j]):
                on = [i for i, h in enumerate(active[j]) if h]
                square = value**2 * sum(h**2 for h in active[j]) / self.scale**2
                network.append(([abs(value) * c for c in whole[j]], 1 if value > 0 else -1, root(square * self.price(on))))
        return network


def total(network: list[tuple[Rationals, int, Fraction]]) -> Fraction:
    """The bound on the network's cost."""
    return sum((cost for _, _, cost in network), ZERO)


def neurons_written(network: list[tuple[Rationals, int, Fraction]]) -> list[dict[str, Any]]:
    """The network, for JSON."""
    return [{"v": numbers(v), "sign": sign, "cost": number(cost)} for v, sign, cost in network]


def well_conditioned(active: Whole, start: Rationals) -> list[int]:
    """An order of the neurons that starts with a basis of their activations, those that matter most if possible."""
    if not active:
        return []
    largest = [max(row) for row in active]
    unit = np.array([[h / (top or 1) for h in row] for row, top in zip(active, largest, strict=True)])
    shares = np.array([float(abs(value) * top) for value, top in zip(start, largest, strict=True)])
    unit *= 1e-4 + shares[:, None] / (shares.max(initial=0) or 1)
    return [int(j) for j in qr(unit.T, mode="economic", pivoting=True)[2]]


def shrinkage(worst: Fraction) -> Fraction:
    """The largest short theta <= 1 with theta^2 worst <= 1."""
    near = chain([ONE], (Fraction(2**k - 1, 2**k) for k in range(60, 1, -1)), (Fraction(1, 2**k) for k in count(1)))
    return next(theta for theta in near if theta**2 * worst <= 1)
