"""Pairs of indices: gathers, scatters, segments."""

from __future__ import annotations

from proof.torch_pairs import Call, Supply, Table, either, same

INDICES = Table()
pair = INDICES


@pair()
def take(s: Supply) -> Call:
    x = s.floats(ranks=(1, 2, 3), least=3)
    k, i = s.axis(x), s.ints(0, 2, rank=1)
    return Call(f"gc.take({x}, {i}, axis={k})", f"torch.index_select({x}, {k}, {i})")


@pair()
def take_flat(s: Supply) -> Call:
    return either(f"lib.take({s.floats(ranks=(2, 3), least=3)}, {s.ints(-3, 3)})")


@pair()
def take_along_axis(s: Supply) -> Call:
    x = s.floats(ranks=(1, 2, 3), least=3)
    k = s.number(0, x.rank - 1)
    i = s.ints(0, 2, x.shape)
    return Call(f"gc.take_along_axis({x}, {i}, axis={k})", f"torch.gather({x}, {k}, {i})")


@pair()
def take_sorted(s: Supply) -> Call:
    x = s.floats(rank=2, least=1)
    y = s.floats(x.shape)
    return Call(
        f"gc.take_along_axis({x}, gc.argsort({y}, axis=1), axis=1)",
        f"torch.gather({x}, 1, torch.argsort({y}, dim=1, stable=True))",
    )


@pair()
def index_by_tensor(s: Supply) -> Call:
    x = s.floats(ranks=(1, 2, 3), least=3)
    return same(f"{x}[{s.ints(-3, 2)}]")


@pair()
def index_by_two(s: Supply) -> Call:
    x = s.floats(ranks=(2, 3), least=3)
    i = s.ints(-3, 2, rank=1)
    return same(f"{x}[{i}, {s.ints(0, 2, i.shape)}]")


@pair()
def index_apart(s: Supply) -> Call:
    x = s.floats(rank=3, least=3)
    i = s.ints(0, 2, rank=1)
    return same(f"{x}[{i}, :, {s.ints(-3, 2, i.shape)}]")


@pair()
def gather_nd(s: Supply) -> Call:
    x, i = s.floats(rank=3, least=3), s.ints(0, 2, (4, 2))
    return Call(f"gc.gather_nd({x}, {i})", f"{x}[{i}[:, 0], {i}[:, 1]]")


@pair()
def embedding(s: Supply) -> Call:
    return same(f"F.embedding({s.ints(0, 2)}, {s.floats(rank=2, least=3)})")


@pair(first="PyTorch has no second derivative of embedding_bag")
def embedding_bag(s: Supply) -> Call:
    i, w = s.ints(0, 2, s.shape(2, least=1)), s.floats(rank=2, least=3)
    return same(f"F.embedding_bag({i}, {w}, mode='{s.pick('sum', 'mean')}')")


@pair(
    kinks="6.2: rows that tie share, PyTorch gives all to the first",
    first="PyTorch has no second derivative of embedding_bag",
)
def embedding_bag_max(s: Supply) -> Call:
    i, w = s.ints(0, 2, s.shape(2, least=1)), s.floats(rank=2, least=3)
    return same(f"F.embedding_bag({i}, {w}, mode='max')")


@pair()
def one_hot(s: Supply) -> Call:
    i = s.ints(0, 4)
    return same(f"F.one_hot({i}, 5)")


@pair()
def scatter_add(s: Supply) -> Call:
    x = s.floats(ranks=(1, 2), least=3)
    i = s.ints(0, 2, (4,))
    y = s.floats((4, *x.shape[1:]))
    return Call(f"gc.scatter_add({x}, {i}, {y})", f"torch.index_add({x}, 0, {i}, {y})")


@pair()
def scatter_set(s: Supply) -> Call:
    """No place is written twice: which of several stays, PyTorch does not say."""
    x = s.floats(ranks=(1, 2), least=3)
    y = s.floats((2, *x.shape[1:]))
    return Call(
        f"gc.scatter({x}, [2, 0], {y})", f"torch.index_copy({x}, 0, torch.tensor([2, 0]), {y})"
    )


@pair(first="torch.index_reduce has no second derivative of products")
def scatter_mul(s: Supply) -> Call:
    x = s.floats(ranks=(1, 2), low=0.2, least=3)
    i = s.ints(0, 2, (4,))
    y = s.floats((4, *x.shape[1:]), low=0.2)
    return Call(
        f"gc.scatter({x}, {i}, {y}, mode='mul')", f"torch.index_reduce({x}, 0, {i}, {y}, 'prod')"
    )


@pair()
def scatter_extreme(s: Supply) -> Call:
    x = s.floats(ranks=(1, 2), least=3)
    i, m = s.ints(0, 2, (4,)), s.pick("min", "max")
    y = s.floats((4, *x.shape[1:]))
    return Call(
        f"gc.scatter({x}, {i}, {y}, mode='{m}')", f"torch.index_reduce({x}, 0, {i}, {y}, 'a{m}')"
    )


@pair()
def put_along_axis(s: Supply) -> Call:
    x = s.floats(rank=2, least=3)
    i = s.ints(0, 2, x.shape)
    y = s.floats(x.shape)
    return Call(
        f"gc.put_along_axis({x}, {i}, {y}, axis=1, mode='add')",
        f"torch.scatter_add({x}, 1, {i}, {y})",
    )


@pair()
def scatter_nd(s: Supply) -> Call:
    x, i, y = s.floats(rank=2, least=3), s.ints(0, 2, (4, 2)), s.floats((4,))
    return Call(
        f"gc.scatter_nd({x}, {i}, {y}, mode='add')",
        f"torch.index_put({x}, ({i}[:, 0], {i}[:, 1]), {y}, accumulate=True)",
    )


@pair()
def segment_sum(s: Supply) -> Call:
    x = s.floats(ranks=(1, 2, 3))
    i = s.ints(0, 2, x.shape[:1])
    zeros = f"torch.zeros((3, *{x}.shape[1:]), dtype={x}.dtype)"
    return Call(f"gc.segment_sum({x}, {i}, 3)", f"torch.index_add({zeros}, 0, {i}, {x})")


@pair()
def segment_max(s: Supply) -> Call:
    x = s.floats(ranks=(1, 2))
    i = s.ints(0, 2, x.shape[:1])
    low = f"torch.full((3, *{x}.shape[1:]), -torch.inf, dtype={x}.dtype)"
    return Call(
        f"gc.exp(gc.segment_max({x}, {i}, 3))",
        f"torch.exp(torch.index_reduce({low}, 0, {i}, {x}, 'amax', include_self=False))",
    )


@pair()
def unravel_index(s: Supply) -> Call:
    i, j = s.ints(0, 11), s.pick(0, 1)
    return either(f"lib.unravel_index({i}, (3, 4))[{j}]")
