"""The package's public face: complete, and functions where a module has the same name elsewhere."""

from importlib import import_module
from pkgutil import iter_modules
from types import FunctionType, ModuleType

from flatproof import theory
from flatproof.theory import flatness


def test_dir_is_complete_and_everything_in_it_is_there():
    assert dir(theory) == sorted(theory.__all__)
    modules = {module.name for module in iter_modules(theory.__path__)}
    assert modules == {name for name in theory.__all__ if isinstance(getattr(theory, name), ModuleType)}


def test_functions_stay_functions_beside_modules_of_their_name():
    for name in ("flattest", "bracket", "decide"):
        assert isinstance(getattr(theory, name), FunctionType)
        assert isinstance(import_module(f"flatproof.theory.flatness.{name}"), ModuleType)


def test_the_solvers_room_names_each_of_its_modules_and_exports_no_function():
    modules = {module.name for module in iter_modules(flatness.__path__)}
    assert flatness.__doc__ is not None
    assert modules <= {line.split()[0] for line in flatness.__doc__.splitlines() if line.startswith("    ")}
    assert not [name for name, value in vars(flatness).items() if isinstance(value, FunctionType)]
