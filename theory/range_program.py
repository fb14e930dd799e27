"""Owns the convex program of one prediction: the largest f(q) over all interpolating networks of cost at most U, and its dual.

Cells are those of the points, each cut in two by the sign of q . v. With neurons v of output sign s, on-set D and price c_D
(theory/program.py), a dual point (lambda, tau) bounds the prediction if for each half cell (D, side) and both signs s

    s [side = +] q . v - s <lambda, X v>_D <= tau c_D |X v|_D,     hence   f(q) <= lambda . y + tau U:                         (*)

sum over the neurons of a network. For any lambda the smallest tau is the largest length of a projection over its price
(theory/projection.py), so every lambda proves a bound.

The program is solved with reduced costs. With lambda* nearly optimal for the flattest network itself, c_D |X v|_D - s <lambda*, X v>_D
>= 0 sums to cost - lambda* . y over an interpolating network, so that "cost <= U" reads "reduced costs <= U - lambda* . y", a number
as small as eps T that no subtraction of large ones blurs; the dual point is lambda = lambda_0 - tau lambda*.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from theory.columns import Array, Signs
from theory.generation import Program
from theory.master import block_diagonal, frame
from theory.projection import project_linear

FIRST, BATCH, ROUNDS = 1e-3, 40, 60  # patterns this near binding come first; at most so many half cells are added at a time
CLOSE = 1e-8  # the bound is this close to what networks attain, relative to the larger of it and the largest label: stop
BOX = 1e4  # price of slack on the interpolation, per unit of the reduced costs' limit
SLACK = 1e-7


@dataclass(frozen=True)
class Pieces:
    """Half cells with an output sign: index of the pattern (K,), sign s (K,) and side of q (K,), each +-1."""

    pattern: NDArray[np.intp]
    sides: Array
    at: Signs

    def take(self, index: NDArray[Any]) -> "Pieces":
        """Some of them."""
        return Pieces(self.pattern[index], self.sides[index], self.at[index])


@dataclass(frozen=True)
class Extreme:
    """What the program gives, in units where labels and |q| are at most 1.

    Attributes:
        bound: lambda . y + tau U, which no network exceeds, up to rounding.
        value: what the neurons below attain; at most `bound` up to rounding.
        dual: lambda (n,). tau.
        pieces, v: half cells in use and their neurons (K, r), which interpolate and cost at most U up to the solver's accuracy.
        multipliers: of the projections onto all half cells, (4, M, n + 1), in the order of RangeProgram.ORDER.
        lengths: of those projections, (4, M).
    """

    bound: float
    value: float
    dual: Array
    tau: float
    pieces: Pieces
    v: Array
    multipliers: Array
    lengths: Array


class RangeProgram:
    """Predictions at one point q over the networks of one data set, given its program and a dual point of the flattest trace."""

    ORDER = ((1.0, 1), (1.0, -1), (-1.0, 1), (-1.0, -1))  # output sign, side of q

    def __init__(self, program: Program, flattest: Array, q: Array):
        """Args: flattest: lambda* (n,) in the units of `program`. q: the point (r,) in its coordinates, of length 1."""
        self.program, self.flattest, self.q = program, flattest, q
        self.points = np.vstack([program.u, q])
        self.signs = {side: np.hstack([program.signs, np.full((len(program.signs), 1), side, np.int8)]) for side in (1, -1)}
        self.on = (program.signs > 0).astype(float)

    def extreme(self, end: int, most: float) -> Extreme:
        """The largest prediction (end = 1), or the largest of its negative (end = -1), over networks of cost at most `most`.

        Errors: ArithmeticError if the cone program is not solved.
        """
        program = self.program
        room = most - float(self.flattest @ program.y)
        if room <= 0:
            raise ArithmeticError("the limit on the trace lies below the trace of every network")
        near = program.price_ratios(self.flattest, enough=None) >= 1 - FIRST
        chosen = np.zeros((4, len(program.signs)), bool)
        for k, (s, _) in enumerate(self.ORDER):
            chosen[k] = near[0 if s > 0 else 1]
        barred = chosen & ~self._wide(chosen)
        chosen &= ~barred
        best: Extreme | None = None
        for _ in range(ROUNDS):
            dual, tau, value, pieces, v = self._solve(chosen, end, room)
            multipliers, lengths = self.lengths(dual - tau * self.flattest, end)
            ratios = lengths / program.prices
            needed = float(ratios.max())
            bound = float((dual - tau * self.flattest) @ program.y) + needed * most
            if best is None or bound < best.bound:
                best = Extreme(bound, value, dual - tau * self.flattest, needed, pieces, v, multipliers, lengths)
            if bound - value <= CLOSE * max(1.0, abs(bound)):
                break
            wanted = ~chosen & ~barred & (ratios > tau * (1 + 1e-11))
            new = np.zeros_like(chosen)
            new.flat[np.argsort(np.where(wanted, -ratios, np.inf), axis=None)[: min(BATCH, int(wanted.sum()))]] = True
            wide = self._wide(new)
            barred |= new & ~wide
            if not (new & wide).any():
                break
            chosen |= new & wide
        assert best is not None
        return Extreme(best.bound, value, best.dual, best.tau, pieces, v, best.multipliers, best.lengths)

    def at(self, dual: Array, end: int, most: float, attained: Extreme | None = None) -> Extreme:
        """The bound that a dual point proves for a limit; values and neurons as in `attained`."""
        multipliers, lengths = self.lengths(dual, end)
        tau = float((lengths / self.program.prices).max())
        bound = float(dual @ self.program.y) + tau * most
        if attained is None:
            nothing = Pieces(np.zeros(0, np.intp), np.zeros(0), np.zeros(0, np.int8))
            attained = Extreme(bound, bound, dual, tau, nothing, np.zeros((0, len(self.q))), multipliers, lengths)
        return replace(attained, bound=bound, dual=dual, tau=tau, multipliers=multipliers, lengths=lengths)

    def lengths(self, dual: Array, end: int) -> tuple[Array, Array]:
        """Multipliers (4, M, n + 1) and lengths (4, M) of all half cells at a dual point."""
        program = self.program
        seen = (self.on * dual) @ program.u
        multipliers, lengths = [], []
        for s, side in self.ORDER:
            gradients = end * s * max(side, 0) * self.q - s * seen
            mu, length = project_linear(self.points, self.signs[side], gradients, program.factors, np.zeros(len(seen), bool))[1:]
            multipliers.append(mu)
            lengths.append(length)
        return np.array(multipliers), np.array(lengths)

    def _wide(self, wanted: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which of the half cells wanted are more than a face: of the others nothing is lost, since the rest of the cell has it.

        A face of the samples on which q vanishes is counted on the side where q is inactive.
        """
        out = np.zeros_like(wanted)
        for side in (1, -1):
            halves = [k for k, (_, at) in enumerate(self.ORDER) if at == side]
            index = np.flatnonzero(wanted[halves].any(axis=0))
            wide = self._reach(index, side) > 1e-9
            if side < 0:
                wide |= ~(self._reach(index, 1) > 1e-9)
            for k in halves:
                out[k, index] = wide & wanted[k, index]
        return out

    def _reach(self, index: NDArray[np.intp], side: int) -> Array:
        """The largest side * q . v over each cell and |v| <= 1."""
        count, r = len(index), len(self.q)
        return project_linear(
            self.points[:-1],
            self.program.signs[index],
            np.tile(side * self.q, (count, 1)),
            np.tile(np.eye(r), (count, 1, 1)),
            np.zeros(count, bool),
        )[2]

    def _solve(self, chosen: NDArray[np.bool_], end: int, room: float) -> tuple[Array, float, float, Pieces, Array]:
        """The cone program over chosen half cells: lambda_0 (n,), tau, the value, the pieces in use and their neurons (K, r)."""
        import clarabel

        program, order = self.program, np.array(self.ORDER)
        kind, pattern = np.nonzero(chosen)
        pieces = Pieces(pattern, order[kind, 0], order[kind, 1].astype(np.int8))
        u, signs, prices = program.u, program.signs[pattern], program.prices[pattern]
        (k, n), r = signs.shape, u.shape[1]
        live = np.append(u.any(axis=1), True)
        rows = np.hstack([signs, pieces.at[:, None]])
        frames = [frame(u[s > 0], self.points[np.append(s <= 0, True) & live]) for s in signs]
        maps = np.array([w / price for (w, _), price in zip(frames, prices, strict=True)])
        ranks = [rank for _, rank in frames]
        z = np.einsum("ia,kab->kib", self.points, maps)
        active = pieces.sides[:, None, None] * (signs > 0)[:, :, None] * z[:, :n]
        output = active.transpose(1, 0, 2).reshape(n, k * r)
        gain = (end * pieces.sides * (pieces.at > 0))[:, None] * z[:, n]
        reduced = -np.einsum("i,kib->kb", self.flattest, active)
        inside = rows[:, live, None] * z[:, live]
        size = np.abs(inside).max(axis=2, keepdims=True)
        inside = inside / np.where(size > 0, size, 1)
        cones = np.zeros((k, r + 1, r))
        cones[:, 1:, :] = -np.eye(r) / prices[:, None, None]
        kept = np.concatenate([np.arange(r + 1) <= rank for rank in ranks])
        heads = sp.csc_matrix((-1 / prices, (np.arange(k) * (r + 1), np.arange(k))), shape=(k * (r + 1), k))
        slack, identity = 2 * n, sp.identity(n)
        blocks: Any = [
            [sp.csc_matrix(output), None, sp.hstack([identity, -identity])],
            [sp.csc_matrix(reduced.reshape(1, -1) / room), sp.csc_matrix(np.full((1, k), 1 / room)), None],
            [-block_diagonal(inside), None, None],
            [None, sp.csc_matrix((slack, k)), -sp.identity(slack)],
            [sp.csr_matrix(block_diagonal(cones))[kept], sp.csr_matrix(heads)[kept], None],
        ]
        matrix = sp.bmat(blocks, format="csc")
        right = np.zeros(matrix.shape[0])
        right[:n], right[n] = program.y, 1.0
        cost = np.concatenate([-gain.ravel(), np.zeros(k), np.full(slack, BOX)])
        settings = clarabel.DefaultSettings()
        settings.verbose = False
        settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-10
        settings.max_threads = 1
        kinds = [
            clarabel.ZeroConeT(n),
            clarabel.NonnegativeConeT(1 + inside.shape[0] * inside.shape[1] + slack),
            *[clarabel.SecondOrderConeT(rank + 1) for rank in ranks],
        ]
        quadratic = sp.csc_matrix((len(cost), len(cost)))
        solution = clarabel.DefaultSolver(quadratic, cost, matrix, right, kinds, settings).solve()
        x, dual = np.array(solution.x), np.array(solution.z)
        if not (np.isfinite(x).all() and np.isfinite(dual).all()):
            raise ArithmeticError("the cone program of a prediction was not solved")
        v = np.einsum("kab,kb->ka", maps, x[: k * r].reshape(k, r))
        return dual[:n], float(dual[n]) / room, float(gain.ravel() @ x[: k * r]), pieces, v
