"""NVIDIA GPUs as a target: what they cannot compute, the passes that fit graphs to them, the source
of their kernels.

The simulator `cuda:sim` is a device of this target and runs the same texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from graphc.codegen.cuda.kernels import HAND_WRITTEN, device_sources, epilogue_sources, tiling_of
from graphc.codegen.cuda.source import copying, guarded
from graphc.codegen.cuda.tensorcores.tiling import Tiling
from graphc.codegen.cuda.toolchain import cubin
from graphc.codegen.device_source import DeviceSource
from graphc.codegen.target import DumpStage, beyond_devices
from graphc.errors import CodegenError
from graphc.ir import dim
from graphc.ir.graph import Value
from graphc.ir.ops.conv import Convolution, ConvolutionInput
from graphc.ir.ops.matmul import Matmul
from graphc.ir.program import Kernel, Kind
from graphc.passes.base import GraphPass
from graphc.passes.graph.cleanup import Cleanup
from graphc.passes.graph.cut_folds import CutFolds

CONTRACTION_KINDS = (Kind.MATMUL, Kind.CONVOLUTION)


@dataclass(frozen=True)
class CudaTarget:
    """GPUs of one compute capability; devices replace it by their own."""

    kind: str = "cuda"
    capability: tuple[int, int] = (9, 0)  # H100
    folds: CutFolds = field(default_factory=CutFolds)

    # -- for passes

    @property
    def late(self) -> tuple[GraphPass, ...]:
        """Tensor cores take f16 and bf16 as they are, so nothing is widened."""
        return self.folds, Cleanup()

    def cannot(self, v: Value) -> str:
        """Why a GPU cannot compute v; "" if it can."""
        return beyond_devices(v, tuple(HAND_WRITTEN), self.cannot)

    def takes_epilogue(self, v: Value) -> bool:
        """Tensor cores apply the epilogue while sums are in shared memory; elsewhere, the epilogue
        is a launch of its own over the same buffers."""
        return v.type.dtype.is_float and isinstance(v.op, Convolution | ConvolutionInput | Matmul)

    # -- for people

    @property
    def stages(self) -> tuple[DumpStage, ...]:
        """The texts of kernels, and the PTX that NVIDIA's compiler makes of them."""
        return (
            DumpStage("kernels", "py", "#", _readable),
            DumpStage("ptx", "ptx", "//", self._ptx),
        )

    def _ptx(self, kernel: Kernel, over: Mapping[int, int]) -> str:
        texts = (cubin.ptx(s, self.capability) for s in device_sources(kernel, over))
        return "\n".join(text.rstrip() for text in texts)

    def schedule(self, kernel: Kernel) -> str:
        """How threads share a kernel: `rows by warp, 256 threads a block`."""
        try:
            sources = device_sources(kernel)
        except CodegenError as error:
            return f"none: {error}"
        shown = (
            f"{s.schedule}, {'x'.join(str(n) for n in s.threads if n > 1) or 1} threads a block"
            for s in sources
        )
        return "; then ".join(shown)

    # -- for devices

    def variant(self, kernel: Kernel, sizes: Mapping[str, int], fast_math: bool) -> Tiling | None:
        """How tensor cores share a kernel's contraction at these sizes."""
        return tiling_of(kernel, sizes, fast_math)

    def awaits_sizes(self, kernel: Kernel) -> bool:
        """Whether a kernel's text depends on a run's sizes: these decide how a contraction of
        symbolic sizes is tiled."""
        return kernel.kind in CONTRACTION_KINDS and any(
            dim.symbols(n) for v in (*kernel.reads, *kernel.writes) for n in v.type.shape
        )

    def sources(
        self,
        kernel: Kernel,
        over: Mapping[int, int],
        wide: bool,
        sizes: Mapping[str, int],
        fast_math: bool,
    ) -> tuple[DeviceSource, ...]:
        """The launches of a kernel.  Raises `CodegenError` for what a GPU cannot compute."""
        return device_sources(kernel, over, wide, tiling=self.variant(kernel, sizes, fast_math))

    def epilogue(self, kernel: Kernel, wide: bool) -> tuple[DeviceSource, ...]:
        """The launches of what follows a product that cublasLt has made."""
        return epilogue_sources(kernel, wide)

    def guarded(self, source: DeviceSource) -> DeviceSource:
        """The kernel, made to do nothing once a run has failed."""
        return guarded(source)

    def copying(self, nbytes: int) -> DeviceSource:
        """A kernel that copies `nbytes` bytes."""
        return copying(nbytes)


def _readable(kernel: Kernel, over: Mapping[int, int]) -> str:
    sources = device_sources(kernel, over, readable=True)
    return "\n\n".join(f"# {launch(s)}\n{s.text.rstrip()}" for s in sources)


def launch(source: DeviceSource) -> str:
    """One line on how a kernel is launched: `rows by warp: blocks (n+7)//8, threads 256`."""
    blocks, threads = (
        " x ".join(str(n) for n in counts if n != 1) or "1"
        for counts in (source.grid, source.threads)
    )
    shared = f", {source.shared} bytes of shared memory" if source.shared else ""
    return f"{source.schedule}: blocks {blocks}, threads {threads}{shared}"


CUDA = CudaTarget()
