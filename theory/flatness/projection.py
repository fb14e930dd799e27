"""Owns the projection onto the activations that one pattern can produce: the support function behind every dual bound.

For a cell with signs S and on-set D of the points x_i (rows of X) let K_D = {D X v : S_i x_i . v >= 0 for all i}, a cone. For a
target q the projection u = D X v of D q on K_D solves a quadratic program in v whose optimality conditions are

    X' D (D X v - q) = sum_i S_i mu_i x_i,   mu >= 0,   mu_i x_i . v = 0,

and its length is the largest value of q . u over unit vectors u of K_D (Moreau). A dual point lambda is feasible for the
pattern exactly if the projections of lambda and -lambda are no longer than the price c_D of a unit of activation.

The dual of the program is a non-negative least squares problem in mu with as many rows as X has columns: with G = X' D X = V E V'
and F = E^(-1/2) V', the length is min over mu >= 0 of |F (X' D q + sum_i S_i mu_i x_i)| (Lawson & Hanson 1974, NNLS). Where G
is singular, mu must not reach its null space: rows of F along it weigh WEIGHT times as much as the lightest (Van Loan 1985), which
underestimates the square of the length by about what these rows leave. Where that is more than LEFT, or a row of S X in use nearly
vanishes along the null space (THIN), as with points that nearly coincide, their part is made 0 by the method of multipliers
(Hestenes 1969); if it does not become so, the length that is returned is a bound from above, the positive part of q on D.
"""

import numpy as np
from numpy.typing import NDArray

from flatproof.theory.compiled import literal_kernel

Array = NDArray[np.floating]
WEIGHT = 1e5  # of rows of F along the null space of G, against the lightest row
WEAK = (
    1e-3,
    1e-13,
)  # singular values of D X, relative to the largest: below the first they are not taken from G, below the second 0
LEFT = 2e-5  # of a length, in the rows along the null space, that its penalty may leave; its square is what the length then lacks
HEAVIER = 10.0, 100.0  # times what they were, one after the other, are the rows that multipliers make 0
CORRECTIONS = 20
ZERO = 1e-10  # of the target, up to which a length is 0
CANCELLED = 2e-15  # that rounding leaves of what cancels in the heavy rows
NOISE = 2e-15  # that rounding takes from a length for each unit of weight of a weak row, and of length of a thin cell's neurons
THIN = 1e-13, 1e-3  # share of a used row of S X along the null space at which the cell is thin: its neurons are long
CHUNK = 10**7  # numbers in the matrices that are decomposed at a time


@literal_kernel
def _least_squares(b, target, passive, count, q, r, z):  # type: ignore[no-untyped-def]
    """z minimizes |b[:, passive[:count]] z - target|: Gram-Schmidt done twice, then back substitution. False if dependent."""
    rows = b.shape[0]
    for k in range(count):
        for i in range(rows):
            q[i, k] = b[i, passive[k]]
        for j in range(k):
            r[j, k] = 0.0
        for _ in range(2):
            for j in range(k):
                s = 0.0
                for i in range(rows):
                    s += q[i, j] * q[i, k]
                r[j, k] += s
                for i in range(rows):
                    q[i, k] -= s * q[i, j]
        s = 0.0
        for i in range(rows):
            s += q[i, k] ** 2
        s = np.sqrt(s)
        if s < 1e-10:
            return False
        r[k, k] = s
        for i in range(rows):
            q[i, k] /= s
    for k in range(count - 1, -1, -1):
        s = 0.0
        for i in range(rows):
            s += q[i, k] * target[i]
        for j in range(k + 1, count):
            s -= r[k, j] * z[j]
        z[k] = s / r[k, k]
    return True


