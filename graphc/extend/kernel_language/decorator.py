"""`gc.kernel`: a hand-written loop over arrays as an op.

numba compiles the loop, and the disk cache keeps it by its text, like graphc's own kernels.  The
function may use loops, `if`, arithmetic, elements of arrays (all indices at once), `x.shape`,
`x.size`, `x.ndim`, `len(x)`, `x.dtype.type(...)`, the element-wise functions of `math` and `numpy`,
and numbers of the module around it.  As in NumPy, numbers, indices and sizes take the float type of
the other operand.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from inspect import Parameter, Signature
from typing import Any, ClassVar

import numpy as np

from graphc.errors import GraphError, Location, user_location
from graphc.extend.kernel_language.checked import translate_checked
from graphc.extend.kernel_language.source import Body, KernelFunction, read
from graphc.extend.kernel_language.translate import translate
from graphc.extend.op_table import enter, op_class, require_free
from graphc.frontend.boundary import short
from graphc.frontend.signatures import bound, require_takes
from graphc.frontend.tensor import build, operand
from graphc.ir.dim import Size
from graphc.ir.op import Opaque
from graphc.ir.ops.index_math import ints
from graphc.ir.requirement import Requirement
from graphc.ir.site import CheckedSource, KnowsPlaces
from graphc.ir.types import TensorType, as_dtype


def kernel(
    function: Callable[..., Any] | None = None,
    *,
    result: Callable[..., TensorType] | None = None,
    gradient: Callable[..., Any] | None = None,
    reference: Callable[..., Any] | None = None,
    requires: Callable[..., Sequence[Requirement | tuple[Size, Size]]] | None = None,
    parallel: bool = False,
) -> Callable[..., Any]:
    """Makes an op of a loop that writes every element of `out`: `function(out, *operands)`.

    `result(*types)` gives its type from those of the operands (default: the first one's), and
    `requires(*types)` what sizes must satisfy (a pair of them: they are equal; `extend.at_least`
    and its like say more): kernels do not check indices.
    `gradient(ct, out, *operands)` gives the operands' cotangents, `reference(*arrays)` the meaning
    in NumPy, for tests (default: Python runs the function). With `parallel` the function is
    `function(rows, out, *operands)`; threads share the first axis of `out`, a call does `rows`.
    What a kernel may use is said above. Raises `GraphError` at the line that uses more, and in the
    first run `CodegenError` at the line that numba rejects.

    >>> import graphc as gc
    >>> @gc.kernel
    ... def running_max(out, x):
    ...     best = x[0]
    ...     for i in range(len(x)):
    ...         best = max(best, x[i])
    ...         out[i] = best
    >>> with gc.Graph().as_default(), gc.Session() as sess:
    ...     sess.run(running_max(gc.asarray([1.0, 3.0, 2.0])))
    array([1., 3., 3.], dtype=float32)
    """
    if function is None:
        return functools.partial(
            kernel,
            result=result,
            gradient=gradient,
            reference=reference,
            requires=requires,
            parallel=parallel,
        )
    rules = {"result": result, "gradient": gradient, "reference": reference, "requires": requires}
    return _caller(_op(_code(function, rules, bool(parallel)), rules))


def _code(
    function: Callable[..., Any], rules: dict[str, Callable[..., Any] | None], parallel: bool
) -> KernelFunction:
    """The function's code.  Raises `GraphError` for a function that cannot be a kernel."""
    for what, given in {"function": function, **rules}.items():
        if given is not None and not callable(given):
            raise GraphError(
                f"gc.kernel: {what} is {short(given)}; expected a function", user_location()
            )
    code = read(function, parallel)
    if not code.operands and rules["result"] is None:
        raise GraphError(
            f"gc.kernel: {code.name} has no operands, so it needs `result`", user_location()
        )
    require_free("gc.kernel", code.name, Written)
    if rules["gradient"] is not None:
        names = ["ct", "out", *code.operands]
        require_takes(f"gc.kernel: {code.name}: gradient", rules["gradient"], names)
    for what in ("result", "reference", "requires"):
        rule = rules[what]
        if rule is not None:
            require_takes(f"gc.kernel: {code.name}: {what}", rule, code.operands)
    return code


def _caller(instance: Written) -> Callable[..., Any]:
    """The function that users call: it applies the op to operands."""
    code = instance.code
    signature = Signature([Parameter(x, Parameter.POSITIONAL_OR_KEYWORD) for x in code.operands])

    @functools.wraps(code.function)
    def call(*operands: Any, **named: Any) -> Any:
        given = bound(code.name, signature, operands, named)
        tensors = tuple(operand(code.name, x) for x in given)
        out = build(instance, tensors)
        instance.body(out.type, *(t.type for t in tensors))  # raises now if it cannot be translated
        return out

    return call


class Written(Opaque, KnowsPlaces, abstract=True):
    """An op made of a hand-written loop; see `kernel`."""

    code: ClassVar[KernelFunction]
    rule: ClassVar[Callable[..., Any] | None]
    pairs: ClassVar[Callable[..., Any] | None]
    backward: ClassVar[Callable[..., Any] | None]
    oracle: ClassVar[Callable[..., Any] | None]

    def requires(self, *types: TensorType) -> tuple[Requirement, ...]:
        pairs = type(self).pairs
        return () if pairs is None else tuple(pairs(*types))

    def infer(self, *types: TensorType) -> TensorType:
        rule = type(self).rule
        result = types[0] if rule is None else rule(*types)
        if not isinstance(result, TensorType):
            raise GraphError(f"{self.name}: `result` gave {short(result)}; expected a tensor type")
        if self.code.rows and not result.shape:
            raise GraphError(f"{self.name}: a parallel kernel needs a result with an axis")
        return result

    def body(self, out: TensorType, *types: TensorType) -> Body:
        """The body of the kernel.  Raises `GraphError` at the guilty line."""
        return translate(self.code, out, types)

    def size_arguments(self, out: TensorType, *types: TensorType) -> tuple[Size, ...]:
        return self.body(out, *types).sizes

    def extent(self, out: TensorType) -> Size:
        return out.shape[0] if self.code.rows else 1

    def source(self, out: TensorType, *types: TensorType) -> str:
        return self.body(out, *types).text

    def checked_source(self, out: TensorType, *types: TensorType) -> CheckedSource:
        return translate_checked(self.code, out, types)

    def origin(self, line: int, out: TensorType, *types: TensorType) -> Location | None:
        lines = self.body(out, *types).lines
        known = 0 <= line < len(lines)
        return Location(self.code.file, self.code.first + lines[line] - 1) if known else None

    def reference(self, *arrays: Any) -> Any:
        oracle = type(self).oracle
        if oracle is not None:
            return oracle(*arrays)
        t = self.infer(*(TensorType(as_dtype(a.dtype), a.shape) for a in arrays))
        out = np.zeros(ints(t.shape), t.dtype.accumulates.numpy)
        rows = (range(out.shape[0]),) if self.code.rows else ()
        operands = [np.array(a, as_dtype(a.dtype).accumulates.numpy) for a in arrays]
        with np.errstate(all="ignore"):
            self.code.function(*rows, out, *operands)
            return out.astype(t.dtype.numpy)

    def vjp(self, ct: Any, out: Any, *args: Any) -> tuple[Any, ...]:
        backward = type(self).backward
        assert backward is not None  # otherwise it is not differentiable
        cotangents = backward(ct, out, *args)
        return tuple(cotangents) if isinstance(cotangents, tuple | list) else (cotangents,)


def _op(code: KernelFunction, rules: dict[str, Callable[..., Any] | None]) -> Written:
    """An instance of a new op class."""

    def held(what: str) -> Any:
        given = rules[what]
        return None if given is None else staticmethod(given)

    members = {
        "__doc__": code.function.__doc__,
        "__module__": code.function.__module__,
        "code": code,
        "rule": held("result"),
        "pairs": held("requires"),
        "backward": held("gradient"),
        "oracle": held("reference"),
        "differentiable": rules["gradient"] is not None,
    }
    cls = op_class(Written, code.name, members)
    enter(cls)
    return cls()  # type: ignore[no-any-return]
