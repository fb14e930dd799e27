"""The CPU kernels (numba): steps on single samples (`single_sample`, `three_layers`, `batch_norm`) and on mini-batches (`batch`).

Under them: vectors (`lanes`), the matrix product (`products`), softplus (`activations`) and the losses' slopes (`losses`).
"""
