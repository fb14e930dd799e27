"""Owns the readings of wen2023's figure 2, whose second phase as printed, rho = 1, ends near the zero network: which one gives its neurons?

As printed, SAM moves all parameters by rho along their gradient. At the smallest trace ||grad f|| is 2 and lies in gamma and W2 almost
alone: rho = 1 then moves f(x_i) by about 2, which is from the label to the zero network. In the first layer alone the same rho moves f the
less the longer its weights are, which the network does not change with: so it drives them out. The rules are those of figure 2b.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import pandas as pd

from flatproof.verify.experiments.vocabulary import DASH, Experiment, Shelf, of_scale, spread
from flatproof.verify.experiments.wen2023 import published
from flatproof.verify.experiments.wen2023.grid import ROW, Row, phases, runs
from flatproof.verify.experiments.wen2023.rules import STATEMENTS, Observation, columns, largest_neurons, observations
from flatproof.verify.experiments.wen2023.show import figure, provenance
from flatproof.verify.jobs.store import Store
from flatproof.verify.report.about import About
from flatproof.verify.report.artifacts import Artifact, Figure, Table, divergences, seeds_of
from flatproof.verify.two_layer.settings import Perturbed
from flatproof.verify.two_layer.training import Run, StoredRun

ID = "readings"
TABLE, FIGURE_1, FIGURE_2 = f"{ID}/table-1", f"{ID}/figure-1", f"{ID}/figure-2"
QUICK = (4_000, 4_000)  # epochs of the phases


@dataclass(frozen=True)
class Reading:
    """What SAM moves in each phase."""

    name: str
    perturbed: tuple[Perturbed, Perturbed]

    @property
    def row(self) -> Row:
        """Figure 2a's settings, read so."""
        printed = ROW["2a"]
        steps = tuple(replace(p, perturbed=what) for p, what in zip(printed.phases, self.perturbed, strict=True))
        return replace(printed, phases=steps, quick_epochs=QUICK)


READINGS = (
    Reading("all parameters, as printed", ("all", "all")),
    Reading("first layer in the second phase", ("all", "first layer")),
    Reading("first layer", ("first layer", "first layer")),
    Reading("gamma and W2 in the second phase", ("all", "above it")),
)
DRAWN = {FIGURE_1: READINGS[1], FIGURE_2: READINGS[2]}


class Readings(Experiment):
    """What wen2023 may have run for its figure 2; the verdict on the figure as printed stands in wen2023/table-2."""

    ID = ID
    ABOUT: ClassVar = About(
        title="wen2023's figure 2, read in other ways",
        question="Under which reading of its second phase does 1-SAM with BatchNorm find the neurons that the paper prints?",
        figure=FIGURE_1,
    )
    ARTIFACTS = (TABLE, FIGURE_1, FIGURE_2)
    DEFAULT_SEEDS: ClassVar = {"smoke": 1, "quick": 5, "paper": 5}
    ON_REQUEST = True

    def grid(self, only: Sequence[str], scale: str, seeds: int) -> list[tuple[str, Run]]:
        """Seed by seed, so that all readings are at hand early."""
        needed = READINGS if TABLE in only else [DRAWN[id] for id in DRAWN if id in only]
        planned = [(reading, runs(reading.row, scale, seeds)) for reading in needed]
        return [(f"{reading.name}, seed {seed + 1}", made[seed]) for seed in range(seeds) for reading, made in planned]

    def build(self, only: Sequence[str], scale: str, seeds: int, store: Store) -> list[Artifact]:
        """The table and the curves, from the store alone."""
        shelf = Shelf(store)
        stored = {r: shelf.outcomes(runs(r.row, scale, seeds), arrays=True) for r in READINGS}
        made: list[Artifact] = [table(stored, scale, seeds)] if TABLE in only else []
        return made + [curves(id, r, stored[r], scale, seeds) for id, r in DRAWN.items() if id in only and stored[r]]


