"""Owns `flatproof train`: one network on parity data or the user's own points."""

import json
import math
from pathlib import Path
from typing import Annotated

import typer

from flatproof.verify.cli.options import AsJson, Labels
from flatproof.verify.cli.points import own_data
from flatproof.verify.cli.terminal import refusing_bad_input, say, warn
from flatproof.verify.utils.table_files import name_of


def train(
    architecture: Annotated[str, typer.Option(help="no-bias, bias, sim-bn or sim-ln.")],
    lr: Annotated[float, typer.Option(help="Step size.")] = 0.01,
    rho: Annotated[float, typer.Option(help="Radius of SAM's perturbation; 0 is SGD.")] = 0.05,
    perturbed: Annotated[str, typer.Option(help="What SAM moves: all, first layer, or above it.")] = "all",
    epochs: Annotated[int, typer.Option(help="Passes over the training set.")] = 1000,
    batch_size: Annotated[int, typer.Option(help="Samples a step.")] = 1,
    weight_decay: Annotated[float, typer.Option(help="Adds this multiple of the parameters to the gradient.")] = 0.0,
    label_noise: Annotated[float, typer.Option(help="Standard deviation of fresh noise on each label.")] = 0.0,
    first_layer_norm: Annotated[
        float | None,
        typer.Option(help="Norm of the first layer, weights and biases together, kept after each step.", show_default=False),
    ] = None,
    trace_penalty: Annotated[float, typer.Option(help="Adds this multiple of the trace at interpolation to the loss.")] = 0.0,
    smoothing: Annotated[
        float | None,
        typer.Option(help="Logistic loss with this label smoothing in place of the mean squared error.", show_default=False),
    ] = None,
    activation: Annotated[str, typer.Option(help="relu or softplus.")] = "relu",
    depth: Annotated[int, typer.Option(help="Layers, 2 or 3.")] = 2,
    width: Annotated[int, typer.Option(help="Neurons.")] = 500,
    seed: Annotated[int, typer.Option(help="Of the data, the initialization, the order and the noise.")] = 0,
    d: Annotated[int | None, typer.Option("--d", help="Dimension of the parity data; default: 30.", show_default=False)] = None,
    n: Annotated[
        int | None, typer.Option("--n", help="Training points of the parity data; default: 100.", show_default=False)
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Your own points, a row a point, the label last: CSV, .npy, .npz, parquet, or -.")
    ] = None,
    test: Annotated[Path | None, typer.Option(help="File of test points alike; test error is measured on them alone.")] = None,
    labels: Labels = "auto",
    engine: Annotated[str, typer.Option(help="fused or reference.")] = "fused",
    dtype: Annotated[str, typer.Option(help="float32 or float64.")] = "float32",
    as_json: AsJson = False,
) -> None:
    """Train one network on parity data or your own points, and print what is measured along the way."""
    from flatproof.theory.losses import MSE, Loss
    from flatproof.verify.two_layer.settings import DataSpec, Phase
    from flatproof.verify.two_layer.training import Run
    from flatproof.verify.two_layer.training import train as train_run

    with refusing_bad_input():
        phase = Phase(lr, epochs, rho, batch_size, weight_decay, label_noise, first_layer_norm, trace_penalty, perturbed)  # type: ignore[arg-type]  # checked there
        spec = DataSpec("parity", seed, {"d": 30 if d is None else d, "n": 100 if n is None else n})
        loss = MSE if smoothing is None else Loss("logistic", smoothing)
        run = Run(
            architecture,
            (phase,),
            spec,
            width=width,
            seed=seed,
            dtype=dtype,
            engine=engine,
            loss=loss,
            activation=activation,
            depth=depth,
        )
        if data is None and test is not None:
            raise ValueError("--test needs --data; expected both or neither")
        if data is None and labels != "auto":
            raise ValueError("--labels says what the labels of --data are; expected both or neither")
        if data is not None and (d is not None or n is not None):
            raise ValueError(f"--{'n' if d is None else 'd'} is of the parity data; expected --data or it, not both")
        own = None if data is None else own_data(data, test, labels)
        if own is not None:
            own.check_largest(dtype)
        points = spec.build() if own is None else own.data

    notes = [] if own is None else own.notes
    for line in [] if as_json else notes:
        say(line)

    def show(epoch: int, values: dict[str, float]) -> None:
        if not as_json:
            say(f"epoch {epoch:>8,}  " + "  ".join(f"{name} {value:.4g}" for name, value in values.items()))

    with refusing_bad_input():
        result = train_run(run, points, show)
    if as_json:
        settings = run.settings()
        if data is not None:
            settings["data"] = {"file": name_of(data), "test": test and name_of(test), "labels": points.labels, **points.settings}
            settings["data"] |= {"notes": notes} if notes else {}
        outcome = {k: getattr(result, k) for k in ("status", "curve", "lower_bound", "diverged_at", "diverged_step", "seconds")}
        if math.isnan(result.lower_bound):  # JSON has no NaN
            outcome["lower_bound"] = None
        print(json.dumps(outcome | {"settings": settings}))
    if result.status == "diverged":
        warn(f"training diverged in step {result.diverged_step:,} (epoch {result.diverged_at:,}); a smaller --lr may not")
        raise typer.Exit(1)
    if as_json:
        return
    bound = "–" if math.isnan(result.lower_bound) else f"{result.lower_bound:.6g}"
    say(
        f"trace {result.final('trace'):.6g} at training loss {result.final('train_loss'):.3g}, "
        f"lower bound {bound} for networks that interpolate, {result.seconds:.1f} s"
    )
