"""The layers: a file imports only from layers above its own in this list, or from its own."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from graphc.codegen.cache import files_of
from graphc.codegen.cpu.toolchain import jit
from graphc.codegen.cuda.toolchain import cubin

PACKAGE = Path(__file__).parents[1] / "graphc"
LAYERS = (
    ("errors.py",),
    ("door.py",),
    ("config.py",),
    ("ir/dim.py",),
    ("ir/types.py",),
    ("ir/record.py",),
    ("ir/op.py",),
    ("ir/ops/",),
    ("ir/graph.py",),
    ("ir/program.py",),
    ("ir/",),
    ("passes/",),
    ("codegen/",),
    ("runtime/",),
    ("tune.py",),
    ("compile.py", "explain.py"),
    ("placed.py",),
    ("explain_placed.py",),
    ("fit.py",),
    ("scope.py", "nest.py"),
    ("shapes.py",),
    ("subscript.py",),
    ("tensor.py", "group.py", "declare.py"),
    ("functions/",),
    ("differentiate.py", "random.py", "effects.py"),
    ("linalg/", "fft.py"),
    ("stage.py",),
    ("fetches.py",),
    ("planning.py",),
    ("profile.py",),
    ("blame.py", "runner.py"),
    ("placed_run.py",),
    ("profile_table.py",),
    ("recorder.py",),
    ("late.py",),
    ("session.py",),
    ("customize.py", "handwritten.py", "python_function.py"),
    ("init.py",),
    ("nn/",),
    ("optim/",),
    ("data.py",),
    ("__init__.py",),
    ("cli/", "__main__.py"),
)
# ruff counts columns (E501); what is counted here, no tool counts.
LONGEST_FILE, LONGEST_FUNCTION = 400, 40
FILES = sorted(p.relative_to(PACKAGE).as_posix() for p in PACKAGE.rglob("*.py"))


def layer_of(path: str) -> int:
    """The layer of a file: that of its own entry, else that of its directory's."""
    for entry in (path, *(f"{parent.as_posix()}/" for parent in Path(path).parents)):
        for number, entries in enumerate(LAYERS):
            if entry in entries:
                return number
    raise AssertionError(f"graphc/{path} is in no layer: add it to LAYERS")


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
    mine = layer_of(path)
    wrong = [f"graphc/{path}:{line} imports {other}" for line, other in imports(path)
             if layer_of(other) > mine]
    assert wrong == []


LATE = {  # the only imports of graphc's own modules inside functions, and why
    "codegen/cpu/toolchain/jit.py": "numba is imported only where something must be compiled",
    "codegen/cuda/toolchain/cubin.py": "numba-cuda is imported only where something must be compiled for a GPU",
    "late.py": "what only devices, profiles and plans need is imported when they do",
    "__init__.py": "gc.plan is: it needs all that devices need",
    "cli/dump.py": "numba is imported only where LLVM IR is asked for",
}


@pytest.mark.parametrize("path", FILES)
def test_imports_stand_at_the_top(path: str) -> None:
    tree = ast.parse((PACKAGE / path).read_text(encoding="utf-8"))
    late = [
        node.lineno
        for function in ast.walk(tree) if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("graphc"))
        or (isinstance(node, ast.Import) and any(n.name.startswith("graphc") for n in node.names))
    ]
    assert not late or path in LATE, f"graphc/{path}: lines {late}"


def test_imports_have_no_cycles() -> None:
    edges = {path: {other for _, other in imports(path)} - {path} for path in FILES}
    order: list[str] = []
    while len(order) < len(FILES):
        free = [p for p in FILES if p not in order and not edges[p] - set(order)]
        assert free, f"a cycle among {sorted(set(FILES) - set(order))}"
        order += free


@pytest.mark.parametrize("roots, hashed", [
    (("codegen/cpu/toolchain/numba_frontend.py", "codegen/cpu/gemm_library.py", "codegen/cpu/toolchain/jit.py"), jit.MACHINE_CODE),
    (("codegen/cuda/toolchain/namespace.py", "codegen/cuda/toolchain/cubin.py"), cubin.MACHINE_CODE),
], ids=["cpu", "cuda"])
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
    "config.py": "what an option decides is in the source",
    "codegen/cache.py": "it keeps machine code, and knows nothing of it",
    "codegen/cuda/source.py": "all that it says of a kernel stands in the kernel's name",
    "codegen/workers.py": "it hands sources to processes",
}


def test_the_check_finds_an_upward_import() -> None:
    assert ("session.py" in {other for _, other in imports("__init__.py")})
    assert layer_of("ir/ops/shape.py") < layer_of("ir/graph.py") < layer_of("ir/verify.py")
    assert layer_of("passes/fusion/fuse.py") < layer_of("session.py") < layer_of("cli/dump.py")


@pytest.mark.parametrize("path", FILES)
def test_files_and_functions_are_short(path: str) -> None:
    text = (PACKAGE / path).read_text(encoding="utf-8")
    assert text.count("\n") <= LONGEST_FILE
    long = [
        f"graphc/{path}:{node.lineno} {node.name}: {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef) and node.end_lineno is not None
        and node.end_lineno - node.lineno >= LONGEST_FUNCTION
    ]
    assert long == []


def test_only_config_reads_the_environment() -> None:
    readers = {
        path for path in FILES
        if "os.environ" in (text := (PACKAGE / path).read_text(encoding="utf-8"))
        or "getenv" in text
    }
    assert readers == {"config.py"}
