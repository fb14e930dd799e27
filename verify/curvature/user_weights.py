"""Owns checkpoints of the user's own: tensors by name from what torch, timm, Lightning, safetensors and transformers write.

A checkpoint is a file (.pt, .pth, .pth.tar, .bin, .ckpt, .safetensors, .npz) or a folder that transformers has saved, whose weights may be
in several files. Nothing that a file brings is run: pickles go through torch's weights-only reader, in which an object of any class
but tensors and plain containers (timm keeps its arguments so) becomes one that does nothing.
"""

import hashlib
import json
import math
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

SUFFIXES = (".pt", ".pth", ".pth.tar", ".bin", ".ckpt", ".safetensors", ".npz")
SAVED = ("model.safetensors", "pytorch_model.bin")  # by transformers, in a folder; or an index of the files that hold the parts
CONFIG, INDEX = "config.json", ".index.json"
WRAPPERS = (
    "state_dict",
    "model_state_dict",
    "model",
    "module",
    "network",
    "net",
    "weights",
)  # where training loops put the weights
PREFIXES = ("module.", "_orig_mod.", "model.", "network.", "net.")  # left by DataParallel, torch.compile, Lightning
COUNTERS = ("n_averaged",)  # that torch's AveragedModel keeps among the weights
HEADER = 2**27  # bytes of a safetensors header; the format allows 100 MB
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U64": torch.uint64,
    "U32": torch.uint32,
    "U16": torch.uint16,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
State = dict[str, Tensor]


@dataclass(frozen=True)
class Weights:
    """Tensors by name, and the names of other sets of weights that the file holds, such as "state_dict_ema"."""

    state: State
    others: tuple[str, ...] = ()


class _Inert:
    """In place of an object whose class only running the file's code would make: whatever it is given, it does nothing."""

    def __new__(cls, *_: object, **__: object) -> "_Inert":
        return object.__new__(cls)

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


def is_saved_folder(path: Path) -> bool:
    """Whether transformers has saved weights right in this folder."""
    return any((path / f"{name}{end}").is_file() for name in SAVED for end in ("", INDEX))


def weight_files(path: Path) -> list[Path]:
    """The files that a checkpoint consists of. Errors: ValueError for a folder without weights, or with an index that is none."""
    if not path.is_dir():
        return [path]
    for name in SAVED:
        if (path / name).is_file():
            return [path / name]
        index = path / f"{name}{INDEX}"
        if index.is_file():
            try:
                parts = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
            except (ValueError, LookupError, TypeError, AttributeError):
                raise ValueError(f"{index} is no index of weights; expected a weight_map") from None
            if not parts or not all(isinstance(part, str) and Path(part).name == part for part in parts):
                raise ValueError(f"{index} must name files of its own folder")
            return [path / part for part in parts]
    raise ValueError(f"{path} is a folder without weights; expected {' or '.join(SAVED)} in it")


def digest(path: Path) -> str:
    """SHA-256 of a checkpoint's content: of its file, or of its files' and its configuration's names and digests."""
    if not path.is_dir():
        return _digest(path)
    files = weight_files(path) + [file for file in [path / CONFIG] if file.is_file()]
    listing = "".join(f"{file.name} {_digest(file)}\n" for file in files)
    return hashlib.sha256(listing.encode()).hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_weights(path: Path, what: str, entry: str | None = None) -> Weights:
    """What a checkpoint holds.

    Args:
        path: a file or folder.
        what: it is called in messages, such as "--weights w.pt".
        entry: the name under which a training loop's file holds the weights; None: the usual ones.

    Raises:
        ValueError: it is damaged, or holds something else.
        OSError: it cannot be read.
    """
    state: State = {}
    others: tuple[str, ...] = ()
    for file in weight_files(path):
        content = read_tensors(file, what)
        part, others = _chosen(content, what, entry)
        state |= part
    return Weights(state, others)


