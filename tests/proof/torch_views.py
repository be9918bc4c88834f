"""Pairs that move elements: views, slices, joins."""

from __future__ import annotations

from proof.torch_pairs import SYMBOLIC, Call, Supply, Table, UnfitError, either, same

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
    known = [k for k, n in enumerate(x.shape) if n < SYMBOLIC]
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
    return Call(f"gc.repeat({x}, {n}, axis={k})", f"torch.repeat_interleave({x}, {n}, dim={k})")


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
        f"gc.dynamic_slice({x}, ({at}, 1), (2, 2))",
        f"torch.narrow(torch.narrow({x}, 0, int({at}), 2), 1, 1, 2)",
    )


@pair()
def dynamic_update_slice(s: Supply) -> Call:
    x, y, at = s.floats(rank=2, least=3), s.floats((2, 2)), s.ints(0, 1, ())
    part = f"torch.narrow({x}, 0, int({at}), 2)"
    return Call(
        f"gc.dynamic_update_slice({x}, {y}, ({at}, 0))",
        f"torch.slice_scatter({x}, torch.slice_scatter({part}, {y}, 1, 0, 2), "
        f"0, int({at}), int({at}) + 2)",
    )


@pair()
def positions(s: Supply) -> Call:
    """Positions of an axis, written as numbers beside it."""
    x = s.floats(ranks=(1, 2), least=1)
    t = f"torch.arange({x}.shape[-1], dtype={x}.dtype)"
    return Call(f"{x} * gc.arange({x}.shape[-1], dtype='{s.floating}')", f"{x} * {t}")
