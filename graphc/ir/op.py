"""The base classes of ops.  An op is one frozen class with typed fields that says all about itself.

A family is a base class; the rest of the compiler asks about families, never about op names:

    Pointwise     out[i] = f(a[i], b[i], ...)         all operands have the same shape
    View          out[i] = a[g(i)]                    index arithmetic only, perhaps with a fill
    Generator     out[i] = f(i)                       no tensor operands, or 0-d ones
    Gather        out[i] = a[g(i, index[h(i)])]
    Scatter       out[g(i, index[h(i)])] += u[i]
    Reduction     out[i] = fold of a[i, j] over j
    Contraction   products summed over shared axes
    Opaque        a kernel written by hand
    Control       runs graphs that are its fields
    State         inputs of a graph, and writes of variables

Ops sit below `Value`.  They speak to `Operand.apply`, which values (it builds graph), patterns
(rules) and scalars (kernel expressions) implement: gradients, rules, lowerings are spelled alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar, dataclass_transform

import numpy as np

from graphc.errors import DTypeError, GraphError, Location, ShapeError, user_location
from graphc.ir.dim import Shape, Size
from graphc.ir.record import Record
from graphc.ir.requirement import Requirement, all_equal
from graphc.ir.types import ALL, DType, TensorType, TupleType

Number = bool | int | float
Array = np.ndarray[Any, Any]
T = TypeVar("T", bound="Operand")


class Operand:
    """What an op can be applied to.  Values have a `type`, patterns have none."""

    type: TensorType

    def apply(self: T, op: Op, args: Sequence[T | Number]) -> T:
        """The result of `op` on these operands; plain numbers become literals."""
        raise NotImplementedError(type(self).__name__)


@dataclass(frozen=True)
class Sample:
    """Operand types and field values that the tests try an op on."""

    types: tuple[TensorType, ...]
    fields: dict[str, Any]
    low: float = -2.0
    high: float = 2.0
    special: bool = True
    prepare: Callable[..., tuple[Any, ...]] | None = None


def sample(
    *types: TensorType,
    low: float = -2.0,
    high: float = 2.0,
    special: bool = True,
    prepare: Callable[..., tuple[Any, ...]] | None = None,
    **fields: Any,
) -> Sample:
    """A test case: operands uniform in [low, high); with `special`, also ±0, ±inf, nan, extremes.
    `prepare` makes the operands of those arrays (symmetric, say, or well conditioned)."""
    return Sample(types, fields, low, high, special and prepare is None, prepare)


OPS: dict[str, type[Op]] = {}
EXAMINERS: list[Callable[[type[Op]], None]] = []  # judge the classes that users declare


@dataclass_transform(frozen_default=True)
class Op(Record):
    """Base of all ops.  A subclass becomes a frozen dataclass; its text name is derived."""

    name: ClassVar[str] = ""
    samples: ClassVar[tuple[Sample, ...]] = ()
    differentiable: ClassVar[bool] = True
    abstract: ClassVar[bool] = True
    operands: ClassVar[int | None] = None  # how many; None: as many as it is given

    def __init_subclass__(cls, abstract: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = cls.__dict__.get("__annotations__", {})
        if any("ClassVar" not in str(kind) for kind in own.values()):
            cls._declare()
        cls.abstract = abstract
        if not abstract:
            cls.name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()
            for examine in () if cls.__module__.startswith("graphc.") else EXAMINERS:
                examine(cls)
            OPS[cls.name] = cls

    def __call__(self, *args: Any) -> Any:
        carrier = next((a for a in args if isinstance(a, Operand)), None)
        wanted = getattr(self, "arity", self.operands)
        if carrier is None or wanted not in (None, len(args)):
            takes = f"{wanted or 'some'} operands, at least one of them a tensor"
            takes = "no operand; graphc.extend.make(op, ()) applies it" if wanted == 0 else takes
            raise GraphError(
                f"{self.name}: takes {takes}; got ({', '.join(map(repr, args))})", user_location()
            )
        return carrier.apply(self, args)

    def requires(self, *types: TensorType) -> tuple[Requirement, ...]:
        """What sizes must satisfy; what is not known yet is checked when arrays are fed."""
        return ()

    def infer(self, *types: TensorType) -> TensorType:
        """The type of the result.  Raises `ShapeError` or `DTypeError`."""
        raise NotImplementedError(self.name)

    def reference(self, *arrays: Any) -> Any:
        """The meaning, in NumPy."""
        raise NotImplementedError(self.name)

    def vjp(self, ct: Any, out: Any, *args: Any) -> tuple[Any, ...]:
        """Cotangents of the operands (None: no gradient), from the cotangent of the result."""
        return (None,) * len(args)


class Pointwise(Op, abstract=True):
    """out[i] = f(a[i], b[i], ...).

    A primitive has a `spelling` (an operator, or a function of
    `codegen/cpu/intrinsics/scalars.py`); a composite has a `scalar` definition in
    terms of other pointwise ops.
    """

    arity: ClassVar[int] = 2
    accepts: ClassVar[tuple[DType, ...]] = ALL
    spelling: ClassVar[str] = ""
    commutative: ClassVar[bool] = False
    cost: ClassVar[int] = 1  # in additions
    exact: ClassVar[bool] = True  # correctly rounded: folding gives the same bits as a run
    can_fail: ClassVar[bool] = False  # may end the run with an error

    @property
    def sizes(self) -> tuple[Size, ...]:
        """Sizes that the spelling takes after the operands."""
        return ()

    def result(self, *dtypes: DType) -> DType:
        """The element type of the result."""
        return dtypes[-1]

    def check(self, *dtypes: DType) -> None:
        """Raises `DTypeError` for element types that this op does not take."""
        for position, dtype in enumerate(dtypes):
            if dtype not in self.accepts:
                wanted = ", ".join(map(str, self.accepts))
                raise DTypeError(
                    f"{self.name}: operand {position} has element type {dtype}; expected one of "
                    f"{wanted}. Use gc.astype to convert it"
                )
            if dtype != dtypes[0]:
                raise DTypeError(
                    f"{self.name}: operands have element types {dtypes[0]} and {dtype}; "
                    "expected the same. Use gc.astype to convert one"
                )

    def literal_dtype(self, dtypes: Sequence[DType | None]) -> DType:
        """The type that a plain number among the operands takes (None stands for the number)."""
        return next(d for d in reversed(dtypes) if d is not None)

    def scalar(self, *args: Any) -> Any:
        """The definition by other ops, None for a primitive."""
        return None

    def requires(self, *types: TensorType) -> tuple[Requirement, ...]:
        first = types[0].shape
        return tuple(r for t in types[1:] for r in all_equal(first, t.shape))

    def infer(self, *types: TensorType) -> TensorType:
        if any(t.rank != types[0].rank for t in types):
            raise ShapeError(f"{self.name}: ranks differ: {', '.join(map(str, types))}")
        dtypes = [t.dtype for t in types]
        self.check(*dtypes)
        return TensorType(self.result(*dtypes), merged(types))


def merged(types: Sequence[TensorType]) -> Shape:
    """The common shape; of two sizes that must be equal, it takes the known one."""
    shape = list(types[0].shape)
    for t in types[1:]:
        shape = [b if isinstance(b, int) else a for a, b in zip(shape, t.shape, strict=True)]
    return tuple(shape)


@dataclass(frozen=True)
class Piece:
    """Where a view reads: `operand` at `index`, wherever `low <= e < high` for each bound."""

    operand: int
    index: tuple[Size, ...]
    bounds: tuple[tuple[Size, Size, Size], ...] = ()


class View(Op, abstract=True):
    """out[i] = a[g(i)], by pieces: the first piece whose bounds hold is read, else `fill`.

    That no piece reads outside of its operand is proved, or checked, for each value (`inside.py`);
    of an op that is `proved`, the tests prove it once and for all.
    """

    fill: ClassVar[Number] = 0
    proved: ClassVar[bool] = False

    def pieces(self, index: tuple[Size, ...], *types: TensorType) -> tuple[Piece, ...]:
        """The pieces of the result at `index`."""
        raise NotImplementedError(self.name)

    @property
    def filler(self) -> Number:
        """The value outside all pieces."""
        return self.fill


class Generator(Op, abstract=True):
    """out[i] = f(i).  Operands, if any, are 0-d."""

    cost: ClassVar[int] = 1

    def element(self, index: tuple[Any, ...], out: TensorType, *args: Any) -> Any:
        """The element at `index` (scalars of type i64), as a scalar expression."""
        raise NotImplementedError(self.name)


class Gather(Op, abstract=True):
    """out[i] = x[source(i, indices[locate(i)])], operands (x, indices)."""

    def locate(
        self, index: tuple[Size, ...], x: TensorType, indices: TensorType
    ) -> tuple[Size, ...]:
        """Where the index itself is read."""
        raise NotImplementedError(self.name)

    def source(
        self, index: tuple[Size, ...], found: Size, x: TensorType, indices: TensorType
    ) -> tuple[Size, ...]:
        """Where the element is read, given the index found."""
        raise NotImplementedError(self.name)

    def extent(self, x: TensorType) -> Size:
        """Indices lie in [-extent, extent)."""
        raise NotImplementedError(self.name)


class Scatter(Op, abstract=True):
    """out = x, with updates[i] combined into out[target(i, indices[locate(i)])] in order of i."""

    combine: ClassVar[str] = "({0} + {1})"  # source text over {0} (so far) and {1} (the update)

    @property
    def apart(self) -> bool:
        """Whether no two updates go to one element, so that they need no order."""
        return False

    def locate(self, index: tuple[Size, ...], *types: TensorType) -> tuple[Size, ...]:
        raise NotImplementedError(self.name)

    def target(self, index: tuple[Size, ...], found: Size, *types: TensorType) -> tuple[Size, ...]:
        raise NotImplementedError(self.name)

    def extent(self, x: TensorType) -> Size:
        raise NotImplementedError(self.name)


class Reduction(Op, abstract=True):
    """out[i] = the fold of a[i, j] over the indices j of `axes`."""

    axes: tuple[int, ...]
    combine: ClassVar[str] = ""  # source text of one step, over {0} (so far) and {1}
    positional: ClassVar[bool] = False  # folds (value, position) and yields the position

    def identity(self, dtype: DType) -> Number:
        """The value of an empty fold."""
        raise NotImplementedError(self.name)

    def result(self, dtype: DType) -> DType:
        return dtype

    def check(self, x: TensorType) -> None:
        """Raises for operands that this reduction does not take."""

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        valid = sorted(set(self.axes)) == list(self.axes) and all(
            0 <= a < x.rank for a in self.axes
        )
        if not valid:
            raise ShapeError(f"{self.name}: axes {self.axes} are not rising axes of {x}")
        self.check(x)
        kept = x.without(self.axes)
        return kept.with_dtype(self.result(x.dtype))


class Contraction(Op, abstract=True):
    """Products summed over shared axes."""


class Opaque(Op, abstract=True):
    """A kernel written by hand, over the buffers `out`, `a0`, `a1`, ... and the sizes `n0`, `n1`,
    ..."""

    can_fail: ClassVar[bool] = False  # may end the run with an error: its kernel gets `status`

    @property
    def sizes(self) -> tuple[Size, ...]:
        """The sizes that the source calls n0, n1, ..."""
        return ()

    def size_arguments(self, out: TensorType, *types: TensorType) -> tuple[Size, ...]:
        """As `sizes`, found from the types alone."""
        return self.sizes

    def extent(self, out: TensorType) -> Size:
        """The kernel does [lo, hi) of this many parts, which threads may share."""
        return 1

    def work(self, out: TensorType, *types: TensorType) -> Size:
        """About how many additions the kernel costs: decides into how many chunks it is cut."""
        return out.count

    def origin(self, line: int, out: TensorType, *types: TensorType) -> Location | None:
        """Where the user wrote a line of the source, if anywhere."""
        return None

    @property
    def routines(self) -> tuple[str, ...]:
        """Foreign routines whose addresses the source calls f0, f1, ...; `?` in a name stands for
        the letter of the result's element type (`?potrf`: spotrf, dpotrf)."""
        return ()

    def source(self, out: TensorType, *types: TensorType) -> str:
        """The kernel's body in numba source, indented by 4; see docs/extending.md."""
        raise NotImplementedError(self.name)


