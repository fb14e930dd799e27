"""Owns what is found by name outside the project: entry points of installed packages, and "module:object" of the user's own files."""

import importlib
import os
import sys
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any


def addresses(group: str) -> dict[str, str]:
    """Name and address, "module:object", of each entry point of a group; no package is imported."""
    return {point.name: f"{point.module}:{point.attr}" for point in entry_points(group=group)}


def named_object(address: str) -> Any:
    """The object of an address, "module:object". Raises ImportError or AttributeError."""
    module, name = address.split(":")
    return getattr(importlib.import_module(module), name)


def users_object(address: str, option: str) -> Any:
    """What "module:object" or "file.py:object" names, with the current folder on the path.

    Args:
        address: the object may be "object.attribute".
        option: what the address was given as, for messages.

    Raises:
        ValueError: naming the option, for an address of another form, or a module or object that is not there or cannot be imported.
    """
    module, _, attribute = address.rpartition(":")
    if not module or not attribute:
        raise ValueError(f"{option} must be module:object, got {address!r}")
    named: Any = users_module(module, f"{option} {address}")
    for part in attribute.split("."):
        if not hasattr(named, part):
            raise ValueError(f"{option} {address}: module {module!r} has no {attribute!r}")
        named = getattr(named, part)
    return named


def users_module(name: str, told: str) -> ModuleType:
    """A module by its name or file, from the current folder or installed.

    Args:
        name: "package.module", or "folder/file.py".
        told: what it was given as, for messages.

    Raises:
        ValueError: there is none, or importing it raised.
    """
    file = Path(name).resolve() if name.endswith(".py") else None
    if file is not None and not file.is_file():
        raise ValueError(f"{told}: there is no file {name}")
    here, name = (os.getcwd(), name) if file is None else (str(file.parent), file.stem)
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(name)
    except Exception as error:  # the user's own code: anything can happen in it
        missing = getattr(error, "name", None) if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and (name + ".").startswith(missing + "."):
            raise ValueError(f"{told}: there is no module {missing!r} here ({here}) or installed") from None
        raise ValueError(f"{told}: importing {name!r} raised {type(error).__name__}: {error}") from error
    if file is not None and Path(module.__file__ or "").resolve() != file:
        raise ValueError(
            f"{told}: the name {name!r} is that of another module ({module.__file__}); expected a file of another name"
        )
    return module
