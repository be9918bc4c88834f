"""Errors for names and keywords that are not there: they say what to type instead.

Whoever comes from another library is told graphc's word (`foreign_names.py`), or where the name
lies, or which names look alike.  Loaded by name, by modules and tensors, when something is missing.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphc.errors import ArgumentError, MissingNameError, user_location
from graphc.frontend.foreign_names import KEYWORDS, NAMES, OF_TENSORS, WITHOUT

NAMESPACES = (  # where a name may lie, the likelier first
    "graphc",
    "graphc.nn.functional",
    "graphc.nn",
    "graphc.linalg",
    "graphc.random",
    "graphc.optim",
    "graphc.init",
    "graphc.fft",
)
ALIKE = 0.8  # `difflib`'s ratio, from which a name is offered


def missing_name(module: str, name: str) -> MissingNameError:
    """The error for a name that a public module has not."""
    answer = NAMES.get(name) or _elsewhere(name, module) or _alike(name, module)
    remedy = f"use {answer}" if answer else f"dir({_spoken(module)}) lists what there is"
    return MissingNameError(f"{module} has no {name}; {remedy}", user_location())


def missing_member(name: str) -> AttributeError:
    """The error for an attribute that a tensor has not."""
    if name.startswith("_"):
        return AttributeError(f"'Tensor' object has no attribute {name!r}")
    answer = OF_TENSORS.get(name) or NAMES.get(name) or _elsewhere(name, "")
    remedy = f"use {answer}" if answer else "a tensor has shape, dtype, ndim, T; the rest is gc's"
    return MissingNameError(f"a tensor has no {name}; {remedy}", user_location())


def refused_keywords(
    function: Callable[..., Any], name: str, given: Mapping[str, Any]
) -> ArgumentError | None:
    """The error for the first keyword of a call that the function does not take."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return None
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    unknown = [k for k in given if k not in parameters]
    if takes_any or not unknown:
        return None
    error = refused_keyword(name, unknown[0], [p for p in parameters if p != "self"])
    call = f"{name}{_parameters(function)}"
    return ArgumentError(f"{error.message}.  The call is {call}", error.location)


def refused_keyword(name: str, keyword: str, parameters: Sequence[str]) -> ArgumentError:
    """The error for a keyword that is not among a function's parameters."""
    remedy = _remedy(keyword, parameters)
    return ArgumentError(f"{name}: there is no argument {keyword}; {remedy}", user_location())


def refused_function(name: str) -> ArgumentError | None:
    """The error for a function of NumPy that is called with a tensor, if graphc has it."""
    answer = NAMES.get(name) or _elsewhere(name, "")
    if not answer:
        return None
    return ArgumentError(f"numpy.{name} takes no tensor; use {answer}", user_location())


def _remedy(keyword: str, parameters: Sequence[str]) -> str:
    """What to write instead of a keyword."""
    fitting = [k for k in KEYWORDS.get(keyword, ()) if k in parameters]
    if fitting:
        return f"use {fitting[0]}"
    if keyword in WITHOUT:
        return WITHOUT[keyword]
    alike = difflib.get_close_matches(keyword, parameters, 1, ALIKE)
    return f"use {alike[0]}" if alike else f"there are {', '.join(parameters) or 'none'}"


def _elsewhere(name: str, module: str) -> str:
    """How a name of another public namespace is called; "" if none has it."""
    for home in NAMESPACES:
        if home != module:
            found = importlib.import_module(home)
            if name in dir(found):
                value = getattr(found, name)
                called = f"{_spoken(home)}.{name}"
                return called + (_parameters(value) if inspect.isroutine(value) else "")
    return ""


def _alike(name: str, module: str) -> str:
    """The name of the module that looks most like this one; "" if none does."""
    names = {n.lower(): n for n in reversed(dir(importlib.import_module(module)))}
    close = difflib.get_close_matches(name.lower().replace("_", ""), names, 1, ALIKE)
    close = close or difflib.get_close_matches(name.lower(), names, 1, ALIKE)
    return f"{_spoken(module)}.{names[close[0]]}" if close else ""


def _parameters(function: Callable[..., Any]) -> str:
    """A function's parameters and their defaults, as `(x, axis=None)`."""
    signature = inspect.signature(function)
    plain = [p.replace(annotation=p.empty) for n, p in signature.parameters.items() if n != "self"]
    return str(signature.replace(parameters=plain, return_annotation=signature.empty))


def _spoken(module: str) -> str:
    """A module as users write it: `gc.nn`."""
    return re.sub(r"^graphc", "gc", module)
