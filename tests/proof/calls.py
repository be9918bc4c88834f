"""Sample calls of public functions, of which the gradients are judged."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import graphc as gc
from graphc.errors import GraphcError


@dataclass(frozen=True)
class Call:
    """Arguments of a function: arrays of f64, at any depth, are what is differentiated by.

    `order` is how often the function may be differentiated.  `through`, if any, is called with
    the function and the arguments, and calls the function.
    """

    args: tuple[Any, ...]
    options: Mapping[str, Any]
    order: int = 2
    through: Callable[..., Any] | None = None

    def arrays(self) -> list[Any]:
        """The arrays to differentiate by, in order."""
        found: list[Any] = []
        self._mapped(lambda a: found.append(a) or a)
        return found

    def made(self, function: Callable[..., Any], tensors: Sequence[Any]) -> list[Any]:
        """The float results of the function, of tensors in the place of the arrays."""
        given = iter(tensors)
        args, options = self._mapped(lambda a: next(given))
        args = args if self.through is None else (function, *args)
        return list(floats((self.through or function)(*args, **options)))

    def _mapped(self, change: Callable[[Any], Any]) -> tuple[Any, dict[str, Any]]:
        def inside(x: Any) -> Any:
            if isinstance(x, np.ndarray) and x.dtype == np.float64:
                return change(x)
            return type(x)(map(inside, x)) if isinstance(x, list | tuple) else x

        args = inside(tuple(self.args))
        return args, {name: inside(value) for name, value in self.options.items()}


def floats(result: Any) -> Iterator[Any]:
    """The float tensors among results."""
    if isinstance(result, gc.Tensor):
        if result.dtype.is_float:
            yield result
    elif isinstance(result, list | tuple):
        for part in result:
            yield from floats(part)


def use(*args: Any, **options: Any) -> Call:
    """A call with these arguments."""
    return Call(args, options)


def once(*args: Any, **options: Any) -> Call:
    """A call that can be differentiated only once."""
    return Call(args, options, 1)


def by(through: Callable[..., Any], *args: Any, **options: Any) -> Call:
    """A call that `through` makes, of the function and the arguments."""
    return Call(args, options, 2, through)


def draw(*shape: int, low: float = -2.0, high: float = 2.0) -> Any:
    """An array that depends on its shape and bounds alone."""
    rng = np.random.default_rng([*shape, int(low * 100) + 10000, int(high * 100) + 10000])
    return rng.uniform(low, high, shape)


def placeholders(arrays: Sequence[Any], symbolic: bool) -> list[Any]:
    """Tensors for arrays; equal sizes get equal symbols."""
    return [
        gc.placeholder(gc.float64, [f"n{s}" if symbolic and s > 1 else s for s in a.shape])
        for a in arrays
    ]


def attempted(
    function: Callable[..., Any], call: Call, symbolic: bool
) -> tuple[list[Any], list[Any]] | None:
    """The operands and results of a call; None if the function does not take symbolic sizes."""
    tensors = placeholders(call.arrays(), symbolic)
    if not symbolic:
        return tensors, call.made(function, tensors)
    with contextlib.suppress(GraphcError):
        return tensors, call.made(function, tensors)
    return None
