"""The simulator: what it computes, and that it finds the faults planted here."""

from __future__ import annotations

import builtins
import sys
from typing import Any

import numpy as np
import pytest

from graphc.codegen.cpu import emulate, emulate_scalars, emulate_tiles
from graphc.codegen.cuda.simulator import simulate as simt
from graphc.codegen.cuda.simulator.scalars import SCALARS, to_tf32
from graphc.codegen.cuda.simulator.simulate import SimulatorError, simulate
from graphc.codegen.device_source import DeviceSource
from graphc.codegen.mathlib.function_table import FUNCTIONS
from graphc.errors import DeviceError

pytest.importorskip("greenlet", reason="the simulator's threads are greenlets")
F32 = ("f32*", "f32*")
AT = "t = u32(cuda.threadIdx.x)"
EVERYWHERE = "t = u32(u32(u32(cuda.blockIdx.x) * u32(cuda.blockDim.x)) + u32(cuda.threadIdx.x))"


def text(body: str, parameters: str = "x, y") -> str:
    """A kernel of these lines."""
    return f"def kernel({parameters}):\n" + "".join(f"    {line}\n" for line in body.splitlines())


def run(
    body: str,
    *arguments: Any,
    types: tuple[str, ...] = F32,
    parameters: str = "x, y",
    threads: int = 64,
    blocks: int = 1,
    shared: int = 0,
) -> None:
    """Runs these lines on a one-dimensional grid."""
    source = DeviceSource(text(body, parameters), types, threads=(threads, 1, 1))
    simulate(source, (blocks, 1, 1), shared, arguments)


def result(body: str, x: Any, count: int, dtype: Any = np.float32, **options: Any) -> Any:
    """What these lines store through y."""
    y = np.zeros(count, dtype)
    run(body, np.ascontiguousarray(x), y, **options)
    return y


def normal(*shape: int) -> Any:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


