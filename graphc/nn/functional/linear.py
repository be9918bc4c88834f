"""Affine maps, embeddings and distances as functions, with PyTorch's names and arguments."""

from __future__ import annotations

from typing import Any

from graphc.errors import GraphError, ShapeError, user_location
from graphc.frontend.arguments import axis_of, integer, require_equal, tensor
from graphc.frontend.boundary import require
from graphc.frontend.tensor import Tensor, broadcast_to
from graphc.functions import creation, pointwise as pw, reductions
from graphc.functions.indexing import take
from graphc.functions.linear import einsum, matmul
from graphc.functions.shaping import expand_dims, matrix_transpose, reshape
from graphc.ir.dim import Dim, Size
from graphc.ir.requirement import at_least
from graphc.ir.types import i64
from graphc.nn.functional.activation import floats, real
from graphc.nn.functional.norm import not_below, p_norm

__all__ = [
    "bilinear",
    "cosine_similarity",
    "embedding",
    "embedding_bag",
    "linear",
    "one_hot",
    "pairwise_distance",
]


def linear(input: Any, weight: Any, bias: Any = None) -> Tensor:
    """input @ weight.T + bias, for a weight [out, in].

    >>> import graphc as gc
    >>> linear(gc.zeros((5, 3)), gc.zeros((4, 3)), gc.zeros((4,))).type
    f32[5,4]
    """
    x, w = tensor("linear", input), tensor("linear", weight)
    if w.ndim != 2 or x.ndim < 1:
        raise ShapeError(
            f"linear: input {x.type}, weight {w.type}: expected a weight [out, in]", user_location()
        )
    require_equal("linear", x.shape[-1], w.shape[1], f"of input {x.type} and weight {w.type}")
    out = matmul(x, matrix_transpose(w))
    return out if bias is None else pw.add(out, bias)


def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Tensor:
    """input1[i] * weight[o, i, j] * input2[j] summed over i and j, plus bias.

    >>> import graphc as gc
    >>> bilinear(gc.zeros((5, 3)), gc.zeros((5, 2)), gc.zeros((4, 3, 2))).type
    f32[5,4]
    """
    a, b, w = (floats("bilinear", t) for t in (input1, input2, weight))
    if w.ndim != 3 or a.ndim != b.ndim or a.ndim < 1:
        raise ShapeError(
            f"bilinear: inputs {a.type} and {b.type}, weight {w.type}: expected equal "
            "ranks and a weight [out, in1, in2]",
            user_location(),
        )
    for axis, size in ((1, a.shape[-1]), (2, b.shape[-1])):
        require_equal("bilinear", size, w.shape[axis], f"of inputs and weight {w.type}")
    out = einsum("...i,oij,...j->...o", a, w, b)
    return out if bias is None else pw.add(out, bias)


