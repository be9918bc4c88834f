"""Compiling processes: whatever becomes of them, every job is done, or its error is raised."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from graphc.codegen import workers
from graphc.codegen.workers import Compiler, compile_all
from graphc.config import Options

PROCESS = """
import pathlib, sys
def asked():
    (pathlib.Path(__file__).parent / "asked").touch()
def serve():
    BODY
"""
ANSWERS = """print("ready", flush=True)
    for line in sys.stdin:
        asked()
        ANSWER"""
FAULTS = {
    "right": 'print(b"from a helper".hex(), flush=True)',
    "dies at once": "sys.exit(3)",
    "dies in the middle of an answer": 'print("6", end="", flush=True); sys.exit(3)',
    "answers nothing": 'print("", flush=True)',
    "answers nonsense": 'print("no code", flush=True)',
    "raises": "raise ValueError(line)",
}
STARTS = {
    "does not start": "asked(); sys.exit(1)",
    "never reads": 'print("ready", flush=True); sys.stdin.close(); asked(); sys.exit(0)',
}
JOBS = {f"job {k}": (f"source {k}",) for k in range(12)}


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file for what helpers import, in their path."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    yield tmp_path / "serving_helper.py"
    sys.modules.pop("serving_helper", None)


BODIES = {**{k: ANSWERS.replace("ANSWER", v) for k, v in FAULTS.items()}, **STARTS}


def slowly(folder: Path, compile: Callable[[str], bytes]) -> Callable[[str], bytes]:
    """Compiles once a helper has had the chance to lose a job."""

    def wait(text: str) -> bytes:
        for _ in range(3000):
            if (folder / "asked").exists():
                return compile(text)
            time.sleep(0.01)
        raise AssertionError("no helper was asked")

    return wait


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_lost_job_is_done_here(module: Path, body: str) -> None:
    module.write_text(PROCESS.replace("BODY", body))
    here = slowly(module.parent, lambda text: f"code of {text}".encode())
    compiler = Compiler("serving_helper", here, 4)
    codes = compile_all(JOBS, compiler, Options(threads=3, progress=False))
    assert codes.keys() == JOBS.keys()
    for key, (text,) in JOBS.items():
        allowed = {f"code of {text}".encode()}
        assert codes[key] in allowed | ({b"from a helper"} if "from a helper" in body else set())


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_an_error_of_a_job_is_raised(module: Path, body: str) -> None:
    module.write_text(PROCESS.replace("BODY", body))

    def fails(text: str) -> bytes:
        raise LookupError(text)

    compiler = Compiler("serving_helper", slowly(module.parent, fails), 4)
    with pytest.raises(LookupError, match="source"):
        compile_all(JOBS, compiler, Options(threads=3, progress=False))


def test_what_helpers_answer_is_used(module: Path) -> None:
    module.write_text(PROCESS.replace("BODY", BODIES["right"]))
    compiler = Compiler("serving_helper", slowly(module.parent, lambda text: b"from here"), 4)
    found = set(compile_all(JOBS, compiler, Options(threads=3, progress=False)).values())
    assert b"from a helper" in found and found <= {b"from a helper", b"from here"}


def test_few_jobs_and_single_threads_start_no_helper(
    module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_Helper", lambda *_: pytest.fail("a helper was started"))
    compiler = Compiler("serving_helper", str.encode, 4)
    for threads, count in ((1, 12), (8, 3), (8, 1), (8, 0)):
        jobs = dict(list(JOBS.items())[:count])
        codes = compile_all(jobs, compiler, Options(threads=threads, progress=False))
        assert codes == {k: text.encode() for k, (text,) in jobs.items()}


@pytest.mark.parametrize(("threads", "count", "helpers"), [(3, 12, 2), (8, 4, 1), (99, 99, 7)])
def test_the_number_of_helpers(
    threads: int, count: int, helpers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One for each thread but this one, for each two jobs at the least; at most seven."""
    started: list[str] = []

    class NoHelper:
        def __init__(self, module: str, *_: object) -> None:
            started.append(module)

        def end(self) -> None:
            started.append("ended")

    monkeypatch.setattr(workers, "_Helper", NoHelper)
    jobs = {f"job {k}": (f"source {k}",) for k in range(count)}
    compile_all(jobs, Compiler("m", str.encode, 4), Options(threads=threads, progress=False))
    assert started == ["m"] * helpers + ["ended"] * helpers


def test_the_longest_sources_go_first() -> None:
    order: list[int] = []

    def noted(text: str) -> bytes:
        order.append(len(text))
        return b""

    jobs = {str(n): ("x" * n,) for n in (3, 9, 1, 7)}
    compile_all(jobs, Compiler("m", noted, 99), Options(threads=4, progress=False))
    assert order == [9, 7, 3, 1]
