"""Owns what wen2023 prints: its Table 1, the network of its figure 2b, and what it reports of each figure."""

from flatproof.theory.claims import Dependency
from flatproof.theory.networks import Architecture

ID = "wen2023"

# What the paper reports of each figure (and of table-1).
REPORTED = {
    "table-1": "All (near) flattest minimizers provably generalize without bias and with simplified BatchNorm, not with bias or simplified "
    "LayerNorm; sharpness minimization (1-SAM) generalizes without bias, with simplified BatchNorm and LayerNorm, not with bias.",
    "figure-1a": "No bias, baseline: perfect generalization.",
    "figure-1b": "No bias, 1-SAM: perfect generalization.",
    "figure-2a": "Sim-BN, 1-SAM in two phases: generalizes.",
    "figure-2b": "Sim-BN, 1-SAM: the four largest neurons lie in the first two coordinates, one in each quadrant; the first two columns of "
    "W1 have norms 42.47 and 42.48, others at most 5.65.",
    "figure-4a": "Bias, baseline: generalizes better than 4b, at a larger trace.",
    "figure-4b": "Bias, 1-SAM: much flatter than 4a but generalizes much worse, degrading after 4000 epochs.",
    "figure-5a": "Bias, softplus, baseline: as 4a.",
    "figure-5b": "Bias, softplus, 1-SAM: as 4b.",
    "figure-6a": "Sim-LN, 1-SAM: almost perfect generalization.",
    "figure-6b": "Sim-LN, projected, 1-SAM: almost perfect generalization.",
    "figure-7a": "Uniform ball, no bias, 1-SAM: much better than 7b.",
    "figure-7b": "Uniform ball, bias, 1-SAM: much worse than 7a.",
    "figure-8a": "No bias, logistic, baseline: as its MSE counterpart.",
    "figure-8b": "No bias, logistic, 1-SAM: as its MSE counterpart.",
    "figure-9a": "Bias, logistic, baseline: as its MSE counterpart.",
    "figure-9b": "Bias, logistic, 1-SAM: as its MSE counterpart, degrading after 2000 epochs.",
    "figure-10a": "Sim-BN, logistic, 1-SAM: as its MSE counterpart.",
    "figure-10b": "Sim-LN, logistic, 1-SAM: as its MSE counterpart.",
    "figure-11a": "Three layers, bias in the first, baseline: better than 11b, at a larger trace.",
    "figure-11b": "Three layers, bias in the first, 1-SAM: flatter and much worse than 11a.",
}

# As printed in the paper's Table 1: do all flattest minimizers generalize, does sharpness minimization (1-SAM).
TABLE_1: dict[Architecture, tuple[str, str]] = {
    "no-bias": ("yes (Thm 3.1)", "yes"),
    "bias": ("no (Thm 4.1)", "no"),
    "sim-bn": ("yes (Thm 3.2)", "yes"),
    "sim-ln": ("no (Thm 5.1)", "yes"),
}


# What the column 'all flattest minimizers generalize' of table 1 rests on, as printed there.
RESTS_ON = tuple(Dependency(f"{ID}/{name}") for name in ("theorem-3.1", "theorem-4.1", "theorem-3.2", "theorem-5.1"))

# Of figure 2b, as a line of the table that shows ours.
NETWORK_2B = {
    "seed": "as printed",
    "after": "both phases",
    "test accuracy": "–",
    **{
        f"neuron {k}": text
        for k, text in enumerate(
            ("18.581, -18.582 | 0.02", "-14.363, -14.363 | 0.03", "13.768, 13.771 | 0.03", "-12.601, 12.601 | 0.01"), start=1
        )
    },
    "column 1": "42.47",
    "column 2": "42.48",
    "largest other": "at most 5.65",
}
