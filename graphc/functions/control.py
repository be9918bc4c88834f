"""Control flow in a graph: `cond`, `switch`, `while_loop`, `scan`, `map_fn`.

The user's functions are called once, to build graph; values from outside that they use are
captured.  Values that do not change from step to step are computed once, before the loop; a
branch's values are computed only if the branch is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphc.errors import DTypeError, GraphError, ShapeError, user_location
from graphc.frontend.arguments import converted, integer, size_of, tensor
from graphc.frontend.boundary import require
from graphc.frontend.scope import TraceFrame, tracing
from graphc.frontend.tensor import Tensor, broadcast_to, build
from graphc.frontend.trace import (
    Closer,
    TracedFunction,
    depending,
    inner_input,
    made_within,
    same_nest,
)
from graphc.frontend.trees import flatten, shape_of
from graphc.functions.creation import full, size_tensor
from graphc.ir import dim
from graphc.ir.control import Loop, Switch
from graphc.ir.dim import Size
from graphc.ir.graph import short_name
from graphc.ir.op import Item
from graphc.ir.ops.gather import CheckIndex
from graphc.ir.requirement import at_least
from graphc.ir.types import TensorType, bool_, i64

__all__ = ["cond", "map_fn", "scan", "switch", "while_loop"]

MAX_STEPS = (1 << 63) - 1  # the largest i64: a loop without a limit


def cond(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """`true_fn()` if `pred`, a 0-d truth value, holds, else `false_fn()`: only one is computed.

    Both give tensors, or nests of them, of equal structure, types and shapes; else `GraphError`,
    `DTypeError` or `ShapeError`.

    >>> import graphc as gc
    >>> x = gc.placeholder(gc.float32, (), name="cx")
    >>> y = gc.cond(x > 0.0, lambda: gc.log(x), lambda: x * 2.0)
    >>> with gc.Session() as sess:
    ...     print(sess.run(y, {x: 1.0}), sess.run(y, {x: -1.0}))
    0.0 -2.0
    """
    chosen = _truth("cond", pred)
    branches = {"the false branch": false_fn, "the true branch": true_fn}
    return _switch("cond", converted(chosen, i64), branches)


def switch(index: Any, branches: Sequence[Callable[[], Any]]) -> Any:
    """`branches[index]()`, for a 0-d integer `index`: only that one is computed.  The run fails for
    an index outside of -len(branches) .. len(branches) - 1.

    >>> import graphc as gc
    >>> i = gc.placeholder(gc.int64, (), name="si")
    >>> y = gc.switch(i, [lambda: gc.asarray(10.0), lambda: gc.asarray(20.0)])
    >>> with gc.Session() as sess:
    ...     print(sess.run(y, {i: 1}))
    20.0
    """
    where = tensor("switch", index)
    if where.ndim or not where.dtype.is_integer:
        raise ShapeError(f"switch: index is {where.type}; expected one integer", user_location())
    if not isinstance(branches, list | tuple) or not branches:
        raise GraphError(f"switch: branches are {branches!r}; expected functions", user_location())
    named = {f"branch {number}": b for number, b in enumerate(branches)}
    return _switch("switch", build(CheckIndex(len(branches)), (where,)), named)


def _switch(what: str, index: Tensor, branches: Mapping[str, Callable[[], Any]]) -> Any:
    """The op, of branches by what errors call them."""
    traced = [TracedFunction(what, _callable(what, b), TraceFrame()) for b in branches.values()]
    first, names = traced[0], list(branches)
    for name, t in zip(names, traced, strict=True):
        same_nest(what, first.shape, t.shape, name)
        t.outputs = [
            _as_first(f"{what}: {name}", names[0], a, b)
            for a, b in zip(first.outputs, t.outputs, strict=True)
        ]
    closer = Closer(what)
    for t in traced:
        closer.discover(t.outputs, made_within(t.outputs, t.frame), ())
    graphs = tuple(closer.graph(f"{what}.{n}", t.outputs, ()) for n, t in enumerate(traced))
    out = build(Switch(graphs), (index, *closer.captured))
    return first.pack([build(Item(i), (out,)) for i in range(len(first.outputs))])


def _as_first(what: str, first: str, wanted: Tensor, got: Tensor) -> Tensor:
    """An output of a branch, made to match that of the first branch."""
    if wanted.dtype != got.dtype:
        raise DTypeError(
            f"{what} gives {got.type}, {first} gives {wanted.type}; use gc.astype",
            user_location(),
        )
    if wanted.ndim != got.ndim or any(
        dim.differ(a, b) for a, b in zip(wanted.shape, got.shape, strict=True)
    ):
        raise ShapeError(
            f"{what} gives {got.type}, {first} gives {wanted.type}",
            user_location(),
        )
    return got


def _callable(what: str, function: Any) -> Callable[..., Any]:
    if not callable(function):
        raise GraphError(f"{what}: {function!r} is no function", user_location())
    return function  # type: ignore[no-any-return]


def _truth(what: str, x: Any) -> Tensor:
    if isinstance(x, bool):
        raise GraphError(
            f"{what}: the condition is Python's {x}, the same in every run; `==` and `!=` compare "
            "identity, gc.equal and gc.not_equal compare elements",
            user_location(),
        )
    t = tensor(what, x)
    if t.type != TensorType(bool_, ()):
        raise ShapeError(
            f"{what}: the condition is {t.type}; expected one truth value, bool[]", user_location()
        )
    return t


def while_loop(
    cond: Callable[..., Any],
    body: Callable[..., Any],
    loop_vars: Any,
    maximum_iterations: int | None = None,
) -> Any:
    """Makes `loop_vars = body(*loop_vars)` as long as `cond(*loop_vars)` holds.

    `loop_vars` is a list or tuple of tensors (or nests); `body` gives as many, of the same types.
    With `maximum_iterations` (an int or size), at most so many steps are made and the loop has a
    gradient: its tape holds that many steps.

    >>> import graphc as gc
    >>> n, total = gc.while_loop(lambda n, s: n > 0, lambda n, s: (n - 1, s + n), [5, 0])
    >>> with gc.Session() as sess:
    ...     print(sess.run(total))
    15
    """
    if not isinstance(loop_vars, list | tuple) or not loop_vars:
        raise GraphError("while_loop: loop_vars must be a list or tuple", user_location())
    leaves, pack = flatten(tuple(loop_vars))
    start = [tensor("while_loop", leaf) for leaf in leaves]
    first = _truth("while_loop", _callable("while_loop", cond)(*pack(list(start))))

    def step(state: list[Any], slices: list[Any]) -> tuple[list[Any], list[Any]]:
        values = _callable("while_loop", body)(*pack(state[1:]))
        if len(loop_vars) == 1 and not (isinstance(values, list | tuple) and len(values) == 1):
            values = (values,)
        new = _values_of_body(values, loop_vars)
        new = [_like_carry("while_loop", i, a, b) for i, (a, b) in enumerate(zip(start, new))]
        return [_truth("while_loop", cond(*pack(list(new)))), *new], []

    limit = None
    if maximum_iterations is not None:
        limit = size_of("while_loop", "maximum_iterations", maximum_iterations)
        limit = _countable("while_loop", limit)
    carries, _ = _loop("while_loop", step, [first, *start], [], limit, False, True)
    out = pack(carries[1:])
    return list(out) if isinstance(loop_vars, list) else out


def _values_of_body(values: Any, loop_vars: Sequence[Any]) -> list[Tensor]:
    """The results of a while_loop's body, flat.  Raises `GraphError` for another nest."""
    if not isinstance(values, list | tuple):
        raise GraphError(
            f"while_loop: body gave {values!r}; expected {len(loop_vars)} values, as many as "
            "loop_vars",
            user_location(),
        )
    same_nest("while_loop", shape_of(tuple(loop_vars)), shape_of(tuple(values)), "body")
    return [tensor("while_loop", leaf) for leaf in flatten(tuple(values))[0]]


