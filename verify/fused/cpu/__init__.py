"""The CPU kernels (numba), one module a mechanism: single-sample steps, mini-batch steps, Sim-BN's 1-SAM."""
