"""Owns the base of what looks at every operation: torch's own loads torch's compiler at the first one, which takes two seconds."""

import sys
from typing import Any, Self

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class Watching(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A dispatch mode that the compiler leaves alone, and that does not load it: who has compiled nothing need not wait for it."""

    _left_alone = False

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # by torch itself, as soon as the class is made

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)  # type: ignore[no-untyped-call]

    def __enter__(self) -> Self:
        cls = type(self)
        if "torch._dynamo" in sys.modules and not cls._left_alone:
            cls.__torch_dispatch__ = torch._disable_dynamo(cls.__torch_dispatch__)  # type: ignore[attr-defined, method-assign]
            cls._left_alone = True
        super().__enter__()  # type: ignore[no-untyped-call]
        return self