class Foreign(Opaque, abstract=True):
    """What Python code makes of the operands, called in the middle of a run."""

    can_fail = True

    def call(self, *arrays: Array) -> Array:
        """The result; the arrays are its own.  What it raises ends the run."""
        raise NotImplementedError(self.name)

    def reference(self, *arrays: Any) -> Any:
        return self.call(*[np.array(a, order="C") for a in arrays])

    def source(self, out: TensorType, *types: TensorType) -> str:
        return "    call_python(call, args, status)\n"


class Control(Op, abstract=True):
    """Runs graphs that are its fields (`graphs`), natively; it has several results."""

    @property
    def graphs(self) -> tuple[Any, ...]:
        """The graphs, in the order of the fields.  (`Graph` is a layer above.)"""
        values = (getattr(self, f.name) for f in self.fields())
        held = (g for x in values for g in (x if isinstance(x, tuple) else (x,)))
        return tuple(g for g in held if hasattr(g, "outputs"))

    def over(self, graphs: Sequence[Any]) -> Any:
        """The same op over other graphs."""
        raise NotImplementedError(self.name)

    def through(self, run: Callable[..., Any], *arrays: Any) -> Any:
        """The results, with each use of a graph made by `run(graph, *arrays)`, in order."""
        raise NotImplementedError(self.name)


class Item(Op):
    """One of several results."""

    index: int

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        if not isinstance(x, TupleType) or not 0 <= self.index < len(x.items):
            raise ShapeError(f"item: {x} has no item {self.index}")
        return x.items[self.index]

    def reference(self, *arrays: Any) -> Any:
        return arrays[0][self.index]


class State(Op, abstract=True):
    """Inputs of a graph, and writes of variables."""

    differentiable = False
