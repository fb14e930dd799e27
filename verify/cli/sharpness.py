"""Owns `flatproof sharpness`: every definition of sharpness of the user's own model."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flatproof.verify.cli.options import AsJson, Entry, Prefix, check_at_least_one
from flatproof.verify.cli.terminal import busy, print_grid, refusing_bad_input, say

if TYPE_CHECKING:
    from flatproof.verify.cli.measuring import Row
    from flatproof.verify.curvature import Problem


def sharpness(
    model: Annotated[
        str,
        typer.Option(
            help="module:function that returns the torch.nn.Module, timm:NAME, transformers:AutoClass, or a folder of transformers."
        ),
    ],
    data: Annotated[
        str, typer.Option(help="FILE .npz, .pt or .safetensors with x and y, or module:function that yields batches (x, y).")
    ],
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Checkpoint of torch, Lightning, DDP or timm, .safetensors, .npz, or a folder of transformers; the model's own if none."
        ),
    ] = None,
    loss: Annotated[str, typer.Option(help="mse, cross-entropy, or module:function of outputs and targets.")] = "cross-entropy",
    measures: Annotated[
        str | None, typer.Option(help="Names, or module:object, separated by commas; all if none.", show_default=False)
    ] = None,
    parameters: Annotated[
        str | None, typer.Option(help="Names or prefixes separated by commas; all if none.", show_default=False)
    ] = None,
    per_layer: Annotated[bool, typer.Option("--per-layer", help="Each layer's own parameters in turn.")] = False,
    mode: Annotated[
        str, typer.Option(help="eval or train: batch norm and dropout as there, frozen, statistics untouched.")
    ] = "eval",
    samples: Annotated[int | None, typer.Option(help="Only the first N samples.", show_default=False)] = None,
    batch_size: Annotated[int, typer.Option(help="Samples a pass, of data in a file.")] = 500,
    m: Annotated[int | None, typer.Option("--m", help="Batch size of the m-sharpness measures; default: the passes'.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", metavar="MEASURE.SETTING=VALUE", help="Repeatable.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32 or float64; default: the model's.", show_default=False)] = None,
    seed: Annotated[int, typer.Option(help="Of probes, starts and draws.")] = 0,
    entry: Entry = None,
    prefix: Prefix = None,
    threads: Annotated[int, typer.Option(help="Threads of torch; more pay for large models alone.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Measure the sharpness of a model, every definition with its interval and what it cost."""
    from flatproof.verify.cli.measuring import measure_all, table
    from flatproof.verify.curvature.user_model import (
        build_problem,
        fit_data,
        layers,
        load_data,
        load_loss,
        load_with_words,
        of_saved_folder,
    )
    from flatproof.verify.utils.threads import limited_threads

    with refusing_bad_input():
        check_at_least_one("--threads", threads)
        if per_layer and parameters is not None:
            raise ValueError("--per-layer measures every layer; expected --parameters or --per-layer, not both")
        model, weights = of_saved_folder(model, weights)
        (network, others, matched), criterion = load_with_words(model, weights, dtype, entry, prefix), load_loss(loss)
        batches = fit_data(load_data(data, batch_size, samples), network, loss)
        rows: list[Row] = []
        with limited_threads(threads), busy("measuring", quiet=as_json):
            problem = build_problem(network, criterion, batches, mode, _listed(parameters))
            parts: list[tuple[str | None, Problem]] = [(None, problem)]
            if per_layer:
                parts = [(layer, build_problem(network, criterion, batches, mode, own)) for layer, own in layers(network).items()]
            for layer, part in parts:
                rows += measure_all(part, _listed(measures), seed=seed, batch_size=m, settings=settings, layer=layer)
    if as_json:
        about = {"weights": f"{weights}: {matched}"} if matched else {}
        print(json.dumps([row.as_dict() | about for row in rows]))
        return
    if matched:
        say(f"{weights}: {matched}")
    if others:
        say(f"{weights} also holds {', '.join(others)}; --entry {others[0]} measures that")
    title = f"{problem.size:,} parameters, {problem.samples:,} samples, {loss}, {mode} mode"
    print_grid(table(rows, title), width=150)


def _listed(text: str | None) -> list[str] | None:
    """The names in a text, separated by commas; None for None."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]