FAULTS = {
    "above": (f"{AT}\ny[t] = x[t + u32(960) + u32(1)]", "out of bounds at argument 0"),
    "below": ("y[cuda.threadIdx.x - 1] = x[0]", r"out of bounds at argument 1\[-1\]"),
    "vector above": (f"{AT}\nv = load4(x, u32(1022))", "out of bounds"),
    "misaligned store": (
        f"{AT}\nstore4(y, u32(u32(t * u32(4)) + u32(2)), (f32(0), f32(0), f32(0), f32(0)))",
        "misaligned",
    ),
    "misaligned load": (f"{AT}\nv = load2(x, u32(t + u32(1)))", "misaligned"),
    "shared read race": (
        f"s = cuda.shared.array(64, f32)\n{AT}\ns[t] = x[t]\nv = s[maximum(t, u32(1)) - u32(1)]",
        "reads what thread 0 of block 0 wrote in shared memory",
    ),
    "shared race": (
        f"s = cuda.shared.array(64, f32)\n{AT}\ns[t] = x[t]\ny[t] = s[u32(63) - t]",
        "writes what thread 31 of block 0 read in shared memory, byte 132",
    ),
    "shared write race": (
        f"s = cuda.shared.array(64, f32)\n{AT}\ns[t // u32(2)] = x[t]",
        "writes what thread 0 of block 0 wrote",
    ),
    "shared anti-dependence": (
        f"s = cuda.shared.array(64, f32)\n{AT}\ns[t] = x[t]\ncuda.syncthreads()\n"
        "v = s[(t + u32(1)) & u32(63)]\ns[t] = v",
        "writes what thread 0 of block 0 read",
    ),
    "no order by a shuffle": (
        f"s = cuda.shared.array(64, f32)\n{AT}\ns[t] = x[t]\nv = shuffle_xor(x[t], 1)\n"
        "y[t] = s[t ^ u32(1)]",
        "a race",
    ),
    "shared above": (
        f"s = cuda.shared.array((8, 9), f32)\n{AT}\ns[u32(0), t] = x[t]",
        r"out of bounds at \(0, 9\) of a shared array of shape \(8, 9\)",
    ),
    "shared rank": ("s = cuda.shared.array((8, 9), f32)\nv = s[3]", "by 1 numbers"),
    "local above": ("r = cuda.local.array(4, f32)\nr[4] = f32(0)", "of a local array"),
    "divergent barrier": (
        f"{AT}\nif t < u32(40):\n    cuda.syncthreads()\ny[t] = f32(1)",
        "divergent",
    ),
    "two barriers": (
        f"{AT}\nif t < u32(32):\n    cuda.syncthreads()\nelse:\n    cuda.syncthreads()",
        r"in lines \[4, 6\]: it is divergent",
    ),
    "divergent shuffle": (
        f"{AT}\nv = x[t]\nif t < u32(16):\n    v = v + shuffle_down(v, 8)\ny[t] = v",
        "shuffle_down in line 5, where not all 32 of its warp are: it is divergent",
    ),
    "global write race": (f"{AT}\ny[t // u32(2)] = x[t]", "writes what thread 0 of block 0 wrote"),
    "global read race": (f"{AT}\ny[t] = x[t]\nv = y[t ^ u32(1)]", "at argument 1"),
    "global anti-dependence": (
        f"{AT}\nv = y[(t + u32(1)) & u32(63)]\ny[t] = v",
        "writes what thread 0 of block 0 read",
    ),
    "constant load of what is written": (
        f"{AT}\ny[t] = x[t]\nv = load(y, t)",
        "as constant: use read",
    ),
    "copy misaligned": (
        f"s = dynamic_shared(f32)\n{AT}\ncp_async16(shared_address(s), x, t)",
        "multiple of 16",
    ),
    "copy to a misaligned place": (
        "s = cuda.shared.array(64, f32)\ncp_async16(shared_address(s), x, u32(0))",
        "misaligned in shared memory",
    ),
    "copy out of shared memory": (
        "cp_async16(u32(49152 + 4096), x, u32(0))",
        "out of bounds of shared memory",
    ),
    "copy over what is read": (
        f"s = dynamic_shared(f32)\n{AT}\nv = s[t]\n"
        "cp_async16(u32(shared_address(s) + u32(u32(t % u32(16)) * u32(16))), x, u32(0))",
        "a race",
    ),
    "too many values": (f"{AT}\nstore2(y, u32(0), (f32(0),))", "by store2"),
    "too much shared memory": ("s = cuda.shared.array(13000, f32)", "52004 bytes"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_found(name: str) -> None:
    body, message = FAULTS[name]
    with pytest.raises(SimulatorError, match=message):
        run(body, np.ones(1024, np.float32), np.zeros(1024, np.float32), shared=4096)


def test_an_error_names_thread_block_and_line() -> None:
    with pytest.raises(SimulatorError) as error:
        run(
            f"{EVERYWHERE}\ny[t] = x[t]",
            np.ones(100, np.float32),
            np.ones(128, np.float32),
            blocks=2,
        )
    assert str(error.value) == (
        "thread (36, 0, 0) of block (1, 0, 0) is out of bounds at argument 0[100] of 100\n"
        "  line 3: y[t] = x[t]"
    )


@pytest.mark.parametrize(
    "body",
    [
        "s = cuda.shared.array(64, f32)\ny[t] = s[t]",
        "s = dynamic_shared(f32)\ny[t] = s[t]",
        "s = dynamic_shared(u16)\ny[t] = from_f16(s[t])",
        "s = dynamic_shared(u16)\ny[t] = from_bf16(s[t])",
        "r = cuda.local.array(8, f32)\ny[t] = r[3]",
    ],
)
def test_memory_that_nothing_wrote_is_nan(body: str) -> None:
    assert np.isnan(result(f"{AT}\n{body}", normal(64), 64, shared=256)).all()


def test_copies_land_when_they_are_waited_for() -> None:
    body = """s = dynamic_shared(f32)
t = u32(cuda.threadIdx.x)
a = u32(shared_address(s) + u32(t * u32(16)))
cp_async16(a, x, u32(t * u32(4)))
cp_async_commit()
cp_async16_or_zero(u32(a + u32(1024)), x, u32(t * u32(4)), u32(8))
cp_async_commit()
cp_async_wait(WAIT)
cuda.syncthreads()
k = u32(u32(t ^ u32(1)) * u32(4))
store4(y, k, (s[k], s[k + 256], s[k + 258], s[k + 3]))"""
    x = normal(256)
    done = result(body.replace("WAIT", "0"), x, 256, shared=2048).reshape(64, 4)
    rows = x.reshape(64, 4)
    want = np.stack([rows[:, 0], rows[:, 0], 0 * rows[:, 2], rows[:, 3]], 1)
    assert np.array_equal(done, want)
    early = result(body.replace("WAIT", "1"), x, 256, shared=2048).reshape(64, 4)
    assert np.array_equal(early[:, 0], want[:, 0]) and np.isnan(early[:, 1:3]).all()


def test_a_barrier_orders_a_block_only() -> None:
    body = f"{EVERYWHERE}\ny[t] = x[t]\ncuda.syncthreads()\nv = y[t ^ u32(MASK)]\n"
    x = normal(128)
    run(
        body.replace("MASK", "1") + "cuda.syncthreads()\ny[t] = v",
        x,
        y := np.zeros_like(x),
        blocks=2,
    )
    assert np.array_equal(y, x.reshape(64, 2)[:, ::-1].reshape(-1))
    with pytest.raises(SimulatorError, match="writes what thread 0 of block 0 read"):
        run(body.replace("MASK", "64"), x, np.zeros_like(x), blocks=2)


def test_a_warp_barrier_orders_a_warp_only() -> None:
    body = (
        "s = cuda.shared.array(64, f32)\n"
        + AT
        + ("\ns[t] = x[t]\ncuda.syncwarp()\ny[t] = s[t ^ u32(MASK)]")
    )
    x = normal(64)
    assert np.array_equal(
        result(body.replace("MASK", "1"), x, 64).reshape(32, 2)[:, ::-1], x.reshape(32, 2)
    )
    with pytest.raises(SimulatorError, match="a race"):
        result(body.replace("MASK", "32"), x, 64)


def test_buffers_that_overlap_are_one_memory() -> None:
    x = normal(64)
    run(f"{AT}\ny[t] = x[t] * f32(2)", x, x)
    assert np.array_equal(x, normal(64) * 2)
    with pytest.raises(SimulatorError, match="at argument 0"):
        run(f"{AT}\ny[t] = x[t ^ u32(1)]", x, x)


def test_partial_warps_do_not_shuffle() -> None:
    with pytest.raises(SimulatorError, match="divergent"):
        run("v = shuffle_xor(x[0], 1)", normal(1), normal(1), threads=48)


def test_shuffles() -> None:
    lanes = np.arange(32)
    for call, source in {
        "shuffle_xor(v, 5)": lanes ^ 5,
        "shuffle_down(v, u32(3))": np.where(lanes + 3 < 32, lanes + 3, lanes),
        "shuffle_up(v, 2)": np.where(lanes - 2 >= 0, lanes - 2, lanes),
        "shuffle(v, u32(9))": np.full(32, 9),
    }.items():
        got = result(f"{AT}\nv = x[t]\ny[t] = {call}", lanes.astype(np.float32), 32, threads=32)
        assert np.array_equal(got, source), call


SOFTMAX = """w = cuda.shared.array(2, f32)
t = u32(cuda.threadIdx.x)
k = u32(u32(u32(cuda.blockIdx.x) * u32(256)) + u32(t * u32(4)))
a = load4(x, k)
m = maximum(maximum(a[0], a[1]), maximum(a[2], a[3]))
for d in (16, 8, 4, 2, 1):
    m = maximum(m, shuffle_xor(m, d))
if u32(t & u32(31)) == u32(0):
    w[u32(t >> u32(5))] = m
cuda.syncthreads()
m = maximum(w[0], w[1])
e = exp(a[0] - m), exp(a[1] - m), exp(a[2] - m), exp(a[3] - m)
s = e[0] + e[1] + e[2] + e[3]
for d in (16, 8, 4, 2, 1):
    s = s + shuffle_xor(s, d)
cuda.syncthreads()
if u32(t & u32(31)) == u32(0):
    w[u32(t >> u32(5))] = s
cuda.syncthreads()
s = w[0] + w[1]
store4(y, k, (e[0] / s, e[1] / s, e[2] / s, e[3] / s))"""


def test_a_softmax_of_rows() -> None:
    x = normal(3, 256)
    e = np.exp(x - x.max(1, keepdims=True))
    got = result(SOFTMAX, x.reshape(-1), x.size, blocks=3).reshape(x.shape)
    assert np.allclose(got, e / e.sum(1, keepdims=True), rtol=1e-5)


def test_a_transpose_in_two_dimensions() -> None:
    body = """s = cuda.shared.array((32, 33), f32)
tx, ty = u32(cuda.threadIdx.x), u32(cuda.threadIdx.y)
c, r = u32(u32(cuda.blockIdx.x) * u32(32)) + tx, u32(u32(cuda.blockIdx.y) * u32(32)) + ty
for j in range(0, 32, 8):
    if c < columns and r + u32(j) < rows:
        s[ty + u32(j), tx] = load(x, u32(u32((r + u32(j)) * columns) + c))
cuda.syncthreads()
c, r = u32(u32(cuda.blockIdx.y) * u32(32)) + tx, u32(u32(cuda.blockIdx.x) * u32(32)) + ty
for j in range(0, 32, 8):
    if c < rows and r + u32(j) < columns:
        y[u32(u32((r + u32(j)) * rows) + c)] = s[tx, ty + u32(j)]"""
    x = normal(70, 45)
    y = np.zeros(x.size, np.float32)
    source = DeviceSource(
        text(body, "x, y, rows, columns"), (*F32, "u32", "u32"), threads=(32, 8, 1)
    )
    simulate(source, (2, 3, 1), 0, [x.reshape(-1), y, 70, 45])
    assert np.array_equal(y.reshape(45, 70), x.T)


PRODUCT = """s = cuda.shared.array(512, u16, 16)
a = shared_address(s)
l = u32(cuda.threadIdx.x)
cp_async16(u32(a + u32(l * u32(16))), x, u32(l * u32(8)))
cp_async16(u32(a + u32(u32(l * u32(16)) + u32(512))), x, u32(u32(l * u32(8)) + u32(256)))
cp_async_commit()
cp_async_wait(0)
cuda.syncwarp()
row = u32(u32(u32(l & u32(15)) * u32(32)) + u32(u32(l >> u32(4)) * u32(16)))
p = ldmatrix_x4(u32(a + row))
q = ldmatrix_x4_trans(u32(a + u32(row + u32(512))))
z = (f32(0), f32(0), f32(0), f32(0))
d = MMA(p, (q[0], q[1]), z)
e = MMA(p, (q[2], q[3]), z)
g = u32(u32(u32(l >> u32(2)) * u32(16)) + u32(u32(l & u32(3)) * u32(2)))
store2(y, g, (d[0], d[1]))
store2(y, u32(g + u32(128)), (d[2], d[3]))
store2(y, u32(g + u32(8)), (e[0], e[1]))
store2(y, u32(g + u32(136)), (e[2], e[3]))"""


@pytest.mark.parametrize("name", ["mma_bf16", "mma_f16"])
def test_a_product_of_matrices(name: str) -> None:
    narrow = {"mma_bf16": SCALARS["to_bf16"], "mma_f16": lambda v: np.float16(v).view(np.uint16)}[
        name
    ]
    wide = {"mma_bf16": SCALARS["from_bf16"], "mma_f16": lambda b: np.float32(b.view(np.float16))}[
        name
    ]
    bits = np.array([narrow(v) for v in normal(512)], np.uint16)
    a, b = np.array([wide(v) for v in bits], np.float32).reshape(2, 16, 16)
    got = result(PRODUCT.replace("MMA", name), bits, 256, threads=32, types=("u16*", "f32*"))
    assert np.allclose(got.reshape(16, 16), a @ b, atol=1e-5)


def test_a_product_in_tf32() -> None:
    body = """l = u32(cuda.threadIdx.x)
g, t = u32(l >> u32(2)), u32(l & u32(3))
r = u32(u32(g * u32(8)) + t)
p = (to_tf32(x[r]), to_tf32(x[r + 64]), to_tf32(x[r + 4]), to_tf32(x[r + 68]))
q = (to_tf32(x[u32(u32(t * u32(8)) + g) + 128]), to_tf32(x[u32(u32(t * u32(8)) + g) + 160]))
d = mma_tf32(p, q, (f32(1), f32(1), f32(1), f32(1)))
o = u32(u32(g * u32(8)) + u32(t * u32(2)))
store2(y, o, (d[0], d[1]))
store2(y, o + 64, (d[2], d[3]))"""
    x = normal(192)
    rounded = np.array([to_tf32(v) for v in x], np.uint32).view(np.float32)
    a, b = rounded[:128].reshape(16, 8), rounded[128:].reshape(8, 8)
    got = result(body, x, 128, threads=32).reshape(16, 8)
    assert np.allclose(got, a @ b + 1, atol=1e-5) and not np.allclose(rounded, x, rtol=1e-5)


@pytest.mark.parametrize("count", [2, 4, 8])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.int64])
def test_vectors(count: int, dtype: Any) -> None:
    name = f"{np.dtype(dtype).kind.replace('b', 'u')}{np.dtype(dtype).itemsize * 8}"
    x = np.arange(32 * count).astype(dtype)
    for kind in ("load", "read"):
        body = f"{AT}\nstore{count}(y, t * u32({count}), {kind}{count}(x, t * u32({count})))"
        got = result(body, x, x.size, dtype, threads=32, types=(name + "*",) * 2)
        assert np.array_equal(got, x)


