"""`make gpu-check`: whether graphc is right on a GPU, and how fast; leaves gpu-report.json.

    python -m benchmarks.gpu_check [--device cuda:0] [--only PART ...] [--out FILE] [--seconds N]
    python -m benchmarks.gpu_check --device cuda:sim --small    what is right, in the simulator

Exits with 1 if anything fails: a wrong result, an error, a bar that is missed, or no time left.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.gpu import kernels, peers, programs, training
from benchmarks.gpu.cases import CASES, Case, Inputs
from benchmarks.gpu.nets import BATCHES, NETS
from benchmarks.gpu.report import Figures, Report
from graphc.errors import DeviceError
from graphc.ir.types import BY_NAME, bf16, f32, f64

PACKAGES = (
    "graphc",
    "numpy",
    "numba",
    "llvmlite",
    "numba-cuda",
    "cuda-core",
    "cuda-bindings",
    "cuda-toolkit",
    "nvidia-nvjitlink",
    "nvidia-cublas",
    "nvmath-python",
    "torch",
    "jax",
)
ELEMENTS = 1 << 28  # of a timed case, at most; less where the card's memory is small
PRODUCTS = [("f32", 4096), ("bf16", 4096), ("bf16", 8192), ("f16", 4096)]
CONVOLUTIONS = [
    ("f32", (32, 64, 56, 56), (64, 64, 3, 3)),
    ("bf16", (32, 64, 56, 56), (64, 64, 3, 3)),
    ("bf16", (32, 256, 14, 14), (256, 256, 3, 3)),
]


class Check:
    """All parts, in the order of what is most worth knowing if time runs out."""

    def __init__(self, name: str, small: bool, report: Report) -> None:
        self.name, self.small, self.report = name, small, report
        self.device: Any = None  # simulated ones have no driver to measure
        self.copy = float("inf")
        if name.startswith("cuda") and ":sim" not in name:
            from benchmarks.gpu.device import opened

            self.device = opened(name)
            report.facts["card"] = self.device.spec

    def machine(self) -> None:
        """The copy bandwidth, which all else is held to, launches, and cublasLt."""
        if self.device is None:
            return
        from benchmarks.gpu import device

        attempt = self.report.attempt
        attempt("device", "copies come back", partial(device.copies_intact, self.device))
        found = attempt("device", "copy bandwidth", partial(device.bandwidth, self.device))
        self.copy = found.get("gbs", self.copy / 1e9) * 1e9
        attempt("device", "to and from the host", partial(device.link, self.device))
        attempt("device", "graph of two copies", partial(device.replay, self.device))
        for dtype in (f32, bf16, f64):
            for ta, tb in ((False, False), (True, True)):
                attempt(
                    "cublasLt",
                    f"{dtype} {'t' * ta}{'t' * tb}",
                    partial(device.cublas_right, self.device, dtype, ta, tb),
                )

    def latency(self) -> None:
        """Small programs."""
        if self.small:
            return
        self.report.attempt(
            "latency", "replay of a small program", partial(programs.small, self.name, False)
        )
        self.report.attempt(
            "latency", "the same with a feed and a fetch", partial(programs.small, self.name, True)
        )

    def families(self) -> None:
        """Every kernel family against f64: in its first type at all shapes and for any size of the
        first axis, in its others at two shapes."""
        for case in CASES:
            first, *others = case.dtypes
            if self.small:
                self._right(case, first, case.tiny)
                continue
            for inputs in case.shapes:
                self._right(case, first, inputs)
            self._right(case, first, case.shapes[0], symbolic=True)
            for dtype in others:
                for inputs in case.shapes[:2]:
                    self._right(case, dtype, inputs)

    def _right(self, case: Case, dtype: str, inputs: Inputs, symbolic: bool = False) -> None:
        shapes = " ".join("x".join(map(str, i.shape)) for i in inputs)
        self.report.attempt(
            case.family,
            f"{case.name} {dtype} {'any size' if symbolic else shapes}",
            partial(kernels.check, case, inputs, BY_NAME[dtype], self.name, symbolic),
        )

    def speed(self) -> None:
        """Families that move memory, as shares of the copy bandwidth."""
        if self.small:
            return
        memory = self.device.spec.memory if self.device is not None else 1 << 28
        elements = min(ELEMENTS, memory // 64)
        elements -= elements % (1 << 20)
        for case in CASES:
            if case.large is None:
                continue
            for dtype in case.dtypes[: 2 if case.bar else 1]:
                self.report.attempt(
                    f"{case.family} GB/s",
                    f"{case.name} {dtype}",
                    partial(kernels.timed, case, elements, BY_NAME[dtype], self.name, self.copy),
                )

    def products(self) -> None:
        """Products and convolutions, against cublasLt and torch."""
        if self.small:
            return
        tasks: list[Any] = [("product", d, n, n, n) for d, n in PRODUCTS]
        tasks += [("convolution", d, i, w) for d, i, w in CONVOLUTIONS]
        torch = peers.measure("torch", tasks, 120) or [{}] * len(tasks)
        for (dtype, n), other in zip(PRODUCTS, torch, strict=False):
            self.report.attempt(
                "product",
                f"{n} x {n} x {n} {dtype}",
                partial(
                    self._rate,
                    2.0 * n**3,
                    other,
                    dtype,
                    n,
                    partial(programs.product, self.name, n, n, n, BY_NAME[dtype]),
                ),
            )
        for (dtype, images, weights), other in zip(
            CONVOLUTIONS, torch[len(PRODUCTS) :], strict=True
        ):
            flops = programs.flops_of_convolution(images, weights)
            self.report.attempt(
                "convolution",
                f"{images} {weights} {dtype}",
                partial(
                    self._rate,
                    flops,
                    other,
                    dtype,
                    0,
                    partial(programs.convolution, self.name, images, weights, BY_NAME[dtype]),
                ),
            )

    def _rate(
        self, flops: float, torch: Figures, dtype: str, n: int, run: Callable[[], float]
    ) -> Figures:
        """TFLOP/s, and those of torch and cublasLt; an error of torch's is told, not judged."""
        seconds, others = run(), {}
        if "seconds" in torch:
            others["torch TFLOP/s"] = flops / torch["seconds"] / 1e12
        if n and self.device is not None:
            from benchmarks.gpu.device import cublas

            call = cublas(self.device, n, n, n, BY_NAME[dtype])
            if call is not None:
                best = kernels.per_call(call, self.device.synchronize)
                others["cublasLt TFLOP/s"] = flops / best / 1e12
        figures: Figures = {"ms": seconds * 1e3, "tflops": flops / seconds / 1e12, "peer": torch}
        shares = {"share": figures["tflops"] / max(others.values())} if others else {}
        return {**figures, **shares, "others": others}

    def learning(self) -> None:
        """Training: as the CPU does it, to a good end, and faster than others."""
        nets = {"tiny": training.tiny} if self.small else NETS
        for name, net in nets.items():
            self.report.attempt(
                "training",
                f"{name}: losses like the CPU's",
                partial(training.like_the_cpu, net, self.name, 8, 2 if self.small else 5),
            )
        if self.small:
            return
        self.report.attempt("training", "learns digits", partial(training.learns, self.name))
        for name in NETS:
            self.report.attempt("training", f"{name}: step", partial(self._step, name))

    def _step(self, net: str) -> Figures:
        """A step's time, which is to be less than torch.compile's and JAX's."""
        seconds, batch = training.seconds(net, self.name), BATCHES[net]
        modes = ("default", "reduce-overhead")
        torch = peers.measure("torch", [("step", net, batch, mode) for mode in modes], 100)
        jax = peers.measure("jax", [("step", net, batch)], 60)
        named = [
            *zip([f"torch.compile {m}" for m in modes], torch, strict=False),
            *zip(["JAX"], jax, strict=False),
        ]
        others = {f"{who} us": found["seconds"] * 1e6 for who, found in named if "seconds" in found}
        figures: Figures = {"us": seconds * 1e6, "others": others, "peers": named}
        if others:  # the share of graphc's speed in the best other's: at least all of it
            figures |= {"share": min(others.values()) / figures["us"], "bar": 1.0}
        return figures

    def interop(self) -> None:
        """Arrays of torch's, where torch is installed."""
        if self.device is not None and peers.installed("torch"):
            self.report.attempt(
                "interop", "a torch tensor is fed", partial(programs.foreign, self.name)
            )

    PARTS = ("machine", "latency", "families", "interop", "speed", "products", "learning")


