"""CPUs as a target, which can compute everything.  The host's code runs in this process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphc.codegen.cpu.kernels import loops_of, source_of
from graphc.codegen.cpu.toolchain import jit
from graphc.codegen.cpu.toolchain.machine import Cpu, host_cpu, target_machine
from graphc.codegen.loops.text import print_loops
from graphc.codegen.target import DumpStage
from graphc.ir.graph import Value
from graphc.ir.program import Kernel
from graphc.passes.base import GraphPass
from graphc.passes.fusion.predicates import takes_epilogue
from graphc.passes.graph.cleanup import Cleanup
from graphc.passes.graph.split_reductions import SplitReductions
from graphc.passes.graph.widen_contractions import WidenContractions


@dataclass(frozen=True)
class CpuTarget:
    """CPUs of one model.  Without `cpu`, it is this machine's, which is looked up only when
    something is compiled."""

    kind: str = "cpu"
    cpu: Cpu | None = None

    # -- for passes

    @property
    def late(self) -> tuple[GraphPass, ...]:
        """Passes that widen sums of f16 and bf16 to f32 and split long folds into a few chunks."""
        return WidenContractions(), SplitReductions(), Cleanup()

    def cannot(self, v: Value) -> str:
        """Always "": CPUs can compute every value."""
        return ""

    def takes_epilogue(self, v: Value) -> bool:
        """Whether register tiles compute a contraction in chunks that a map can follow."""
        return takes_epilogue(v)

    # -- for people

    @property
    def stages(self) -> tuple[DumpStage, ...]:
        """The texts of a kernel, from loops to assembly."""
        return (
            DumpStage("loops", "txt", "//", _loops),
            DumpStage("kernels", "py", "#", _kernel),
            DumpStage("llvm", "ll", ";", self._llvm),
            DumpStage("asm", "s", "#", self._assembly),
        )

    def schedule(self, kernel: Kernel) -> str:
        """Always "": the method says how a kernel is computed; threads take chunks of it."""
        return ""

    def _module(self, kernel: Kernel, over: Mapping[int, int]) -> Any:
        from graphc.codegen.cpu.toolchain.numba_frontend import llvm_ir  # imports numba

        text, cpu = source_of(kernel, over=over).text, self.cpu or host_cpu()
        return jit.optimise(llvm_ir(text, jit.symbol_of(text, cpu)), cpu)

    def _llvm(self, kernel: Kernel, over: Mapping[int, int]) -> str:
        return str(self._module(kernel, over))

    def _assembly(self, kernel: Kernel, over: Mapping[int, int]) -> str:
        machine = target_machine(self.cpu or host_cpu())
        return str(machine.emit_assembly(self._module(kernel, over)))


def _loops(kernel: Kernel, over: Mapping[int, int]) -> str:
    loops = loops_of(kernel, bool(over))
    return "// not made of loops: see --stage kernels" if loops is None else print_loops(loops)


def _kernel(kernel: Kernel, over: Mapping[int, int]) -> str:
    return source_of(kernel, readable=True, over=over).text


HOST_TARGET = CpuTarget()
