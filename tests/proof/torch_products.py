"""Pairs that multiply: matrix products, einsum, linear algebra; and control flow."""

from __future__ import annotations

from proof.torch_pairs import Call, Supply, Table, Var, either, same

PRODUCTS = Table()
pair = PRODUCTS


def facing(s: Supply, x: Var) -> Var:
    """A matrix that x can be multiplied by."""
    return s.floats((x.shape[-1], s.number(1, 9)))


@pair()
def matmul(s: Supply) -> Call:
    x = s.floats(rank=2)
    return either(str(s.pick(f"lib.matmul({x}, {facing(s, x)})", f"{x} @ {facing(s, x)}")))


@pair()
def matmul_own_transpose(s: Supply) -> Call:
    x = s.floats(rank=2)
    return same(f"{x} @ {x}.T")


@pair()
def matmul_batched(s: Supply) -> Call:
    x = s.floats(rank=3)
    return same(f"{x} @ {s.floats((x.shape[0], x.shape[2], s.number(1, 5)))}")


@pair()
def matmul_broadcast(s: Supply) -> Call:
    x = s.floats(ranks=(3, 4))
    return same(f"{x} @ {facing(s, x)}")


@pair()
def matmul_vector(s: Supply) -> Call:
    x = s.floats(ranks=(1, 2, 3))
    return same(f"{x} @ {s.floats(x.shape[-1:])}")


@pair()
def outer(s: Supply) -> Call:
    return either(f"lib.outer({s.floats(rank=1)}, {s.floats(rank=1)})")


@pair()
def inner(s: Supply) -> Call:
    x = s.floats(ranks=(1, 2))
    return either(f"lib.inner({x}, {s.floats((3, x.shape[-1]))})")


@pair()
def kron(s: Supply) -> Call:
    return either(f"lib.kron({s.floats((2, 3))}, {s.floats(rank=2)})")


@pair()
def vecdot(s: Supply) -> Call:
    x = s.floats(ranks=(1, 2, 3))
    k = s.axis(x)
    y = s.floats(x.shape)
    return Call(f"gc.vecdot({x}, {y}, axis={k})", f"torch.linalg.vecdot({x}, {y}, dim={k})")


@pair()
def cross(s: Supply) -> Call:
    x, y = s.floats((4, 3)), s.floats((4, 3))
    return Call(f"gc.cross({x}, {y})", f"torch.linalg.cross({x}, {y})")


@pair()
def trace(s: Supply) -> Call:
    return either(f"lib.trace({s.floats(rank=2)})")


@pair()
def tensordot(s: Supply) -> Call:
    x = s.floats(rank=3)
    y = s.floats((x.shape[2], x.shape[1], 4))
    axes = "([2, 1], [0, 1])"
    return Call(f"gc.tensordot({x}, {y}, axes={axes})", f"torch.tensordot({x}, {y}, dims={axes})")


@pair()
def einsum_one(s: Supply) -> Call:
    x = s.floats(rank=3)
    spelled = s.pick("ijk->kji", "ijk->j", "ijk->ik", "...k->...", "ijk->", "ijk->ki")
    return either(f"lib.einsum('{spelled}', {x})")


@pair()
def einsum_two(s: Supply) -> Call:
    x = s.floats(rank=3)
    i, j, k = x.shape
    spelled, shape = s.pick(
        ("ijk,kl->ijl", (k, 4)),
        ("ijk,ijk->ij", (i, j, k)),
        ("ijk,jk->i", (j, k)),
        ("ijk,ik->ijk", (i, k)),
        ("ijk,ikl->jl", (i, k, 3)),
        ("ijk,j->jki", (j,)),
        ("ijk,l->il", (3,)),
        ("ijk,ilk->ijl", (i, 4, k)),
    )  # type: ignore[misc]
    return either(f"lib.einsum('{spelled}', {x}, {s.floats(shape)})")