@literal_kernel
def nnls(b, target, mu, passive, q, r, z):  # type: ignore[no-untyped-def]
    """Non-negative least squares by Lawson & Hanson's active sets: mu >= 0 minimizing |b mu + target|.

    Args:
        b: (p, n), columns of length 1 or 0.
        target: (p,).
        mu: the solution, (n,), overwritten.
        passive, q, r, z: room for the passive columns, their QR factors and their coefficients, as `_workspace` makes it.

    Returns:
        The residual b mu + target, (p,).
    """
    rows, columns = b.shape
    residual = target.copy()
    blocked = np.zeros(columns, np.bool_)
    mu[:] = 0.0
    count = 0
    length = 0.0
    for i in range(rows):
        length += target[i] ** 2
    tolerance = 1e-12 * np.sqrt(length)
    for _ in range(6 * columns + 20):
        best, entering = tolerance, -1
        for k in range(columns):
            if mu[k] == 0.0 and not blocked[k]:
                s = 0.0
                for i in range(rows):
                    s -= b[i, k] * residual[i]
                if s > best:
                    best, entering = s, k
        if entering < 0 or count == rows:
            break
        passive[count] = entering
        if not _least_squares(b, -target, passive, count + 1, q, r, z) or z[count] <= 0.0:
            blocked[entering] = True
            continue
        count += 1
        while True:
            step, leaving = 1.0, -1
            for k in range(count):
                if z[k] <= 0.0:
                    until = mu[passive[k]] / (mu[passive[k]] - z[k])
                    if until < step:
                        step, leaving = until, k
            for k in range(count):
                mu[passive[k]] += step * (z[k] - mu[passive[k]])
            if leaving < 0:
                break
            kept = 0
            for k in range(count):
                if k != leaving and (z[k] > 0.0 or mu[passive[k]] > 1e-14 * best):  # rounding might keep the leaving one
                    passive[kept] = passive[k]
                    kept += 1
                else:
                    mu[passive[k]] = 0.0
            count = kept
            _least_squares(b, -target, passive, count, q, r, z)
        blocked[:] = False
        for i in range(rows):
            s = target[i]
            for k in range(count):
                s += b[i, passive[k]] * mu[passive[k]]
            residual[i] = s
    return residual


@literal_kernel
def _constrained(b, target, mu, scale, heavy, weakest, free, thin, work):  # type: ignore[no-untyped-def]
    """The length of `_shortest` with the heavy rows (p,) exactly 0, by the method of multipliers; overwrites b, target, mu and scale.

    Infinite if they do not become 0. mu stays as it was unless the cell is thin.
    """
    p, n = b.shape
    passive, q, r, z, before, multiplier = work
    heaviest, length, settled = max(WEIGHT, weakest), 0.0, False
    for i in range(n):
        before[i] = mu[i] / scale[i]
    multiplier[:] = 0.0
    for heavier in HEAVIER:  # light rows lose less to rounding, heavy ones need fewer corrections
        heaviest *= heavier
        more = heaviest / WEIGHT if heavier == HEAVIER[0] else heavier
        for k in range(p):
            if heavy[k] > 0.0:
                target[k] = (target[k] - multiplier[k]) * more
                multiplier[k] = 0.0
        for i in range(n):
            norm = 0.0
            for k in range(p):
                if heavy[k] > 0.0:
                    b[k, i] *= more
                norm += b[k, i] ** 2
            norm = np.sqrt(norm)
            if norm > 0.0:
                scale[i] *= norm
                for k in range(p):
                    b[k, i] /= norm
        for _ in range(CORRECTIONS):
            residual = nnls(b, target, mu, passive, q, r, z)
            left, length, rounding = 0.0, 0.0, heaviest * free
            for i in range(n):
                if mu[i] > 0.0:
                    across = 0.0
                    for k in range(p):
                        if heavy[k] <= 0.0:
                            across += b[k, i] ** 2
                    rounding += mu[i] * (1.0 + heaviest * np.sqrt(across))
            for k in range(p):
                if heavy[k] > 0.0:
                    left += (residual[k] - multiplier[k]) ** 2
                    target[k] += residual[k] - multiplier[k]
                    multiplier[k] = residual[k]
                else:
                    length += residual[k] ** 2
            settled = left <= (CANCELLED * rounding) ** 2
            if settled:
                break
        if settled:
            break
    for i in range(n):
        mu[i] = mu[i] / scale[i] if settled and thin else before[i]
    return np.sqrt(length) if settled else np.inf


