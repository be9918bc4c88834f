"""The native instruction loop: a whole run is one native call, with no Python between kernels.

A plan is a table of 64-bit words (see `Word`).  `gc_run` first clears `status` and patches the
addresses of the caller's arrays into the kernels' arguments (from the arrays' own headers), then
calls each kernel.  `gc_lead` and `gc_join` are the same for several threads at once: they claim
chunks of an instruction by atomic counters and wait for the last chunk before they go on, so a
thread may join late (with the run's ticket) or not at all.  Chunks depend on sizes alone.

Both stop at the first instruction before which `status` or `cancel` is set; instructions from
`commit` on run only if everything before them has succeeded.  A run that `cancel` stops has status
2, so that in `gc_lead`, where every thread goes through all instructions, none of them commits.
"""

from __future__ import annotations

import ctypes
import enum
import functools
from typing import Any

import numpy as np

from graphc.codegen.cache import Cache
from graphc.codegen.cpu.toolchain import jit
from graphc.codegen.cpu.toolchain.machine import host_cpu
from graphc.errors import GraphcError
from graphc.runtime.cpu.driver_control import CONTROL_IR

DATA_OFFSET = 16  # of the data pointer in a NumPy array object (PyArrayObject_fields)


class Word(enum.IntEnum):
    """The head of a plan."""

    INSTRUCTIONS = 0
    COUNT = 1
    PATCHES = 2  # pairs (array object's address, address of the argument word)
    PATCH_COUNT = 3
    STATUS = 4  # address of the status words
    CANCEL = 5
    COMMIT = 6  # instructions from here on ignore `cancel`
    GATE = 7  # the run's ticket << 16, plus the number of helping threads inside
    SIZE = 8


class Instruction(enum.IntEnum):
    """One kernel launch."""

    FUNCTION = 0
    ARGS = 1
    EXTENT = 2
    CHUNKS = 3
    NEXT = 4
    DONE = 5
    SIZE = 6


