"""A user's class of op is judged where it is declared, in one error that lists what is wrong.

What Python would find later, in the middle of a compilation, is found here: members that the family
needs, methods that take other arguments than they are called with, attributes that are no fields,
text that is no kernel.  Then the class is tried on its samples: its type rule, and how many
cotangents it gives.  Whether these are right, `graphc.testing.check_op` tells.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence

from graphc.errors import GraphcError, GraphError, user_location
from graphc.extend.spelling import body_fault, element_fault, type_fault
from graphc.frontend.boundary import short
from graphc.frontend.declare import placeholder
from graphc.frontend.scope import GraphScope
from graphc.frontend.signatures import signature_of
from graphc.frontend.tensor import build
from graphc.ir import record
from graphc.ir.op import (
    OPS,
    Foreign,
    Gather,
    Generator,
    Op,
    Opaque,
    Pointwise,
    Reduction,
    Sample,
    Scatter,
    View,
    sample,
)
from graphc.ir.types import TensorType
from graphc.passes.autodiff.reverse import checked_vjp

FAMILIES: dict[type[Op], tuple[str, ...]] = {  # what a class of the family has to declare
    Pointwise: ("reference",),
    View: ("infer", "pieces", "reference"),
    Generator: ("infer", "element", "reference"),
    Gather: ("infer", "locate", "source", "extent", "reference"),
    Scatter: ("infer", "locate", "target", "extent", "reference"),
    Reduction: ("identity", "combine", "reference"),
    Foreign: ("infer", "call"),
    Opaque: ("infer", "source", "reference"),
    Op: ("infer", "reference"),
}
BEFORE_OPERANDS = {  # what methods are given before one argument for each operand
    "infer": (),
    "reference": (),
    "requires": (),
    "scalar": (),
    "call": (),
    "vjp": ("ct", "out"),
    "pieces": ("index",),
    "element": ("index", "out"),
}
PLAIN = (property, staticmethod, classmethod)


def examine(op_cls: type[Op]) -> None:
    """Raises `GraphError` for a class that cannot be an op; notes how many operands it takes."""
    line = user_location()
    faults = [*_name(op_cls), *_missing(op_cls), *_attributes(op_cls)]
    if not faults:
        count = _operand_count(op_cls)
        faults = [*_signatures(op_cls, count), *_samples(op_cls, count)]
        op_cls.operands = count
    if not faults:
        faults = _tried(op_cls, op_cls.samples or _made_up(op_cls))
    if faults:
        raise GraphError(f"class {op_cls.__name__}: {'; '.join(faults)}", line)


def _family(op_cls: type[Op]) -> type[Op]:
    return next(f for f in FAMILIES if issubclass(op_cls, f))


def _name(op_cls: type[Op]) -> Iterator[str]:
    """The name in text, if it is taken: text of graphc's own op would mean the user's."""
    if op_cls.name in OPS and OPS[op_cls.name].__module__.startswith("graphc."):
        yield f"{op_cls.name!r}, its name in text, is that of a built-in op; choose another"


def _missing(op_cls: type[Op]) -> Iterator[str]:
    """The members that the family needs and the class has not."""
    family = _family(op_cls)
    for name in FAMILIES[family]:
        if getattr(op_cls, name, None) is getattr(family, name, None):
            yield f"{name} is not declared, and a {family.__name__} needs it"
    if issubclass(op_cls, Pointwise) and not op_cls.spelling and op_cls.scalar is Pointwise.scalar:
        yield "neither spelling nor scalar is declared: the text of one element, or other ops"


def _attributes(op_cls: type[Op]) -> Iterator[str]:
    """Attributes that look like fields and are none."""
    declared = op_cls.__dict__.get("__annotations__", {})
    makers = (record._construct, record._construct_checked)
    if op_cls.__dict__.get("__init__", makers[0]) not in makers:
        yield "__init__ is declared; annotate the fields instead, and check them in __post_init__"
    for name, value in op_cls.__dict__.items():
        known = name.startswith("_") or name in declared
        known |= any(hasattr(base, name) for base in op_cls.__bases__)
        if not known and not callable(value) and not isinstance(value, PLAIN):
            yield (
                f"{name} has no annotation: `{name}: {type(value).__name__}` makes it a field, "
                "`ClassVar` a constant"
            )


def _operand_count(op_cls: type[Op]) -> int | None:
    """How many operands the op takes; None if that differs from use to use."""
    if issubclass(op_cls, Pointwise):
        return op_cls.arity
    if issubclass(op_cls, Reduction):
        return 1
    for name in ("infer", "reference", "call"):
        method = op_cls.__dict__.get(name)
        if method is not None and (signature := signature_of(method)) is not None:
            kinds = [p.kind for p in signature.parameters.values()]
            if inspect.Parameter.VAR_POSITIONAL not in kinds:
                return len(kinds) - 1
    counts = {len(s.types) for s in op_cls.samples}
    return counts.pop() if len(counts) == 1 else None


def _signatures(op_cls: type[Op], count: int | None) -> Iterator[str]:
    """Methods that do not take what they are called with."""
    if count is None:
        return
    for name, before in BEFORE_OPERANDS.items():
        method = op_cls.__dict__.get(name)
        signature = signature_of(method) if inspect.isfunction(method) else None
        if signature is None:
            continue
        given = ["self", *before, *(f"x{i}" for i in range(count))]
        try:
            signature.bind(*given)
        except TypeError as error:
            bare = ", ".join(signature.parameters)
            yield f"{name} takes ({bare}), but is called as ({', '.join(given)}): {error}"


def _samples(op_cls: type[Op], count: int | None) -> Iterator[str]:
    """Samples that are none, or have another number of operands."""
    if not isinstance(op_cls.samples, list | tuple):
        yield f"samples is {short(op_cls.samples)}; expected a tuple of graphc.extend.sample(...)"
        return
    for number, s in enumerate(op_cls.samples):
        if not isinstance(s, Sample):
            yield f"samples[{number}] is {short(s)}; expected graphc.extend.sample(...)"
        elif count is not None and len(s.types) != count:
            yield f"samples[{number}] has {len(s.types)} operands; the op takes {count}"


def _made_up(op_cls: type[Op]) -> tuple[Sample, ...]:
    """Samples of a pointwise op that gives none."""
    if not issubclass(op_cls, Pointwise) or op_cls.fields():
        return ()
    return tuple(sample(*[t[7]] * op_cls.arity) for t in op_cls.accepts)


def _tried(op_cls: type[Op], samples: Sequence[Sample]) -> list[str]:
    """What is wrong with the class on its samples; at most one fault of each sample."""
    faults = []
    for s in samples:
        at = f"on {', '.join(map(str, s.types))}"
        try:
            fault = _tried_on(op_cls, s)
        except NameError:  # it names what is defined further down, such as itself: later, then
            continue
        except Exception as error:  # of the user's own methods
            said = error.message if isinstance(error, GraphcError) else str(error)
            faults.append(f"{at}: {type(error).__name__}: {said}")
            continue
        if fault:
            faults.append(f"{at}: {fault}")
    return faults[:3]


def _tried_on(op_cls: type[Op], s: Sample) -> str:
    """What is wrong with the class on one sample."""
    op = op_cls(**s.fields)
    hash(op)
    result = op.infer(*s.types)
    if not isinstance(result, TensorType):
        return f"infer gives {short(result)}; expected a tensor type"
    return _text_fault(op, s, result) or _gradient_fault(op, s, result)


def _text_fault(op: Op, s: Sample, result: TensorType) -> str:
    """What is wrong with the text of the kernel."""
    dtypes = [t.dtype for t in s.types]
    match op:
        case Pointwise(spelling=text) if text:
            sizes = len(op.sizes)
            fault = element_fault(text, op.arity, sizes)
            fault = fault or type_fault(text, dtypes, result.dtype, sizes)
            return fault and f"spelling: {fault}"
        case Reduction() | Scatter():
            fault = element_fault(op.combine, 2)
            if not fault and not getattr(op, "positional", False):
                fault = type_fault(op.combine, [result.dtype] * 2, result.dtype)
            return fault and f"combine: {fault}"
        case Opaque() if not isinstance(op, Foreign):
            known = ["out", "status", *(f"a{i}" for i in range(len(s.types)))]
            known += [f"n{i}" for i in range(len(op.size_arguments(result, *s.types)))]
            known += [f"f{i}" for i in range(len(op.routines))]
            fault = body_fault(op.source(result, *s.types), known)
            return fault and f"source: {fault}"
    return ""


def _gradient_fault(op: Op, s: Sample, result: TensorType) -> str:
    """What is wrong with the cotangents that the op gives."""
    differentiable = op.differentiable and result.dtype.is_float and type(op).vjp is not Op.vjp
    if not differentiable or not any(t.dtype.is_float for t in s.types):
        return ""
    with GraphScope().as_default():
        inputs = tuple(placeholder(t.dtype, t.shape) for t in s.types)
        out = build(op, inputs)
        checked_vjp(out, out)
    return ""