def scan(
    f: Callable[..., Any],
    init: Any,
    xs: Any = None,
    length: Any = None,
    reverse: bool = False,
    tape_bytes: int | None = None,
) -> Any:
    """Makes `carry, y = f(carry, x)` for each slice x of `xs` along its first axis; gives the last
    carry and all y, stacked along a new first axis (JAX's `lax.scan`).

    `init`, `xs` and what `f` gives may be nests; `xs` may be None if `length` (an int or a size) is
    given.  With `reverse` it begins at the end.  Differentiable; a size may be symbolic or 0.  The
    gradient keeps what it needs of each step; if that is known to take more than `tape_bytes`, it
    keeps the carries only and computes each step again.

    >>> import graphc as gc
    >>> total, sums = gc.scan(lambda c, x: (c + x, c + x), 0.0, gc.asarray([1.0, 2.0, 3.0]))
    >>> with gc.Session() as sess:
    ...     print(sess.run([total, sums]))
    [array(6., dtype=float32), array([1., 3., 6.], dtype=float32)]
    """
    carry_leaves, carry_pack = flatten(init)
    start = [tensor("scan", leaf) for leaf in carry_leaves]
    x_leaves, x_pack = flatten(xs)
    arrays = [tensor("scan", leaf) for leaf in x_leaves]
    steps = _length("scan", arrays, length)
    packs: list[Any] = []

    def step(state: list[Any], slices: list[Any]) -> tuple[list[Any], list[Any]]:
        result = _callable("scan", f)(carry_pack(state), x_pack(slices))
        if not isinstance(result, tuple | list) or len(result) != 2:
            raise GraphError(f"scan: f gave {result!r}; expected (carry, y)", user_location())
        same_nest("scan", shape_of(init), shape_of(result[0]), "the carry that f")
        new = [tensor("scan", leaf) for leaf in flatten(result[0])[0]]
        new = [_like_carry("scan", i, a, b) for i, (a, b) in enumerate(zip(start, new))]
        rows, pack = flatten(result[1])
        packs.append(pack)
        return new, [tensor("scan", r) for r in rows]

    tape = -1 if tape_bytes is None else _bytes(tape_bytes)
    carries, rows = _loop("scan", step, start, arrays, steps, bool(reverse), False, tape)
    return carry_pack(carries), packs[0](rows)


