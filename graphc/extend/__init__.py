"""The one import for authors of ops, rules, passes and kernels: docs/extending.md.

What users of ready parts need is in `graphc` itself.  Nothing of the compiler is public but the
names here: docs/stability.md.

>>> import graphc as gc
>>> from graphc.extend import Opaque, Pointwise, Reduction, View, ops, rule, rebuild
"""

from graphc.extend import ops as ops
from graphc.extend.declaration import examine as _examine
from graphc.extend.decorators import function as function, op as op
from graphc.extend.interpreter import interpret as interpret
from graphc.extend.kernel_language.decorator import kernel as kernel
from graphc.extend.python_function import py_func as py_func
from graphc.extend.rewrite_rule import rule as rule
from graphc.frontend.boundary import guard as _guard
from graphc.frontend.gradients import custom_gradient as custom_gradient
from graphc.ir.dim import Dim as Dim, Shape as Shape, Size as Size
from graphc.ir.graph import (
    Graph as Graph,
    Value as Value,
    full as full,
    make as make,
    topological as topological,
    users as users,
)
from graphc.ir.op import (
    EXAMINERS as _EXAMINERS,
    Contraction as Contraction,
    Control as Control,
    Foreign as Foreign,
    Gather as Gather,
    Generator as Generator,
    Op as Op,
    Opaque as Opaque,
    Operand as Operand,
    Piece as Piece,
    Pointwise as Pointwise,
    Reduction as Reduction,
    Sample as Sample,
    Scatter as Scatter,
    State as State,
    View as View,
    sample as sample,
)
from graphc.ir.program import Kernel as Kernel, PlannedBuffer as PlannedBuffer, Program as Program
from graphc.ir.requirement import (
    Requirement as Requirement,
    all_equal as all_equal,
    at_least as at_least,
    equal as equal,
    multiple as multiple,
)
from graphc.ir.text.graph import parse_graph as parse_graph, print_graph as print_graph
from graphc.ir.text.program import print_program as print_program
from graphc.ir.text.program_parser import parse_program as parse_program
from graphc.ir.types import (
    ALL as ALL,
    BOOLS as BOOLS,
    FLOATS as FLOATS,
    INTS as INTS,
    NUMBERS as NUMBERS,
    SIGNED as SIGNED,
    UNSIGNED as UNSIGNED,
    DType as DType,
    TensorType as TensorType,
    TupleType as TupleType,
    bf16 as bf16,
    bool_ as bool_,
    f16 as f16,
    f32 as f32,
    f64 as f64,
    i8 as i8,
    i16 as i16,
    i32 as i32,
    i64 as i64,
    u8 as u8,
    u16 as u16,
    u32 as u32,
    u64 as u64,
)
from graphc.ir.verify import verify as verify
from graphc.passes.base import Context as Context, GraphPass as GraphPass, option as option
from graphc.passes.rewrite.engine import (
    Rewriter as Rewriter,
    Rule as Rule,
    holes as holes,
    lit as lit,
    rebuild as rebuild,
)
from graphc.public import publish as _publish

_EXAMINERS.append(_examine)
_guard(globals(), "graphc.extend.")
_guard(globals(), "graphc.", tells_ops=True)
_publish(globals(), "ops")