def _chosen(content: Any, what: str, entry: str | None) -> tuple[State, tuple[str, ...]]:
    """The weights among what a file holds, and the names of other sets of weights."""
    if isinstance(content, _Inert):
        raise ValueError(
            f"{what} holds an object that only code of its own would read, as torch.save(model) writes one; expected "
            "torch.save(model.state_dict(), ...)"
        )
    if not isinstance(content, Mapping):
        raise ValueError(f"{what} must hold a state dict, names to tensors, got {type(content).__name__}")
    sets = [name for name, value in content.items() if _is_state(value)]
    if entry is not None:
        if entry not in sets:
            raise ValueError(
                f"{what} holds no weights under {entry!r}; it has {', '.join(map(str, sets)) or 'none under any name'}"
            )
        return dict(content[entry]), tuple(str(name) for name in sets if name != entry)
    for wrapper in WRAPPERS:
        if wrapper in sets:
            inner, more = _chosen(content[wrapper], what, None)  # some wrap twice
            return inner, tuple(str(name) for name in sets if name != wrapper) + more
    if _is_state(content):
        return dict(content), ()
    if sets:
        raise ValueError(f"{what} holds weights under {', '.join(map(str, sets))}; --entry says which are meant")
    held = ", ".join(map(str, list(content)[:5])) or "nothing"
    raise ValueError(f"{what} must hold a state dict, names to tensors, got {held}")


def _is_state(value: Any) -> bool:
    """Whether it is a state dict, or a dictionary that wraps one."""
    if not isinstance(value, Mapping) or not value:
        return False
    if all(isinstance(name, str) and isinstance(v, Tensor) for name, v in value.items()):
        return True
    return any(_is_state(value.get(wrapper)) for wrapper in WRAPPERS)


