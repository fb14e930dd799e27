"""Owns activation patterns: the sign vectors of the cells and faces of a central hyperplane arrangement, exactly.

The points x_1, .., x_n cut R^p by the hyperplanes x_i . w = 0. A face is a nonempty set {w : sign(x_i . w) = s_i for all i}, a cell one
of full dimension: s_i != 0 wherever x_i != 0. With a bias the points are (x, 1). A flat is an intersection of hyperplanes; the others
cut a flat F in their turn, and what they cut out are the faces of dimension dim F.

    Listing.   Let G be a flat that is a hyperplane of F. A face t of G is a wall of two faces (t, +) and (t, -) of F, which differ on the
               points that vanish on G but not on F. A pointed cone of dimension 2 or more has a wall, so these are all the faces of F;
               and it has two walls at least, so the sum of its walls' witnesses is a witness of it.
    Counting.  There are sum_F |mu(F)| cells (Zaslavsky 1975). With x_k the first point that vanishes on G, |mu(G)| is the sum of |mu(F)|
               over the flats F of which G is a hyperplane and on which x_k does not vanish (Weisner: deletion-restriction, summed up).

Flats are found from the whole space down, in whole numbers: a float is read as the decimal fraction that it prints as (0.1 is 1/10),
so that points written down as parallel are, and have the same signs. A multiple whose digits are rounded when it is printed (2.83984375
times 2^-12) is another point. Points that span a proper subspace are read in as many independent columns, which changes no sign vector.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import comb, lcm
from time import monotonic
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sympy import QQ
from sympy.polys.matrices import DomainMatrix

from flatproof.theory.flatness.arrangement import Arrangement, Signs, Whole, arrangement_of, checked, decimal, primitive, restrict
from flatproof.theory.flatness.counts import cells_at_least, cover_bound
from flatproof.theory.flatness.neurons import OutOfTime

Index = NDArray[np.intp]
Array = NDArray[np.floating]
CHUNK = 1 << 21  # numbers held at a time while flats are cut
FEW = 200  # points whose patterns are counted first
QUICK = 20_000  # patterns up to which they are counted exactly, to say how many
WORK = 1 << 25  # numbers looked at, after which a count that exceeds the limit already is given up for its bound
ATTEMPTS = 4 * (1, 4, 16, 40)  # spreads, in bits, of the weights with which a cell's rays are combined in search of a witness


class TooManyPatterns(ValueError):
    """More patterns than `limit`: `count` of them, or at most `count` where counting them would be too dear (not `exact`)."""

    def __init__(self, count: int, limit: int, exact: bool = True) -> None:
        super().__init__(count, limit, exact)
        self.count, self.limit, self.exact = count, limit, exact

    def __str__(self) -> str:
        number = self.count if self.exact else f"up to {self.count}"
        return (
            f"{number} activation patterns, more than the limit of {self.limit}: use fewer points, a higher limit, "
            "or bounds that need no list (theory.bracket, --bracket)"
        )


@dataclass(frozen=True)
class Patterns:
    """Sign vectors in lexicographic order: row M - 1 - i is the antipode of row i.

    Attributes:
        signs: (M, n), entries -1, 0 and 1; for cells 0 only in the columns of zero points.
        witnesses: (M, p), sign(points @ witness) = signs in exact arithmetic; float64 for cells, Python's whole numbers for faces.
            NaN for a cell so thin that no float64 vector was found in it.
    """

    signs: Signs
    witnesses: NDArray[Any]


class _Level(NamedTuple):
    """All flats of one dimension m, and all pairs of a flat of dimension m + 1 (parent) and a hyperplane of it (child)."""

    basis: Whole  # (flats, r, m)
    parent: Index
    child: Index
    side: Signs  # (pairs, L): the signs, on one side of the child, of the lines that vanish on it but not on the parent


class _Faces(NamedTuple):
    """The faces of one dimension whose first sign other than 0 is +: the others are their antipodes. Sorted by flat, then by signs."""

    signs: Signs  # (K, L)
    witnesses: NDArray[Any]  # (K, r)
    flat: Index


def cells(points: ArrayLike, limit: int | None = None, end: float = np.inf) -> Patterns:
    """Every cell.

    Args:
        points: (n, p).
        limit: the most to list.
        end: the time (of `monotonic`) after which listing is given up.

    Returns:
        The cells' signs and witnesses.

    Raises:
        TooManyPatterns: before any is listed, if there are more than `limit`.
        OutOfTime: if the time is up before.
        ValueError: for points that are no finite numbers.
    """
    _refused_by_few(points, limit)
    arrangement = arrangement_of(points)
    lines = arrangement.lines
    bound = _refused(lines, limit)
    levels, count = _flats(lines, limit, bound, end)
    if limit is not None and count > limit:
        raise TooManyPatterns(count, limit)
    if not len(lines):
        return Patterns(np.zeros((1, arrangement.shape[0]), np.int8), np.zeros((1, arrangement.shape[1])))
    rays = levels[-1].basis[:, :, 0]
    *_, (signs, witnesses, _) = _faces(lines, levels, _floats(rays))
    for i in np.flatnonzero(~_confirmed(lines, signs, witnesses)):
        witnesses[i] = _float_witness(lines, rays, signs[i])
    return _patterns(arrangement, signs, witnesses)


def faces(points: ArrayLike, limit: int | None = None, end: float = np.inf) -> Patterns:
    """Every face of every dimension but the origin (the sign vector 0).

    Args:
        points: (n, p).
        limit: the most to list.
        end: as for `cells`.

    Returns:
        The faces' signs and witnesses.

    Raises:
        TooManyPatterns: as soon as more than `limit` are certain, with the number for as many points in general position.
        ValueError: for points that are no finite numbers.
    """
    _refused_by_few(points, limit, faces=True)
    arrangement = arrangement_of(points)
    lines = arrangement.lines
    if not len(lines):
        return Patterns(np.zeros((0, arrangement.shape[0]), np.int8), np.zeros((0, arrangement.shape[1]), object))
    bound = _refused(lines, limit, faces=True)
    levels, count = _flats(lines, limit, bound, end)
    dimensions: list[_Faces] = []
    for level in _faces(lines, levels, _one_size(levels[-1].basis[:, :, 0])):
        dimensions.append(level)
        if limit is not None and max(count, 2 * sum(len(f.flat) for f in dimensions)) > limit:
            raise TooManyPatterns(bound, limit, exact=False)
    signs = np.concatenate([f.signs for f in dimensions])
    witnesses = np.concatenate([f.witnesses.astype(object) for f in dimensions])
    order = _groups(signs)[0]
    return _patterns(arrangement, signs[order], witnesses[order])


def positive_sets(points: Array, limit: int | None, end: float = np.inf) -> tuple[Patterns, dict[bytes, Array]]:
    """The sets {i : x_i . w > 0} of all w, kinks included, each as the largest face that has it, and the flats of these faces.

    Faces of one positive set have a largest among them: where one is zero and another negative, their composition is negative.

    Args:
        points: (n, p).
        limit: the most faces to list.
        end: as for `cells`.

    Returns:
        The faces (M, n), and for the signs (zeros read as -1) of each face with zeros beyond those of zero points, a basis of its flat in
        whole numbers, (p, k).

    Raises:
        TooManyPatterns: as `faces`.
    """
    every = faces(points, limit, end)
    zeros = (every.signs == 0).sum(axis=1)
    order = np.argsort(zeros, kind="stable")
    _, first = np.unique(every.signs[order] > 0, axis=0, return_index=True)
    chosen = order[np.sort(first)]
    flats, bases = {}, {}
    blank = ~points.any(axis=1)
    for signs in every.signs[chosen]:
        zero = (signs == 0) & ~blank
        if zero.any():
            if zero.tobytes() not in bases:
                bases[zero.tobytes()] = null_space(points[zero])
            flats[np.where(signs > 0, 1, -1).astype(np.int8).tobytes()] = bases[zero.tobytes()]
    return Patterns(every.signs[chosen], every.witnesses[chosen]), flats


def null_space(points: Array) -> Array:
    """A basis of {w : x_i . w = 0 for all i} in whole numbers, (p, k)."""
    exact = [[QQ(*Fraction(c).as_integer_ratio()) for c in row] for row in points.tolist()]
    rows = DomainMatrix(exact, points.shape, QQ).nullspace().to_list()
    whole = [[Fraction(int(c.numerator), int(c.denominator)) for c in row] for row in rows]
    return np.array([[float(c * lcm(*(b.denominator for b in row))) for c in row] for row in whole]).T


def rays(points: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    """Both directions of every line that hyperplanes intersect in, and the products of the points with them, in whole numbers.

    In terms of as many columns as the points span: these rays generate the closure of every face.

    Args:
        points: (n, p).

    Returns:
        Vectors, (R, p); the products x_i . v times some positive number that is one ray's own, (R, n).
    """
    arrangement = arrangement_of(points)
    if not len(arrangement.lines):
        return np.zeros((0, arrangement.shape[1]), object), np.zeros((0, arrangement.shape[0]), object)
    levels, _ = _flats(arrangement.lines, None, 0)
    half = levels[-1].basis[:, :, 0].astype(object)
    vectors = np.zeros((2 * len(half), arrangement.shape[1]), object)
    vectors[:, arrangement.columns] = np.concatenate([half, -half])
    rows = [[decimal(value) for value in row] for row in np.asarray(points).tolist()]
    scale = lcm(*(value.denominator for row in rows for value in row))
    whole = np.array([[int(value * scale) for value in row] for row in rows], object)
    return vectors, vectors @ whole.T


def count_cells(points: ArrayLike) -> int:
    """The number of cells, exactly, without listing them."""
    return _flats(arrangement_of(points).lines, None, 0)[1]


def check_count(points: ArrayLike, limit: int, faces: bool = False) -> None:
    """TooManyPatterns where more than `limit` are certain at once, before any is listed. Errors: ValueError, as for `cells`.

    Args:
        points: (n, p).
        limit: the most to list.
        faces: of all faces, not of cells alone.
    """
    _refused_by_few(points, limit, faces)
    lines = arrangement_of(points).lines
    if len(lines):
        _refused(lines, limit, faces)


def _refused_by_few(points: ArrayLike, limit: int | None, faces: bool = False) -> None:
    """TooManyPatterns where the first FEW of more points have more than the limit, which says so of all without writing these exactly."""
    array = checked(points)
    if limit is None or len(array) <= FEW or array.shape[1] <= 2:
        return
    few = arrangement_of(array[:FEW]).lines
    try:
        if len(few):
            _refused(few, limit, faces)
    except TooManyPatterns:
        raise TooManyPatterns(_at_most(len(array), array.shape[1], faces), limit, exact=False) from None


def _at_most(n: int, r: int, faces: bool) -> int:
    """Patterns of n hyperplanes in general position in r dimensions."""
    return sum(comb(n, r - m) * cover_bound(n - r + m, m) for m in range(1, r + 1)) if faces else cover_bound(n, r)


def _refused(lines: Whole, limit: int | None, faces: bool = False) -> int:
    """The number of patterns of as many lines in general position. TooManyPatterns where more than the limit are certain at once."""
    n, r = lines.shape
    bound = _at_most(n, r, faces)
    if limit is None or bound <= max(limit, QUICK):
        return bound
    if r <= 2:
        raise TooManyPatterns(bound, limit, exact=not faces)
    if cells_at_least(lines, limit) > limit:
        raise TooManyPatterns(bound, limit, exact=False)
    return bound


def _hyperplanes(x: Whole, basis: Whole) -> Iterator[tuple[NDArray[Any], ...]]:
    """For each line x_k and all flats of which it is the first to cut out some hyperplane: the flats, k, the functional x_k on the flat,
    the lines that vanish on the hyperplane, and the signs of those that do not vanish on the flat on the side where x_k > 0.
    """
    chunk = 1 + CHUNK // (x.size + 1)
    for start in range(0, len(basis), chunk):
        part = basis[start : start + chunk]
        values = np.matmul(*_whole(x.shape[1] * _largest(x) * _largest(part), x, part))  # (flats, L, m): functionals on each flat
        (values,) = _whole(2 * _largest(values) ** 2, values)
        unit = _floats(values.reshape(-1, values.shape[2])).reshape(values.shape)
        unit /= np.maximum(np.linalg.norm(unit, axis=2, keepdims=True), 0.5)
        vanishing = (values == 0).all(axis=2)
        done = vanishing.copy()
        for k in range(len(x)):
            flat = np.flatnonzero(~done[:, k])
            cosine = (unit[flat] @ unit[flat, k, :, None])[:, :, 0]
            near, line = np.nonzero(np.abs(cosine) > 1 - 1e-9)  # parallel to x_k, if the whole numbers agree
            zero = vanishing[flat]
            zero[near, line] = (restrict(values[flat[near], line, None], values[flat[near], k]) == 0).all(axis=(1, 2))
            done[flat] |= zero
            yield flat + start, np.full(len(flat), k), values[flat, k], zero, np.sign(cosine * zero).astype(np.int8)


def _flats(lines: Whole, limit: int | None, bound: int, end: float = np.inf) -> tuple[list[_Level], int]:
    """All flats but the origin, by dimension from the whole space down, and the number of cells.

    TooManyPatterns with the bound once the cells counted so far exceed the limit and much is left to count; OutOfTime after the end.
    """
    n, r = lines.shape
    none = np.zeros(0, np.intp)
    levels = [_Level(np.eye(r, dtype=np.int64)[None], none, none, np.zeros((0, n), np.int8))]
    mobius, first, count = np.ones(1, np.int64), np.array([n]), 1  # |mu| of each flat and the first line that vanishes on it
    for m in range(r, 0, -1):
        if m == 1:  # only the origin is below a line, and the first point is the first off it unless it vanishes there
            count += int(mobius[first > 0].sum())
            break
        basis, cuts, work = levels[-1].basis, [], 0
        for pairs in _hyperplanes(lines, basis):
            _check_time(end)
            cuts.append(pairs)
            count += int(mobius[pairs[0]][pairs[1] < first[pairs[0]]].sum())
            work += len(pairs[0]) * n * m
            if limit is not None and count > limit and max(work, len(basis) * n * m) > WORK:
                raise TooManyPatterns(bound, limit, exact=False)
        parent, wall, normal, zero, side = (np.concatenate(column) for column in zip(*cuts, strict=True))
        _check_time(end)
        order, starts, group = _groups(zero.astype(np.int8))
        child = np.empty_like(parent)
        child[order], chosen = group, order[starts]
        share = mobius[parent] * (wall < first[parent])
        mobius, first = np.zeros(len(chosen), np.int64), zero[chosen].argmax(axis=1)
        np.add.at(mobius, child, share)
        _check_time(end)
        basis, normal = _whole(2 * _largest(normal) * _largest(basis), basis[parent[chosen]], normal[chosen])
        kept = np.arange(m) != (normal != 0).argmax(axis=1)[:, None]
        basis = restrict(basis, normal).swapaxes(1, 2)[kept].reshape(-1, m - 1, r).swapaxes(1, 2)
        basis = basis // np.gcd.reduce(basis, axis=1, keepdims=True)
        levels.append(_Level(_whole(_largest(basis), basis)[0], parent, child, side))
    return levels, count


def _check_time(end: float) -> None:
    if monotonic() > end:
        raise OutOfTime("patterns were not listed in the time that there was")


def _faces(lines: Whole, levels: list[_Level], rays: NDArray[Any]) -> Iterator[_Faces]:
    """The faces of dimension 1, 2, .., r, with witnesses that are sums of the rays given."""
    layer = _upper(sides_of(lines, levels[-1].basis[:, :, 0]), rays, np.arange(len(rays)))
    yield layer
    for level in levels[:0:-1]:
        parts = [_join(level, pairs, layer) for pairs in _batches(level, np.bincount(layer.flat) * len(lines))]
        layer = _Faces(*(np.concatenate(column) for column in zip(*parts, strict=True)))
        yield layer


def _batches(level: _Level, size: Index) -> list[Index]:
    """The pairs of a level sorted by parent, in batches of whole parents with about CHUNK numbers for children of that size."""
    order = np.argsort(level.parent, kind="stable")
    total = np.cumsum(np.bincount(level.parent, size[level.child]))
    return np.split(order, np.flatnonzero(np.diff(total[level.parent[order]] // CHUNK)) + 1)


def _join(level: _Level, pairs: Index, walls: _Faces) -> _Faces:
    """The faces of all parents in some pairs, from the faces of the children, which are their walls."""
    start = np.searchsorted(walls.flat, level.child[pairs])
    size = np.searchsorted(walls.flat, level.child[pairs], side="right") - start
    pair = np.repeat(pairs, size)
    wall = np.arange(len(pair)) + np.repeat(start - np.cumsum(size) + size, size)
    both = [_upper(walls.signs[wall] + s * level.side[pair], walls.witnesses[wall], level.parent[pair]) for s in (1, -1)]
    signs, witnesses, flat = (np.concatenate(column) for column in zip(*both, strict=True))
    order, starts, _ = _groups(signs, flat)
    if witnesses.dtype != np.float64:
        (witnesses,) = _whole(_largest(witnesses) * len(order), witnesses)
    sums = np.add.reduceat(witnesses[order], starts)
    return _Faces(signs[order[starts]], _floats(sums) if sums.dtype == np.float64 else sums, flat[order[starts]])


def _upper(signs: Signs, witnesses: NDArray[Any], flat: Index) -> _Faces:
    """Of each face and its antipode the one whose first sign other than 0 is +."""
    lead = np.take_along_axis(signs, (signs != 0).argmax(axis=1)[:, None], axis=1)
    return _Faces(signs * lead, witnesses * lead, flat)


def _patterns(arrangement: Arrangement, signs: Signs, witnesses: NDArray[Any]) -> Patterns:
    """The faces with these signs on the lines, and their antipodes, in terms of the points."""
    half = signs[:, arrangement.line] * arrangement.orientation
    full = np.zeros((len(half), arrangement.shape[1]), witnesses.dtype)
    full[:, arrangement.columns] = witnesses
    return Patterns(np.concatenate([-half[::-1], half]), np.concatenate([-full[::-1], full]))


def _groups(signs: Signs, owner: Index | None = None) -> tuple[Index, Index, Index]:
    """The order that sorts rows lexicographically (by owner first), the places in it where a distinct row starts, and which one it is."""
    bits = np.packbits(np.stack([signs > 0, signs == 0], axis=2).reshape(len(signs), -1), axis=1)
    keys = [*np.pad(bits, ((0, 0), (0, -bits.shape[1] % 8))).view(">u8").astype(np.uint64).T]
    keys = keys if owner is None else [owner.astype(np.uint64), *keys]
    order = np.lexsort(keys[::-1])
    new = np.any([np.diff(key[order], prepend=~key[order[:1]]) != 0 for key in keys], axis=0)
    return order, np.flatnonzero(new), np.cumsum(new) - 1


def _largest(array: Whole) -> int:
    return int(abs(array).max(initial=0))


def _whole(bound: int, *arrays: Whole) -> tuple[Whole, ...]:
    """The arrays in int64 if numbers up to the bound fit, in Python's whole numbers otherwise."""
    return tuple(array.astype(np.int64 if bound < 2**63 else object, copy=False) for array in arrays)


