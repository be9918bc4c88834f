"""Classes of ops that decorators make, and their names in the table of ops."""

from __future__ import annotations

from typing import Any

from graphc.errors import GraphError, user_location
from graphc.ir.op import OPS, Op


def require_free(what: str, name: str, made: type[Op]) -> None:
    """Raises `GraphError` for the name of an op that is not one of those `made` by the decorator
    `what`, whose functions may be declared anew."""
    if name in OPS and not issubclass(OPS[name], made):
        ours = OPS[name].__module__.startswith("graphc.")
        raise GraphError(
            f"{what}: {name!r} is {'a built-in op' if ours else 'the op of a class'}; choose "
            "another name",
            user_location(),
        )


def op_class(made: type[Op], name: str, members: dict[str, Any]) -> Any:
    """A new class of op, a subclass of `made`.  The table does not know it yet."""
    title = "".join(part.capitalize() for part in name.split("_"))
    cls: Any = type(title or name, (made,), members, abstract=True)
    cls.name, cls.abstract = name, False
    return cls


def enter(cls: type[Op]) -> None:
    """Makes a class known to the table, under its name."""
    OPS[cls.name] = cls
