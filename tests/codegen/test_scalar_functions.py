"""The table of scalar functions: all that knows a function's name takes it from there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from graphc.codegen.cpu import emulate
from graphc.codegen.cpu.intrinsics.namespace import NAMESPACE
from graphc.codegen.cuda.simulator.scalars import SCALARS
from graphc.codegen.cuda.toolchain import cubin
from graphc.codegen.mathlib.function_table import FUNCTIONS
from graphc.errors import DeviceError
from graphc.extend.kernel_language.callables import kernel_names

NEW_FUNCTION = """
import math
import types
import numpy as np
import graphc as gc
from graphc.codegen.mathlib import function_table

# 1. the definition, over the abstract scalar
def half_square(x):
    return x * x * 0.5

# 2. its row; here a function of Python's stands for one of `math`
def python_half_square(x):
    return type(x)(x * x / 2)

names = "half_square", half_square, None, python_half_square, "half_square"
row = function_table.ScalarFunction(*names)
TABLE = {**function_table.FUNCTIONS, row.name: row}
function_table.FUNCTIONS = types.MappingProxyType(TABLE)

# 3. the op
from graphc.ir.op import sample
from graphc.ir.ops.elementary import Elementary
from graphc.ir.types import f32, f64

class HalfSquare(Elementary):
    spelling, cost, samples = "half_square({0})", 2, (sample(f32[5]), sample(f64[5]))

    def reference(self, x):
        return (x * x * 0.5).astype(x.dtype)

    def vjp(self, ct, out, x):
        return (ct * x,)

# 4. the public function, and then every machine that a test without a GPU has
from graphc.frontend.arguments import apply

@gc.kernel
def by_hand(out, x):
    for i in range(len(x)):
        out[i] = python_half_square(x[i])

for dtype in (np.float32, np.float64):
    x = np.array([-1.5, 0.0, 3.0], dtype)
    with gc.Graph().as_default(), gc.Session() as sess:
        t = gc.asarray(x)
        np.testing.assert_array_equal(sess.run(apply(HalfSquare(), t)), x * x / 2)
        np.testing.assert_array_equal(sess.run(by_hand(t)), x * x / 2)

from graphc.codegen.cpu import emulate
from graphc.codegen.cuda.simulator.scalars import SCALARS
for namespace in (emulate.NAMESPACE, SCALARS):
    assert namespace["half_square"](np.float32(3)) == np.float32(4.5)
print("one row")
"""


def test_a_new_function_is_one_row(tmp_path: Path) -> None:
    script = tmp_path / "new_function.py"  # a file, for a kernel is read from its source
    script.write_text(NEW_FUNCTION)
    done = subprocess.run(
        [sys.executable, str(script)],
        env={
            "GRAPHC_CACHE_DIR": str(tmp_path),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "one row\n", done.stderr


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_machine_has_every_function(name: str) -> None:
    row = FUNCTIONS[name]
    assert row.name == name
    assert name in NAMESPACE and name in emulate.NAMESPACE and name in SCALARS
    for python in (row.numpy, row.math):
        assert python is None or kernel_names()[id(python)] == name


@pytest.mark.cuda_compile
def test_the_gpu_has_every_function() -> None:
    try:
        cubin.require()
    except DeviceError as error:
        pytest.skip(str(error))
    from graphc.codegen.cuda.toolchain import scalars

    assert FUNCTIONS.keys() <= scalars.SCALARS.keys()
