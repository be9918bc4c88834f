"""Pairs that fold axes, or run along them: sums, extremes, norms, statistics, scans, orders."""

from __future__ import annotations

from functools import partial

from proof.torch_pairs import Call, Supply, Table, UnfitError, Var

FOLDS = Table()
pair = FOLDS
SORTED = "quantiles want known sizes"


def over(s: Supply, x: Var, many: bool = True, keep: bool = True) -> tuple[str, str]:
    """Arguments of a reduction: all axes, some or one; kept or not."""
    kept = keep and s.flip(0.4)
    ours, theirs = (", keepdims=True", ", keepdim=True") if kept else ("", "")
    if not many:
        k = s.axis(x)
        return f", axis={k}{ours}", f", dim={k}{theirs}"
    if s.flip(0.25) or not x.rank:
        dims = tuple(range(x.rank))
        return ours, f", dim={dims}{theirs}"
    axes = tuple(s.axes(x))
    shown = axes if len(axes) > 1 or s.flip() else axes[0]
    return f", axis={shown}{ours}", f", dim={shown}{theirs}"


def reduction(ours: str, theirs: str, least: int, many: bool, s: Supply) -> Call:
    x = s.floats(least=least, ranks=(1, 2, 3, 4))
    a, b = over(s, x, many)
    return Call(f"gc.{ours}({x}{a})", f"torch.{theirs}({x}{b})")


for row in (
    ("sum", "sum", 0, True),
    ("mean", "mean", 0, True),
    ("max", "amax", 1, True),
    ("min", "amin", 1, True),
    ("prod", "prod", 0, False),
    ("logsumexp", "logsumexp", 1, True),
    ("count_nonzero", "count_nonzero", 0, True),
    ("nansum", "nansum", 0, True),
    ("nanmean", "nanmean", 1, True),
    ("argmax", "argmax", 1, False),
    ("argmin", "argmin", 1, False),
):
    if row[0] != "count_nonzero":
        pair.add(row[0], partial(reduction, *row))


@pair()
def count_nonzero(s: Supply) -> Call:
    x = s.floats(ranks=(1, 2, 3))
    k = s.axis(x)
    return Call(f"gc.count_nonzero({x} > 0, axis={k})", f"torch.count_nonzero({x} > 0, dim={k})")


@pair()
def prod_all(s: Supply) -> Call:
    x = s.floats()
    return Call(f"gc.prod({x})", f"torch.prod({x})")


@pair()
def any_or_all(s: Supply) -> Call:
    x = s.bools()
    if not x.rank:
        raise UnfitError
    a, b = over(s, x, many=False)
    name = s.pick("any", "all")
    return Call(f"gc.{name}({x}{a})", f"torch.{name}({x}{b})")


@pair()
def integer_sums(s: Supply) -> Call:
    x = s.ints(-9, 9, rank=s.number(1, 3), dtype=str(s.pick("int64", "int32")))
    a, b = over(s, x, many=False)
    name = s.pick("sum", "prod")
    return Call(f"gc.{name}({x}{a})", f"torch.{name}({x}{b})")


@pair()
def integer_extremes(s: Supply) -> Call:
    x = s.ints(-9, 9, shape=s.shape(s.number(1, 3), least=1))
    a, b = over(s, x)
    name = str(s.pick("max", "min"))
    return Call(f"gc.{name}({x}{a})", f"torch.a{name}({x}{b})")


@pair(first="at variance 0 PyTorch's second derivative of std is nan")
def std(s: Supply) -> Call:
    x = s.floats(ranks=(1, 2, 3), least=2)
    (a, b), c = over(s, x), s.pick(0, 1)
    return Call(f"gc.std({x}{a}, correction={c})", f"torch.std({x}{b}, correction={c})")


@pair()
def var(s: Supply) -> Call:
    x = s.floats(ranks=(1, 2, 3), least=2)
    (a, b), c = over(s, x), s.pick(0, 1)
    return Call(f"gc.var({x}{a}, correction={c})", f"torch.var({x}{b}, correction={c})")


@pair()
def ptp(s: Supply) -> Call:
    x = s.floats(ranks=(1, 2, 3), least=1)
    a, b = over(s, x)
    return Call(f"gc.ptp({x}{a})", f"torch.amax({x}{b}) - torch.amin({x}{b})")


@pair()
def average(s: Supply) -> Call:
    x = s.floats(ranks=(1, 2, 3), least=1)
    k = s.axis(x)
    w = s.floats(x.shape, low=0.2)
    return Call(
        f"gc.average({x}, axis={k}, weights={w})",
        f"({x} * {w}).sum(dim={k}) / {w}.sum(dim={k})",
    )


@pair(kinks="a quantile of equals depends on the order of a sort", known=SORTED)
def quantile(s: Supply) -> Call:
    x = s.floats(ranks=(1, 2, 3), least=2)
    k, q = s.axis(x), s.pick(0.0, 0.25, 0.3, 0.5, 1.0)
    return Call(f"gc.quantile({x}, {q}, axis={k})", f"torch.quantile({x}, {q}, dim={k})")


@pair(kinks="a quantile of equals depends on the order of a sort", known=SORTED)
def median(s: Supply) -> Call:
    x = s.floats(ranks=(1, 2, 3), least=1)
    k = s.axis(x)
    return Call(f"gc.median({x}, axis={k})", f"torch.quantile({x}, 0.5, dim={k})")


@pair()
def vector_norm(s: Supply) -> Call:
    x = s.floats(ranks=(1, 2, 3), least=1)
    (a, b), p = over(s, x), s.pick(1, 2, 3, 1.5, "float('inf')", "-float('inf')")
    return Call(
        f"gc.linalg.vector_norm({x}{a}, ord={p})", f"torch.linalg.vector_norm({x}, ord={p}{b})"
    )


