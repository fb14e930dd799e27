"""Owns what is the user's own, as commands are told of it: a model and its weights, data, a loss; together they are a problem."""

import importlib
import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from flatproof.verify.curvature.batches import is_pair
from flatproof.verify.curvature.problem import Problem
from flatproof.verify.curvature.user_weights import CONFIG, State, Weights, first_of, load_into, read_tensors, read_weights
from flatproof.verify.utils.checks import check_one_of, check_whole
from flatproof.verify.utils.plugins import users_object

LOSSES = ("mse", "cross-entropy")
LIBRARIES = ("timm", "transformers")  # whose models are known by name
Batch = tuple[Any, Any]


class NotFinite(ValueError):
    """The loss is not finite, as of a network whose training has diverged."""


def named_object(spec: str, option: str) -> Callable[..., Any]:
    """The function that `module:function` names, see `users_object`; ValueError naming the option otherwise."""
    named = users_object(spec, option)
    if not callable(named):
        raise ValueError(f"{option} {spec}: expected a function, got {type(named).__name__}")
    return named


def _called(spec: str, option: str) -> Any:
    function = named_object(spec, option)
    try:
        return function()
    except Exception as error:  # the user's own code
        raise ValueError(f"{option} {spec}: the function raised {_said(error)}; it is called without arguments") from error


def _said(error: Exception) -> str:
    """An error's kind and words, on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")


def load_model(
    spec: str,
    weights: Path | None,
    dtype: str | None,
    entry: str | None = None,
    prefix: str | None = None,
    what: str = "--weights",
) -> nn.Module:
    """A model with weights of its own or of a checkpoint.

    Args:
        spec: `module:function`, called without arguments; `timm:NAME`, a network of timm with as many classes as the checkpoint has; or
            `transformers:AutoClass`, what that class makes of the checkpoint's config.json, whose logits are the outputs.
        weights: a checkpoint, see `user_weights`; None: as the function made it.
        dtype: "float32" or "float64"; None: the model's.
        entry, prefix: which of a checkpoint's tensors are meant, see `user_weights`.
        what: the checkpoint is called in messages, before its path.

    Raises:
        ValueError: names the option whose value cannot be used.
        OSError: the file cannot be read.
    """
    return load_with_words(spec, weights, dtype, entry, prefix, what).model


class Loaded(NamedTuple):
    """A model; the names of the other sets of weights that its checkpoint holds, such as "state_dict_ema"; how names were matched."""

    model: nn.Module
    others: tuple[str, ...]
    matched: str


def load_with_words(
    spec: str, weights: Path | None, dtype: str | None, entry: str | None, prefix: str | None, what: str = "--weights"
) -> Loaded:
    """The same with what there is to say of the checkpoint."""
    if dtype is not None:
        check_one_of("--dtype", dtype, ("float32", "float64"))
    translated = spec.startswith("transformers:") and weights is not None and weights.is_dir()  # names by that library itself
    for option, given in (("--entry", entry), ("--prefix", prefix)):
        if given is not None and (weights is None or translated):
            instead = f"transformers reads all of {weights}" if translated else "there is none"
            raise ValueError(
                f"{option} {given} chooses among the tensors of a checkpoint's file, {instead}; expected no {option}"
            )
    held = Weights({}) if weights is None else read_weights(weights, f"{what} {weights}", entry)
    model, matched = _built(spec, weights, held.state, what), ""
    if weights is not None and not translated:
        matched = load_into(model, held.state, f"{what} {weights}", prefix)
    return Loaded(model if dtype is None else model.to(getattr(torch, dtype)), held.others, matched)


def _built(spec: str, weights: Path | None, state: State, what: str) -> nn.Module:
    library, _, name = spec.partition(":")
    model = (
        _of_timm(spec, name, state)
        if library == "timm"
        else _of_transformers(spec, name, weights, what)
        if library == "transformers"
        else _called(spec, "--model")
    )
    if not isinstance(model, nn.Module):
        raise ValueError(f"--model {spec}: expected a torch.nn.Module, got {type(model).__name__}")
    return model


def of_saved_folder(spec: str, weights: Path | None) -> tuple[str, Path | None]:
    """Of a folder that transformers has saved, named in place of a model, the class that its config.json names, and its weights.

    Args:
        spec: of a model, or such a folder.
        weights: a checkpoint that takes the place of the folder's own; None: that.

    Returns:
        What `load_model` takes.

    Raises:
        ValueError: the configuration names no class.
    """
    folder = Path(spec)
    if not (folder / CONFIG).is_file():
        return spec, weights
    try:
        named = json.loads((folder / CONFIG).read_text(encoding="utf-8"))["architectures"][0]
    except (ValueError, LookupError, TypeError):
        raise ValueError(
            f"--model {spec}: its {CONFIG} names no class under architectures; expected --model transformers:AutoClass "
            f"--weights {spec}"
        ) from None
    return f"transformers:{named}", weights or folder


def import_model(spec: str) -> None:
    """Import what makes the model, without making it. Errors: ValueError where there is none."""
    library = spec.partition(":")[0]
    if library in LIBRARIES:
        _library(spec, library)
    else:
        named_object(spec, "--model")


def _library(spec: str, name: str) -> Any:
    """A library that is not needed but for this. Errors: ValueError where it is not installed."""
    try:
        return importlib.import_module(name)
    except Exception as error:  # of one that is installed in part: anything
        raise ValueError(
            f"--model {spec} needs the package {name} ({error}); expected it installed, as by pip install 'flatproof[checkpoints]'"
        ) from None


def _of_timm(spec: str, name: str, state: State) -> Any:
    """A network of timm, with as many classes as the head among the weights has."""
    timm = _library(spec, "timm")
    try:
        model = timm.create_model(name, pretrained=False)
        head = getattr(model, "pretrained_cfg", {}).get("classifier")
        sizes = {len(v) for k, v in state.items() if isinstance(head, str) and k.endswith(f"{head}.weight")}
        classes = sizes.pop() if len(sizes) == 1 else model.num_classes
        return model if classes == model.num_classes else timm.create_model(name, pretrained=False, num_classes=classes)
    except Exception as error:  # the library's own
        raise ValueError(f"--model {spec}: timm raised {type(error).__name__}: {error}") from error


def _of_transformers(spec: str, name: str, weights: Path | None, what: str) -> Any:
    """What a class of transformers makes of the config.json beside the weights, and of a folder's weights; its outputs are the logits."""
    transformers = _library(spec, "transformers")
    maker: Any = getattr(transformers, name, None)
    if not hasattr(maker, "from_pretrained"):
        raise ValueError(f"--model {spec}: transformers has no such class; expected one like AutoModelForImageClassification")
    folder = None if weights is None else weights if weights.is_dir() else weights.parent
    if folder is None or not (folder / CONFIG).is_file():
        raise ValueError(f"there is no {CONFIG} in {folder}; --model {spec} needs one beside the weights")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    faults: dict[str, Any] = {}
    try:
        if folder == weights:
            model, faults = maker.from_pretrained(str(folder), output_loading_info=True, **local)
        else:
            config = transformers.AutoConfig.from_pretrained(str(folder), **local)
            model = maker.from_config(config) if hasattr(maker, "from_config") else maker(config)
    except Exception as error:  # the library's own
        reason = " ".join(str(error).split())[:300]
        raise ValueError(f"{what} {weights} makes no model of --model {spec}: {type(error).__name__}: {reason}") from error
    names = {kind: sorted(map(str, faults.get(f"{kind}_keys") or ())) for kind in ("missing", "unexpected", "mismatched")}
    if any(names.values()):
        words = "; ".join(f"{kind}: {first_of(found)}" for kind, found in names.items() if found)
        raise ValueError(f"{what} {weights} does not fit the model: {words}")
    model.register_forward_hook(_logits)
    return model.float()


