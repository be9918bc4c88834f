"""Convolutions, pooling, padding and resampling as modules, against PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.nn import in_f64, layer

import graphc as gc
from graphc import nn
from graphc.errors import GraphcError, GraphError, ShapeError

RNG = np.random.default_rng(8)
LINE, IMAGE, VOLUME = (RNG.uniform(-2, 2, (2, 4, *s)) for s in ((9,), (6, 7), (4, 5, 4)))

CASES: list[tuple[str, Callable[[Any], Any], Any]] = [
    ("conv1d", lambda nn: nn.Conv1d(4, 6, 3, stride=2, padding=1), LINE),
    (
        "conv1d-circular",
        lambda nn: nn.Conv1d(4, 2, 4, padding="same", padding_mode="circular"),
        LINE,
    ),
    ("conv2d", lambda nn: nn.Conv2d(4, 6, 3), IMAGE),
    (
        "conv2d-groups",
        lambda nn: nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 0), (1, 2), 2, bias=False),
        IMAGE,
    ),
    ("conv2d-same", lambda nn: nn.Conv2d(4, 3, (5, 3), padding="same", dilation=(1, 2)), IMAGE),
    ("conv2d-reflect", lambda nn: nn.Conv2d(4, 3, 3, 2, (2, 1), padding_mode="reflect"), IMAGE),
    ("conv2d-replicate", lambda nn: nn.Conv2d(4, 3, 3, padding=1, padding_mode="replicate"), IMAGE),
    ("conv2d-single", lambda nn: nn.Conv2d(4, 3, 3, padding=1), IMAGE[0]),
    ("conv3d", lambda nn: nn.Conv3d(4, 2, 2, padding=1), VOLUME),
    ("back1d", lambda nn: nn.ConvTranspose1d(4, 6, 3, stride=2, output_padding=1), LINE),
    ("back2d", lambda nn: nn.ConvTranspose2d(4, 6, 3, 2, 1, groups=2), IMAGE),
    ("back3d", lambda nn: nn.ConvTranspose3d(4, 2, 2, bias=False), VOLUME),
    (
        "max",
        lambda nn: nn.Sequential(nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(2, ceil_mode=True)),
        IMAGE,
    ),
    (
        "line",
        lambda nn: nn.Sequential(
            nn.MaxPool1d(2, 1), nn.AvgPool1d(3, 2), nn.ConstantPad1d((1, 2), 0.5)
        ),
        LINE,
    ),
    (
        "cube",
        lambda nn: nn.Sequential(nn.MaxPool3d(2, 1), nn.AvgPool3d(2), nn.ZeroPad3d(1)),
        VOLUME,
    ),
    (
        "adaptive",
        lambda nn: nn.Sequential(nn.AdaptiveAvgPool2d((4, 3)), nn.AdaptiveMaxPool2d(2)),
        IMAGE,
    ),
    ("lp", lambda nn: nn.LPPool2d(3, 2), np.abs(IMAGE) + 0.1),
    (
        "upsample",
        lambda nn: nn.Sequential(
            nn.Upsample(scale_factor=2),
            nn.UpsamplingBilinear2d(size=(5, 9)),
            nn.UpsamplingNearest2d(scale_factor=2),
        ),
        IMAGE,
    ),
    ("shuffle", lambda nn: nn.Sequential(nn.PixelShuffle(2), nn.PixelUnshuffle(2)), IMAGE),
    (
        "pads",
        lambda nn: nn.Sequential(
            nn.ReflectionPad2d((1, 0, 2, 1)),
            nn.ReplicationPad2d(1),
            nn.CircularPad2d((0, 1, 2, 3)),
            nn.ZeroPad2d(1),
            nn.ConstantPad2d(1, -2.0),
        ),
        IMAGE,
    ),
    ("fold", lambda nn: nn.Sequential(nn.Unfold(2), nn.Fold((6, 7), 2)), IMAGE),
    (
        "network",
        lambda nn: nn.Sequential(
            nn.Conv2d(4, 3, 3, bias=False),
            nn.BatchNorm2d(3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(12, 2),
        ),
        IMAGE,
    ),
]


@pytest.mark.parametrize(("name", "make", "x"), CASES, ids=[c[0] for c in CASES])
def test_layers(name: str, make: Any, x: Any) -> None:
    layer(name, (x,), plus(make), lambda: in_f64(plus(make)(gc.nn)), 1)


def plus(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The layer after a PReLU, so that each case has a parameter."""
    return lambda nn: nn.Sequential(nn.PReLU(), make(nn))


def test_the_size_of_a_transposed_convolution() -> None:
    layer(
        "sized",
        (IMAGE,),
        lambda nn: nn.ConvTranspose2d(4, 2, 3, (2, 3)),
        lambda: in_f64(nn.ConvTranspose2d(4, 2, 3, (2, 3))),
        1,
        call=lambda m, x: m(x, output_size=(14, 22)),
    )


def test_initial_values_and_text() -> None:
    with gc.Graph().as_default(), gc.Session() as sess:
        conv, back = nn.Conv2d(16, 32, 5, groups=2), nn.ConvTranspose2d(16, 32, 5)
        for made, fan in ((conv, 8 * 25), (back, 32 * 25)):
            w, b = sess.value(made.weight), sess.value(made.bias)
            bound = fan**-0.5
            assert 0.98 * bound < np.abs(w).max() <= bound and np.abs(b).max() <= bound
        assert repr(conv) == "Conv2d(16, 32, kernel_size=(5, 5), stride=(1, 1), groups=2)"
        text = repr(nn.Conv1d(1, 2, 3, padding=1, bias=False, padding_mode="circular"))
        assert text == (
            "Conv1d(1, 2, kernel_size=(3,), stride=(1,), padding=(1,), bias=False, "
            "padding_mode=circular)"
        )


WRONG: list[tuple[Callable[[], Any], type[GraphcError], str]] = [
    (lambda: nn.Conv2d(4, 6, 3, groups=4), ShapeError, "out_channels = 6 does not divide"),
    (lambda: nn.Conv2d(0, 6, 3), ShapeError, "in_channels is 0"),
    (lambda: nn.Conv2d(4, 6, (3, 3, 3)), ShapeError, "kernel_size is"),
    (lambda: nn.Conv2d(4, 6, 3, padding="full"), GraphError, "padding 'full'"),
    (lambda: nn.Conv2d(4, 6, 3, padding_mode="wrap"), GraphError, "padding_mode 'wrap'"),
    (lambda: nn.Conv2d(3, 6, 3)(IMAGE), ShapeError, "conv2d: "),
    (lambda: nn.Conv2d(4, 6, 3)(LINE[0, 0]), ShapeError, "conv2d: "),
    (lambda: nn.ConvTranspose2d(4, 6, 3)(IMAGE, (20, 20)), ShapeError, "expected at least"),
    (lambda: nn.MaxPool2d(), GraphError, "argument 'kernel_size' is missing"),
    (lambda: nn.MaxPool2d(9)(IMAGE), ShapeError, "max_pool2d: "),
    (lambda: nn.ZeroPad2d((1, 2)), ShapeError, "expected an int or 4 of them"),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG)
def test_wrong_arguments(call: Any, error: type[GraphcError], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        call()
    assert caught.value.location is not None and caught.value.location.file == __file__