@literal_kernel
def _shortest(x, signs, f, g, bound, mu, v, work):  # type: ignore[no-untyped-def]
    """The length of the projection for one pattern with the linear term g (p,), at most `bound`; overwrites mu (n,) and v (p,)."""
    n, p = x.shape
    passive, q, r, z, b, scale, target, heavy, before, multiplier = work
    for k in range(p):
        s = 0.0
        for j in range(p):
            s += f[k, j] * g[j]
        target[k] = s
    for i in range(n):
        norm = 0.0
        for k in range(p):
            s = 0.0
            for j in range(p):
                s += f[k, j] * x[i, j]
            b[k, i] = s * signs[i]
            norm += s * s
        norm = np.sqrt(norm)
        scale[i] = norm if norm > 0.0 and signs[i] != 0 else 1.0
        for k in range(p):
            b[k, i] /= scale[i]
    residual = nnls(b, target, mu, passive, q, r, z)
    length, left, lightest, free, weakest, thinnest = 0.0, 0.0, 0.0, 0.0, 1.0, 1.0
    for j in range(p):
        lightest += f[p - 1, j] ** 2
    for k in range(p):  # how heavy each row is against the lightest, positive along the null space
        norm = 0.0
        for j in range(p):
            norm += f[k, j] ** 2
        heavy[k] = np.sqrt(norm / lightest) if lightest > 0.0 else 0.0
        length += residual[k] ** 2
        free += target[k] ** 2
        if abs(heavy[k] - WEIGHT) < 1e-9 * WEIGHT:
            left += residual[k] ** 2
        else:
            weakest = max(weakest, heavy[k])
            heavy[k] = -heavy[k]
    thin = left > LEFT**2 * length
    for i in range(n):
        along, across = 0.0, 0.0
        for k in range(p):
            if heavy[k] > 0.0:
                along += b[k, i] ** 2
            else:
                across += b[k, i] ** 2
        if across * (THIN[0] * WEIGHT) ** 2 < along < across * (THIN[1] * WEIGHT) ** 2:
            thin = thin or mu[i] > 0.0
            thinnest = min(thinnest, np.sqrt(along / across) / WEIGHT)
    for j in range(p):
        s = 0.0
        for k in range(p):
            s += f[k, j] * residual[k]
        v[j] = s
    length, free = np.sqrt(length), np.sqrt(free)
    if thin and length > ZERO * free:
        exact = _constrained(b, target, mu, scale, heavy, weakest, free, thinnest < 1.0, (passive, q, r, z, before, multiplier))
        if min(exact, bound) < np.inf:
            length = min(exact + NOISE / thinnest * free, bound)
    else:
        for i in range(n):
            mu[i] /= scale[i]
    if weakest > 1 / WEAK[0]:
        length = min(length + NOISE * weakest * free, bound)
    return length


@literal_kernel
def _workspace(n, p):  # type: ignore[no-untyped-def]
    return (
        np.zeros(n + 1, np.int64),
        np.zeros((p, p + 1)),
        np.zeros((p + 1, p + 1)),
        np.zeros(n + 1),
        np.zeros((p, n)),
        np.zeros(n),
        np.zeros(p),
        np.zeros(p),
        np.zeros(n),
        np.zeros(p),
    )


@literal_kernel
def _project(x, signs, walls, factors, targets, enough, v, mu, length):  # type: ignore[no-untyped-def]
    patterns, n = signs.shape
    p, most_walls = x.shape[1], walls.shape[1]
    g, work, few = np.zeros(p), _workspace(n, p), _workspace(most_walls, p)
    rows, sides, part = np.zeros((most_walls, p)), np.zeros(most_walls, np.int8), np.zeros(most_walls)
    for m in range(patterns):
        most = 0.0
        for i in range(n):
            if signs[m, i] > 0 and targets[m, i] > 0.0:
                most += targets[m, i] ** 2
        if enough[m] >= 0.0 and most <= enough[m] ** 2:  # u >= 0 on D: the positive part of the target bounds the length
            length[m] = np.sqrt(most)
            continue
        g[:] = 0.0
        for i in range(n):
            if signs[m, i] > 0:
                for k in range(p):
                    g[k] += targets[m, i] * x[i, k]
        if most_walls == 0:
            length[m] = _shortest(x, signs[m], factors[m], g, np.sqrt(most), mu[m], v[m], work)
            continue
        for k in range(most_walls):
            i = walls[m, k]
            sides[k] = 0
            rows[k] = 0.0
            if i >= 0:
                for j in range(p):  # an assignment of arrays takes seconds to compile
                    rows[k, j] = x[i, j]
                sides[k] = signs[m, i]
        length[m] = _shortest(rows, sides, factors[m], g, np.sqrt(most), part, v[m], few)
        for k in range(most_walls):
            if walls[m, k] >= 0:
                mu[m, walls[m, k]] = part[k]


