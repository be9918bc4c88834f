"""Measures what this machine can do, in bytes and operations a second, with kernels of its own.

    bandwidth   summing an array (read), copying one (copy), a = b + s * c (triad), a = s * a + s
                (update), over working sets from the first-level cache to memory; all threads at
                once, each its own part
    peak        multiply-adds in registers, f32 and f64, two operations each

The best of several tries counts, because a limit is what the machine does undisturbed.  Limits are
measured once and kept in the cache directory, by CPU and number of threads.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import json
import math
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graphc.codegen.cache import Cache
from graphc.codegen.cpu.gemm_library import host_shape
from graphc.codegen.cpu.microkernels.vectors import LLVM_TYPES
from graphc.codegen.cpu.toolchain import jit
from graphc.codegen.cpu.toolchain.machine import host_cpu
from graphc.config import Options
from graphc.runtime.cpu.launches import address

LIMITS_VERSION = 1  # a new number discards the limits kept on disk
WORKING_SETS = tuple(1 << bits for bits in (14, 16, 18, 20, 22, 24, 26, 28))  # bytes
TRIES_WITHOUT_GAIN = 7  # so many tries in a row that bring nothing better end a measurement
MAX_TRIES = 21
MIN_TRY_SECONDS = 2e-3
ACCUMULATORS = 12  # independent chains of multiply-adds: enough for 4 cycles on 2 or 3 units
ALIGNMENT_BYTES = 64
RESULT_FLOATS = 64  # room for what a kernel stores beside its arrays
# of each kernel: the arrays that it works on, and how often it reads or writes one of them
ARRAYS_OF_STREAM = {"read": 1, "copy": 2, "triad": 3, "update": 1}
PASSES_OF_STREAM = {"read": 1, "copy": 2, "triad": 3, "update": 2}


@dataclass(frozen=True)
class Limits:
    """The limits of `threads` threads together: `rates` are bytes a second by stream, at each
    working set; `peaks` are operations a second by element type."""

    cpu: str
    threads: int
    working_sets: tuple[int, ...]
    rates: dict[str, tuple[float, ...]]
    peaks: dict[str, float]

    def bandwidth(self, stream: str, nbytes: float) -> float:
        """The bandwidth of `read`, `copy`, `triad` or `update` at a working set of this size."""
        return float(
            np.exp(
                np.interp(
                    math.log(max(nbytes, 1)), np.log(self.working_sets), np.log(self.rates[stream])
                )
            )
        )

    def seconds(self, read: float, written: float, nbytes: float) -> float:
        """The least seconds for reading and writing parts of one buffer, in a working set of
        `nbytes`.  Writing a byte that is not read costs what a copy takes beyond reading."""
        both = min(read, written)
        reading = 1 / self.bandwidth("read", nbytes)
        writing = max(2 / self.bandwidth("copy", nbytes) - reading, reading / 4)
        updating = 2 / self.bandwidth("update", nbytes)
        return both * updating + (read - both) * reading + (written - both) * writing

    def __str__(self) -> str:
        lines = [
            f"{self.cpu}, {self.threads} thread{'s' * (self.threads > 1)}",
            f"{'working set':>12}" + "".join(f"{s + ' GB/s':>12}" for s in self.rates),
        ]
        rows: dict[str, str] = {}  # figures -> the largest working set that has them
        for size, *rates in zip(self.working_sets, *self.rates.values(), strict=True):
            shown = f"{size >> 20} MiB" if size >> 20 else f"{size >> 10} KiB"
            figures = "".join(f"{r / 1e9:12.1f}" for r in rates)
            rows[figures] = f"to {shown}" if figures in rows else shown
        lines += [f"{shown:>12}{figures}" for figures, shown in rows.items()]
        peaks = ", ".join(f"{rate / 1e9:.1f} GF/s {dtype}" for dtype, rate in self.peaks.items())
        return "\n".join([*lines, f"{'peak':>12}  {peaks}"])


def limits(options: Options, again: bool = False) -> Limits:
    """The limits for the options' number of threads, from the cache directory; the first call
    measures them, in about two seconds.  `again` measures anew and keeps the better figures."""
    cache, name = Cache(options.cache_dir), f"limits-{_name(options.threads)}.json"
    known = _read(cache, name)
    if known is not None and not again:
        return known
    measured = measure(options.threads)
    if known is not None:
        measured = _better(known, measured)
    cache.keep(name, json.dumps(asdict(measured)).encode())
    return measured


def measure(threads: int) -> Limits:
    """The limits of this machine, measured."""
    rates = {}
    for stream, arrays in ARRAYS_OF_STREAM.items():
        by_size = [
            _stream(stream, size // arrays // 4 // threads, threads) for size in WORKING_SETS
        ]
        for at in range(len(by_size) - 2, -1, -1):  # what fits a large working set fits a small one
            by_size[at] = max(by_size[at], by_size[at + 1])
        rates[stream] = tuple(by_size)
    peaks = {dtype: _peak(dtype, threads) for dtype in LLVM_TYPES}
    return Limits(cpu_name(), threads, WORKING_SETS, rates, peaks)


@functools.cache
def cpu_name() -> str:
    """The CPU's name for people."""
    known = Path("/proc/cpuinfo")
    lines = known.read_text(encoding="utf-8").splitlines() if known.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else host_cpu().name


