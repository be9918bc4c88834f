"""Modules that hold modules: in a row, in a list, in a dict."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from graphc.errors import GraphError, user_location
from graphc.frontend.tensor import Variable
from graphc.nn.module import Module, Parameter

__all__ = ["ModuleDict", "ModuleList", "ParameterList", "Sequential"]

T = TypeVar("T")


class Numbered(Module, Generic[T]):
    """Members under the names 0, 1, 2, ..."""

    def _check(self, value: Any) -> Any:
        raise NotImplementedError(type(self).__name__)

    def _names(self) -> list[str]:
        return [name for name in vars(self) if name.isdigit()]

    def __len__(self) -> int:
        return len(self._names())

    def __iter__(self) -> Iterator[T]:
        return iter([vars(self)[name] for name in self._names()])

    def _at(self, index: Any) -> str:
        names = self._names()
        if not isinstance(index, int) or not -len(names) <= index < len(names):
            raise GraphError(
                f"{type(self).__name__}: no member at {index!r} of {len(names)}", user_location()
            )
        return names[index]

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)._of(list(self)[index])
        return vars(self)[self._at(index)]

    @classmethod
    def _of(cls, members: list[T]) -> Any:
        return cls(members)  # type: ignore[call-arg]

    def __setitem__(self, index: int, value: T) -> None:
        setattr(self, self._at(index), self._check(value))

    def __delitem__(self, index: int) -> None:
        members = list(self)
        name = self._at(index)
        del members[int(name)]
        for old in self._names():
            delattr(self, old)
        self._put(members)

    def _put(self, members: Iterable[T]) -> None:
        for member in members:
            setattr(self, str(len(self)), self._check(member))

    def append(self, value: T) -> Any:
        """Adds a member at the end; returns this container."""
        self._put([value])
        return self

    def extend(self, values: Iterable[T]) -> Any:
        """Adds members at the end; returns this container."""
        self._put(list(values))
        return self

    def __iadd__(self, values: Iterable[T]) -> Any:
        return self.extend(values)

    def insert(self, index: int, value: T) -> None:
        """Puts a member before position `index`."""
        members = [*self]
        members.insert(index, value)
        for old in self._names():
            delattr(self, old)
        self._put(members)


class ModuleList(Numbered[Module]):
    """A list of modules, which belong to the module that holds it.

    >>> import graphc as gc
    >>> layers = gc.nn.ModuleList(gc.nn.Linear(3, 3) for _ in range(2))
    >>> [name for name, _ in layers.named_parameters()]
    ['0.weight', '0.bias', '1.weight', '1.bias']
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        self._put(modules or ())

    def _check(self, value: Any) -> Any:
        return module_of(type(self).__name__, value)


class Sequential(Numbered[Module]):
    """Modules one after the other; or one dict of them, by name.

    >>> import graphc as gc
    >>> net = gc.nn.Sequential(gc.nn.Linear(4, 8), gc.nn.ReLU(), gc.nn.Linear(8, 2))
    >>> net(gc.zeros((5, 4))).type
    f32[5,2]
    """

    def __init__(self, *args: Any) -> None:
        if len(args) == 1 and isinstance(args[0], Mapping):
            for name, module in args[0].items():
                self.register_module(name, module_of("Sequential", module))
        else:
            self._put(args)

    @classmethod
    def _of(cls, members: list[Module]) -> Any:
        return cls(*members)

    def _names(self) -> list[str]:
        return [name for name, value in vars(self).items() if isinstance(value, Module)]

    def _check(self, value: Any) -> Any:
        return module_of("Sequential", value)

    def forward(self, input: Any) -> Any:
        for module in self:
            input = module(input)
        return input


class ParameterList(Numbered[Variable]):
    """A list of parameters, which belong to the module that holds it."""

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        self._put(values or ())

    def _check(self, value: Any) -> Any:
        return value if isinstance(value, Variable) else Parameter(value)

    def extra_repr(self) -> str:
        return "\n  ".join(f"({i}): Parameter {p.type}" for i, p in enumerate(self))


class ModuleDict(Module):
    """Modules by name, which belong to the module that holds it.

    >>> import graphc as gc
    >>> heads = gc.nn.ModuleDict({"left": gc.nn.Linear(2, 3), "right": gc.nn.Linear(2, 1)})
    >>> heads["right"](gc.zeros((5, 2))).type
    f32[5,1]
    """

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        self.update(modules or {})

    def update(self, modules: Mapping[str, Module]) -> None:
        """Adds modules, or puts them in the place of those of the same names."""
        for name, module in dict(modules).items():
            self[name] = module

    def __setitem__(self, name: str, module: Module) -> None:
        if name not in self:
            self._require_free(name)
        setattr(self, name, module_of("ModuleDict", module))

    def _known(self, name: str) -> str:
        if name not in self:
            raise GraphError(
                f"ModuleDict: no module {name!r}; it has {', '.join(self.keys())}", user_location()
            )
        return name

    def __getitem__(self, name: str) -> Module:
        found: Module = vars(self)[self._known(name)]
        return found

    def __delitem__(self, name: str) -> None:
        delattr(self, self._known(name))

    def __contains__(self, name: object) -> bool:
        return isinstance(vars(self).get(str(name)), Module)

    def __len__(self) -> int:
        return len(list(self.keys()))

    def __iter__(self) -> Iterator[str]:
        return iter(list(self.keys()))

    def keys(self) -> Iterable[str]:
        """The names."""
        return [name for name, value in vars(self).items() if isinstance(value, Module)]

    def values(self) -> Iterable[Module]:
        """The modules."""
        return [self[name] for name in self.keys()]

    def items(self) -> Iterable[tuple[str, Module]]:
        """(name, module)."""
        return [(name, self[name]) for name in self.keys()]


def module_of(what: str, value: Any) -> Module:
    """A module.  Raises `GraphError` for anything else."""
    if not isinstance(value, Module):
        raise GraphError(f"{what}: {value!r} is no Module", user_location())
    return value