@literal_kernel
def _lengths(x, signs, walls, factors, dual, enough, length):  # type: ignore[no-untyped-def]
    patterns, n = signs.shape
    p, most_walls = x.shape[1], walls.shape[1]
    g, mu, v, work, few = np.zeros(p), np.zeros(n), np.zeros(p), _workspace(n, p), _workspace(most_walls, p)
    rows, sides, part = np.zeros((most_walls, p)), np.zeros(most_walls, np.int8), np.zeros(most_walls)
    for m in range(patterns):
        plus, minus = 0.0, 0.0
        g[:] = 0.0
        for i in range(n):
            on = dual[i] if signs[m, i] > 0 else 0.0
            plus += max(on, 0.0) ** 2
            minus += min(on, 0.0) ** 2
            for k in range(p):
                g[k] += on * x[i, k]
        free = 0.0
        for k in range(p):
            s = 0.0
            for j in range(p):
                s += factors[m, k, j] * g[j]
            free += s * s
        placed = False
        for side in range(2):
            most = min(plus if side == 0 else minus, free)
            if enough[m] >= 0.0 and most <= enough[m] ** 2:
                length[side, m] = np.sqrt(most)
                continue
            if side == 1:
                for k in range(p):
                    g[k] = -g[k]
            if most_walls == 0:
                length[side, m] = _shortest(x, signs[m], factors[m], g, np.sqrt(most), mu, v, work)
                continue
            if not placed:
                placed = True
                for k in range(most_walls):
                    i = walls[m, k]
                    sides[k] = signs[m, i] if i >= 0 else 0
                    for j in range(p):
                        rows[k, j] = x[i, j] if i >= 0 else 0.0
            length[side, m] = _shortest(rows, sides, factors[m], g, np.sqrt(most), part, v, few)


@literal_kernel
def _project_linear(x, signs, factors, gradients, skipped, v, mu, length):  # type: ignore[no-untyped-def]
    patterns, n = signs.shape
    work = _workspace(n, x.shape[1])
    for m in range(patterns):
        if not skipped[m]:
            length[m] = _shortest(x, signs[m], factors[m], gradients[m], np.inf, mu[m], v[m], work)


