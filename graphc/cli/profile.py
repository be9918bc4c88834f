"""`graphc profile model.py`: what each kernel costs, against what the machine can do."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from graphc.cli.model_file import Model, UsageError, add_model_options, opened, positive
from graphc.cli.run import add_feed_options, fetching, needs_fetches, tables
from graphc.config import Options, defaults
from graphc.profile.machine_limits import limits
from graphc.profile.report import SORT_KEYS, Profile, trace
from graphc.session.recorder import Recorder

DEFAULT_STEPS = 20  # timed runs of what --fetch names
DEFAULT_WARMUP = 3  # runs of it before those


def register(commands: Any) -> None:
    """Adds the command."""
    p = commands.add_parser(
        "profile",
        help="time every kernel of a model, against the machine's limits",
        description=(
            "Times the kernels of every signature that a file's sessions run, or of what --fetch "
            "names.  Arguments after -- are the script's."
        ),
    )
    add_model_options(p, optional=True)
    add_feed_options(p)
    p.add_argument(
        "--steps",
        type=positive,
        metavar="N",
        help=f"runs to time (default: {DEFAULT_STEPS} of --fetch, all of a script); a script "
        "ends when one signature has had them",
    )
    p.add_argument(
        "--warmup",
        type=int,
        metavar="N",
        help=f"runs before them (default: {DEFAULT_WARMUP} of --fetch, none of a script)",
    )
    p.add_argument(
        "--fastest",
        action="store_true",
        help="the fastest run of each kernel, not the median: for a busy machine",
    )
    p.add_argument("--sort", choices=list(SORT_KEYS), default="time", help="(default: time)")
    p.add_argument("--group", action="store_true", help="kernels that are alike in one row")
    p.add_argument("--top", type=positive, metavar="N", help="show so many kernels")
    p.add_argument("--trace", metavar="FILE.json", help="write a trace for ui.perfetto.dev")
    p.add_argument("--json", metavar="FILE.json", help="write all figures")
    p.add_argument("--limits", action="store_true", help="print the machine's limits, no more")
    p.add_argument(
        "--remeasure", action="store_true", help="measure the limits again, and keep what is better"
    )
    p.set_defaults(act=act)


def act(args: argparse.Namespace) -> int:
    """Runs the command."""
    if args.warmup is not None and args.warmup < 0:
        raise UsageError(f"--warmup {args.warmup}: expected at least 0")
    if args.limits or args.remeasure:
        given = {"threads": args.threads, "cache_dir": Path(args.cache) if args.cache else None}
        with defaults(**{k: v for k, v in given.items() if v is not None}):
            measured = limits(Options(), args.remeasure)
        if args.limits:
            print(measured)
            return 0
    if args.model is None:
        raise UsageError("which model? name a Python file or a graph as text, or ask for --limits")
    recorder = Recorder(args.steps, args.warmup or 0, args.fastest, _end_script)
    with opened(args, watch=recorder.watch) as model:
        profiles = _profiles(model, args, recorder)
        shown = [p.grouped() for p in profiles] if args.group else profiles
        print(tables(shown, args.sort, args.top))
        _write(args, profiles)
        return model.code


def _end_script() -> None:
    """Ends the script where it is, as if it had called `sys.exit`."""
    raise SystemExit(0)


def _profiles(model: Model, args: argparse.Namespace, recorder: Recorder) -> Sequence[Profile]:
    """Profiles of what the file ran, or of what is fetched."""
    if not needs_fetches(model, args):
        return recorder.profiles()
    warmup = DEFAULT_WARMUP if args.warmup is None else args.warmup
    again = Recorder(args.steps or DEFAULT_STEPS, warmup, args.fastest)
    with defaults(watch=again.watch), fetching(model, args) as once:
        for _ in range(warmup + (args.steps or DEFAULT_STEPS)):
            once()
        profiles = again.profiles()
    if not args.fetch:
        return profiles
    return [dataclasses.replace(p, title=_title(args.fetch, p.title)) for p in profiles]


def _title(fetches: Sequence[str], title: str) -> str:
    """The title: the names of the fetches, and the sizes."""
    _, at, sizes = title.partition(" at ")
    return ", ".join(fetches) + at + sizes


def _write(args: argparse.Namespace, profiles: Sequence[Profile]) -> None:
    outputs: list[tuple[str | None, Callable[[], Any]]] = [
        (args.trace, lambda: trace(profiles)),
        (args.json, lambda: [p.data() for p in profiles]),
    ]
    for path, content in outputs:
        if path is not None:
            try:
                Path(path).write_text(json.dumps(content()), encoding="utf-8")
            except OSError as error:
                raise UsageError(f"cannot write {path}: {error}") from None
