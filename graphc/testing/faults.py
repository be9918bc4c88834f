"""The errors for ops that fail a check."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any

from graphc.errors import ConformanceError, GraphcError, Location
from graphc.ir.op import Op, Sample
from graphc.testing.samples import case_id


def fault(op_cls: type[Op], sample: Sample, check: str, text: str) -> ConformanceError:
    """The error of a check that failed."""
    return ConformanceError(op_cls.__name__, case_id(sample), check, text)


@contextlib.contextmanager
def judging(op_cls: type[Op], sample: Sample, check: str) -> Iterator[None]:
    """Within the block, an exception of the op's own methods becomes a fault of the op."""
    try:
        yield
    except ConformanceError:
        raise
    except Exception as error:
        said = error.message if isinstance(error, GraphcError) else str(error)
        kind = "" if isinstance(error, AssertionError) and said else f"{type(error).__name__}: "
        raise fault(op_cls, sample, check, f"{kind}{said}") from error


@contextlib.contextmanager
def pointing_at(op: Any) -> Iterator[None]:
    """Within the block, a fault shows the line where the op is declared."""
    try:
        yield
    except ConformanceError as error:
        raise ConformanceError(
            error.op, error.sample, error.check, error.fault, declared_at(op)
        ) from error.__cause__


def declared_at(op: Any) -> Location | None:
    """The line of a class or function; None if its source is not known."""
    source = inspect.unwrap(op)
    try:
        _, line = inspect.getsourcelines(source)
        return Location(inspect.getsourcefile(source) or "", line)
    except (OSError, TypeError):  # declared in an interpreter, say
        return None
