"""Owns the compiled products of the two-layer closed form on the CPU: formulas as in `two_layer.product`, one vector at a time.

A is a matrix of zeros and ones, so A U sums rows of U. Four neurons have 16 subsets: their sums are tabulated with one addition each, and
every sample then adds one entry for all four (Arlazarov, Dinic, Kronrod, Faradzev 1970); A' (t * X) likewise, by four samples. With D
columns the two products take n m D / 4 additions each and (15/4) (m + n) D for the tables, instead of n m D multiply-adds each.

The floor at m = 500, n = 100, D = 31 in float32: 12 500 additions of a 128-byte row a product, each of them two loads of 64 bytes with an
addition and one of a code; the running sums are loaded and stored once in 16. Table entries: 2 000 and 400 rows stored. One Zen 5 core of
3.8 GHz was measured to do one such load with its addition in 0.93 cycles, whatever the unrolling: 6 us a product, where BLAS takes 32 us.
Tables, the pass over the weights and the call add 6 us, so 19 us for both. Groups of five would save a fifth of the additions, but double
the tables, and a block of them has to stay in 32 kB: no faster. More columns or several vectors at once would share the reading of the
codes, which is hidden already.
"""

from flatproof.verify.curvature.two_layer.cpu.batch_norm import batch_norm_at
from flatproof.verify.curvature.two_layer.cpu.layer_norm import layer_norm_at
from flatproof.verify.curvature.two_layer.cpu.layout import transpose
from flatproof.verify.curvature.two_layer.cpu.plain import plain_at

__all__ = ["batch_norm_at", "layer_norm_at", "plain_at", "transpose"]
