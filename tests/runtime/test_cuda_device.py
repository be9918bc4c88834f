"""The GPU driver, with no GPU: every call must fit cuda-core's signatures (`support/cuda.py`).

None of this has run on a GPU; `make gpu-check` does.  What is missing on a machine is in
test_cuda_driver.py.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("cuda.core", reason="cuda-core is not installed: pip install 'graphc[cuda13]'")

from support.cuda import TOTAL, FakeCuda

from graphc.codegen.cache import Cache
from graphc.codegen.device_source import DeviceSource
from graphc.errors import DeviceError
from graphc.ir.dim import symbol
from graphc.ir.types import f32
from graphc.runtime.cuda import staging
from graphc.runtime.cuda.device import CudaDevice
from graphc.runtime.cuda.driver import toolkit
from graphc.runtime.cuda.shared_array import SharedArray
from graphc.runtime.device.array import device_array
from graphc.runtime.device.protocol import (
    Allocation,
    Call,
    CopyNode,
    Device,
    LaunchNode,
    MemorySpan,
)

F32 = np.dtype(np.float32)


def compiler(source: DeviceSource, capability: tuple[int, int], cache: Cache) -> tuple[str, bytes]:
    """A cubin is its source's text."""
    return "gc_1", source.text.encode()


def opened(tmp_path: Path, **given: Any) -> tuple[FakeCuda, CudaDevice]:
    cuda = FakeCuda(**given)
    return cuda, CudaDevice(0, Cache(tmp_path), cuda.toolkit(), compiler)


def whole(memory: Allocation) -> MemorySpan:
    return MemorySpan(memory, 0, memory.nbytes)


def at(address: int, count: int) -> np.ndarray[Any, Any]:
    """f32 elements of the fake's device memory."""
    return np.ctypeslib.as_array((ctypes.c_float * count).from_address(address))


def negate(config: Any, target: int, source: int, count: int) -> None:
    at(target, count)[...] = -at(source, count)


NEGATE = DeviceSource("negate", ("f32*", "f32*", "u32"), (4,))


def test_a_device_is_a_device_and_knows_its_card(tmp_path: Path) -> None:
    _, device = opened(tmp_path)
    as_device: Device = device  # mypy says whether it is one
    assert (as_device.name, device.spec.name, device.spec.capability) == (
        "cuda:0",
        "NVIDIA Fake",
        (9, 0),
    )
    assert device.spec.memory == TOTAL and device.spec.multiprocessors == 132
    assert device.spec.bandwidth == pytest.approx(4.917e12, rel=1e-3)


@pytest.mark.parametrize("count", [1, 5, 20_000, 200_001])
def test_arrays_go_there_and_back(
    tmp_path: Path, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "MAX_PIECE_BYTES", 1 << 16)  # so that large ones go in pieces
    _, device = opened(tmp_path)
    for seed in range(2):  # the second time through pieces that are kept
        array = np.random.default_rng(seed).standard_normal(count).astype(np.float32)
        there, second = device.allocate(array.nbytes), device.allocate(array.nbytes)
        device.copy(whole(there), array)
        device.copy(whole(second), whole(there))
        back = np.empty_like(array)
        device.copy(back, whole(second))
        assert np.array_equal(array, back)


def test_pinned_pieces_grow_and_are_kept(tmp_path: Path) -> None:
    _, device = opened(tmp_path)
    sizes = []
    for count in (10, 100, 100_000, 10):
        device.copy(whole(device.allocate(count)), np.zeros(count, np.uint8))
        sizes.append(device.staging.pieces[0].nbytes)
    assert sizes == [1 << 16, 1 << 16, 1 << 17, 1 << 17]


def test_an_empty_array_is_not_copied(tmp_path: Path) -> None:
    _, device = opened(tmp_path)
    empty = MemorySpan(device.allocate(0), 0, 0)
    device.copy(empty, np.zeros((0, 3), np.float32))
    device.copy(np.zeros((0, 3), np.float32), empty)
    device.copy(empty, empty)
    assert not device.staging.pieces


def test_a_launch_hands_over_words_of_the_right_width(tmp_path: Path) -> None:
    seen: list[tuple[Any, ...]] = []
    _, device = opened(
        tmp_path, kernels={b"k": lambda config, *words: seen.append((config, *words))}
    )
    source = DeviceSource("k", ("f32*", "u32", "u64", "i64", "i64*"), threads=(64, 2, 1))
    memory = device.allocate(256)
    device.launch(
        LaunchNode(
            device.load(source),
            (3, 2, 1),
            128,
            (whole(memory), 7, 1 << 40, -1, whole(memory).part(8, 24)),
        )
    )
    config, *words = seen[0]
    assert (config.grid, config.block, config.shmem_size) == ((3, 2, 1), (64, 2, 1), 128)
    assert words == [memory.address, 7, 1 << 40, (1 << 64) - 1, memory.address + 8]


