"""Computations addressed by the content of their settings: jobs, the store, the sweep, provenance. Knows no network."""
