"""mathlib as LLVM compiles it: accuracy, special values, vector code, and agreement with NumPy.

Each function is put in a loop, optimised and run as a kernel would be.  Errors are in units in
the last place (ULP) of the correctly rounded result, against f64 (for f32) and np.longdouble.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import llvmlite.binding as llvm
import numpy as np
import pytest
from llvmlite import ir
from support.accuracy import (
    BARS,
    EVERYWHERE,
    RANGES,
    exact,
    half_turns,
    specials,
    stratified,
    ulps,
)

from graphc.codegen.mathlib.function_table import FUNCTIONS
from graphc.codegen.mathlib.llvm_scalar import LLVM_TYPES, emit
from graphc.codegen.mathlib.numpy_scalar import compute, twin

DTYPES: Mapping[str, Any] = {"f32": np.float32, "f64": np.float64}
HOT = ("exp", "expm1", "log", "log1p", "tanh", "sigmoid", "erf", "sinh", "cosh")
THROUGH_F64 = ("sin", "cos")  # their f32 loops have the lanes of f64
DEFINED = [name for name, row in FUNCTIONS.items() if row.definition is not None]
BOTH = [(name, dtype) for name in DEFINED for dtype in DTYPES]


@dataclass(frozen=True)
class Compiled:
    """A loop over one function: call it with arrays; `text` is the optimised LLVM IR."""

    engine: llvm.ExecutionEngine
    entry: Callable[..., None]
    text: str

    def __call__(self, *arrays: Any) -> Any:
        out = np.empty_like(arrays[0])
        self.entry(*[array.ctypes.data for array in (*arrays, out)], out.size)
        return out


def loop_over(name: str, dtype: str) -> ir.Module:
    """void kernel(in, ..., out, n): out[i] = name(in[i], ...) for i < n."""
    module, word = ir.Module(), ir.IntType(64)
    pointers = [LLVM_TYPES[dtype].as_pointer()] * (FUNCTIONS[name].arity + 1)
    kernel = ir.Function(module, ir.FunctionType(ir.VoidType(), [*pointers, word]), "kernel")
    *inputs, out, count = kernel.args
    for pointer in (*inputs, out):
        pointer.add_attribute("noalias")
    entry, body, done = (kernel.append_basic_block(label) for label in ("entry", "body", "done"))
    builder = ir.IRBuilder(entry)
    builder.cbranch(builder.icmp_signed(">", count, word(0)), body, done)
    builder.position_at_end(body)
    i = builder.phi(word)
    loaded = [builder.load(builder.gep(pointer, [i])) for pointer in inputs]
    result = builder.call(emit(module, name, dtype), loaded)
    builder.store(result, builder.gep(out, [i]))
    following = builder.add(i, word(1))
    i.add_incoming(word(0), entry)
    i.add_incoming(following, body)
    builder.cbranch(builder.icmp_signed("<", following, count), body, done)
    builder.position_at_end(done)
    builder.ret_void()
    return module


@cache
def compiled(name: str, dtype: str) -> Compiled:
    """The loop after LLVM's O3 pipeline for this very CPU, at its full vector width."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    features = llvm.get_host_cpu_features()
    features["prefer-256-bit"] = False
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=features.flatten(), opt=3
    )
    module = llvm.parse_assembly(str(loop_over(name, dtype)))
    module.verify()
    options = llvm.create_pipeline_tuning_options(3)
    options.loop_vectorization = True
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    text = str(module)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    pointers = [ctypes.c_void_p] * (FUNCTIONS[name].arity + 1)
    signature = ctypes.CFUNCTYPE(None, *pointers, ctypes.c_int64)
    return Compiled(engine, signature(engine.get_function_address("kernel")), text)


def reference(name: str, dtype: str, *args: Any) -> Any:
    """The function in the next wider float."""
    with np.errstate(all="ignore"):
        wide = [x.astype(np.float64 if dtype == "f32" else np.longdouble) for x in args]
        return exact(name, *wide)


def special(name: str, dtype: str) -> list[Any]:
    return specials(FUNCTIONS[name].arity, DTYPES[dtype])


def tried(name: str, dtype: str, count: int) -> list[Any]:
    span = RANGES.get(name, EVERYWHERE)[dtype == "f64"]
    return stratified(FUNCTIONS[name].arity, span, DTYPES[dtype], count, sum(map(ord, name)))


@pytest.mark.parametrize(("name", "dtype"), BOTH)
def test_accuracy(name: str, dtype: str) -> None:
    args = tried(name, dtype, 4000 if name in ("erf", "erfc") else 12000)
    got = compiled(name, dtype)(*args)
    errors = ulps(got, reference(name, dtype, *args))
    worst = int(np.argmax(errors))
    bar = BARS[name][dtype == "f64"]
    where = [arg[worst] for arg in args]
    assert errors[worst] <= bar, f"{errors[worst]:.2f} ULP at {where}: {got[worst]}"
    if name in ("tanh", "sin", "cos", "erf", "sigmoid"):
        assert np.nanmax(abs(got)) <= 1


