"""Runner: runs one signature (fetches, fed tensors) of one session, with all look-ups done.

A run checks the fed arrays, finds the plan for their shapes, and runs it.  The runner's engine
makes the plans.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.errors import FeedError, GraphcError, SessionError, user_location
from graphc.session.feeds import Shape, sizes_of_feeds
from graphc.session.too_large import TOO_LARGE_ERRORS, explained
from graphc.session.turns import require_outside

if TYPE_CHECKING:
    from graphc.session.engine import Engine, Owner, RunPlan, Runs, Signature

MAX_PLANS = 256  # of one runner; beyond that the oldest is dropped
CONTIGUOUS_AND_ALIGNED = 0x101  # NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_ALIGNED


class Runner:
    """Runs one signature.  `watch` is given every new plan, and returns what runs instead."""

    def __init__(
        self,
        session: Owner,
        signature: Signature,
        engine: Engine,
        watch: Callable[[RunPlan], Runs] | None = None,
    ) -> None:
        self.session, self.signature, self.engine, self.watch = session, signature, engine, watch
        self.dtypes = [t.dtype.numpy for t in signature.fed]
        self.plans: dict[tuple[Shape, ...], Runs] = {}
        self.stale = False  # a variable has moved since the engine was made
        session.plan_holders.add(self)

    def __call__(self, *feeds: Any) -> Any:
        session = self.session
        require_outside(session)
        with session.lock:
            if session.closed:
                raise SessionError(
                    "Session.run: the session is closed; open a new one", user_location()
                )
            arrays = list(feeds)
            try:
                if self.stale:
                    self.refresh()
                for i, dtype in enumerate(self.dtypes):
                    a = arrays[i]
                    if (
                        type(a) is not np.ndarray
                        or a.dtype is not dtype
                        or a.flags.num & CONTIGUOUS_AND_ALIGNED != CONTIGUOUS_AND_ALIGNED
                    ):
                        arrays[i] = self.engine.converted(self.signature.fed[i], a)
                key = tuple([a.shape for a in arrays])
                plan = self.plans.get(key)
                if plan is None:
                    plan = self.bind(key)
                return plan.run(arrays)
            except TOO_LARGE_ERRORS as error:
                better = self._explained(error, arrays)
                if better is error:
                    raise
                raise better from error

    def _explained(self, error: Exception, feeds: Sequence[object]) -> Exception:
        """What to raise for an error that a run with these feeds met."""
        unified = self.engine.unified
        try:
            shapes = [getattr(f, "shape", ()) for f in feeds]
            return explained(error, unified.graph, sizes_of_feeds(self.signature, unified, shapes))
        except GraphcError:  # the error came before it was known that these fit
            return explained(error, unified.graph, {})

    def callable(self) -> Callable[..., Any]:
        """A function of the fed arrays."""
        count = len(self.signature.fed)

        def call(*feeds: Any) -> Any:
            if len(feeds) != count:
                raise FeedError(
                    f"the callable takes {count} arrays, got {len(feeds)}", user_location()
                )
            return self(*feeds)

        return call

    def watched_by(self, watch: Callable[[RunPlan], Runs]) -> Runner:
        """Another runner of this signature, whose plans are watched."""
        other = Runner(self.session, self.signature, self.engine, watch)
        other.stale = self.stale
        return other

    def forget(self) -> None:
        """Drops the plans: the arena or a variable's array has another address now."""
        self.plans.clear()

    def outdate(self) -> None:
        """Drops the plans and, at the next run, the engine: a variable lives elsewhere now."""
        self.plans.clear()
        self.stale = True

    def refresh(self) -> None:
        """Gets the engine that fits where the variables live now."""
        self.engine, self.stale = self.session.engine(self.signature.staged), False

    def bind(self, shapes: tuple[Shape, ...]) -> Runs:
        """Makes and keeps the plan for these shapes.  Raises `FeedError`, `MemoryLimitError`."""
        sizes = sizes_of_feeds(self.signature, self.engine.unified, shapes)
        plan = self.engine.bind(self.signature, sizes)
        if len(self.plans) >= MAX_PLANS:
            self.plans.pop(next(iter(self.plans)))
        self.plans[shapes] = self.watch(plan) if self.watch is not None else plan
        return self.plans[shapes]
