"""What a public module shows to `dir`, to `import *` and to `help`: its public names alone.

A file writes them once, in `__all__`.  A package takes its files' names by `from ... import *` and
so has no list of its own.  Whoever asks for another name is told what to type instead.

Invariant: nothing here imports from graphc, until a name is missing.
"""

from __future__ import annotations

import importlib
from importlib.machinery import PathFinder
from types import ModuleType
from typing import Any, NoReturn

ANSWERS = "graphc.frontend.missing"  # the module that knows what to type instead


def publish(namespace: dict[str, Any], *others: str) -> None:
    """Ends a public module: `dir` and `import *` show the names in `__all__`.

    A module without `__all__` gets one: every name without a leading underscore that is no module,
    and `others`, which are public modules, or names that are imported when they are first touched.
    """
    if "__all__" not in namespace:
        own = (n for n, x in namespace.items() if n[0] != "_" and not isinstance(x, ModuleType))
        namespace["__all__"] = list(dict.fromkeys((*own, *others)))
    namespace["__dir__"] = lambda: sorted(namespace["__all__"])
    namespace.setdefault("__getattr__", lambda name: refuse(namespace, name))


def refuse(namespace: dict[str, Any], name: str) -> NoReturn:
    """Raises the error for a name that a module has not.  Python itself asks for modules that are
    not yet imported, and for names with a leading underscore."""
    home, folders = namespace["__name__"], namespace.get("__path__")
    if name[0] == "_" or (folders and PathFinder.find_spec(f"{home}.{name}", folders)):
        raise AttributeError(f"module {home!r} has no attribute {name!r}")
    raise importlib.import_module(ANSWERS).missing_name(home, name)
