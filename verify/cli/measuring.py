"""Owns what `flatproof sharpness` reads and prints: a model, its weights, data and a loss in; a table of measures out."""

import importlib
import inspect
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.table import Table as Grid
from rich.text import Text
from torch import Tensor, nn

from flatproof.verify.curvature.estimates import Estimate
from flatproof.verify.curvature.problem import Problem
from flatproof.verify.curvature.sharpness import Measure, select
from flatproof.verify.curvature.sharpness.hessian import operator_of
from flatproof.verify.utils.checks import check_one_of, check_whole

LOSSES = ("mse", "cross-entropy")
Batch = tuple[Any, Any]


@dataclass(frozen=True)
class Row:
    """A measure with its estimate, or with the reason why there is none."""

    measure: Measure
    estimate: Estimate | None
    reason: str = ""
    layer: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the measure's name, formula and invariance, and the estimate's fields."""
        m = self.measure
        about = {"measure": m.name, "formula": m.formula, "definition": m.source, "invariant_to": m.invariant}
        if self.layer is not None:
            about = {"layer": self.layer} | about
        return about | ({"error": self.reason} if self.estimate is None else self.estimate.as_dict())


def named_object(spec: str, option: str) -> Callable[..., Any]:
    """What `module:function` names, with the current folder on the path; ValueError naming the option otherwise."""
    module, _, attribute = spec.partition(":")
    if not module or not attribute:
        raise ValueError(f"{option} must be module:function, got {spec!r}")
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and (module + ".").startswith(error.name + "."):
            raise ValueError(f"{option} {spec}: there is no module {error.name!r} here ({here}) or installed") from None
        raise ValueError(f"{option} {spec}: importing {module!r} raised {type(error).__name__}: {error}") from error
    except Exception as error:  # the user's own code: anything can happen in it
        raise ValueError(f"{option} {spec}: importing {module!r} raised {type(error).__name__}: {error}") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise ValueError(f"{option} {spec}: module {module!r} has no {attribute!r}")
        found = getattr(found, part)
    if not callable(found):
        raise ValueError(f"{option} {spec}: expected a function, got {type(found).__name__}")
    return found


def _called(spec: str, option: str) -> Any:
    function = named_object(spec, option)
    try:
        return function()
    except Exception as error:  # the user's own code
        raise ValueError(
            f"{option} {spec}: the function raised {type(error).__name__}: {error}; it is called without arguments"
        ) from error


def load_model(spec: str, weights: Path | None, dtype: str | None) -> nn.Module:
    """The module that `module:function` returns, with the weights of a state dict (.pt, .pth, ...) or of an .npz of arrays."""
    model = _called(spec, "--model")
    if not isinstance(model, nn.Module):
        raise ValueError(f"--model {spec}: expected a torch.nn.Module, got {type(model).__name__}")
    if weights is not None:
        state = _state(weights)
        try:
            model.load_state_dict(state)
        except RuntimeError as error:
            text = " ".join(str(error).split())
            raise ValueError(f"--weights {weights} does not fit the model: {text[:400]}") from None
    if dtype is not None:
        check_one_of("--dtype", dtype, ("float32", "float64"))
        model = model.to(getattr(torch, dtype))
    return model


def _read(path: Path, option: str) -> Any:
    """An .npz as a dictionary of tensors, anything else by torch.load(weights_only=True)."""
    if path.suffix == ".npz":
        try:
            with np.load(path, allow_pickle=False) as file:
                return {name: torch.as_tensor(file[name]) for name in file.files}
        except OSError:
            raise
        except Exception:  # numpy raises whatever its readers of zip files and arrays meet
            raise ValueError(f"{option} {path} is not an .npz file of plain arrays of numbers") from None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception:  # torch raises whatever its unpickler meets
        raise ValueError(
            f"{option} {path} is not a file that torch.load(weights_only=True) reads; expected tensors saved by torch.save, or .npz"
        ) from None


def _state(path: Path) -> dict[str, Tensor]:
    state = _read(path, "--weights")
    for wrapper in ("state_dict", "model_state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ValueError(f"--weights {path} must hold a state dict, names to tensors, got {type(state).__name__}")
    prefix = "module."  # left by DataParallel
    return {k.removeprefix(prefix): v for k, v in state.items()} if all(k.startswith(prefix) for k in state) else state


def load_data(spec: str, batch_size: int, samples: int | None) -> list[Batch]:
    """Batches of x and y: of a file .npz, .pt or .pth with both, or as `module:function` yields them; at most the first `samples`."""
    check_whole("--batch-size", batch_size)
    path = Path(spec)
    if path.suffix in (".npz", ".pt", ".pth") or path.exists():
        held = _read(path, "--data")
        if isinstance(held, (tuple, list)) and len(held) == 2:
            held = dict(zip("xy", held, strict=True))
        if not isinstance(held, dict) or not all(isinstance(held.get(name), Tensor) for name in "xy"):
            names = ", ".join(map(str, held)) if isinstance(held, dict) else type(held).__name__
            raise ValueError(f"--data {spec} must hold x and y, got {names or 'nothing'}")
        x, y = held["x"], held["y"]
        if x.ndim == 0 or y.ndim == 0 or len(x) != len(y):
            raise ValueError(
                f"--data {spec} must hold as many rows of x as of y, got shapes {tuple(x.shape)} and {tuple(y.shape)}"
            )
        batches: Iterable[Batch] = [(x[i : i + batch_size], y[i : i + batch_size]) for i in range(0, len(x), batch_size)]
    else:
        batches = _called(spec, "--data")
        if not isinstance(batches, Iterable):
            raise ValueError(f"--data {spec}: expected batches (x, y), got {type(batches).__name__}")
    return _first(batches, spec, samples)


def _first(batches: Iterable[Batch], spec: str, samples: int | None) -> list[Batch]:
    left = check_whole("--samples", samples) if samples is not None else None
    kept: list[Batch] = []
    for batch in batches:
        if not isinstance(batch, (tuple, list)) or len(batch) != 2 or not isinstance(batch[1], Tensor):
            raise ValueError(f"--data {spec}: expected batches (x, y) of tensors, got {type(batch).__name__}")
        x, y = batch
        if left is not None:
            x, y = x[:left], y[:left]
            left -= len(y)
        if len(y):
            kept.append((x, y))
        if left == 0:
            break
    if not kept:
        raise ValueError(f"--data {spec} holds no samples; expected at least one")
    return kept


def fit_data(batches: list[Batch], model: nn.Module, loss: str) -> list[Batch]:
    """Floating inputs in the model's precision; targets as the named loss wants them: whole numbers, or the model's precision."""
    like = next(iter(model.parameters()), torch.zeros(()))

    def inputs(x: Any) -> Any:
        return x.to(like.device, like.dtype) if isinstance(x, Tensor) and x.is_floating_point() else x

    def targets(y: Tensor) -> Tensor:
        if loss == "cross-entropy":
            if y.ndim == 1 and y.is_floating_point() and bool((y != y.round()).any()):
                raise ValueError(
                    "--loss cross-entropy needs classes 0, 1, ... as targets, got fractions; did you mean --loss mse?"
                )
            return y.to(like.device, torch.long if y.ndim == 1 else like.dtype)
        return y.to(like.device, like.dtype) if loss == "mse" else y.to(like.device)

    return [(inputs(x), targets(y)) for x, y in batches]


def mse(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean squared error; outputs (n, 1) and targets (n,) are told to be the same, other mismatches are errors, never broadcast."""
    if outputs.shape != targets.shape:
        if outputs.numel() != targets.numel():
            raise ValueError(
                f"--loss mse: outputs {tuple(outputs.shape)} and targets {tuple(targets.shape)} must have the same shape"
            )
        targets = targets.reshape(outputs.shape)
    return (outputs - targets).square().mean()


