"""What a pass is: a frozen dataclass whose fields are its tuning numbers.

    @dataclass(frozen=True)
    class SplitReductions(GraphPass):
        "Splits long reductions into chunks, which run side by side."

        name = "split-reductions"
        chunks: int = option(16, "chunks that a reduction is split into", at_least=1)

        def run(self, graph: Graph, context: Context) -> Graph: ...

`graphc opt --passes 'split-reductions{chunks=32}'` sets a field (`parse.py`), and so does
`SplitReductions(chunks=32)` in `gc.Session(passes=[...])`.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Self, TypeVar

from graphc.errors import GraphError, defined_at, user_location
from graphc.ir.graph import Graph, Value
from graphc.ir.program import Program
from graphc.passes.rewrite.inner_graphs import deeply
from graphc.passes.trace import Trace

Setting = int | float | bool | str
KINDS: dict[type[Setting], str] = {  # what the type of a field's default is called
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
}
T = TypeVar("T", int, float, bool, str)


@dataclass(frozen=True)
class Context:
    """What a pass may ask and note besides what it is given.

    `fast_math` allows rules that hold over the reals only.  `takes_epilogue` tells which
    contractions a map may follow in their kernel (None: those of a CPU's register tiles).
    `watch` is shown every graph that a pass has made.
    """

    trace: Trace = field(default_factory=Trace)
    fast_math: bool = False
    takes_epilogue: Callable[[Value], bool] | None = None
    watch: Callable[[GraphPass, Graph], None] | None = None


def option(default: T, says: str, *, at_least: float | None = None) -> T:
    """A field of a pass: its default, what it counts and in what unit, the least it may be.  The
    command line reads the field as the type of its default.  Raises `GraphError`."""
    bound = isinstance(at_least, int | float) and type(default) in (int, float)
    if type(default) not in KINDS or not (at_least is None or bound):
        raise GraphError(
            f"option: the default is {default!r}, and at_least {at_least!r}; expected a whole "
            "number, a number, true or false, or text, and of a number the least that it may be",
            user_location(),
        )
    metadata = {"default": default, "says": says, "at_least": at_least}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Option:
    """A field of a pass, as errors and lists of passes show it."""

    name: str
    default: Setting
    says: str
    at_least: float | None

    @property
    def type(self) -> type[Setting]:
        return type(self.default)

    @property
    def expected(self) -> str:
        """What a value must be, for errors."""
        least = "" if self.at_least is None else f" of at least {self.at_least}"
        return KINDS[self.type] + least

    def allows(self, value: object) -> bool:
        """Whether a value is of the field's type and large enough."""
        if type(value) is not self.type and not (self.type is float and type(value) is int):
            return False
        return self.at_least is None or (isinstance(value, int | float) and value >= self.at_least)


@dataclass(frozen=True)
class Pass(ABC):
    """A step of a compilation.  Its class's docstring says what it does, and `required` why no
    compilation can do without it (empty: it can be left out)."""

    name: ClassVar[str]
    required: ClassVar[str] = ""

    def __new__(cls, *values: object, **named: object) -> Self:
        """Refuses a class that Python would refuse in its own words, or misread."""
        own = [
            k for c in cls.__mro__ for k, x in vars(c).items() if isinstance(x, dataclasses.Field)
        ]
        if own:
            raise GraphError(
                f"pass {cls.__name__}: {', '.join(own)} would be no field: write "
                f"@dataclass(frozen=True) above the class",
                user_location(),
            )
        if cls.__abstractmethods__:
            raise GraphError(
                f"pass {cls.__name__}: there is no method run(self, graph, context), which returns "
                "the changed graph",
                user_location(),
            )
        return super().__new__(cls)

    def __post_init__(self) -> None:
        for o in self.options():
            value = getattr(self, o.name)
            if not o.allows(value):
                raise GraphError(f"pass {self.name}: {o.name} is {value!r}; expected {o.expected}")

    @classmethod
    def options(cls) -> tuple[Option, ...]:
        """The fields that were declared by `option`."""
        return tuple(
            Option(f.name, **f.metadata) for f in dataclasses.fields(cls) if "says" in f.metadata
        )

    def __str__(self) -> str:
        """As the command line spells it; fields that have their default are left out."""
        changed = [(o, getattr(self, o.name)) for o in self.options()]
        shown = [f"{o.name}={spelled(value)}" for o, value in changed if value != o.default]
        return f"{self.name}{{{','.join(shown)}}}" if shown else self.name


def spelled(value: Setting) -> str:
    """A field's value as the command line spells it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True)
class GraphPass(Pass):
    """A pure function from a graph to a graph that means the same."""

    @abstractmethod
    def run(self, graph: Graph, context: Context) -> Graph:
        """The changed graph.  Graphs inside its ops have been changed before."""

    def run_deeply(self, graph: Graph, context: Context) -> Graph:
        """The changed graph, and those inside its ops, the inmost first."""
        return deeply(graph, lambda g: self._made(g, context))

    def _made(self, graph: Graph, context: Context) -> Graph:
        """What `run` makes.  Raises `GraphError` if it is no graph."""
        result = self.run(graph, context)
        if not isinstance(result, Graph):
            line = defined_at(getattr(self, "function", type(self).run))
            raise GraphError(f"pass {self} gave {result!r}; expected a Graph: return one", line)
        return result

    def __call__(self, graph: Graph) -> Graph:
        """The changed graph, outside of a compilation."""
        return self.run_deeply(graph, Context())


@dataclass(frozen=True)
class ProgramPass(Pass):
    """A pure function from a program to a program that does the same."""

    @abstractmethod
    def run(self, program: Program, context: Context) -> Program:
        """The changed program, and the programs inside its kernels."""

    def __call__(self, program: Program) -> Program:
        """The changed program, outside of a compilation."""
        return self.run(program, Context())


@dataclass(frozen=True)
class FunctionPass(GraphPass):
    """A user's function from a graph to a graph, called for the whole graph."""

    name = "function"
    function: Callable[[Graph], Graph]

    def run(self, graph: Graph, context: Context) -> Graph:
        return self.function(graph)

    def run_deeply(self, graph: Graph, context: Context) -> Graph:
        return self._made(graph, context)

    def __str__(self) -> str:
        return getattr(self.function, "__name__", repr(self.function))
