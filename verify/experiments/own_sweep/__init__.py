"""Owns the correlation of sharpness with the errors of a user's own checkpoints: what `flatproof correlate` measures and reports.

`error_file` reads the errors, `matching` finds the checkpoint of each row, `jobs` has what is measured and stored, `show` what is printed.
"""
