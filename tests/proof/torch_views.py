"""Pairs that move elements: views, slices, joins, indices, scatters."""

from __future__ import annotations

from proof.torch_pairs import N, Call, Supply, Table, UnfitError, either, same

VIEWS = Table()
pair = VIEWS


@pair()
def reshape_flat(s: Supply) -> Call:
    return either(f"lib.reshape({s.floats()}, (-1,))")


@pair()
def flatten(s: Supply) -> Call:
    return either(f"lib.flatten({s.floats()})")


@pair()
def reshape_merge(s: Supply) -> Call:
    x = s.floats(rank=3)
    a, b, c = (x.size(k) for k in range(3))
    return either(f"lib.reshape({x}, {s.pick(f'({a} * {b}, {c})', f'({a}, {b} * {c})')})")


@pair()
def reshape_split(s: Supply) -> Call:
    x = s.floats(ranks=(1, 2))
    fitting = [(k, d) for k, n in enumerate(x.shape) for d in (2, 3) if n % d == 0 and n < 10]
    if not fitting:
        raise UnfitError
    k, d = fitting[s.number(0, len(fitting) - 1)]
    sizes = [x.size(j) for j in range(x.rank)]
    sizes[k : k + 1] = [str(x.shape[k] // d), str(d)]
    return either(f"lib.reshape({x}, ({', '.join(sizes)},))")


@pair()
def transpose(s: Supply) -> Call:
    x = s.floats(ranks=(2, 3, 4))
    axes = tuple(int(k) for k in s.rng.permutation(x.rank))
    return Call(f"gc.transpose({x}, {axes})", f"torch.permute({x}, {axes})")


@pair()
def matrix_transpose(s: Supply) -> Call:
    x = s.floats(ranks=(2, 3))
    return Call(f"gc.matrix_transpose({x})", f"{x}.mT")


@pair()
def swapaxes(s: Supply) -> Call:
    x = s.floats(ranks=(2, 3, 4))
    return either(f"lib.swapaxes({x}, {s.axis(x)}, {s.axis(x)})")


@pair()
def moveaxis(s: Supply) -> Call:
    x = s.floats(ranks=(2, 3, 4))
    return either(f"lib.moveaxis({x}, {s.axis(x)}, {s.axis(x)})")


@pair()
def expand_dims(s: Supply) -> Call:
    x = s.floats(ranks=(0, 1, 2, 3))
    k = s.number(-x.rank - 1, x.rank)
    return Call(f"gc.expand_dims({x}, {k})", f"torch.unsqueeze({x}, {k})")


@pair()
def squeeze(s: Supply) -> Call:
    x = s.floats(ranks=(1, 2, 3))
    k = s.number(0, x.rank)
    return Call(
        f"gc.squeeze(gc.expand_dims({x}, {k}), axis={k})",
        f"torch.squeeze(torch.unsqueeze({x}, {k}), dim={k})",
    )


@pair()
def flip(s: Supply) -> Call:
    x = s.floats(ranks=(1, 2, 3))
    axes = tuple(s.axes(x))
    return either(f"lib.flip({x}, {axes})")


@pair()
def roll(s: Supply) -> Call:
    x = s.floats(ranks=(1, 2, 3))
    shift, k = s.number(-4, 4), s.axis(x)
    return either(f"lib.roll({x}, {shift}, {k})")


@pair()
def rot90(s: Supply) -> Call:
    return either(f"lib.rot90({s.floats(ranks=(2, 3))}, {s.number(-1, 3)}, (0, 1))")


@pair()
def pad(s: Supply) -> Call:
    x = s.floats(ranks=(1, 2, 3))
    widths = [(s.number(0, 2), s.number(0, 2)) for _ in range(x.rank)]
    value = s.pick(0, 1.5)
    flat = [w for pair in reversed(widths) for w in pair]
    return Call(
        f"gc.pad({x}, {widths}, constant_values={value})", f"F.pad({x}, {flat}, value={value})"
    )


@pair()
def pad_mode(s: Supply) -> Call:
    x = s.floats(rank=3, least=3)
    mode = s.pick("reflect", "circular", "replicate")
    return same(f"F.pad({x}, ({s.number(0, 2)}, {s.number(0, 2)}), mode='{mode}')")


@pair()
def crop(s: Supply) -> Call:
    x = s.floats(ranks=(1, 2), least=4)
    return same(f"F.pad({x}, ({s.number(-2, 1)}, {s.number(-2, 1)}))")


@pair()
def concat(s: Supply) -> Call:
    x = s.floats(ranks=(1, 2, 3))
    y = s.floats(x.shape)
    k = s.axis(x)
    parts = s.pick(f"[{x}, {y}]", f"[{x}, {y}, {x}]", f"[{y}, lib.sin({x})]")
    text = str(parts)
    return Call(
        f"gc.concat({text}, axis={k})".replace("lib.", "gc."),
        f"torch.cat({text}, dim={k})".replace("lib.", "torch."),
    )


@pair()
def stack(s: Supply) -> Call:
    x = s.floats(ranks=(0, 1, 2, 3))
    y, k = s.floats(x.shape), s.number(-x.rank - 1, x.rank)
    return Call(f"gc.stack([{x}, {y}], axis={k})", f"torch.stack([{x}, {y}], dim={k})")


@pair()
def hstack(s: Supply) -> Call:
    x = s.floats(ranks=(1, 2, 3))
    return either(f"lib.hstack([{x}, {s.floats(x.shape)}])")


@pair()
def vstack(s: Supply) -> Call:
    x = s.floats(ranks=(1, 2, 3))
    return either(f"lib.vstack([{x}, {s.floats(x.shape)}])")


@pair()
def split(s: Supply) -> Call:
    x = s.floats(ranks=(1, 2, 3), least=3)
    k = s.axis(x)
    return Call(
        f"gc.split({x}, [1, 3], axis={k})[{(j := s.number(0, 2))}]",
        f"torch.tensor_split({x}, [1, 3], dim={k})[{j}]",
    )


@pair()
def unstack(s: Supply) -> Call:
    x = s.floats(ranks=(1, 2, 3), least=1)
    known = [k for k, n in enumerate(x.shape) if n != N]
    if not known:
        raise UnfitError
    k = known[-1]
    j = s.number(0, x.shape[k] - 1)
    return Call(f"gc.unstack({x}, axis={k})[{j}]", f"torch.unbind({x}, dim={k})[{j}]")


@pair()
def tile(s: Supply) -> Call:
    x = s.floats(ranks=(1, 2))
    times = tuple(s.number(1, 3) for _ in range(x.rank))
    return either(f"lib.tile({x}, {times})")


@pair()
def repeat(s: Supply) -> Call:
    x = s.floats(ranks=(1, 2, 3))
    k, n = s.axis(x), s.number(0, 3)
    return Call(
        f"gc.repeat({x}, {n}, axis={k})", f"torch.repeat_interleave({x}, {n}, dim={k})"
    )


@pair()
def broadcast_to(s: Supply) -> Call:
    x = s.floats(ranks=(0, 1, 2))
    sizes = ", ".join(["3", *(x.size(k) for k in range(x.rank))])
    return either(f"lib.broadcast_to({x}, ({sizes},))")


@pair()
def index(s: Supply) -> Call:
    x = s.floats(ranks=(1, 2, 3), least=2)
    keys = ("0", "-1", "1", "..., 0", "None", "1:", ":-1", "::2", "1::3", "..., None")
    return same(f"{x}[{s.pick(*keys)}]")


@pair()
def index_two(s: Supply) -> Call:
    x = s.floats(ranks=(2, 3), least=3)
    keys = ("0, 1:", ":, 1:3", "1:, ::2", "None, :, 0", "-2:, :-1", ":2, None", "2:1")
    return same(f"{x}[{s.pick(*keys)}]")


@pair()
def negative_step(s: Supply) -> Call:
    x = s.floats(ranks=(1, 2, 3))
    k = s.pick("", "2", "3")
    return Call(f"{x}[::-{k or 1}]", f"torch.flip({x}, (0,))[::{k}]")


@pair()
def negative_range(s: Supply) -> Call:
    x = s.floats(rank=2, least=4)
    return Call(f"{x}[:, 3:0:-1]", f"torch.flip({x}[:, 1:4], (1,))")


@pair()
def diagonal(s: Supply) -> Call:
    return either(f"lib.diagonal({s.floats(ranks=(2, 3), least=2)}, {s.number(-1, 1)})")


@pair()
def diag(s: Supply) -> Call:
    return either(f"lib.diag({s.floats(ranks=(1, 2), least=2)}, {s.number(-1, 1)})")


@pair()
def triangle(s: Supply) -> Call:
    return either(f"lib.tri{s.pick('l', 'u')}({s.floats(ranks=(2, 3))}, {s.number(-2, 2)})")


@pair()
def meshgrid(s: Supply) -> Call:
    x, y = s.floats(rank=1), s.floats(rank=1)
    order, j = s.pick("xy", "ij"), s.pick(0, 1)
    return either(f"lib.meshgrid({x}, {y}, indexing='{order}')[{j}]")


@pair()
def atleast(s: Supply) -> Call:
    return either(f"lib.atleast_{s.pick(1, 2)}d({s.floats(ranks=(0, 1, 2))})")


@pair()
def dynamic_slice(s: Supply) -> Call:
    x = s.floats(rank=2, least=3)
    at = s.ints(0, 1, ())
    return Call(
        f"gc.dynamic_slice({x}, ({at}, 1), (2, 2))", f"{x}[{at} : {at} + 2, 1:3]"
    )


@pair()
def dynamic_update_slice(s: Supply) -> Call:
    x, y, at = s.floats(rank=2, least=3), s.floats((2, 2)), s.ints(0, 1, ())
    return Call(
        f"gc.dynamic_update_slice({x}, {y}, ({at}, 0))",
        f"torch.slice_scatter({x}, torch.slice_scatter({x}[{at} : {at} + 2], {y}, 1, 0, 2), "
        f"0, int({at}), int({at}) + 2)",
    )


@pair()
def positions(s: Supply) -> Call:
    """Positions of an axis, written as numbers beside it."""
    x = s.floats(ranks=(1, 2), least=1)
    t = f"torch.arange({x}.shape[-1], dtype={x}.dtype)"
    return Call(f"{x} * gc.arange({x}.shape[-1], dtype='{s.floating}')", f"{x} * {t}")


# ---- indices


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


@pair()
def embedding_bag(s: Supply) -> Call:
    i, w = s.ints(0, 2, s.shape(2, least=1)), s.floats(rank=2, least=3)
    return same(f"F.embedding_bag({i}, {w}, mode='{s.pick('sum', 'mean', 'max')}')")


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
