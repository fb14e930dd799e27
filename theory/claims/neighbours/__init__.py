"""Owns statements of neighbouring papers, a module a paper: what rescaling, normalization and stability do to flatness.

Of these papers a few statements are examined, not all. Where a paper's text was not at hand, a statement is restated, or quoted from the
abstract, and says so (`words`).
"""
