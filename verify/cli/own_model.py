"""Owns the options by which commands that draw are told of a user's own model and data, and the problem that they make."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flatproof.verify.cli.terminal import say

if TYPE_CHECKING:
    from torch import Tensor

    from flatproof.verify.curvature import Problem

Model = Annotated[
    str, typer.Option(help="module:function that returns the torch.nn.Module, timm:NAME, or transformers:AutoClass.")
]
Data = Annotated[str, typer.Option(help="FILE.npz or FILE.pt with x and y, or module:function that yields batches (x, y).")]
Weights = Annotated[Path | None, typer.Option(help="Checkpoint, as flatproof correlate reads them; the model's own if none.")]
Loss = Annotated[str, typer.Option(help="mse, cross-entropy, or module:function of outputs and targets.")]
Parameters = Annotated[str | None, typer.Option(help="Names or prefixes separated by commas; all if none.", show_default=False)]
Mode = Annotated[str, typer.Option(help="eval or train, as for flatproof sharpness.")]
Samples = Annotated[int | None, typer.Option(help="Only the first N samples.", show_default=False)]
BatchSize = Annotated[int, typer.Option(help="Samples a pass, of data in a file.")]
Dtype = Annotated[str | None, typer.Option(help="float32 or float64; default: the model's.", show_default=False)]
Folder = Annotated[Path, typer.Option("--out", help="Where the picture goes, as PNG and PDF with its numbers as CSV.")]
Name = Annotated[str, typer.Option(help="Of the files.")]


def own_problem(
    model: str, data: str, weights: Path | None, loss: str, dtype: str | None, entry: str | None, prefix: str | None,
    *, parameters: str | None, mode: str, samples: int | None, batch_size: int,
) -> "Problem":  # fmt: skip
    """The problem that the options of the same names make; ValueError naming the one that does not fit."""
    from flatproof.verify.curvature.user_model import build_problem, fit_data, load_data, load_loss, load_model

    network = load_model(model, weights, dtype, entry, prefix)
    batches = fit_data(load_data(data, batch_size, samples), network, loss)
    chosen = None if parameters is None else [name.strip() for name in parameters.split(",") if name.strip()]
    return build_problem(network, load_loss(loss), batches, mode, chosen)


def own_states(
    model: str, checkpoints: Sequence[Path], dtype: str | None, entry: str | None, prefix: str | None
) -> "list[dict[str, Tensor]]":
    """The state dicts of checkpoints; ValueError naming the one that does not fit the model."""
    from flatproof.verify.curvature.user_model import load_model

    return [
        {name: tensor.detach().clone() for name, tensor in loaded.state_dict().items()}
        for loaded in (load_model(model, path, dtype, entry, prefix, "--checkpoints") for path in checkpoints)
    ]


def same_weights(checkpoints: Sequence[Path], states: "Sequence[dict[str, Tensor]]") -> list[str]:
    """A line for each checkpoint that holds what an earlier one holds."""
    lines = []
    for k, state in enumerate(states):
        twin = next((i for i, old in enumerate(states[:k]) if all(state[name].equal(value) for name, value in old.items())), None)
        if twin is not None:
            lines.append(f"{checkpoints[k]} holds the same weights as {checkpoints[twin]}: the picture has one point for both")
    return lines


def check_name(name: str) -> None:
    """ValueError unless files can be called so."""
    if not name or Path(name).name != name or name.startswith("."):
        raise ValueError(f"--name must be a plain name without folders, got {name!r}")


def made_by() -> dict[str, str]:
    """The command line, for the provenance of what it writes."""
    return {"command": shlex.join(["flatproof", *sys.argv[1:]])}


def say_files(files: Sequence[Path]) -> None:
    """Name what was written, a line each."""
    for file in files:
        say(str(file))
