"""What tests of the command line share: small models and a way to run commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from graphc.cli import main

DECLARED = """\
import graphc as gc

x = gc.placeholder(gc.float32, ["n", 6], name="x")
y = gc.placeholder(gc.int64, ["n"], name="y")
w = gc.variable(gc.zeros((6, 3)), name="w")
logits = x @ w
loss = gc.nn.functional.cross_entropy(logits, y)
train = gc.optim.SGD(0.1).minimize(loss)
"""
RUNNING = """\
import sys
import numpy as np
import graphc as gc

x = gc.placeholder(gc.float32, [None], name="x")
total = gc.sum(gc.exp(x))
with gc.Session() as sess:
    print("total", float(sess.run(total, {x: np.zeros(4, np.float32)})), sys.argv[1:])
    print("threads", sess.options.threads, "seed", sess.options.seed)
"""
GRAPH = """\
graph @f(%x: f32[n,4], var %w: f32[4]) {
  %b    = broadcast %w {axes=[1]}   : f32[n,4]
  %p    = multiply %x, %b           : f32[n,4]
  %q    = multiply %p, 1.0f32       : f32[n,4]
  %s    = reduce_sum %q {axes=[1]}  : f32[n]
  %next = add %w, 0.5f32            : f32[4]
  return %s, %w <- %next
}
"""


def written(path: Path, text: str) -> Path:
    """The file, with this text."""
    path.write_text(text)
    return path


Capture = pytest.CaptureFixture[str]


def graphc(capsys: Capture, *args: object) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of a command."""
    capsys.readouterr()
    code = main([str(a) for a in args])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return code, out, err


ROW = re.compile(  # of a profile: what is between the times and rates that the machine decides
    r" *\d+\.\d\d +\d+\.\d% +(?P<launches>\S+  .+? +\S+) +[\d.]+ +\d+% +(?P<flops>\S+) .*"
)


def steady(text: str) -> list[str]:
    """The lines of a profile, or of the machine's limits, without what the machine decides."""
    lines = []
    for line in text.splitlines():
        row = ROW.fullmatch(line)
        if row:
            lines.append(f"{row['launches']} {row['flops']}")
        elif line.startswith("memory "):
            lines.append(line.partition("; the process")[0])
        else:
            lines.append(re.sub(r"^(limits)? .*:|^[^:]+(?=, \d+ thread)|[\d.]+", "", line).strip())
    return lines
