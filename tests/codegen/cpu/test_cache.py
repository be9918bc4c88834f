"""The disk cache of kernels: hits, damage, directories that cannot be written, warm processes."""

from __future__ import annotations

import errno
import itertools
import json
import os
import subprocess
import sys
import time
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from support.threads import in_threads

import graphc as gc
from graphc.cli import main
from graphc.codegen import private_folder
from graphc.codegen.cache import MAGIC, PACKAGE, Cache, files_of, hash_of
from graphc.codegen.cpu.toolchain import jit
from graphc.codegen.cpu.toolchain.machine import host_cpu
from graphc.codegen.cuda.toolchain import cubin
from graphc.frontend.tensor import as_tensor

ROOT = Path(__file__).parents[3]
MODEL = """\
import json, sys
from pathlib import Path
import numpy as np
import graphc as gc
from graphc.config import Options
x = gc.placeholder(gc.float32, [None, 5], name="x")
y = gc.sum(gc.exp(x) * 3.0, axis=1)
silent = Options(progress=False, cache_dir=Path(sys.argv[1]))  # a slow build would be shown
with gc.Session(options=silent) as sess:
    value = sess.run(y, {x: np.zeros((2, 5), np.float32)})
stats = sess.stats
print(json.dumps([value.tolist(), stats.compilations, stats.cache_hits, "numba" in sys.modules]))
"""


