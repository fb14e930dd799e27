"""Owns networks made of given neurons: exact interpolation, at most n neurons, no sample on a kink.

A flattest network is a point of a polyhedron, {alpha >= 0 : sum_k alpha_k side_k D_k U v_k = y} over binding neurons k, so some
vertex of it has at most n neurons (Caratheodory), of either sign together. Neurons on the boundary of their cell are moved into
it by a relative amount of STEPS, which raises the trace by that order; the weights then are solved for again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from time import monotonic

import numpy as np
from scipy.linalg import lstsq, qr, solve_triangular

from flatproof.theory.flatness.linear_programs import vertex
from flatproof.theory.flatness.neurons import Array, Columns, Coordinates, NotRealized, OutOfTime
from flatproof.theory.flatness.projection import project_linear
from flatproof.theory.flatness.setting import Setting
from flatproof.theory.flatness.settle import MANY, by_signs, insides, settle
from flatproof.theory.networks import Network, forward, trace_of_hessian

GOOD, GOOD_OF_MANY = 1e-7, 1e-4  # relative gaps at which no better network is looked for
HEAVIEST = 4  # times as many neurons as samples are reduced to as many: of more that takes minutes
ENTRIES = 2_000_000  # of the system of least squares by which neurons are adjusted; larger ones take seconds
FAINT = 1e-8  # weight, relative to the largest, from which a neuron is taken for one of these: together they make up labels
POOR = 1e-3  # gap from which neurons are tried that interpolate less well
FITTED, NEARLY = (0.0, 1e-8, 1e-6), (1e-5, 1e-4, 1e-3)  # what weights may miss of labels of size 1 before they are corrected
DEAR = 1e-8  # of a network's price that corrections may cost before the cheapest are looked for
STEPS = (1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5)
EPS = float(np.finfo(float).eps)
ROUNDED = 4  # times EPS of its terms that an output may be rounded: weights, two products and a sum of hundreds are
AGAIN = 40  # times that weights are solved for again where rounding alone is left, each with other roundings
SIM_BN_SCALE = 1e6  # s_j in a Sim-BN network, in sizes of the inputs: the trace exceeds its infimum by the inverse square


def network_of(
    setting: Setting,
    choices: Sequence[Columns],
    rays: Columns,
    flats: Mapping[bytes, Array],
    bound: float,
    weights: Array | None = None,
    end: float = np.inf,
) -> Network:
    """An interpolating network at, or next to, a vertex of the polyhedron of given neurons: the cheapest that can be realized.

    Args:
        setting: the problem.
        choices: columns in the closure of their cells.
        rays: columns strictly inside their cells, one for every pattern and sign.
        flats: for signs of faces that are no cells, a whole-number basis (p, k) of their flat: neurons stay on it, exactly.
        bound: no choice is tried after a network whose trace is at most this, up to GOOD.
        weights: with which the last choice nearly interpolates labels of size 1: of many samples what is tried first, of few last.
        end: the time (of `monotonic`) after which nothing more is tried.

    Returns:
        The network.

    Raises:
        NotRealized: if double precision holds none.
        OutOfTime: if there is none when the time is up.
    """
    u, y, top = setting.coordinates.u, setting.y, setting.top
    realized: list[Network] = []

    def trace(network: Network) -> float:
        return trace_of_hessian(network, setting.x)

    failed = NotRealized("the cone program was not solved well enough to interpolate: points are too nearly dependent")
    alpha: Array | None
    tries = [(FITTED, neurons) for neurons in choices]
    if len(y) <= MANY:
        tries += [(NEARLY, neurons) for neurons in choices]
    for tolerances, neurons in tries:
        if tolerances is NEARLY and realized and min(map(trace, realized)) <= bound * (1 + POOR):
            break
        for tolerance in tolerances:
            if weights is not None and len(y) > MANY and neurons is choices[0]:
                neurons, alpha = _fewer(u, choices[-1], weights)
                break
            alpha = vertex(neurons.outputs(u), neurons.prices, y / top, tolerance)
            if alpha is not None:
                break
        else:
            continue
        used = alpha > 1e-12 * alpha.max()
        try:
            realized.append(realize(setting, neurons.take(used), alpha[used] * top, rays, flats, end))
        except NotRealized as error:
            failed = error
            if tolerances is NEARLY:
                break
        except OutOfTime:
            if not realized:
                raise
            break
        else:
            if trace(realized[-1]) <= bound * (1 + (GOOD if len(y) <= MANY else GOOD_OF_MANY)):
                break
    if len(y) <= MANY and weights is not None and not flats and min(map(trace, realized), default=np.inf) > bound * (1 + GOOD):
        adjusted = _adjusted(setting, *_fewer(u, choices[-1], weights), rays, end)
        realized += [adjusted] if adjusted is not None else []
    if not realized:
        raise failed
    return min(realized, key=trace)


def _fewer(u: Array, neurons: Columns, weights: Array) -> tuple[Columns, Array]:
    """No more neurons than samples, made of the HEAVIEST, of many samples without those that are FAINT, and their weights."""
    long = np.argsort(-weights, kind="stable")[: HEAVIEST * len(u)]
    if len(u) > MANY:
        long = long[weights[long] > FAINT * weights[long[0]]]
    return reduced(u, neurons.take(long), weights[long])


def realize(
    setting: Setting, neurons: Columns, alpha: Array, rays: Columns, flats: Mapping[bytes, Array], end: float = np.inf
) -> Network:
    """The network sum_k alpha_k side_k relu(v_k . u), moved off the kinks by as little as double precision allows.

    What the move changes is made up for by neurons inside the same cells, and `rays`, as cheaply as they can.

    Args:
        setting: the problem.
        neurons: in use, (K,) of them.
        alpha: their weights, (K,), positive.
        rays: columns strictly inside their cells, one for every pattern and sign.
        flats, end: as in `network_of`.

    Returns:
        The network.

    Raises:
        NotRealized: if double precision holds none.
        OutOfTime: if the time is up before.
    """
    coordinates, y, top = setting.coordinates, setting.y, setting.top
    u = coordinates.u
    if len(y) > MANY and not flats and (adjusted := _adjusted(setting, neurons, alpha / top, rays, end)) is not None:
        return adjusted
    inside = insides(u, rays)
    base, inward, spares = [], [], []
    for k, (signs, v) in enumerate(zip(neurons.signs, neurons.v, strict=True)):
        flat = flats.get(signs.tobytes())
        frame = np.eye(u.shape[1]) if flat is None else np.linalg.qr(coordinates.neurons(flat.T).T)[0]
        settled, inner = settle(u, signs, v, frame, inside.get(signs.tobytes()))
        base.append(settled)
        inward.append(inner)
        spares.append(_around(u, neurons.take(np.array([k])), inner if inner.any() else settled, frame))
    ways = [(np.array(base), np.array(inward))]
    if not flats:
        ways.append(_cautious(u, neurons, rays))
    rounded = 0  # networks that miss the labels by no more than their outputs are rounded
    for spare in _spares(u, rays, spares, flats):
        for (start, direction), step in product(ways, STEPS):
            if monotonic() > end:
                raise OutOfTime("the network was not made in the time that there was")
            moved = normalized(u, replace(neurons, v=start + step * direction))
            if not flats and not _inside(coordinates, moved):
                continue
            columns, weights = corrected(u, moved, alpha / top, spare, y / top)
            network, by_rounding = _interpolating(setting, columns, weights, flats)
            if network is not None:
                return network
            rounded += by_rounding
            if rounded == len(ways) * len(STEPS):
                raise NotRealized(
                    "double precision rounds the outputs of the flattest network too far: points are too nearly dependent"
                )
    raise NotRealized(
        "double precision cannot hold the flattest network on its kinks: expected points in few decimals, best whole numbers"
        if flats
        else "double precision cannot leave the kinks that the flattest network lies on: points are too nearly dependent"
    )


def _adjusted(setting: Setting, neurons: Columns, alpha: Array, rays: Columns, end: float) -> Network | None:
    """The same neurons, moved into their cells and changed so that they interpolate: affine-scaling steps. None where they lead out.

    The network is linear in z_k = alpha_k v_k, and z_k + R_k^-1 e is inside the cell for |e| < 1 where R_k' R_k is the Hessian of the
    logarithmic barrier of its walls: what is missing is a problem of least squares, whose solution of least norm changes prices little.
    """
    u, y = setting.coordinates.u, setting.y / setting.top
    if len(y) * neurons.v.size > ENTRIES:
        return None
    inside = by_signs(rays)
    inward = np.array([inside.get(signs.tobytes(), np.zeros(u.shape[1])) for signs in neurons.signs])
    live, on = u.any(axis=1), neurons.sides[:, None] * (neurons.signs > 0)
    for step in STEPS:
        if monotonic() > end:
            break
        z = alpha[:, None] * (neurons.v + step * inward)
        room = (neurons.signs * (z @ u.T))[:, live]
        if room.min() <= 0:
            continue
        try:
            free = np.linalg.inv(np.linalg.qr(u[live] / room[:, :, None], mode="r"))
        except np.linalg.LinAlgError:  # of a neuron too short for its walls to be told from each other
            continue
        rows = (on[:, :, None] * (u @ free)).transpose(1, 0, 2).reshape(len(y), -1)
        for _ in range(2):
            missing = y - np.sum(on * (z @ u.T), axis=0)
            change = lstsq(rows, missing, cond=1e-13, lapack_driver="gelsy", check_finite=False)[0]
            z = z + (free @ change.reshape(len(z), -1, 1))[:, :, 0]
        weights = np.linalg.norm((neurons.signs > 0) * (z @ u.T), axis=1)
        network, _ = _interpolating(setting, normalized(u, replace(neurons, v=z)), weights, {})
        if network is not None:
            return network
    return None


def _interpolating(
    setting: Setting, columns: Columns, weights: Array, flats: Mapping[bytes, Array]
) -> tuple[Network | None, bool]:
    """The network of columns and weights of labels of size 1, if it interpolates to the rounding of its outputs; and if it does not,
    whether rounding alone may be to blame."""
    points, y, top = setting.coordinates.points, setting.y, setting.top
    by_rounding = False
    for _ in range(AGAIN):
        network = built(setting, columns, weights * top, flats)
        if not ((columns.signs > 0) == (points @ network.weights.T > 0).T).all():
            break
        missing = y - forward(network, setting.x)
        terms = np.abs(points) @ np.abs(network.weights).T @ np.abs(network.w2)
        rounding, error = EPS * float(terms.max()), float(np.abs(missing).max())
        if error <= max(1e-9 * top, min(1e-8 * top, rounding)):
            return network, False
        by_rounding = error <= ROUNDED * rounding and setting.architecture != "sim-bn"  # whose terms are divided by statistics
        if not by_rounding or error > 1e-8 * top:
            break
        weights = weights + np.linalg.lstsq(columns.outputs(setting.coordinates.u), missing / top, rcond=1e-13)[0]
        if weights.min() <= 0:
            break
    return None, by_rounding


def _cautious(u: Array, neurons: Columns, rays: Columns) -> tuple[Array, Array]:
    """Neurons moved to the nearest in the closures of their cells, and the cells' rays as directions inward, (K, r) each.

    For thin cells, where what looks like a kink up to the solver's accuracy is none.
    """
    inner = by_signs(rays)
    identity = np.tile(np.eye(u.shape[1]), (len(neurons.v), 1, 1))
    start = project_linear(u, neurons.signs, neurons.v, identity, np.zeros(len(neurons.v), bool))[0]
    direction = np.array([inner.get(signs.tobytes(), np.zeros(u.shape[1])) for signs in neurons.signs])
    return start, direction * np.linalg.norm(start, axis=1, keepdims=True)


def _spares(u: Array, rays: Columns, near: Sequence[Columns], flats: Mapping[bytes, Array]) -> Iterator[Columns]:
    """What corrections are made of: neurons in the cells in use; if these do not do, a ray in each cell too, and neurons all over it.

    One ray a cell need not span what networks can do: symmetric data make rays dependent.
    """
    yield Columns.joined(near)
    yield Columns.joined([rays, *near])
    cells = rays.take(rays.sides > 0)
    for most in (100, 2000):
        every = [cells.take(np.array([k])) for k in range(min(len(cells.sides), most))]
        more = [_around(u, neuron, neuron.v[0], np.eye(u.shape[1])) for neuron in every if neuron.signs[0].tobytes() not in flats]
        yield Columns.joined([rays, *near, *more])
        if len(cells.sides) <= most:
            break


def _around(u: Array, neuron: Columns, center: Array, frame: Array) -> Columns:
    """Neurons of either sign inside the cell (or face, in its frame (r, k)) of one neuron: its center and k more, which span it."""
    live = np.linalg.norm(u @ frame, axis=1) > 1e-9 * np.linalg.norm(u, axis=1).max()
    reach = 0.5 * float((np.abs(u[live] @ center) / np.linalg.norm(u[live], axis=1)).min())
    v = np.vstack([center, center + reach * frame.T])
    count = len(v)
    copies = neuron.take(np.zeros(2 * count, int))
    return normalized(u, replace(copies, v=np.vstack([v, v]), sides=np.repeat([1.0, -1.0], count)))


def corrected(u: Array, columns: Columns, alpha: Array, rays: Columns, y: Array) -> tuple[Columns, Array]:
    """Columns and weights > 0 that interpolate to rounding: what is missing is made of rays, as cheaply as they can.

    Args:
        u: points, (n, r).
        columns: the neurons, K of them.
        alpha: their weights, (K,).
        rays: what corrections are made of.
        y: labels, (n,), of size 1.

    Returns:
        Columns and their weights.
    """
    for _ in range(2):  # the linear program is exact to 1e-9 of what it is asked for
        missing = y - columns.outputs(u) @ alpha
        size = float(np.abs(missing).max())
        if size < 1e-14:
            break
        extra = _combined(u, rays, missing / size)
        if extra is None or (len(y) <= MANY and size * float(extra @ rays.prices) > DEAR * float(alpha @ columns.prices)):
            extra = vertex(
                rays.outputs(u), rays.prices, missing / size, tolerance=1e-14 / size
            )  # what is missing is rounded, too
        if extra is None:
            break
        used = extra > 0
        columns, alpha = columns + rays.take(used), np.concatenate([alpha, size * extra[used]])
        columns, alpha = reduced(u, columns, alpha)
    return columns, alpha


def _combined(u: Array, rays: Columns, y: Array) -> Array | None:
    """Weights >= 0 of columns, each of which is there with both signs, that add up to y; few, not the cheapest; None if there are none."""
    up = np.flatnonzero(rays.sides > 0)
    outputs = rays.take(up).outputs(u)
    orthogonal, triangle, order = qr(outputs, mode="economic", pivoting=True, check_finite=False)
    size = np.abs(np.diag(triangle))
    rank = int(np.sum(size > 1e-10 * size[0]))
    weights = solve_triangular(triangle[:rank, :rank], orthogonal[:, :rank].T @ y, check_finite=False)
    chosen = up[order[:rank]]
    if np.abs(outputs[:, order[:rank]] @ weights - y).max() > 1e-7:
        return None
    down = {(rays.signs[k].tobytes(), rays.v[k].tobytes()): k for k in np.flatnonzero(rays.sides < 0).tolist()}
    out = np.zeros(len(rays.sides))
    for k, weight in zip(chosen.tolist(), weights.tolist(), strict=True):
        out[k if weight > 0 else down[rays.signs[k].tobytes(), rays.v[k].tobytes()]] += abs(weight)
    return out


def reduced(u: Array, columns: Columns, alpha: Array) -> tuple[Columns, Array]:
    """The same outputs from linearly independent columns at no higher price (Caratheodory).

    Args:
        u: points, (n, r).
        columns: the neurons, K of them.
        alpha: their weights, (K,), positive.

    Returns:
        Those kept, and their weights.
    """
    _, s, vt = np.linalg.svd(columns.outputs(u))
    null = vt[int(np.sum(s > 1e-13 * s[0])) :]  # nearly dependent columns may differ by the smallest of STEPS on purpose
    kept = np.ones(len(alpha), bool)
    while len(null):
        along = -(null @ columns.prices) @ null  # the price falls along it
        if not (along < -1e-12 * np.abs(null).max()).any():
            along = null[0] if (null[0] < 0).any() else -null[0]  # no price at all, by rounding
        if not (along < 0).any():
            break
        with np.errstate(divide="ignore", invalid="ignore"):
            reach = np.where(along < 0, -alpha / along, np.inf)
        alpha = np.where(kept, np.maximum(alpha + reach.min() * along, 0), 0)
        gone = kept & (alpha <= 1e-18 * alpha.max())
        gone[np.argmin(reach)] = True
        before = len(null)
        for k in np.flatnonzero(gone):
            null = _without(null, int(k))
        null = null[int(len(null) == before) :]  # rounding alone leads there: one direction fewer
        kept &= ~gone
    return columns.take(kept), alpha[kept]


def _without(rows: Array, k: int) -> Array:
    """An orthonormal basis (m - 1, K) of those vectors in the span of orthonormal rows (m, K) whose entry k is 0."""
    entry = rows[:, k].copy()
    if not len(rows) or np.abs(entry).max() <= 1e-14:
        rows[:, k] = 0
        return rows
    entry[0] += np.copysign(np.linalg.norm(entry), entry[0])
    rest = rows[1:] - 2 / (entry @ entry) * np.outer(entry[1:], entry @ rows)
    rest[:, k] = 0
    return rest


def normalized(u: Array, columns: Columns) -> Columns:
    """The same neurons with ||D U v|| = 1."""
    length = np.linalg.norm((columns.signs > 0) * (columns.v @ u.T), axis=1)
    return replace(columns, v=columns.v / length[:, None])


def _inside(coordinates: Coordinates, columns: Columns) -> bool:
    """Whether every neuron, as weights in the space of the inputs, is active where it should be and nowhere else."""
    z = (columns.v @ coordinates.basis.T) @ coordinates.points.T
    return bool(((z > 0) == (columns.signs > 0)).all())


def built(setting: Setting, columns: Columns, weights: Array, flats: Mapping[bytes, Array]) -> Network:
    """The network with sum_k weights_k side_k relu(v_k . u), each neuron split between the layers so that it is flattest.

    Args:
        setting: the problem.
        columns: the neurons, K of them.
        weights: of these, (K,), positive.
        flats: as in `network_of`.
    """
    architecture, points = setting.architecture, setting.points
    w = columns.v @ setting.coordinates.basis.T
    length = np.linalg.norm((columns.signs > 0) * (w @ points.T), axis=1)
    if architecture == "sim-bn":
        product = weights * length / np.sqrt(len(points))  # a_j gamma_j
        scale = SIM_BN_SCALE * np.abs(points).max() * np.maximum(1, np.sqrt(product)) * np.sqrt(len(points)) / length
    else:  # a^2 t = ||D X w||^2, the product a w given
        t = (columns.signs > 0) @ np.sum(points**2, axis=1)
        a = np.sqrt(weights * length / np.sqrt(t))
        scale = weights / a
    w = w * scale[:, None]
    for k, signs in enumerate(columns.signs):
        if (flat := flats.get(signs.tobytes())) is not None:
            w[k] = on_flat(flat, w[k], points)
    sides = columns.sides
    if flats and architecture != "sim-bn":  # make up for the rounding of the first layer
        active = np.maximum(points @ w.T, 0)
        a = np.abs(sides * a + np.linalg.lstsq(active, setting.y - active @ (sides * a), rcond=1e-9)[0])
    if architecture == "sim-bn":
        root = np.sqrt(product)
        return Network(w1=w[:, :-1], b1=w[:, -1], w2=sides * root, gamma=root, architecture=architecture)
    if architecture == "bias":
        return Network(w1=w[:, :-1], b1=w[:, -1], w2=sides * a, architecture=architecture)
    return Network(w1=w, w2=sides * a)


def rescaled(setting: Setting, networks: Sequence[Network]) -> Iterator[Network]:
    """Those of some networks that interpolate and have no sample on a kink (of the notion), each neuron rescaled to be flattest.

    Args:
        setting: the problem.
        networks: of its architecture.

    Yields:
        The networks.
    """
    points, labels = setting.points, setting.y
    for network in networks:
        z = points @ network.weights.T
        if setting.differentiable and (z[points.any(axis=1)] == 0).any():
            continue
        scaled = _balanced(network, points)
        if np.abs(forward(scaled, setting.x) - labels).max() <= 1e-9 * setting.top:
            yield scaled


def _balanced(network: Network, points: Array) -> Network:
    """The same function on the points with each neuron split between the layers so that it is flattest; its dead neurons are left out."""
    h = np.maximum(points @ network.weights.T, 0)
    length = np.linalg.norm(h, axis=0)
    alive = (length > 0) & (network.w2 != 0) & ((network.gamma if network.gamma is not None else network.w2) != 0)
    if not alive.any():
        return network
    h, length, w1, w2 = h[:, alive], length[alive], network.w1[alive], network.w2[alive]
    b1 = None if network.b1 is None else network.b1[alive]
    if network.gamma is not None and b1 is not None:
        root = np.sqrt(np.abs(w2 * network.gamma[alive]))
        scale = SIM_BN_SCALE * np.abs(points).max() * np.sqrt(len(points)) / length
        sign = np.sign(w2 * network.gamma[alive])
        return replace(network, w1=w1 * scale[:, None], b1=b1 * scale, w2=sign * root, gamma=root)
    # a^2 t = ||D X w||^2, the product a w given
    root = np.sqrt(np.sqrt((h > 0).T @ np.sum(points**2, axis=1)) * np.abs(w2) / length)
    return replace(network, w1=w1 * root[:, None], b1=None if b1 is None else b1 * root, w2=w2 / root)


def on_flat(flat: Array, w: Array, points: Array) -> Array:
    """A neuron moved onto a flat, in few enough bits that its products with the points that vanish there are exactly 0 (if they can be).

    Args:
        flat: a basis in whole numbers, (p, k).
        w: the neuron, (p,).
        points: (n, p).

    Returns:
        The neuron, (p,).
    """
    z = np.linalg.lstsq(flat, w, rcond=None)[0]
    bits = 50 - _bits(flat) - _bits(points) - int(np.ceil(np.log2(flat.size)))
    unit = 2.0 ** (np.ceil(np.log2(np.abs(z).max())) - float(np.clip(bits, 20, 40)))
    return flat @ (np.round(z / unit) * unit)


def _bits(numbers: Array) -> int:
    """How many bits the numbers take, written over one power of two; up to 53."""
    mantissa, exponent = np.frexp(numbers[numbers != 0])
    whole = (mantissa * 2.0**53).astype(np.int64)
    lowest = exponent - 53 + np.log2(whole & -whole).astype(int)
    return int(min(53, exponent.max() - lowest.min())) if len(whole) else 0
