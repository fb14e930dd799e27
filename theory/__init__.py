"""What is claimed about flat two-layer networks, ReLU or diagonal: closed forms, constructions, bounds. Arrays in and out; no torch.

    networks             the family: forward, gradient norms, the exact trace of the Hessian
    losses               losses of one output
    constructions        the papers' explicit networks
    flatness             the flattest networks: solver, certificates, predictions
    check_certificate    the independent checker, which needs nothing but Python
    check_parity         the same for what all flattest networks do on parity data
    claims               the ledger of every printed statement
    diagonal             diagonal linear networks: every definition of sharpness in closed form
    cube_symmetries      subsets of the cube up to symmetry
    compiled             how kernels are compiled and where they are kept

What is listed in `__all__` is the public face, imported when it is first used; `theory.flattest`,
`theory.flattest_for`, `theory.flattest_outputs`, `theory.bracket` and `theory.decide` are the functions.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flatproof.theory import (
        check_certificate,
        check_parity,
        claims,
        compiled,
        constructions,
        cube_symmetries,
        diagonal,
        flatness,
        losses,
        networks,
    )
    from flatproof.theory.constructions import generalizing_network, memorizing_network
    from flatproof.theory.flatness.all_flattest import decide_parity
    from flatproof.theory.flatness.bracket import Bracket, bracket
    from flatproof.theory.flatness.decide import Decision, decide
    from flatproof.theory.flatness.feasibility import Infeasible
    from flatproof.theory.flatness.flattest import Flattest, flattest
    from flatproof.theory.flatness.logistic import for_logistic
    from flatproof.theory.flatness.lower_bounds import relaxed_bound
    from flatproof.theory.flatness.neurons import NotRealized
    from flatproof.theory.flatness.objectives import Objective, Tolerance, whitening
    from flatproof.theory.flatness.outputs import Outputs, flattest_outputs
    from flatproof.theory.flatness.parity import generalizing_infimum
    from flatproof.theory.flatness.patterns import TooManyPatterns
    from flatproof.theory.flatness.predictions import Ranges
    from flatproof.theory.flatness.setting import KINKS
    from flatproof.theory.flatness.wider import Wider, flattest_for
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

_HOMES = {
    "flatproof.theory.constructions": ("generalizing_network", "memorizing_network"),
    "flatproof.theory.flatness.all_flattest": ("decide_parity",),
    "flatproof.theory.flatness.bracket": ("Bracket", "bracket"),
    "flatproof.theory.flatness.decide": ("Decision", "decide"),
    "flatproof.theory.flatness.feasibility": ("Infeasible",),
    "flatproof.theory.flatness.flattest": ("Flattest", "flattest"),
    "flatproof.theory.flatness.logistic": ("for_logistic",),
    "flatproof.theory.flatness.lower_bounds": ("relaxed_bound",),
    "flatproof.theory.flatness.neurons": ("NotRealized",),
    "flatproof.theory.flatness.objectives": ("Objective", "Tolerance", "whitening"),
    "flatproof.theory.flatness.outputs": ("Outputs", "flattest_outputs"),
    "flatproof.theory.flatness.parity": ("generalizing_infimum",),
    "flatproof.theory.flatness.patterns": ("TooManyPatterns",),
    "flatproof.theory.flatness.predictions": ("Ranges",),
    "flatproof.theory.flatness.setting": ("KINKS",),
    "flatproof.theory.flatness.wider": ("Wider", "flattest_for"),
    "flatproof.theory.losses": ("MSE", "Loss"),
    "flatproof.theory.networks": (
        "ARCHITECTURES",
        "DeepNetwork",
        "Network",
        "forward",
        "loss",
        "normalizer",
        "squared_gradient_norms",
        "trace_lower_bound",
        "trace_of_hessian",
    ),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "ARCHITECTURES",
    "KINKS",
    "MSE",
    "Bracket",
    "Decision",
    "DeepNetwork",
    "Flattest",
    "Infeasible",
    "Loss",
    "Network",
    "NotRealized",
    "Objective",
    "Outputs",
    "Ranges",
    "Tolerance",
    "TooManyPatterns",
    "Wider",
    "bracket",
    "check_certificate",
    "check_parity",
    "claims",
    "compiled",
    "constructions",
    "cube_symmetries",
    "decide",
    "decide_parity",
    "diagonal",
    "flatness",
    "flattest",
    "flattest_for",
    "flattest_outputs",
    "for_logistic",
    "forward",
    "generalizing_infimum",
    "generalizing_network",
    "loss",
    "losses",
    "memorizing_network",
    "networks",
    "normalizer",
    "relaxed_bound",
    "squared_gradient_norms",
    "trace_lower_bound",
    "trace_of_hessian",
    "whitening",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name) if name in _HOME else import_module(f"{__name__}.{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
