"""Formulas in plain texts are found whole, and prose is left alone."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flatproof.verify.report.mathematics import parts

RESULTS = Path(__file__).parents[3] / "paper_results"

FORMULAS = {
    "||grad f(x_i)||^2 >= 2 ||x'_i|| |y_i|": r"\lVert \nabla f(x_{i})\rVert ^{2} \ge 2\,\lVert x'_{i}\rVert \,\lvert y_{i}\rvert",
    "r = (d²+1)^(1/4)": r"r = (d^2 + 1)^{1/4}",
    "S in {-1,1}^(d-2)": r"S \in \{-1,\,1\}^{d - 2}",
    "lambda_max": r"\lambda_{\max}",
    "λ_max": r"\lambda_{\max}",
    "P_xor": r"P_{\mathrm{xor}}",
    "W1_j[3:d] = 0": r"W^{(1)}_{j}[3:d] = 0",
    "O~(sqrt(d/n))": r"\tilde{O}(\sqrt{d/n})",
    "sum_(i <= V) C(n, i)": r"\sum_{i \le V}\,C(n,\,i)",
    "Tr Hess L": r"\mathrm{Tr} \mathrm{Hess} L",
    "1/(2 λ_max(Σ) ‖b‖∞)": r"1/(2\,\lambda_{\max}(\Sigma)\,\lVert b\rVert _{\infty})",
    "w.x_i != 0": r"w\cdot x_{i} \ne 0",
    "E (f - y)^2 <= 10^-3": r"E\,(f - y)^{2} \le 10^{-3}",
    "rho": r"\rho",
    ">= 1 - delta": r"\ge 1 - \delta",
    "log10 λ_max": r"\log_{10} \lambda_{\max}",
}
PROSE = (
    "test accuracy above 4b's: 5 of 5",
    "SB/LB, and/or, F1: not run",
    "1.000 [1.000, 1.000]",
    "a flattest width-n model of the 1-SAM kind",
    "i.e. the first, e.g. w.p. 1/2",
    "verify/experiments/kaur2023/rules.py",
    "cifar10_1k",
    "theory.trace_of_hessian, log_softmax",
    "at least 3x faster; 0.9 / 1.2 / 1.3",
    "conv 3x3, 2 x [64 filters]",
    "commits 3802547b25 and 048257241d",
    "Kendall's τ-b; lambda-max 3,981 of 4,000",
    "<w_s, w_t> | a bar || two",
    "–",
    "",
)


@pytest.mark.parametrize(("text", "tex"), FORMULAS.items())
def test_a_formula_is_said_in_tex(text: str, tex: str) -> None:
    (part,) = parts(text)
    assert part.tex is not None
    assert (part.text, part.tex.strip()) == (text, tex)
    before, middle, after = parts(f"here {text}, as printed")
    assert (before.text, before.tex, middle, after.text) == ("here ", None, part, ", as printed")


@pytest.mark.parametrize("text", PROSE)
def test_prose_is_left_alone(text: str) -> None:
    assert all(part.tex is None for part in parts(text))


def test_a_formula_within_prose_ends_where_prose_goes_on() -> None:
    text = "X sigma-subgaussian with n = 3, 4 samples (d = 2) and an absolute C: R_S <= C / sqrt(n)."
    assert [part.text for part in parts(text) if part.tex] == ["sigma", "n = 3", "(d = 2)", "C", "R_S <= C / sqrt(n)"]


pieces = st.lists(
    st.sampled_from(
        [*"abcfnxyWEPR012{}[]()|^_'.,:;+-*/=<>~ ", "||", "<=", "sum_i", "sqrt(", "eps", "in", " and ", "W1", "λ", "²", "log "]
    ),
    max_size=14,
).map("".join)


@given(pieces | st.text(max_size=20))
def test_pieces_make_up_the_text_and_their_braces_match(text: str) -> None:
    found = parts(text)
    assert "".join(part.text for part in found) == text
    for part in found:
        if part.tex is not None:
            bare = part.tex.replace(r"\{", "").replace(r"\}", "")
            assert bare.count("{") == bare.count("}")
            assert "$" not in part.tex
            assert "%" not in part.tex


def test_most_of_what_papers_print_is_found() -> None:
    """Of the ledger's statements hardly a relation, an index or a power is left in the prose."""
    ledger = json.loads((RESULTS / "wen2023/claims.json").read_text(encoding="utf-8"))["table"]
    texts = [row[ledger["columns"].index(name)] for row in ledger["rows"] for name in ("printed", "corrected")]
    prose = "".join(part.text for text in texts for part in parts(text) if part.tex is None)
    left = sum(prose.count(sign) for sign in ("<=", ">=", "_", "^"))
    assert sum(text.count(sign) for text in texts for sign in ("<=", ">=", "_", "^")) > 300
    assert left < 12, prose
