"""Owns the certified bound from above of max over ||delta / c||_p <= rho of L_S(w + delta) - L_S(w).

The least of
- the adjoint pass, in three choices of slopes: rho times the dual norm of one vector for all samples, plus errors of second order;
- the box of the loss itself, a mean of maxima;
- a second-order bound. With the loss convex in what the network computes last, f = f0 + J delta + e, |e_i| <= eps_i over the ball and
  weights v_i that bound its second derivatives,

      L(w + delta) - L(w) <= g'delta + errors + (sqrt(delta'G delta) + sqrt(sum v_i eps_i^2))^2 / 2,   G = J' diag(v) J,

  where delta'G delta <= rho^2 lambda_max(c G c) in an l2 ball; in a box sum v_i (rho ||c J_i||_1)^2, or rho^2 tr(D) lambda_max(c G c / D)
  for the diagonal D of the columns' norms, whichever is least. lambda_max is bounded from a computed eigendecomposition and its residual.

Parameters of a lower precision are bounded where rounding may put w + delta. The increase counts from L_S(w) as float64 computes it.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from flatproof.verify.curvature.batches import Batch
from flatproof.verify.curvature.bounds.program import Program
from flatproof.verify.curvature.bounds.tracing import traced
from flatproof.verify.curvature.bounds.values import Ball, Mode, Norm, Top, Unknown, gamma, up
from flatproof.verify.curvature.problem import Problem
from flatproof.verify.curvature.processes import reduced, summed

EFFORT = 4e9  # floating point operations that smaller boxes may take, a batch
SECOND = 4e9  # the same for the second-order bound
MOST = 2e9  # the same of one pass
MANY = 100  # batches
ENTRIES = 2e7  # of J
SLOPES: tuple[Mode, ...] = ("steep", "chords", "tangent")  # the first is least in all but small balls
SURE = 1 + 1e-12
ELSEWHERE = "another process has none for its batches"
FROM_BELOW = "lower bound of a maximum, which the ascent may miss"


@dataclass(frozen=True)
class Above:
    """A bound from above.

    Attributes:
        value: the bound; inf where there is none.
        how: what gave it, or why there is none, in a few words.
    """

    value: float
    how: str

    @property
    def rests_on(self) -> str:
        """For an estimate that has the value below it."""
        if not self.how:
            return FROM_BELOW
        known = f"bounded above by {self.how}" if self.value < math.inf else f"no bound above: {self.how}"
        return f"{FROM_BELOW}; {known}"

    def over(self, value: float, problem: Problem) -> "Above":
        """The same, at least the value that an ascent found, whose losses were rounded in the parameters' precision."""
        if value <= self.value:
            return self
        eps = torch.finfo(problem.dtype).eps
        if value - self.value <= 1e3 * eps * (abs(value) + abs(problem.loss())):
            return Above(value, self.how)
        return Above(
            math.inf,
            f"an ascent found {value:.6g} above the bound {self.value:.6g}, which is a fault of the bound: please report it",
        )


NO_BOUND = Above(math.inf, "")


@dataclass(frozen=True)
class Slope:
    """L_S(w + delta) - L_S(w) <= <parameters, delta> + errors in the ball.

    Attributes:
        parameters: one tensor a parameter.
        errors: at least 0.
        dual_of: the largest <a, delta> of any such tensors.
    """

    parameters: list[Tensor]
    errors: float
    dual_of: Callable[[list[Tensor]], float]

    @property
    def bound(self) -> float:
        """Of the increase."""
        return self.dual_of(self.parameters) + self.errors


