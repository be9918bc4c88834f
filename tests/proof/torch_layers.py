"""Pairs of nn.functional: activations, softmax, norms, convolutions, pools, losses, attention.

Both libraries spell these alike, so most are written once.
"""

from __future__ import annotations

from functools import partial

from proof.torch_pairs import Call, Supply, Table, UnfitError, same

LAYERS = Table()
pair = LAYERS

ACTIVATIONS = (  # celu's alpha has an exact reciprocal: PyTorch rounds it to f32 in the gradient
    "relu({x})",
    "relu6({x})",
    "elu({x})",
    "celu({x}, alpha=0.5)",
    "selu({x})",
    "gelu({x})",
    "gelu({x}, approximate='tanh')",
    "silu({x})",
    "mish({x})",
    "sigmoid({x})",
    "logsigmoid({x})",
    "tanh({x})",
    "tanhshrink({x})",
    "softsign({x})",
    "softplus({x})",
    "softplus({x}, beta=2.0, threshold=3.0)",
    "softshrink({x})",
    "hardshrink({x})",
    "hardtanh({x})",
    "hardswish({x})",
    "leaky_relu({x}, 0.1)",
    "threshold({x}, 0.3, 2.0)",
)


def activation(text: str, s: Supply) -> Call:
    return same("F." + text.format(x=s.floats()))


BENT = "where the second derivative jumps PyTorch takes that from above, graphc that of the branch"
for text in ACTIVATIONS:
    bends = BENT if "elu(" in text and "relu" not in text and "gelu" not in text else ""
    pair.add(text.format(x="x"), partial(activation, text), bends=bends)


@pair()
def hardsigmoid(s: Supply) -> Call:
    """PyTorch's own has 1 / 6 of f32 in its gradient, and no second one."""
    x = s.floats()
    return Call(f"F.hardsigmoid({x})", f"F.relu6({x} + 3) / 6")


def softened(name: str, s: Supply) -> Call:
    x = s.floats(ranks=(1, 2, 3), least=1)
    return same(f"F.{name}({x}, dim={s.axis(x)})")


for name in ("softmax", "log_softmax", "softmin"):
    pair.add(name, partial(softened, name))


@pair()
def log_of_softmax(s: Supply) -> Call:
    x = s.floats(rank=2, least=1)
    return Call(f"gc.log(F.softmax({x}, dim=1))", f"torch.log(F.softmax({x}, dim=1))")


@pair()
def glu(s: Supply) -> Call:
    shape = list(s.shape(s.number(1, 3)))
    shape[-1] = 2 * s.number(1, 4)
    return same(f"F.glu({s.floats(shape)})")


@pair(bends=BENT)
def prelu(s: Supply) -> Call:
    x = s.floats(ranks=(2, 3), least=1)
    return same(f"F.prelu({x}, {s.floats((x.shape[1],))})")


# ---- norms


@pair()
def layer_norm(s: Supply) -> Call:
    x = s.floats(ranks=(2, 3), least=2)
    w, b = s.floats(x.shape[-1:]), s.floats(x.shape[-1:])
    return same(f"F.layer_norm({x}, ({x.size(x.rank - 1)},), {w}, {b})")


@pair()
def rms_norm(s: Supply) -> Call:
    x = s.floats(ranks=(2, 3), least=2)
    return same(f"F.rms_norm({x}, ({x.size(x.rank - 1)},), {s.floats(x.shape[-1:])}, eps=1e-5)")


@pair()
def batch_norm(s: Supply) -> Call:
    x = s.floats(ranks=(2, 3, 4), least=2)
    c = x.shape[1:2]
    mean, var = s.floats(c), s.floats(c, low=0.3)
    w, b = s.floats(c), s.floats(c)
    return Call(  # PyTorch refuses statistics that want gradients
        f"F.batch_norm({x}, gc.stop_gradient({mean}), gc.stop_gradient({var}), {w}, {b})",
        f"F.batch_norm({x}, {mean}.detach(), {var}.detach(), {w}, {b})",
    )