def sides_of(lines: Whole, vectors: Whole) -> Signs:
    """sign(x . v) for each vector v of whole numbers (rows) and each line x (columns), exactly.

    Where the numbers are large, products in floating point decide wherever they are beyond their error, whole numbers elsewhere.
    """
    x, v = _whole(lines.shape[1] * max(_largest(lines), 1) * max(_largest(vectors), 1), lines, vectors)
    if x.dtype != object or not x.size or not v.size:
        return np.sign(v @ x.T).astype(np.int8)
    dots, error = _dots(_floats(x), _floats(v))
    signs = np.sign(dots).astype(np.int8)
    for start in range(0, len(v), CHUNK // len(x) + 1):
        row, column = np.nonzero(np.abs(dots[start : start + CHUNK // len(x) + 1]) <= error[start : start + CHUNK // len(x) + 1])
        signs[row + start, column] = np.sign((v[row + start] * x[column]).sum(axis=1))
    return signs


def _dots(x: NDArray[np.float64], v: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """v . x of rows whose entries are at most 1 in size and within two roundings of exact ones, and bounds of their errors."""
    p = x.shape[1]
    underflow = p * 2.0**-1060 * (1 + np.abs(v).max(axis=1, keepdims=True))
    return v @ x.T, (p + 4) * 2.0**-52 * (np.abs(v) @ np.abs(x.T)) + underflow


def _floats(rows: NDArray[Any], centred: bool = False) -> NDArray[np.float64]:
    """Rows scaled to a largest entry in [1/2, 1], or further up if `centred` and small entries need that to be float64 numbers.

    Each entry is rounded twice at most.
    """
    if rows.dtype != object:
        return rows / np.maximum(np.abs(rows).max(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    if rows.size and not centred and _largest(rows) < 2**900:
        rounded = rows.astype(np.float64)  # no entry is so small against the largest of its row that it would underflow
        return rounded / np.maximum(np.abs(rounded).max(axis=1, keepdims=True), 1.0)
    result = np.zeros(rows.shape)
    for i, row in enumerate(rows.tolist()):
        sizes = [abs(v).bit_length() for v in row if v] or [0]
        low, high = min(sizes), max(sizes)
        scale = max((low + high) // 2, high - 1000) if centred and high - low > 1000 else high
        result[i] = [v / (1 << scale) for v in row]
    return result


def _confirmed(lines: Whole, signs: Signs, witnesses: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether sign(x . w) is as given for all lines x: in floats where it is beyond their error, in whole numbers elsewhere."""
    target = np.broadcast_to(signs, (len(witnesses), len(lines)))
    dots, error = _dots(_floats(lines), witnesses)
    right = ((np.sign(dots) == signs) & (np.abs(dots) > error)).all(axis=1)
    for i in np.flatnonzero(~right):
        right[i] = bool((sides_of(lines, np.array([primitive(witnesses[i].tolist())], dtype=object)) == target[i]).all())
    return right


def _one_size(rows: Whole) -> Whole:
    """Rows times powers of two, so that their largest entries have as many bits: their sums are well inside what they span."""
    size = np.array([[max(abs(v).bit_length() for v in row)] for row in rows.tolist()], dtype=object)
    return rows.astype(object) << (size.max() - size)


def _float_witness(lines: Whole, rays: Whole, signs: Signs) -> NDArray[np.float64]:
    """A witness of one cell: combinations of its rays, which span it, rounded until one has the signs in exact arithmetic; or NaN."""
    sides = sides_of(lines, rays)
    spanning = _one_size(np.concatenate([s * rays[((sides == 0) | (s * sides == signs)).all(axis=1)] for s in (1, -1)]))
    generator = np.random.default_rng(0)
    for spread in ATTEMPTS:
        weights = generator.integers(2**20, 2**21, (256, len(spanning))) << generator.integers(0, spread, (256, len(spanning)))
        witnesses = _floats(weights.astype(object) @ spanning, centred=True)
        good = np.flatnonzero(_confirmed(lines, signs, witnesses))
        if good.size:
            return witnesses[good[0]]
    return np.full(lines.shape[1], np.nan)
