# %% [markdown]
# # Which sharpness tracks the error of your checkpoints?
#
# You have a sweep: checkpoints, and the test error of each. Does any definition of sharpness order them as their errors do? Here the
# sweep is sixteen small networks, trained in a cell; yours would be a folder that is already there.

# %%
# %%writefile net.py
import torch


def make():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(10, 48), torch.nn.ReLU(), torch.nn.Linear(48, 2))


# %%
import csv
from itertools import product
from pathlib import Path

import numpy as np
import torch
from net import make
from torch.nn.functional import cross_entropy

torch.set_num_threads(1)
generator = torch.Generator().manual_seed(0)
x = torch.randn(2120, 10, generator=generator)
y = (x[:, 0] * x[:, 1] + 0.3 * x[:, 2] > 0).long()
(x, test_x), (y, test_y) = (x[:120], x[120:]), (y[:120], y[120:])
np.savez("train.npz", x=x.numpy(), y=y.numpy())

Path("checkpoints").mkdir(exist_ok=True)
errors = []
for lr, batch, decay in product((0.02, 0.05, 0.1, 0.2), (5, 60), (0.0, 0.01)):
    model = make()
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, weight_decay=decay)
    torch.manual_seed(1)
    for _ in range(80):
        for chosen in torch.randperm(len(x)).split(batch):
            optimizer.zero_grad()
            cross_entropy(model(x[chosen]), y[chosen]).backward()
            optimizer.step()
    name = f"lr{lr}_batch{batch}_decay{decay}.pt"
    torch.save(model.state_dict(), Path("checkpoints") / name)
    wrong = (model(test_x).argmax(1) != test_y).float().mean().item()
    train_wrong = (model(x).argmax(1) != y).float().mean().item()
    errors.append((name, round(wrong, 4), round(wrong - train_wrong, 4), f"batch {batch}"))

with open("errors.csv", "w", newline="", encoding="utf-8") as file:
    csv.writer(file).writerows([("checkpoint", "test error", "gap", "group"), *errors])

# %% [markdown]
# `errors.csv` has a row a checkpoint: its file's name, any columns of numbers, and a `group` if there are groups within which to compare.

# %%
# !head -4 errors.csv

# %% [markdown]
# ## Correlate

# %%
# !flatproof correlate --checkpoints checkpoints --errors errors.csv --model net:make --data train.npz --measures lambda-max,trace,sam,adaptive-worst-linf

# %% [markdown]
# τ is Kendall's rank correlation: 1 if sharper checkpoints always have the larger error, 0 for no relation. Its interval is a bootstrap
# over checkpoints; the table says beside it how far from 0 chance alone reaches for so many checkpoints. With sixteen, that is far: a τ
# of 0.3 says nothing.
#
# Tables and scatter plots lie below `correlation/`. What was measured is stored: another measure, another column of errors, and only what
# is new is computed.

# %%
from IPython.display import Image

scatter = sorted(Path("correlation").rglob("*.png"))[0]
Image(filename=str(scatter), width=700)

# %% [markdown]
# ## What to be careful with
#
# - Compare networks at a similar training loss. With cross-entropy, networks that are fitted better have a smaller λ_max and SAM
#   sharpness for that reason alone. Here the networks with the larger SAM sharpness have the larger test error and the *smaller* gap:
#   they are the ones that were fitted least.
# - A correlation over all checkpoints may be that of a hyper-parameter, which moves both. The groups show it.
# - Unnormalized measures change when layers are rescaled and the function is not; `adaptive-…` do not. [The glossary](../background/glossary.md) has
#   the definitions.
#
# Checkpoints of timm, Lightning and transformers are read too: [your own model](../background/sharpness.md).
