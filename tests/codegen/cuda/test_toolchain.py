"""Machine code for GPUs, made with no GPU: that every name compiles, and what becomes of it."""

from __future__ import annotations

import ctypes
import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from llvmlite import ir
from support import sass as sass

from graphc.codegen import workers
from graphc.codegen.cache import Built, Cache
from graphc.codegen.cpu import emulate, emulate_scalars
from graphc.codegen.cpu.toolchain import jit
from graphc.codegen.cpu.toolchain.machine import host_cpu
from graphc.codegen.cuda.simulator import simulate
from graphc.codegen.cuda.toolchain import cubin
from graphc.codegen.cuda.toolchain.cubin import Held
from graphc.codegen.device_source import DeviceSource
from graphc.codegen.mathlib.function_table import FUNCTIONS
from graphc.config import Options
from graphc.errors import CodegenError, DeviceError
from graphc.ir.types import BY_NAME

HOPPER = (9, 0)
HAS_NUMBA_CUDA = True
try:
    cubin.require()
except DeviceError:
    HAS_NUMBA_CUDA = False
compiles = pytest.mark.skipif(not HAS_NUMBA_CUDA, reason="numba-cuda is not installed")
I = "i = u32(u32(u32(cuda.blockIdx.x) * u32(256)) + u32(cuda.threadIdx.x))"  # noqa: E741
F32 = ("f32*", "f32*", "u32")


def source(body: str, types: tuple[str, ...] = F32, parameters: str = "x, y, n") -> DeviceSource:
    """A kernel of these lines, after that of its index `i`."""
    lines = "".join(f"    {line}\n" for line in (I, *body.splitlines()))
    return DeviceSource(f"def kernel({parameters}):\n{lines}", types)


def code(body: str, types: tuple[str, ...] = F32, parameters: str = "x, y, n") -> list[str]:
    """Its instructions."""
    return sass.instructions(cubin.compile_kernel(source(body, types, parameters), HOPPER))


def count(found: list[str], pattern: str) -> int:
    """How many instructions match."""
    return sum(re.match(pattern, name) is not None for name in found)


F64 = r"D(ADD|MUL|FMA|SETP|MNMX)|.*\.F64"
LOCAL = r"LDL|STL"
INTEGERS = ("i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64")
LARGE_ANGLES = ("sin", "cos", "tan")  # of huge angles libdevice computes in f64 and local memory
FLOAT_UNARY = (
    *(name for name, row in FUNCTIONS.items() if row.arity == 1),
    "absolute",
    "sign",
)
FLOAT_BINARY = (
    "atan2",
    "hypot",
    "power",
    "maximum",
    "minimum",
    "max",
    "min",
    "floor_divide",
    "remainder",
    "fold_add",
    "fold_multiply",
)
INTEGER_BINARY = (
    "maximum",
    "minimum",
    "floor_divide",
    "remainder",
    "power",
    "left_shift",
    "right_shift",
)
TESTS = ("greater_or_nan", "less_or_nan")


def every(calls: list[str]) -> str:
    """Lines that store each of these, where no other is stored."""
    return "\n".join(
        f"y[u32(u32(i * u32(64)) + u32({k}))] = {call}" for k, call in enumerate(calls)
    )


@compiles
@pytest.mark.cuda_compile
@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_functions_of_floats(kind: str) -> None:
    """f32 stays f32."""
    calls = [f"{name}(x[i])" for name in FLOAT_UNARY]
    calls += [f"{name}(x[i], y[i])" for name in FLOAT_BINARY]
    calls += [f"where({name}(x[i], y[i]), x[i], {kind}(0))" for name in TESTS]
    calls += [f"where(logical_not(x[i] > y[i]), {kind}(inf), {kind}(nan))"]
    types = (f"{kind}*", f"{kind}*", "u32")
    large = [call for call in calls if call.split("(")[0] in LARGE_ANGLES]
    assert len(large) == len(LARGE_ANGLES) and code(every(large), types)
    found = code(every([call for call in calls if call not in large]), types)
    assert count(found, r"STG\.E") == len(calls) - len(large)
    assert count(found, LOCAL) == 0 and (kind == "f64" or count(found, F64) == 0)


