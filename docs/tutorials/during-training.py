# %% [markdown]
# # Measure sharpness during training
#
# Full-batch gradient descent is said to raise the largest eigenvalue of the Hessian, λ_max, until it is about 2 divided by the learning
# rate, where the step would become unstable. We train a small network at two learning rates, record λ_max and the trace along the way,
# and look.

# %%
import torch
from matplotlib import pyplot
from torch.nn.functional import mse_loss

from flatproof.verify.curvature.during import Recorder, read_rows

torch.set_num_threads(1)
generator = torch.Generator().manual_seed(0)
x = torch.randn(100, 10, generator=generator)
y = torch.sign(x[:, :1] * x[:, 1:2])


def network():
    torch.manual_seed(1)
    layers = torch.nn.Linear(10, 40), torch.nn.Tanh(), torch.nn.Linear(40, 40), torch.nn.Tanh(), torch.nn.Linear(40, 1)
    return torch.nn.Sequential(*layers)


# %% [markdown]
# ## Record
#
# A `Recorder` takes the model, its loss, the data that sharpness is measured on, and the names of measures. `recorder.step()` after each
# step of the optimizer is all that the loop needs. `every=25` asks for a measurement every 25 steps.
#
# `budget=0.1`, the default, allows one second of measuring for ten seconds of training; what does not fit is skipped, and counted. These
# steps take less than a millisecond, so here we want every measurement: `budget=None`.


# %%
def train(lr, steps=1000):
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    file = f"lr_{lr}.csv"
    with Recorder(model, mse_loss, (x, y), ["lambda-max", "trace"], every=25, budget=None, file=file) as recorder:
        recorder.measure()  # before the first step
        for _ in range(steps):
            optimizer.zero_grad()
            mse_loss(model(x), y).backward()
            optimizer.step()
            recorder.step()
    return read_rows(file)


recorded = {lr: train(lr) for lr in (0.1, 0.3)}

# %% [markdown]
# The training goes on bit for bit as it would without the recorder: weights, gradients, batch-norm statistics and random states are put
# back after each measurement.
#
# ## Read
#
# Each row holds a measured number with its interval, what it cost, and the loss at that step. The CSV file can be read with anything.

# %%
for row in [*recorded[0.3][:3], *recorded[0.3][-3:]]:
    print(f"step {row.step}: {row.measure} = {row.value:.4g} in [{row.low:.4g}, {row.high:.4g}], {row.products} products")

# %% [markdown]
# ## Draw

# %%
figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
for color, (lr, rows) in zip(("tab:blue", "tab:orange"), recorded.items(), strict=True):
    for axes, measure in ((left, "lambda-max"), (right, "trace")):
        chosen = [row for row in rows if row.measure == measure]
        steps = [row.step for row in chosen]
        axes.plot(steps, [row.value for row in chosen], "o-", color=color, markersize=3, label=f"learning rate {lr}")
        axes.fill_between(steps, [row.low for row in chosen], [row.high for row in chosen], color=color, alpha=0.2)
    left.axhline(2 / lr, color=color, linestyle=":")
left.set(xlabel="step", title="λ_max; dotted: 2 / learning rate")
right.set(xlabel="step", title="trace of the Hessian")
left.legend()
pyplot.show()

# %% [markdown]
# At both learning rates λ_max rises past 2 divided by the learning rate and settles there: the smaller step ends in the sharper network.
#
# The bands are the intervals: that of λ_max holds with probability 99.5 % over the random start of Lanczos' method, that of the trace
# with 95 % over its random vectors. What the trace costs and how wide its interval is can be set: `settings={"trace": {"products": 20}}`.
#
# ## Where next
#
# The same in Lightning and in transformers' Trainer is one callback: [the how-to page](../how-to/during-training.md). Other measures:
# `flatproof sharpness` lists them all; [a page](../background/sharpness.md) says what they rest on.