def _name(threads: int) -> str:
    parts = (LIMITS_VERSION, cpu_name(), host_cpu().features, threads)
    return hashlib.blake2b(repr(parts).encode(), digest_size=8).hexdigest()


def _read(cache: Cache, name: str) -> Limits | None:
    """The limits in a file; None if there is no file, or a damaged one, which gives a warning."""
    raw = cache.kept(name)
    if raw is None:
        return None
    try:
        data = json.loads(raw)
        rates = {name: tuple(by_size) for name, by_size in data["rates"].items()}
        return Limits(
            data["cpu"], data["threads"], tuple(data["working_sets"]), rates, data["peaks"]
        )
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        path = cache.directory / name
        warnings.warn(f"graphc: cannot read {path}: {error}; measuring again", stacklevel=2)
        return None


def _better(a: Limits, b: Limits) -> Limits:
    rates = {s: tuple(map(max, a.rates[s], b.rates[s])) for s in b.rates}
    peaks = {name: max(a.peaks[name], b.peaks[name]) for name in b.peaks}
    return Limits(b.cpu, b.threads, b.working_sets, rates, peaks)


# -- kernels: functions of (args, count, rounds); args holds addresses of arrays and of results

STREAM_KERNEL = """
define void @gc_WHAT(ptr %args, i64 %count, i64 %rounds) {
entry:
  %aw = load ptr, ptr %args
  %pb = getelementptr ptr, ptr %args, i64 1
  %bw = load ptr, ptr %pb
  %pc = getelementptr ptr, ptr %args, i64 2
  %cw = load ptr, ptr %pc
  br label %round
round:
  %r = phi i64 [0, %entry], [%r2, %next]
  call void asm sideeffect "", "~{memory}"()
  br label %body
body:
  %i = phi i64 [0, %round], [%i2, %body]
  %s0 = phi <V x float> [zeroinitializer, %round], [%t0, %body]
  %s1 = phi <V x float> [zeroinitializer, %round], [%t1, %body]
  %s2 = phi <V x float> [zeroinitializer, %round], [%t2, %body]
  %s3 = phi <V x float> [zeroinitializer, %round], [%t3, %body]
  LANES
  %i2 = add i64 %i, STEP
  %more = icmp slt i64 %i2, %count
  br i1 %more, label %body, label %next
next:
  %u0 = fadd <V x float> %t0, %t1
  %u1 = fadd <V x float> %t2, %t3
  %u = fadd <V x float> %u0, %u1
  %po = getelementptr ptr, ptr %args, i64 3
  %ow = load ptr, ptr %po
  store volatile <V x float> %u, ptr %ow, align 4
  %r2 = add i64 %r, 1
  %again = icmp slt i64 %r2, %rounds
  br i1 %again, label %round, label %end
end:
  ret void
}
"""
LOAD_VECTOR = """
  %pNAME{n} = getelementptr float, ptr %{source}, i64 %j{n}
  %NAME{n} = load <V x float>, ptr %pNAME{n}, align 4"""