def environment() -> Figures:
    """What runs here."""
    versions: dict[str, str] = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "packages": versions,
        "python": platform.python_version(),
        "machine": platform.platform(),
    }


def main(arguments: list[str]) -> int:
    """Runs the parts, writes the report, and says what failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda:0", help="cuda:N, cuda:sim or cpu:0")
    parser.add_argument("--small", action="store_true", help="tiny sizes, nothing is timed")
    parser.add_argument("--only", nargs="+", choices=Check.PARTS, default=Check.PARTS)
    parser.add_argument("--out", type=Path, default=Path("gpu-report.json"))
    parser.add_argument("--seconds", type=float, default=440, help="start no check after so long")
    given = parser.parse_args(arguments)
    report = Report(given.seconds)
    report.facts |= {"device": given.device, "small": given.small, **environment()}
    try:
        check = Check(given.device, given.small, report)
    except DeviceError as error:
        print(f"gpu-check: {error}", file=sys.stderr)
        return 1
    for part in Check.PARTS:
        if part in given.only:
            getattr(check, part)()
            report.write(given.out)
    print(f"{len(report.checks)} checks, {len(report.failures)} failed; {given.out}")
    for failed in report.failures:
        print(f"  {failed['family']} {failed['name']}: {failed['error']}")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
