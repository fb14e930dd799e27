"""Owns the digest of a user's own code: what a function does, so that a stored outcome is of the code that is there now.

The digest covers the function and, of what it names, transitively: functions, classes and plain values of the user's own modules. Comments,
docstrings and layout do not count. Not looked at: installed packages, and what is reached by names that are made at run time.
"""

import ast
import hashlib
import inspect
import sys
import sysconfig
import textwrap
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

_INSTALLED = tuple({Path(path).resolve() for path in sysconfig.get_paths().values()} - {Path(sys.prefix).resolve()})
_PLAIN = (bool, int, float, complex, str, bytes, type(None))


def code_digest(function: Any) -> str:
    """SHA-256 of what a function or class is made of.

    Args:
        function: of a module of the user's own.

    Raises:
        ValueError: its source cannot be read.
    """
    parts: dict[str, str] = {}
    _add(function, parts, function.__module__)
    return hashlib.sha256("\n".join(f"{name}\n{text}" for name, text in sorted(parts.items())).encode()).hexdigest()


def is_own(module: ModuleType | None) -> bool:
    """Whether a module is the user's own: neither built in, nor installed, nor flatproof's."""
    if module is None or module.__name__ == "__main__":
        return module is not None
    if module.__name__.split(".")[0] == "flatproof":
        return False
    file = getattr(module, "__file__", None)
    return file is not None and not any(Path(file).resolve().is_relative_to(folder) for folder in _INSTALLED)


def _add(value: Any, parts: dict[str, str], home: str) -> None:
    """Add a function or class, and what it names, to the parts; `home` is the module whose name does not count: a script has another."""
    name = value.__qualname__ if value.__module__ == home else f"{value.__module__}:{value.__qualname__}"
    if name in parts:
        return
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(value)))
    except (OSError, TypeError, SyntaxError) as error:
        raise ValueError(f"the source of {value.__qualname__} cannot be read ({error}); expected a function of a file") from None
    names = sorted({node.id for node in ast.walk(tree) if isinstance(node, ast.Name)})
    parts[name] = ast.unparse(_Bare().visit(tree))
    namespace = getattr(value, "__globals__", None) or vars(sys.modules[value.__module__])
    for used in names:
        if used in namespace:
            _add_named(used, namespace[used], parts, home)


def _add_named(name: str, value: Any, parts: dict[str, str], home: str) -> None:
    if isinstance(value, (FunctionType, type)):
        if is_own(sys.modules.get(value.__module__)):
            _add(value, parts, home)
    elif isinstance(value, ModuleType):
        if is_own(value) and (text := _text(value)) is not None:
            parts[f"module {value.__name__}"] = text
    elif (plain := _plain(value)) is not None:
        parts[f"value {name}"] = plain


def _text(module: ModuleType) -> str | None:
    """What a module of the user's own does, as a whole."""
    try:
        return ast.unparse(_Bare().visit(ast.parse(inspect.getsource(module))))
    except (OSError, TypeError, SyntaxError):
        return None


def _plain(value: Any) -> str | None:
    """A plain value as text, arrays by their content; None for anything else."""
    if isinstance(value, _PLAIN):
        return repr(value)
    if isinstance(value, np.ndarray) and value.dtype != object:
        return f"{value.dtype} {value.shape} {hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()}"
    if isinstance(value, (list, tuple, set, frozenset)):
        items = [_plain(item) for item in value]
        kind = type(value).__name__
        return None if None in items else f"{kind} {sorted(map(str, items)) if 'set' in kind else items}"
    if isinstance(value, dict):
        pairs = [(_plain(key), _plain(item)) for key, item in value.items()]
        return None if any(None in pair for pair in pairs) else f"dict {pairs}"
    return None


class _Bare(ast.NodeTransformer):
    """Without docstrings."""

    def _bare(self, node: Any) -> Any:
        self.generic_visit(node)
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = visit_Module = _bare