def _logits(_: nn.Module, __: Any, outputs: Any) -> Any:
    return getattr(outputs, "logits", outputs)


def load_data(spec: str, batch_size: int, samples: int | None) -> list[Batch]:
    """Batches (x, y).

    Args:
        spec: a file .npz, .pt, .pth or .safetensors with x and y, or `module:function` that yields batches, or gives one.
        batch_size: samples a batch, of data in a file.
        samples: at most so many, the first ones; None: all.

    Raises:
        ValueError: names the option whose value cannot be used.
        OSError: the file cannot be read.
    """
    check_whole("--batch-size", batch_size)
    path = Path(spec)
    if path.suffix in (".npz", ".pt", ".pth", ".safetensors") or path.exists():
        held = read_tensors(path, f"--data {path}")
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
        given = _called(spec, "--data")
        if not isinstance(given, Iterable):
            raise ValueError(f"--data {spec}: expected batches (x, y), got {type(given).__name__}")
        batches = [given] if is_pair(given) else given  # type: ignore[list-item]
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
    """Floating inputs in the model's precision; targets as the named loss wants them.

    For cross-entropy targets of shape (n,) or (n, 1) are classes, (n,) in the result; more columns stay, classes (a pixel, a token) or
    probabilities, which `cross_entropy` tells apart. For mse they have the model's precision; for a loss of the user's own they stay.
    """
    like = next(iter(model.parameters()), torch.zeros(()))

    def inputs(x: Any) -> Any:
        return x.to(like.device, like.dtype) if isinstance(x, Tensor) and x.is_floating_point() else x

    def targets(y: Tensor) -> Tensor:
        if loss != "cross-entropy":
            return y.to(like.device, like.dtype) if loss == "mse" else y.to(like.device)
        if y.ndim == 2 and y.shape[1] == 1:
            y = y[:, 0]
        if y.ndim > 1 and y.is_floating_point():
            return y.to(like.device, like.dtype)
        if y.is_floating_point() and bool((y != y.round()).any()):
            raise ValueError("--loss cross-entropy needs classes 0, 1, ... as targets, got fractions; did you mean --loss mse?")
        return y.to(like.device, torch.long)

    return [(inputs(x), targets(y)) for x, y in batches]


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """torch's; targets of more than one axis in the outputs' own shape are probabilities, whole numbers (one-hot) too."""
    one_hot = targets.ndim > 1 and targets.shape == outputs.shape
    return nn.functional.cross_entropy(outputs, targets.to(outputs.dtype) if one_hot else targets)


def mse(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean squared error; shapes that differ by axes of length 1, as (n, 1) and (n,), count as the same, others are never broadcast."""
    if outputs.shape != targets.shape:
        if [n for n in outputs.shape if n != 1] != [n for n in targets.shape if n != 1]:
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
        return cross_entropy
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
        ValueError: model, loss and data do not go together.
        NotFinite: the loss is not finite.
    """
    check_one_of("--mode", mode, ("eval", "train"))
    try:
        problem = Problem(model, loss, batches, parameters, mode="train" if mode == "train" else "eval")
        value = problem.loss()
    except ValueError:
        raise
    except Exception as error:  # from inside the user's model or loss
        raise ValueError(f"the model, loss and data do not go together: {_said(error)}") from error
    if not math.isfinite(value):
        raise NotFinite(f"the loss of the model on the data must be finite, got {value}")
    return problem
