"""The rules on images, on made-up models whose correlations are known."""

import numpy as np
import pandas as pd
import pytest

from flatproof.verify.experiments.andriushchenko2023 import rules
from flatproof.verify.experiments.andriushchenko2023.published import KINDS
from flatproof.verify.experiments.vocabulary import Verdict

CELLS = {kind: [f"average-l2, c = 1, rho {rho}" for rho in (0.1, 0.2)] + ["worst-l2, c = 1, rho 0.1"] for kind in KINDS}


def models(
    error: dict[str, float], lr: float = 0.0, ood: float = 0.0, rate: dict[str, float] | None = None, n: int = 120
) -> pd.DataFrame:
    """Sharpness is log-normal; test error, learning rate and out-of-distribution error go with it as strongly as said."""
    stream, frames = np.random.default_rng(1), []

    def like(x: np.ndarray, strength: float) -> np.ndarray:
        return strength * x + np.sqrt(1 - strength**2) * stream.standard_normal(n)

    for kind in KINDS:
        x = stream.standard_normal(n)
        columns = {cell: np.exp(x + 0.1 * stream.standard_normal(n)) for cell in CELLS[kind]}
        test = like(x, error[kind])
        rates = like(x, lr) if rate is None else like(test, rate[kind])
        columns |= {"lr": np.exp(rates), "test_error": test, "gap": test, "ood_error": like(x, ood), "train_error": np.zeros(n)}
        frames.append(pd.DataFrame(columns).assign(kind=kind, seed=range(n), group=np.arange(n) % 12))
    return pd.concat(frames, ignore_index=True)


def verdicts(table: pd.DataFrame) -> dict[str, Verdict]:
    return {judged.part: judged.verdict for judged in rules.judge(table, CELLS)}


def both(value: float) -> dict[str, float]:
    return dict.fromkeys(KINDS, value)


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (both(0.0), Verdict.SUPPORTED),
        ({"ResNet": 0.98, "ViT": 0.0}, Verdict.SUPPORTED),  # strong in one network is not consistent
        (both(0.98), Verdict.REFUTED),
        (both(0.8), Verdict.INCONCLUSIVE),
    ],
)
def test_claim_1(error: dict[str, float], verdict: Verdict) -> None:
    assert verdicts(models(error))["claim-1"] == verdict


@pytest.mark.parametrize(("lr", "verdict"), [(0.9, Verdict.SUPPORTED), (-0.9, Verdict.SUPPORTED), (0.0, Verdict.INCONCLUSIVE)])
def test_claim_2a(lr: float, verdict: Verdict) -> None:
    assert verdicts(models(both(0.0), lr=lr))["claim-2a"] == verdict


@pytest.mark.parametrize(
    ("rate", "verdict"),
    [
        ({"ResNet": 0.9, "ViT": -0.9}, Verdict.SUPPORTED),
        (both(0.9), Verdict.REFUTED),
        ({"ResNet": 0.9, "ViT": 0.0}, Verdict.INCONCLUSIVE),
    ],
)
def test_claim_2b(rate: dict[str, float], verdict: Verdict) -> None:
    assert verdicts(models(both(0.0), rate=rate))["claim-2b"] == verdict


@pytest.mark.parametrize(("ood", "verdict"), [(-0.9, Verdict.SUPPORTED), (0.9, Verdict.REFUTED)])
def test_claim_3(ood: float, verdict: Verdict) -> None:
    assert verdicts(models(both(0.0), ood=ood))["claim-3"] == verdict


def test_a_case_needs_all_of_its_radii() -> None:
    table = models(both(0.0), ood=-0.9)
    for kind in KINDS:
        table.loc[table.kind == kind, CELLS[kind][0]] = np.random.default_rng(2).standard_normal((table.kind == kind).sum())
        table.loc[table.kind == kind, CELLS[kind][2]] = np.random.default_rng(3).standard_normal((table.kind == kind).sum())
    assert verdicts(table)["claim-3"] == Verdict.INCONCLUSIVE


def test_too_few_models_judge_nothing() -> None:
    assert set(verdicts(models(both(0.9), n=10)).values()) == {Verdict.NOT_RUN}
    table = models(both(0.9)).assign(ood_error=np.nan)
    assert verdicts(table)["claim-3"] == Verdict.NOT_RUN


def test_the_fitted_models_are_counted_apart() -> None:
    table = models(both(0.9), ood=0.9)
    text = rules.of_the_fitted(table, CELLS)
    assert "120 ResNets: with test error 3 of 3 intervals lie above 0 and 0 below" in text
    table.loc[table.kind == "ViT", "train_error"] = 0.5
    assert rules.of_the_fitted(table, CELLS).endswith("; 0 ViTs, too few to say anything.")
