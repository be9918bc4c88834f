"""mathlib as LLVM compiles it: accuracy, special values, vector code, and agreement with NumPy.

Each function is put in a loop, optimised and run as a kernel would be.  Errors are in units in
the last place (ULP) of the correctly rounded result, against f64 (for f32) and np.longdouble.
"""

from __future__ import annotations

import ctypes
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import llvmlite.binding as llvm
import numpy as np
import pytest
from llvmlite import ir

from graphc.codegen.mathlib.function_table import FUNCTIONS
from graphc.codegen.mathlib.llvm_scalar import LLVM_TYPES, emit
from graphc.codegen.mathlib.numpy_scalar import compute, twin

DTYPES: Mapping[str, Any] = {"f32": np.float32, "f64": np.float64}
WORDS: Mapping[str, Any] = {"f32": np.uint32, "f64": np.uint64}
HOT = ("exp", "expm1", "log", "log1p", "tanh", "sigmoid", "erf", "sinh", "cosh")
THROUGH_F64 = ("sin", "cos")  # their f32 loops have the lanes of f64
DEFINED = [name for name, row in FUNCTIONS.items() if row.definition is not None]
BOTH = [(name, dtype) for name in DEFINED for dtype in DTYPES]

# The most ULP that a function may be off, as measured and rounded up a little, so that a lost
# correction shows: (f32, f64).
BARS: Mapping[str, tuple[float, float]] = {
    "exp": (0.9, 0.9),
    "exp2": (0.85, 0.85),
    "expm1": (1.5, 1.72),
    "log": (0.85, 0.8),
    "log2": (0.51, 0.51),
    "log10": (0.51, 0.51),
    "log1p": (1.4, 1.4),
    "sinh": (1.65, 1.6),
    "cosh": (1.4, 1.3),
    "tanh": (1.5, 1.55),
    "asinh": (0.51, 1.7),
    "acosh": (0.51, 2),
    "atanh": (0.51, 1.9),
    "sigmoid": (1.7, 1.7),
    "erf": (0.95, 1.1),
    "erfc": (0.51, 4),
    "cbrt": (0.51, 0.75),
    "rsqrt": (1.5, 1.5),
    "power": (0.51, 1.05),
    "hypot": (0.51, 1.15),
    "sin": (1.6, 0.8),
    "cos": (1.6, 0.8),
    "tan": (0.51, 2.1),
    "asin": (1.95, 2),
    "acos": (1.2, 1.2),
    "atan": (1.9, 1.9),
    "atan2": (0.51, 2.2),
}
# Where a function is interesting, besides everywhere: (f32, f64).
RANGES: Mapping[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "exp": ((-105, 90), (-746, 711)),
    "exp2": ((-151, 129), (-1076, 1025)),
    "expm1": ((-20, 90), (-40, 711)),
    "sinh": ((-91, 91), (-712, 712)),
    "cosh": ((-91, 91), (-712, 712)),
    "tanh": ((-10, 10), (-20, 20)),
    "sigmoid": ((-105, 20), (-746, 40)),
    "erf": ((-4.5, 4.5), (-6.5, 6.5)),
    "erfc": ((-4, 10.5), (-6, 26.5)),
    "sin": ((-1e3, 1e3), (-1e6, 1e6)),
    "cos": ((-1e3, 1e3), (-1e6, 1e6)),
    "tan": ((-1e3, 1e3), (-1e6, 1e6)),
    "asin": ((-1, 1), (-1, 1)),
    "acos": ((-1, 1), (-1, 1)),
    "atanh": ((-1, 1), (-1, 1)),
    "log1p": ((-1, 3), (-1, 3)),
    "acosh": ((1, 9), (1, 9)),
    "power": ((-20, 20), (-60, 60)),
}
SPECIAL = (
    0.0,
    -0.0,
    0.5,
    -0.5,
    1,
    -1,
    2,
    -2,
    2.5,
    -2.5,
    3,
    -3,
    30,
    -30,
    100,
    -100,
    720,
    -720,
    2**30,
    -(2**31 + 1),
    1e-45,
    -1e-45,
    5e-324,
    -5e-324,
    3e-39,
    -3e-39,
    1e-310,
    -1e-310,
    3.4e38,
    -3.4e38,
    1.79e308,
    -1.79e308,
    math.inf,
    -math.inf,
    math.nan,
)


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
    """The function in the next wider float, by NumPy or (erf, erfc) by the C library."""
    if name in ("erf", "erfc"):
        return np.array([getattr(math, name)(float(x)) for x in args[0]])
    with np.errstate(all="ignore"):
        wide = [x.astype(np.float64 if dtype == "f32" else np.longdouble) for x in args]
        match name:
            case "sigmoid":
                e = np.exp(-abs(wide[0]))
                return np.where(wide[0] < 0, e, 1) / (1 + e)
            case "rsqrt":
                return 1 / np.sqrt(wide[0])
            case _:
                function = FUNCTIONS[name].numpy
                assert function is not None
                return function(*wide)


