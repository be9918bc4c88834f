"""What a public module shows to `dir`, to `import *` and to `help`: its public names alone.

A file writes them once, in `__all__`.  A package takes its files' names by `from ... import *` and
so has no list of its own.  Invariant: nothing here imports from graphc.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any


def publish(namespace: dict[str, Any], *others: str) -> None:
    """Ends a public module: `dir` and `import *` show the names in `__all__`.

    A module without `__all__` gets one: every name without a leading underscore that is no module,
    and `others`, which are public modules, or names that are imported when they are first touched.
    """
    if "__all__" not in namespace:
        own = (n for n, x in namespace.items() if n[0] != "_" and not isinstance(x, ModuleType))
        namespace["__all__"] = list(dict.fromkeys((*own, *others)))
    namespace["__dir__"] = lambda: sorted(namespace["__all__"])
