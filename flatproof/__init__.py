"""flatproof: does a flat minimum generalize? `theory` proves and certifies, `synth` draws data, `verify` trains and measures.

`import flatproof` is cheap: what is named here is imported when it is first used.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flatproof import synth, theory, verify
    from flatproof.synth import given
    from flatproof.theory import decide, flattest, trace_lower_bound, trace_of_hessian
    from flatproof.verify import DataSpec, Phase, Run, Store, train, train_many
    from flatproof.verify.curvature import HessianOperator, Problem, lambda_max, measures, trace
    from flatproof.verify.experiments.study import Study, plot, table
    from flatproof.verify.utils.errors import Diverged

__version__ = "0.1.0"

_HOMES = {
    "flatproof.synth": ("given",),
    "flatproof.theory": ("decide", "flattest", "trace_lower_bound", "trace_of_hessian"),
    "flatproof.verify": ("DataSpec", "Phase", "Run", "Store", "train", "train_many"),
    "flatproof.verify.curvature": ("HessianOperator", "Problem", "lambda_max", "measures", "trace"),
    "flatproof.verify.experiments.study": ("Study", "plot", "table"),
    "flatproof.verify.utils.errors": ("Diverged",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}
_ROOMS = ("synth", "theory", "verify")

__all__ = [
    "DataSpec",
    "Diverged",
    "HessianOperator",
    "Phase",
    "Problem",
    "Run",
    "Store",
    "Study",
    "__version__",
    "decide",
    "flattest",
    "given",
    "lambda_max",
    "measures",
    "plot",
    "synth",
    "table",
    "theory",
    "trace",
    "trace_lower_bound",
    "trace_of_hessian",
    "train",
    "train_many",
    "verify",
]

# The three folders lie at the top of the repository, and here are links to them. A checkout whose links were lost, by a system or a
# copy that has none, finds them beside this folder.
if not all(Path(__file__).with_name(room).is_dir() for room in _ROOMS):
    __path__.append(str(Path(__file__).resolve().parent.parent))


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"flatproof.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'flatproof' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
