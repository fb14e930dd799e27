"""What `flatproof.verify.curvature` shows of itself."""

import importlib
import inspect
import pkgutil
from types import ModuleType

import pytest

from flatproof.verify import curvature
from flatproof.verify.curvature import kernels, sharpness, two_layer
from flatproof.verify.curvature.kernels import tangents
from flatproof.verify.curvature.two_layer import cpu


def test_all_and_dir_are_complete() -> None:
    assert curvature.__all__ == sorted(set(curvature.__all__))
    assert dir(curvature) == curvature.__all__
    for name in curvature.__all__:
        assert hasattr(curvature, name), name
    own = {
        name
        for name, value in vars(curvature).items()
        if (inspect.isclass(value) or inspect.isfunction(value)) and not name.startswith("_")
    }
    assert own <= set(curvature.__all__)


@pytest.mark.parametrize("package", [curvature, kernels, sharpness, two_layer, tangents, cpu])
def test_no_function_under_the_name_of_a_module(package: ModuleType) -> None:
    modules = {info.name for info in pkgutil.iter_modules(package.__path__)}
    assert modules
    for name in modules:
        module = importlib.import_module(f"{package.__name__}.{name}")
        assert getattr(package, name, module) is module, name
