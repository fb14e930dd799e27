"""Owns wen2023/figure-2b, a table: the largest first-layer neurons and the column norms of the trained Sim-BN networks, seed by seed."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from flatproof.verify.experiments.wen2023.rows import ID, ROW, networks, phases
from flatproof.verify.experiments.wen2023.verdicts import columns, largest_neurons
from flatproof.verify.report.artifacts import NOT_YET, Table, collected
from flatproof.verify.two_layer.training import StoredRun

FIGURE_2B = f"{ID}/figure-2b"
PRINTED = {
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


def figure_2b(stored: Sequence[StoredRun], scale: str) -> Table:
    """A line a phase and seed, from the runs of 2a."""
    shown: list[dict[str, str]] = [PRINTED]
    raw: list[dict[str, object]] = []
    row = ROW["2a"]
    ends = np.cumsum([p.epochs for p in phases(row, scale)])
    for phase, label in enumerate(("the first phase", "both phases")):
        for one in stored:
            network = dict(networks(row, one.result)).get(phase)
            if network is None:
                continue
            accuracy = one.result.curve["test_accuracy"][one.result.curve["epoch"].index(ends[phase])]
            neurons, norms = largest_neurons(network), columns(network)
            line = {
                "seed": str(one.settings["seed"]),
                "after": label,
                "test accuracy": f"{accuracy:.3f}",
            }
            line |= {f"neuron {k}": f"{p:.3f}, {q:.3f} | {rest:.2f}" for k, (p, q, rest) in enumerate(neurons, start=1)}
            shown.append(
                line | {name: f"{v:.2f}" for name, v in zip(("column 1", "column 2", "largest other"), norms, strict=True)}
            )
            raw.append(
                {"seed": one.settings["seed"], "after": label, "test accuracy": accuracy}
                | {
                    f"neuron {k}, {part}": v
                    for k, n in enumerate(neurons, 1)
                    for part, v in zip(("1", "2", "rest"), n, strict=True)
                }
                | dict(zip(("column 1", "column 2", "largest other"), norms, strict=True))
            )
    if not raw:
        shown.append(dict.fromkeys(PRINTED, "–") | {"seed": NOT_YET})
    return Table(
        id=FIGURE_2B,
        title="Figure 2b: the first layer that Sim-BN learns, seed by seed",
        shown=pd.DataFrame(shown),
        raw=pd.DataFrame(raw),
        notes=(
            "Of the four neurons with the largest first-layer weights: W1[1], W1[2] | norm of W1[3:d]. Then the norms of the first two "
            "columns of W1 and the largest norm of another column. Runs of figure 2a: after its first phase, and after both (where rho = 1 "
            "drives the network off interpolation its neurons are those of the collapsed network). "
            "A run has no line for a phase in which it diverged.",
            *(("Scale smoke: its numbers mean nothing.",) if scale == "smoke" else ()),
        ),
        provenance=collected(stored, scale),
        brief=("seed", "after", "neuron 1", "neuron 2", "column 1", "column 2", "largest other"),
    )