class Bounded:
    """One batch's loss in the ball.

    Args:
        problem: whose loss.
        batch: S.
        scale: c, (P,); None for 1.
        rho: radius.
        norm: of the ball.
        effort: floating point operations that smaller boxes may take.

    Raises:
        Unknown: there is no bound; says why.
    """

    def __init__(
        self,
        problem: Problem,
        batch: Batch,
        scale: Tensor | None,
        rho: float,
        norm: Norm,
        effort: float = EFFORT,
    ) -> None:
        if problem.mode == "train":
            raise Unknown("in training mode the samples of a batch depend on each other")
        line = traced(problem, batch)
        weights = line.leaves[: line.parameters]
        c = torch.ones(problem.size, dtype=torch.float64, device="cpu") if scale is None else scale.detach().cpu().double().abs()
        scales = problem.unflatten(c)
        eps = torch.finfo(problem.dtype).eps
        off = [torch.where(s > 0, eps * (w.abs() + rho * s), 0.0) for w, s in zip(weights, scales, strict=True)]
        if norm == "l2":  # displaced parameters are rounded: the ball is that much wider in units of c
            apart = sum(float((o / s.clamp(min=1e-300)).square().sum()) for o, s in zip(off, scales, strict=True))
            rho = (rho * (1 + 4 * eps) + math.sqrt(apart)) * SURE
            self.radii = [up(rho * s) for s in scales]
        else:
            self.radii = [up(rho * (1 + 4 * eps) * s + o) for s, o in zip(scales, off, strict=True)]
        self.line, self.ball, self.scales, self.second = line, Ball(rho, norm), scales, SECOND if effort else 0.0
        self.program = Program(line, self.ball, scales, self.radii, effort, MOST)
        mine, theirs = float(self.program.values[self.program.loss].center), line.loss
        if not abs(mine - theirs) <= 1e-9 * (abs(theirs) + 1e-3):
            raise Unknown(f"its operations give a loss of {mine:.6g} where torch's give {theirs:.6g}")

    def dual(self, parameters: list[Tensor]) -> float:
        """The largest <parameters, delta>."""
        if self.ball.norm == "linf":
            total = sum(float((a.abs() * r).sum()) for a, r in zip(parameters, self.radii, strict=True))
        else:
            total = self.ball.rho * math.sqrt(
                sum(float((a * s).square().sum()) for a, s in zip(parameters, self.scales, strict=True))
            )
        return total * (1 + 2 * gamma(sum(a.numel() for a in parameters)))

    def slope(self, mode: Mode, limit: float = math.inf) -> Slope | None:
        """A bound of first order; None where its errors alone are more than the limit."""
        met = self.program.backwards({self.program.loss: torch.ones(1, dtype=torch.float64, device="cpu")}, mode, limit=limit)
        errors = float(met.errors(self.program.terms)[0])
        if errors > limit:
            return None
        zero = [torch.zeros_like(w) for w in self.line.leaves[: self.line.parameters]]
        parameters = [met.parameters[i][0] if i in met.parameters else z for i, z in enumerate(zero)]
        return Slope(parameters, errors, self.dual)

    def least_slope(self, limit: float = math.inf) -> Slope | None:
        """The least bound of first order; None where all are more than the limit."""
        best: Slope | None = None
        for mode in SLOPES:
            slope = self.slope(mode, limit)
            if slope is not None and (best is None or slope.bound < best.bound or math.isnan(best.bound)):
                best, limit = slope, min(limit, slope.bound)
        return best

    def of_box(self) -> float:
        """The loss's own box."""
        return float(self.program.values[self.program.loss].box[1])

    # -------------------------------------------------------------------------------------------------------------- second order

    def of_second_order(self) -> float:
        """The second-order bound; inf where the top of the loss is of another kind, or its Jacobian too large."""
        tops = self._tops()
        if not tops:
            return math.inf
        program = self.program
        adjoints, tangents = tops
        names = frozenset(adjoints)
        if not all(self._affordable(program.steps[name].top, adjoint) for name, adjoint in adjoints.items()):
            return math.inf
        met = program.backwards(tangents, "tangent")
        zero = [torch.zeros_like(w) for w in self.line.leaves[: self.line.parameters]]
        g = [met.parameters[i][0] if i in met.parameters else z for i, z in enumerate(zero)]
        total = self._above_tops(names) + float(met.errors(program.terms)[0]) + self.dual(g)
        rows, square = [], 0.0
        for name, adjoint in adjoints.items():
            top = program.steps[name].top
            assert top is not None
            total += float(top.rounding(adjoint)) * SURE
            weight = top.weight(adjoint).reshape(-1)
            kept = torch.nonzero(weight > 0).flatten()
            size = max(1, int(4e6 / max(v.numel() for v in self.line.leaves)))
            for part in torch.split(kept, size) if len(kept) else ():
                made, eps = self._rows(top, part, weight[part])
                rows.append(made)
                square += float((weight[part] * eps.square()).sum())
        B = torch.cat(rows) if rows else torch.zeros(0, 1, dtype=torch.float64, device="cpu")
        curved = math.sqrt(self._largest(B) * SURE) + math.sqrt(square * SURE)
        return (total + curved**2 / 2) * SURE

    def _affordable(self, top: Top | None, adjoint: Tensor) -> bool:
        """Whether the weights are finite and the Jacobian's rows that they keep few enough."""
        assert top is not None
        weight = top.weight(adjoint)
        if not bool(torch.isfinite(weight).all()):
            return False
        kept = int((weight > 0).sum())
        before = sum(self.program.steps[n].work for n in self.program._before(top.source))
        entries = sum(w.numel() for w in self.line.leaves[: self.line.parameters])
        return kept * entries <= ENTRIES and 2 * kept * before <= self.second

    def _rows(self, top: Top, places: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """sqrt(v) J c, rows (k, P), and eps."""
        k = len(places)
        one = torch.zeros(k, math.prod(top.shape), dtype=torch.float64, device="cpu")
        one[torch.arange(k, device="cpu"), places] = 1
        start = top.argument(one.reshape(k, *top.shape))
        met = self.program.backwards({top.source: start}, "tangent")
        back = self.program.backwards({top.source: -start}, "tangent")
        eps = torch.maximum(met.errors(self.program.terms), back.errors(self.program.terms))
        parts = []
        for i, s in enumerate(self.scales):
            unit = self.radii[i] if self.ball.norm == "linf" else s * self.ball.rho
            parts.append(
                (met.parameters[i] * unit).reshape(k, -1)
                if i in met.parameters
                else torch.zeros(k, s.numel(), dtype=torch.float64, device="cpu")
            )
        return weight.sqrt()[:, None] * torch.cat(parts, 1), eps

    def _largest(self, B: Tensor) -> float:
        """A bound of max z'B'Bz over the unit ball."""
        if not len(B):
            return 0.0
        if self.ball.norm == "l2":
            return _top(B)
        D = B.square().sum(0).sqrt()
        D = D / D.mean() + 1e-9 if float(D.sum()) > 0 else torch.ones_like(D)
        apart = float(B.abs().sum(1).square().sum()) * (1 + 4 * gamma(B.numel()))
        return min([apart] + [_top(B / d.sqrt()) * float(d.sum()) * SURE for d in (D, torch.ones_like(D))])

    def _tops(self) -> tuple[dict[str, Tensor], dict[str, Tensor]] | None:
        """The adjoints of the last nonlinear operations, and those of their inputs by tangents; None where one is of another kind."""
        program = self.program
        adjoints = {program.loss: torch.ones(1, dtype=torch.float64, device="cpu")}
        tops: dict[str, Tensor] = {}
        tangents: dict[str, Tensor] = {}
        for name in reversed(program.order):
            if name not in adjoints or name in program.places:
                continue
            step = program.steps[name]
            if not step.linear:
                if step.top is None:
                    return None
                tops[name] = adjoints[name][0]
                source = step.top.source
                pulled = step.top.tangent(tops[name])[None]
                tangents[source] = tangents[source] + pulled if source in tangents else pulled
                continue
            form = step.form("tangent")
            for source, pulled in zip(form.sources, form.pull(adjoints[name]), strict=True):
                adjoints[source] = adjoints[source] + pulled if source in adjoints else pulled
        leaves = [n for n in program.places if n in adjoints]
        below = [n for n in adjoints if n in tops or n in program.places]
        return (tops, tangents) if tops and not leaves and below else None

    def _above_tops(self, tops: frozenset[str]) -> float:
        """The rounding errors of the linear operations after the tops, and of the tops themselves."""
        program = self.program
        met = program.backwards({program.loss: torch.ones(1, dtype=torch.float64, device="cpu")}, "tangent", stop=tops)
        return float(met.errors(program.terms)[0])


def _top(B: Tensor) -> float:
    """A bound of the largest eigenvalue of B B', rows k, from a computed decomposition: B B' = Q diag Q' + R."""
    M = B @ B.T if len(B) <= B.shape[1] else B.T @ B
    size = float(B.square().sum()) * SURE
    values, Q = torch.linalg.eigh(M)
    k = len(M)
    residual = float(torch.linalg.matrix_norm(M - (Q * values) @ Q.T)) + gamma(B.numel() + 4 * k) * (k + 4) * size
    apart = float(torch.linalg.matrix_norm(Q @ Q.T - torch.eye(k, dtype=M.dtype, device="cpu"))) + gamma(4 * k) * k
    return min(size, (max(float(values[-1]), 0.0) * (1 + apart) + residual) * SURE)


def batch_bound(
    problem: Problem,
    batch: Batch,
    scale: Tensor | None,
    rho: float,
    norm: Norm,
    effort: float = EFFORT,
    *,
    sloped: bool = True,
) -> tuple[float, str, Slope | None]:
    """The bound of one batch, what gave it, and the best one of first order.

    Args:
        sloped: whether the latter is wanted where it is not the least; None in its place otherwise, sooner.

    Raises:
        Unknown: there is none; says why.
    """
    with torch.no_grad():
        bounded = Bounded(problem, batch, scale, rho, norm, effort)
        box = bounded.of_box()
        best = bounded.least_slope(math.inf if sloped or not math.isfinite(box) else box)
        bounds = {"box": box, "curvature": bounded.of_second_order()}
        bounds = bounds if best is None else {"slopes": best.bound} | bounds
    finite = {k: v for k, v in bounds.items() if math.isfinite(v)}
    if not finite:
        raise Unknown("the bound overflows")
    how = min(finite, key=finite.__getitem__)
    return finite[how], how, best


def mean_above(
    problem: Problem, batches: Iterable[Batch], scale: Tensor | None, rho: float, norm: Norm, effort: float = EFFORT
) -> Above:
    """The mean over batches, weighed by their samples, of their bounds; inf with the reason where there is none."""
    total, weight, ways, unknown = 0.0, 0, set[str](), ""
    try:
        for count, batch in enumerate(batches):
            if count == MANY:
                raise Unknown(f"there are more than {MANY} batches")
            value, way, _ = batch_bound(problem, batch, scale, rho, norm, effort, sloped=False)
            total, weight = total + batch.samples * value, weight + batch.samples
            ways.add(way)
    except Unknown as reason:
        unknown = str(reason)
    failed, total, weights = summed(float(bool(unknown)), total, weight)
    return Above(math.inf, unknown or ELSEWHERE) if failed else Above(total / weights * SURE, " and ".join(sorted(ways)))


def box_above(problem: Problem, batches: Iterable[Batch], reach: Tensor) -> Above:
    """The bound of the whole data's loss, one displacement |delta_i| <= reach_i for all batches; inf with the reason if there is none.

    The least of the sum of slopes over the batches, which share delta, and the mean of the batches' own bounds.
    """
    apart, errors, unknown = 0.0, 0.0, ""
    slope: list[Tensor] = []
    try:
        for batch in batches:
            value, _, best = batch_bound(problem, batch, reach, 1.0, "linf")
            if best is None:
                raise Unknown("the bound overflows")
            apart, errors = apart + batch.weight * value, errors + batch.weight * best.errors
            parts = [batch.weight * a for a in best.parameters]
            slope = [a + b for a, b in zip(slope, parts, strict=True)] if slope else parts
            dual = best.dual_of
    except Unknown as reason:
        unknown = str(reason)
    failed, apart, errors = summed(float(bool(unknown)), apart, errors)
    if failed:
        return Above(math.inf, unknown or ELSEWHERE)
    together = (dual([reduced(a) for a in slope]) + errors) * SURE
    return Above(together, "slopes") if together <= apart else Above(apart * SURE, "batch by batch")
