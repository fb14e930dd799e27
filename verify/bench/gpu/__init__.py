"""GPU kernels compared with the reference and timed."""
