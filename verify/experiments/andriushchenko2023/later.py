"""Owns the measures that are not the paper's, of its image models: those invented since, and the two that are most in use.

geodesic sharpness (attention alone), relative flatness (the last but one linear layer, or the only one), ASAM's normalizations per filter
and per layer, the largest eigenvalue and the trace of the Hessian. A job reads the weights that `jobs.Studied` leaves in files, or trains
the model if there are none. Radii were chosen on four models by the size of the loss increase, before any correlation was looked at.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from flatproof.verify.deep import Training
from flatproof.verify.experiments.andriushchenko2023.grid import SIZES, models
from flatproof.verify.experiments.andriushchenko2023.published import ID, KINDS, STEPS, Kind
from flatproof.verify.experiments.andriushchenko2023.rules import ENDS, STRONG, TARGETS, tau, words
from flatproof.verify.experiments.andriushchenko2023.show import Pairs, finished, frame, setting
from flatproof.verify.experiments.vocabulary import of_scale, provenance_of
from flatproof.verify.jobs.job import OFF_ADDRESS, Computation, StoredValues
from flatproof.verify.report.artifacts import NOT_YET, Table

TABLE = f"{ID}/later-measures"


class Definition(NamedTuple):
    """A measure of `verify.curvature` by name, at a radius where it has one."""

    measure: str
    rho: float | None = None

    def __str__(self) -> str:
        return self.measure if self.rho is None else f"{self.measure}, rho {self.rho:g}"


ASAM = tuple(
    Definition(f"{part}-worst-l2", rho) for part, rhos in (("filter", (0.05, 0.25)), ("layer", (0.01, 0.05))) for rho in rhos
)
HESSIAN = (Definition("relative-flatness"), Definition("lambda-max"), Definition("trace"))
GEODESIC = tuple(Definition(name, rho) for name in ("geodesic", "geodesic-mixed") for rho in (0.1, 0.5))
DEFINITIONS: dict[Kind, tuple[Definition, ...]] = {"ResNet": (*ASAM, *HESSIAN), "ViT": (*ASAM, *HESSIAN, *GEODESIC)}
PRODUCTS = {"relative-flatness": 60, "trace": 16}  # Hessian-vector products
TOLERANCE = 0.05  # of the largest eigenvalue


@dataclass(frozen=True)
class Remeasured(Computation):
    """Measures of a trained model.

    Args:
        training: what it comes from.
        kind: of the network, for tables.
        definitions: what is measured.
        images: training images that it is measured on.
        batch: samples a batch of m-sharpness, for measures with a radius.
    """

    JOB = "andriushchenko2023 later"
    VERSION = 1  # raised when a change here or in verify.curvature alters what is measured

    training: Training
    kind: Kind = field(metadata=OFF_ADDRESS)
    definitions: tuple[Definition, ...]
    images: int
    batch: int

    @property
    def seed(self) -> int:
        """Of the training."""
        return self.training.seed

    @property
    def cost(self) -> float:
        """20 gradients on the images for each definition; the model is trained already where the other jobs have run."""
        return 20 * 1e-4 * self.images * len(self.definitions)

    @property
    def row(self) -> str:
        """Its row in the progress display."""
        return f"{self.kind}, later measures"

    def settings(self) -> dict[str, Any]:
        """The fields, of the training its settings, and the seed."""
        return super().settings() | {"training": self.training.settings(), "seed": self.seed}

    def carry_out(self) -> dict[str, Any]:
        """status; unless it is "diverged", of each definition its `values`, `ends` (of the 95 % interval, None above a lower bound) and
        `refusals` (why there is no value, which is None then)."""
        from torch.nn.functional import cross_entropy

        from flatproof.verify.curvature import Problem
        from flatproof.verify.curvature.sharpness.registry import measures
        from flatproof.verify.deep import samples, trained
        from flatproof.verify.deep.loop import reproducible

        network, outcome = trained(self.training)
        if outcome["status"] != "finished":
            return {"status": outcome["status"]}
        data, known = samples(self.training.data, self.training.device), measures()
        values: list[float | None] = []
        ends: list[list[float | None]] = []
        refusals: list[str | None] = []
        with reproducible(self.training.device, self.training.threads):
            problem = Problem(network, cross_entropy, (data.train_x[: self.images], data.train_y[: self.images]), mode="eval")
            for definition in self.definitions:
                try:
                    estimate = known[definition.measure](problem, **self._settings_of(definition))
                except ValueError as error:  # the measure cannot be had of this model; the others can
                    values, ends, refusals = [*values, None], [*ends, [None, None]], [*refusals, str(error)]
                    continue
                values.append(estimate.value)
                ends.append([estimate.low, estimate.high if np.isfinite(estimate.high) else None])
                refusals.append(None)
        return {"status": outcome["status"], "values": values, "ends": ends, "refusals": refusals}

    def _settings_of(self, definition: Definition) -> dict[str, Any]:
        if definition.rho is not None:
            return {"rho": definition.rho, "batch_size": self.batch, "steps": STEPS, "starts": 1}
        if definition.measure in PRODUCTS:
            return {"products": PRODUCTS[definition.measure], "method": "xtrace"}  # the default when these were stored
        return {"tolerance": TOLERANCE}

    def summary(self, values: dict[str, Any]) -> str:
        """How many were measured."""
        return f"seed {self.seed}: " + (f"{len(values['values'])} measures" if "values" in values else str(values["status"]))

    def remark(self, values: dict[str, Any]) -> str | None:
        """Whether the training diverged."""
        return None if values["status"] == "finished" else str(values["status"])


def jobs(scale: str, seeds: int, device: str | None = None) -> Iterator[Remeasured]:
    """The jobs of all models of a scale.

    Args:
        scale: smoke, quick or paper.
        seeds: how many.
        device: as for `devices.device_of`.
    """
    size = SIZES[scale]
    for job in models(scale, seeds, device):
        yield Remeasured(job.training, job.kind, DEFINITIONS[job.kind], size.images, size.batch)


def table(pairs: Pairs, measured: Sequence[tuple[Remeasured, StoredValues]], scale: str, seeds: int) -> Table:
    """Kendall's tau of every definition with every target, over all models of a network and inside groups.

    Args:
        pairs: models with their errors.
        measured: what was measured of them.
        scale, seeds: of the grid.
    """
    errors = finished(frame(pairs))
    rows = [{"kind": job.kind, "seed": job.seed} | _values(job, stored) for job, stored in measured if "values" in stored.result]
    joined = errors.merge(pd.DataFrame(rows), on=["kind", "seed"]) if rows and len(errors) else pd.DataFrame()
    shown: list[dict[str, object]] = []
    raw: list[dict[str, object]] = []
    for kind in KINDS if len(joined) else ():
        own = joined[joined.kind == kind]
        for definition in DEFINITIONS[kind] if len(own) else ():
            radius = "" if definition.rho is None else f"{definition.rho:g}"
            row: dict[str, object] = {"network": kind, "measure": definition.measure, "radius": radius}
            numbers = dict(row) | {"models": int(own[str(definition)].notna().sum())}
            for view, grouped in (("", False), (" in groups", True)):
                for column, target in (TARGETS | ({"lr": "learning rate"} if grouped else {})).items():
                    interval = tau(own, str(definition), column, grouped)
                    row[f"{target}{view}"] = words(interval)
                    numbers |= {f"{end} {column}{view}": value for end, value in zip(ENDS, interval, strict=True)}
            shown.append(row)
            raw.append(numbers)
    counts = ", ".join(f"{int((joined.kind == kind).sum())} {kind}s" for kind in KINDS) if len(joined) else "no model"
    refused = sum(value is None for _, stored in measured for value in stored.result.get("values", ()))
    strong = sum(float(str(numbers["low test_error"])) > STRONG for numbers in raw)
    notes = (
        "Measures that are not the paper's, on its models: geodesic sharpness (da Silva et al. 2025; attention alone), relative flatness "
        "(Petzka et al. 2021; the last but one linear layer, or the only one), adaptive sharpness per filter and per layer (ASAM), the "
        f"Hessian's largest eigenvalue and trace. {counts}. Kendall's τ-b with each target and its 95 % bootstrap interval over models, "
        "over all and over pairs inside groups of equal SAM radius, mixup and augmentation alone.",
        f"{strong} of {len(raw)} rows have an interval with test error above {STRONG}. No claim of the paper is about these measures."
        + (f" {refused} values could not be had." if refused else ""),
        setting(scale, seeds),
        *of_scale(scale),
    )
    return Table(
        id=TABLE,
        title="Do the measures invented since track generalization?",
        shown=pd.DataFrame(shown or [{"measure": NOT_YET}]),
        raw=pd.DataFrame(raw),
        notes=notes,
        provenance=provenance_of([*(stored for _, stored in measured)], scale),
        brief=("network", "measure", "radius", "test error", "error on corrupted images", "test error in groups")
        if shown
        else ("measure",),
    )


def _values(job: Remeasured, stored: StoredValues) -> dict[str, float]:
    """A column a definition; NaN for what could not be had."""
    values = zip(job.definitions, stored.result["values"], strict=True)
    return {str(definition): np.nan if value is None else value for definition, value in values}