def test_a_grid_of_no_blocks_is_not_launched(tmp_path: Path) -> None:
    _, device = opened(tmp_path)  # there is no kernel to call
    function = device.load(NEGATE)
    a = whole(device.allocate(16))
    none = LaunchNode(function, (0, 1, 1), 0, (a, a, 0))
    device.launch(none)
    device.graph([none, CopyNode(a.part(0, 0), a.part(0, 0), (0,)), none]).run()


def test_equal_sources_are_loaded_once(tmp_path: Path) -> None:
    cuda, device = opened(tmp_path)
    assert device.load(NEGATE) is device.load(DeviceSource("negate", NEGATE.parameters, (4,)))
    assert [entry[1] for entry in cuda.log].count("from_cubin") == 1


@pytest.mark.parametrize(
    "shared, expected",
    [
        (0, []),
        (48 << 10, []),
        (64 << 10, [231_424]),
        (symbol("n") * 4, [231_424]),
    ],
)
def test_much_shared_memory_is_asked_for(tmp_path: Path, shared: Any, expected: list[int]) -> None:
    cuda, device = opened(tmp_path)
    device.load(DeviceSource("k", (), shared=shared))
    assert [arguments[1] for arguments in cuda.attributes] == expected


def test_too_much_shared_memory_is_an_error(tmp_path: Path) -> None:
    _, device = opened(tmp_path)
    with pytest.raises(DeviceError, match=r"262,144 bytes of shared memory a block, NVIDIA Fake"):
        device.load(DeviceSource("k", (), shared=1 << 18))


def test_a_graph_has_the_real_edges_and_runs_again(tmp_path: Path) -> None:
    cuda, device = opened(tmp_path, kernels={b"negate": negate})
    a, b, c, d = (whole(device.allocate(16)) for _ in range(4))
    function = device.load(NEGATE)
    replay = device.graph(
        [
            LaunchNode(function, (1, 1, 1), 0, (b, a, 4)),
            CopyNode(c, a),
            LaunchNode(function, (1, 1, 1), 0, (d, c, 4), after=(0, 1)),
        ]
    )
    for first in (1.0, 5.0):
        device.copy(a, np.arange(first, first + 4, dtype=np.float32))
        replay.run()
        results = np.empty((2, 4), np.float32)
        device.copy(results[0], b)
        device.copy(results[1], d)
        assert np.array_equal(results, np.tile(-np.arange(first, first + 4), (2, 1)))
    kinds = [(name[:10], what) for name, what, *_ in cuda.log]
    assert ("KernelNode", "launch") in kinds  # the third hangs on the first ...
    assert ("AdjacencyS", "add") in kinds  # ... and on the second


def test_a_librarys_work_is_captured_and_embedded(tmp_path: Path) -> None:
    cuda, device = opened(tmp_path, kernels={b"negate": negate})
    a, b = whole(device.allocate(16)), whole(device.allocate(16))
    device.copy(a, np.ones(4, np.float32))

    def enqueue(stream: int) -> None:
        address, graph = cuda.capturing[-1]
        assert address == stream
        graph._node(set(), lambda: negate(None, b.address, a.address, 4), "launch")

    replay = device.graph(
        [
            Call(enqueue, (a,), (b,)),
            LaunchNode(device.load(NEGATE), (1, 1, 1), 0, (a, b, 4), after=(0,)),
        ]
    )
    assert cuda.capturing == []
    replay.run()
    assert at(b.address, 4).tolist() == [-1] * 4 and at(a.address, 4).tolist() == [1] * 4


def test_a_mark_is_an_event_on_the_stream(tmp_path: Path) -> None:
    cuda, device = opened(tmp_path)
    before = len(cuda.log)
    ticket = device.mark()
    said = [(name[:6], what) for name, what, *_ in cuda.log[before:]]
    assert said == [("Device", "set_current"), ("Device", "create_event"), ("Stream", "record")]
    ticket.wait()
    assert cuda.log[-1][1] == "sync" and cuda.log[-1][0].startswith("Event")


def test_no_memory_left_says_how_much_there_is(tmp_path: Path) -> None:
    _, device = opened(tmp_path, free=1000)
    with pytest.raises(
        DeviceError,
        match=r"cuda:0: out of memory: 4,096 bytes asked for, 1,000 of "
        r"1,073,741,824 free; make the batch smaller",
    ):
        device.allocate(4096)


