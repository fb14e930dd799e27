"""Tables in LaTeX: chosen columns, formulas in maths mode, and what TeX says of them."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from flatproof.verify.report.artifacts import Table
from flatproof.verify.report.files import on_one_line
from flatproof.verify.report.latex import check_columns, chosen, escaped, table
from flatproof.verify.report.write import write

RESULTS = Path(__file__).parents[3] / "paper_results"
FRAME = pd.DataFrame(
    {"λ_max": ["1.5 [−0.1, 2]", "±3"], "rule, in words": ["||grad f|| <= 2 eps", "50 % & more_of_it"], "n": ["-1", "2"]}
)


def test_mathematics_stands_in_maths_mode_and_the_rest_is_escaped() -> None:
    assert escaped("τ and ρ <= 1 of 50 % & a_file") == r"$\tau$ and $\rho \le 1$ of 50 \% \& a\_file"
    assert escaped("±3, -4 to 5e-3, λ_max, ‖·‖") == r"$\pm$3, $-$4 to 5e-3, $\lambda_{\max}$, $\|\cdot\|$"
    assert escaped("~ ^ \\ { } # $ < > | – “word”") == (
        r"\textasciitilde{} \textasciicircum{} \textbackslash{} \{ \} \# \$ \textless{} \textgreater{} \textbar{} -- ``word''"
    )


def test_a_table_is_a_float_with_caption_and_label() -> None:
    text = table(FRAME, "A caption of λ_max", "tab:a", on_one_line)
    assert text.startswith("\\begin{table}\n\\centering\n\\caption{A caption of $\\lambda_{\\max}$}\\label{tab:a}\n")
    for part in (r"\toprule", r"\midrule", r"\bottomrule", r"$\lVert \nabla f\rVert  \le 2\,\varepsilon$", r"\end{tabular}"):
        assert text.count(part) == 1


def test_a_table_longer_than_a_column_goes_across_two_where_it_fits() -> None:
    wordy = pd.DataFrame({"a": ["word " * 60] * 6, "b": ["text " * 40] * 6})
    both = table(wordy, "A caption", "tab:b", on_one_line)
    opening, rest = both.split("\\ifdim\\columnwidth<\\textwidth % two columns\n")
    across, alone = rest.split("\\else\n")
    assert opening.startswith("\\def\\tablerows{%\n")
    assert opening.count("word " * 59) == 6
    assert across.startswith("\\begin{table*}\n")
    assert r"\begin{longtable}" in alone
    assert across.count(r"\tablerows") == alone.count(r"\tablerows") == 1
    long = table(pd.concat([FRAME] * 40), "A caption", "tab:b", on_one_line)
    assert long.startswith("{\\")
    assert r"\begin{longtable}" in long
    assert "table*" not in long
    assert r"\label{tab:b}" in long


def test_columns_are_chosen(tmp_path: Path) -> None:
    names, brief = list(FRAME.columns), ("n", "λ_max")
    assert chosen(names, "brief", brief) == ["n", "λ_max"]
    assert chosen(names, "all", brief) == names
    assert chosen(names, "rule, in words; n", brief) == ["rule, in words", "n"]
    assert chosen(names, "n", brief) == ["n"]
    assert chosen(names, "of another table", brief) == ["n", "λ_max"]
    for wrong, words in (("m", "no table has the column 'm'"), (" ; ", "got none"), ("n; q", "'q'")):
        with pytest.raises(ValueError, match=words):
            check_columns(wrong, [FRAME])
    made = Table("paper/table-1", "A table", FRAME, FRAME, (), {}, brief)
    write([made], tmp_path, "command")
    assert " $n$ & " in (tmp_path / "paper/table_1.tex").read_text(encoding="utf-8")
    write([made], tmp_path, "command", columns="rule, in words;n")
    assert " rule, in words & $n$ \\\\" in (tmp_path / "paper/table_1.tex").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="expected brief, all, or some of: λ_max; rule, in words; n"):
        write([made], tmp_path, "command", columns="m")


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex (Debian: texlive-latex-base)")
def test_committed_tables_compile_and_fit_a_column(tmp_path: Path) -> None:
    """In two columns a page; the ledger, which is longer than a page, in one."""
    for options, names, widest in (
        ("twocolumn", ("scaling/table_1", "certified/table_2", "keskar2017/table_3"), 1.0),
        ("onecolumn", ("wen2023/claims",), 30.0),  # formulas longer than a line of their column
    ):
        tables = "\n".join((RESULTS / f"{name}.tex").read_text(encoding="utf-8") for name in names)
        head = f"\\documentclass[{options}]{{article}}\n\\usepackage{{amsmath,array,booktabs,longtable}}\n\\begin{{document}}\n"
        (tmp_path / "document.tex").write_text(f"{head}{tables}\n\\end{{document}}\n", encoding="utf-8")
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "document.tex"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120)
        log = done.stdout.decode(errors="replace")
        assert done.returncode == 0, log[-2000:]
        assert (tmp_path / "document.pdf").stat().st_size > 10_000
        assert max(map(float, re.findall(r"Overfull \\hbox \(([\d.]+)pt", log)), default=0) <= widest
        assert "Float too large" not in log


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex (Debian: texlive-latex-base)")
@pytest.mark.parametrize(("options", "overfull"), [("twocolumn", 4.0), ("onecolumn", 30.0)])
def test_all_tables_that_claim_to_fit_do(tmp_path: Path, options: str, overfull: float) -> None:
    """Those of the committed results, set anew: in two columns all but those that are longtables alone."""
    texts = []
    for path in sorted(RESULTS.glob("*/*.json")):
        entry = json.loads(path.read_text(encoding="utf-8"))
        if entry.get("kind") == "table":
            frame = pd.DataFrame(entry["table"]["rows"], columns=entry["table"]["columns"])
            columns = chosen(list(frame.columns), "brief", entry["table"]["brief"])
            texts.append(table(frame[columns], entry["title"], f"tab:{path.parent.name}-{path.stem}", on_one_line))
    usable = [text for text in texts if not text.startswith("{")]
    assert len(usable) >= 25
    body = "\n\\clearpage\n".join(usable if options == "twocolumn" else texts)
    head = f"\\documentclass[{options}]{{article}}\n\\usepackage{{amsmath,array,booktabs,longtable}}\n\\begin{{document}}\n"
    (tmp_path / "document.tex").write_text(f"{head}{body}\n\\end{{document}}\n", encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "document.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120)
    log = done.stdout.decode(errors="replace")
    assert done.returncode == 0, log[-2000:]
    assert "Float too large" not in log
    assert max(map(float, re.findall(r"Overfull \\hbox \(([\d.]+)pt", log)), default=0) <= overfull