def _bytes(given: Any) -> int:
    n = integer("scan", "tape_bytes", given)
    if n < 0:
        raise GraphError(f"scan: tape_bytes is {n}; expected a number of bytes", user_location())
    return n


def map_fn(f: Callable[..., Any], xs: Any) -> Any:
    """`f` of each slice of `xs` (a tensor or a nest) along its first axis, stacked.

    >>> import graphc as gc
    >>> y = gc.map_fn(lambda row: gc.sum(row * row), gc.asarray([[1.0, 2.0], [3.0, 4.0]]))
    >>> with gc.Session() as sess:
    ...     print(sess.run(y))
    [ 5. 25.]
    """
    _length("map_fn", [tensor("map_fn", leaf) for leaf in flatten(xs)[0]], None)
    return scan(lambda carry, x: (carry, _callable("map_fn", f)(x)), (), xs)[1]


def _length(what: str, arrays: Sequence[Tensor], length: Any) -> Size:
    """The number of steps."""
    for a in arrays:
        if a.ndim == 0:
            raise ShapeError(f"{what}: xs holds {a.type}, which has no first axis", user_location())
    sizes = [a.shape[0] for a in arrays]
    if length is not None:
        sizes.insert(0, size_of(what, "length", length))
    if not sizes:
        raise GraphError(f"{what}: give xs or length", user_location())
    for s in sizes[1:]:
        if dim.differ(s, sizes[0]):
            raise ShapeError(
                f"{what}: lengths {sizes[0]} and {s} differ along the first axis of xs",
                user_location(),
            )
    return _countable(what, next((s for s in sizes if isinstance(s, int)), sizes[0]))


def _countable(what: str, steps: Size) -> Size:
    """A number of steps that an i64 holds."""
    require(what, at_least(MAX_STEPS, steps, f"{steps} steps are too many to count"))
    return steps


def _like_carry(what: str, number: int, old: Tensor, new: Tensor) -> Tensor:
    """The next value of a carry, in the carry's type.  Raises `DTypeError`, `ShapeError`."""
    if new.dtype != old.dtype:
        raise DTypeError(
            f"{what}: carry {number} is {old.type}, but a step makes it {new.type}; use gc.astype",
            user_location(),
        )
    if new.ndim > old.ndim or any(
        dim.differ(a, b) and a != 1 for a, b in zip(reversed(new.shape), reversed(old.shape))
    ):
        raise ShapeError(
            f"{what}: carry {number} is {old.type}, but a step makes it {new.type}", user_location()
        )
    return broadcast_to(new, old.shape)


Step = Callable[[list[Any], list[Any]], tuple[list[Any], list[Any]]]


def _loop(
    what: str,
    step: Step,
    start: Sequence[Tensor],
    arrays: Sequence[Tensor],
    length: Size | None,
    reverse: bool,
    whilst: bool,
    tape: int = -1,
) -> tuple[list[Tensor], list[Tensor]]:
    """The last carries and the rows of a loop."""
    states = [inner_input(t.type, short_name(t, f"c{i}")) for i, t in enumerate(start)]
    slices = [
        inner_input(t.type.with_shape(t.shape[1:]), short_name(t, f"x{i}"))
        for i, t in enumerate(arrays)
    ]
    number = inner_input(TensorType(i64, ()), "step")
    frame = TraceFrame(step=number)
    with tracing(frame):
        carries, rows = step(list(states), list(slices))
    first = list(start)
    if frame.stepped:  # random draws need the number of the step: one more carry
        states, first = [*states, number], [*first, tensor(what, 0)]
        carries = [*carries, number + 1]
    outputs, inputs = [*carries, *rows], [*states, *slices]
    closer = Closer(what)
    closer.discover(outputs, depending(outputs, inputs), inputs)
    body = closer.graph(what, outputs, inputs)
    steps = size_tensor(length, i64) if length is not None else full((), MAX_STEPS, i64)
    size = length if length is not None else -1
    op = Loop(body, len(carries), len(slices), size, reverse, whilst, tape)
    out = build(op, (steps, *first, *arrays, *closer.captured))
    items = [build(Item(1 + i), (out,)) for i in range(len(outputs))]
    return items[: len(start)], items[len(carries) :]