def load_loss(name: str) -> Callable[[Tensor, Tensor], Tensor]:
    """mse, cross-entropy, or a function of outputs and targets named `module:function`."""
    if name == "mse":
        return mse
    if name == "cross-entropy":
        return nn.functional.cross_entropy
    if ":" not in name:
        raise ValueError(f"--loss must be one of {', '.join(LOSSES)} or module:function, got {name!r}")
    return named_object(name, "--loss")


def layers(model: nn.Module) -> dict[str, list[str]]:
    """The names of the parameters that require grad, by the module that holds them."""
    found: dict[str, list[str]] = {}
    for name, p in model.named_parameters():
        if p.requires_grad:
            found.setdefault(name.rpartition(".")[0] or type(model).__name__, []).append(name)
    return found


def build_problem(
    model: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    batches: list[Batch],
    mode: str,
    parameters: list[str] | None = None,
) -> Problem:
    """The problem, its loss evaluated once; ValueError where model, loss and data do not go together."""
    check_one_of("--mode", mode, ("eval", "train"))
    try:
        problem = Problem(model, loss, batches, parameters, mode="train" if mode == "train" else "eval")
        value = problem.loss()
    except (TypeError, RuntimeError, IndexError) as error:  # from inside the user's model or loss
        raise ValueError(f"the model, loss and data do not go together: {error}") from error
    if not math.isfinite(value):
        raise ValueError(f"the loss of the model on the data must be finite, got {value}")
    return problem


