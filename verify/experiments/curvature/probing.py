"""Owns the coverage of every trace estimator's interval on matrices with a known spectrum, at budgets from five products on.

Spectra that deflation helps and such that it does not, mixed signs, and an eigenvector on two parameters, which few random signs do not
see. All but that one have random eigenvectors.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flatproof.verify.experiments.vocabulary import provenance_of
from flatproof.verify.jobs.job import Computation, StoredValues
from flatproof.verify.report.artifacts import Table
from flatproof.verify.utils.statistics import binomial_interval

if TYPE_CHECKING:
    from torch import Tensor

SIZE = 200
BUDGETS = (5, 12, 30)
SPECTRA: dict[str, tuple[str, Callable[[np.random.Generator], NDArray[np.float64]]]] = {
    "exponential": ("0.8^i", lambda rng: np.float64(0.8) ** np.arange(SIZE)),
    "power law": ("1 / i", lambda rng: 1 / np.arange(1.0, SIZE + 1)),
    "flat": ("uniform on [0.5, 1.5]", lambda rng: rng.uniform(0.5, 1.5, SIZE)),
    "outlier": ("30, and normal ones of both signs", lambda rng: np.r_[30.0, rng.standard_normal(SIZE - 1)]),
    "on two parameters": (
        "30 with the eigenvector (e_1 + e_2) / sqrt(2), and normal ones of deviation 0.1",
        lambda rng: np.r_[30.0, 0.1 * rng.standard_normal(SIZE - 1)],
    ),
}
METHODS: dict[str, tuple[str, dict[str, Any], float]] = {  # method, settings, nominal level
    "auto": ("auto", {}, 0.95),
    "auto, 99.5 %": ("auto", {"confidence": 0.995}, 0.995),
    "XTrace": ("xtrace", {}, 0.95),
    "Krylov-aware, half": ("krylov", {}, 0.95),
    "Hutch++": ("hutch++", {}, 0.95),
    "Hutchinson, signs": ("hutchinson", {}, 0.95),
    "Hutchinson, sphere": ("hutchinson", {"probes": "sphere"}, 0.95),
}
LEAST = {"hutch++": 6}  # products that a method needs, where that is more than the smallest budget


class Matrix:
    """A matrix as an operator."""

    def __init__(self, matrix: "Tensor") -> None:
        self.matrix, self.products = matrix, 0
        self.shape, self.dtype, self.device = (len(matrix), len(matrix)), matrix.dtype, matrix.device

    def matvec(self, vector: "Tensor", /) -> "Tensor":
        """H v."""
        self.products += 1
        return self.matrix @ vector

    def matmat(self, block: "Tensor", /) -> "Tensor":
        """H V."""
        self.products += block.shape[1]
        return self.matrix @ block


def matrix(kind: str) -> NDArray[np.float64]:
    """The symmetric matrix of a kind, (P, P)."""
    rng = np.random.default_rng(1)
    eigenvalues = SPECTRA[kind][1](rng)
    columns = rng.standard_normal((SIZE, SIZE))
    if kind == "on two parameters":
        columns[:, 0] = np.r_[1.0, 1.0, np.zeros(SIZE - 2)]
    basis = np.linalg.qr(columns)[0]
    H = (basis * eigenvalues) @ basis.T
    return np.asarray((H + H.T) / 2)


@dataclass(frozen=True)
class Probed(Computation):
    """Every estimator at every budget on one matrix, from seeds 1 to `starts`."""

    JOB = "probing"
    VERSION = 1  # raised when a change in verify.curvature alters estimates

    kind: str
    starts: int

    @property
    def cost(self) -> float:
        """About 40 ms a start."""
        return 0.5 + 0.04 * self.starts

    def carry_out(self) -> dict[str, Any]:
        """Per estimator and budget: how often its interval held the exact trace, medians of error, half-width and products."""
        import torch

        from flatproof.verify.curvature import trace
        from flatproof.verify.utils.threads import single_threaded

        H = matrix(self.kind)
        exact = float(np.trace(H))
        operator = Matrix(torch.as_tensor(H))
        rows = []
        with single_threaded():
            for name, (method, settings, nominal) in METHODS.items():
                for budget in BUDGETS:
                    if budget < LEAST.get(method, 0):
                        continue
                    estimates = [
                        trace(operator, method, products=budget, block=budget, seed=seed, **settings)  # type: ignore[arg-type]
                        for seed in range(1, self.starts + 1)
                    ]
                    rows.append(
                        {
                            "estimator": name,
                            "budget": budget,
                            "nominal": nominal,
                            "covered": sum(e.covers(exact) for e in estimates),
                            "error": float(np.median([abs(e.value - exact) for e in estimates]) / abs(exact)),
                            "half": float(np.median([(e.high - e.low) / 2 for e in estimates]) / abs(exact)),
                            "products": float(np.median([e.products for e in estimates])),
                        }
                    )
        return {"exact": exact, "rows": rows}

    def summary(self, values: dict[str, Any]) -> str:
        """How often the default covered."""
        covered = [f"{row['covered']}/{self.starts}" for row in values["rows"] if row["estimator"] == "auto"]
        return "auto " + ", ".join(covered)


def jobs(starts: int) -> list[Probed]:
    """All matrices."""
    return [Probed(kind, starts) for kind in SPECTRA]


def table(id: str, ready: Sequence[tuple[Probed, StoredValues]]) -> Table:
    """A row a matrix, budget and estimator."""
    rows = []
    for job, stored in ready:
        for row in stored.result["rows"]:
            share = binomial_interval(row["covered"], job.starts)
            about = {"matrix": job.kind, "exact": stored.result["exact"]}
            rows.append(about | row | {"starts": job.starts, "low": share.low, "high": share.high})
    raw = pd.DataFrame(rows).sort_values(["matrix", "budget"], kind="stable", key=_in_order).reset_index(drop=True)
    shown = pd.DataFrame(
        {
            "matrix": raw.matrix,
            "products": raw.products.map("{:g}".format),
            "estimator": raw.estimator,
            "nominal": raw.nominal.map("{:.1%}".format),
            "covered": [
                f"{c / k:.1%} [{low:.1%}, {high:.1%}]"
                for c, k, low, high in zip(raw.covered, raw.starts, raw.low, raw.high, strict=True)
            ],
            "median half-width": raw["half"].map("{:.1e}".format),
            "median error": raw.error.map("{:.1e}".format),
        }
    )
    short = raw.high < raw.nominal
    counts = ", ".join(
        f"{name} {int(short[group.index].sum())} of {len(group)}" for name, group in raw.groupby("estimator", sort=False)
    )
    spectra = "; ".join(f"{kind}: {SPECTRA[kind][0]}" for kind in SPECTRA)
    notes = (
        f"{SIZE} eigenvalues, {spectra}; eigenvectors random but for that one. Each estimator from seeds 1 to {int(raw.starts.max()):,} at "
        f"budgets of {', '.join(map(str, BUDGETS))} products; Hutch++ needs 6. Half-width and error over |trace|; brackets: exact binomial "
        "95 % intervals of the coverage.",
        f"Brackets below the nominal level, one in forty by chance alone: {counts}. auto and sphere take the interval of "
        "quadratic forms by their effective rank (verify/curvature/forms.py), XTrace a jackknife, the others Student's t. Krylov-aware, "
        "half: half of the products deflate, whatever the spectrum; auto chooses from 12 products on.",
    )
    brief = ("matrix", "products", "estimator", "nominal", "covered", "median half-width")
    provenance = provenance_of([stored for _, stored in ready])
    return Table(id, "How often the trace's intervals hold, at few products", shown, raw, notes, provenance, brief)


def _in_order(column: "pd.Series[Any]") -> "pd.Series[Any]":
    return column.map(list(SPECTRA).index) if column.name == "matrix" else column
