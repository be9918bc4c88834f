"""Affine layers, embeddings, distances and changes of shape, with PyTorch's names and arguments.

Initial values have PyTorch's distributions.
"""

from __future__ import annotations

import math
from typing import Any

from graphc import init
from graphc.errors import GraphError, ShapeError, user_location
from graphc.frontend.arguments import axis_of, integer, tensor
from graphc.frontend.tensor import Tensor
from graphc.functions.creation import iota
from graphc.functions.pointwise import equal, where
from graphc.functions.shaping import reshape
from graphc.ir.types import f32
from graphc.nn import functional
from graphc.nn.functional.linear import flattened, padding_row
from graphc.nn.module import Module, Parameter

__all__ = [
    "Bilinear",
    "CosineSimilarity",
    "Embedding",
    "EmbeddingBag",
    "Flatten",
    "Identity",
    "Linear",
    "PairwiseDistance",
    "Unflatten",
]


def positive(what: str, argument: str, value: Any, least: int = 1) -> int:
    """An int of at least `least`.  Raises `ShapeError`."""
    n = integer(what, argument, value)
    if n < least:
        raise ShapeError(f"{what}: {argument} is {n}; expected at least {least}", user_location())
    return n


def near_zero(shape: tuple[int, ...], fan: int, dtype: Any) -> Parameter:
    """A parameter uniform over [-1 / sqrt(fan), 1 / sqrt(fan))."""
    bound = 1.0 / math.sqrt(fan) if fan else 0.0
    return Parameter(init.uniform(shape, -bound, bound, dtype))


class Identity(Module):
    """Its input; takes any arguments."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def forward(self, input: Any) -> Any:
        return input


class Linear(Module):
    """input @ weight.T + bias, over the last axis.

    >>> import graphc as gc
    >>> gc.nn.Linear(3, 4)
    Linear(in_features=3, out_features=4, bias=True)
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, dtype: Any = f32
    ) -> None:
        self.in_features = positive("Linear", "in_features", in_features, 0)
        self.out_features = positive("Linear", "out_features", out_features, 0)
        self.weight = near_zero((out_features, in_features), in_features, dtype)
        self.bias = near_zero((out_features,), in_features, dtype) if bias else None

    def forward(self, input: Any) -> Tensor:
        return functional.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class Bilinear(Module):
    """input1 @ weight[o] @ input2 + bias[o], for each o."""

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        dtype: Any = f32,
    ) -> None:
        self.in1_features = positive("Bilinear", "in1_features", in1_features)
        self.in2_features = positive("Bilinear", "in2_features", in2_features)
        self.out_features = positive("Bilinear", "out_features", out_features)
        shape = (out_features, in1_features, in2_features)
        self.weight = near_zero(shape, in1_features, dtype)
        self.bias = near_zero((out_features,), in1_features, dtype) if bias else None

    def forward(self, input1: Any, input2: Any) -> Tensor:
        return functional.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )


class Embedding(Module):
    """The rows of a table at given indices; row `padding_idx` starts as zeros and is not trained.

    >>> import graphc as gc
    >>> gc.nn.Embedding(10, 3, padding_idx=0)([[1, 0]]).type
    f32[1,2,3]
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        dtype: Any = f32,
    ) -> None:
        if max_norm is not None or scale_grad_by_freq:
            raise GraphError(
                "Embedding: max_norm and scale_grad_by_freq are not supported", user_location()
            )
        self.num_embeddings = positive("Embedding", "num_embeddings", num_embeddings)
        self.embedding_dim = positive("Embedding", "embedding_dim", embedding_dim)
        shape = (num_embeddings, embedding_dim)
        start = init.normal(shape, dtype=dtype)
        self.padding_idx = None
        if padding_idx is not None:
            self.padding_idx = padding_row("Embedding", padding_idx, num_embeddings)
            start = where(equal(iota(shape, 0), self.padding_idx), 0.0, start)
        self.weight = Parameter(start)

    def forward(self, input: Any) -> Tensor:
        return functional.embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"


class EmbeddingBag(Module):
    """The sum, mean or maximum of the rows of a table at the indices of each bag [n, bag]."""

    def __init__(
        self, num_embeddings: int, embedding_dim: int, mode: str = "mean", dtype: Any = f32
    ) -> None:
        self.num_embeddings = positive("EmbeddingBag", "num_embeddings", num_embeddings)
        self.embedding_dim = positive("EmbeddingBag", "embedding_dim", embedding_dim)
        self.mode = mode
        self.weight = Parameter(init.normal((num_embeddings, embedding_dim), dtype=dtype))

    def forward(self, input: Any) -> Tensor:
        return functional.embedding_bag(input, self.weight, self.mode)

    def extra_repr(self) -> str:
        return f"{self.num_embeddings}, {self.embedding_dim}, mode={self.mode!r}"


class Flatten(Module):
    """Axes `start_dim` to `end_dim` as one.

    >>> import graphc as gc
    >>> gc.nn.Flatten()(gc.zeros((5, 3, 4))).type
    f32[5,12]
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Any) -> Tensor:
        return flattened("Flatten", input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Axis `dim` as several, of the sizes `unflattened_size`."""

    def __init__(self, dim: int, unflattened_size: Any) -> None:
        self.dim, self.unflattened_size = integer("Unflatten", "dim", dim), unflattened_size
        if not isinstance(unflattened_size, list | tuple):
            raise ShapeError(
                f"Unflatten: unflattened_size is {unflattened_size!r}; expected a tuple of sizes",
                user_location(),
            )

    def forward(self, input: Any) -> Tensor:
        x = tensor("Unflatten", input)
        at = axis_of("Unflatten", self.dim, x.ndim, "dim")
        return reshape(x, (*x.shape[:at], *self.unflattened_size, *x.shape[at + 1 :]))

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class CosineSimilarity(Module):
    """The cosine of the angle between vectors along `dim`."""

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        self.dim, self.eps = dim, eps

    def forward(self, x1: Any, x2: Any) -> Tensor:
        return functional.cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """The p-norm of x1 - x2 + eps along the last axis."""

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        self.norm, self.eps, self.keepdim = p, eps, keepdim

    def forward(self, x1: Any, x2: Any) -> Tensor:
        return functional.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)
