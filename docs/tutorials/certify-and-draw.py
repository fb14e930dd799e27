# %% [markdown]
# # Certify and draw a 2-D data set
#
# For two-layer ReLU networks the flattest network that interpolates given points is the solution of a convex program. We compute it for a
# few points of the plane, with a proof, and ask what *all* networks that are nearly as flat predict elsewhere.
#
# ## The points
#
# A row a point, the label last.

# %%
import numpy as np

corners = [[-1, -1], [-1, 1], [1, -1], [1, 1]]
points = np.array([*corners, [0.4, 0.5], [-0.5, 0.3], [-0.3, -0.5], [0.5, -0.4]])
labels = np.sign(points[:, 0] * points[:, 1])
fresh = np.array([[0.7, 0.6], [-0.6, 0.7], [0.1, -0.6], [-0.2, -0.1], [1.2, 0.5]])
np.savetxt("points.csv", np.column_stack([points, labels]), delimiter=",", fmt="%g")
np.savetxt("fresh.csv", np.column_stack([fresh, np.sign(fresh[:, 0] * fresh[:, 1])]), delimiter=",", fmt="%g")

# %% [markdown]
# ## Certify

# %%
# !flatproof certify points.csv --architecture bias --test fresh.csv

# %% [markdown]
# The trace is that of the Hessian of the training loss. The lower bound is proved in rational numbers: no interpolating network of the
# architecture, of any width, lies below. The ranges are over all networks whose trace is within `--within` of the flattest, a millionth
# unless told otherwise.
#
# The certificate holds all that a proof needs. Its checker uses Python's standard library alone, and is given the points themselves:

# %%
from pathlib import Path

from flatproof.theory import check_certificate

certificate = next(Path().rglob("*certificate*.json"))
checker = check_certificate.__file__

# %%
# !python {checker} --data points.csv {certificate}

# %% [markdown]
# ## In Python, and drawn
#
# `theory.flattest` is the same solver. `draw_flattest` draws the function of a flattest network on the plane; each dot is a point with
# its label.

# %%
from matplotlib import pyplot

from flatproof import theory
from flatproof.verify.pictures import draw_flattest, flattest_function

solution = theory.flattest(points, labels, architecture="bias")
print(f"trace {solution.trace:.6g}, at least {solution.lower_bound:.6g}, {solution.network.width} neurons")
sampled = flattest_function.sample(solution, within=None)
figure, axes = pyplot.subplots(figsize=(5, 4), layout="constrained")
draw_flattest(sampled, axes)
pyplot.show()

# %% [markdown]
# ## How far can networks nearly as flat differ?
#
# Along a line through the plane, over all networks whose trace is at most 1 % above the flattest:

# %%
line = np.column_stack([np.linspace(-1, 1, 15), np.full(15, 0.5)])
ranges = solution.prediction_range(line, within=0.01)
figure, axes = pyplot.subplots(figsize=(6, 3), layout="constrained")
axes.fill_between(line[:, 0], np.maximum(ranges.low, -4), np.minimum(ranges.high, 4), alpha=0.3, label="all networks within 1 %")
axes.plot(line[:, 0], theory.forward(solution.network, line, points), label="a flattest network")
axes.set(xlabel="x[1], at x[2] = 0.5", ylabel="prediction", ylim=(-4, 4))
axes.legend()
pyplot.show()
print(f"{int(ranges.certified.sum())} of {len(line)} ranges are proved in rational numbers")

# %% [markdown]
# Where the band crosses zero, flatness alone does not determine the class. Outside the hull of the points, with a bias, it determines
# nothing: a neuron that is active there alone costs no trace, and the band has no end.
#
# ## Where next
#
# [The flattest network itself](../background/flattest.md) says how it works and what was certified; `flatproof draw` and
# [pictures](../how-to/pictures.md) draw as a command.