IR = """
declare i32 @sched_yield()

define internal i1 @stopped(ptr %plan, i64 %i) alwaysinline {
entry:
  %p4 = getelementptr i64, ptr %plan, i64 4
  %sw = load i64, ptr %p4
  %sp = inttoptr i64 %sw to ptr
  %s = load atomic i64, ptr %sp monotonic, align 8
  %p5 = getelementptr i64, ptr %plan, i64 5
  %c = load atomic i64, ptr %p5 monotonic, align 8
  %p6 = getelementptr i64, ptr %plan, i64 6
  %k = load i64, ptr %p6
  %early = icmp slt i64 %i, %k
  %cancel = icmp ne i64 %c, 0
  %cc = and i1 %early, %cancel
  br i1 %cc, label %note, label %end
note:
  %old = cmpxchg ptr %sp, i64 0, i64 2 seq_cst seq_cst
  br label %end
end:
  %failed = icmp ne i64 %s, 0
  %r = or i1 %cc, %failed
  ret i1 %r
}

define internal void @launch(ptr %ins, i64 %chunk, i64 %chunks) alwaysinline {
  %ret = alloca ptr
  %exc = alloca ptr
  %fw = load i64, ptr %ins
  %fn = inttoptr i64 %fw to ptr
  %pa = getelementptr i64, ptr %ins, i64 1
  %aw = load i64, ptr %pa
  %args = inttoptr i64 %aw to ptr
  %pe = getelementptr i64, ptr %ins, i64 2
  %ext = load i64, ptr %pe
  %one = icmp eq i64 %chunks, 1
  br i1 %one, label %whole, label %part
whole:
  call i32 %fn(ptr %ret, ptr %exc, ptr %args, i64 0, i64 %ext)
  ret void
part:
  %next = add i64 %chunk, 1
  %a = mul i64 %ext, %chunk
  %b = mul i64 %ext, %next
  %lo = udiv i64 %a, %chunks
  %hi = udiv i64 %b, %chunks
  call i32 %fn(ptr %ret, ptr %exc, ptr %args, i64 %lo, i64 %hi)
  ret void
}

define internal void @patch(ptr %plan) alwaysinline {
entry:
  %p4 = getelementptr i64, ptr %plan, i64 4
  %sw = load i64, ptr %p4
  %sp = inttoptr i64 %sw to ptr
  store i64 0, ptr %sp
  %pp = getelementptr i64, ptr %plan, i64 2
  %pw = load i64, ptr %pp
  %table = inttoptr i64 %pw to ptr
  %pn = getelementptr i64, ptr %plan, i64 3
  %n = load i64, ptr %pn
  br label %head
head:
  %i = phi i64 [0, %entry], [%i2, %body]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %body, label %end
body:
  %at = shl i64 %i, 1
  %src = getelementptr i64, ptr %table, i64 %at
  %pow = load i64, ptr %src
  %po = inttoptr i64 %pow to ptr
  %obj = load i64, ptr %po
  %obj16 = add i64 %obj, 16
  %dp = inttoptr i64 %obj16 to ptr
  %data = load i64, ptr %dp
  %at1 = add i64 %at, 1
  %dst = getelementptr i64, ptr %table, i64 %at1
  %dw = load i64, ptr %dst
  %dptr = inttoptr i64 %dw to ptr
  store i64 %data, ptr %dptr
  %i2 = add i64 %i, 1
  br label %head
end:
  ret void
}

declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)

define i32 @gc_copy(ptr %ret, ptr %exc, ptr %args, i64 %lo, i64 %hi) {
  %tw = load i64, ptr %args
  %pf = getelementptr i64, ptr %args, i64 1
  %fw = load i64, ptr %pf
  %ta = add i64 %tw, %lo
  %fa = add i64 %fw, %lo
  %n = sub i64 %hi, %lo
  %to = inttoptr i64 %ta to ptr
  %from = inttoptr i64 %fa to ptr
  call void @llvm.memcpy.p0.p0.i64(ptr %to, ptr %from, i64 %n, i1 false)
  ret i32 0
}

define i64 @gc_run(ptr %plan) {
entry:
  call void @patch(ptr %plan)
  %iw = load i64, ptr %plan
  %ins0 = inttoptr i64 %iw to ptr
  %pc = getelementptr i64, ptr %plan, i64 1
  %n = load i64, ptr %pc
  br label %head
head:
  %i = phi i64 [0, %entry], [%i2, %after]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %body, label %end
body:
  %off = mul i64 %i, 6
  %ins = getelementptr i64, ptr %ins0, i64 %off
  %pch = getelementptr i64, ptr %ins, i64 3
  %chunks = load i64, ptr %pch
  br label %inner
inner:
  %c = phi i64 [0, %body], [%c2, %go]
  %stop = call i1 @stopped(ptr %plan, i64 %i)
  br i1 %stop, label %end, label %go
go:
  call void @launch(ptr %ins, i64 %c, i64 %chunks)
  %c2 = add i64 %c, 1
  %again = icmp slt i64 %c2, %chunks
  br i1 %again, label %inner, label %after
after:
  %i2 = add i64 %i, 1
  br label %head
end:
  %res = phi i64 [%i, %head], [%i, %inner]
  ret i64 %res
}

define void @gc_reset(ptr %plan) {
entry:
  call void @patch(ptr %plan)
  %iw = load i64, ptr %plan
  %ins0 = inttoptr i64 %iw to ptr
  %pc = getelementptr i64, ptr %plan, i64 1
  %n = load i64, ptr %pc
  br label %head
head:
  %i = phi i64 [0, %entry], [%i2, %body]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %body, label %end
body:
  %off = mul i64 %i, 6
  %at4 = add i64 %off, 4
  %at5 = add i64 %off, 5
  %p4 = getelementptr i64, ptr %ins0, i64 %at4
  %p5 = getelementptr i64, ptr %ins0, i64 %at5
  store i64 0, ptr %p4
  store i64 0, ptr %p5
  %i2 = add i64 %i, 1
  br label %head
end:
  fence seq_cst
  ret void
}

define internal void @work(ptr %plan) {
entry:
  %iw = load i64, ptr %plan
  %ins0 = inttoptr i64 %iw to ptr
  %pc = getelementptr i64, ptr %plan, i64 1
  %n = load i64, ptr %pc
  br label %head
head:
  %i = phi i64 [0, %entry], [%i2, %next]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %body, label %end
body:
  %off = mul i64 %i, 6
  %ins = getelementptr i64, ptr %ins0, i64 %off
  %pch = getelementptr i64, ptr %ins, i64 3
  %chunks = load i64, ptr %pch
  %pnext = getelementptr i64, ptr %ins, i64 4
  %pdone = getelementptr i64, ptr %ins, i64 5
  br label %claim
claim:
  %c = atomicrmw add ptr %pnext, i64 1 acq_rel
  %mine = icmp slt i64 %c, %chunks
  br i1 %mine, label %work, label %wait0
work:
  %stop = call i1 @stopped(ptr %plan, i64 %i)
  br i1 %stop, label %skip, label %go
go:
  call void @launch(ptr %ins, i64 %c, i64 %chunks)
  br label %skip
skip:
  %d = atomicrmw add ptr %pdone, i64 1 acq_rel
  br label %claim
wait0:
  br label %wait
wait:
  %spins = phi i64 [0, %wait0], [%spins2, %relax], [0, %yield]
  %have = load atomic i64, ptr %pdone acquire, align 8
  %ready = icmp sge i64 %have, %chunks
  br i1 %ready, label %next, label %again
again:
  %spins2 = add i64 %spins, 1
  %long = icmp sgt i64 %spins2, 300
  br i1 %long, label %yield, label %relax
relax:
  fence seq_cst
  br label %wait
yield:
  %y = call i32 @sched_yield()
  br label %wait
next:
  %i2 = add i64 %i, 1
  br label %head
end:
  ret void
}

define void @gc_join(ptr %plan, i64 %ticket) {
entry:
  %gate = getelementptr i64, ptr %plan, i64 7
  br label %try
try:
  %v = load atomic i64, ptr %gate acquire, align 8
  %now = ashr i64 %v, 16
  %open = icmp eq i64 %now, %ticket
  br i1 %open, label %enter, label %out
enter:
  %v1 = add i64 %v, 1
  %x = cmpxchg ptr %gate, i64 %v, i64 %v1 seq_cst seq_cst
  %ok = extractvalue {i64, i1} %x, 1
  br i1 %ok, label %in, label %try
in:
  call void @work(ptr %plan)
  %leave = atomicrmw sub ptr %gate, i64 1 seq_cst
  br label %out
out:
  ret void
}

define i64 @gc_lead(ptr %plan) {
entry:
  %gate = getelementptr i64, ptr %plan, i64 7
  call void @work(ptr %plan)
  %close = atomicrmw add ptr %gate, i64 65536 seq_cst
  br label %wait
wait:
  %v = load atomic i64, ptr %gate acquire, align 8
  %inside = and i64 %v, 65535
  %empty = icmp eq i64 %inside, 0
  br i1 %empty, label %out, label %more
more:
  %y = call i32 @sched_yield()
  br label %wait
out:
  ret i64 0
}
"""


