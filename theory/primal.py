"""Owns networks made of given neurons: exact interpolation, at most n neurons, no sample on a kink.

A flattest network is a point of a polyhedron, {alpha >= 0 : sum_k alpha_k side_k D_k U v_k = y} over binding neurons k, so some
vertex of it has at most n neurons (Caratheodory), of either sign together. Neurons on the boundary of their cell are moved into
it by a relative amount of STEPS, which raises the trace by that order; the weights then are solved for again.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from scipy.optimize import linprog

from theory.architectures import Architecture, Network, forward
from theory.columns import Array, Columns, Coordinates, NotRealized, Signs

STEPS = (1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5)
SIM_BN_SCALE = 1e6  # s_j in a Sim-BN network, in sizes of the inputs: the trace exceeds its infimum by the inverse square


def vertex(outputs: Array, prices: Array, y: Array, tolerance: float = 0.0) -> Array | None:
    """The cheapest alpha >= 0 with |outputs @ alpha - y| <= tolerance, a basic solution, (K,); None if there is none."""
    if not len(prices):
        return None
    if tolerance == 0:
        found = linprog(prices, A_eq=outputs, b_eq=y, method="highs-ds")
    else:
        rows, bounds = np.vstack([outputs, -outputs]), np.concatenate([y + tolerance, tolerance - y])
        found = linprog(prices, A_ub=rows, b_ub=bounds, method="highs-ds")
    return found.x if found.status == 0 else None


def network_of(
    architecture: Architecture,
    coordinates: Coordinates,
    y: Array,
    neurons: Columns,
    rays: Columns,
    flats: Mapping[bytes, Array] | None = None,
) -> Network:
    """An interpolating network at a vertex of the polyhedron of `neurons`.

    Args: neurons: columns in the closure of their cells. rays: columns strictly inside their cells, one for every pattern and sign.
    flats: for signs of faces that are no cells, a whole-number basis (p, k) of their flat: neurons stay on it, exactly.
    Errors: NotRealized.
    """
    u, top, flats = coordinates.u, float(np.abs(y).max()), flats or {}
    for tolerance in (0.0, 1e-8, 1e-6):
        alpha = vertex(neurons.outputs(u), neurons.prices, y / top, tolerance)
        if alpha is not None:
            break
    else:
        raise NotRealized("the cone program was not solved well enough to interpolate: points are too nearly dependent")
    used = alpha > 1e-12 * alpha.max()
    neurons, settled = neurons.take(used), []
    for signs, v in zip(neurons.signs, neurons.v, strict=True):
        flat = flats.get(signs.tobytes())
        settled.append(settle(u, signs, v) if flat is None else settle_on(coordinates, signs, v, flat))
    base, inward = (np.array([pair[k] for pair in settled]).reshape(neurons.v.shape) for k in (0, 1))
    return realize(architecture, coordinates, y, replace(neurons, v=base), inward, alpha[used] * top, rays, flats)


def realize(
    architecture: Architecture,
    coordinates: Coordinates,
    y: Array,
    neurons: Columns,
    inward: Array,
    alpha: Array,
    rays: Columns,
    flats: Mapping[bytes, Array],
    fewest: bool = True,
) -> Network:
    """The network sum_k alpha_k side_k relu(v_k . u), moved off the kinks along `inward` by as little as double precision allows,
    with as little as possible of `rays` to make up for the move. Unless `fewest`, neurons that are dependent on the samples are kept.
    """
    u, top = coordinates.u, float(np.abs(y).max())
    for step in STEPS:
        moved = normalized(u, replace(neurons, v=neurons.v + step * inward))
        if not flats and not _inside(coordinates, moved):
            continue
        columns, weights = corrected(u, moved, alpha / top, rays, y / top, fewest)
        network = _network(architecture, coordinates, y, columns, weights * top, flats)
        x = coordinates.points[:, : network.w1.shape[1]]
        active = coordinates.points @ network.weights.T > 0
        if ((columns.signs > 0) == active.T).all() and np.abs(forward(network, x) - y).max() <= 1e-9 * top:
            return network
    raise NotRealized(
        "double precision cannot hold the flattest network on its kinks: expected points in few decimals, best whole numbers"
        if flats
        else "double precision cannot leave the kinks that the flattest network lies on: points are too nearly dependent"
    )


def corrected(u: Array, columns: Columns, alpha: Array, rays: Columns, y: Array, fewest: bool) -> tuple[Columns, Array]:
    """Columns and weights > 0 that interpolate to rounding: what is missing is made of rays, as cheaply as they can."""
    for _ in range(2):  # the linear program is exact to 1e-9 of what it is asked for
        missing = y - columns.outputs(u) @ alpha
        size = float(np.abs(missing).max())
        if size < 1e-14:
            break
        extra = vertex(rays.outputs(u), rays.prices, missing / size)
        if extra is None:
            break
        used = extra > 0
        columns, alpha = columns + rays.take(used), np.concatenate([alpha, size * extra[used]])
        if fewest:
            columns, alpha = reduced(u, columns, alpha)
    return columns, alpha


def reduced(u: Array, columns: Columns, alpha: Array) -> tuple[Columns, Array]:
    """The same outputs from linearly independent columns at no higher price (Caratheodory)."""
    while True:
        outputs = columns.outputs(u)
        _, s, vt = np.linalg.svd(outputs)
        rank = int(np.sum(s > 1e-11 * s[0]))
        if rank == len(alpha):
            return columns, alpha
        null = vt[-1]
        null = -null if columns.prices @ null > 0 else null  # the price falls along it
        if not (null < 0).any():
            null = -null  # no price at all, by rounding
        step = np.min(np.where(null < 0, -alpha / np.where(null < 0, null, -1), np.inf))
        alpha = alpha + step * null
        kept = alpha > 1e-18 * alpha.max()
        kept[np.argmin(alpha)] = False
        columns, alpha = columns.take(kept), alpha[kept]


def normalized(u: Array, columns: Columns) -> Columns:
    """The same neurons with ||D U v|| = 1."""
    length = np.linalg.norm((columns.signs > 0) * (columns.v @ u.T), axis=1)
    return replace(columns, v=columns.v / length[:, None])


def settle(u: Array, signs: Signs, v: Array) -> tuple[Array, Array]:
    """A neuron with the same activations on D, as far inside its cell as they allow, and a direction into the cell's interior.

    Args: u (n, r); signs (n,); v (r,) with S_i u_i . v >= 0 up to rounding. Returns: two neurons (r,).
    """
    live = np.linalg.norm(u, axis=1) > 0
    unit = (signs[:, None] * u)[live] / np.linalg.norm(u[live], axis=1)[:, None]
    if (unit @ v).min() > 1e-3 * np.abs(unit @ v).max():
        return v, np.zeros_like(v)
    on = (signs > 0)[:, None] * u
    tight = unit[np.abs(unit @ v) < 1e-6 * np.abs(unit @ v).max()]
    v = v - np.linalg.lstsq(tight, tight @ v, rcond=1e-6)[0]  # onto the kinks that it is on up to the solver's accuracy
    _, s, vt = np.linalg.svd(on, full_matrices=True)
    free = vt[int(np.sum(s > 1e-9)) :].T
    off = unit[signs[live] <= 0]
    if free.shape[1] and len(off):
        v = v + free @ deepest(off @ free, off @ v)
    return v, deepest(unit, np.zeros(len(unit)))


def settle_on(coordinates: Coordinates, signs: Signs, v: Array, flat: Array) -> tuple[Array, Array]:
    """The same on a flat (p, k) of the arrangement: the points that vanish on it stay on the kink."""
    frame = np.linalg.qr(coordinates.neurons(flat.T).T)[0]
    rows = coordinates.u @ frame
    rows[np.linalg.norm(rows, axis=1) < 1e-9 * np.linalg.norm(coordinates.u, axis=1)] = 0
    z, inward = settle(rows, signs, frame.T @ v)
    return frame @ z, frame @ inward


def deep_enough(u: Array, signs: Signs, v: Array) -> bool:
    """Whether some neuron with the activations of v on D is inside its cell."""
    live = np.linalg.norm(u, axis=1) > 0
    z = signs * (settle(u, signs, v)[0] @ u.T)
    return bool((z[live] / np.linalg.norm(u[live], axis=1)).min() > 1e-7 * np.abs(z).max())


def deepest(rows: Array, offset: Array) -> Array:
    """z in a box around 0 with the largest smallest entry of rows @ z + offset, that entry capped at 1, (r,)."""
    columns = rows.shape[1]
    reach = 10 * max(1.0, float(np.abs(offset).max()))
    found = linprog(
        np.append(np.zeros(columns), -1.0),
        A_ub=np.hstack([-rows, np.ones((len(rows), 1))]),
        b_ub=offset,
        bounds=[*[(-reach, reach)] * columns, (None, 1.0)],
        method="highs",
    )
    if found.x is None:  # it always has a solution: z = 0
        raise NotRealized(f"a linear program was not solved: {found.message}")
    return found.x[:-1]


def _inside(coordinates: Coordinates, columns: Columns) -> bool:
    """Whether every neuron, as weights in the space of the inputs, is active where it should be and nowhere else."""
    z = (columns.v @ coordinates.basis.T) @ coordinates.points.T
    return bool(((z > 0) == (columns.signs > 0)).all())


def _network(
    architecture: Architecture, coordinates: Coordinates, y: Array, columns: Columns, weights: Array, flats: Mapping[bytes, Array]
) -> Network:
    """The network with sum_k weights_k side_k relu(v_k . u), each neuron split between the layers so that it is flattest."""
    points = coordinates.points
    w = columns.v @ coordinates.basis.T
    length = np.linalg.norm((columns.signs > 0) * (w @ points.T), axis=1)
    if architecture == "sim-bn":
        scale = SIM_BN_SCALE * np.abs(points).max() * np.sqrt(len(points)) / length
    else:  # a^2 t = ||D X w||^2, the product a w given
        t = (columns.signs > 0) @ np.sum(points**2, axis=1)
        a = np.sqrt(weights * length / np.sqrt(t))
        scale = weights / a
    w = w * scale[:, None]
    for k, signs in enumerate(columns.signs):
        if (flat := flats.get(signs.tobytes())) is not None:
            w[k] = _on_flat(flat, w[k], points)
    sides = columns.sides
    if flats and architecture != "sim-bn":  # make up for the rounding of the first layer
        active = np.maximum(points @ w.T, 0)
        a = np.abs(sides * a + np.linalg.lstsq(active, y - active @ (sides * a), rcond=1e-9)[0])
    if architecture == "sim-bn":
        root = np.sqrt(weights * length / np.sqrt(len(points)))
        return Network(w1=w[:, :-1], b1=w[:, -1], w2=sides * root, gamma=root, architecture=architecture)
    if architecture == "bias":
        return Network(w1=w[:, :-1], b1=w[:, -1], w2=sides * a, architecture=architecture)
    return Network(w1=w, w2=sides * a)


def _on_flat(flat: Array, w: Array, points: Array) -> Array:
    """w moved onto the flat, in few enough bits that its products with the points that vanish there are exactly 0 (if they can be)."""
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
