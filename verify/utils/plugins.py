"""Owns what other installed packages bring: the objects that their entry points, or "module:object", name."""

import importlib
from importlib.metadata import entry_points
from typing import Any


def addresses(group: str) -> dict[str, str]:
    """Name and address, "module:object", of each entry point of a group; no package is imported."""
    return {point.name: f"{point.module}:{point.attr}" for point in entry_points(group=group)}


def named_object(address: str) -> Any:
    """The object of an address, "module:object". Raises ImportError or AttributeError."""
    module, name = address.split(":")
    return getattr(importlib.import_module(module), name)
