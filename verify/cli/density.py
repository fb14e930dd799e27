"""Owns `flatproof density`: the spectral density of the Hessian of the user's own model, drawn."""

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
    say_files,
)
from flatproof.verify.cli.terminal import busy, refusing_bad_input


def density(
    model: Model,
    data: Data,
    weights: Weights = None,
    loss: Loss = "cross-entropy",
    probes: Annotated[int, typer.Option(help="Random directions.")] = 8,
    steps: Annotated[int, typer.Option(help="Products for each.")] = 40,
    width: Annotated[
        float | None,
        typer.Option(help="Of the smoothing, in eigenvalues; default: their range over the steps.", show_default=False),
    ] = None,
    parameters: Parameters = None,
    mode: Mode = "eval",
    samples: Samples = None,
    batch_size: BatchSize = 500,
    dtype: Dtype = None,
    seed: Annotated[int, typer.Option(help="Of the random directions.")] = 0,
    entry: Entry = None,
    prefix: Prefix = None,
    out: Folder = Path(),
    name: Name = "density",
) -> None:
    """Draw how the eigenvalues of your model's Hessian are spread, with intervals, and the largest of them."""
    with refusing_bad_input():
        check_name(name)
        check_writable(out)

        from flatproof.verify.curvature import HessianOperator, lambda_max, spectral_density
        from flatproof.verify.curvature.shared import sharing
        from flatproof.verify.pictures import spectral_curve
        from flatproof.verify.pictures.saving import check_free, save_picture

        check_free(out, name)
        problem = own_problem(
            model, data, weights, loss, dtype, entry, prefix,
            parameters=parameters, mode=mode, samples=samples, batch_size=batch_size,
        )  # fmt: skip
        with busy("measuring", quiet=False):
            operator = HessianOperator.of(problem)
            with sharing(problem):  # the first direction's Krylov space is that of lambda_max
                spread = spectral_density(operator, probes=probes, steps=steps, width=width, seed=seed)
                largest = lambda_max(operator, seed=seed)
            axes = spectral_curve.draw_density(spread, largest)
        numbers = spectral_curve.density_numbers(spread)
        say_files(save_picture(axes, numbers, out, name, "Spectral density of the Hessian", made_by()))
