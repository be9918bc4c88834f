"""Module: a layer or model as an object that owns its parameters, with PyTorch's interface.

A module's members are its attributes: a `Parameter` (or a trainable `gc.variable`) is a parameter,
another variable is a buffer, a `Module` is a child.  Constructors make variables in the current
graph.  Calling a module builds graph and computes nothing:

>>> import graphc as gc
>>> class Net(gc.nn.Module):
...     def __init__(self):
...         self.fc = gc.nn.Linear(4, 2)
...     def forward(self, x):
...         return gc.nn.functional.relu(self.fc(x))
>>> with gc.Graph().as_default():
...     net = Net()
...     x = gc.placeholder(gc.float32, ["n", 4], name="x")
...     print(net(x).type, [name for name, _ in net.named_parameters()])
f32[n,2] ['fc.weight', 'fc.bias']

Graphs are static, so `training` decides what the *next call* builds.  Both graphs of one model,
over the same parameters, are `loss = criterion(model.train()(x), y)` and
`scores = model.eval()(x)`.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, NamedTuple, TypeVar

from graphc.errors import DTypeError, GraphError, ShapeError, user_location
from graphc.frontend.arguments import typed
from graphc.frontend.boundary import door, short
from graphc.frontend.declare import declared, register
from graphc.frontend.scope import keeping_assigns
from graphc.frontend.tensor import Variable, as_tensor
from graphc.ir.types import as_dtype
from graphc.nn import state
from graphc.nn.members import CONTAINERS, require_kept, require_registered

__all__ = ["Buffer", "Module", "Parameter"]

M = TypeVar("M", bound="Module")


def _constructor(init: Callable[..., None], name: str) -> Callable[..., None]:
    """A guarded constructor; its errors must not print a half-made module."""

    @functools.wraps(init)
    def call(self: Any, *args: Any, **kwargs: Any) -> None:
        door(functools.partial(init, self), name)(*args, **kwargs)

    return call


class Owned(Variable):
    """A variable that is named by the path of attributes that leads to it, once that is known."""

    __slots__ = ("path", "scope")
    path: str
    scope: str
    kind: ClassVar[str] = "variable"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in cls.__dict__:
            cls.__init__ = _constructor(  # type: ignore[method-assign]
                cls.__dict__["__init__"], cls.__name__
            )

    def __init__(self, data: Any, trainable: bool, dtype: Any = None) -> None:
        Variable.__init__(self, *declared(data, self.kind, dtype), trainable)
        object.__setattr__(self, "path", "")
        object.__setattr__(self, "scope", "".join(self.name.rpartition("/")[:2]))
        register(self)

    def start_from(self, data: Any) -> None:
        """Gives the variable another initial value, for sessions that have not needed it yet.

        Raises `ShapeError` and `DTypeError` for one that does not fit.
        """
        start = typed("start_from", data, self.dtype)
        if start.shape != self.shape:
            raise ShapeError(
                f"start_from: {self.name!r} is {self.type}, the initial value {start.type}",
                user_location(),
            )
        object.__setattr__(self, "initial_value", start)

    def found_at(self, path: str) -> None:
        """Takes a path as name.  A variable's name is set here and nowhere else."""
        object.__setattr__(self, "name", self.graph.rename(self.name, self.scope + path))
        object.__setattr__(self, "path", path)


class Parameter(Owned):
    """A variable that is trained; `data` is its initial value: a tensor, an array, a number.

    >>> import graphc as gc
    >>> gc.nn.Parameter(gc.init.xavier_uniform((3, 2))).type
    f32[3,2]
    """

    __slots__ = ()
    kind = "parameter"

    def __init__(self, data: Any, requires_grad: bool = True, dtype: Any = None) -> None:
        start = as_tensor(data, None if dtype is None else as_dtype(dtype))
        wanted = start.dtype if dtype is None else as_dtype(dtype)
        if requires_grad and not wanted.is_float:
            remedy = ", or requires_grad=False"
            if isinstance(data, list | tuple) and start.ndim == 1:
                remedy = f"; of shape {tuple(data)} it is Parameter(gc.zeros({tuple(data)}))"
            raise DTypeError(
                f"Parameter: data is {short(data)} ({start.type}), which cannot be trained; "
                f"expected floats{remedy}",
                user_location(),
            )
        super().__init__(start, requires_grad, dtype)