@pair()
def einsum_three(s: Supply) -> Call:
    x = s.floats(rank=2)
    y = s.floats((x.shape[1], 3))
    z = s.floats((3, 4))
    spelled = s.pick("ij,jk,kl->il", "ij,jk,kl->i", "ij,jk,kl->ljk")
    return either(f"lib.einsum('{spelled}', {x}, {y}, {z})")


@pair()
def linear(s: Supply) -> Call:
    x = s.floats(ranks=(1, 2, 3))
    return same(f"F.linear({x}, {s.floats((4, x.shape[-1]))}, {s.floats((4,))})")


@pair()
def bilinear(s: Supply) -> Call:
    x = s.floats(rank=2, least=1)
    y, w = s.floats((x.shape[0], 3)), s.floats((2, x.shape[1], 3))
    return same(f"F.bilinear({x}, {y}, {w}, {s.floats((2,))})")


# ---- linear algebra, of matrices that are far from singular


def square(s: Supply) -> tuple[Var, str, str]:
    """A matrix, and how to add so much to its diagonal that it is far from singular."""
    k = s.number(1, 5)
    batch = (2,) if s.flip(0.3) else ()
    x = s.floats((*batch, k, k), low=-2.0, high=2.0)
    more = 3 * k
    ours = f"({x} + {more} * gc.eye({k}, dtype='{s.floating}'))"
    return x, ours, f"({x} + {more} * torch.eye({k}, dtype={x}.dtype))"


def definite(s: Supply) -> tuple[Var, str, str]:
    """A symmetric matrix that is positive definite."""
    x, _, _ = square(s)
    k = x.shape[-1]
    ours = f"({x} @ gc.matrix_transpose({x}) + gc.eye({k}, dtype='{s.floating}'))"
    return x, ours, f"({x} @ {x}.mT + torch.eye({k}, dtype={x}.dtype))"


@pair()
def det(s: Supply) -> Call:
    _, a, b = square(s)
    return Call(f"gc.linalg.det({a})", f"torch.linalg.det({b})")


@pair()
def slogdet(s: Supply) -> Call:
    (_, a, b), j = square(s), s.pick(0, 1)
    return Call(f"gc.linalg.slogdet({a})[{j}]", f"torch.linalg.slogdet({b})[{j}]")


@pair()
def inv(s: Supply) -> Call:
    _, a, b = square(s)
    return Call(f"gc.linalg.inv({a})", f"torch.linalg.inv({b})")


@pair()
def solve(s: Supply) -> Call:
    x, a, b = square(s)
    y = s.floats((*x.shape[:-1], 3))
    return Call(f"gc.linalg.solve({a}, {y})", f"torch.linalg.solve({b}, {y})")


@pair()
def cholesky(s: Supply) -> Call:
    _, a, b = definite(s)
    return Call(f"gc.linalg.cholesky({a})", f"torch.linalg.cholesky({b})")


@pair()
def solve_triangular(s: Supply) -> Call:
    x, a, b = square(s)
    y, lower = s.floats((*x.shape[:-1], 2)), s.flip()
    return Call(
        f"gc.linalg.solve_triangular({a}, {y}, lower={lower})",
        f"torch.linalg.solve_triangular({b}, {y}, upper={not lower})",
    )


@pair(kinks="14.6: nothing flows between equal values; PyTorch divides by 0")
def eigvalsh(s: Supply) -> Call:
    _, a, b = definite(s)
    return Call(f"gc.linalg.eigvalsh({a})", f"torch.linalg.eigvalsh({b})")


@pair(kinks="14.6: nothing flows between equal values; PyTorch divides by 0")
def svdvals(s: Supply) -> Call:
    _, a, b = square(s)
    return Call(f"gc.linalg.svdvals({a})", f"torch.linalg.svdvals({b})")


@pair()
def qr(s: Supply) -> Call:
    """14.4: the diagonal of R is not negative."""
    (_, a, b), j = square(s), s.pick(0, 1)
    signs = f"torch.sign(torch.linalg.qr({b})[1].diagonal(0, -2, -1))"
    fixed = f"{signs}[..., None, :]" if j == 0 else f"{signs}[..., None]"
    return Call(f"gc.linalg.qr({a})[{j}]", f"torch.linalg.qr({b})[{j}] * {fixed}")


