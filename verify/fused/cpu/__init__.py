"""The CPU kernels (numba): `single_sample` and `batch` steps, Sim-BN's single-sample steps; `lanes` and `products` under them."""
