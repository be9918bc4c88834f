"""Sample calls of `gc.nn.functional`'s layers: norms, windows, attention, look-ups, dropout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from proof.calls import Call, by, draw, use
from proof.nn_calls import ACTIVATIONS, LOSSES

X = draw(4, 6)
LINE, IMAGE, SOLID = draw(2, 4, 7), draw(2, 4, 5, 6), draw(1, 2, 3, 4, 3)
WEIGHT4, BIAS4 = draw(4, low=0.5), draw(4)
IDS = np.array([[1, 0, 4], [4, 2, 1]])
Q, K, V = draw(2, 2, 3, 4), draw(2, 2, 5, 4), draw(2, 2, 5, 3)
CAUSAL = draw(2, 2, 3, 3)


def looked_up(f: Any, weight: Any, **options: Any) -> Any:
    """A function of indices and a table."""
    return f(IDS, weight, **options)


def pools(line: tuple[Any, ...], *more: Call) -> tuple[Call, ...]:
    return use(*line), use(*line, stride=1), *more


NORMS: Mapping[str, tuple[Call, ...]] = {
    "batch_norm": (
        use(LINE, training=True), use(IMAGE, None, None, WEIGHT4, BIAS4, training=True),
        use(LINE, draw(4), WEIGHT4, WEIGHT4, BIAS4), use(X, draw(6), draw(6, low=0.5)),
    ),
    "cosine_similarity": (use(X, draw(4, 6, high=1)), use(LINE, LINE[::-1].copy(), dim=-1)),
    "group_norm": (use(LINE, 2), use(IMAGE, 4, WEIGHT4, BIAS4)),
    "instance_norm": (use(LINE), use(IMAGE, weight=WEIGHT4, bias=BIAS4)),
    "layer_norm": (use(X, (6,)), use(X, (6,), draw(6), draw(6, low=-1)), use(LINE, (4, 7))),
    "normalize": (use(X), use(X, p=3.0, dim=0), use(X, p=1.0)),
    "pairwise_distance": (
        use(X, draw(4, 6, high=1)), use(X, draw(4, 6, high=1), p=1.0, keepdim=True),
    ),
    "rms_norm": (use(X, (6,)), use(X, (6,), draw(6), eps=1e-3)),
}  # fmt: skip
WINDOWS: Mapping[str, tuple[Call, ...]] = {
    "adaptive_avg_pool1d": (use(LINE, 3), use(LINE, 7)),
    "adaptive_avg_pool2d": (use(IMAGE, (2, 4)),),
    "adaptive_avg_pool3d": (use(SOLID, (2, 3, 1)),),
    "adaptive_max_pool1d": (use(LINE, 3),),
    "adaptive_max_pool2d": (use(IMAGE, (2, 4)),),
    "adaptive_max_pool3d": (use(SOLID, (2, 3, 1)),),
    "avg_pool1d": pools((LINE, 2), use(LINE, 3, padding=1, count_include_pad=False)),
    "avg_pool2d": pools((IMAGE, 2), use(IMAGE, (3, 2), ceil_mode=True)),
    "avg_pool3d": (use(SOLID, 2),),
    "lp_pool1d": (use(LINE, 2.0, 2), use(abs(LINE), 3.0, 2)),
    "lp_pool2d": (use(IMAGE, 2.0, 2),),
    "max_pool1d": pools((LINE, 2), use(LINE, 3, padding=1, dilation=2)),
    "max_pool2d": pools((IMAGE, 2), use(IMAGE, 3, ceil_mode=True)),
    "max_pool3d": (use(SOLID, 2),),
    "conv1d": (use(LINE, draw(3, 4, 3)), use(LINE, draw(4, 2, 3), draw(4), 2, 1, 1, 2)),
    "conv2d": (
        use(IMAGE, draw(3, 4, 3, 3), draw(3)), use(IMAGE, draw(4, 1, 2, 3), None, 1, "same", 1, 4),
    ),
    "conv3d": (use(SOLID, draw(2, 2, 2, 2, 2)),),
    "conv_transpose1d": (use(LINE, draw(4, 3, 3)), use(LINE, draw(4, 1, 3), None, 2, 1, 1, 2)),
    "conv_transpose2d": (use(IMAGE[:, :, :3, :3].copy(), draw(4, 2, 3, 2), draw(2), 2),),
    "conv_transpose3d": (use(SOLID, draw(2, 1, 2, 2, 2)),),
    "fold": (use(draw(2, 8, 6), (4, 3), 2),),
    "unfold": (use(IMAGE, 2), use(IMAGE, (2, 3), padding=1, stride=2)),
    "interpolate": (
        *(use(IMAGE, (7, 4), mode=m) for m in ("nearest", "nearest-exact", "area")),
        *(use(IMAGE, (7, 4), mode=m) for m in ("bilinear", "bicubic")),
        use(LINE, 11, mode="linear", align_corners=True),
    ),
    "pad": tuple(
        use(LINE, (2, 1), mode=m) for m in ("constant", "reflect", "replicate", "circular")
    ),
    "pixel_shuffle": (use(IMAGE, 2),),
    "pixel_unshuffle": (use(draw(2, 1, 4, 6), 2),),
}  # fmt: skip
REST: Mapping[str, tuple[Call, ...]] = {
    "bilinear": (use(X, draw(4, 3), draw(2, 6, 3), draw(2)),),
    "linear": (use(X, draw(3, 6), draw(3)), use(draw(6), draw(3, 6))),
    "embedding": (by(looked_up, draw(5, 3)), by(looked_up, draw(7, 1))),
    "embedding_bag": tuple(by(looked_up, draw(5, 3), mode=m) for m in ("mean", "sum", "max")),
    "scaled_dot_product_attention": (
        use(Q, K, V), use(Q, Q[..., ::-1].copy(), CAUSAL, is_causal=True),
        use(Q, K, V, draw(3, 5)), use(Q, K, V, scale=0.3),
    ),
    "alpha_dropout": (use(X, 0.3, True, seed=1),),
    "dropout": (use(X, 0.3, seed=1), use(X, 0.0), use(X, 0.3, False)),
    "dropout1d": (use(LINE, 0.3, seed=1),),
    "dropout2d": (use(IMAGE, 0.3, seed=1),),
    "dropout3d": (use(SOLID, 0.3, seed=1),),
    "feature_alpha_dropout": (use(LINE, 0.3, True, seed=1),),
}  # fmt: skip
FUNCTIONAL: Mapping[str, tuple[Call, ...]] = {**ACTIVATIONS, **LOSSES, **NORMS, **WINDOWS, **REST}
NO_GRADIENT_FUNCTIONAL = {"gives a constant": "one_hot"}
