"""Kernel source -> LLVM IR, through numba's type inference and lowering.  Imported only when
compiling."""

from __future__ import annotations

import functools
import re
from typing import Any

from numba.core import compiler, cpu, types
from numba.core.compiler import CompilerBase, Flags
from numba.core.compiler_machinery import FunctionPass, PassManager, register_pass
from numba.core.funcdesc import PythonFunctionDescriptor
from numba.core.typed_passes import AnnotateTypes, NopythonTypeInference
from numba.core.untyped_passes import FixupArgs, IRProcessing, TranslateByteCode

from graphc.codegen.cpu.intrinsics.buffers import tell_apart
from graphc.codegen.cpu.intrinsics.namespace import NAMESPACE
from graphc.codegen.cpu.intrinsics.numba_context import Lower, NumbaTarget, Typing
from graphc.errors import CodegenError

KERNEL_SIGNATURE: Any = (types.CPointer(types.int64), types.int64, types.int64)  # type: ignore[attr-defined]


@register_pass(mutates_CFG=True, analysis_only=False)
class EmitIR(FunctionPass):
    """Lowers to LLVM IR and stops there."""

    _name = "graphc_emit_ir"

    def __init__(self) -> None:
        FunctionPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        context = state.targetctx
        library = context.codegen().create_library(state.func_id.func_qualname)
        descriptor = PythonFunctionDescriptor.from_specialized_function(
            state.func_ir,
            state.typemap,
            state.return_type,
            state.calltypes,
            mangler=context.mangler,
            inline=False,
            noalias=False,
            abi_tags=(),
        )
        with context.push_code_library(library):
            lower = Lower(context, library, descriptor, state.func_ir, metadata=state.metadata)
            lower.emit_environment_object()
            lower.genlower = None
            lower.lower_normal_function(descriptor)
        tell_apart(lower.module)
        state["cr"] = (str(lower.module), descriptor.llvm_func_name)
        return True


class Lean(CompilerBase):  # type: ignore[misc]
    """The shortest pipeline that types and lowers a kernel."""

    def define_pipelines(self) -> list[Any]:
        manager = PassManager("graphc")
        for step in (
            TranslateByteCode,
            FixupArgs,
            IRProcessing,
            NopythonTypeInference,
            AnnotateTypes,
            EmitIR,
        ):
            manager.add_pass(step, step.__name__)
        manager.finalize()
        return [manager]


def _flags() -> Any:
    flags = Flags()
    flags.nrt = False
    flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
    flags.error_model = "numpy"
    flags.boundscheck = False
    flags.fastmath = cpu.FastMathOptions(False)
    return flags


@functools.cache
def contexts() -> tuple[Typing, NumbaTarget]:
    """Where numba looks up functions; they know all that `NAMESPACE` has."""
    typing = Typing()
    target = NumbaTarget(typing)
    target.refresh()
    return typing, target


def llvm_ir(text: str, symbol: str) -> str:
    """LLVM IR of a kernel, its function called `symbol`.  Raises `CodegenError` with the source."""
    scope: dict[str, Any] = dict(NAMESPACE)
    exec(compile(text, f"<{symbol}>", "exec"), scope)
    typing, target = contexts()
    try:
        ir, name = compiler.compile_extra(
            typing,
            target,
            scope["kernel"],
            KERNEL_SIGNATURE,
            types.void,
            _flags(),
            {},
            pipeline_class=Lean,
        )
    except Exception as error:
        raise CodegenError(f"numba rejects a kernel: {error}\n{text}") from error
    ir = ir.replace(f'"{name}"', f'"{symbol}"').replace(f"@{name}(", f"@{symbol}(")
    return re.sub(r"= common global", "= internal global", ir)