KEEP_SUM = "\n  %t{n} = select i1 true, <V x float> %s{n}, <V x float> %s{n}"  # stays as it is
MULTIPLY_ADD = (
    "\n  %x{n} = call <V x float> @llvm.fma.vVf32("
    "<V x float> %c{n}, <V x float> SCALE, <V x float> %b{n})"
)
LOOP_BODY = {
    "read": "{load_b}\n  %t{n} = fadd <V x float> %s{n}, %b{n}",
    "copy": "{load_b}{store_b}" + KEEP_SUM,
    "triad": "{load_b}{load_c}" + MULTIPLY_ADD + "{store_x}" + KEEP_SUM,
    "update": "{load_b}" + MULTIPLY_ADD.replace("%c", "%b") + "{store_x}" + KEEP_SUM,
}


def _stream_text(what: str) -> str:
    lanes = host_shape("f32").lanes
    parts = []
    for n in range(4):
        at = f"\n  %j{n} = add i64 %i, {n * lanes}"
        load_b = LOAD_VECTOR.replace("NAME", "b").format(n=n, source="bw")
        load_c = LOAD_VECTOR.replace("NAME", "c").format(n=n, source="cw")
        store = f"\n  %q{n} = getelementptr float, ptr %aw, i64 %j{n}"
        parts.append(
            at
            + LOOP_BODY[what].format(
                n=n,
                load_b=load_b,
                load_c=load_c,
                store_b=f"{store}\n  store <V x float> %b{n}, ptr %q{n}, align 4",
                store_x=f"{store}\n  store <V x float> %x{n}, ptr %q{n}, align 4",
            )
        )
    scale = "<" + ", ".join(["float 3.0"] * lanes) + ">"
    text = STREAM_KERNEL.replace("LANES", "".join(parts)).replace("WHAT", what)
    text += "declare <V x float> @llvm.fma.vVf32(<V x float>, <V x float>, <V x float>)\n"
    return (
        text.replace("SCALE", scale)
        .replace("STEP", str(4 * lanes))
        .replace("vVf32", f"v{lanes}f32")
        .replace("<V x", f"<{lanes} x")
    )


def _fma_text(dtype: str) -> str:
    """Chains of multiply-adds: `count` of them, `rounds` times."""
    lanes = host_shape(dtype).lanes
    vector, name = f"<{lanes} x {LLVM_TYPES[dtype]}>", f"@llvm.fma.v{lanes}{dtype}"
    chains = range(ACCUMULATORS)
    phis = "\n".join(f"  %a{n} = phi {vector} [%x, %entry], [%b{n}, %body]" for n in chains)
    steps = "\n".join(
        f"  %b{n} = call {vector} {name}({vector} %a{n}, {vector} %x, {vector} %y)" for n in chains
    )
    sums = "\n".join(f"  %s{n + 1} = fadd {vector} %s{n}, %b{n}" for n in chains)
    return f"""
declare {vector} {name}({vector}, {vector}, {vector})
define void @gc_fma_{dtype}(ptr %args, i64 %count, i64 %rounds) {{
entry:
  %po = getelementptr ptr, ptr %args, i64 3
  %ow = load ptr, ptr %po
  %x = load {vector}, ptr %ow, align 4
  %y = fadd {vector} %x, %x
  %all = mul i64 %count, %rounds
  br label %body
body:
  %i = phi i64 [0, %entry], [%i2, %body]
{phis}
{steps}
  %i2 = add i64 %i, 1
  %more = icmp slt i64 %i2, %all
  br i1 %more, label %body, label %end
end:
  %s0 = fadd {vector} %x, %y
{sums}
  store {vector} %s{ACCUMULATORS}, ptr %ow, align 4
  ret void
}}
"""


