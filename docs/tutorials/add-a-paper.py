# %% [markdown]
# # Add a paper
#
# A paper has statements that are proved, and statements that are measured. The first go into the ledger as a function that checks them;
# the second become an experiment: what is printed, what is run, how it is judged, what is shown. Nothing of the project's own files is
# touched: all of it lies in a folder of yours. The paper, Doe (2030), is invented.
#
# ## A statement that is proved, or refuted
#
# Lemma 1 of the paper: *for a two-layer network without bias, f(x) = Σ_j v_j relu(w_j · x), scaling v by a > 0 and w by 1/a leaves the
# trace of the Hessian unchanged.* A statement is a function with `@claim`, which yields evidence. This one is wrong, and a refutation is
# a counterexample in exact numbers.

# %%
# %%writefile doe_claims.py
from collections.abc import Iterator

import sympy as sp

from flatproof.theory.claims import Evidence, claim, require


@claim("doe2030/lemma-1", printed="Scaling v by a > 0 and W by 1/a leaves the trace of the Hessian unchanged.")
def lemma_1() -> Iterator[Evidence]:
    """Rescaling layers at interpolation, where the trace is (2/n) sum_i ||grad f(x_i)||^2; one active neuron, one sample."""
    v, w, x, a = sp.symbols("v w x a", positive=True)
    trace = 2 * ((w * x) ** 2 + (v * x) ** 2)  # derivatives by v and by w
    scaled = trace.subs({v: a * v, w: w / a}, simultaneous=True)
    example = {v: 1, w: 1, x: 1, a: 2}
    before, after = trace.subs(example), scaled.subs(example)
    require(before != after, "the trace is the same at v = w = x = 1, a = 2")
    corrected = "It leaves the product |v| ||w||, and so the lower bound of the trace, unchanged."
    require(sp.simplify((a * v) * (w / a) - v * w) == 0, "the product changes")
    finding = f"v = w = x = 1, a = 2: the trace is {before} before and {after} after"
    yield Evidence("refuted", "exact example", "one neuron, one sample", finding, corrected, "statement", "substance")


# %%
# !flatproof claims doe_claims:

# %% [markdown]
# A check that fails (`require`) leaves the statement open, with the failure. A status is never typed: it is what the evidence supports.
#
# ## Statements that are measured
#
# For most papers a [study](own-experiment.md) is enough. One that is to be *judged* copies the template, five small files. We copy it and
# give it the paper's name:

# %%
from pathlib import Path

from flatproof.verify.experiments import _template

Path("doe2030").mkdir(exist_ok=True)
for source in sorted(Path(_template.__file__).parent.glob("*.py")):
    text = source.read_text(encoding="utf-8").replace("flatproof.verify.experiments._template", "doe2030")
    text = text.replace('ID = "template"', 'ID = "doe2030"').replace("A. Author: A title (2030)", "J. Doe: On learning rates (2030)")
    (Path("doe2030") / source.name).write_text(text, encoding="utf-8")
    print(f"{source.name:14} {text.splitlines()[0][3:90]}")

# %% [markdown]
# - `published.py`: what is printed, word by word, and its numbers.
# - `grid.py`: what is run, at the scales `smoke` (seconds), `quick` (minutes) and `paper` (as printed).
# - `rules.py`: when a statement counts as supported. Written before any run; that is what keeps the verdict honest.
# - `show.py`: tables and figures, from what is stored alone.
#
# Those that were copied train two-layer networks at two learning rates and compare trace and accuracy. You would put your own in their
# place.

# %%
# !flatproof reproduce doe2030:EXPERIMENT --scale quick --seeds 3

# %% [markdown]
# ## What is supported?
#
# At the larger learning rate the networks without bias diverge, which leaves both statements undecided, and the table says so. Numbers at
# a reduced size never settle a statement: the ledger leaves it open and says what was seen.

# %%
# !flatproof claims doe2030:EXPERIMENT

# %% [markdown]
# ## As a package
#
# A package of yours brings both by entry points. Once it is installed, `flatproof reproduce doe2030` and `flatproof claims
# doe2030/lemma-1` know them in any folder.

# %%
pyproject = """\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "doe-2030"
version = "1"

[project.entry-points."flatproof.experiments"]
doe2030 = "doe2030:EXPERIMENT"

[project.entry-points."flatproof.claims"]
doe2030 = "doe_claims"

[tool.setuptools]
packages = ["doe2030"]
py-modules = ["doe_claims"]
"""
written = Path("pyproject.toml").write_text(pyproject, encoding="utf-8")

# %% [markdown]
# `pip install -e .` is the usual way. Here it goes into a folder, `plugins`, so that your environment stays as it is:

# %%
# !pip install --quiet --no-deps --no-build-isolation --target plugins .
# !cd plugins && PYTHONPATH=.:$PYTHONPATH flatproof claims doe2030/lemma-1

# %% [markdown]
# [CONTRIBUTING](../contributing.md) lists everything that can be added so, and inside the project; [plug-ins](../how-to/plug-ins.md)
# shows each.
