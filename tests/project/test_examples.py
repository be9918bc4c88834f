"""Each example runs as a script, asserts its own result, and says what it reached."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAST_LINE = {
    "autoencoder.py": r"test error 0\.01\d+ with 8 numbers an image; PCA: 0\.02\d+",
    "char_lstm.py": r"validation loss [12]\.\d+ nats a character after 150 steps, .* s",
    "custom_loss.py": r"Cauchy loss: y = (2\.0|1\.9)\d+ x \+ -(1\.0|0\.9)\d+; the truth: .*",
    "devices.py": r"loss 0\.\d+ on every choice of devices|the simulator needs greenlet: .*",
    "gan_digits.py": r"means differ by 0\.0\d+, spread [01]\.\d+ of the data's; real or not: .*",
    "gpt.py": r"a poem: 0\.[0-4]\d+ nats per character after 300 steps",
    "linear_regression.py": r"L1: \[.*\], [3-9] of 10 weights are 0",
    "logistic_regression.py": r"L1 uses \d+ of 30 measurements: test accuracy 0\.9[4-9]\d+",
    "mnist_cnn.py": r"test accuracy 0\.9[7-9]\d+ after 25 epochs",
    "mnist_mlp.py": r"test accuracy 0\.9[5-9]\d+ after 40 epochs, .* s",
    "my_relu.py": r"accuracy (0\.9[5-9]\d+|1\.0000)",
    "name_rnn.py": r"160 names of 4 languages: test accuracy (0\.[6-9]\d+|1\.000)",
    "own_cell.py": r"20 steps of time: mean squared error 0\.0[01]\d+, always saying 1: 0.167",
    "own_kernel.py": r"rates 0\.(1|09)\d+ and 0\.(6|5)\d+; the truth: .*",
    "own_pass.py": r"a sum of 13th powers by 5 products each: \d+\.\d+",
    "own_py_func.py": r"distance \d\.\d+ -> 0\.0\d+ in 150 steps",
    "own_gradient.py": r"test accuracy 0\.9\d+ with hidden units of one bit",
    "own_layer.py": r"twenty layers: plain 0\.\d+, highway 0\.9\d+",
    "own_loss.py": r"recall 0\.[7-9]\d+, precision 0\.[7-9]\d+",
    "own_optimizer.py": r"test accuracy 0\.9[4-9]\d+",
    "resnet8.py": r"test accuracy (0\.9[7-9]\d+|1\.0000) after 4 epochs",
    "save_and_load.py": r"saved \d+ bytes; ten more steps .* bit for bit",
    "simple_cnn.py": r"test accuracy 0\.9[7-9]\d+ after 25 epochs",
    "what_if.py": r"\d+ times as fast as on the CPU",
    "softmax_regression.py": r"test accuracy 0\.9\d+",
}
NEEDS = dict.fromkeys(
    (
        "autoencoder.py",
        "gan_digits.py",
        "linear_regression.py",
        "logistic_regression.py",
        "mnist_cnn.py",
        "mnist_mlp.py",
        "own_gradient.py",
        "own_layer.py",
        "own_loss.py",
        "own_optimizer.py",
        "resnet8.py",
        "simple_cnn.py",
        "softmax_regression.py",
    ),
    "sklearn",
)
CASES = [(name, ()) for name in LAST_LINE] + [("mnist_mlp.py", ("--optimizer", "sgd"))]


def test_every_example_is_listed_and_short() -> None:
    found = {path.name: path.read_text() for path in (ROOT / "examples").glob("*.py")}
    assert set(found) == set(LAST_LINE)
    assert {name: n for name, text in found.items() if (n := text.count("\n")) >= 80} == {}
    assert all("--quick" in text and "assert" in text for text in found.values())


@pytest.mark.parametrize("name, arguments", CASES)
def test_example(name: str, arguments: tuple[str, ...]) -> None:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name], reason="scikit-learn brings the data")
    environment = {k: v for k, v in os.environ.items() if k != "GRAPHC_DATA"}
    environment["PYTHONPATH"] = str(ROOT)
    done = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "examples" / name), "--quick", *arguments],
        capture_output=True,
        text=True,
        env=environment,
        cwd=ROOT,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    last = done.stdout.rstrip().rsplit("\n", 1)[-1]
    assert re.fullmatch(LAST_LINE[name], last), done.stdout