@pair()
def batch_norm_training(s: Supply) -> Call:
    x = s.floats(ranks=(2, 3), least=2)
    w = s.floats(x.shape[1:2])
    return same(f"F.batch_norm({x}, None, None, {w}, training=True)")


@pair()
def group_norm(s: Supply) -> Call:
    x = s.floats((s.number(1, 3), 4, 3), least=1)
    return same(f"F.group_norm({x}, {s.pick(1, 2, 4)}, {s.floats((4,))}, {s.floats((4,))})")


@pair()
def instance_norm(s: Supply) -> Call:
    return same(f"F.instance_norm({s.floats(ranks=(3, 4), least=2)})")


@pair(kinks="6.2: extremes that tie share")
def normalize(s: Supply) -> Call:
    x = s.floats(ranks=(2, 3), least=1)
    return same(f"F.normalize({x}, p={s.pick(2.0, 1.0, 3.0)}, dim={s.axis(x)})")


@pair()
def cosine_similarity(s: Supply) -> Call:
    x = s.floats(ranks=(2, 3), least=1)
    return same(f"F.cosine_similarity({x}, {s.floats(x.shape)}, dim={s.axis(x)})")


@pair()
def pairwise_distance(s: Supply) -> Call:
    x = s.floats(rank=2, least=1)
    return same(f"F.pairwise_distance({x}, {s.floats(x.shape)}, p={s.pick(2.0, 1.0)})")


# ---- windows


def image(s: Supply, axes: int, channels: int | None = None) -> list[int]:
    """The shape of a batch of images."""
    known = s.shape(axes, least=5, most=150)
    return [s.number(1, 3), s.number(1, 4) if channels is None else channels, *known]


@pair()
def conv1d(s: Supply) -> Call:
    x = s.floats(image(s, 1))
    w, b = s.floats((3, x.shape[1], s.number(1, 4))), s.floats((3,))
    more = f"stride={s.number(1, 2)}, padding={s.number(0, 2)}, dilation={s.number(1, 2)}"
    return same(f"F.conv1d({x}, {w}, {b}, {more})" if s.flip() else f"F.conv1d({x}, {w})")


@pair()
def conv2d(s: Supply) -> Call:
    x = s.floats(image(s, 2))
    w = s.floats((s.number(1, 4), x.shape[1], s.number(1, 3), s.number(1, 3)))
    return same(f"F.conv2d({x}, {w}, stride={s.number(1, 2)}, padding={s.number(0, 2)})")


@pair()
def conv2d_groups(s: Supply) -> Call:
    x, w = s.floats(image(s, 2, 4)), s.floats((4, 2, 2, 3))
    return same(f"F.conv2d({x}, {w}, {s.floats((4,))}, groups=2, dilation=(1, 2), padding=(1, 2))")


@pair()
def conv3d(s: Supply) -> Call:
    x, w = s.floats((1, 2, 5, 4, 3)), s.floats((2, 2, 2, 3, 2))
    return same(f"F.conv3d({x}, {w}, padding={s.number(0, 1)}, stride=({s.number(1, 2)}, 1, 1))")


@pair()
def conv_transpose1d(s: Supply) -> Call:
    x = s.floats(image(s, 1))
    w = s.floats((x.shape[1], 2, s.number(2, 4)))
    return same(f"F.conv_transpose1d({x}, {w}, stride={s.number(1, 3)}, padding={s.number(0, 1)})")


@pair()
def conv_transpose2d(s: Supply) -> Call:
    x = s.floats(image(s, 2, 2))
    w = s.floats((2, s.number(1, 3), 3, 2))
    more = f"stride=2, padding={s.number(0, 1)}, output_padding={s.number(0, 1)}"
    return same(f"F.conv_transpose2d({x}, {w}, {s.floats(w.shape[1:2])}, {more})")