def parse_settings(texts: list[str], chosen: dict[str, Measure]) -> dict[str, dict[str, Any]]:
    """`measure.setting=value` texts by measure; ValueError naming what does not exist. Values are JSON, or else words."""
    found: dict[str, dict[str, Any]] = {name: {} for name in chosen}
    for text in texts:
        target, _, value = text.partition("=")
        name, _, setting = target.rpartition(".")
        if not value or not setting or name not in chosen:
            raise ValueError(f"--set must be MEASURE.SETTING=VALUE with one of the measures {', '.join(chosen)}, got {text!r}")
        accepted = _settings_of(chosen[name].function)
        if setting not in accepted:
            raise ValueError(f"--set {text}: {name} has no setting {setting!r}; expected one of {', '.join(sorted(accepted))}")
        try:
            found[name][setting] = json.loads(value)
        except json.JSONDecodeError:
            found[name][setting] = value
    return found


def _settings_of(function: Callable[..., Any]) -> set[str]:
    """Names of the settings that a measure takes, those that it passes on included."""
    from flatproof.verify.curvature.lanczos import eigenvalues
    from flatproof.verify.curvature.traces import hutchinson, hutchpp, xtrace

    names = set()
    for p in inspect.signature(function).parameters.values():
        if p.kind is p.KEYWORD_ONLY:
            names.add(p.name)
        elif p.kind is p.VAR_KEYWORD:
            for inner in (eigenvalues,) if "lambda" in function.__module__ else (hutchinson, hutchpp, xtrace):
                names |= {q.name for q in inspect.signature(inner).parameters.values() if q.kind is q.KEYWORD_ONLY}
            if function.__module__.endswith("keskar"):
                names |= {"epsilon", "iterations", "start", "seed"}
    return names - {"vectors"}


def run(
    problem: Problem,
    names: list[str] | None,
    *,
    seed: int = 0,
    batch_size: int | None = None,
    settings: list[str] | None = None,
    layer: str | None = None,
) -> Iterator[Row]:
    """The measures in turn. Asked for by name or set, what goes wrong is an error; among all of them, it is the row's reason.

    Args: batch_size, m of the measures that average over batches.
    """
    chosen = select(names)
    own = parse_settings(settings or [], chosen)
    check_whole("--seed", seed, 0)
    if batch_size is not None:
        check_whole("--m", batch_size)
    operator = operator_of(problem)  # one for all measures: what its kernel keeps is kept once
    for name, measure in chosen.items():
        accepted = _settings_of(measure.function)
        given: dict[str, Any] = {"seed": seed} if "seed" in accepted else {}
        if batch_size is not None and "batch_size" in accepted:
            given["batch_size"] = batch_size
        try:
            yield Row(measure, measure(operator, **(given | own[name])), layer=layer)
        except (ValueError, TypeError, NotImplementedError, RuntimeError) as error:
            if names or own[name]:
                raise ValueError(f"{name}: {error}") from error
            yield Row(measure, None, " ".join(str(error).split()), layer)


def table(rows: list[Row], title: str) -> Grid:
    """The rows for a terminal."""
    grid = Grid(title=title, title_justify="left")
    layered = any(row.layer is not None for row in rows)
    if layered:
        grid.add_column("layer", overflow="fold")
    for column in ("measure", "value", "interval", "products", "gradients", "losses", "seconds", "rests on"):
        grid.add_column(column, justify="left" if column in ("measure", "rests on") else "right", overflow="fold")
    for row in rows:
        e, first = row.estimate, [Text(row.layer or "")] if layered else []
        if e is None:
            grid.add_row(*first, row.measure.name, "—", "—", "", "", "", "", Text(row.reason))
            continue
        sure = "" if e.confidence is None else f" ({100 * e.confidence:.4g} %)"
        grid.add_row(
            *first,
            row.measure.name,
            f"{e.value:.5g}",
            f"[{e.low:.5g}, {e.high:.5g}]".replace("[", "\\[", 1).replace("inf", "∞") + sure,
            str(e.products),
            f"{e.gradients:g}",
            f"{e.losses:g}",
            f"{e.seconds:.2f}",
            Text(e.rests_on),
        )
    return grid