@compiles
@pytest.mark.cuda_compile
@pytest.mark.parametrize("kind", INTEGERS)
def test_functions_of_integers(kind: str) -> None:
    calls = [f"{name}(x[i], y[i])" for name in INTEGER_BINARY]
    calls += [f"{name}(x[i])" for name in ("absolute", "sign")]
    calls += [f"where({name}(x[i], y[i]), x[i], {kind}(0))" for name in TESTS]
    if kind == "i64":
        calls += [f"wrap_{name}(x[i], y[i])" for name in ("add", "subtract", "multiply")]
    found = code(every(calls), (f"{kind}*", f"{kind}*", "u32"))
    assert count(found, F64) == count(found, LOCAL) == 0
    assert count(found, "STG") == len(calls)


@compiles
@pytest.mark.cuda_compile
@pytest.mark.parametrize("kind", ["f32", "f64", *INTEGERS])
def test_casts(kind: str) -> None:
    lines = "\n".join(f"y{k}[i] = cast_{name}(x[i])" for k, name in enumerate(BY_NAME))
    lines += f"\ny{list(BY_NAME).index('i32')}[i] = cast_i32(x[i] > {kind}(1))"
    stored = (t.stored if t.kind == "bool" else t.accumulates for t in BY_NAME.values())
    types = (f"{kind}*", *(f"{t}*" for t in stored))
    names = ", ".join(f"y{k}" for k in range(len(BY_NAME)))
    assert code(lines, types, f"x, {names}")


SPECIAL = (
    0.0,
    -0.0,
    0.9,
    -0.9,
    126.5,
    127.9,
    128.0,
    -128.9,
    -129.0,
    255.5,
    65535.5,
    3e9,
    -3e9,
    4294967295.0,
    4294967296.0,
    9e18,
    1e19,
    2e19,
    -1e19,
    1e38,
    np.inf,
    -np.inf,
    np.nan,
)


@compiles
@pytest.mark.cuda_compile
def test_casts_to_integers_saturate() -> None:
    """What LLVM 7 cannot say is emitted for GPUs only: here for the CPU, where it can be run."""
    from graphc.codegen.cuda.toolchain.scalars import F32 as SINGLE, F64 as DOUBLE, saturated

    module = ir.Module()
    for name in INTEGERS:
        for kind, given in (("f32", SINGLE), ("f64", DOUBLE)):
            to = ir.IntType(BY_NAME[name].bits)
            function = ir.Function(module, ir.FunctionType(to, [given]), f"cast_{kind}_{name}")
            builder = ir.IRBuilder(function.append_basic_block())
            builder.ret(saturated(builder, function.args[0], to, name[0] == "i"))
    data = jit.object_code(str(module), host_cpu())
    for name in INTEGERS:
        for kind, c_type in (("f32", ctypes.c_float), ("f64", ctypes.c_double)):
            result = np.ctypeslib.as_ctypes_type(BY_NAME[name].numpy)
            address = jit.loader().load(f"cast_{kind}_{name}", data)
            function = ctypes.CFUNCTYPE(result, c_type)(address)
            for value in SPECIAL:
                want = emulate.NAMESPACE[f"cast_{name}"](BY_NAME[kind].numpy.type(value))
                assert function(value) == want, (name, kind, value)


@compiles
@pytest.mark.cuda_compile
def test_narrow_floats_are_one_instruction() -> None:
    types = ("u16*", "u16*", "u32")
    half = code("y[i] = to_f16(from_f16(x[i]) * f32(3))", types)
    brain = code("y[i] = to_bf16(from_bf16(x[i]) * f32(3))", types)
    assert count(half, "F2F|F2FP") == count(brain, "F2F|F2FP") == 1
    rounded = code("y[i] = round_f16(x[i]) + round_bf16(x[i])")
    assert count(rounded, F64) == 0