@pair()
def trapezoid(s: Supply) -> Call:
    x = s.floats(ranks=(1, 2, 3), least=2)
    k = s.axis(x)
    return Call(f"gc.trapezoid({x}, dx=0.5, axis={k})", f"torch.trapezoid({x}, dx=0.5, dim={k})")


@pair()
def diff(s: Supply) -> Call:
    x = s.floats(ranks=(1, 2, 3), least=3)
    k, n = s.axis(x), s.pick(1, 2)
    return Call(f"gc.diff({x}, n={n}, axis={k})", f"torch.diff({x}, n={n}, dim={k})")


@pair()
def cov(s: Supply) -> Call:
    """As a matrix: of a single row it is a number, which symbolic sizes cannot say."""
    x = s.floats(rank=2, least=2)
    shape = f"({x}.shape[0], {x}.shape[0])"
    return Call(f"gc.reshape(gc.cov({x}), {shape})", f"torch.cov({x}).reshape({shape})")


# ---- along an axis


def along(ours: str, theirs: str, index: str, s: Supply) -> Call:
    x = s.floats(ranks=(1, 2, 3), least=1)
    k = s.axis(x)
    return Call(f"gc.{ours}({x}, axis={k})", f"torch.{theirs}({x}, dim={k}){index}")


for name, index in (
    ("cumsum", ""),
    ("cumprod", ""),
    ("cummax", "[0]"),
    ("cummin", "[0]"),
    ("logcumsumexp", ""),
):
    pair.add(name, partial(along, name, name, index))


def backwards(ours: str, theirs: str, s: Supply) -> Call:
    x = s.floats(ranks=(1, 2, 3), least=1)
    k = s.axis(x)
    return Call(
        f"gc.{ours}({x}, axis={k}, reverse=True)",
        f"torch.{theirs}({x}.flip([{k}]), dim={k}).flip([{k}])",
    )


for ours, theirs in (
    ("cumulative_sum", "cumsum"),
    ("cumulative_prod", "cumprod"),
    ("logcumsumexp", "logcumsumexp"),
):
    pair.add(f"{ours}_reversed", partial(backwards, ours, theirs))


@pair()
def exclusive_sum(s: Supply) -> Call:
    x = s.floats(ranks=(1, 2, 3), least=1)
    k = s.axis(x)
    return Call(
        f"gc.cumulative_sum({x}, axis={k}, exclusive=True)", f"torch.cumsum({x}, dim={k}) - {x}"
    )


@pair()
def initial_sum(s: Supply) -> Call:
    x = s.floats(rank=2, least=1)
    return Call(
        f"gc.cumulative_sum({x}, axis=1, include_initial=True)",
        f"F.pad(torch.cumsum({x}, dim=1), (1, 0))",
    )


@pair()
def linear_recurrence(s: Supply) -> Call:
    a = s.floats(rank=2, low=-0.9, high=0.9, least=1)
    b = s.floats(a.shape)
    return Call(
        f"gc.linear_recurrence({a}, {b}, axis=0)",
        f"loops.rows(lambda h, t: {a}[t] * h + {b}[t], torch.zeros_like({a}[0]), {a}.shape[0])",
    )


# ---- orders


@pair()
def sort(s: Supply) -> Call:
    x = s.floats(ranks=(1, 2, 3))
    k, down = s.axis(x), s.flip()
    return Call(
        f"gc.sort({x}, axis={k}, descending={down})",
        f"torch.sort({x}, dim={k}, descending={down}, stable=True)[0]",
    )


@pair()
def argsort(s: Supply) -> Call:
    x = s.floats(ranks=(1, 2, 3))
    k, down = s.axis(x), s.flip()
    return Call(
        f"gc.argsort({x}, axis={k}, descending={down})",
        f"torch.argsort({x}, dim={k}, descending={down}, stable=True)",
    )


@pair()
def top_k(s: Supply) -> Call:
    """2.5: equals stay in order, unlike in torch.topk, so it is written as a sort."""
    x = s.floats(ranks=(1, 2, 3), least=3)
    k, largest, which = s.number(1, 3), s.flip(), s.pick(0, 1)
    order = f"torch.sort({x}, dim=-1, descending={largest}, stable=True)[{which}]"
    return Call(
        f"gc.top_k({x}, {k}, largest={largest})[{which}]", f"torch.narrow({order}, -1, 0, {k})"
    )


@pair()
def sort_integers(s: Supply) -> Call:
    x = s.ints(-5, 5, rank=s.number(1, 2))
    return Call(f"gc.sort({x}, axis=-1)", f"torch.sort({x}, dim=-1)[0]")


@pair()
def searchsorted(s: Supply) -> Call:
    edges, x = s.floats(rank=1, least=1), s.floats()
    side = s.pick("left", "right")
    return Call(
        f"gc.searchsorted(gc.sort({edges}), {x}, side='{side}')",
        f"torch.searchsorted(torch.sort({edges})[0], {x}, side='{side}')",
    )


@pair()
def isin(s: Supply) -> Call:
    x, y = s.ints(-5, 5), s.ints(-5, 5, rank=1)
    return Call(f"gc.isin({x}, {y})", f"torch.isin({x}, {y})")


@pair()
def bincount(s: Supply) -> Call:
    x = s.ints(0, 6, shape=s.shape(1, least=1))
    return Call(f"gc.bincount({x}, minlength=7)", f"torch.bincount({x}, minlength=7)")
