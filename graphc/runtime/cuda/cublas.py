"""Matrix products by cublasLt, where its packages are installed (`graphc[cuda13-blas]`).

cublasLt's matrices are stored by columns.  A row-major matrix is its transpose stored by columns,
so C = A B is computed as C' = B' A': the operands change places, and no element moves.
Not yet run on a GPU: tested against the signatures of nvmath-python 1.0.
"""

from __future__ import annotations

import importlib
import weakref
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np

from graphc.errors import DeviceError
from graphc.ir.types import DType
from graphc.runtime.device.protocol import Call, Device, MemorySpan, allocated

PACKAGES = ("nvmath-python", "nvidia-cublas")
WORKSPACE_BYTES = 32 << 20  # cuBLAS's advice for Hopper
OPERAND_ALIGNMENT_BYTES = 16  # of operands' addresses
CUDA_R_16F = 2  # values of cudaDataType_t
CUDA_R_16BF = 14
CUDA_R_32F = 0
CUDA_R_64F = 1
CUBLAS_NOT_SUPPORTED = 15  # a value of cublasStatus_t
CUBLAS_COMPUTE_32F = 68  # values of cublasComputeType_t: f32 is multiplied as f32, not as TF32
CUBLAS_COMPUTE_64F = 70
CUBLAS_TYPES = {  # by element type: types of the elements, of the sum, of the scale
    "f32": (CUDA_R_32F, CUBLAS_COMPUTE_32F, CUDA_R_32F),
    "f64": (CUDA_R_64F, CUBLAS_COMPUTE_64F, CUDA_R_64F),
    "f16": (CUDA_R_16F, CUBLAS_COMPUTE_32F, CUDA_R_32F),
    "bf16": (CUDA_R_16BF, CUBLAS_COMPUTE_32F, CUDA_R_32F),
}


@dataclass(frozen=True)
class ProductSizes:
    """C[batch, m, n] = A[batch, m, k] B[batch, k, n], all row-major and contiguous.  With `ta`, A
    is stored as [k, m]; with `tb`, B as [n, k]."""

    m: int
    n: int
    k: int
    dtype: DType
    ta: bool = False
    tb: bool = False
    batch: int = 1


@dataclass(frozen=True)
class MatrixLayout:
    """A matrix by columns; `ld` elements lie between columns, `stride` between matrices."""

    rows: int
    columns: int
    ld: int

    @property
    def stride(self) -> int:
        return self.ld * self.columns


def stored(rows: int, columns: int) -> MatrixLayout:
    """The layout by columns of a row-major matrix, which is the transposed one."""
    return MatrixLayout(columns, rows, columns)


def library(device: Device) -> Library | None:
    """cublasLt for a device, which must be current, or None if its packages are not installed.
    Raises `DeviceError` if they are, but do not work."""
    for package in PACKAGES:
        try:
            metadata.version(package)
        except metadata.PackageNotFoundError:
            return None
    module = importlib.import_module("nvmath.bindings.cublasLt")
    try:
        handle = module.create()
    except (RuntimeError, module.cuBLASLtError) as error:
        raise DeviceError(
            f"cublasLt does not work: {error}; pip install 'graphc[cuda13-blas]', or uninstall "
            "nvmath-python, and graphc uses its own products"
        ) from error
    return Library(module, handle, device.name, allocated(device, WORKSPACE_BYTES))


class Library:
    """cublasLt on one device: `lt` is `nvmath.bindings.cublasLt`, `handle` its context.  All
    products share the workspace, so those that need it come one after another."""

    def __init__(self, lt: Any, handle: int, name: str, workspace: MemorySpan) -> None:
        self.lt, self.handle, self.name, self.workspace = lt, handle, name, workspace
        weakref.finalize(self, lt.destroy, handle)

    def plan(self, product: ProductSizes) -> ProductPlan | None:
        """The plan of a product that cublasLt estimates to be fastest; None if it has none."""
        plan = ProductPlan(self, product)
        return plan if plan.known else None

    def attribute(self, what: str, handle: int, kind: Any, value: int) -> None:
        """Sets an attribute of a `matmul_desc`, a `matrix_layout` or a `matmul_preference`."""
        element = getattr(self.lt, f"get_{what}_attribute_dtype")(kind)
        buffer = np.array([value], element)
        getattr(self.lt, f"{what}_set_attribute")(handle, kind, buffer.ctypes.data, buffer.itemsize)


