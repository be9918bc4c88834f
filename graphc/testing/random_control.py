"""Random graphs with control flow: loops and branches, two deep, and gradients of such graphs.

The body of a loop or a branch captures values from outside: `Inner` is a `Builder` whose inputs are
captured values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphc.errors import GradientError, GraphcError
from graphc.ir import dim
from graphc.ir.control import COUNTER, Loop, Switch
from graphc.ir.dim import Size
from graphc.ir.graph import Graph, Value, full, make
from graphc.ir.op import OPS, Control, Item
from graphc.ir.ops.markers import WithGradient
from graphc.ir.ops.pointwise import Cast, StopGradient, add, less, logical_and, remainder
from graphc.ir.ops.random import RandomBits
from graphc.ir.ops.reduction import ReduceAny
from graphc.ir.ops.shape import SizeOf
from graphc.ir.ops.state import Placeholder
from graphc.ir.types import TensorType, TupleType, bool_, f32, f64, i64, u64
from graphc.passes.autodiff.reverse import gradients
from graphc.passes.graph.shrink_loops import merge_loops
from graphc.passes.rewrite.inner_graphs import without_markers
from graphc.testing.random_carries import updated
from graphc.testing.random_graphs import Builder
from graphc.testing.random_values import MAX_ELEMENTS, N, count

MAX_STEPS = (1 << 63) - 1  # the largest i64: a loop without a limit
FLAG_TYPE = TensorType(bool_, ())
MAX_CARRY_ELEMENTS = 300
MAX_SCAN_STEPS = 40  # at the largest n


class ControlBuilder(Builder):
    """A builder that makes loops and branches too."""

    depth = 0

    def makers(self) -> list[tuple[Callable[[], Value], float]]:
        makers = super().makers()
        if self.depth < 2:
            weight = (6.0, 2.0)[self.depth]
            makers += [(lambda: loop(self), weight), (lambda: switch(self), weight)]
        return makers

    def scalar(self, modulus: int) -> Value:
        """An i64[] below `modulus` that depends on what is fed."""
        return make(remainder, (self.like(COUNTER), full(modulus, COUNTER)))


class Inner(ControlBuilder):
    """The inside of a loop or of a branch."""

    def __init__(self, outer: ControlBuilder) -> None:
        self.outer, self.depth = outer, outer.depth + 1
        for name in ("rng", "exact", "names", "symbolic", "shapes", "dtypes", "square", "ops"):
            setattr(self, name, getattr(outer, name))
        self.inputs: list[Value] = []
        self.captured: list[Value] = []
        self.pool: list[Value] = []
        self.counter = None

    def given(self, t: TensorType) -> Value:
        """An input of the loop body itself: a carry or a slice."""
        return self.keep(make(Placeholder(t.dtype, t.shape), (), f"g{len(self.pool)}"))

    def capture(self, v: Value) -> Value:
        """The input that stands for a value from outside."""
        inside = make(Placeholder(v.type.dtype, v.type.shape), (), f"o{len(self.inputs)}")
        self.inputs.append(inside)
        self.captured.append(v)
        return self.keep(inside)

    def capture_some(self, most: int) -> None:
        """Captures a few values from outside; some are made for this purpose only."""
        for _ in range(int(self.rng.integers(0, most + 1))):
            maker = self.pick([self.outer.pointwise, self.outer.reduction, self.outer.layer])
            self.capture(maker() if self.chance(0.4) else self.outer.any_value())

    def input(self, t: TensorType, twin: bool = True) -> Value:
        told = not any("m" in dim.symbols(s) for s in t.shape)  # by some input of the graph
        return self.capture(self.outer.like(t) if told else self.outer.input(t))

    def run_counter(self) -> Value:
        if self.counter is None:
            self.counter = self.capture(self.outer.run_counter())
        return self.counter

    def fill(self, most: int) -> None:
        """Adds a few values to the pool."""
        self.nodes = len(self.pool) + int(self.rng.integers(1, most + 1))
        self.grow()

    def same(self, t: TensorType) -> Value:
        """A value of a type, made here if possible."""
        found = self.value(lambda v: v.type == t)
        return found if found is not None and self.chance(0.7) else self.like(t)


# ---- loops


def loop(b: ControlBuilder) -> Value:
    """One item of a new loop; most others go to the pool."""
    length, arrays = _arrays(b)
    whilst, reverse = b.chance(0.3), b.chance(0.35)
    first = _first(b, whilst)
    body = Inner(b)
    states = [body.given(v.type) for v in first]
    slices = [body.given(a.type.with_shape(a.type.shape[1:])) for a in arrays]
    body.capture_some(3)
    _draws(body, states)
    body.fill(6)
    carries = [_next(body, states, i) for i in range(len(states))]
    rows = _rows(body, states, carries)
    if not arrays and not rows and b.chance(0.6):
        length = -1
    if whilst:
        carries[:2] = _condition(body, states, length != -1)
    steps = _steps(b, length, whilst)
    inputs = (*states, *slices, *body.inputs)
    op = Loop(
        Graph("body", inputs, (*carries, *rows)),
        len(carries),
        len(slices),
        length,
        reverse,
        whilst,
        tape=b.pick([-1, -1, -1, 0, 100]),
    )
    operands = (steps, *first, *arrays, *body.captured)
    if length != -1 and b.chance(0.3):  # another loop over the same steps
        others = [body.pick([*rows, *body.pool]) for _ in range(int(b.rng.integers(1, 4)))]
        twin = Loop(
            Graph("twin", inputs, (*carries, *others)),
            len(carries),
            len(slices),
            length,
            reverse,
            whilst,
            op.tape,
        )
        _kept(b, make(twin, operands, b.name()))
    return _kept(b, make(op, operands, b.name()))


def _kept(b: ControlBuilder, out: Value) -> Value:
    """One item of a control op; most of the items go to the pool."""
    assert isinstance(out.type, TupleType)
    items = [make(Item(i), (out,)) for i in range(len(out.type.items))]
    for v in items:
        if b.chance(0.7):
            b.keep(v)
    return b.pick(items)


def _arrays(b: ControlBuilder) -> tuple[Size, list[Value]]:
    """The length of a loop, and the arrays that its steps take slices of."""
    lengths: list[Size] = [0, 1, 2, 3, 3, 5, 8, *([N, N, N + 1] if b.symbolic else [])]
    x = b.value(lambda v: v.type.rank > 0 and count(v.type.shape[:1]) <= MAX_SCAN_STEPS)
    if x is None or b.chance(0.3):
        return b.pick(lengths), []
    length, arrays = x.type.shape[0], [x]
    for _ in range(int(b.rng.integers(0, 3))):
        if b.chance(0.5):
            tail = b.pick([(), (2,), x.type.shape[1:], (3, 1)])
            arrays.append(b.like(TensorType(b.pick(b.dtypes), (length, *tail))))
        else:
            arrays.append(b.value(lambda v: v.type.shape[:1] == (length,)) or x)
    return length, arrays


def _first(b: ControlBuilder, whilst: bool) -> list[Value]:
    """The first carries."""
    carries = [b.like(FLAG_TYPE), b.like(COUNTER)] if whilst else []
    for _ in range(int(b.rng.integers(0, 4))):
        roll = b.rng.random()
        if roll < 0.35 and carries:
            carries.append(b.like(b.pick(carries).type))
        elif roll < 0.5:
            carries.append(b.like(COUNTER))
        else:
            v = b.value(lambda v: count(v.type.shape) <= MAX_CARRY_ELEMENTS)
            carries.append(v or b.like(TensorType(b.pick(b.dtypes), (3,))))
    return carries


def _draws(body: Inner, states: Sequence[Value]) -> None:
    """Bits that differ from step to step, keyed by a carry."""
    number = next((s for s in states if s.type == COUNTER), None)
    if number is not None and body.chance(0.4):
        now = make(add, (body.run_counter(), make(Cast(u64), (number,))))
        shape = body.pick([(), (5,), *body.shapes])
        body.keep(make(RandomBits(int(body.rng.integers(2**40)), shape), (now,), body.name()))


def _next(body: Inner, states: Sequence[Value], i: int) -> Value:
    """The next value of a carry."""
    t = states[i].type
    twins = [s for s in states if s.type == t and s is not states[i]]
    if body.chance(0.4):
        new = updated(body, body.pick([states[i], *twins]))
        if new is not None:
            return body.keep(new)
    roll = body.rng.random()
    if roll < 0.15:
        return states[i]
    if roll < 0.4 and twins:
        return body.pick(twins)
    if roll < 0.6:
        op = OPS["logical_xor" if t.dtype == bool_ else body.pick(["add", "subtract", "maximum"])]
        return make(op(), (states[i], body.same(t)), body.name())
    return body.same(t)


def _rows(body: Inner, states: Sequence[Value], carries: Sequence[Value]) -> list[Value]:
    """The rows that a step yields."""
    rows: list[Value] = []
    for _ in range(int(body.rng.integers(0, 4))):
        kinds: list[Sequence[Value]] = [states, carries, rows, body.inputs, *[body.pool] * 5]
        kind = body.pick([k for k in kinds if k] or [[body.any_value()]])
        v = body.pick(kind)
        if count(v.type.shape) <= MAX_ELEMENTS:
            rows.append(v)
    return rows


def _condition(body: Inner, states: Sequence[Value], bounded: bool) -> list[Value]:
    """The next flag and counter of a loop with a condition; an unbounded one is sure to end."""
    if bounded and body.chance(0.2):
        return [states[0], body.same(COUNTER)]
    after = make(add, (states[1], full(1, COUNTER)))
    flag = body.value(lambda v: v.type.dtype == bool_ and v is not states[0])
    if flag is None:
        flag = make(OPS["not_equal"](), (body.same(COUNTER), full(2, COUNTER)))
    elif flag.type.rank:
        flag = make(ReduceAny(tuple(range(flag.type.rank))), (flag,))
    if bounded and body.chance(0.5):
        return [flag, body.same(COUNTER)]
    inside = make(less, (make(remainder, (after, full(16, COUNTER))), full(5, COUNTER)))
    return [inside if body.chance(0.5) else make(logical_and, (inside, flag)), after]


def _steps(b: ControlBuilder, length: Size, whilst: bool) -> Value:
    """The number of steps of a loop."""
    if length == -1:
        few = b.pick([b.scalar(6), full(3, COUNTER), full(-1, COUNTER)])
        return full(MAX_STEPS, COUNTER) if whilst else few
    if b.chance(0.6):
        return full(length, COUNTER) if isinstance(length, int) else make(SizeOf(length, i64), ())
    few = make(add, (b.scalar(7), full(-1, COUNTER)))
    return b.pick([few, few, full(2, COUNTER), full(MAX_STEPS, COUNTER)])


# ---- branches


def switch(b: ControlBuilder) -> Value:
    """One item of a new switch; most others go to the pool."""
    branches, outputs = [], []
    wanted: list[TensorType] = []
    for number in range(int(b.rng.integers(2, 4))):
        inside = Inner(b)
        inside.capture_some(3)
        inside.fill(5)
        if number == 0:
            results = [inside.any_value() for _ in range(int(b.rng.integers(1, 4)))]
            wanted = [v.type for v in results]
        else:
            results = [inside.same(t) for t in wanted]
        branches.append(inside)
        outputs.append(results)
    operands: dict[tuple[Value, int], Value] = {}
    taken = [_numbered(inside) for inside in branches]
    for numbered in taken:
        operands |= {key: key[0] for key in numbered}
    graphs = []
    for number, (numbered, results) in enumerate(zip(taken, outputs, strict=True)):
        inputs = tuple(
            numbered[key]
            if key in numbered
            else make(Placeholder(v.type.dtype, v.type.shape), (), f"u{i}")
            for i, (key, v) in enumerate(operands.items())
        )
        graphs.append(Graph(f"branch.{number}", inputs, tuple(results)))
    index = b.pick(
        [
            b.scalar(len(graphs)),
            b.scalar(len(graphs)),
            full(int(b.rng.integers(len(graphs))), COUNTER),
        ]
    )
    op = Switch(tuple(graphs))
    return _kept(b, make(op, (index, *operands.values()), b.name()))


def _numbered(inside: Inner) -> dict[tuple[Value, int], Value]:
    """The inputs of a branch by captured value and how often it was captured before."""
    by_value: dict[tuple[Value, int], Value] = {}
    for v, own in zip(inside.captured, inside.inputs, strict=True):
        number = 0
        while (v, number) in by_value:
            number += 1
        by_value[v, number] = own
    return by_value


# ---- graphs


def control_graph(seed: int, nodes: int = 12) -> Graph:
    """A graph with control flow: half are exact, half symbolic."""
    for attempt in range(40):
        builder = ControlBuilder(
            seed + 1_000_003 * attempt + 17, nodes, seed % 2 == 0, seed % 4 < 2, seed % 5 > 3
        )
        try:
            graph = builder.graph(f"control_{seed}")
        except (GraphcError, OverflowError):
            continue
        if any(isinstance(v.op, Control) for v in graph.nodes()):
            return graph
    raise AssertionError(f"seed {seed} gives no graph")


def gradient_graph(seed: int, nodes: int = 9) -> Graph:
    """A graph of floats, and its gradients (of every fourth seed, second ones)."""
    for attempt in range(60):
        builder = ControlBuilder(seed + 1_000_003 * attempt + 29, nodes, False, seed % 4 < 2, False)
        builder.dtypes = [f64, f64, builder.pick([f32, i64, bool_])]
        try:
            graph = with_gradients(builder.graph(f"gradient_{seed}"))
            if graph is not None and seed % 4 == 3:
                graph = with_gradients(graph) or graph
        except (GraphcError, OverflowError):
            continue
        if graph is not None:
            return graph
    raise AssertionError(f"seed {seed} gives no graph")


def with_gradients(graph: Graph) -> Graph | None:
    """The graph with the gradients of its results; None if control flow has none."""
    ys = [v for v in graph.outputs if v.type.dtype.is_float and v.args]
    xs = [v for v in graph.inputs if v.type.dtype.is_float]
    try:
        derivatives = [g for g in gradients(ys, xs, [None] * len(ys)) if g is not None]
    except GradientError:
        return None
    before = sum(isinstance(v.op, Control) for v in graph.nodes())
    result = Graph(graph.name, graph.inputs, (*graph.outputs, *derivatives), graph.updates)
    if sum(isinstance(v.op, Control) for v in result.nodes()) == before:
        return None
    return result


def staged(graph: Graph) -> Graph:
    """The graph after the passes that `stage` ends with."""
    return without_markers(merge_loops(graph), (WithGradient, StopGradient))


def deep_nodes(graph: Graph) -> list[Value]:
    """The values of a graph and of its inner graphs."""
    nodes = graph.nodes()
    inner = [g for v in nodes if isinstance(v.op, Control) for g in v.op.graphs]
    return [*nodes, *(v for g in inner for v in deep_nodes(g))]
