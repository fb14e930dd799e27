"""Owns what can be said of the flattest network where activation patterns are too many to list: a bracket [lower, upper] of its trace.

Upper.  The cone program of program.py over patterns found so far; its dual point prices all others: is some w with
    s lambda . relu(X w) > c_D ||relu(X w)||? That is no convex question. It is put to local search from many starts, cell to
    neighbouring cell, and what it finds enters the program, until no start finds anything. The network that comes out is checked
    by closed forms; that the search missed nothing is not claimed.

Lower.  `theory.flatness.lower_bounds.relaxed_bound`, proved without listing patterns.

With a time given, there is a network from the beginning (at_once.py), and patterns that can be listed within it are listed after all:
few enough, and the flattest network itself is computed, or what pattern generation has when the time is up; more, and the search's dual
point is scaled to hold for all of them, a lower bound that is mostly far above the relaxed one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from time import monotonic

import numpy as np
from numpy.typing import ArrayLike
from threadpoolctl import threadpool_limits

from flatproof.notebooks import html_rows
from flatproof.theory.flatness.at_once import along, at_once
from flatproof.theory.flatness.column_generation import Program, by_generation
from flatproof.theory.flatness.counts import cover_bound
from flatproof.theory.flatness.feasibility import check_feasible
from flatproof.theory.flatness.flattest import LIMIT, solved
from flatproof.theory.flatness.lower_bounds import relaxed_dual
from flatproof.theory.flatness.neurons import Array, NotRealized
from flatproof.theory.flatness.patterns import TooManyPatterns, cells, check_count
from flatproof.theory.flatness.pricing import climbing
from flatproof.theory.flatness.realize import rescaled
from flatproof.theory.flatness.search import CLOSED, PROGRAM, Round, Search
from flatproof.theory.flatness.setting import ROUNDING, Answer, Setting
from flatproof.theory.flatness.walls import walls
from flatproof.theory.networks import Network, trace_of_hessian

SOLVED, GENERATED = 60_000, 300_000  # patterns times points that are solved for in a second, all at once and by generation
LISTED = 8_000  # patterns that are listed and compared with a dual point in a second, at the least
GENERATING = 0.85  # share of the time for pattern generation where that is done: making the network takes the rest
FEW = 600  # samples up to which the cheapest weights of the search's neurons take next to no time
CLIMBED = 5e9  # multiply-adds of the search's climbs in a second, at the least
RELAXED = 0.25  # share of the time for the relaxed bound
SEARCHED = 0.9, 0.7  # shares of the time for that bound and the search, off kinks and where samples may sit on them


@dataclass(frozen=True)
class Bracket(Answer):
    """lower_bound <= smallest trace of an interpolating network <= upper.

    Attributes:
        setting: the problem: the data, the class of networks, the notion at kinks.
        upper: trace of the Hessian at `network`, by the closed form.
        lower_bound: dual . y, proved (see the module).
        network: an interpolating network without a sample on a kink (of the notion).
        dual: the point (n,) behind the lower bound.
        history: one entry a round.
        exhausted: whether the bounds meet, or the search ended because it found nothing more, not because time or rounds were up.
    """

    upper: float
    lower_bound: float
    network: Network
    dual: Array = field(repr=False)
    history: tuple[Round, ...] = field(repr=False)
    exhausted: bool

    @property
    def gap(self) -> float:
        """(upper - lower_bound) / upper; 0 for the zero network."""
        return (self.upper - self.lower_bound) / self.upper if self.upper > 0 else 0.0

    @property
    def ended(self) -> str:
        """Why it ended, in words."""
        if self.gap <= CLOSED:
            return "the bounds meet"
        return "the search found nothing more" if self.exhausted else "time or rounds did not allow more"

    def _repr_html_(self) -> str:
        rows = {"upper bound": f"{self.upper:.10g}", "lower bound": f"{self.lower_bound:.10g}", "gap": f"{self.gap:.1e}"}
        return html_rows(f"Bracket: {self.architecture}, {self.kinks}", rows | {"ended": self.ended})


def bracket(
    x: ArrayLike,
    y: ArrayLike,
    architecture: str = "no-bias",
    kinks: str = "differentiable",
    seed: int = 0,
    rounds: int = 40,
    seconds: float | None = None,
    start: Sequence[Network] = (),
) -> Bracket:
    """A bracket of the flattest trace that needs no list of patterns.

    Args:
        x: inputs, (n, d).
        y: real labels, (n,).
        architecture: "no-bias", "bias" or "sim-bn".
        kinks: "differentiable" or "relu'(0)=0", as in theory.flattest.
        seed: of the search's random starts.
        rounds: at most this many, more only while the labels are not fitted.
        seconds: ends about then, whatever is known, and lists patterns where that takes no longer; without it the result is a function
            of the other arguments.
        start: networks of the architecture on R^d whose neurons' patterns enter the first program: if one interpolates, `upper` is not
            above its trace.

    Returns:
        Both bounds, the network behind the upper and the dual point behind the lower.

    Raises:
        Infeasible: if no network of the class fits the labels.
        NotRealized: if none was found, or double precision cannot hold one.
        ValueError: for NaN, shapes, unknown names.
    """
    setting = Setting.of(x, y, architecture, kinks)
    d = setting.x.shape[1]
    for network in start:
        if network.architecture != setting.architecture or network.w1.shape[1] != d:
            raise ValueError(f"start must hold {setting.architecture!r} networks on R^{d}, got {network.architecture!r}")
    check_feasible(setting)
    if not setting.y.any():
        return Bracket(setting, 0.0, 0.0, setting.zero_network(), np.zeros(len(setting.y)), (), True)
    if seconds is not None:
        with threadpool_limits(1):  # threads that wait for each other over small systems cost more than they save
            return _in_time(setting, seed, rounds, start, seconds)
    bound, dual = relaxed_dual(setting)
    search = Search(setting, seed, np.inf)
    search.run(rounds, start, bound)
    networks = _measured(setting, [search.network(), *rescaled(setting, start)])
    return _bracket(setting, networks, bound, dual, search.history, search.exhausted)


def _in_time(setting: Setting, seed: int, rounds: int, start: Sequence[Network], seconds: float) -> Bracket:
    """What is known after some seconds: at the least a network made at once and a bound sample by sample."""
    began, cells_at_most = monotonic(), cover_bound(*setting.coordinates.u.shape)
    exact = _listed(setting, start, seconds, began + GENERATING * seconds)
    if exact is not None:
        return exact
    listing = cells_at_most / LISTED if setting.differentiable and cells_at_most <= min(LIMIT, LISTED * seconds / 2) else 0.0
    networks = _measured(setting, rescaled(setting, start))
    networks += _measured(setting, at_once(setting, seed, end=began + RELAXED * seconds))
    bound, dual = relaxed_dual(setting, RELAXED * seconds)
    closed = min([trace for trace, _ in networks], default=np.inf) <= bound * (1 + CLOSED)
    searching = SEARCHED[not setting.differentiable] * (seconds - listing)
    n, r = setting.coordinates.u.shape
    if closed or (networks and max(climbing(n, r) / CLIMBED, n * n * r / PROGRAM) > searching):
        return _bracket(setting, networks, bound, dual, (), closed)
    search = Search(setting, seed, max(monotonic(), began + searching))
    search.run(rounds, [*start, *(network for _, network in networks)], bound)
    known = [setting.coordinates.neurons(network.weights) for _, network in networks]
    if len(search.seen) and len(setting.y) <= FEW:
        networks += _measured(setting, along(setting, np.vstack([search.seen, *known])))
    if search.exhausted or not setting.differentiable or not networks:
        try:
            networks += _measured(setting, [search.network(began + seconds - listing)])
        except ArithmeticError as error:  # the time was up, or double precision did not do
            if not networks:
                raise NotRealized(
                    f"no interpolating network was found in {seconds:g} seconds: points may be nearly dependent"
                ) from error
    if listing:
        bound, dual = max((bound, dual), _over_all(setting, search.dual), key=lambda pair: pair[0])
    return _bracket(setting, networks, bound, dual, search.history, search.exhausted)


Measured = tuple[float, Network]


def _measured(setting: Setting, networks: Iterable[Network]) -> list[Measured]:
    """Networks with their traces."""
    return [(trace_of_hessian(network, setting.x), network) for network in networks]


def _bracket(
    setting: Setting, networks: Sequence[Measured], bound: float, dual: Array, history: Sequence[Round], exhausted: bool
) -> Bracket:
    """The bracket of the flattest of networks, its lower end below the upper by ROUNDING at least."""
    upper, network = min(networks, key=lambda measured: measured[0])
    if bound > (1 - ROUNDING) * upper:
        dual, bound = dual * ((1 - ROUNDING) * upper / bound), (1 - ROUNDING) * upper
    return Bracket(setting, upper, bound, network, dual, tuple(history), exhausted)


def _listed(setting: Setting, start: Sequence[Network], seconds: float, end: float) -> Bracket | None:
    """The flattest network, or what is known of it at the time `end`; None where patterns are too many for that, or double precision
    does not do."""
    rate = GENERATED if setting.differentiable and by_generation(*setting.coordinates.u.shape) else SOLVED
    most = min(int(rate * seconds / len(setting.y)), LIMIT)
    try:
        check_count(setting.points, most, faces=not setting.differentiable)
        solution = solved(setting, most, end=end)
    except (TooManyPatterns, ArithmeticError):
        return None
    networks = _measured(setting, [solution.network, *rescaled(setting, start)])
    history = (Round(solution.trace, 1.0, len(solution.patterns.signs)),)
    if solution.thin:
        return None
    return _bracket(setting, networks, solution.lower_bound, solution.dual, history, solution.complete)


def _over_all(setting: Setting, dual: Array) -> tuple[float, Array]:
    """The lower bound of a dual point scaled down to hold for every cell, and that point."""
    listed = cells(setting.points)
    active = (listed.signs > 0).any(axis=1)
    program = Program(setting, np.where(listed.signs[active] > 0, 1, -1).astype(np.int8), walls(listed.signs)[active])
    excess = max(1.0, float(program.price_ratios(dual / program.size, None).max()))
    return float(dual @ setting.y) / excess, dual / excess
