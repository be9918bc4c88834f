"""`graphc check model.py` judges a model: its own ops, every pass over its graphs, machine code."""

from __future__ import annotations

import argparse
from typing import Any

from graphc.cli.model_file import add_model_options, opened
from graphc.config import Options
from graphc.testing.model_check import check_model


def register(commands: Any) -> None:
    """Adds the command."""
    p = commands.add_parser(
        "check",
        help="judge a model: its own ops, every pass, machine code against the oracle",
        description=(
            "Runs the file, then judges what it ran, or what --fetch names, or what it declares: "
            "each op of its own by graphc.testing.check_op, every pass by the oracle, and machine "
            "code against the oracle on random feeds of small sizes.  Says what it did; the first "
            "fault is an error."
        ),
    )
    add_model_options(p)
    p.set_defaults(act=act)


def act(args: argparse.Namespace) -> int:
    """Judges a model."""
    args.check = "passes"  # in the file's own sessions, too
    with opened(args) as model:
        graphs = model.graphs(args)
        for line in check_model(graphs, model.values(), args.seed or 0, Options()):
            print(line, flush=True)
    return model.code