class Driver:
    """The native functions, callable from Python with the GIL released, and `copy`, a kernel."""

    def __init__(self) -> None:
        loader = jit.loader()
        address = loader.addresses["gc_run"]
        word = ctypes.c_int64
        self.run: Any = ctypes.CFUNCTYPE(word, word)(address)
        self.reset: Any = ctypes.CFUNCTYPE(None, word)(
            loader.engine.get_function_address("gc_reset")
        )
        find = loader.engine.get_function_address
        self.copy: int = find(
            "gc_copy"
        )  # a kernel: copies its extent of bytes to args[0] from args[1]
        self.control: int = find("gc_control")  # a kernel: runs instruction lists of its own
        self.lead: Any = ctypes.CFUNCTYPE(word, word)(find("gc_lead"))
        self.join: Any = ctypes.CFUNCTYPE(None, word, word)(find("gc_join"))
        _check_layout()


def _check_layout() -> None:
    """NumPy's array header is as expected; otherwise graphc cannot run on this Python."""
    probe = np.zeros(3)
    found = ctypes.c_int64.from_address(id(probe) + DATA_OFFSET).value
    if found != probe.__array_interface__["data"][0]:
        raise GraphcError(
            "graphc: this NumPy lays out arrays in an unknown way; CPython's is needed"
        )


def load(cache: Cache) -> None:
    """Loads the driver's machine code into this process, before `driver()` is asked for.

    It lies in the cache: compiling it is most of a warm start, and of its memory
    (docs/decisions.md).
    """
    if "gc_run" in jit.loader().addresses:
        return
    text = IR + CONTROL_IR
    name = jit.symbol_of(text, host_cpu()).replace("gc_", "driver_")
    data = cache.read(name)
    if data is None:
        data = jit.object_code(text, host_cpu())
        cache.write(name, data)
    jit.loader().load("gc_run", data)


@functools.cache
def driver() -> Driver:
    """The process's driver; `load` has been called."""
    return Driver()