def table(stored: dict[Reading, list[StoredRun]], scale: str, seeds: int) -> Table:
    """A line a reading, at the end of the second phase, beside what is printed."""
    shown, raw = list[dict[str, str]](), []
    for reading, done in stored.items():
        ends = _at_the_end(reading.row, done, scale)
        losses = {int(run.settings["seed"]): run.result.final("train_loss") for run in done if run.result.status == "finished"}
        norms = [columns(end.network) for end in ends.values() if end.network]
        shown.append(
            {
                "SAM moves": reading.name,
                "test accuracy": spread([end.accuracy for end in ends.values()], ".3f"),
                "training loss": spread([losses[seed] for seed in ends], ".1e"),
                "column 1": spread([norm[0] for norm in norms], ".2f"),
                "column 2": spread([norm[1] for norm in norms], ".2f"),
                "largest other": spread([norm[2] for norm in norms], ".2f"),
                "columns stand out": _share(0, ends),
                "neurons in two coordinates": _share(1, ends),
                "four quadrants": _share(2, ends),
                "seeds": seeds_of(done, seeds),
                "remarks": divergences(done) or DASH,
            }
        )
        raw += [
            {"SAM moves": reading.name, "seed": seed, "test accuracy": end.accuracy, "training loss": losses[seed]}
            | dict(zip(("column 1", "column 2", "largest other"), columns(end.network), strict=True))
            | {
                f"neuron {k}, {part}": value
                for k, neuron in enumerate(largest_neurons(end.network), start=1)
                for part, value in zip(("1", "2", "rest"), neuron, strict=True)
            }
            for seed, end in ends.items()
            if end.network
        ]
    norms_printed = {name: published.NETWORK_2B[name] for name in ("column 1", "column 2", "largest other")}
    shown.insert(0, dict.fromkeys(shown[0], DASH) | {"SAM moves": "printed in the paper"} | norms_printed)
    steps = phases(READINGS[0].row, scale)
    epochs, radii = " and ".join(f"{p.epochs:,}" for p in steps), " and ".join(f"{p.rho:g}" for p in steps)
    notes = (
        "At the end of both phases; median [smallest, largest] over seeds. Columns: norms of W1's first two columns and the largest norm "
        "of another. Runs that show what figure 2b reports: " + "; ".join(statement.text for statement in STATEMENTS["2b"]) + ".",
        f"Settings of figure 2a, {epochs} epochs with rho = {radii}. SAM moves its parameters by rho along the gradient in them; the "
        "update is of all parameters, as printed.",
        *of_scale(scale),
    )
    brief = ("SAM moves", "test accuracy", "training loss", "column 1", "column 2", "largest other", "four quadrants", "seeds")
    title = "Figure 2 of wen2023 under readings of its second phase"
    return Table(TABLE, title, pd.DataFrame(shown), pd.DataFrame(raw), notes, provenance(list(stored.values()), scale), brief)


def curves(id: str, reading: Reading, stored: Sequence[StoredRun], scale: str, seeds: int) -> Figure:
    """Training curves under a reading."""
    return figure(reading.row, stored, scale, seeds, id, f"Figure 2a, SAM moves: {reading.name}")


def _at_the_end(row: Row, stored: Sequence[StoredRun], scale: str) -> dict[int, Observation]:
    """The runs that did not diverge, where they end, whether they fit or not."""
    last = {int(run.settings["seed"]): run.result for run in stored}
    return {
        seed: replace(judged, network=last[seed].network, accuracy=last[seed].final("test_accuracy"))
        for seed, judged in observations(row, stored, scale).items()
        if judged is not None
    }


def _share(statement: int, ends: dict[int, Observation]) -> str:
    held = [STATEMENTS["2b"][statement].holds(end, end) for end in ends.values()]
    return f"{sum(held)} of {len(held)}"


EXPERIMENT = Readings()