def test_a_failing_kernel_is_a_device_error(tmp_path: Path) -> None:
    cuda, device = opened(tmp_path)

    def fail(*_: Any) -> None:
        raise cuda.error("CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access")

    cuda.kernels[b"negate"] = fail
    a = whole(device.allocate(16))
    launch = LaunchNode(device.load(NEGATE), (1, 1, 1), 0, (a, a, 4))
    replay = device.graph([launch])
    for run in (lambda: device.launch(launch), replay.run):
        with pytest.raises(DeviceError, match=r"cuda:0: .*ILLEGAL_ADDRESS.*start a new one"):
            run()


def test_an_old_card_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"NVIDIA Fake has compute capability 7\.5; graphc needs"):
        opened(tmp_path, capability=(7, 5))


# -- arrays of others


class Foreign:
    """Another library's array on the fake device."""

    def __init__(self, array: Any, **changes: Any) -> None:
        strides = tuple(s // array.itemsize for s in array.strides)
        self.view = {
            "ptr": array.ctypes.data,
            "shape": array.shape,
            "strides": strides,
            "dtype": array.dtype,
            "device_id": 0,
            "is_device_accessible": True,
            **changes,
        }


def test_an_array_is_adopted_without_a_copy(tmp_path: Path) -> None:
    cuda, device = opened(tmp_path)
    array = at(device.allocate(24).address, 6).reshape(2, 3)
    span, shape, dtype = device.adopt(Foreign(array))
    assert (span.address, span.nbytes, shape, dtype) == (array.ctypes.data, 24, (2, 3), "f32")
    _, what, _, named = cuda.log[-1]
    assert what == "from_any_interface" and named == {"stream_ptr": device.stream.handle}


def test_a_crooked_address_is_copied(tmp_path: Path) -> None:
    _, device = opened(tmp_path)
    array = at(device.allocate(24).address + 4, 5)
    array[:] = range(5)
    span, _, _ = device.adopt(Foreign(array))
    assert span.address % 16 == 0 and at(span.address, 5).tolist() == [0, 1, 2, 3, 4]


def test_arrays_that_cannot_be_adopted(tmp_path: Path) -> None:
    _, device = opened(tmp_path)
    array = at(device.allocate(24).address, 6).reshape(2, 3)
    with pytest.raises(DeviceError, match=r"shape \[3, 2\] has strides \[1, 3\]; make it contig"):
        device.adopt(Foreign(array.T))
    with pytest.raises(DeviceError, match=r"an array on cuda:1 was given; move it to cuda:0"):
        device.adopt(Foreign(array, device_id=1))
    with pytest.raises(DeviceError, match=r"an array on the host was given"):
        device.adopt(Foreign(array, device_id=-1, is_device_accessible=False))


def test_what_shares_no_memory_cannot_be_adopted(tmp_path: Path) -> None:
    cuda, device = opened(tmp_path)

    def foreign(obj: Any, stream_ptr: int) -> Any:
        raise BufferError("the object supports neither protocol")

    device.toolkit.core.utils.StridedMemoryView._answers["from_any_interface"] = foreign
    with pytest.raises(DeviceError, match="taking an array failed: the object supports neither"):
        device.adopt(object())
    assert cuda.log[-1][1] == "from_any_interface"


def test_rows_of_one_element_may_have_any_stride(tmp_path: Path) -> None:
    _, device = opened(tmp_path)
    array = at(device.allocate(16).address, 4).reshape(4, 1)
    assert device.adopt(Foreign(array, strides=(1, 77)))[1] == (4, 1)


def test_memory_is_exported_with_its_owner(tmp_path: Path) -> None:
    _, device = opened(tmp_path)
    span = whole(device.allocate(24)).part(8, 16)
    view = device.export(span, (2, 2), F32)
    assert (view.shape, view.dtype, view.buffer.handle) == ((2, 2), F32, span.address)
    assert view.buffer.owner is span.memory
    assert type(device_array(device, span, (2, 2), f32)) is SharedArray


# -- packages


def test_the_toolkit_is_there() -> None:
    tools = toolkit()
    assert issubclass(tools.error, Exception)
    assert {"GraphDefinition", "GraphBuilder"} <= set(dir(tools.graph))
    assert {"cuMemGetInfo", "cuKernelSetAttribute"} <= set(dir(tools.driver))


def test_importing_graphc_imports_nothing_of_cuda() -> None:
    code = (
        "import sys, graphc, graphc.runtime.cuda.device, graphc.runtime.cuda.cublas; "
        "print([m for m in sys.modules if m.startswith(('cuda', 'numba', 'nvmath'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", done.stdout
