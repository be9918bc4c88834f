"""Records: frozen classes of typed fields that cost little to declare, to make and to hash.

`@dataclass(frozen=True)` writes and compiles six methods for each class, 0.4 ms at import, and
there are many ops.  Here all records share one method of each kind.  `dataclasses` only keeps the
fields, so `dataclasses.replace`, `dataclasses.fields` and `match` work as they do elsewhere.
"""

from __future__ import annotations

from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, fields
from inspect import Parameter, Signature
from typing import Any, ClassVar


class _Signature:
    """The signature that `help` and `inspect.signature` show; made when they ask for it."""

    def __get__(self, record: Record | None, cls: type[Record]) -> Signature:
        if record is not None:  # `inspect` asks about a call of the record, not of its class
            raise AttributeError("__signature__")
        places = zip(cls._fields, cls._defaults, strict=True)
        return Signature(
            [
                Parameter(
                    f.name,
                    Parameter.POSITIONAL_OR_KEYWORD,
                    default=Parameter.empty if default is MISSING else default,
                    annotation=f.type,
                )
                for f, default in places
            ]
        )


class Record:
    """Base of records.  A subclass that has fields says so with `_declare`."""

    __signature__ = _Signature()
    _fields: ClassVar[tuple[Field[Any], ...]] = ()
    _names: ClassVar[tuple[str, ...]] = ()
    _defaults: ClassVar[tuple[Any, ...]] = ()

    @classmethod
    def _declare(cls) -> None:
        """Takes the annotations of the class as fields.  Raises `TypeError` for an order or a kind
        of field that records do not have."""
        made: Any = dataclass(init=False, eq=False, repr=False)(cls)
        cls._fields = fields(made)
        cls._names = tuple(f.name for f in cls._fields)
        cls._defaults = tuple(f.default for f in cls._fields)
        for before, f in zip((None, *cls._fields), cls._fields):
            if f.default_factory is not MISSING or f.kw_only or not f.init:
                raise TypeError(
                    f"{cls.__qualname__}.{f.name}: a record's field has a plain default"
                )
            if before and before.default is not MISSING and f.default is MISSING:
                raise TypeError(f"non-default argument {f.name!r} follows default argument")
        if "__init__" not in cls.__dict__:
            checks = cls.__post_init__ is not Record.__post_init__
            make: Any = _construct_checked if checks else _construct
            cls.__init__ = make  # type: ignore[method-assign]

    @classmethod
    def fields(cls) -> tuple[Field[Any], ...]:
        """The fields in order, those of the base classes first."""
        return cls._fields

    def __post_init__(self) -> None:
        """Runs when the fields are set.  A subclass that checks them raises here."""

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), *self.__dict__.values()))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._names)
        return f"{type(self).__qualname__}({shown})"

    def __setattr__(self, name: str, value: Any) -> None:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"cannot delete field {name!r}")


def _construct(self: Record, /, *args: Any, **given: Any) -> None:
    """The constructor of all records that have fields.  It fills `__dict__` in the order of the
    fields, which equal hashes rely on.  Raises `TypeError` for a call that does not fit."""
    values, names = self.__dict__, self._names
    for name, value in zip(names, args):
        values[name] = value
    if given or len(args) != len(names):
        _complete(self, args, given)


def _construct_checked(self: Record, /, *args: Any, **given: Any) -> None:
    _construct(self, *args, **given)
    self.__post_init__()


def _complete(record: Record, args: tuple[Any, ...], rest: dict[str, Any]) -> None:
    """Sets the fields behind the positional ones, by keyword or default."""
    values, count = record.__dict__, len(args)
    for name, default in zip(record._names[count:], record._defaults[count:]):
        value = rest.pop(name, default)
        if value is MISSING:
            break
        values[name] = value
    if rest or len(values) != len(record._names) or count > len(values):
        _refuse(record, args, rest)


def _refuse(record: Record, args: tuple[Any, ...], rest: dict[str, Any]) -> None:
    """Raises `TypeError` in Python's words; `rest` are the keywords without a field."""
    cls, values = type(record), record.__dict__
    given = {name: values[name] for name in cls._names[len(args) :] if name in values}
    try:
        cls.__signature__.bind(*args, **given, **rest)
    except TypeError as error:
        raise TypeError(f"{cls.__qualname__}: {error}") from None
    raise AssertionError(f"{cls.__qualname__}: {args} and {rest} fit, but were refused")
