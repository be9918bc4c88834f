"""Sizes: what is computed, printed (kernels evaluate the text) and parsed is one."""

from __future__ import annotations

import random

from graphc.ir import dim
from graphc.ir.dim import Size, symbol

GIVEN = ({"n": 1, "m": 4}, {"n": 5, "m": 3}, {"n": 8, "m": 0}, {"n": 33, "m": 7})


def random_size(rng: random.Random, depth: int) -> Size:
    if depth == 0:
        return rng.choice([symbol("n"), symbol("m"), rng.randint(-5, 5), 1, 2])
    a, b = random_size(rng, depth - 1), random_size(rng, depth - 1)
    divisor: Size = rng.choice([1, 2, 3, 7, symbol("n")])
    return rng.choice(
        [a + b, a - b, a * b, a // divisor, a % divisor, dim.minimum(a, b), dim.maximum(a, b)]
    )


def test_text_means_what_the_size_means() -> None:
    rng = random.Random(1)
    for _ in range(3000):
        size = random_size(rng, rng.randint(1, 4))
        for values in GIVEN:
            wanted = dim.evaluate(size, values)
            assert eval(str(size), {}, dict(values)) == wanted, size
            assert dim.evaluate(dim.parse(str(size)), values) == wanted, size


def test_a_negative_quotient_is_not_the_quotient_of_a_negative() -> None:
    n = symbol("n")
    assert str(n - 1 - n // 2) != "-n//2+n-1"
    assert eval(str(0 - n // 2), {"n": 5}) == -2 == dim.evaluate(0 - n // 2, {"n": 5})
    assert eval(str(0 - n % 3), {"n": 5}) == -2
