"""The layers: a room of a folder, a file or a folder, imports only from floors below its own."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from graphc.codegen.cache import files_of
from graphc.codegen.cpu.toolchain import jit
from graphc.codegen.cuda.toolchain import cubin

PACKAGE = Path(__file__).parents[2] / "graphc"
# The rooms of each folder that has folders, from the ground up; one line is one floor.  A folder
# without a row has files alone; of those it is asked that they have no circle, as of all rooms.
FLOORS = {
    "": """
        errors.py public.py interrupts.py
        ir
        config.py
        passes
        codegen
        frontend
        functions
        random.py linalg
        init.py fft.py
        runtime
        compiler
        profile
        explain session
        nn
        optim extend data
        testing
        __init__.py
        cli
        __main__.py
    """,
    "ir": """
        piecewise.py
        polynomial.py
        dim.py types.py units.py record.py
        bounds.py
        requirement.py
        site.py
        op.py
        inside.py
        ops
        graph.py
        program.py machine.py arena.py needs.py
        substitute.py verify.py text interpret.py
        control.py
    """,
    "passes": """
        rewrite trace.py
        base.py parse.py
        graph autodiff
        cost
        fusion memory
        pipeline.py
        target.py
        placement
        oracle
    """,
    "codegen": """
        private_folder.py forks.py status.py
        cache.py workers.py mathlib device_source.py
        target.py
        loops
        lower
        cpu
        cuda
    """,
    "codegen/cpu": """
        microkernels
        intrinsics
        toolchain
        gemm_library.py
        schedules
        printer.py emulate.py emulate_scalars.py emulate_tiles.py emulate_checks.py
        checked_source.py kernels.py
        target.py
    """,
    "codegen/cuda": """
        source.py printer.py frame.py vector.py
        toolchain schedules tensorcores simulator
        kernels.py
        target.py
    """,
    "runtime": """
        cpu
        device
        cuda
        devices.py
    """,
    "nn": """
        functional init.py state.py members.py module.py containers.py
        layers
        __init__.py
    """,
    "extend": """
        op_table.py scalar_function.py spelling.py
        declaration.py rewrite_rule.py
        kernel_language decorators.py python_function.py interpreter.py ops.py
        __init__.py
    """,
}
# ruff counts columns (E501); what is counted here, no tool counts.
LONGEST_FILE, LONGEST_FUNCTION = 400, 40
FILES = sorted(p.relative_to(PACKAGE).as_posix() for p in PACKAGE.rglob("*.py"))


def room(path: str, folder: str) -> str:
    """What of a folder a file is in: itself or a sub-folder."""
    inside = Path(path).relative_to(folder) if folder else Path(path)
    return inside.parts[0]


def floor_of(path: str, folder: str) -> int:
    """The floor of a file in a folder that has a row."""
    wanted = room(path, folder)
    for number, rooms in enumerate(FLOORS[folder].strip().splitlines()):
        if wanted in rooms.split():
            return number
    if wanted == "__init__.py":  # a docstring alone, in most folders
        return -1
    raise AssertionError(f"graphc/{path}: {wanted} is on no floor of {folder!r}; add it to FLOORS")


def meeting(path: str, other: str) -> str:
    """The innermost folder that has both files."""
    shared = [p.as_posix() for p in Path(path).parents if p in Path(other).parents]
    return "" if shared[0] == "." else shared[0]


def file_of(module: str) -> str:
    """`graphc.ir.op` -> `ir/op.py`, `graphc.ir.ops` -> `ir/ops/__init__.py`."""
    inner = module.split(".")[1:]
    as_file = "/".join(inner) + ".py"
    return as_file if inner and (PACKAGE / as_file).exists() else "/".join([*inner, "__init__.py"])


def imports(path: str) -> Iterator[tuple[int, str]]:
    """Line and file of each import of graphc's own modules, inside functions too."""
    for node in ast.walk(ast.parse((PACKAGE / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for name in node.names:
                if name.name.split(".")[0] == "graphc":
                    yield node.lineno, file_of(name.name)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"graphc/{path}:{node.lineno} imports relatively"
            if node.module and node.module.split(".")[0] == "graphc":
                for name in node.names:
                    inner = file_of(f"{node.module}.{name.name}")
                    exists = (PACKAGE / inner).exists()
                    yield node.lineno, inner if exists else file_of(node.module)


@pytest.mark.parametrize("path", FILES)
def test_imports_go_down(path: str) -> None:
    for line, other in imports(path):
        folder = meeting(path, other)
        if folder in FLOORS:
            assert floor_of(other, folder) <= floor_of(path, folder), (
                f"graphc/{path}:{line} imports {other}"
            )


LATE = {  # the only imports of graphc's own modules inside functions, and why
    "codegen/cpu/toolchain/jit.py": "numba is imported only where something must be compiled",
    "codegen/cuda/toolchain/cubin.py": "numba-cuda is imported only to compile for a GPU",
    "session/lazy.py": "what only devices, profiles and plans need is imported when they do",
    "codegen/cpu/target.py": "numba is imported only where LLVM IR is asked for",
}


@pytest.mark.parametrize("path", FILES)
def test_imports_stand_at_the_top(path: str) -> None:
    tree = ast.parse((PACKAGE / path).read_text(encoding="utf-8"))
    late = [
        node.lineno
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("graphc"))
        or (isinstance(node, ast.Import) and any(n.name.startswith("graphc") for n in node.names))
    ]
    assert not late or path in LATE, f"graphc/{path}: lines {late}"


def circle(edges: dict[str, set[str]]) -> set[str]:
    """The nodes that cannot be put in order; empty if all can."""
    left = dict(edges)
    while free := [node for node, others in left.items() if not others & left.keys()]:
        for node in free:
            del left[node]
    return set(left)


def test_imports_have_no_circle() -> None:
    edges = {path: {other for _, other in imports(path)} - {path} for path in FILES}
    assert circle(edges) == set()


@pytest.mark.parametrize("folder", sorted({Path(path).parent.as_posix() for path in FILES}))
def test_the_rooms_of_a_folder_have_no_circle(folder: str) -> None:
    folder = "" if folder == "." else folder
    edges: dict[str, set[str]] = {}
    for path in FILES:
        if path.startswith(f"{folder}/" if folder else ""):
            mine = edges.setdefault(room(path, folder), set())
            mine |= {
                room(other, folder)
                for _, other in imports(path)
                if other.startswith(f"{folder}/" if folder else "")
            } - {room(path, folder)}
    assert circle(edges) == set()


def test_every_folder_says_what_lives_there() -> None:
    for path in FILES:
        if path.endswith("__init__.py"):
            said = ast.get_docstring(ast.parse((PACKAGE / path).read_text(encoding="utf-8"))) or ""
            assert len(said.splitlines()) >= 3, f"graphc/{path}"


@pytest.mark.parametrize(
    "roots, hashed",
    [
        (
            (
                "codegen/cpu/toolchain/numba_frontend.py",
                "codegen/cpu/gemm_library.py",
                "codegen/cpu/toolchain/jit.py",
            ),
            jit.MACHINE_CODE,
        ),
        (
            ("codegen/cuda/toolchain/namespace.py", "codegen/cuda/toolchain/cubin.py"),
            cubin.MACHINE_CODE_SOURCES,
        ),
    ],
    ids=["cpu", "cuda"],
)
def test_names_of_machine_code_depend_on_all_that_makes_it(
    roots: tuple[str, ...], hashed: tuple[str, ...]
) -> None:
    """A file that decides what machine code a text becomes, but is not in the hash, would let a
    changed graphc load what the old one made."""
    known = {path.relative_to(PACKAGE).as_posix() for path in files_of(hashed)}
    assert set(roots) <= known
    for path in sorted(known):
        others = {other for _, other in imports(path)} - HARMLESS.keys()
        assert others <= known, f"graphc/{path} imports {sorted(others - known)}"


HARMLESS = {  # what these import, but what no machine code depends on, and why
    "errors.py": "its texts are of errors",
    "interrupts.py": "it tells when Ctrl-C is taken",
    "config.py": "what an option decides is in the source",
    "ir/dim.py": "sizes are arguments of a kernel, or stand in its source",
    "codegen/forks.py": "it is about locks",
    "codegen/cache.py": "it keeps machine code, and knows nothing of it",
    "codegen/cuda/source.py": "what it puts into a text is in the text",
    "codegen/device_source.py": "all that it says of a kernel stands in the kernel's name",
    "codegen/workers.py": "it hands sources to processes",
}


def test_the_checks_find_what_they_are_for() -> None:
    assert "session/session.py" in {other for _, other in imports("__init__.py")}
    assert meeting("ir/ops/shape.py", "ir/graph.py") == "ir"
    assert floor_of("ir/ops/shape.py", "ir") < floor_of("ir/graph.py", "ir")
    assert meeting("passes/fusion/fuse.py", "session/session.py") == ""
    assert floor_of("passes/fusion/fuse.py", "") < floor_of("session/session.py", "")
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == {"a", "b", "c"}


def length(function: ast.FunctionDef) -> int:
    """Lines of a function's body, less its docstring: what a reader has to hold at once."""
    first = function.body[1:2] if ast.get_docstring(function) else function.body[:1]
    assert function.end_lineno is not None
    return function.end_lineno - first[0].lineno + 1 if first else 0


@pytest.mark.parametrize("path", FILES)
def test_files_and_functions_are_short(path: str) -> None:
    text = (PACKAGE / path).read_text(encoding="utf-8")
    assert text.count("\n") <= LONGEST_FILE
    long = [
        f"graphc/{path}:{node.lineno} {node.name}: {length(node)} lines"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef) and length(node) > LONGEST_FUNCTION
    ]
    assert long == []


def test_only_config_reads_the_environment() -> None:
    readers = {
        path
        for path in FILES
        if "os.environ" in (text := (PACKAGE / path).read_text(encoding="utf-8"))
        or "getenv" in text
    }
    assert readers == {"config.py"}


def test_a_public_class_has_its_name_alone() -> None:
    """Except an op and what users hold of it: a layer or a tensor."""
    found: dict[str, list[str]] = {}
    for path in FILES:
        for node in ast.parse((PACKAGE / path).read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found.setdefault(node.name, []).append(path)
    users = ("nn/", "frontend/", "optim/")
    twice = {
        name: paths
        for name, paths in found.items()
        if len([p for p in paths if not p.startswith("ir/")]) > 1
        or (len(paths) > 1 and not any(p.startswith(users) for p in paths))
        or len([p for p in paths if p.startswith("ir/")]) > 1
    }
    assert twice == {}
