"""`graphc cache` looks after compiled kernels."""

from __future__ import annotations

import argparse
import re
import time
from pathlib import Path
from typing import Any

from graphc.cli.model_file import UsageError
from graphc.codegen.cpu.toolchain.jit import SAYS
from graphc.config import Options

SECONDS_PER_DAY = 86400.0
ELF = b"\x7fELF"
MACHINE_OFFSET = 18  # in an ELF header: two bytes that tell the machine
EM_CUDA = 190
CPU_SAYS = re.compile(SAYS.encode() + rb"([^\0]+)")
GPU_SAYS = re.compile(rb"\.text\.(\w+)")  # the kernel's function


def register(commands: Any) -> None:
    """Adds the command."""
    p = commands.add_parser("cache", help="look after the cache of compiled kernels")
    p.add_argument(
        "--dir",
        "--cache",
        dest="cache",
        metavar="DIR",
        help="the cache (default: GRAPHC_CACHE_DIR, else ~/.cache/graphc)",
    )
    p.add_argument("--list", action="store_true", help="list the kernels, the newest first")
    p.add_argument("--clear", action="store_true", help="delete all kernels")
    p.add_argument(
        "--prune-days", type=float, metavar="N", help="delete kernels not written for N days"
    )
    p.set_defaults(act=act)


def act(args: argparse.Namespace) -> int:
    """Runs the command."""
    directory = Path(args.cache) if args.cache else Options().cache_dir
    if args.prune_days is not None and args.prune_days < 0:
        raise UsageError("--prune-days: expected a number of days")
    try:
        files = [(p, p.stat()) for p in directory.glob("*") if p.suffix in (".o", ".tmp")]
        old = time.time() - SECONDS_PER_DAY * (args.prune_days or 0)
        if args.clear or args.prune_days is not None:
            doomed = [p for p, s in files if args.clear or s.st_mtime < old]
            for p in doomed:
                p.unlink(missing_ok=True)
            print(f"deleted {len(doomed)} of {len(files)} objects in {directory}")
            return 0
    except OSError as error:
        raise UsageError(f"cache {directory}: {error}") from None
    if args.list:
        for p, s in sorted(files, key=lambda f: -f[1].st_mtime):
            when = time.strftime("%Y-%m-%d %H:%M", time.localtime(s.st_mtime))
            print(f"{when} {s.st_size:8d} {p.stem}  {content_of(p)}")
    size = sum(s.st_size for _, s in files)
    print(f"{directory}: {len(files)} objects, {size} bytes")
    return 0


def content_of(path: Path) -> str:
    """What a file of the cache is, and what its kernel does."""
    try:
        data = path.read_bytes()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    at = data.find(ELF)
    if path.suffix == ".tmp" or at < 0:
        return "left of a write that did not end" if path.suffix == ".tmp" else "damaged"
    machine = int.from_bytes(data[at + MACHINE_OFFSET : at + MACHINE_OFFSET + 2], "little")
    where, pattern = ("GPU", GPU_SAYS) if machine == EM_CUDA else ("CPU", CPU_SAYS)
    says = pattern.search(data)
    return f"{where}, {says[1].decode()}" if says else f"{where}"
