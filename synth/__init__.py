"""Data distributions whose population is known: sampled training sets, fresh test samples, exact enumeration.

Every generator is a pure function of its arguments. Seeds feed `numpy.random.SeedSequence([seed, stream])`, stream 0 for the
training set and stream 1 for `Data.sample`, so the two never overlap and every process and platform draws the same bits.
"""

from flatproof.synth.continuous import uniform_ball, unit_circle
from flatproof.synth.cube import complete_parity, parity
from flatproof.synth.data import Data, Labels, given

__all__ = ["Data", "Labels", "complete_parity", "given", "parity", "uniform_ball", "unit_circle"]
