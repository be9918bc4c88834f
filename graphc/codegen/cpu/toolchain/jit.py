"""Kernel source -> machine code.

numba types the source and lowers it to LLVM IR (a short pipeline, no wrappers).  LLVM optimises the
IR and emits an object file, whose name is a hash of everything that could change it.  A warm
process loads object files through llvmlite alone and imports numba only when it must compile.
"""

from __future__ import annotations

import functools
import hashlib
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from graphc.codegen.cache import front_end, hash_of
from graphc.codegen.cpu.toolchain.machine import Cpu, binding, host_cpu, target_machine
from graphc.codegen.forks import lose_in_forks
from graphc.errors import CodegenError
from graphc.interrupts import undisturbed

# The folders and files that decide what machine code a source becomes, below graphc/: what emits
# LLVM IR of it, and what optimises that.  A test holds that these import no others.
MACHINE_CODE = (
    "codegen/cpu/intrinsics",
    "codegen/cpu/microkernels",
    "codegen/cpu/toolchain",
    "codegen/cpu/gemm_library.py",
    "codegen/mathlib",
    "codegen/status.py",
    "ir/ops/philox.py",
    "ir/types.py",
)


SAYS = "graphc kernel, "  # begins what object code says of its kernel
MOST_SAID = 6  # functions that it names
BUFFER = "_buffer"  # ends the names of the functions that open a kernel's arguments
CALLED = re.compile(r"\b([a-z]\w*)\(")
TYPED = re.compile(r"(bf16|[fiu]\d+|bool)(_|$)")  # functions of one element type: buffers, casts


@functools.cache
def fingerprint(cpu: Cpu) -> bytes:
    """A hash of all that decides what machine code a source becomes, except the source."""
    llvm = str(binding().llvm_version_info)
    return hash_of(MACHINE_CODE, llvm, front_end(), cpu.triple, cpu.name, cpu.features)


def symbol_of(text: str, cpu: Cpu) -> str:
    """The name of a kernel's machine code: a hash of its source and of `fingerprint`."""
    return "gc_" + hashlib.blake2b(text.encode() + fingerprint(cpu), digest_size=16).hexdigest()


def parsed(text: str, cpu: Cpu) -> Any:
    """LLVM IR as a module for a CPU, verified."""
    tm = target_machine(cpu)
    module = binding().parse_assembly(text)
    module.triple = tm.triple
    module.data_layout = str(tm.target_data)
    module.verify()
    return module


def optimise(text: str, cpu: Cpu) -> Any:
    """LLVM IR, parsed, verified and optimised for a CPU."""
    tm, module = target_machine(cpu), parsed(text, cpu)
    tuning = binding().create_pipeline_tuning_options(speed_level=3)
    tuning.loop_vectorization = tuning.slp_vectorization = tuning.loop_interleaving = True
    builder = binding().create_pass_builder(tm, tuning)
    builder.getModulePassManager().run(module, builder)
    return module


def object_code(text: str, cpu: Cpu) -> bytes:
    """Object code of LLVM IR, optimised for a CPU."""
    return bytes(target_machine(cpu).emit_object(optimise(text, cpu)))


def prepare() -> None:
    """Imports numba and sets up LLVM's target, before the first kernel is compiled."""
    with undisturbed():
        from graphc.codegen.cpu.toolchain.numba_frontend import contexts

        contexts()
        target_machine(host_cpu())


def compile_kernel(text: str, symbol: str, cpu: Cpu, linked: Sequence[str] = ()) -> bytes:
    """Object code of a kernel source for a CPU.  The modules of LLVM IR in `linked` become part of
    it, unoptimised.  Ctrl-C waits for the end of one kernel: neither an import of numba nor what
    numba knows of types may stay half done."""
    with compiling().lock, undisturbed():
        return _compiled(text, symbol, cpu, linked)


def _compiled(text: str, symbol: str, cpu: Cpu, linked: Sequence[str]) -> bytes:
    from graphc.codegen.cpu.toolchain.numba_frontend import llvm_ir

    try:
        module = optimise(named(llvm_ir(text, symbol), text), cpu)
        for ir in linked:
            module.link_in(parsed(ir, cpu))
    except RuntimeError as error:
        raise CodegenError(f"LLVM rejects a kernel: {error}\n{text}") from error
    for function in module.functions:
        outside = function.is_declaration and not function.name.startswith("llvm.")
        if outside and not binding().address_of_symbol(
            function.name
        ):  # loading it would end the process
            raise CodegenError(f"kernel calls {function.name}, which does not exist:\n{text}")
    return bytes(target_machine(cpu).emit_object(module))


class Compiling:
    """One thread compiles at a time, as numba and llvmlite, which have locks of their own, want it.
    This lock tells a forked process that it cannot have theirs."""

    lock_name = "graphc: the compiler"

    def __init__(self) -> None:
        self.lock = threading.RLock()
        lose_in_forks(self)


@functools.cache
def compiling() -> Compiling:
    """The process's turn to compile."""
    return Compiling()


def named(ir: str, text: str) -> str:
    """LLVM IR whose file name tells what the source of a kernel does: the elements that it reads or
    writes, and what it calls.  It ends up in the object code, for `graphc cache --list`."""
    called = dict.fromkeys(CALLED.findall(text))
    elements = [name.removesuffix(BUFFER) for name in called if name.endswith(BUFFER)]
    others = [name for name in called if not TYPED.match(name) and name not in ("kernel", "range")]
    says = f"{' '.join(elements)}: {', '.join(others[:MOST_SAID]) or 'arithmetic'}"
    return f'source_filename = "{SAYS}{says}"\n{ir}'


# LLVM calls this function where it merges casts from f64 to f16; the C library may lack it.
TRUNCATE_F64_TO_F16 = "__truncdfhf2"
TRUNCATE_IR = f"""
declare float @llvm.arithmetic.fence.f32(float)
define half @{TRUNCATE_F64_TO_F16}(double %x) {{
  %wide = fptrunc double %x to float
  %single = call float @llvm.arithmetic.fence.f32(float %wide)
  %half = fptrunc float %single to half
  ret half %half
}}
"""


@dataclass(eq=False)
class Loader:
    """The machine code loaded into this process, by symbol."""

    engine: Any = None
    addresses: dict[str, int] = field(default_factory=dict)
    lock: Any = field(default_factory=threading.RLock)
    helped: bool = False
    lock_name: str = "graphc: the loader of compiled kernels"

    def load(self, symbol: str, data: bytes) -> int:
        """The address of a function in object code."""
        with self.lock:
            if symbol not in self.addresses:
                if self.engine is None:
                    tm = target_machine(host_cpu())
                    self.engine = binding().create_mcjit_compiler(binding().parse_assembly(""), tm)
                if TRUNCATE_F64_TO_F16.encode() in data and not self.helped:
                    self.helped = True
                    self._add(object_code(TRUNCATE_IR, host_cpu()))
                self._add(data)
                self.engine.finalize_object()
                address = self.engine.get_function_address(symbol)
                if not address:
                    raise CodegenError(f"object code lacks the function {symbol}")
                self.addresses[symbol] = address
            return self.addresses[symbol]

    def _add(self, data: bytes) -> None:
        self.engine.add_object_file(binding().ObjectFileRef.from_data(data))


@functools.cache
def loader() -> Loader:
    """The process's loader."""
    found = Loader()
    lose_in_forks(found)
    return found
