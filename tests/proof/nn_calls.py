"""Sample calls of the functions of `gc.linalg`, `gc.fft` and `gc.nn.functional`, and those that
have no gradient, with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from proof.calls import Call, by, draw, use

import graphc as gc

# ---- matrices

S, BATCH, TALL, WIDE = draw(3, 3), draw(2, 3, 3), draw(4, 3), draw(3, 4)
WELL, WELL_BATCH = S + 4 * np.eye(3), BATCH + 4 * np.eye(3)
RIGHT = draw(3, 2)
TRIANGLE = np.tril(S) + 3 * np.eye(3)


def spread(n: int) -> Any:
    return np.diag(np.arange(1.0, n + 1.0) * 2.0)


def definite(f: Any, x: Any, *args: Any, **options: Any) -> Any:
    """A function of a matrix that is made positive definite, its eigenvalues well apart."""
    square = gc.matmul(x, gc.matrix_transpose(x))
    return f(square + spread(3), *args, **options)


LINALG: Mapping[str, tuple[Call, ...]] = {
    "cholesky": (by(definite, S), by(definite, BATCH), by(definite, S, upper=True)),
    "det": (use(WELL), use(WELL_BATCH), use(draw(1, 1, low=1.0))),
    "eigh": (by(definite, S), by(definite, BATCH)),
    "eigvalsh": (by(definite, S), by(definite, BATCH)),
    "inv": (use(WELL), use(WELL_BATCH)),
    "matmul": (use(S, RIGHT), use(BATCH, RIGHT)),
    "matrix_norm": tuple(use(WIDE, ord=o) for o in ("fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf)),
    "matrix_power": tuple(use(WELL, n) for n in (1, 2, 5, -1, -2)),
    "matrix_transpose": (use(WIDE), use(BATCH)),
    "norm": (use(WIDE), use(WIDE, axis=0), use(WIDE, ord=1, axis=1), use(WIDE, ord=3, axis=1)),
    "outer": (use(S[0], TALL[:, 0]),),
    "pinv": (use(TALL), use(WIDE), use(WELL_BATCH)),
    "qr": (use(WELL), use(TALL), use(WELL_BATCH)),
    "slogdet": (use(WELL), use(WELL_BATCH)),
    "solve": (use(WELL, RIGHT), use(WELL, S[0]), use(WELL_BATCH, draw(2, 3, 2))),
    "solve_triangular": (
        use(TRIANGLE, RIGHT, lower=True), use(TRIANGLE.T.copy(), RIGHT),
        use(TRIANGLE, RIGHT, 1, True),
        use(TRIANGLE, RIGHT, lower=True, unit_diagonal=True),
    ),
    "svd": (by(definite, S), use(TALL), use(WIDE)),
    "svdvals": (use(TALL), use(WIDE), use(BATCH)),
    "tensordot": (use(S, RIGHT, axes=1), use(S, S.T.copy())),
    "vecdot": (use(S, S[::-1].copy()), use(S, BATCH)),
    "vector_norm": tuple(use(WIDE, ord=o, axis=1) for o in (2, 1, 3, 0.5, -1, np.inf, -np.inf)),
}  # fmt: skip
NO_GRADIENT_LINALG = {"gives integers": "matrix_rank"}

# ---- transforms

C1, C2 = draw(5, 2), draw(3, 4, 2)
NORMS = ("backward", "ortho", "forward")


def transforms(*more: Call) -> tuple[Call, ...]:
    return tuple(use(C2, norm=n) for n in NORMS) + more


FFT: Mapping[str, tuple[Call, ...]] = {
    "fft": transforms(use(C1), use(C2, axis=0), use(C1, n=7), use(C1, n=3)),
    "fft2": transforms(use(draw(2, 3, 5, 2))),
    "fftn": transforms(use(draw(2, 3, 5, 2), axes=(0, 2))),
    "fftshift": (use(C2), use(C2, axes=0), use(draw(5), real=True)),
    "ifft": transforms(use(C1), use(C2, axis=0), use(C1, n=7)),
    "ifft2": transforms(),
    "ifftn": transforms(),
    "ifftshift": (use(C2), use(C2, axes=0), use(draw(5), real=True)),
    "irfft": (use(C1), use(C1, n=7), use(C2, axis=0), use(C1, norm="ortho")),
    "rfft": (use(draw(6)), use(draw(7)), use(draw(3, 4), axis=0), use(draw(6), norm="ortho")),
}
NO_GRADIENT_FFT = {"gives a constant": "fftfreq rfftfreq"}

# ---- activations and losses

X, Y = draw(4, 6, low=-4, high=4), draw(4, 6, low=-3.5, high=4)
P, Q = draw(4, 6, low=0.1, high=0.9), draw(4, 6, low=0.15, high=0.9)
SIGNS, SIDES = np.where(X > 0, 1, -1).astype(np.float32), np.float32([1, -1, 1, -1])
LABELS, WEIGHT = np.array([0, 3, -100, 5]), draw(6, low=0.3)
WORDS = ("mean", "sum", "none")


def every(*more: Call) -> tuple[Call, ...]:
    return use(X), use(draw(7, low=-8, high=8)), use(draw()), use(draw(0, 3)), *more


def losses(*args: Any, **options: Any) -> tuple[Call, ...]:
    return tuple(use(*args, reduction=w, **options) for w in WORDS)


def labelled(f: Any, *args: Any, **options: Any) -> Any:
    """A loss whose labels are those of this file."""
    return f(args[0], LABELS, *args[1:], **options)


def ctc(f: Any, x: Any) -> Any:
    """The loss of two sequences, one of them shorter."""
    scores = x - gc.logsumexp(x, axis=-1, keepdims=True)
    return f(scores, np.array([[1, 2], [2, 1]]), np.array([5, 4]), np.array([2, 1]))


ACTIVATIONS = {
    "celu": every(use(X, 1.5)), "elu": every(use(X, 0.5)), "gelu": every(use(X, "tanh")),
    "glu": (use(X), use(X, dim=0)), "hardshrink": every(), "hardsigmoid": every(),
    "hardswish": every(), "hardtanh": every(use(X, -0.5, 2.0)), "leaky_relu": every(use(X, 0.3)),
    "log_softmax": (use(X), use(X, dim=0)), "logsigmoid": every(), "mish": every(),
    "prelu": (use(X, draw(1)), use(X, draw(6))), "relu": every(), "relu6": every(), "selu": every(),
    "sigmoid": every(), "silu": every(), "softmax": (use(X), use(X, dim=0)),
    "softmin": (use(X), use(X, dim=0)), "softplus": every(use(X, 2.0, 3.0)),
    "softshrink": every(use(X, 0.2)), "softsign": every(), "tanh": every(), "tanhshrink": every(),
    "threshold": (use(X, 0.1, 20.0),),
    "gumbel_softmax": (use(X, seed=3), use(X, 0.5, seed=3, dim=0)),
}  # fmt: skip
LOSSES = {
    "binary_cross_entropy": (*losses(P, Q), use(P, Q, draw(4, 6, low=0.2))),
    "binary_cross_entropy_with_logits": (*losses(X, Q), use(X, Q, pos_weight=WEIGHT)),
    "cosine_embedding_loss": losses(X, Y, SIDES, margin=0.1),
    "cross_entropy": (
        *(by(labelled, X, reduction=w) for w in WORDS), by(labelled, X, WEIGHT),
        by(labelled, X, WEIGHT, label_smoothing=0.2), use(X, P, label_smoothing=0.1),
    ),
    "ctc_loss": (by(ctc, draw(5, 2, 3)),),
    "gaussian_nll_loss": losses(X, Y, P),
    "hinge_embedding_loss": losses(X, SIGNS),
    "huber_loss": losses(X, Y, delta=0.8),
    "kl_div": (*losses(X, Q), use(X, Y, log_target=True), use(X, Q, reduction="batchmean")),
    "l1_loss": losses(X, Y),
    "margin_ranking_loss": losses(X[0], X[1], SIGNS[0], margin=0.3),
    "mse_loss": (*losses(X, Y), use(X, Y, weight=Q)),
    "multi_margin_loss": (
        use(X, abs(LABELS) % 6), use(X, abs(LABELS) % 6, p=2, margin=0.7),
        use(X, abs(LABELS) % 6, weight=WEIGHT),
    ),
    "multilabel_soft_margin_loss": (*losses(X, Q), use(X, Q, WEIGHT)),
    "nll_loss": (*(by(labelled, X, reduction=w) for w in WORDS), by(labelled, X, WEIGHT)),
    "poisson_nll_loss": (*losses(X, P * 5), use(P, P * 5, log_input=False, full=True)),
    "smooth_l1_loss": (*losses(X, Y), use(X, Y, beta=0.4)),
    "soft_margin_loss": losses(X, SIGNS),
    "triplet_margin_loss": (*losses(X, Y, P), use(X, Y, P, swap=True), use(X, Y, P, p=3.0)),
}  # fmt: skip
