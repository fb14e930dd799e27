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
from theory.constructions import generalizing_network, memorizing_network
from theory.decision import Decision, decide
from theory.feasibility import Infeasible
from theory.flattest import Flattest, flattest
from theory.patterns import TooManyPatterns

__all__ = [
    "ARCHITECTURES",
    "Decision",
    "DeepNetwork",
    "Flattest",
    "Infeasible",
    "Network",
    "TooManyPatterns",
    "claims",
    "decide",
    "flattest",
    "forward",
    "generalizing_network",
    "loss",
    "memorizing_network",
    "normalizer",
    "squared_gradient_norms",
    "trace_lower_bound",
    "trace_of_hessian",
]