@compiles
@pytest.mark.cuda_compile
@pytest.mark.parametrize("kind", ["u8", "u16", "f32", "f64"])
def test_vectors_are_as_wide_as_they_can_be(kind: str) -> None:
    size = BY_NAME[kind].size
    for n in (2, 4, 8):
        wide, many = min(16, n * size), max(1, n * size // 16)
        suffix = {2: r"\.U16", 4: "", 8: r"\.64", 16: r"\.128"}[wide]
        at = f"u32(i * u32({n}))"
        types = (f"{kind}*", f"{kind}*", "u32")
        found = code(f"store{n}(y, {at}, load{n}(x, {at}))", types)
        assert count(found, rf"LDG\.E{suffix}\.CONSTANT$") == count(found, "LDG|LD$") == many
        assert count(found, rf"STG\.E{suffix}$") == count(found, "STG|ST$") == many
        again = code(f"store{n}(y, {at}, read{n}(x, {at}))", types)
        assert count(again, rf"LDG\.E{suffix}$") == many


@compiles
@pytest.mark.cuda_compile
def test_scalars_are_loaded_as_constants() -> None:
    found = code("if i < n:\n    y[i] = load(x, i) + x[i + 1]")
    assert count(found, r"LDG\.E\.CONSTANT$") == 1 and count(found, r"LDG\.E$") == 1


@compiles
@pytest.mark.cuda_compile
def test_an_elementwise_kernel_is_short() -> None:
    body = """if i < n:
    k = u32(i * u32(4))
    a, b = load4(x, k), load4(z, k)
    store4(y, k, (exp(a[0]) * b[0], exp(a[1]) * b[1], exp(a[2]) * b[2], exp(a[3]) * b[3]))"""
    given = source(body, ("f32*", "f32*", "f32*", "u32"), "x, y, z, n")
    made = cubin.compile_kernel(given, HOPPER)
    found = sass.instructions(made)
    assert count(found, r"LDG\.E\.128\.CONSTANT") == 2 and count(found, r"STG\.E\.128") == 1
    assert len(found) < 64 and sass.registers(made) <= 32
    assert count(found, F64) == count(found, LOCAL) == count(found, "CALL") == 0


@compiles
@pytest.mark.cuda_compile
def test_indices_are_of_32_bits() -> None:
    """One instruction an operation; divisions by literals are multiplications."""
    plain = code("y[i] = x[i]")
    more = code("y[u32(u32(i * u32(3)) + n)] = x[u32(u32(i + n) * u32(5))]")
    assert len(more) - len(plain) <= 5
    literal = code("y[u32(i // u32(768))] = x[u32(i % u32(768))]")
    assert len(literal) - len(plain) <= 4 and count(literal, "CALL|MUFU|I2F") == 0
    safe = code("y[floor_divide(i, u32(768))] = x[remainder(i, u32(768))]")
    assert len(safe) <= len(literal)
    unknown = code("y[floor_divide(i, n)] = x[remainder(i, n)]")
    assert count(unknown, "CALL") == 0 and len(unknown) <= 40


@compiles
@pytest.mark.cuda_compile
@pytest.mark.parametrize("kind", ["f32", "f64", *INTEGERS])
def test_shuffles(kind: str) -> None:
    words = max(1, BY_NAME[kind].size // 4)
    body = """v = shuffle_xor(x[i], 1)
v = shuffle_down(v, u32(2))
v = shuffle_up(v, 3)
y[i] = shuffle(v, u32(4))"""
    found = code(body, (f"{kind}*", f"{kind}*", "u32"))
    for mode in ("BFLY", "DOWN", "UP", "IDX"):
        assert count(found, rf"SHFL\.{mode}") == words


@compiles
@pytest.mark.cuda_compile
def test_a_bool_is_shuffled() -> None:
    found = code("y[i] = shuffle_xor(x[i] > f32(0), 1)", ("f32*", "u8*", "u32"))
    assert count(found, "SHFL") == 1


TENSOR = """s = cuda.shared.array(512, u16, 16)
a = shared_address(s)
l = u32(cuda.threadIdx.x)
cp_async16(u32(a + u32(l * u32(16))), x, u32(l * u32(8)))
cp_async16_or_zero(u32(a + u32(512)), x, u32(l * u32(8)), u32(8))
cp_async_commit()
cp_async_wait(0)
cuda.syncwarp()
p = ldmatrix_x4(u32(a + u32(l * u32(16))))
q = ldmatrix_x4_trans(u32(a + u32(l * u32(16))))
d = (f32(0), f32(0), f32(0), f32(0))
d = mma_bf16(p, (q[0], q[1]), d)
d = mma_f16(p, (q[2], q[3]), d)
d = mma_tf32(p, (to_tf32(d[0]), q[3]), d)
store4(y, u32(l * u32(4)), d)"""


@compiles
@pytest.mark.cuda_compile
def test_copies_and_tensor_cores() -> None:
    found = code(TENSOR, ("u16*", "f32*", "u32"))
    assert count(found, r"LDGSTS.*128") == 2 and count(found, r"LDGSTS.*ZFILL") == 1
    assert count(found, r"LDSM") == 2
    assert count(found, r"HMMA\.16816\.F32\.BF16") == 1 and count(found, r"HMMA\.16816\.F32$") == 1
    assert count(found, r"HMMA\.1688\.F32\.TF32") == 1


@compiles
@pytest.mark.cuda_compile
def test_shared_and_local_arrays() -> None:
    shared = code("""s = cuda.shared.array((32, 33), f32)
d = dynamic_shared(f32)
t = u32(cuda.threadIdx.x)
s[u32(t & u32(31)), u32(t >> u32(5))] = x[i]
d[t] = x[i]
cuda.syncthreads()
y[i] = s[u32(t >> u32(5)), u32(t & u32(31))] + d[u32(t ^ u32(1))]""")
    assert count(shared, "STS") == count(shared, "LDS") == 2 and count(shared, "BAR") == 1
    local = code("""r = cuda.local.array(8, f32)
for j in range(8):
    r[j] = x[u32(i + u32(j))]
for j in range(8):
    y[u32(i + u32(j))] = r[7 - j] * f32(2)""")
    assert count(local, LOCAL) == 0 and count(local, "STG") == 8


@compiles
@pytest.mark.cuda_compile
def test_indices_are_checked_and_bits_are_random() -> None:
    found = code(
        "y[i] = x[check_index(z[i], i64(n), status)]",
        ("f32*", "f32*", "i32*", "u32", "i64*"),
        "x, y, z, n, status",
    )
    assert count(found, r"ATOMG.*CAS") == 1 and count(found, "CALL") == 0
    bits = code("y[i] = random_bits(u64(7), u64(n), i64(i))", ("f32*", "u32*", "u32"))
    assert count(bits, "CALL|LD[^CG]") == 0


@compiles
@pytest.mark.cuda_compile
def test_names_are_those_of_the_simulator() -> None:
    from graphc.codegen.cuda.toolchain.namespace import NAMESPACE

    assert set(NAMESPACE) == simulate.names()
    scalars = {n for n in emulate.NAMESPACE if n in NAMESPACE}
    assert {*emulate_scalars.TYPES, *FUNCTIONS} <= scalars


@compiles
@pytest.mark.cuda_compile
def test_code_is_kept_under_its_symbol(tmp_path: Path) -> None:
    given = source("y[i] = x[i]")
    symbol, data = cubin.cubin(given, HOPPER, Cache(tmp_path))
    assert symbol == cubin.symbol_of(given, HOPPER) and f".text.{symbol}".encode() in data
    assert b"NumbaEnv" not in data
    assert Cache(tmp_path).read(symbol) == data
    assert cubin.symbol_of(given, (8, 0)) != symbol
    warm = (
        f"import sys\nfrom pathlib import Path\n"
        f"from graphc.codegen.cuda.toolchain import cubin\nfrom graphc.codegen.cache import Cache\n"
        f"from graphc.codegen.device_source import DeviceSource\n"
        f"s = DeviceSource({given.text!r}, {given.parameters!r})\n"
        "from graphc.codegen.cache import Built\n"
        "from graphc.config import Options\n"
        f"cache, built = Cache(Path({str(tmp_path)!r})), Built()\n"
        "cubin.prepare([s], (9, 0), cache, Options(), built)\n"
        "assert (built.compilations, built.cache_hits) == (0, 1)\n"
        "name, data = cubin.cubin(s, (9, 0), cache)\n"
        "assert not [m for m in sys.modules if m.split('.')[0] in ('numba', 'cuda')]\n"
        "print(name, len(data))"
    )
    done = subprocess.run([sys.executable, "-c", warm], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [symbol, str(len(data))]


def options(cache: Path) -> Options:
    return Options(cache_dir=cache, threads=2, progress=True)


@compiles
@pytest.mark.cuda_compile
def test_many_are_compiled_by_helpers_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cubin, "MIN_KERNELS_FOR_WORKERS", 2)
    monkeypatch.setattr(workers, "SHOW_AFTER_SECONDS", 0.0)
    given = [source(f"y[i] = x[i] + f32({k})") for k in range(6)]
    built = Built()
    cubin.prepare([*given, given[0]], HOPPER, Cache(tmp_path), options(tmp_path), built)
    assert (built.compilations, built.cache_hits) == (6, 0)
    assert "graphc: compiled 6 of 6 kernels in" in capsys.readouterr().err
    for s in given:
        symbol = cubin.symbol_of(s, HOPPER)
        data = Cache(tmp_path).read(symbol)
        assert data is not None and data == cubin.compile_kernel(s, HOPPER)
    more = [*given, source("y[i] = x[i]")]
    cubin.prepare(more, HOPPER, Cache(tmp_path), options(tmp_path), built)
    assert (built.compilations, built.cache_hits) == (7, 6)


@compiles
@pytest.mark.cuda_compile
def test_a_helper_answers_with_code() -> None:
    given = source("y[i] = x[i]")
    words = (given.text, given.parameters, given.threads, given.resident, HOPPER)
    done = subprocess.run(
        [sys.executable, "-c", "from graphc.codegen.cuda.toolchain import cubin; cubin.serve()"],
        input=json.dumps(words) + "\n",
        capture_output=True,
        text=True,
        check=True,
    )
    ready, code = done.stdout.split()
    assert ready == "ready" and bytes.fromhex(code) == cubin.compile_kernel(given, HOPPER)


@compiles
@pytest.mark.cuda_compile
def test_what_a_helper_cannot_compile_is_an_error_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cubin, "MIN_KERNELS_FOR_WORKERS", 2)
    given = [source(f"y[i] = no_such_function({k})") for k in range(4)]
    with pytest.raises(CodegenError, match="no_such_function"):
        cubin.prepare(given, HOPPER, Cache(tmp_path), options(tmp_path), Built())


@pytest.mark.filterwarnings("ignore:graphc. cannot write the kernel cache")
def test_where_nothing_can_be_kept_it_is_compiled_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    seen: list[str] = []

    def compile_words(text: str, *others: object) -> bytes:
        seen.append(text)
        return text.encode()

    monkeypatch.setattr(cubin, "_compile_words", compile_words)
    monkeypatch.setattr(cubin, "fingerprint", bytes)
    cache, given = Held(tmp_path / "file"), source("y[i] = x[i]")
    cubin.prepare([given], HOPPER, cache, options(tmp_path), Built())
    assert cubin.cubin(given, HOPPER, cache)[1] == given.text.encode() and seen == [given.text]


@compiles
@pytest.mark.cuda_compile
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("y[i] = nothing(x[i])", "nothing"),
        ("store4(y, i, (f32(0),))", "sm_90"),
    ],
)
def test_what_does_not_compile_is_shown(body: str, message: str) -> None:
    with pytest.raises(CodegenError, match=message) as error:
        cubin.compile_kernel(source(body), HOPPER)
    assert body in str(error.value)


