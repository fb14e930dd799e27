"""Owns how `flatproof sharpness` reads what is the user's own: a model and its weights, data, a loss; together they are a problem."""

import importlib
import math
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from flatproof.verify.curvature.problem import Problem
from flatproof.verify.utils.checks import check_one_of, check_whole

LOSSES = ("mse", "cross-entropy")
Batch = tuple[Any, Any]


def named_object(spec: str, option: str) -> Callable[..., Any]:
    """What `module:function` names, with the current folder on the path; ValueError naming the option otherwise."""
    module, _, attribute = spec.partition(":")
    if not module or not attribute:
        raise ValueError(f"{option} must be module:function, got {spec!r}")
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        named: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and (module + ".").startswith(error.name + "."):
            raise ValueError(f"{option} {spec}: there is no module {error.name!r} here ({here}) or installed") from None
        raise ValueError(f"{option} {spec}: importing {module!r} raised {type(error).__name__}: {error}") from error
    except Exception as error:  # the user's own code: anything can happen in it
        raise ValueError(f"{option} {spec}: importing {module!r} raised {type(error).__name__}: {error}") from error
    for part in attribute.split("."):
        if not hasattr(named, part):
            raise ValueError(f"{option} {spec}: module {module!r} has no {attribute!r}")
        named = getattr(named, part)
    if not callable(named):
        raise ValueError(f"{option} {spec}: expected a function, got {type(named).__name__}")
    return named


def _called(spec: str, option: str) -> Any:
    function = named_object(spec, option)
    try:
        return function()
    except Exception as error:  # the user's own code
        raise ValueError(
            f"{option} {spec}: the function raised {type(error).__name__}: {error}; it is called without arguments"
        ) from error


def load_model(spec: str, weights: Path | None, dtype: str | None) -> nn.Module:
    """The module that `module:function` returns, with weights of its own or of a file.

    Args:
        spec: `module:function`, called without arguments.
        weights: a state dict (.pt, .pth, ...) or an .npz of arrays; None: as the function made it.
        dtype: "float32" or "float64"; None: the model's.

    Raises:
        ValueError: names the option whose value cannot be used.
        OSError: the file cannot be read.
    """
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
    """Batches (x, y).

    Args:
        spec: a file .npz, .pt or .pth with x and y, or `module:function` that yields batches.
        batch_size: samples a batch, of data in a file.
        samples: at most so many, the first ones; None: all.

    Raises:
        ValueError: names the option whose value cannot be used.
        OSError: the file cannot be read.
    """
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
    """Mean squared error; outputs (n, 1) and targets (n,) count as the same shape, other mismatches are errors, never broadcast."""
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
    by_module: dict[str, list[str]] = {}
    for name, p in model.named_parameters():
        if p.requires_grad:
            by_module.setdefault(name.rpartition(".")[0] or type(model).__name__, []).append(name)
    return by_module


def build_problem(
    model: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    batches: list[Batch],
    mode: str,
    parameters: list[str] | None = None,
) -> Problem:
    """The problem, its loss evaluated once.

    Args:
        model: with at least one parameter that requires grad.
        loss: of outputs and targets.
        batches: x and y, as `fit_data` returns them.
        mode: "eval" or "train".
        parameters: names or prefixes; None: all.

    Raises:
        ValueError: model, loss and data do not go together, or the loss is not finite.
    """
    check_one_of("--mode", mode, ("eval", "train"))
    try:
        problem = Problem(model, loss, batches, parameters, mode="train" if mode == "train" else "eval")
        value = problem.loss()
    except (TypeError, RuntimeError, IndexError) as error:  # from inside the user's model or loss
        raise ValueError(f"the model, loss and data do not go together: {error}") from error
    if not math.isfinite(value):
        raise ValueError(f"the loss of the model on the data must be finite, got {value}")
    return problem
