"""Device source -> machine code of a GPU, without a GPU or a driver.

numba-cuda types the text and makes PTX of it; nvJitLink makes a cubin, which is kept on disk under
a hash of all that could change it.  Only the modules of this folder use numba-cuda; a warm start
does not import it.
"""

from __future__ import annotations

import functools
import hashlib
import math
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

from graphc.codegen import workers
from graphc.codegen.cache import Built, Cache, front_end, hash_of
from graphc.codegen.cuda.source import POINTER_SUFFIX
from graphc.codegen.device_source import DeviceSource
from graphc.codegen.workers import Compiler, compile_all
from graphc.config import Options
from graphc.errors import CodegenError, DeviceError

REMEDY = "pip install 'graphc[cuda13]'"
REQUIRED_PACKAGES = {  # package: first version, first version that is too new
    "numba-cuda": ((0, 30, 4), (0, 31)),
    "cuda-core": ((1, 2), (2,)),
}
LIBRARY_PACKAGES = {
    "nvidia-nvvm": ((13,), (14,)),
    "nvidia-nvjitlink": ((13,), (14,)),
}  # or the system's
MIN_CAPABILITY = (8, 0)  # compute capability: the first with cp.async and bf16
MIN_KERNELS_FOR_WORKERS = 4  # starting a helper takes as long as compiling the first kernel here
# The folders and files that decide what machine code a text becomes (`cache.hash_of`).
MACHINE_CODE_SOURCES = (
    "codegen/cuda/toolchain",
    "codegen/cpu/intrinsics/common_scalars.py",
    "codegen/mathlib",
    "ir/ops/philox.py",
    "ir/types.py",
)


def require() -> dict[str, str]:
    """The versions of the toolchain's packages.  Raises `DeviceError` if one is missing, too old or
    too new; nothing is imported."""
    versions: dict[str, str] = {}
    for package, (least, beyond) in (REQUIRED_PACKAGES | LIBRARY_PACKAGES).items():
        wanted = f"{package}>={_dotted(least)},<{_dotted(beyond)}"
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            if package in LIBRARY_PACKAGES:
                continue
            raise DeviceError(
                f"compiling for a GPU needs {wanted}, which is not installed: {REMEDY}"
            ) from None
        version = tuple(int(n) for n in re.findall(r"\d+", versions[package])[:3])
        if not least <= version < beyond:
            raise DeviceError(
                f"compiling for a GPU needs {wanted}, but {versions[package]} is installed: "
                f"{REMEDY}"
            )
    return versions


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


@functools.cache
def fingerprint() -> bytes:
    """A hash of all that decides what machine code a text becomes, except for the text."""
    return hash_of(MACHINE_CODE_SOURCES, front_end(), repr(sorted(require().items())))


def symbol_of(source: DeviceSource, capability: tuple[int, int]) -> str:
    """The name of a kernel's machine code: a hash of all that makes it."""
    parts = (source.text, source.parameters, source.threads, source.resident, capability)
    digest = hashlib.blake2b(repr(parts).encode() + fingerprint(), digest_size=16)
    return "gd_" + digest.hexdigest()


def cubin(source: DeviceSource, capability: tuple[int, int], cache: Cache) -> tuple[str, bytes]:
    """The symbol and the machine code of a kernel, from the cache or compiled."""
    symbol = symbol_of(source, capability)
    data = cache.read(symbol)
    if data is None:
        data = compile_kernel(source, capability)
        cache.write(symbol, data)
    return symbol, data


@dataclass(frozen=True)
class Held(Cache):
    """A cache that also holds its entries in memory: each is read from the disk once, and compiled
    once even if the disk cannot be written."""

    held: dict[str, bytes] = field(default_factory=dict)

    def read(self, symbol: str) -> bytes | None:
        """The machine code, or None."""
        if symbol not in self.held:
            data = super().read(symbol)
            if data is None:
                return None
            self.held[symbol] = data
        return self.held[symbol]

    def write(self, symbol: str, data: bytes) -> None:
        """Keeps machine code."""
        self.held[symbol] = data
        super().write(symbol, data)


