"""Owns interpolating networks that take next to no time: cheapest weights of given directions, for when nothing better is at hand.

Directions are random and towards the samples; where there is a bias, those that one sample alone sees, if they exist, which on points of
one length attain theory.trace_lower_bound, and those of kinks between any two neighbours along a line (in the data's row space, and in
their own), which fit whatever labels. The trace of what comes out is that of a network, so an upper bound, and may be a loose one.
"""

import warnings
from collections.abc import Sequence
from itertools import chain
from time import monotonic

import numpy as np
from scipy.linalg import LinAlgWarning, lu_factor, lu_solve

from flatproof.theory.flatness.linear_programs import vertex
from flatproof.theory.flatness.neurons import Array, Columns, NotRealized
from flatproof.theory.flatness.program import prices
from flatproof.theory.flatness.realize import built, rescaled
from flatproof.theory.flatness.setting import Setting
from flatproof.theory.networks import Network

PRICED = 150  # samples up to which weights are the cheapest, by a linear program; of more those of as many neurons
TRIES, MORE = 4, 4  # sets of random directions, each so many times as large as the one before
ON_KINK = 1e-9  # |u_i . v| / |v| up to which a neuron is left out: it would have a sample on its kink


def at_once(setting: Setting, seed: int, end: float = np.inf) -> list[Network]:
    """Networks that interpolate and have no sample on a kink, as flat as their directions allow; none where double precision holds none.

    Args:
        setting: the problem.
        seed: of the random directions.
        end: the time (of `monotonic`) after which the first network found will do.
    """
    random = np.random.default_rng(np.random.SeedSequence([seed, 3]))
    n, r = setting.coordinates.u.shape
    lines = [random.standard_normal((1, r)), setting.coordinates.neurons(random.standard_normal((1, setting.points.shape[1])))]
    given, fine = [_towards(setting), *_in_a_row(setting, np.vstack(lines))], list[Network]()
    for attempt in range(TRIES):
        drawn, single = random.standard_normal((MORE**attempt * (n + r), r)), [] if attempt else given
        if n <= PRICED:
            fine += along(setting, np.vstack([drawn, *given]))
            if not fine:  # long neurons among the drawn ones may cost digits
                fine += chain.from_iterable(along(setting, directions) for directions in single)
        else:
            for directions in [*single, drawn]:
                if not fine or monotonic() <= end:
                    fine += rescaled(setting, _solved(setting, directions))
        if fine:
            break
    return fine


def _towards(setting: Setting) -> Array:
    """Neurons towards each sample, (n, r), with a bias that leaves the other samples out if one does."""
    u = setting.coordinates.u
    if setting.architecture == "no-bias":
        return u
    products = u @ u.T
    own = np.diag(products).copy()
    np.fill_diagonal(products, -np.inf)
    nearest = products.max(axis=1, initial=-np.inf)
    between = np.where(nearest < own, (np.maximum(nearest, -own) + own) / 2, 0.0)
    return u - between[:, None] * _ones(u)


def _ones(u: Array) -> Array:
    """The neuron, (r,), that is 1 at all points, where there is a bias."""
    return np.linalg.lstsq(u, np.ones(len(u)), rcond=None)[0]


def _in_a_row(setting: Setting, directions: Array) -> Sequence[Array]:
    """For each of the directions, (K, r), as many neurons as samples: kinks lie between neighbours along it. None without a bias."""
    u = setting.coordinates.u
    if setting.architecture == "no-bias":
        return []
    row = np.sort(u @ directions.T, axis=0)
    between = np.concatenate([2 * row[:1] - row[-1:], (row[1:] + row[:-1]) / 2]).T
    ones = _ones(u)
    return [direction - at[:, None] * ones for direction, at in zip(directions, between, strict=True)]


def _columns(setting: Setting, directions: Array) -> Columns:
    """Neurons along directions that no sample is on the kink of, with output sign 1."""
    u = setting.coordinates.u
    z = directions @ u.T
    live = u.any(axis=1)
    clear = (np.abs(z[:, live]) > ON_KINK * np.linalg.norm(directions, axis=1)[:, None]).all(axis=1)
    length = np.linalg.norm(np.maximum(z, 0), axis=1)
    kept = clear & (length > 0)
    signs = np.where(z[kept] > 0, 1, -1).astype(np.int8)
    priced = prices(setting.architecture, setting.points, signs)
    return Columns(signs, np.ones(len(signs)), directions[kept] / length[kept, None], priced)


def along(setting: Setting, directions: Array) -> list[Network]:
    """The cheapest network along some of given directions, (K, r) in the setting's coordinates; none if none interpolates."""
    one = _columns(setting, directions)
    both = one + Columns(one.signs, -one.sides, one.v, one.prices)
    outputs, y = both.outputs(setting.coordinates.u), setting.y / setting.top
    weights = vertex(outputs, both.prices, y)
    if weights is None:
        return []
    used = np.flatnonzero(weights > 0)
    left = y - outputs[:, used] @ weights[used]  # what the linear program leaves
    weights = weights[used] + np.linalg.lstsq(outputs[:, used], left, rcond=1e-12)[0]
    return list(rescaled(setting, _of(setting, both.take(used), weights)))


def _solved(setting: Setting, directions: Array) -> Sequence[Network]:
    """The network of as many neurons as samples, along the first of the directions."""
    some = _columns(setting, directions)
    n = len(setting.y)
    if len(some.sides) < n:
        return []
    some = some.take(np.arange(n))
    outputs, y = some.outputs(setting.coordinates.u), setting.y / setting.top
    with warnings.catch_warnings():  # a singular matrix gives weights that do not interpolate, which is seen later
        warnings.simplefilter("ignore", LinAlgWarning)
        factors = lu_factor(outputs, check_finite=False)
        weights = lu_solve(factors, y, check_finite=False)
        return _of(setting, some, weights + lu_solve(factors, y - outputs @ weights, check_finite=False))


def _of(setting: Setting, columns: Columns, weights: Array) -> Sequence[Network]:
    """The network of columns with weights of either sign; none where they are no numbers."""
    used = np.flatnonzero(weights)
    if not len(used) or not np.isfinite(weights).all():
        return []
    chosen = columns.take(used)
    sides = chosen.sides * np.sign(weights[used])
    try:
        return [built(setting, Columns(chosen.signs, sides, chosen.v, chosen.prices), np.abs(weights[used]) * setting.top, {})]
    except NotRealized:
        return []