def pooled(kind: str, axes: int, s: Supply) -> Call:
    x = s.floats(image(s, axes))
    size = s.number(2, 3)
    more = f"stride={s.number(1, 3)}, padding={s.number(0, 1)}, ceil_mode={s.flip(0.3)}"
    if kind == "avg" and s.flip(0.3):
        more += ", count_include_pad=False"
    return same(f"F.{kind}_pool{axes}d({x}, {size}, {more})")


for kind in ("max", "avg"):
    for axes in (1, 2):
        pair.add(f"{kind}_pool{axes}d", partial(pooled, kind, axes))


@pair()
def max_pool_dilated(s: Supply) -> Call:
    return same(f"F.max_pool2d({s.floats(image(s, 2))}, 2, stride=1, dilation=2)")


@pair()
def lp_pool1d(s: Supply) -> Call:
    x = s.floats(image(s, 1), low=0.2, high=2.5)
    return same(f"F.lp_pool1d({x}, {s.pick(2.0, 3.0)}, 2)")


def adapted(kind: str, s: Supply) -> Call:
    x = s.floats((2, 3, s.number(4, 9), s.number(4, 9)))
    return same(f"F.adaptive_{kind}_pool2d({x}, ({s.number(1, 4)}, {s.number(1, 4)}))")


for kind in ("max", "avg"):
    pair.add(f"adaptive_{kind}_pool2d", partial(adapted, kind))


@pair()
def interpolate(s: Supply) -> Call:
    x = s.floats((1, 2, s.number(2, 7), s.number(2, 7)))
    mode = s.pick("nearest", "bilinear", "bicubic")
    more = "" if mode == "nearest" else f", align_corners={s.flip()}"
    size = (s.number(1, 9), s.number(1, 9))
    return same(f"F.interpolate({x}, size={size}, mode='{mode}'{more})")


@pair()
def interpolate_by(s: Supply) -> Call:
    x = s.floats(image(s, 1))
    return same(f"F.interpolate({x}, scale_factor={s.pick(2, 3)}, mode='nearest')")


@pair()
def unfold(s: Supply) -> Call:
    more = f"padding={s.number(0, 1)}, stride={s.number(1, 2)}, dilation={s.number(1, 2)}"
    return same(f"F.unfold({s.floats(image(s, 2))}, 2, {more})")


@pair()
def fold(s: Supply) -> Call:
    return same(f"F.fold({s.floats((2, 8, 12))}, (4, 5), 2)")


@pair()
def pixel_shuffle(s: Supply) -> Call:
    return same(f"F.pixel_shuffle({s.floats(image(s, 2, 4))}, 2)")


@pair()
def pixel_unshuffle(s: Supply) -> Call:
    return same(f"F.pixel_unshuffle({s.floats((1, 2, 4, 6))}, 2)")


def attended(causal: bool, s: Supply) -> Call:
    """Values wider than keys: PyTorch has no second derivative of its blocked attention, which
    wants one width."""
    x = s.floats(rank=3, least=1)
    k = s.floats(x.shape if causal else (x.shape[0], 4, x.shape[2]))
    v = s.floats((*k.shape[:2], 6 if k.shape[2] == 3 else 3))
    return same(f"F.scaled_dot_product_attention({x}, {k}, {v}, is_causal={causal})")


pair.add("attention", partial(attended, False))
pair.add("attention_causal", partial(attended, True))


# ---- losses

FITTED = (  # of an input and a target of one shape
    "mse_loss({x}, {y}",
    "l1_loss({x}, {y}",
    "huber_loss({x}, {y}, delta=0.7",
    "smooth_l1_loss({x}, {y}, beta=0.7",
    "poisson_nll_loss({x}, {p}",
    "poisson_nll_loss({p}, {y}, log_input=False",
    "kl_div({x}, {p}",
    "kl_div({x}, {y}, log_target=True",
    "gaussian_nll_loss({x}, {y}, {p}",
    "binary_cross_entropy({u}, {v}",
    "binary_cross_entropy_with_logits({x}, {v}",
    "soft_margin_loss({x}, {one}",
    "hinge_embedding_loss({x}, {one}",
    "margin_ranking_loss({x}, {y}, {one}, margin=0.2",
    "multilabel_soft_margin_loss({x2}, {v2}",
    "triplet_margin_loss({x2}, {y2}, {z2}",
    "cosine_embedding_loss({x2}, {y2}, {one1}, margin=0.1",
)


