# %% [markdown]
# # Your own experiment with five seeds: table, interval, figure, page
#
# A question of our own: on a few points, does SAM with one sample a step find flatter networks than SGD, and do they generalize better?
# It takes a function that measures once, a grid of settings, and a number of seeds.
#
# ## The study
#
# The function takes one setting by name, and `seed`; it returns numbers by name. The grid lists values, of which all combinations are
# run.

# %%
# %%writefile mine.py
from flatproof import DataSpec, Phase, Run, Study, train


def measure(rho: float, architecture: str, seed: int) -> dict[str, float]:
    data = DataSpec("parity", seed, {"d": 10, "n": 40})  # y = x[1] x[2] on random points of {-1, 1}^10
    run = Run(architecture, (Phase(lr=0.01, rho=rho, epochs=2000),), data, width=50, seed=seed)
    result = train(run)
    return {name: result.final(name) for name in ("trace", "test_accuracy", "train_loss")}


experiment = Study(
    "sam-or-sgd",
    measure,
    {"rho": [0.0, 0.05, 0.1], "architecture": ["no-bias", "bias"]},
    seeds=5,
    limits={"test_accuracy": (0, 1)},  # where intervals end
    question="Does SAM with one sample a step find flatter networks, and do they generalize better?",
)


@experiment.figure
def flatness_and_accuracy(rows, axes):
    """Flatter is not always better: a point a run."""
    for architecture, group in rows.groupby("architecture"):
        axes.plot(group["trace"], group["test_accuracy"], "o", label=architecture)
    axes.set(xlabel="trace of the Hessian", ylabel="test accuracy", xscale="log")
    axes.legend(frameon=False)


# %% [markdown]
# ## Run it
#
# Any file of yours is named `module:object`. What is stored is not run again: stop it at any moment and start it anew.

# %%
# !flatproof reproduce mine:experiment

# %% [markdown]
# In `paper_results/sam-or-sgd` now lie the table (Markdown, CSV, LaTeX), the figures (PNG, PDF) and a page, `index.html`. Each says which
# command, versions and machine made it.

# %%
# !ls paper_results/sam-or-sgd

# %% [markdown]
# ## The same from Python
#
# `run` gives a row a measurement; all of them are stored by now. `table` averages over the seeds, with Student's t intervals, and `plot`
# draws.

# %%
# %matplotlib inline
from mine import experiment

from flatproof import plot, table

rows = experiment.run()
table(rows)

# %%
plot(rows, x="rho", lines="architecture")

# %% [markdown]
# An interval over five seeds is wide: it is as wide as five seeds allow. To compare two settings, average the *difference within a seed*,
# since both start from the same data and weights:

# %%
pairs = rows.pivot(index=["architecture", "seed"], columns="rho", values="test_accuracy")
difference = (pairs[0.1] - pairs[0.0]).rename("accuracy gained by SAM").reset_index()
table(difference, settings=["architecture"])

# %% [markdown]
# ## More seeds, more settings
#
# `flatproof reproduce mine:experiment --seeds 20` runs the fifteen seeds that are missing. A setting added to the grid runs alone. A
# change of the function's code, or of what it calls in your own files, runs everything anew, since its results may differ: what is stored
# is found by the content of the settings and the code.
#
# `flatproof report mine:experiment` makes tables and figures again from what is stored. A function that diverges may raise
# `flatproof.Diverged`: the table counts it as missing.