def test_the_first_bad_index_is_noted() -> None:
    x, y, z = normal(8), np.zeros(4, np.float32), np.array([-8, 7, 8, -9], np.int32)
    status = np.zeros(3, np.int64)
    body = f"{AT}\ny[t] = x[check_index(z[t], i64(8), status)]"
    run(
        body, x, y, z, status, types=(*F32, "i32*", "i64*"), parameters="x, y, z, status", threads=4
    )
    assert status.tolist() == [1, 8, 8]
    assert np.array_equal(y, x[[0, 7, 0, 0]])


def test_unsigned_arithmetic_wraps() -> None:
    body = "y[0] = u32(u32(n - u32(5)) * n)\ny[1] = u32(i64(-1))\ny[2] = u32(n << u32(31))"
    y = np.zeros(3, np.uint32)
    run(body, y, 3, types=("u32*", "u32"), parameters="y, n", threads=1)
    assert y.tolist() == [2**32 - 6, 2**32 - 1, 2**31]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros(4, np.float32),), "takes 2 arguments, got 1"),
        ((np.zeros((2, 2), np.float32), np.zeros(4, np.float32)), "one of 2 dimensions"),
        ((np.zeros(4), np.zeros(4, np.float32)), "of float32, got one of 1 dimensions of float64"),
        ((3, np.zeros(4, np.float32)), "got int"),
    ],
)
def test_arguments_that_do_not_fit(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(SimulatorError, match=message):
        run("y[0] = x[0]", *arguments)


def test_too_much_dynamic_shared_memory() -> None:
    with pytest.raises(SimulatorError, match="wants 300000 bytes"):
        run("y[0] = x[0]", normal(1), normal(1), shared=300000)


def test_without_greenlet_only_kernels_whose_threads_meet_fail(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "greenlet":
            raise ImportError(name)
        return load(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    run("y[cuda.threadIdx.x] = x[0]", normal(1), normal(64))
    with pytest.raises(DeviceError, match=r"pip install 'graphc\[sim\]'"):
        run("cuda.syncthreads()", normal(1), normal(64))


SPECIAL = [0.0, -0.0, 1.5, -2.25, np.inf, -np.inf, np.nan, 1e-40, 3e9, -3e9]


@pytest.mark.parametrize(
    "name",
    sorted(
        set(SCALARS)
        & set(emulate.NAMESPACE)
        & {*FUNCTIONS, *(n for n in SCALARS if n.startswith("cast_"))}
    ),
)
def test_scalars_are_the_twins(name: str) -> None:
    count = FUNCTIONS[name].arity if name in FUNCTIONS else 1
    with np.errstate(all="ignore"):
        for dtype in (np.float32, np.float64):
            for value in SPECIAL:
                args = [dtype(value)] * count
                got, want = SCALARS[name](*args), emulate.NAMESPACE[name](*args)
                assert type(got) is type(want)
                assert np.allclose(got, want, rtol=1e-6, equal_nan=True, atol=1e-37), value


def test_random_bits_are_the_twins() -> None:
    for key, counter, position in ((0, 0, 0), (7, 5, 3), (2**64 - 1, 2**63 + 9, 2**40 + 1)):
        args = np.uint64(key), np.uint64(counter), np.int64(position)
        got, want = SCALARS["random_bits"](*args), emulate_scalars.random_bits(*args)
        assert got == want and type(got) is type(want)


def test_integer_types_are_the_twins() -> None:
    for name in emulate_scalars.TYPES:
        if name[0] != "f":
            for value in (0, -1, 127, 128, 2**31, 2**32 + 5, -(2**63), 2**64 - 1):
                got, want = SCALARS[name](value), emulate.NAMESPACE[name](value)
                assert got == want and type(got) is type(want)


HOST_ONLY = ("_buffer", "_scratch", "_stack", "_memory")


def test_every_scalar_that_the_cpu_has_is_there() -> None:
    """Tiles, scratch memory, calls of routines and the checks in checked builds are the CPU's own:
    the simulator checks all that a device does."""
    assert {n for n in emulate.NAMESPACE if not n.endswith(HOST_ONLY)} - simt.names() == {
        "cblas_gemm",
        "cblas_gemm_add",
        "call_python",
        "routine",
        "procedure",
        "acquire",
        "release",
        "at",
        *emulate_tiles.TILE_TWINS,
        *emulate.CHECK_TWINS,
    }


def test_threads_that_do_not_meet_cost_a_few_calls_each() -> None:
    """Neither greenlets nor tables are made for them: a block takes milliseconds."""
    x, calls = normal(4096), 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event == "call"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        body = f"{EVERYWHERE}\ny[t] = x[t] * f32(2) + f32(1)"
        got = result(body, x, 4096, threads=256, blocks=16)
    finally:
        sys.setprofile(before)
    assert calls < 20 * 4096
    assert np.array_equal(got, x * 2 + 1)
