"""Graph passes of your own, which a session runs among graphc's: `gc.Session(passes=[...])`.

    python examples/own_pass.py [--quick]

`powers` writes x**n as a chain of squarings, because a product is cheaper than a power.  A second
pass only looks: it counts the ops of what will be compiled.  The verifier checks both, and the
oracle says whether the graph still means the same.
"""

import argparse
from collections import Counter

import numpy as np

import graphc as gc
from graphc.extend import interpret, make, ops, parse_graph, print_graph, rebuild


def powers(graph):
    """x**n for whole n from 2 to 64, by squaring."""

    def change(v):
        if not isinstance(v.op, ops.Power) or not isinstance(v.args[1].op, ops.Full):
            return v
        base, n = v.args[0], v.args[1].op.value
        if n != int(n) or not 2 <= n <= 64:
            return v
        result = None
        for bit in reversed(f"{int(n):b}"):
            if bit == "1":
                result = base if result is None else make(ops.Multiply(), (result, base), "", v.loc)
            base = make(ops.Multiply(), (base, base), "", v.loc)
        return result

    return rebuild(graph, change)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="no shorter: for the tests")
    parser.parse_args()
    seen = Counter()

    def count(graph):
        seen.update(v.op.name for v in graph.nodes())
        return graph

    x = gc.placeholder(gc.float64, [None], name="x")
    y = gc.sum(x**13.0 + 1.0)
    given = np.linspace(0.5, 1.5, 1001)
    with gc.Session(passes=[powers, count]) as sess:
        found = float(sess.run(y, {x: given}))
    assert seen["power"] == 0 and seen["multiply"] == 5, seen
    np.testing.assert_allclose(found, np.sum(given**13 + 1), rtol=1e-12)

    before = parse_graph("""graph @f(%x: f64[n]) {
      %y = power %x, 10.0f64 : f64[n]
      return %y
    }""")
    after = powers(before)
    print(print_graph(after), end="")
    np.testing.assert_allclose(interpret(after, given)[0], interpret(before, given)[0], rtol=1e-12)
    print(f"a sum of 13th powers by {seen['multiply']} products each: {found:.3f}")


if __name__ == "__main__":
    main()