def read_tensors(path: Path, what: str) -> Any:
    """A file's content on the CPU: .npz and .safetensors as dictionaries of tensors, anything else by torch.load(weights_only=True).

    Args:
        path: of the file.
        what: it is called in messages.

    Raises:
        ValueError: it is damaged or of another kind.
        OSError: it cannot be read.
    """
    if path.suffix == ".npz":
        try:
            with np.load(path, allow_pickle=False) as file:
                return {name: torch.as_tensor(file[name]) for name in file.files}
        except OSError:
            raise
        except Exception:  # numpy raises whatever its readers of zip files and arrays meet
            raise ValueError(f"{what} is not an .npz file of plain arrays of numbers") from None
    if path.suffix == ".safetensors":
        try:
            return _safetensors(path.read_bytes())
        except (ValueError, LookupError, TypeError, RecursionError, OverflowError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ValueError(f"{what} is not a whole safetensors file: {reason}") from None
    try:
        return _unpickled(path)
    except OSError:
        raise
    except zipfile.BadZipFile as error:
        raise ValueError(f"{what} is damaged: {error}") from None
    except Exception:  # torch raises whatever its unpickler meets
        raise ValueError(
            f"{what} is not a file that torch.load(weights_only=True) reads; expected tensors saved by torch.save, .npz or .safetensors"
        ) from None


def _unpickled(path: Path) -> Any:
    stand_ins: list[Any] = []
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:  # torch.load does not look at the checksums that torch.save writes
            if damaged := archive.testzip():
                raise zipfile.BadZipFile(f"the checksum of {damaged} is another")
        stand_ins = [(_Inert, name) for name in torch.serialization.get_unsafe_globals_in_checkpoint(str(path))]
    with torch.serialization.safe_globals(stand_ins):
        return torch.load(path, map_location="cpu", weights_only=True)


def _safetensors(data: bytes) -> State:
    """Eight bytes with the length of a JSON header, the header, and the tensors' bytes, to which it points."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or not 2 <= length <= min(HEADER, len(data) - 8):
        raise ValueError(f"a header of {length} bytes in a file of {len(data)}")
    header = json.loads(data[8 : 8 + length])
    if not isinstance(header, dict):
        raise ValueError("its header is no object")
    body = memoryview(data)[8 + length :]
    return {name: _tensor(name, about, body) for name, about in header.items() if name != "__metadata__"}


def _tensor(name: str, about: Mapping[str, Any], body: memoryview) -> Tensor:
    if about["dtype"] not in DTYPES:
        raise ValueError(f"{name} has the type {about['dtype']}; expected one of {', '.join(DTYPES)}")
    dtype, (start, end) = DTYPES[about["dtype"]], about["data_offsets"]
    shape = tuple(about["shape"])
    if not all(type(size) is int and size >= 0 for size in (*shape, start, end)):
        raise ValueError(f"{name} has a shape or place that is none")
    if not start <= end <= len(body) or end - start != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{name} of shape {shape} at {start} to {end} of {len(body)} bytes")
    if start == end:
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(bytearray(body[start:end]), dtype=dtype).reshape(shape)


def load_into(model: nn.Module, state: State, what: str, prefix: str | None = None) -> str:
    """Put weights into a model whose names they must have, all of them.

    Args:
        model: whose weights are replaced.
        state: tensors by name; a prefix that training loops leave before the names is taken away where it is the only one that fits.
        what: they are called in messages.
        prefix: take what begins with it alone, without it; None: everything.

    Returns:
        Which prefix was found and what was not used, in words; empty where the names were the model's own.

    Raises:
        ValueError: names the first tensor that is missing, left over, or of another shape, or the prefixes that fit alike.
    """
    own = model.state_dict()
    if prefix is not None:
        state = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        if not state:
            raise ValueError(f"{what} has no tensor whose name begins with {prefix!r}")
    state = {name: value for name, value in state.items() if name not in COUNTERS or name in own}
    state, words = _bare(state, own, what)
    missing = _missing(state, own)
    unexpected = [name for name in state if name not in own]
    misshapen = [name for name in own if name in state and own[name].shape != state[name].shape]
    faults = [f"it lacks {first_of(missing)}"] if missing else []
    faults += [f"it holds {first_of(unexpected)}, unknown to the model"] if unexpected else []
    if misshapen:
        name = misshapen[0]
        faults.append(f"{first_of(misshapen)} has shape {tuple(state[name].shape)}, in the model {tuple(own[name].shape)}")
    if faults:
        raise ValueError(f"{what} does not fit the model: {'; '.join(faults)}")
    model.load_state_dict(state, strict=False)
    return words


def _missing(state: State, own: State) -> list[str]:
    """What the model has and the weights lack; of tied tensors one is saved."""
    places = {own[name].data_ptr() for name in own if name in state and own[name].numel()}
    return [name for name in own if name not in state and not (own[name].numel() and own[name].data_ptr() in places)]


def _bare(state: State, own: State, what: str) -> tuple[State, str]:
    """Without the prefix under which alone all of the model's tensors are found, as long as none has its own name; and that in words.

    What has other prefixes, as a loss or a metric beside a network in a module of Lightning's, is left out where the prefix is one
    that training loops leave.
    """
    if not own or any(name in own for name in state):
        return state, ""
    ends = {next(iter(own)), next(reversed(own))}
    prefixes = {name.removesuffix(end) for end in ends for name in state if name.endswith(f".{end}")}
    parts = {p: {name.removeprefix(p): value for name, value in state.items() if name.startswith(p)} for p in sorted(prefixes)}
    fitting = [
        p
        for p, part in parts.items()
        if not _missing(part, own) and all(part[name].shape == own[name].shape for name in own if name in part)
    ]
    if len(fitting) > 1:
        raise ValueError(f"{what} fits the model under the prefixes {', '.join(fitting)}; --prefix says which is meant")
    for prefix in fitting or [p for p in parts if all(name.startswith(p) for name in state)][:1]:
        others = [name for name in state if not name.startswith(prefix)]
        if others and not re.fullmatch(f"({'|'.join(map(re.escape, PREFIXES))})+", prefix):
            raise ValueError(
                f"{what} does not fit the model: it also holds {first_of(others)}; --prefix {prefix} takes what begins with that alone"
            )
        return parts[prefix], f"prefix {prefix!r} taken off the names" + (f"; not used: {first_of(others)}" if others else "")
    return state, ""


def first_of(names: list[str]) -> str:
    """The first of some names, and how many more there are."""
    return repr(names[0]) + (f" and {len(names) - 1} more" if len(names) > 1 else "")
