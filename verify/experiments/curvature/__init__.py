"""Owns what is said about `verify.curvature` itself: every operator and measure with its definition, and how often intervals cover.

Coverage: two-layer networks whose whole spectrum is known in closed form (`whole_spectrum`), and estimates from many random starts; and
networks fitted to losses down to 1e-30 (`well_fitted`). The bound of lambda_max is proved at 99.5 %; the trace's intervals rest on a
statistical approximation, so their coverage is a finding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from flatproof import synth
from flatproof.theory.claims import Claim
from flatproof.verify.experiments.curvature import well_fitted
from flatproof.verify.experiments.curvature.functions import Functions
from flatproof.verify.experiments.curvature.functions import table as functions_table
from flatproof.verify.jobs.job import Computation, Job, StoredValues
from flatproof.verify.jobs.store import Store
from flatproof.verify.report.artifacts import Artifact, Table, merged
from flatproof.verify.two_layer.initialization import initial_network
from flatproof.verify.two_layer.settings import DataSpec, Phase
from flatproof.verify.two_layer.training import Run

ID = "curvature"
DEFINITIONS, COVERAGE, WELL_FITTED = f"{ID}/definitions", f"{ID}/coverage", f"{ID}/well-fitted"
FUNCTIONS = f"{ID}/functions"
ARTIFACTS = (DEFINITIONS, COVERAGE, WELL_FITTED, FUNCTIONS)
DEFAULT_SEEDS = {"smoke": 4, "quick": 500, "paper": 5000}  # random starts of every estimator on every network
FITTED_SHARE = 20  # of those, one in so many on each well-fitted network's loss: there are 96 of them
VERSION = 2  # raised when a change in verify.curvature alters estimates
D, N = 20, 60
WIDTH = {"no-bias": 60, "bias": 60, "sim-bn": 30, "sim-ln": 30}  # off interpolation the last two need a dense problem of size P
STATES = {"initial": 0, "trained": 300}  # epochs of 1-SAM
NOMINAL = {"lambda-max": 0.995, "hutchinson": 0.95, "hutch++": 0.95, "xtrace": 0.95}


@dataclass(frozen=True)
class Cover(Computation):
    """Every estimator on one network from seeds 1 to `starts`."""

    architecture: str
    state: str
    starts: int

    @property
    def cost(self) -> float:
        """About 190 products a start."""
        return 3.0 + 0.015 * self.starts

    def settings(self) -> dict[str, Any]:
        """Everything that determines the values."""
        return {
            "job": "coverage",
            "version": VERSION,
            "architecture": self.architecture,
            "state": self.state,
            "starts": self.starts,
        }

    def carry_out(self) -> dict[str, Any]:
        """Per estimator: how often its interval held the exact value, median relative error and reach, products."""
        import torch

        from flatproof.verify.curvature import HessianOperator, lambda_max, trace, whole_spectrum
        from flatproof.verify.two_layer.losses import mse
        from flatproof.verify.two_layer.modules import TwoLayer
        from flatproof.verify.two_layer.training import train
        from flatproof.verify.utils.threads import single_threaded

        data = synth.parity(d=D, n=N, seed=1)
        network = initial_network(self.architecture, D, WIDTH[self.architecture], seed=1)
        if STATES[self.state]:
            phase = Phase(lr=0.01, rho=0.05, epochs=STATES[self.state])
            spec = DataSpec("parity", 1, {"d": D, "n": N})
            run = Run(self.architecture, (phase,), spec, width=WIDTH[self.architecture], seed=1, dtype="float64")
            found = train(run).network
            if found is None:
                raise ArithmeticError(f"{self.architecture} diverged")
            network = found
        network = network.astype("float64")
        with single_threaded():
            spectrum = whole_spectrum(network, data.x, data.y)
            truth = {"lambda-max": float(spectrum.eigenvalues.max()), "trace": float(spectrum.eigenvalues.sum())}
            x, y = torch.as_tensor(np.asarray(data.x, dtype=np.float64)), torch.as_tensor(np.asarray(data.y, dtype=np.float64))
            operator = HessianOperator(TwoLayer(network, dtype=torch.float64, train_x=data.x), mse, (x, y))
            out: dict[str, Any] = {"size": spectrum.size, "method": spectrum.method, "truth": truth}
            for name, level in NOMINAL.items():
                exact = truth["lambda-max" if name == "lambda-max" else "trace"]
                estimates = [
                    lambda_max(operator, confidence=level, seed=seed)
                    if name == "lambda-max"
                    else trace(operator, name, block=60, seed=seed)  # type: ignore[arg-type]
                    for seed in range(1, self.starts + 1)
                ]
                out[name] = {
                    "covered": sum(e.covers(exact) for e in estimates),
                    "error": float(np.median([abs(e.value - exact) / exact for e in estimates])),
                    "reach": float(np.median([e.relative_error for e in estimates])),
                    "products": float(np.median([e.products for e in estimates])),
                }
        return out

    def summary(self, values: dict[str, Any]) -> str:
        """How often each estimator covered."""
        return ", ".join(f"{name} {values[name]['covered']}/{self.starts}" for name in NOMINAL)


def jobs(starts: int) -> list[Cover]:
    """All networks."""
    return [Cover(architecture, state, starts) for architecture in WIDTH for state in STATES]


def grid(only: Sequence[str], scale: str, seeds: int) -> list[tuple[str, Job[Any]]]:
    """The networks; definitions need no run."""
    found: list[tuple[str, Job[Any]]] = [("functions of torch", Functions())] if FUNCTIONS in only else []
    if COVERAGE in only:
        found += [(f"coverage {job.architecture}", job) for job in jobs(seeds)]
    if WELL_FITTED in only:
        found += [(f"well fitted, {job.head}", job) for job in well_fitted.jobs(_fitted_starts(seeds))]
    return found


def _fitted_starts(seeds: int) -> int:
    return max(well_fitted.NETWORKS, seeds // FITTED_SHARE)


def claim_ids() -> list[str]:
    """No statement of a paper is judged here."""
    return []


def claims(ids: Sequence[str], store: Store | None) -> list[Claim]:
    """None."""
    return []


def build(only: Sequence[str], scale: str, seeds: int, store: Store) -> list[Artifact]:
    """The definitions, and the coverage from stored jobs alone."""
    made: list[Artifact] = [_definitions()] if DEFINITIONS in only else []
    if COVERAGE in only and (ready := [(job, stored) for job in jobs(seeds) if (stored := store.get(job)) is not None]):
        made.append(_coverage(ready))
    if WELL_FITTED in only:
        fitted = [(job, at) for job in well_fitted.jobs(_fitted_starts(seeds)) if (at := store.get(job)) is not None]
        made += [well_fitted.table(WELL_FITTED, fitted)] if fitted else []
    if FUNCTIONS in only and (stored := store.get(Functions())) is not None:
        made.append(functions_table(FUNCTIONS, stored))
    return made


OPERATORS = (
    ("HessianOperator", "H = d² L / dw²", "Pearlmutter 1994"),
    ("GaussNewtonOperator", "G = mean_i J_i' (d² loss / d outputs²) J_i, J_i = d outputs_i / dw", "Schraudolph 2002"),
    ("FisherOperator", "F = mean_i g_i g_i', g_i = d loss_i / dw", "the empirical Fisher matrix: Kunstner et al. 2019"),
)
ESTIMATES = (
    ("eigenvalues, lambda_max", "θ = s'Ts, T = V'HV on a Krylov space", "Lanczos 1950; bounds as in verify/curvature/lanczos.py"),
    ("hutchinson", "mean_k w_k'Hw_k, w_k random signs", "Hutchinson 1990"),
    ("hutchpp", "tr Q'HQ + mean_k w_k'(I - QQ')H(I - QQ')w_k", "Meyer et al. 2021"),
    ("xtrace", "mean_k of Hutch++ with every probe left out once", "Epperly, Tropp and Webber 2024"),
    ("spectral_density", "mean_k Σ_j (first entry of s_j)² δ(λ - θ_j)", "stochastic Lanczos quadrature: Ubaru et al. 2017"),
    ("whole_spectrum, gram", "eigenvalues of (2/n) JJ', residual term included", "verify/curvature/two_layer/spectrum.py"),
)


def _definitions() -> Table:
    from flatproof.verify.curvature import measures
    from flatproof.verify.jobs.provenance import provenance

    rows = [("operator", name, formula, source, "", "") for name, formula, source in OPERATORS]
    rows += [("estimate", name, formula, source, "", "") for name, formula, source in ESTIMATES]
    rows += [("measure", m.name, m.formula, m.source, m.invariant, m.needs) for m in measures().values()]
    shown = pd.DataFrame(rows, columns=["kind", "name", "definition", "paper", "unchanged by", "needs"])
    notes = (
        "`from verify.curvature import ...` for operators and estimates; `measures()[name](problem)` and `flatproof sharpness "
        "--measures name` for measures. L is the loss on the data given, w its parameters, H its Hessian. Every estimate comes with an "
        "interval, what it rests on, its cost, the data and the mode of batch norm and dropout.",
        "needs: products, any symmetric operator will do; loss, a `Problem`, whose parameters the measure moves. Papers named by "
        "author and year only are theirs who introduced the method; the others are the papers this project checks.",
    )
    title = "Curvature: every operator, estimate and sharpness measure"
    return Table(DEFINITIONS, title, shown, shown, notes, provenance(), ("kind", "name", "definition", "paper"))


def _coverage(found: Sequence[tuple[Cover, StoredValues]]) -> Table:
    rows = []
    for job, stored in found:
        values = stored.result
        for name, nominal in NOMINAL.items():
            one = values[name]
            share = stats.binomtest(one["covered"], job.starts).proportion_ci(0.95, method="exact")
            rows.append(
                {
                    "architecture": job.architecture,
                    "network": job.state,
                    "parameters": values["size"],
                    "estimate": name if name == "lambda-max" else f"trace, {name}",
                    "exact": values["truth"]["lambda-max" if name == "lambda-max" else "trace"],
                    "products": one["products"],
                    "median_error": one["error"],
                    "median_reach": one["reach"],
                    "nominal": nominal,
                    "covered": one["covered"],
                    "starts": job.starts,
                    "low": float(share.low),
                    "high": float(share.high),
                }
            )
    raw = pd.DataFrame(rows)
    shown = pd.DataFrame(
        {
            "network": raw.architecture + ", " + raw.network,
            "parameters": raw.parameters.astype(str),
            "estimate": raw.estimate,
            "exact value": raw.exact.map("{:.6g}".format),
            "products": raw.products.map("{:g}".format),
            "median error": raw.median_error.map("{:.1e}".format),
            "median reach of the interval": raw.median_reach.map("{:.1e}".format),
            "nominal": raw.nominal.map("{:.1%}".format),
            "covered": [
                f"{c / k:.1%} [{low:.1%}, {high:.1%}]"
                for c, k, low, high in zip(raw.covered, raw.starts, raw.low, raw.high, strict=True)
            ],
        }
    )
    sums = raw.groupby("estimate", sort=False)[["covered", "starts"]].sum()
    totals = ", ".join(f"{name} {c:,} of {k:,}" for name, c, k in sums.itertuples())
    short = int((raw.high < raw.nominal).sum())
    notes = (
        f"Two-layer networks on parity data (d = {D}, n = {N}) at initialization and after {STATES['trained']} epochs of 1-SAM; exact "
        "values from the whole spectrum in float64. Every estimate from each random start; reach: half-width of the interval (its "
        "farther end) over the value; brackets: exact binomial 95 % intervals of the coverage.",
        f"Covered in all: {totals}. λ_max's bound is proved at 99.5 % over the random start. The trace's intervals are Student's t "
        "(Hutchinson, Hutch++) and a jackknife (XTrace): approximations, whose coverage is what is measured here. XTrace's is "
        f"conservative. {short} of {len(raw)} brackets lie below the nominal level; one in forty does by chance alone.",
    )
    provenance = {"jobs": str(len(found))} | merged([stored.provenance for _, stored in found], "jobs")
    brief = ("network", "estimate", "products", "median error", "nominal", "covered")
    return Table(COVERAGE, "How often the intervals hold the exact value", shown, raw, notes, provenance, brief)
