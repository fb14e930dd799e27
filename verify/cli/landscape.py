"""Owns `flatproof landscape`: the loss of the user's own model on lines and planes, drawn."""

from pathlib import Path
from typing import Annotated

import typer

from flatproof.verify.cli.options import Entry, Prefix, check_writable
from flatproof.verify.cli.own_model import (
    BatchSize,
    Data,
    Dtype,
    Folder,
    Loss,
    Mode,
    Model,
    Name,
    Parameters,
    Samples,
    Weights,
    check_name,
    made_by,
    own_problem,
    own_states,
    same_weights,
    say_files,
)
from flatproof.verify.cli.terminal import busy, refusing_bad_input, say


def landscape(
    model: Model,
    data: Data,
    weights: Weights = None,
    checkpoints: Annotated[
        list[Path] | None,
        typer.Option(help="Repeatable, in order: draw along these instead of random directions.", show_default=False),
    ] = None,
    loss: Loss = "cross-entropy",
    dimensions: Annotated[int, typer.Option(help="1: lines; 2: a plane.")] = 1,
    reach: Annotated[float, typer.Option(help="Random directions: how far, over the length of each filter.")] = 1.0,
    points: Annotated[
        int | None,
        typer.Option(
            help="Positions on an axis, or from a checkpoint to the next; default 41, 21; a plane: 25.", show_default=False
        ),
    ] = None,
    directions: Annotated[int, typer.Option(help="Random lines.")] = 5,
    scaling: Annotated[str, typer.Option(help="Of random directions: filter (Li et al. 2018), parameter or none.")] = "filter",
    beyond: Annotated[float, typer.Option(help="How far a line goes on beyond the first and last checkpoint.")] = 0.0,
    parameters: Parameters = None,
    mode: Mode = "eval",
    samples: Samples = None,
    batch_size: BatchSize = 500,
    dtype: Dtype = None,
    seed: Annotated[int, typer.Option(help="Of the random directions.")] = 0,
    entry: Entry = None,
    prefix: Prefix = None,
    out: Folder = Path(),
    name: Name = "landscape",
) -> None:
    """Draw the loss around your model: along random directions, or along checkpoints."""
    with refusing_bad_input():
        if dimensions not in (1, 2):
            raise ValueError(f"--dimensions must be 1 or 2, got {dimensions}")
        if checkpoints and weights is not None:
            raise ValueError("checkpoints bring their own weights; expected --weights or --checkpoints, not both")
        check_name(name)
        check_writable(out)

        from flatproof.verify.curvature import slices
        from flatproof.verify.pictures import loss_surface
        from flatproof.verify.pictures.saving import check_free, save_picture

        check_free(out, name)
        problem = own_problem(
            model, data, checkpoints[-1] if checkpoints else weights, loss, dtype, entry, prefix,
            parameters=parameters, mode=mode, samples=samples, batch_size=batch_size,
        )  # fmt: skip
        given = {} if points is None else {"points": points}
        random = {"reach": reach, "scaling": scaling, "seed": seed, **given}
        states = own_states(model, checkpoints, dtype, entry, prefix) if checkpoints else None
        for remark in same_weights(checkpoints or [], states or []):
            say(remark)
        with busy("measuring", quiet=False):
            if dimensions == 1:
                if states is None:
                    line = slices.random_line(problem, directions=directions, **random)  # type: ignore[arg-type]
                else:
                    line = slices.path_line(problem, states, beyond=beyond, **given)
                axes, numbers = loss_surface.draw_line(line), loss_surface.line_numbers(line)
            else:
                plane = slices.random_plane(problem, **random) if states is None else slices.path_plane(problem, states, **given)  # type: ignore[arg-type]
                axes, numbers = loss_surface.draw_plane(plane), loss_surface.plane_numbers(plane)
        say_files(save_picture(axes, numbers, out, name, "The loss around a model", made_by()))
