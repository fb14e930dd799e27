"""Training of the two-layer family by stored settings: a readable reference, fused kernels, many runs on a GPU."""
