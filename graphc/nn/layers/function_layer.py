"""Modules that wrap a function of tensors: the constructor takes the function's options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from graphc.errors import GraphError, user_location
from graphc.frontend.boundary import answers
from graphc.frontend.tensor import Tensor
from graphc.nn.module import Module

REQUIRED = object()


class FunctionLayer(Module):
    """A function of tensors.  Its other arguments, by name, are the constructor's."""

    function: ClassVar[Callable[..., Tensor]]
    defaults: ClassVar[dict[str, Any]] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        names, what = list(self.defaults), type(self).__name__
        if len(args) > len(names):
            raise GraphError(
                f"{what}: takes at most {len(names)} arguments, got {len(args)}", user_location()
            )
        given = dict(zip(names, args, strict=False))
        for name in kwargs:
            if name not in names:
                raise answers().refused_keyword(what, name, names)
            if name in given:
                raise GraphError(f"{what}: argument {name!r} is given twice", user_location())
        for name, value in {**self.defaults, **given, **kwargs}.items():
            if value is REQUIRED:
                raise GraphError(f"{what}: argument {name!r} is missing", user_location())
            setattr(self, name, value)

    def forward(self, *tensors: Any) -> Tensor:
        return type(self).function(*tensors, **{n: getattr(self, n) for n in self.defaults})

    def extra_repr(self) -> str:
        return ", ".join(
            f"{n}={getattr(self, n)!r}" for n in self.defaults if n != "inplace" or getattr(self, n)
        )