@pytest.mark.parametrize(("name", "dtype"), BOTH)
def test_special_values_are_numpys(name: str, dtype: str) -> None:
    args = special(name, dtype)
    got = compiled(name, dtype)(*args)
    wanted = reference(name, dtype, *args)
    errors = np.where(ulps(got, wanted) <= BARS[name][dtype == "f64"] + 0.5, 0, 1)
    wrong = (errors > 0) | (np.signbit(got) != np.signbit(wanted)) & ~np.isnan(got)
    assert not wrong.any(), [(*(a[i] for a in args), got[i], wanted[i]) for i in wrong.nonzero()[0]]


@pytest.mark.parametrize(("name", "dtype"), BOTH)
def test_numpy_machine_gives_the_same_bits(name: str, dtype: str) -> None:
    """f32 exactly, f64 but for the rare tie its fma gets wrong; at any place in the loop."""
    args = [
        np.concatenate(pair)
        for pair in zip(tried(name, dtype, 1000), special(name, dtype), strict=True)
    ]
    got, expected = compiled(name, dtype)(*args), compute(name, *args)
    assert expected.dtype == got.dtype
    differing = (got != expected) & ~(np.isnan(got) & np.isnan(expected))
    differing |= (np.signbit(got) != np.signbit(expected)) & ~np.isnan(got)
    assert differing.sum() <= (0 if dtype == "f32" else 1e-3 * got.size)
    shifted = compiled(name, dtype)(*[arg[3:40].copy() for arg in args])
    np.testing.assert_array_equal(shifted, got[3:40])


@pytest.mark.parametrize(("name", "dtype"), BOTH)
def test_loops_become_vector_code(name: str, dtype: str) -> None:
    """Every function, and in f32 the hot ones at (nearly) full width; none calls anything."""
    text = compiled(name, dtype).text
    lanes = [int(n) for n in re.findall(r"f(?:mul|add|div) <(\d+) x (?:float|double)>", text)]
    least = 2
    if llvm.get_host_cpu_features().get("avx2", False) and dtype == "f32":
        least = 8 if name in HOT else 4 if name in THROUGH_F64 else 2
    assert max(lanes, default=0) >= least
    calls = re.findall(r"call [^@]*@([\w.]+)\(", text)
    assert all(call.startswith("llvm.") for call in calls), calls


@pytest.mark.parametrize(
    ("name", "dtype", "bar"),
    [
        ("sin", "f32", 1.6),
        ("cos", "f32", 1.6),
        ("sin", "f64", 1),
        ("cos", "f64", 1),
    ],
)
def test_near_multiples_of_half_pi(name: str, dtype: str, bar: float) -> None:
    args = half_turns(20000, 5).astype(DTYPES[dtype])
    assert ulps(compiled(name, dtype)(args), reference(name, dtype, args)).max() <= bar


def test_monotone_tails() -> None:
    """exp falls through the denormals to 0, and rises to infinity, without a step back."""
    for dtype, low, high in (("f32", -105, 90), ("f64", -748, 712)):
        x = np.linspace(low, high, 20011).astype(DTYPES[dtype])
        y = compiled("exp", dtype)(x)
        assert y[0] == 0 and np.isinf(y[-1]) and (y[1:] >= y[:-1]).all()
        assert ((y > 0) & (y < np.finfo(y.dtype).tiny)).any()


def test_emit_writes_once() -> None:
    module = ir.Module()
    first = emit(module, "tan", "f64")
    assert emit(module, "tan", "f64") is first
    assert emit(module, "sin", "f64").name == "gc_sin_f64"
    assert len([g for g in module.global_values if g.name.startswith("gc_table")]) == 3


@pytest.mark.parametrize("name", DEFINED)
def test_twin(name: str) -> None:
    """Scalars give scalars and arrays arrays, of the same dtype, without warnings."""
    for dtype in DTYPES.values():
        args = [dtype(0.75)] * FUNCTIONS[name].arity
        scalar = twin(name)(*args)
        array = twin(name)(*[np.full(3, arg) for arg in args])
        assert type(scalar) is dtype and array.dtype == dtype and array.shape == (3,)
        np.testing.assert_allclose(compute(name, *args), scalar, rtol=1e-6)
        twin(name)(*[dtype(-np.inf)] * FUNCTIONS[name].arity)


def test_numba_inlines_and_vectorises() -> None:
    numba = pytest.importorskip("numba")
    from numba.extending import intrinsic

    @intrinsic
    def exp(context: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.call(emit(builder.module, "exp", "f32"), args)

        return numba.float32(numba.float32), generate

    @numba.njit("void(float32[::1], float32[::1])")  # type: ignore[untyped-decorator]
    def kernel(x: Any, out: Any) -> None:
        for i in range(x.size):
            out[i] = exp(x[i])  # type: ignore[call-arg]

    x = np.linspace(-110, 90, 1001, dtype=np.float32)
    out = np.empty_like(x)
    kernel(x, out)
    np.testing.assert_array_equal(out, compute("exp", x))
    assert re.search(r"<\d+ x float>", next(iter(kernel.inspect_llvm().values())))
