"""Records: frozen dataclasses that cost little to declare.

`@dataclass(frozen=True)` compiles six methods for each class, 0.4 ms at import; ops are many.  Here
one is compiled, the constructor, and what it would share with all others stands once.
"""

from __future__ import annotations

from dataclasses import Field, FrozenInstanceError, dataclass, fields
from typing import Any, ClassVar


class Record:
    """Base of records.  A subclass that has fields says so with `_declare`."""

    _settable: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def _declare(cls) -> None:
        made: Any = dataclass(eq=False, repr=False)(cls)
        cls._settable = frozenset(f.name for f in fields(made))

    @classmethod
    def fields(cls) -> tuple[Field[Any], ...]:
        made: Any = cls
        return fields(made) if cls._settable else ()  # leaves out class variables

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), *self.__dict__.values()))

    def __repr__(self) -> str:
        shown = ", ".join(f"{f.name}={getattr(self, f.name)!r}" for f in self.fields())
        return f"{type(self).__qualname__}({shown})"

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__ or name not in self._settable:  # the constructor sets each once
            raise FrozenInstanceError(f"cannot assign to field {name!r}")
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"cannot delete field {name!r}")