@compiles
@pytest.mark.cuda_compile
@pytest.mark.parametrize("capability", [(8, 0), (8, 9), (10, 0), (12, 0)])
def test_other_gpus(capability: tuple[int, int]) -> None:
    for given in (
        source(TENSOR, ("u16*", "f32*", "u32")),
        source("y[i] = maximum(tanh(x[i]) + round_bf16(shuffle_xor(x[i], 1)), f32(0))"),
    ):
        assert cubin.compile_kernel(given, capability)


@compiles
@pytest.mark.cuda_compile
def test_old_gpus_are_refused() -> None:
    with pytest.raises(DeviceError, match=r"7\.5 are too old: graphc needs 8\.0"):
        cubin.compile_kernel(source("y[i] = x[i]"), (7, 5))


@pytest.mark.parametrize(
    ("versions", "message"),
    [
        ({}, "needs numba-cuda>=0.30.4,<0.31, which is not installed"),
        ({"numba-cuda": "0.29.0"}, "but 0.29.0 is installed"),
        ({"numba-cuda": "0.31.0"}, "but 0.31.0 is installed"),
        (
            {"numba-cuda": "0.30.4", "cuda-core": "1.2.2", "nvidia-nvvm": "12.9.86"},
            "needs nvidia-nvvm>=13,<14, but 12.9.86 is installed",
        ),
    ],
)
def test_the_toolchain_is_asked_for(
    versions: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(package: str) -> str:
        if package not in versions:
            raise metadata.PackageNotFoundError(package)
        return versions[package]

    monkeypatch.setattr(metadata, "version", version)
    with pytest.raises(DeviceError, match=re.escape(message)) as error:
        cubin.require()
    assert "pip install 'graphc[cuda13]'" in str(error.value)


def test_graphc_does_not_load_the_toolchain() -> None:
    asked = (
        "import sys, graphc, graphc.codegen.cuda.toolchain.cubin\n"
        "import graphc.codegen.cuda.simulator.simulate\n"
        "names = ('numba_cuda', 'cuda', 'numba', 'greenlet')\n"
        "print([m for m in sys.modules if m.split('.')[0] in names])"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
