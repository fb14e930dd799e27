"""Measured comparisons: the same work by several implementations, in one run."""