def loss(text: str, s: Supply) -> Call:
    """A loss; only the operands that it names are drawn."""
    flat = "x2}" in text
    x = s.floats(rank=2, least=2) if flat else s.floats(ranks=(1, 2, 3), least=1)
    if "{p}, {y}, log" in text:
        x = s.floats(x.shape, low=0.2)
    draws = {
        "x": lambda: x,
        "x2": lambda: x,
        "y": lambda: s.floats(x.shape),
        "y2": lambda: s.floats(x.shape),
        "z2": lambda: s.floats(x.shape),
        "p": lambda: s.floats(x.shape, low=0.2),
        "u": lambda: s.floats(x.shape, low=0.05, high=0.95),
        "v": lambda: s.floats(x.shape, low=0.05, high=0.95),
        "v2": lambda: s.floats(x.shape, low=0.05, high=0.95),
        "one": lambda: f"({s.ints(0, 1, x.shape)} * 2 - 1)",
        "one1": lambda: f"({s.ints(0, 1, x.shape[:1])} * 2 - 1)",
    }
    drawn = {name: draw() for name, draw in draws.items() if f"{{{name}}}" in text}
    folded = s.pick("mean", "sum", "none")
    return same(f"F.{text.format(**drawn)}, reduction='{folded}')")


MARGIN = "16.6: at a margin the derivative is 1, as in PyTorch before its clamp changed (2.14: 0)"
for text in FITTED:
    kinks = MARGIN if "margin" in text or "hinge" in text else ""
    pair.add(text + ")", partial(loss, text), kinks=kinks)


@pair()
def cross_entropy(s: Supply) -> Call:
    x = s.floats(rank=2, least=3)
    t, folded = s.ints(0, 2, x.shape[:1]), s.pick("mean", "sum", "none")
    more = f", label_smoothing=0.1, weight={s.floats(x.shape[1:], low=0.2)}" if s.flip(0.4) else ""
    return same(f"F.cross_entropy({x}, {t}{more}, reduction='{folded}')")


@pair()
def cross_entropy_soft(s: Supply) -> Call:
    x = s.floats(rank=2, least=2)
    return same(f"F.cross_entropy({x}, {s.floats(x.shape, low=0.1, high=0.9)})")


@pair()
def cross_entropy_image(s: Supply) -> Call:
    x = s.floats(rank=3, least=3)
    return same(f"F.cross_entropy({x}, {s.ints(0, 2, (x.shape[0], x.shape[2]))})")


@pair()
def nll_loss(s: Supply) -> Call:
    x = s.floats(rank=2, least=3)
    return same(f"F.nll_loss({x}, {s.ints(0, 2, x.shape[:1])}, ignore_index={s.pick(-100, 1)})")


@pair(first="PyTorch has no second derivative of multi_margin_loss")
def multi_margin_loss(s: Supply) -> Call:
    x = s.floats(rank=2, least=3)
    return same(f"F.multi_margin_loss({x}, {s.ints(0, 2, x.shape[:1])}, p={s.pick(1, 2)})")


@pair(first="PyTorch has no second derivative of ctc_loss")
def ctc_loss(s: Supply) -> Call:
    """18.4: behind a log_softmax, where both gradients are equal."""
    if s.symbolic:
        raise UnfitError
    x, t = s.floats((7, 2, 4)), s.ints(1, 3, (2, 2))
    lengths = "lib.asarray([7, 6]), lib.asarray([2, 1])"
    text = f"F.ctc_loss(F.log_softmax({x}, dim=2), {t}, {lengths})"
    return Call(text.replace("lib.", "gc."), text.replace("lib.asarray", "torch.tensor"))
