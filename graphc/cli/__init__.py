"""The command line: `graphc run | profile | check | bisect | dump | opt | explain | ...`.

Exit codes: 0 all is well; 1 an error in the user's model or graph; 2 wrong usage; 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import errno
import io
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

from graphc.cli import bisect, cache, check, devices, dump, explain, ops, opt, profile, run
from graphc.cli.model_file import ModelFailure, UsageError, where
from graphc.errors import GraphcError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)  # what ends a redirected output
COMMANDS = (run, profile, check, bisect, dump, opt, explain, devices, ops, cache)


class ShowVersion(argparse.Action):
    """Prints the installed version, which pyproject.toml declares."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib import metadata  # 10 ms, so only where it is asked for

        print(f"graphc {metadata.version('graphc')}")
        parser.exit()


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (`{self.prog} --help` lists the options)\n")


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    top = Parser(prog="graphc", description="Run, inspect and optimise computation graphs.")
    top.add_argument("--version", action=ShowVersion, nargs=0, help="print graphc's version")
    top.add_argument("--traceback", action="store_true", help="show Python's traceback of an error")
    commands = top.add_subparsers(dest="command", required=True, metavar="command")
    for module in COMMANDS:
        module.register(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    at = given.index("--") if "--" in given else len(given)
    try:
        args = parser().parse_args(given[:at])
    except SystemExit as error:
        return int(error.code or 0)
    args.script_args = given[at + 1 :]
    return _guarded(args)


def _guarded(args: argparse.Namespace) -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):  # a name that the terminal cannot show
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = int(args.act(args) or 0)
        if sys.stdout is not None:  # Python's word for a closed one
            sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("graphc: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `graphc dump ... | head`
        _drop_output()
        return 0
    except OSError as error:
        if error.errno not in FULL or error.filename is not None:
            raise
        _drop_output()
        print(f"graphc {args.command}: cannot write the output: {error.strerror}", file=sys.stderr)
        return 1
    except UsageError as error:
        print(f"graphc {args.command}: {error}", file=sys.stderr)
        return 2
    except ModelFailure as error:
        traceback.print_exception(error.cause.with_traceback(error.trace))
        return 1
    except GraphcError as error:
        if args.traceback:
            traceback.print_exception(error)
        else:
            print(f"graphc {args.command}: {where(error, args)}", file=sys.stderr)
        return 1


def _drop_output() -> None:
    """Sends what is still to be printed nowhere: Python would try again when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