@pair()
def pinv(s: Supply) -> Call:
    _, a, b = square(s)
    return Call(f"gc.linalg.pinv({a})", f"torch.linalg.pinv({b})")


@pair()
def matrix_power(s: Supply) -> Call:
    (_, a, b), n = square(s), s.number(-2, 4)
    return Call(f"gc.linalg.matrix_power({a}, {n})", f"torch.linalg.matrix_power({b}, {n})")


@pair()
def matrix_norm(s: Supply) -> Call:
    x = s.floats(ranks=(2, 3), least=1)
    p = s.pick("'fro'", 1, -1, "float('inf')", "-float('inf')")
    text = f"linalg.matrix_norm({x}, ord={p})"
    return either(f"lib.{text}")


# ---- control flow, against Python's


@pair()
def cond(s: Supply) -> Call:
    x = s.floats(ranks=(0, 1, 2), least=1)
    return Call(
        f"gc.cond(gc.sum({x}) > 0.5, lambda: gc.sin({x}) * {x}, lambda: {x} + 1)",
        f"(torch.sin({x}) * {x} if torch.sum({x}) > 0.5 else {x} + 1)",
    )


@pair()
def switch(s: Supply) -> Call:
    x, i = s.floats(), s.ints(0, 2, ())
    return Call(
        f"gc.switch({i}, [lambda: {x} * 2, lambda: gc.cos({x}), lambda: {x} * {x}])",
        f"[lambda: {x} * 2, lambda: torch.cos({x}), lambda: {x} * {x}][int({i})]()",
    )


@pair()
def scan(s: Supply) -> Call:
    x = s.floats(ranks=(1, 2), least=1)
    step = f"(lib.tanh(h * 0.5 + {x}[0]) * r, lib.sin(h) * r)"
    ours, theirs = step.replace("lib.", "gc."), step.replace("lib.", "torch.")
    return Call(
        f"gc.scan(lambda h, r: {ours}, {x}[0], {x})[1]",
        f"loops.results(lambda h, r: {theirs}, {x}[0], {x})",
    )


@pair()
def scan_last(s: Supply) -> Call:
    x = s.floats(rank=2, least=1)
    w = s.floats((x.shape[1], x.shape[1]))
    return Call(
        f"gc.scan(lambda h, r: (gc.tanh(h @ {w} + r), r), {x}[0], {x}, reverse=True)[0]",
        f"loops.last(lambda h, t: torch.tanh(h @ {w} + {x}[-1 - t]), {x}[0], {x}.shape[0])",
    )


@pair()
def map_fn(s: Supply) -> Call:
    x = s.floats(ranks=(1, 2, 3), least=1)
    return Call(
        f"gc.map_fn(lambda r: gc.sum(r * r) * gc.sin(r), {x})",
        f"torch.stack([torch.sum(r * r) * torch.sin(r) for r in {x}])",
    )


@pair()
def while_loop(s: Supply) -> Call:
    x = s.floats(ranks=(0, 1, 2), low=0.3, high=3.0, least=1)
    return Call(
        f"gc.while_loop(lambda v: gc.sum(v) < 50, lambda v: [v * 1.5], [{x}], "
        "maximum_iterations=40)[0]",
        f"loops.while_true(lambda v: torch.sum(v) < 50, lambda v: v * 1.5, {x})",
    )


@pair()
def counted(s: Supply) -> Call:
    x, n = s.floats(ranks=(0, 1, 2)), s.ints(0, 4, ())
    return Call(
        f"gc.while_loop(lambda i, v: i < {n}, lambda i, v: [i + 1, gc.sin(v) + {x}], [0, {x}], "
        "maximum_iterations=5)[1]",
        f"loops.last(lambda v, t: torch.sin(v) + {x}, {x}, int({n}))",
    )
