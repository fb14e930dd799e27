"""Owns `flatproof draw`: the flattest function of the user's own points, and the range of those nearly as flat, drawn."""

from pathlib import Path
from typing import Annotated

import typer

from flatproof.verify.cli.options import Labels, check_at_least_one, check_writable
from flatproof.verify.cli.own_model import Folder, made_by, say_files
from flatproof.verify.cli.points import own_data
from flatproof.verify.cli.terminal import busy, refusing_bad_input, say
from flatproof.verify.utils.errors import UserError


def draw(
    file: Annotated[Path, typer.Argument(metavar="FILE.csv", help="Your points: one or two coordinates, the label last.")],
    architecture: Annotated[str, typer.Option(help="no-bias, bias or sim-bn.")] = "bias",
    kinks: Annotated[
        str, typer.Option(help="differentiable, or relu'(0)=0: whether samples may sit on kinks.")
    ] = "differentiable",
    within: Annotated[
        float, typer.Option(help="Ranges are over all networks whose trace is this near the flattest, relative.")
    ] = 0.01,
    ranges: Annotated[bool, typer.Option(help="Whether ranges of predictions are computed: a proof at each position.")] = True,
    points: Annotated[
        int | None,
        typer.Option(help="Positions on an axis for the ranges; default 61 on a line, 15 on a plane.", show_default=False),
    ] = None,
    labels: Labels = "auto",
    limit: Annotated[int, typer.Option(help="The most activation patterns to list.")] = 200_000,
    out: Folder = Path(),
) -> None:
    """Draw the flattest function that fits your points, its kinks, and what all functions nearly as flat predict."""
    from flatproof.verify.utils.checks import check_number, check_whole

    with refusing_bad_input():
        check_at_least_one("--limit", limit)
        check_number("--within", within, 0)
        if points is not None:
            check_whole("--points", points, 2)
        own = own_data(file, None, labels)
        data = own.data
        for line in own.notes:
            say(line)
        if data.x.shape[1] > 2:
            raise ValueError(f"{file} has points of {data.x.shape[1]} coordinates; expected one or two, and the label")
        own.check_sizes()
        check_writable(out)

        from flatproof import theory
        from flatproof.verify.pictures import flattest_function as pictures
        from flatproof.verify.pictures.saving import check_free, save_picture

        stem = f"{file.stem}.{architecture}"
        for kind in ("function", "range"):
            check_free(out, f"{stem}.{kind}")
        try:
            with busy("solving", quiet=False), own.solving():
                solution = theory.flattest(data.x, data.y, architecture, kinks, limit)
                sampled = pictures.sample(solution, within=within if ranges else None, points=points)
        except ArithmeticError as error:
            raise UserError(f"{file}: {error}") from error
        numbers = pictures.flattest_numbers(sampled)
        title = f"The flattest function of {file.name}"
        files = save_picture(pictures.draw_flattest(sampled), numbers, out, f"{stem}.function", title, made_by())
        if ranges and sampled.dimension == 2:
            title = f"Ranges of predictions nearly as flat, {file.name}"
            files += save_picture(pictures.draw_range(sampled), numbers, out, f"{stem}.range", title, made_by())
        say_files(files)
