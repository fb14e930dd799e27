"""What is claimed about flat two-layer ReLU networks: closed forms, constructions, bounds. Plain arrays in and out; never torch."""

from flatproof.theory import claims
from flatproof.theory.constructions import generalizing_network, memorizing_network
from flatproof.theory.flatness.bracket import Bracket, bracket
from flatproof.theory.flatness.decide import Decision, decide
from flatproof.theory.flatness.feasibility import Infeasible
from flatproof.theory.flatness.flattest import Flattest, flattest
from flatproof.theory.flatness.lower_bounds import relaxed_bound
from flatproof.theory.flatness.parity import generalizing_infimum
from flatproof.theory.flatness.patterns import TooManyPatterns
from flatproof.theory.losses import MSE, Loss
from flatproof.theory.networks import (
    ARCHITECTURES,
    DeepNetwork,
    Network,
    forward,
    loss,
    normalizer,
    squared_gradient_norms,
    trace_lower_bound,
    trace_of_hessian,
)

__all__ = [
    "ARCHITECTURES",
    "MSE",
    "Bracket",
    "Decision",
    "DeepNetwork",
    "Flattest",
    "Infeasible",
    "Loss",
    "Network",
    "TooManyPatterns",
    "bracket",
    "claims",
    "decide",
    "flattest",
    "forward",
    "generalizing_infimum",
    "generalizing_network",
    "loss",
    "memorizing_network",
    "normalizer",
    "relaxed_bound",
    "squared_gradient_norms",
    "trace_lower_bound",
    "trace_of_hessian",
]
