"""Owns the table of definitions: every operator, estimate and sharpness measure of `verify.curvature`."""

import pandas as pd

from flatproof.verify.report.artifacts import Table

OPERATORS = (
    ("HessianOperator", "H = d² L / dw²", "Pearlmutter 1994"),
    ("GaussNewtonOperator", "G = mean_i J_i' (d² loss / d outputs²) J_i, J_i = d outputs_i / dw", "Schraudolph 2002"),
    ("FisherOperator", "F = mean_i g_i g_i', g_i = d loss_i / dw", "the empirical Fisher matrix: Kunstner et al. 2019"),
)
ESTIMATES = (
    ("eigenvalues, lambda_max", "θ = s'Ts, T = V'HV on a Krylov space", "Lanczos 1950; bounds as in verify/curvature/lanczos.py"),
    ("auto_trace", "tr V'HV + mean_k w_k'Hw_k, w_k uniform in direction, orthogonal to V", "Chen and Hallman 2023, for f(H) = H"),
    ("hutchinson", "mean_k w_k'Hw_k, w_k random signs", "Hutchinson 1990"),
    ("hutchpp", "tr Q'HQ + mean_k w_k'(I - QQ')H(I - QQ')w_k", "Meyer et al. 2021"),
    ("xtrace", "mean_k of Hutch++ with every probe left out once", "Epperly, Tropp and Webber 2024"),
    ("krylov_trace", "tr V'HV + mean_k w_k'(I - VV')H(I - VV')w_k", "Chen and Hallman 2023, for f(H) = H"),
    ("spectral_density", "mean_k Σ_j (first entry of s_j)² δ(λ - θ_j)", "stochastic Lanczos quadrature: Ubaru et al. 2017"),
    ("whole_spectrum, gram", "eigenvalues of (2/n) JJ', residual term included", "verify/curvature/two_layer/spectrum.py"),
)


def table(id: str) -> Table:
    """A row a definition."""
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
        "needs: products, any symmetric operator will do; loss, a `Problem`, whose parameters the measure moves; problem, "
        "a `Problem`, of a part of whose parameters it makes the Hessian. Papers named by "
        "author and year only are theirs who introduced the method; the others are the papers this project checks.",
    )
    title = "Curvature: every operator, estimate and sharpness measure"
    return Table(id, title, shown, shown, notes, provenance(), ("kind", "name", "definition", "paper"))