def embedding(
    input: Any,
    weight: Any,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of `weight` [rows, size] at the indices `input`; row `padding_idx` gets no gradient.

    An index outside [-rows, rows) makes the run fail.  `max_norm` and `scale_grad_by_freq` are not
    supported (`GraphError`); `sparse` is accepted and of no effect.

    >>> import graphc as gc
    >>> embedding([[0, 2]], gc.zeros((3, 4))).type
    f32[1,2,4]
    """
    w, rows = floats("embedding", weight), tensor("embedding", input)
    if w.ndim != 2:
        raise ShapeError(f"embedding: weight {w.type}: expected [rows, size]", user_location())
    if max_norm is not None or scale_grad_by_freq:
        raise GraphError(
            "embedding: max_norm and scale_grad_by_freq are not supported; clip or "
            "scale in the graph",
            user_location(),
        )
    vectors = take(w, rows, axis=0)
    if padding_idx is None:
        return vectors
    row = padding_row("embedding", padding_idx, w.shape[0])
    row = creation.size_tensor(row, i64) if isinstance(row, Dim) else row
    return pw.where(expand_dims(pw.equal(rows, row), -1), pw.stop_gradient(vectors), vectors)


def padding_row(what: str, padding_idx: Any, rows: Any) -> Any:
    """The row that is not trained, counted from the start."""
    row = integer(what, "padding_idx", padding_idx)
    problem = f"padding_idx {row} is out of range for {rows} rows"
    require(what, at_least(rows, -row if row < 0 else row + 1, problem))
    return row + rows if row < 0 else row


def embedding_bag(input: Any, weight: Any, mode: str = "mean") -> Tensor:
    """The sum, mean or maximum of the rows of `weight` at the indices of each row of `input` [n,
    bag].  Bags of different lengths (offsets) are not supported.

    >>> import graphc as gc
    >>> embedding_bag([[0, 2], [1, 1]], gc.zeros((3, 4)), mode="sum").type
    f32[2,4]
    """
    bags = tensor("embedding_bag", input)
    if bags.ndim != 2:
        raise ShapeError(f"embedding_bag: input {bags.type}: expected [n, bag]", user_location())
    folds: dict[Any, Any] = {"sum": reductions.sum, "mean": reductions.mean, "max": reductions.max}
    if not isinstance(mode, str) or mode not in folds:
        raise GraphError(
            f"embedding_bag: mode {mode!r}: expected 'sum', 'mean' or 'max'", user_location()
        )
    found: Tensor = folds[mode](embedding(bags, weight), axis=1)
    return found


def one_hot(tensor: Any, num_classes: int) -> Tensor:
    """A new last axis (i64) with 1 at each index; an index out of range makes the run fail."""
    integer("one_hot", "num_classes", num_classes)
    return creation.one_hot(tensor, num_classes, i64)


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between vectors along `dim`; each norm counts as at least `eps`,
    though its gradient does not know.

    >>> import graphc as gc
    >>> cosine_similarity(gc.zeros((5, 3)), gc.ones((5, 3))).type
    f32[5]
    """
    a, b = floats("cosine_similarity", x1), floats("cosine_similarity", x2)
    product = pw.multiply(a, b)
    axis = axis_of("cosine_similarity", dim, product.ndim, "dim") - product.ndim
    small = real("cosine_similarity", "eps", eps)
    a, b = (_along(t, axis, product.shape[axis]) for t in (a, b))
    norms = (not_below(p_norm(t, 2.0, axis, True), small) for t in (a, b))
    left, right = (pw.divide(t, n) for t, n in zip((a, b), norms, strict=True))
    return reductions.sum(pw.multiply(left, right), axis)


def _along(t: Tensor, axis: int, size: Size) -> Tensor:
    """t with its full size along an axis (from the end): an element that repeats counts each time
    in a norm."""
    t = reshape(t, (1,) * max(-axis - t.ndim, 0) + t.shape)
    place = t.ndim + axis
    shape = tuple(size if a == place else s for a, s in enumerate(t.shape))
    return broadcast_to(t, shape)


def pairwise_distance(
    x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """The p-norm of x1 - x2 + eps along the last axis.

    >>> import graphc as gc
    >>> pairwise_distance(gc.zeros((5, 3)), gc.ones((5, 3))).type
    f32[5]
    """
    a, b = floats("pairwise_distance", x1), floats("pairwise_distance", x2)
    gap = pw.add(pw.subtract(a, b), real("pairwise_distance", "eps", eps))
    if gap.ndim < 1:
        raise ShapeError(
            f"pairwise_distance: {a.type} and {b.type}: expected vectors", user_location()
        )
    return p_norm(gap, real("pairwise_distance", "p", p), -1, bool(keepdim))


def flattened(what: str, x: Any, start_dim: int, end_dim: int) -> Tensor:
    """Axes `start_dim` to `end_dim` as one."""
    t = tensor(what, x)
    if t.ndim == 0:
        return reshape(t, (1,))
    first, last = (
        axis_of(what, d, t.ndim, n) for d, n in ((start_dim, "start_dim"), (end_dim, "end_dim"))
    )
    if first > last:
        raise ShapeError(
            f"{what}: start_dim {start_dim} comes after end_dim {end_dim}", user_location()
        )
    one = t.shape[first]
    for size in t.shape[first + 1 : last + 1]:
        one = one * size
    return reshape(t, (*t.shape[:first], one, *t.shape[last + 1 :]))
