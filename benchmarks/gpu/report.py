"""What was checked, and what came of it.  A check that raises is a failure like any other, and does
not keep the next from running."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Figures = dict[str, Any]


class Failed(Exception):
    """A result that is wrong.  Its figures are reported."""

    def __init__(self, message: str, figures: Figures) -> None:
        super().__init__(message)
        self.figures = figures


@dataclass
class Report:
    """All checks so far.  After `seconds`, the rest are failures: they have not been run."""

    seconds: float
    facts: Figures = field(default_factory=dict)
    checks: list[Figures] = field(default_factory=list)
    start: float = field(default_factory=time.perf_counter)

    def attempt(self, family: str, name: str, check: Callable[[], Figures]) -> Figures:
        """Runs a check, and keeps and prints its figures.  One that has a `bar` must reach it:
        `share` (of the best that is possible, or of the others' speed) at least, or `us` at
        most."""
        entry: Figures = {"family": family, "name": name, "ok": False}
        began = time.perf_counter()
        try:
            if began - self.start > self.seconds:
                raise TimeoutError(f"not run: {self.seconds:.0f} s are over")
            entry |= check()
            entry["ok"] = _reached(entry)
        except Failed as error:
            entry |= error.figures | {"error": str(error)}
        except Exception as error:
            text = "".join(traceback.format_exception(error)[-4:])
            entry |= {"error": f"{type(error).__name__}: {error}", "trace": text}
        entry["took"] = round(time.perf_counter() - began, 3)
        self.checks.append(entry)
        print(line(entry), flush=True)
        return entry

    @property
    def failures(self) -> list[Figures]:
        return [entry for entry in self.checks if not entry["ok"]]

    def write(self, path: Path) -> None:
        """The report as JSON."""
        summary = {
            "checks": len(self.checks),
            "failed": len(self.failures),
            "seconds": round(time.perf_counter() - self.start, 1),
        }
        whole = {"summary": summary, "facts": self.facts, "checks": self.checks}
        path.write_text(json.dumps(whole, indent=1, default=str) + "\n", encoding="utf-8")


def _reached(entry: Figures) -> bool:
    """Whether a check's figures reach its bar, if it has one."""
    bar = entry.get("bar")
    if bar is None:
        return True
    reached = entry["share"] >= bar if "share" in entry else entry["us"] <= bar
    if not reached:
        entry["error"] = f"misses the bar of {bar}"
    return bool(reached)


def line(entry: Figures) -> str:
    """A check on one line."""
    shown = [f"{entry['family']:<12} {entry['name']:<44}"]
    for key, text in (
        ("worst", "error {:.1e}"),
        ("ms", "{:9.4f} ms"),
        ("us", "{:8.2f} us"),
        ("gbs", "{:7.0f} GB/s"),
        ("tflops", "{:7.1f} TFLOP/s"),
        ("share", "{:6.1%}"),
    ):
        if key in entry:
            shown.append(text.format(entry[key]))
    shown += [f"{key} {value:.4g}" for key, value in entry.get("others", {}).items()]
    done = f"skipped: {entry['skipped']}" if "skipped" in entry else "ok"
    return "  ".join([*shown, done if entry["ok"] else f"FAILED: {entry['error']}"])
