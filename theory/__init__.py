"""What is claimed about flat two-layer ReLU networks: closed forms, constructions, bounds. numpy only at import; never torch."""

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

__all__ = [
    "ARCHITECTURES",
    "DeepNetwork",
    "Network",
    "forward",
    "loss",
    "normalizer",
    "squared_gradient_norms",
    "trace_lower_bound",
    "trace_of_hessian",
]
