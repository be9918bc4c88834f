"""Cases judged in worker processes: a crash or a hang is a fault of its case, and no more."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import numpy as np
from proof.row import Judge, Row, Tally, Verdict

STALL_S = 300.0
CASES_PER_PROCESS = 500  # then a new one: machine code is never given back


class Worker:
    """A process that judges some cases of a row, in order."""

    def __init__(self, judge: Judge, cases: Sequence[int]) -> None:
        self.judge, self.cases, self.done = judge, cases, 0
        self._start()

    def _start(self) -> None:
        todo = self.cases[self.done : self.done + CASES_PER_PROCESS]
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe(duplex=False)
        self.process: BaseProcess = context.Process(
            target=judge_all, args=(theirs, self.judge, todo), daemon=True
        )
        self.process.start()
        theirs.close()
        self.left = len(todo)

    def receive(self, tally: Tally) -> bool:
        """Takes what the process has to say; whether cases are left."""
        try:
            verdict = self.pipe.recv()
        except EOFError:
            self.process.join()
            return self.died(tally, f"the process ended with status {self.process.exitcode}")
        tally.add(self.cases[self.done], verdict)
        return self._next()

    def died(self, tally: Tally, how: str) -> bool:
        """Blames the case at hand and goes on after it; whether cases are left."""
        self.process.kill()
        self.process.join()
        tally.add(self.cases[self.done], Verdict(how))
        self.left = 1
        return self._next()

    def _next(self) -> bool:
        self.done += 1
        self.left -= 1
        if self.left:
            return True
        self.process.join()
        self.pipe.close()
        if self.done == len(self.cases):
            return False
        self._start()
        return True


def judge_all(pipe: Connection, judge: Judge, cases: Sequence[int]) -> None:
    """The work of a process: sends a verdict for each case."""
    with np.errstate(all="ignore"):
        for case in cases:
            pipe.send(judged(judge, case))


def judged(judge: Judge, case: int) -> Verdict:
    """The verdict on one case; every exception is a fault."""
    try:
        return judge(case)
    except Exception as error:
        return Verdict(f"{type(error).__name__}: {error}")


def campaign(row: Row, first: int, count: int, jobs: int, stall_s: float = STALL_S) -> Tally:
    """Judges `count` cases from the `first` on, in `jobs` processes; a case that takes longer than
    `stall_s` hangs."""
    tally = Tally()
    shares = [range(first + k, first + count, jobs) for k in range(min(jobs, count))]
    workers = {w.pipe: w for w in (Worker(row.judge, share) for share in shares)}
    while workers:
        ready = wait(list(workers), timeout=stall_s)
        for pipe in ready or list(workers):
            worker = workers.pop(pipe)
            hangs = f"no verdict within {stall_s:g} s"
            if worker.receive(tally) if ready else worker.died(tally, hangs):
                workers[worker.pipe] = worker
    for fault in row.missing(tally):
        tally.blame(fault)
    return tally