def factors(x: Array, signs: NDArray[np.int8]) -> Array:
    """F of every pattern: F' F is the inverse of X' D X, WEIGHT along its null space; zero for an empty on-set.

    Args:
        x: points, (n, p).
        signs: patterns, (M, n).

    Returns:
        F, (M, p, p).
    """
    on = signs > 0
    gram = np.einsum("mi,ik,il->mkl", on.astype(float), x, x, optimize=True)
    values, vectors = np.linalg.eigh(gram)
    largest = values[:, -1:]
    with np.errstate(divide="ignore"):
        root = np.where(largest > 0, 1 / np.sqrt(np.maximum(values, largest / WEIGHT**2)), 0.0)
    found = root[:, :, None] * vectors.transpose(0, 2, 1)
    near = np.flatnonzero((values[:, 0] < WEAK[0] ** 2 * largest[:, 0]) & (largest[:, 0] > 0))
    for some in np.array_split(near, 1 + len(near) * x.size // CHUNK):
        rows = np.concatenate([on[some, :, None] * x, np.zeros((len(some), max(0, x.shape[1] - len(x)), x.shape[1]))], axis=1)
        _, s, vt = np.linalg.svd(rows, full_matrices=False)
        share = s / s[:, :1]
        weak = ((share < WEAK[0]) & (share > WEAK[1])).any(axis=1)
        with np.errstate(divide="ignore"):
            root = np.where(share > WEAK[1], 1 / s, WEIGHT / s[:, :1])
        found[some[weak]] = (root[:, :, None] * vt)[weak, ::-1]
    return np.ascontiguousarray(found)


def project(
    x: Array,
    signs: NDArray[np.int8],
    targets: Array,
    *,
    enough: Array | None = None,
    factor: Array | None = None,
    walls: NDArray[np.int64] | None = None,
) -> tuple[Array, Array, Array]:
    """The projection of D q on K_D for each pattern.

    Args:
        x: points, (n, p).
        signs: patterns, (M, n).
        targets: q, (M, n).
        enough: (M,), optional: where a bound on the length, the positive part of q on D, is at most this, the bound is returned
            as the length, and v = mu = 0.
        factor: `factors(x, signs)` if already known.
        walls: the points that bound each cell, padded with -1, (M, most): mu is 0 elsewhere. All points, if there are none.

    Returns:
        v (M, p), multipliers mu (M, n) and lengths (M,).
    """
    patterns, n = signs.shape
    v, mu, length = np.zeros((patterns, x.shape[1])), np.zeros((patterns, n)), np.zeros(patterns)
    factor = factors(x, signs) if factor is None else factor
    enough = np.full(patterns, -1.0) if enough is None else enough
    bounding = np.zeros((patterns, 0), np.int64) if walls is None else np.ascontiguousarray(walls)
    contiguous = (np.ascontiguousarray(x), np.ascontiguousarray(signs), bounding, factor, np.ascontiguousarray(targets))
    _project(*contiguous, enough, v, mu, length)
    return v, mu, length


def lengths(
    x: Array, signs: NDArray[np.int8], dual: Array, enough: Array | None, factor: Array, walls: NDArray[np.int64] | None
) -> Array:
    """How long the projections of D q and -D q on K_D are, for one q and every pattern.

    Args:
        x: points, (n, p).
        signs: patterns, (M, n).
        dual: q, (n,).
        enough: (M,): where a bound (the positive part on D, or the projection on all D X v) is at most this, it is returned; None: nowhere.
        factor: `factors(x, signs)`.
        walls: as for `project`.

    Returns:
        The lengths of q and of -q, (2, M).
    """
    length = np.zeros((2, len(signs)))
    enough = np.full(len(signs), -1.0) if enough is None else enough
    bounding = np.zeros((len(signs), 0), np.int64) if walls is None else np.ascontiguousarray(walls)
    contiguous = (np.ascontiguousarray(x), np.ascontiguousarray(signs), bounding, factor, np.ascontiguousarray(dual))
    _lengths(*contiguous, enough, length)
    return length


def project_linear(
    x: Array, signs: NDArray[np.int8], gradients: Array, factor: Array, skipped: NDArray[np.bool_]
) -> tuple[Array, Array, Array]:
    """The largest value of g . v over {v : S_i x_i . v >= 0, ||D X v|| <= 1} for each pattern, by the same projection.

    With rows of x that constrain without being on D (their squares are left out of `factor`), signs may cut a cell in two.

    Args:
        x: rows of constraints, (n, p).
        signs: their signs, (M, n).
        gradients: g, (M, p).
        factor: `factors` of the on-sets D, (M, p, p).
        skipped: patterns to leave alone, (M,).

    Returns:
        v (M, p) with D X v the projection, multipliers mu (M, n) with X' D X v = g + sum_i S_i mu_i x_i, lengths (M,), which are the
        largest values; 0 where skipped.
    """
    patterns, n = signs.shape
    v, mu, length = np.zeros((patterns, x.shape[1])), np.zeros((patterns, n)), np.zeros(patterns)
    _project_linear(
        np.ascontiguousarray(x), np.ascontiguousarray(signs), factor, np.ascontiguousarray(gradients), skipped, v, mu, length
    )
    return v, mu, length
