"""What is claimed about flat two-layer ReLU networks: closed forms, constructions, bounds. Plain arrays in and out; never torch."""

from theory import claims
from theory.architectures import (
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
from theory.bracket import Bracket, bracket
from theory.constructions import generalizing_network, memorizing_network
from theory.decision import Decision, decide
from theory.feasibility import Infeasible
from theory.flattest import Flattest, flattest
from theory.losses import MSE, Loss
from theory.parity import generalizing_infimum
from theory.patterns import TooManyPatterns
from theory.relaxation import relaxed_bound

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