def prepare(
    sources: Sequence[DeviceSource],
    capability: tuple[int, int],
    cache: Cache,
    options: Options,
    built: Built,
) -> None:
    """Compiles the kernels that the cache lacks, in several processes if they are many."""
    wanted = {symbol_of(s, capability): s for s in sources}
    jobs = {
        symbol: (s.text, s.parameters, s.threads, s.resident, capability)
        for symbol, s in wanted.items()
        if cache.read(symbol) is None
    }
    start = time.perf_counter()
    compiler = Compiler(__name__, _compile_words, MIN_KERNELS_FOR_WORKERS)
    for symbol, data in compile_all(jobs, compiler, options).items():
        cache.write(symbol, data)
    built.seconds += time.perf_counter() - start
    built.compilations += len(jobs)
    built.cache_hits += len(wanted) - len(jobs)


def _compile_words(
    text: str,
    parameters: Sequence[str],
    threads: Sequence[int],
    resident: int,
    capability: Sequence[int],
) -> bytes:
    """`compile_kernel`, with arguments that JSON can carry."""
    x, y, z = threads
    source = DeviceSource(text, tuple(parameters), threads=(x, y, z), resident=resident)
    major, minor = capability
    return compile_kernel(source, (major, minor))


def serve() -> None:
    """The work of a helper process."""
    workers.serve(_namespace, _compile_words)


def _namespace() -> dict[str, Any]:
    """Every name that a kernel's text may call; this imports numba-cuda."""
    from graphc.codegen.cuda.toolchain.namespace import NAMESPACE

    return NAMESPACE


def compile_kernel(source: DeviceSource, capability: tuple[int, int]) -> bytes:
    """A cubin that has the kernel under the name `symbol_of(source, capability)`."""
    with _compiling(source, capability):
        return _linked(_ptx(source, capability, symbol_of(source, capability)), capability)


def ptx(source: DeviceSource, capability: tuple[int, int]) -> str:
    """The kernel as PTX, for people to read."""
    with _compiling(source, capability):
        return _ptx(source, capability, symbol_of(source, capability))


@contextmanager
def _compiling(source: DeviceSource, capability: tuple[int, int]) -> Iterator[None]:
    """Refuses old GPUs; makes `CodegenError`s of the compilers' errors."""
    if capability < MIN_CAPABILITY:
        raise DeviceError(
            f"GPUs of compute capability {_dotted(capability)} are too old: "
            f"graphc needs {_dotted(MIN_CAPABILITY)} or newer"
        )
    try:
        yield
    except DeviceError:
        raise
    except Exception as error:  # numba, NVVM and nvJitLink have no base class in common
        raise CodegenError(
            f"a kernel does not compile for {_architecture(capability)}: {error}\n{source.text}"
        ) from error


def _architecture(capability: tuple[int, int]) -> str:
    return f"sm_{capability[0]}{capability[1]}"


def _ptx(source: DeviceSource, capability: tuple[int, int], symbol: str) -> str:
    from numba.cuda import compile as compile_ptx, types

    scope: dict[str, Any] = dict(_namespace())
    exec(compile(source.text, f"<{symbol}>", "exec"), scope)
    threads = math.prod(source.threads)
    text, _ = compile_ptx(
        scope["kernel"],
        types.void(*map(_parameter, source.parameters)),
        device=False,
        abi="numba",
        cc=capability,
        launch_bounds=(threads, source.resident) if source.resident else threads,
    )
    entry = re.search(r"\.visible \.entry (\S+?)\(", text)
    assert entry, "PTX without an entry"
    environment = r"\.common \.global .*?;\n"  # numba's pointer to Python globals: nothing uses it
    return re.sub(environment, "", text).replace(entry[1], symbol)


def _parameter(name: str) -> Any:
    """The numba type of a parameter."""
    from numba.cuda import types

    if name.endswith(POINTER_SUFFIX):
        return types.CPointer(_namespace()[name.removesuffix(POINTER_SUFFIX)])
    return _namespace()[name]


def _linked(ptx: str, capability: tuple[int, int]) -> bytes:
    from cuda.core import Linker, LinkerOptions, ObjectCode

    options = LinkerOptions(arch=_architecture(capability))
    linker = Linker(ObjectCode.from_ptx(ptx.encode()), options=options)
    return bytes(linker.link("cubin").code)