def ulps(got: Any, exact: Any) -> Any:
    """The distance in ULP; 0 where both are nan or the same infinity, inf where one alone is.

    At the edge of overflow the largest float and infinity count as neighbours.
    """
    info = np.finfo(got.dtype)
    with np.errstate(all="ignore"):
        rounded = exact.astype(got.dtype)
        unit = np.spacing(np.minimum(abs(rounded), info.max)).astype(np.longdouble)
        distance = abs(got.astype(np.longdouble) - exact.astype(np.longdouble)) / unit
        same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
        edge = np.fmin(abs(got), abs(rounded)) == info.max
    finite = np.where(np.isfinite(distance), distance, np.where(edge, 1, np.inf))
    return np.where(same & ~np.isfinite(rounded), 0, finite)


def stratified(name: str, dtype: str, count: int) -> list[Any]:
    """Random bits (every exponent), the interesting range, and numbers near 0 and 1."""
    rng = np.random.default_rng(sum(map(ord, name)))
    real, word = DTYPES[dtype], WORDS[dtype]
    low, high = RANGES.get(name, ((-5, 5), (-5, 5)))[dtype == "f64"]
    columns = []
    for _ in range(FUNCTIONS[name].arity):
        bits = rng.integers(0, np.iinfo(word).max, count, word, endpoint=True).view(real)
        small = rng.standard_normal(count) * 2.0 ** rng.integers(-30, 2, count)
        parts = (bits, rng.uniform(low, high, count), small, 1 + small)
        columns.append(np.concatenate([part.astype(real) for part in parts]))
    columns[1:] = [rng.permuted(column) for column in columns[1:]]
    return columns


def specials(name: str, dtype: str) -> list[Any]:
    with np.errstate(over="ignore", under="ignore"):
        values = np.array(SPECIAL).astype(DTYPES[dtype])
    grid = np.meshgrid(*[values] * FUNCTIONS[name].arity)
    return [column.flatten() for column in grid]


@pytest.mark.parametrize(("name", "dtype"), BOTH)
def test_accuracy(name: str, dtype: str) -> None:
    args = stratified(name, dtype, 4000 if name in ("erf", "erfc") else 12000)
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
    args = specials(name, dtype)
    got = compiled(name, dtype)(*args)
    exact = reference(name, dtype, *args)
    errors = np.where(ulps(got, exact) <= BARS[name][dtype == "f64"] + 0.5, 0, 1)
    wrong = (errors > 0) | (np.signbit(got) != np.signbit(exact)) & ~np.isnan(got)
    assert not wrong.any(), [(*(a[i] for a in args), got[i], exact[i]) for i in wrong.nonzero()[0]]


@pytest.mark.parametrize(("name", "dtype"), BOTH)
def test_numpy_machine_gives_the_same_bits(name: str, dtype: str) -> None:
    """f32 exactly, f64 but for the rare tie its fma gets wrong; at any place in the loop."""
    args = [
        np.concatenate(pair)
        for pair in zip(stratified(name, dtype, 1000), specials(name, dtype), strict=True)
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
    rng = np.random.default_rng(5)
    multiples = rng.integers(1, 2 ** rng.integers(2, 62, 20000)) * (np.pi / 2)
    args = multiples.astype(DTYPES[dtype])
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