def in_new_process(cache: Path) -> tuple[list[object], str]:
    """What the model prints in a process of its own, and its warnings."""
    done = subprocess.run(
        [sys.executable, "-c", MODEL, str(cache)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def test_a_second_process_compiles_nothing_and_imports_no_numba(tmp_path: Path) -> None:
    (value, compilations, _, numba), _ = in_new_process(tmp_path)
    assert value == [15.0, 15.0] and compilations == 1 and numba
    (value, compilations, hits, numba), err = in_new_process(tmp_path)
    assert (value, compilations, hits, numba) == ([15.0, 15.0], 0, 1, False) and err == ""


def test_the_driver_is_compiled_once_for_a_cache(tmp_path: Path) -> None:
    in_new_process(tmp_path)
    (path,) = tmp_path.glob("driver_*.o")
    made = path.stat().st_mtime_ns
    assert in_new_process(tmp_path)[1] == "" and path.stat().st_mtime_ns == made
    path.write_bytes(b"")
    assert "damaged" in in_new_process(tmp_path)[1] and path.stat().st_size > 1000


@pytest.mark.parametrize("damage", ["empty", "short", "flipped", "foreign"])
def test_damage_is_found_and_mended(tmp_path: Path, damage: str) -> None:
    in_new_process(tmp_path)
    (path,) = tmp_path.glob("gc_*.o")
    good = path.read_bytes()
    path.write_bytes(
        {
            "empty": b"",
            "short": good[: len(good) // 2],
            "flipped": good[:-1] + bytes([good[-1] ^ 1]),
            "foreign": b"\x7fELF" * 99,
        }[damage]
    )
    (value, compilations, *_), err = in_new_process(tmp_path)
    assert value == [15.0, 15.0] and compilations == 1 and "damaged" in err
    assert path.read_bytes() == good
    assert in_new_process(tmp_path)[1] == ""


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    (value, compilations, *_), err = in_new_process(blocked)
    assert value == [15.0, 15.0] and compilations == 1 and "cannot write the kernel cache" in err


def test_a_file_of_an_older_graphc_is_compiled_again_without_a_word(tmp_path: Path) -> None:
    in_new_process(tmp_path)
    (path,) = tmp_path.glob("gc_*.o")
    path.write_bytes(b"graphc-object-1\n" + bytes(99))
    assert in_new_process(tmp_path)[1] == "" and path.read_bytes().startswith(MAGIC)


# ---- whom a cache trusts: docs/reliability.md ----


def refused(cache: Path) -> str:
    """The one warning of a process that does not use a cache, and is right without it."""
    before = sorted((p.name, p.read_bytes()) for p in cache.iterdir())
    (value, compilations, *_), err = in_new_process(cache)
    assert value == [15.0, 15.0] and compilations == 1 and err.count("Warning") == 1, err
    assert sorted((p.name, p.read_bytes()) for p in cache.iterdir()) == before
    return err


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o722, 0o1777])
def test_a_folder_that_others_can_write_to_is_not_used(tmp_path: Path, mode: int) -> None:
    in_new_process(tmp_path)
    tmp_path.chmod(mode)
    assert "other users can write to" in (said := refused(tmp_path)) and "chmod go-w" in said
    tmp_path.chmod(0o755)
    (_, compilations, *_), err = in_new_process(tmp_path)
    assert compilations == 0 and err == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_another_users_folder_is_not_used(tmp_path: Path) -> None:
    in_new_process(tmp_path)
    os.chown(tmp_path, 12345, -1)
    assert "belongs to another user" in refused(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("name", ["gc_*.o", "driver_*.o"])
def test_another_users_file_is_not_run(tmp_path: Path, name: str) -> None:
    in_new_process(tmp_path)
    (path,) = tmp_path.glob(name)
    os.chown(path, 12345, -1)
    assert "belongs to another user" in in_new_process(tmp_path)[1]
    assert path.stat().st_uid == os.geteuid()
    assert in_new_process(tmp_path)[1] == ""


@pytest.mark.parametrize("what", ["link", "writable", "renamed", "another key", "no key", "short"])
def test_a_file_that_was_not_made_here_is_compiled_again(tmp_path: Path, what: str) -> None:
    in_new_process(tmp_path)
    (path,), key = tmp_path.glob("gc_*.o"), tmp_path / "key"
    good, (driver,) = path.read_bytes(), tmp_path.glob("driver_*.o")
    if what == "link":
        os.rename(path, tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
    elif what == "writable":
        path.chmod(0o666)
    elif what == "renamed":  # a sealed file of another kernel
        path.write_bytes(driver.read_bytes())
    elif what == "another key":
        key.write_bytes(bytes(32))
    elif what == "no key":
        key.unlink()
    else:
        key.write_bytes(b"short")
    (value, compilations, *_), err = in_new_process(tmp_path)
    assert value == [15.0, 15.0] and compilations == 1
    assert ("Warning" in err) == (what != "link")
    assert not path.is_symlink() and len(path.read_bytes()) == len(good)
    assert in_new_process(tmp_path)[1] == ""


@pytest.mark.parametrize("size", [0, 31, 33, 150])
def test_a_damaged_key_is_as_if_there_were_none(tmp_path: Path, size: int) -> None:
    """Of more than 64 bytes it ended the run; of none, the seal was one that anybody can make."""
    cache = Cache(tmp_path)
    cache.write("one", b"code")
    (tmp_path / "key").write_bytes(b"x" * size)
    with pytest.warns(UserWarning, match="one.o is damaged; compiling it again"):
        assert cache.read("one") is None
    cache.write("one", b"code")
    assert cache.read("one") == b"code" and (tmp_path / "key").stat().st_size == 32


def test_a_key_that_others_can_write_is_not_used(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.write("one", b"code")
    (tmp_path / "key").chmod(0o666)
    with pytest.warns(UserWarning, match="the kernel cache is not used: other users can write to"):
        assert cache.read("one") is None


def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    cache = tmp_path / "a" / "b"
    in_new_process(cache)
    assert cache.stat().st_mode & 0o777 == 0o700
    assert {p.stat().st_mode & 0o777 for p in cache.iterdir()} == {0o600}


def test_processes_that_begin_at_once_have_one_key(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    in_threads([lambda k=k: cache.write(f"gc_{k}", bytes([k])) for k in range(16)])
    assert [cache.read(f"gc_{k}") for k in range(16)] == [bytes([k]) for k in range(16)]
    assert len(list(tmp_path.iterdir())) == 17


# ---- full disks, and caches that grow ----


@pytest.mark.parametrize("fault", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_the_kth_file_operation_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    """What was there stays, nothing unfinished stays, and the next write works."""

    class FullDisk:
        def __init__(self, k: int) -> None:
            self.left = k

        def __getattr__(self, name: str) -> object:
            real = getattr(os, name)
            if name not in ("open", "fdopen", "replace", "link", "fstat"):
                return real

            def call(*args: object, **kwargs: object) -> object:
                self.left -= 1
                if self.left == 0:
                    raise fault
                return real(*args, **kwargs)

            return call

    for k in itertools.count(1):
        cache = Cache(tmp_path / str(k))
        cache.directory.mkdir(mode=0o700)
        cache.keep("notes", b"before")
        with monkeypatch.context() as patch:
            patch.setattr(private_folder, "os", disk := FullDisk(k))
            try:
                cache.write("gc_1", b"code")
            except (UserWarning, KeyboardInterrupt) as error:
                assert isinstance(error, KeyboardInterrupt) or "cannot write" in str(error)
        assert not list(cache.directory.glob("*.tmp"))
        assert cache.kept("notes") == b"before"
        if disk.left > 0:
            break
        cache.write("gc_1", b"new code")
        assert cache.read("gc_1") == b"new code"
    assert k > 8


def test_a_cache_has_a_bound(tmp_path: Path) -> None:
    cache = Cache(tmp_path, most=50_000)
    old, foreign = tmp_path / "dead.tmp", tmp_path / "notes.txt"
    for path in (old, foreign):
        path.write_bytes(b"x" * 60_000)
        os.utime(path, (time.time() - 7200,) * 2)
    for k in range(400):
        cache.write(f"gc_{k}", bytes(1000))
        now = time.time() - 10_000 + k
        os.utime(tmp_path / f"gc_{k}.o", (now, now))
    files = list(tmp_path.glob("*.o"))
    assert 20_000 < sum(p.stat().st_size for p in files) < 120_000
    numbers = sorted(int(p.stem.removeprefix("gc_")) for p in files)
    assert numbers == list(range(400 - len(numbers), 400)), "the oldest go first"
    assert foreign.exists() and not old.exists()


def test_what_is_read_is_not_old(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.write("gc_1", b"code")
    path = tmp_path / "gc_1.o"
    os.utime(path, (1000, 1000))
    assert cache.read("gc_1") == b"code"
    assert path.stat().st_mtime != 1000


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_cache(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    (value, *_), err = in_new_process(tmp_path)
    assert value == [15.0, 15.0] and "cannot write" in err


def test_names_of_kernels_depend_on_the_source_and_the_cpu_alone() -> None:
    host = host_cpu()
    assert jit.symbol_of("a", host) == jit.symbol_of("a", replace(host)) != jit.symbol_of("b", host)
    others = [replace(host, **{f.name: "another"}) for f in fields(host)]
    assert len({jit.symbol_of("a", cpu) for cpu in (host, *others)}) == 4


@pytest.mark.parametrize(
    "sources", [jit.MACHINE_CODE, cubin.MACHINE_CODE_SOURCES], ids=["cpu", "cuda"]
)
def test_each_file_that_makes_machine_code_changes_the_names(
    sources: tuple[str, ...], tmp_path: Path
) -> None:
    files = {path.relative_to(PACKAGE) for path in files_of(sources)}
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes((PACKAGE / file).read_bytes())
    before = hash_of(sources, root=tmp_path)
    assert before == hash_of(sources) and before != hash_of(sources, "another compiler")
    for file in files:
        text = (PACKAGE / file).read_bytes()
        (tmp_path / file).write_bytes(text + b"\n")
        assert hash_of(sources, root=tmp_path) != before, file
        (tmp_path / file).write_bytes(text)
    assert hash_of(sources, root=tmp_path) == before
    with pytest.raises(FileNotFoundError):
        hash_of(("codegen/moved_away",), root=tmp_path)


def test_a_cache_holds_no_addresses_or_data(tmp_path: Path) -> None:
    """Two graphs with other constants and names, but the same arithmetic, share one kernel."""
    counts = []
    for fill in (1.0, 2.0):
        with gc.Graph().as_default(), gc.Session(cache_dir=tmp_path) as sess:
            x = gc.placeholder(gc.float32, [None, 41], name=f"x{fill}".replace(".", "_"))
            sess.run(
                gc.tanh(x) + as_tensor(np.full((41,), fill, np.float32)),
                {x: np.zeros((3, 41), np.float32)},
            )
            counts.append(sess.stats.compilations)
    assert counts[1] == 0


# ---- graphc cache ----


def test_cache_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    in_new_process(tmp_path)
    assert main(["cache", "--dir", str(tmp_path)]) == 0
    assert "2 objects" in capsys.readouterr().out
    assert main(["cache", "--dir", str(tmp_path), "--list"]) == 0
    assert "gc_" in capsys.readouterr().out
    (path,) = tmp_path.glob("gc_*.o")
    main(["cache", "--dir", str(tmp_path), "--prune-days", "1"])
    assert path.exists()
    os.utime(path, (time.time() - 5 * 86400,) * 2)
    main(["cache", "--dir", str(tmp_path), "--prune-days", "1"])
    assert not path.exists()
    keep = tmp_path / "notes.txt"
    keep.write_text("mine")
    (tmp_path / "gc_1.o").write_bytes(b"x")
    main(["cache", "--dir", str(tmp_path), "--clear"])
    assert keep.exists() and not list(tmp_path.glob("*.o"))
    assert main(["cache", "--dir", str(tmp_path / "absent")]) == 0


def test_the_command_line_chooses_the_cache(tmp_path: Path) -> None:
    model = tmp_path / "m.py"
    model.write_text("import graphc as gc\ny = gc.random.normal((3,))\n")
    command = [sys.executable, "-m", "graphc", "run", str(model), "--fetch", "y"]
    for _ in range(2):
        done = subprocess.run(
            [*command, "--cache", str(tmp_path / "kernels")],
            cwd=ROOT,
            timeout=120,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0 and done.stdout.startswith("y: f32[3] = ")
    assert len(list((tmp_path / "kernels").glob("gc_*.o"))) == 1