class ProductPlan:
    """A planned product, if cublasLt has an algorithm for it (`known`); many graphs may have it."""

    def __init__(self, library: Library, product: ProductSizes) -> None:
        self.library, self.product = library, product
        lt = library.lt
        element, compute, scale = CUBLAS_TYPES[product.dtype.name]
        number = np.float64 if scale == CUDA_R_64F else np.float32
        self.alpha, self.beta = np.ones(1, number), np.zeros(1, number)
        self.description = lt.matmul_desc_create(compute, scale)
        weakref.finalize(self, lt.matmul_desc_destroy, self.description)
        kinds = lt.MatmulDescAttribute
        library.attribute("matmul_desc", self.description, kinds.TRANSA, int(product.tb))
        library.attribute("matmul_desc", self.description, kinds.TRANSB, int(product.ta))
        p = product
        self.left, self.right, self.result = (
            self._layout(element, stored(*shape))
            for shape in (
                (p.n, p.k) if p.tb else (p.k, p.n),
                (p.k, p.m) if p.ta else (p.m, p.k),
                (p.m, p.n),
            )
        )
        self.found = lt.MatmulHeuristicResult(1)
        self.known = self._choose()

    def _layout(self, element: int, layout: MatrixLayout) -> int:
        library, lt = self.library, self.library.lt
        handle: int = lt.matrix_layout_create(element, layout.rows, layout.columns, layout.ld)
        weakref.finalize(self, lt.matrix_layout_destroy, handle)
        kinds = lt.MatrixLayoutAttribute
        library.attribute("matrix_layout", handle, kinds.BATCH_COUNT, self.product.batch)
        library.attribute("matrix_layout", handle, kinds.STRIDED_BATCH_OFFSET, layout.stride)
        return handle

    def _choose(self) -> bool:
        """Asks for the best algorithm, which goes to `found`; returns whether there is one."""
        library, lt = self.library, self.library.lt
        preference, count = lt.matmul_preference_create(), np.zeros(1, np.int32)
        kinds = lt.MatmulPreferenceAttribute
        library.attribute(
            "matmul_preference", preference, kinds.MAX_WORKSPACE_BYTES, WORKSPACE_BYTES
        )
        for kind in (
            kinds.MIN_ALIGNMENT_A_BYTES,
            kinds.MIN_ALIGNMENT_B_BYTES,
            kinds.MIN_ALIGNMENT_C_BYTES,
            kinds.MIN_ALIGNMENT_D_BYTES,
        ):
            library.attribute("matmul_preference", preference, kind, OPERAND_ALIGNMENT_BYTES)
        try:
            lt.matmul_algo_get_heuristic(
                library.handle,
                self.description,
                self.left,
                self.right,
                self.result,
                self.result,
                preference,
                1,
                self.found.ptr,
                count.ctypes.data,
            )
        except lt.cuBLASLtError as error:
            if error.status != CUBLAS_NOT_SUPPORTED:
                raise self._failure(error) from error
        finally:
            lt.matmul_preference_destroy(preference)
        return bool(count[0])

    def _failure(self, error: Exception) -> DeviceError:
        return DeviceError(
            f"{self.library.name}: cublasLt fails at {self.product}: {error}; leave "
            "out the method, and graphc uses its own products"
        )

    @property
    def workspace(self) -> MemorySpan:
        """The memory that the product needs besides its operands."""
        return self.library.workspace.part(0, int(self.found.workspace_size))

    def enqueue(self, stream: int, a: int, b: int, c: int) -> None:
        """Puts the product on a stream; `a`, `b` and `c` are addresses."""
        algorithm = self.found.ptr  # the first field of the heuristic's result is the algorithm
        lt, workspace = self.library.lt, self.workspace
        try:
            lt.matmul(
                self.library.handle,
                self.description,
                self.alpha.ctypes.data,
                b,
                self.left,
                a,
                self.right,
                self.beta.ctypes.data,
                c,
                self.result,
                c,
                self.result,
                algorithm,
                workspace.address,
                workspace.nbytes,
                stream,
            )
        except lt.cuBLASLtError as error:
            raise self._failure(error) from error

    def call(
        self, a: MemorySpan, b: MemorySpan, c: MemorySpan, after: tuple[int, ...] = ()
    ) -> Call:
        """The product as a node of a graph."""
        return Call(
            lambda stream: self.enqueue(stream, a.address, b.address, c.address),
            (a, b),
            (c, self.workspace),
            after,
        )
