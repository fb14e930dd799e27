"""The GPU kernels (Triton; extra `gpu`): single-sample steps of many networks at once, each network resident on chip.

One program trains one network for all steps of a launch; its first layer stays in registers. What a step costs at least, for a
first layer of `inputs` rows (d, or d + 1 with a bias) and m neurons (`layout` counts it, `make gpu-check` measures beside it):
    traffic     4 bytes of sample order, 4 more with label noise; the parameters cross the bus twice a launch
    arithmetic  2 inputs m multiply-adds, the rank-one update and the pre-activations: 234 cycles of a multiprocessor at d = 30,
                m = 500; with all other instructions 684, as Triton 3.6 compiles the 1-SAM step (`compiled` counts them)
    latency     sums over neurons, each a reduction over the program's warps that decides what comes after it: one for SGD, two
                for 1-SAM, three for 1-SAM with layer norm. No step starts before the one before it ends, so latency is hidden
                only by the other networks of a multiprocessor
Not done: k steps at a time. With z_t = x_t.W_0 - sum_{s<t} (x_s.x_t) u_s the k pre-activations and the rank-k update are two
small matrix products in place of k sweeps; the reductions stay as they are, and so does a step's latency.
"""