@functools.cache
def _function(name: str) -> Any:
    """A kernel as a function that Python calls without the GIL."""
    stream = name.removeprefix("gc_")
    text = (
        _stream_text(stream)
        if stream in ARRAYS_OF_STREAM
        else _fma_text(name.removeprefix("gc_fma_"))
    )
    data = jit.object_code(text, host_cpu())
    code_address = jit.loader().load(name, data)
    return ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)(code_address)


def _stream(what: str, count: int, threads: int) -> float:
    """Bytes a second of a stream over arrays of `count` f32 for each thread."""
    step = 4 * host_shape("f32").lanes  # a round of the loop takes four vectors
    count = max(count // step, 1) * step
    moved = 4 * count * PASSES_OF_STREAM[what]
    return _best(_function(f"gc_{what}"), count, moved, threads, ARRAYS_OF_STREAM[what])


def _peak(dtype: str, threads: int) -> float:
    count = 1000
    work = 2 * ACCUMULATORS * host_shape(dtype).lanes * count
    return _best(_function(f"gc_fma_{dtype}"), count, work, threads, 0)


def _best(call: Any, count: int, work: int, threads: int, arrays: int) -> float:
    """Work a second of all threads together; `work` is the work of one round of one thread."""
    arguments = [_arguments(arrays, count) for _ in range(threads)]
    rounds = 1
    while (seconds := _together(call, count, rounds, arguments)) < MIN_TRY_SECONDS:
        rounds = max(2 * rounds, int(rounds * MIN_TRY_SECONDS / max(seconds, 1e-7)) + 1)
    best, since = seconds, 0
    for _ in range(MAX_TRIES):
        if since == TRIES_WITHOUT_GAIN:
            break
        seconds = _together(call, count, rounds, arguments)
        best, since = min(best, seconds), 0 if seconds < 0.99 * best else since + 1
    return threads * rounds * work / best


def _arguments(arrays: int, count: int) -> tuple[Any, ...]:
    """The argument words of a kernel, and the arrays that they point at: a, b, c, results."""
    arrays_held = [_aligned(count) for _ in range(arrays)]
    if arrays == 1:
        arrays_held.insert(0, arrays_held[0])
    arrays_held += [_aligned(RESULT_FLOATS) for _ in range(4 - len(arrays_held))]
    words = np.array([address(a) for a in arrays_held], np.int64)
    return words, arrays_held


def _aligned(count: int) -> Any:
    raw = np.empty(count * 4 + ALIGNMENT_BYTES, np.uint8)
    start = -address(raw) % ALIGNMENT_BYTES
    array = raw[start : start + count * 4].view(np.float32)
    array.fill(1.0)  # untouched pages would all be one page of zeros
    return array


def _together(call: Any, count: int, rounds: int, arguments: Sequence[tuple[Any, ...]]) -> float:
    """Seconds from the first thread's start to the last one's end."""
    spans: list[tuple[float, float]] = []
    gate = threading.Barrier(len(arguments))

    def work(words: Any) -> None:
        gate.wait()
        start = time.perf_counter()
        call(address(words), count, rounds)
        spans.append((start, time.perf_counter()))

    jobs: list[Callable[[], None]] = [functools.partial(work, words) for words, _ in arguments]
    others = [threading.Thread(target=job) for job in jobs[1:]]
    for t in others:
        t.start()
    jobs[0]()
    for t in others:
        t.join()
    return max(end for _, end in spans) - min(start for start, _ in spans)