class Buffer(Owned):
    """A variable that is not trained but belongs to the state, such as a running mean."""

    __slots__ = ()
    kind = "buffer"

    def __init__(self, data: Any, dtype: Any = None) -> None:
        super().__init__(data, False, dtype)


class LoadResult(NamedTuple):
    """The names that `load_state_dict` left out."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module:
    """Base of layers and models: define `forward`, and members in `__init__`."""

    training: bool = True
    _transient: frozenset[str] = frozenset()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__module__.startswith("graphc.") and "__init__" in cls.__dict__:
            cls.__init__ = _constructor(  # type: ignore[method-assign]
                cls.__dict__["__init__"], cls.__name__
            )

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Builds the graph of what the module computes."""
        raise GraphError(f"{type(self).__name__}: forward is not defined", user_location())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        _name_members(self, "")
        name = type(self).__name__
        with keeping_assigns(f"{name}: forward"):
            return door(self.forward, name)(*args, **kwargs)

    def __setattr__(self, name: str, value: Any) -> None:
        require_kept(type(self).__name__, name, vars(self).get(name), value, Module)
        object.__setattr__(self, name, value)
        if isinstance(value, Owned) and not value.path:
            value.found_at(name)
        elif isinstance(value, Module):
            _name_members(value, name)

    def __deepcopy__(self: M, memo: dict[int, Any]) -> M:
        """A module with variables of its own, which start from equal values."""
        twin = object.__new__(type(self))
        memo[id(self)] = twin
        for name, value in vars(self).items():
            if isinstance(value, Parameter) and id(value) not in memo:
                memo[id(value)] = Parameter(value.initial_value, value.trainable)
            elif isinstance(value, Variable) and id(value) not in memo:
                memo[id(value)] = (
                    Parameter(value.initial_value)
                    if value.trainable
                    else Buffer(value.initial_value)
                )
            setattr(twin, name, copy.deepcopy(value, memo))
        return twin

    # -- members

    def register_parameter(self, name: str, param: Variable | None) -> None:
        """The same as setting the attribute."""
        self._require_free(name)
        setattr(self, name, param)

    def register_module(self, name: str, module: Module | None) -> None:
        """The same as setting the attribute."""
        self._require_free(name)
        setattr(self, name, module)

    add_module = register_module

    def register_buffer(self, name: str, tensor: Any, persistent: bool = True) -> None:
        """A variable that is not trained, under `name`; in the state dict if `persistent`.

        `tensor` is its initial value, a variable, or None (no buffer).
        """
        self._require_free(name)
        held = tensor is None or isinstance(tensor, Variable)
        setattr(self, name, tensor if held else Buffer(tensor))
        if not persistent:
            self._transient = self._transient | {name}

    def _require_free(self, name: str) -> None:
        if not isinstance(name, str) or not name or "." in name or hasattr(self, name):
            raise GraphError(
                f"{type(self).__name__}: cannot register {name!r}: expected a name without '.' "
                "that is no attribute yet",
                user_location(),
            )

    def _members(
        self, chosen: Callable[[Any], bool], prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        modules = self.named_modules(prefix, remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, value in vars(module).items():
                if chosen(value) and id(value) not in seen:
                    seen |= {id(value)} if remove_duplicate else set()
                    yield f"{path}.{name}" if path else name, value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Variable]]:
        """(path, parameter), each once."""
        return self._members(_is_parameter, prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Variable]:
        """The parameters of this module and (with `recurse`) of those within, each once."""
        return (p for _, p in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Variable]]:
        """(path, buffer), each once."""
        return self._members(_is_buffer, prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Variable]:
        """The variables that are not trained, each once."""
        return (b for _, b in self.named_buffers(recurse=recurse))

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """(name, module) of the modules directly within, each once."""
        seen: set[int] = set()
        for name, value in vars(self).items():
            if isinstance(value, Module) and id(value) not in seen:
                seen.add(id(value))
                yield name, value

    def children(self) -> Iterator[Module]:
        """The modules directly within, each once."""
        return (m for _, m in self.named_children())

    def named_modules(
        self, prefix: str = "", remove_duplicate: bool = True, _seen: set[int] | None = None
    ) -> Iterator[tuple[str, Module]]:
        """(path, module): this one and all within."""
        seen = set() if _seen is None else _seen
        if remove_duplicate and id(self) in seen:
            return
        seen.add(id(self))
        if any(isinstance(value, CONTAINERS) for value in vars(self).values()):
            require_registered(type(self).__name__, vars(self), _known(self, set()), Module)
        yield prefix, self
        for name, value in vars(self).items():
            if isinstance(value, Module):
                path = f"{prefix}.{name}" if prefix else name
                yield from value.named_modules(path, remove_duplicate, seen)

    def modules(self) -> Iterator[Module]:
        """This module and all within, each once."""
        return (m for _, m in self.named_modules())

    def get_submodule(self, target: str) -> Module:
        """The module at a path.  Raises `GraphError`."""
        found = dict(self.named_modules(remove_duplicate=False)).get(target)
        if found is None:
            raise GraphError(f"{type(self).__name__}: no module at {target!r}", user_location())
        return found

    def apply(self: M, fn: Callable[[Module], Any]) -> M:
        """Calls `fn` on every module within and on this one; returns this one."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    # -- mode

    def train(self: M, mode: bool = True) -> M:
        """Later calls build the training graph (dropout drops, batch norm takes the batch's
        statistics); returns this module."""
        if not isinstance(mode, bool):
            raise GraphError(
                f"{type(self).__name__}: train: mode is {mode!r}; expected a bool", user_location()
            )
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: M) -> M:
        """Later calls build the graph for use, not for training; returns this module."""
        return self.train(False)

    # -- state

    def _state(self) -> dict[str, Variable]:
        found = {}
        for path, module in self.named_modules(remove_duplicate=False):
            for name, value in vars(module).items():
                if isinstance(value, Variable) and name not in module._transient:
                    found[f"{path}.{name}" if path else name] = value
        return found

    def state_dict(self, session: Any) -> dict[str, Any]:
        """The values of parameters and persistent buffers in a session, as NumPy arrays by path:
        the keys are PyTorch's.  `safetensors.numpy.save_file` takes it as it is."""
        return state.values(session, self._state(), type(self).__name__)

    def load_state_dict(
        self, session: Any, state_dict: Mapping[str, Any], strict: bool = True
    ) -> LoadResult:
        """Gives the variables values, from arrays by path (NumPy's, or PyTorch's on the CPU).

        Raises `StateDictError`, which lists missing and unexpected keys (unless not `strict`) and
        wrong shapes; then nothing has changed.
        """
        return LoadResult(
            *state.load(session, self._state(), state_dict, strict, type(self).__name__)
        )

    # -- text

    def extra_repr(self) -> str:
        """The text in the repr about this module itself."""
        return ""

    def __repr__(self) -> str:
        own, lines = self.extra_repr(), []
        for name, value in vars(self).items():
            if isinstance(value, Module):
                lines.append(f"  ({name}): " + repr(value).replace("\n", "\n  "))
        if not lines:
            return f"{type(self).__name__}({own})"
        head = [f"  {own}"] if own else []
        return "\n".join([f"{type(self).__name__}(", *head, *lines, ")"])


def _name_members(module: Module, prefix: str) -> None:
    """Extends the names of variables, now that more of the path to them is known."""
    for path, v in [*module.named_parameters(prefix), *module.named_buffers(prefix)]:
        if isinstance(v, Owned) and path.endswith(f".{v.path}"):
            v.found_at(path)


def _known(module: Module, found: set[int]) -> set[int]:
    """The ids of a module and of all members within."""
    found.add(id(module))
    for value in vars(module).values():
        if isinstance(value, Module) and id(value) not in found:
            _known(value, found)
        elif isinstance(value, Variable):
            found.add(id(value))
    return found


def _is_parameter(value: Any) -> bool:
    return isinstance(value, Parameter) or (isinstance(value, Variable) and value.trainable)


def _is_buffer(value: Any) -> bool:
    return isinstance(value, Variable) and not _is_parameter(value)
