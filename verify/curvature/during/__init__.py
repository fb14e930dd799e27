"""Sharpness while a network trains: measured every k steps within a share of the training time, and the training none the wiser.

recorder        `Recorder`: for plain loops, and what the adapters use
lightning       `SharpnessCallback` for Lightning's Trainer (extra `lightning`)
transformers    `SharpnessCallback` for transformers' Trainer (extra `transformers`)
budget          when a measurement may be taken
log_file        the CSV file: appended to, continued after a restart
undisturbed     what a measurement leaves as it was, beyond what `Problem` does
"""

from flatproof.verify.curvature.during.log_file import Row, read_rows
from flatproof.verify.curvature.during.recorder import Recorder

__all__ = ["Recorder", "Row", "read_rows"]
