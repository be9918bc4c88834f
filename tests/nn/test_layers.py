"""Layers and their functions against PyTorch: values, gradients, state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.nn import compare, in_f64, layer

import graphc as gc
from graphc.errors import ArgumentError, DTypeError, GraphcError, GraphError, ShapeError
from graphc.nn import functional as F  # noqa: N812

RNG = np.random.default_rng(5)


def draw(*shape: int, low: float = -4.0, high: float = 4.0) -> Any:
    return RNG.uniform(low, high, shape)


X = draw(5, 4)
KINKS = np.array([[-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0, 6.0, 30.0, -30.0]])
CHANNELS, IMAGE, VOLUME = draw(3, 4, 5), draw(2, 4, 3, 2), draw(2, 4, 2, 3, 2)

ACTIVATIONS: list[tuple[str, str, dict[str, Any]]] = [
    ("relu", "ReLU", {}),
    ("relu6", "ReLU6", {}),
    ("leaky_relu", "LeakyReLU", {}),
    ("leaky_relu", "LeakyReLU", {"negative_slope": 0.3}),
    ("elu", "ELU", {}),
    ("elu", "ELU", {"alpha": 0.7}),
    ("selu", "SELU", {}),
    ("celu", "CELU", {}),
    ("celu", "CELU", {"alpha": 0.4}),
    ("gelu", "GELU", {}),
    ("gelu", "GELU", {"approximate": "tanh"}),
    ("sigmoid", "Sigmoid", {}),
    ("logsigmoid", "LogSigmoid", {}),
    ("tanh", "Tanh", {}),
    ("tanhshrink", "Tanhshrink", {}),
    ("silu", "SiLU", {}),
    ("mish", "Mish", {}),
    ("softplus", "Softplus", {}),
    ("softplus", "Softplus", {"beta": 2.0, "threshold": 3.0}),
    ("softsign", "Softsign", {}),
    ("hardtanh", "Hardtanh", {}),
    ("hardtanh", "Hardtanh", {"min_val": -2.0, "max_val": 0.5}),
    ("hardsigmoid", "Hardsigmoid", {}),
    ("hardswish", "Hardswish", {}),
    ("hardshrink", "Hardshrink", {}),
    ("hardshrink", "Hardshrink", {"lambd": 1.5}),
    ("softshrink", "Softshrink", {}),
    ("softshrink", "Softshrink", {"lambd": 1.5}),
    ("threshold", "Threshold", {"threshold": 0.5, "value": -2.0}),
    ("glu", "GLU", {}),
    ("glu", "GLU", {"dim": -1}),
    ("softmax", "Softmax", {"dim": 1}),
    ("log_softmax", "LogSoftmax", {"dim": 0}),
    ("softmin", "Softmin", {"dim": 1}),
]
IDS = [f"{i}-{a[0]}" for i, a in enumerate(ACTIVATIONS)]


@pytest.mark.parametrize(("function", "module", "options"), ACTIVATIONS, ids=IDS)
def test_activations(
    function: str, module: str, options: Any, request: pytest.FixtureRequest
) -> None:
    """The function at kinks and far out, the module on ordinary numbers; gradients of both."""
    key = request.node.callspec.id
    if function == "glu":
        compare(key, (X,), lambda torch, x: torch.nn.functional.glu(x), lambda x: F.glu(x), 1)
    else:
        compare(
            key,
            (KINKS,),
            lambda torch, x: getattr(torch.nn.functional, function)(x, **options),
            lambda x: getattr(F, function)(x, **options),
            1,
        )
    compare(
        f"{key}-module",
        (X,),
        lambda torch, x: getattr(torch.nn, module)(**options)(x),
        lambda x: getattr(gc.nn, module)(**options)(x),
        1,
    )


@pytest.mark.parametrize("function", [a[0] for a in ACTIVATIONS if a[0] != "glu"])
def test_activations_keep_nan(function: str) -> None:
    options = {"threshold": {"threshold": 0.5, "value": -2.0}}.get(function, {})
    with gc.Graph().as_default(), gc.Session() as sess:
        assert np.isnan(sess.run(getattr(F, function)(gc.asarray([np.nan]), **options))).all()


def test_prelu() -> None:
    for i, (x, w) in enumerate([(X, draw(4)), (X, draw(1)), (draw(3), draw(1)), (IMAGE, draw(4))]):
        compare(f"prelu{i}", (x, w), lambda torch, *t: torch.nn.functional.prelu(*t), F.prelu, 2)
    layer("prelu-layer", (IMAGE,), lambda nn: nn.PReLU(4), lambda: gc.nn.PReLU(4), 1)


INDICES = np.array([[1, 0, 4], [4, 4, 2]])
# name, arrays, torch's module, ours (None: the same expression), differentiated inputs, training
LAYERS: list[tuple[str, tuple[Any, ...], Callable[[Any], Any], int, bool]] = [
    ("linear", (X,), lambda nn: nn.Linear(4, 3), 1, True),
    ("linear-3d", (CHANNELS,), lambda nn: nn.Linear(5, 2, bias=False), 1, True),
    ("linear-1d", (X[0],), lambda nn: nn.Linear(4, 3), 1, True),
    ("bilinear", (X, draw(5, 3)), lambda nn: nn.Bilinear(4, 3, 2), 2, True),
    ("embedding", (INDICES,), lambda nn: nn.Embedding(5, 3), 0, True),
    ("embedding-padding", (INDICES,), lambda nn: nn.Embedding(5, 3, padding_idx=-1), 0, True),
    ("bag-mean", (INDICES,), lambda nn: nn.EmbeddingBag(5, 3), 0, True),
    ("bag-sum", (INDICES,), lambda nn: nn.EmbeddingBag(5, 3, mode="sum"), 0, True),
    ("bn1d", (X,), lambda nn: nn.BatchNorm1d(4), 1, True),
    ("bn1d-eval", (X,), lambda nn: nn.BatchNorm1d(4), 1, False),
    ("bn1d-3d", (CHANNELS,), lambda nn: nn.BatchNorm1d(4, momentum=0.3, eps=0.1), 1, True),
    ("bn2d", (IMAGE,), lambda nn: nn.BatchNorm2d(4), 1, True),
    ("bn2d-eval", (IMAGE,), lambda nn: nn.BatchNorm2d(4), 1, False),
    ("bn2d-mean", (IMAGE,), lambda nn: nn.BatchNorm2d(4, momentum=None), 1, True),
    (
        "bn2d-plain",
        (IMAGE,),
        lambda nn: nn.Sequential(
            nn.BatchNorm2d(4, affine=False), nn.BatchNorm2d(4, track_running_stats=False)
        ),
        1,
        True,
    ),
    ("bn2d-own", (IMAGE,), lambda nn: nn.BatchNorm2d(4, track_running_stats=False), 1, False),
    ("bn3d", (VOLUME,), lambda nn: nn.BatchNorm3d(4), 1, True),
    (
        "bn-deep",
        (X,),
        lambda nn: nn.Sequential(
            nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Tanh(), nn.Linear(3, 3), nn.BatchNorm1d(3)
        ),
        1,
        True,
    ),
    ("in1d", (CHANNELS,), lambda nn: nn.InstanceNorm1d(4, affine=True), 1, True),
    (
        "in2d",
        (IMAGE,),
        lambda nn: nn.InstanceNorm2d(4, affine=True, track_running_stats=True),
        1,
        True,
    ),
    (
        "in2d-eval",
        (IMAGE,),
        lambda nn: nn.InstanceNorm2d(4, affine=True, track_running_stats=True),
        1,
        False,
    ),
    ("in2d-single", (IMAGE[0],), lambda nn: nn.InstanceNorm2d(4, affine=True), 1, True),
    ("in3d", (VOLUME,), lambda nn: nn.InstanceNorm3d(4, affine=True), 1, False),
    ("layernorm", (CHANNELS,), lambda nn: nn.LayerNorm((4, 5)), 1, True),
    ("layernorm-bare", (CHANNELS,), lambda nn: nn.LayerNorm(5, bias=False, eps=0.1), 1, True),
    ("rmsnorm", (CHANNELS,), lambda nn: nn.RMSNorm(5), 1, True),
    ("rmsnorm-eps", (CHANNELS,), lambda nn: nn.RMSNorm((4, 5), eps=0.1), 1, True),
    ("groupnorm", (IMAGE,), lambda nn: nn.GroupNorm(2, 4), 1, True),
    ("groupnorm-2d", (X,), lambda nn: nn.GroupNorm(1, 4, eps=0.1), 1, True),
    (
        "reshaping",
        (IMAGE,),
        lambda nn: nn.Sequential(
            nn.Flatten(),
            nn.Unflatten(1, (2, 12)),
            nn.Identity(),
            nn.Flatten(0, 1),
            nn.Linear(12, 2),
        ),
        1,
        True,
    ),
    (
        "dropout-eval",
        (X,),
        lambda nn: nn.Sequential(nn.Dropout(0.5), nn.AlphaDropout(0.5), nn.Linear(4, 2)),
        1,
        False,
    ),
]


@pytest.mark.parametrize(
    ("name", "arrays", "make", "wanted", "training"), LAYERS, ids=[case[0] for case in LAYERS]
)
def test_layers(name: str, arrays: Any, make: Any, wanted: int, training: bool) -> None:
    layer(name, arrays, make, lambda: in_f64(make(gc.nn)), wanted, training)


def test_distances() -> None:
    a, b = draw(5, 4), draw(5, 4)
    zero = np.zeros((5, 4))
    for i, options in enumerate([{}, {"dim": 0}, {"dim": -1, "eps": 10.0}]):
        compare(
            f"cosine{i}",
            (a, b),
            lambda torch, *t, o=options: torch.nn.functional.cosine_similarity(*t, **o),
            lambda *t, o=options: F.cosine_similarity(*t, **o),
            2,
        )
    for i, options in enumerate([{}, {"p": 1.0}, {"p": 3.0, "keepdim": True}, {"p": float("inf")}]):
        compare(
            f"distance{i}",
            (a, b),
            lambda torch, *t, o=options: torch.nn.functional.pairwise_distance(*t, **o),
            lambda *t, o=options: F.pairwise_distance(*t, **o),
            2,
        )
        p = options.get("p", 2.0)
        compare(
            f"normalize{i}",
            (a,),
            lambda torch, x, p=p: torch.nn.functional.normalize(x, p),
            lambda x, p=p: F.normalize(x, p),
            1,
        )
    compare(
        "cosine-zero",
        (a, zero),
        lambda torch, *t: torch.nn.functional.cosine_similarity(*t),
        F.cosine_similarity,
        0,
    )
    compare(
        "normalize-zero", (zero,), lambda torch, x: torch.nn.functional.normalize(x), F.normalize, 1
    )
    compare(
        "modules",
        (a, b),
        lambda torch, *t: [torch.nn.CosineSimilarity()(*t), torch.nn.PairwiseDistance()(*t)],
        lambda *t: [gc.nn.CosineSimilarity()(*t), gc.nn.PairwiseDistance()(*t)],
        2,
    )


DROPOUTS = [
    ("Dropout", CHANNELS, 3),
    ("Dropout1d", CHANNELS, 2),
    ("Dropout2d", IMAGE, 2),
    ("Dropout2d", CHANNELS, 2),
    ("Dropout3d", VOLUME, 2),
    ("Dropout3d", VOLUME[0], 1),
]


@pytest.mark.parametrize(("name", "x", "axes"), DROPOUTS)
def test_dropout_drops_whole_channels_and_scales_the_rest(name: str, x: Any, axes: int) -> None:
    with gc.Graph().as_default(), gc.Session() as sess:
        layer = getattr(gc.nn, name)(0.4)
        t = gc.asarray(x)
        out = layer(t)
        (dx,) = gc.gradients(out, [t])
        seen = [sess.run([out, dx]) for _ in range(40)]
        assert layer.eval()(t) is t
    kept = np.array([values != 0 for values, _ in seen])
    assert abs(kept.mean() - 0.6) < 0.1
    flat = kept.reshape((40, *x.shape[:axes], -1))
    assert (flat == flat[..., :1]).all()
    assert len({k.sum() for k in kept}) > 1
    for (values, slopes), k in zip(seen, kept, strict=True):
        np.testing.assert_allclose(values, np.where(k, x / 0.6, 0), rtol=1e-6)
        np.testing.assert_allclose(slopes, np.where(k, 1 / 0.6, 0), rtol=1e-6)


def test_alpha_dropout_keeps_mean_and_deviation() -> None:
    with gc.Graph().as_default(), gc.Session() as sess:
        x = gc.random.normal((300, 200))
        for layer in (gc.nn.AlphaDropout(0.3), gc.nn.FeatureAlphaDropout(0.3)):
            out = sess.run(layer(x))
            assert abs(out.mean()) < 0.02 and abs(out.std() - 1) < 0.02
        assert not sess.run(F.alpha_dropout(x, 1.0, training=True)).any()


def test_gumbel_softmax() -> None:
    with gc.Graph().as_default(), gc.Session() as sess:
        logits = gc.asarray(np.log(np.tile([0.7, 0.2, 0.1], (4000, 1))))
        soft, hard = F.gumbel_softmax(logits, 0.5), F.gumbel_softmax(logits, hard=True)
        (slope,) = gc.gradients(hard[:, 0], [logits])
        soft, hard, slope = sess.run([soft, hard, slope])
    np.testing.assert_allclose(soft.sum(1), 1, rtol=1e-6)
    assert sorted(np.unique(np.round(hard, 6))) == [0, 1] and np.abs(slope).max() > 0
    np.testing.assert_allclose(hard.mean(0), [0.7, 0.2, 0.1], atol=0.03)


def test_initial_values_have_the_spread_of_torch() -> None:
    with gc.Graph().as_default(), gc.Session(seed=3) as sess:
        linear, table = gc.nn.Linear(100, 200), gc.nn.Embedding(200, 100, padding_idx=7)
        both = gc.nn.Bilinear(25, 20, 60)
        values = [sess.value(p) for p in (linear.weight, linear.bias, both.weight, table.weight)]
        for w, bound in zip(values, (0.1, 0.1, 0.2, None), strict=False):
            if bound is not None:
                assert np.abs(w).max() <= bound and np.abs(w).max() > 0.97 * bound
                assert abs(w.std() / (bound / 3**0.5) - 1) < 0.1
        assert not values[3][7].any() and abs(values[3].std() - 1) < 0.03
    with gc.Graph().as_default(), gc.Session(seed=3) as sess:
        np.testing.assert_array_equal(sess.value(gc.nn.Linear(100, 200).weight), values[0])
    with gc.Graph().as_default(), gc.Session(seed=4) as sess:
        assert (sess.value(gc.nn.Linear(100, 200).weight) != values[0]).mean() > 0.99


def test_symbolic_sizes_of_norms() -> None:
    with gc.Graph().as_default(), gc.Session() as sess:
        x = gc.placeholder(gc.float64, ["n", 4, "w"])
        made = [
            gc.nn.GroupNorm(2, 4)(x),
            gc.nn.InstanceNorm1d(4)(x),
            gc.nn.BatchNorm1d(4, track_running_stats=False)(x),
            F.layer_norm(x, x.shape[1:]),
        ]
        t = gc.asarray(CHANNELS)
        known = [
            gc.nn.GroupNorm(2, 4)(t),
            gc.nn.InstanceNorm1d(4)(t),
            gc.nn.BatchNorm1d(4, track_running_stats=False)(t),
            F.layer_norm(t, t.shape[1:]),
        ]
        for a, b in zip(sess.run(made, {x: CHANNELS}), sess.run(known), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)


nn = gc.nn
WRONG: list[tuple[Callable[[], Any], type[GraphcError], str]] = [
    (lambda: nn.Linear(-1, 3), ShapeError, "Linear: in_features is -1"),
    (lambda: nn.Linear(4, 3)(draw(5, 3)), ShapeError, "linear: sizes differ"),
    (lambda: nn.Bilinear(4, 3, 2)(X, X), ShapeError, "bilinear: sizes differ"),
    (lambda: nn.Embedding(5, 3, padding_idx=5), ShapeError, "padding_idx 5 is out of range"),
    (lambda: nn.Embedding(5, 3, max_norm=1.0), GraphError, "max_norm"),
    (lambda: nn.Embedding(5, 3)(X), DTypeError, "no integers"),
    (lambda: nn.EmbeddingBag(5, 3, mode="min")(INDICES), GraphError, "mode 'min'"),
    (lambda: nn.EmbeddingBag(5, 3)(INDICES[0]), ShapeError, r"expected \[n, bag\]"),
    (lambda: nn.BatchNorm1d(4)(IMAGE), ShapeError, "BatchNorm1d: input .*: expected rank 2 or 3"),
    (lambda: nn.BatchNorm2d(3)(IMAGE), ShapeError, "sizes differ of axis 1"),
    (lambda: nn.BatchNorm1d(4)(X[:1]), ShapeError, "needs more than one"),
    (lambda: nn.BatchNorm1d(0), ShapeError, "num_features is 0"),
    (lambda: nn.GroupNorm(3, 4), ShapeError, "does not divide"),
    (lambda: F.group_norm(X, 3), ShapeError, "do not split"),
    (lambda: F.batch_norm(X), GraphError, "needed unless training"),
    (lambda: F.batch_norm(X, X[0, :3], X[0]), ShapeError, "running_mean"),
    (lambda: F.instance_norm(X), ShapeError, r"expected \[n, channels, size"),
    (lambda: nn.LayerNorm(3)(X), ShapeError, "layer_norm: sizes differ"),
    (lambda: nn.Dropout(1.5), GraphError, "Dropout: p is 1.5"),
    (lambda: nn.Dropout2d(0.5)(X), ShapeError, "dropout2d: input"),
    (lambda: F.glu(draw(2, 3)), ShapeError, "odd size 3"),
    (lambda: F.prelu(X, draw(3)), ShapeError, "expected 1 or 4"),
    (lambda: F.hardtanh(X, 1.0, 0.0), GraphError, "min_val 1.0 is above"),
    (lambda: F.celu(X, 0.0), GraphError, "alpha is 0"),
    (lambda: F.softshrink(X, -1.0), GraphError, "lambd is -1"),
    (lambda: F.gumbel_softmax(X, 0.0), GraphError, "tau is 0"),
    (lambda: F.relu6(INDICES), DTypeError, "holds no floats"),
    (lambda: nn.Unflatten(1, (3, 3))(X), ShapeError, "reshape: "),
    (lambda: nn.Flatten(2, 1)(IMAGE), ShapeError, "comes after"),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG)
def test_wrong_arguments(call: Any, error: type[GraphcError], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        call()
    assert caught.value.location is not None and caught.value.location.file == __file__


def test_options_of_activations_are_checked() -> None:
    for call in (lambda: nn.ReLU(1, 2), lambda: nn.ELU(beta=1), lambda: nn.Threshold(1.0)):
        with pytest.raises((ArgumentError, GraphError), match="argument"):
            call()
