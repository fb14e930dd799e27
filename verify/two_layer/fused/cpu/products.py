"""Owns the matrix product of the kernels: one factor in vectors (groups, inner, LANES), the other in plain rows (count, inner).

Each entry is summed over the inner axis in order, wherever it stands, so that its rounding depends on nothing else.
"""

from flatproof.theory.compiled import kernel
from flatproof.verify.two_layer.fused.cpu.lanes import load, nought, store


@kernel
def multiply(left, rows, out):  # type: ignore[no-untyped-def]
    """out[j, i] = sum_p rows[i, p] left[j, p, :], out (groups, count or more, LANES); rows may be longer than the inner axis.

    Four rows at a time: six loads then serve eight multiplications of the machine's vectors.
    """
    count, inner = rows.shape[0], left.shape[1]
    fours = count - count % 4
    for j in range(left.shape[0]):
        for i in range(0, fours, 4):
            a, b, c, d = nought(out), nought(out), nought(out), nought(out)
            for p in range(inner):
                v = load(left, (j, p))
                a += rows[i, p] * v
                b += rows[i + 1, p] * v
                c += rows[i + 2, p] * v
                d += rows[i + 3, p] * v
            store(out, (j, i), a)
            store(out, (j, i + 1), b)
            store(out, (j, i + 2), c)
            store(out, (j, i + 3), d)
        for i in range(fours, count):
            a = nought(out)
            for p in range(inner):
                a += rows[i, p] * load(left, (j, p))
            store(out, (j, i), a)
