"""Products of tensors: matmul's relatives and einsum, all built on the one contraction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.errors import GraphcError, GraphError, ShapeError, user_location
from graphc.frontend.arguments import axis_of, integer, require_equal, same_type, tensor
from graphc.frontend.broadcasting import broadcast_shapes
from graphc.frontend.tensor import Tensor, broadcast_to, build, matmul as _matmul
from graphc.functions import pointwise as pw
from graphc.functions.reductions import sum
from graphc.functions.shaping import flatten, permute_dims, reshape
from graphc.ir import dim
from graphc.ir.dim import Shape, Size
from graphc.ir.ops.diagonal import Diagonal

__all__ = ["dot", "einsum", "matmul", "outer", "tensordot", "vecdot"]


def matmul(x1: Any, x2: Any) -> Tensor:
    """The matrix product, by NumPy's rules: 1-d operands are vectors, leading axes broadcast.

    Raises `ShapeError` where the inner sizes differ.

    >>> import graphc as gc
    >>> matmul(gc.zeros((5, 2, 3)), gc.zeros((3, 4))).type
    f32[5,2,4]
    """
    a, b = same_type("matmul", tensor("matmul", x1), tensor("matmul", x2))
    return _matmul(a, b)


def dot(a: Any, b: Any) -> Tensor:
    """NumPy's: the product with a number; else the sum over the last axis of `a` and the last but
    one (of a vector: the only) axis of `b`."""
    x, y = same_type("dot", tensor("dot", a), tensor("dot", b))
    if x.ndim == 0 or y.ndim == 0:
        return pw.multiply(x, y)
    return tensordot(x, y, ((x.ndim - 1,), (max(y.ndim - 2, 0),)))


def vecdot(x1: Any, x2: Any, axis: int = -1) -> Tensor:
    """The sum of products along an axis that both have."""
    return sum(pw.multiply(x1, x2), axis=axis)


def outer(a: Any, b: Any) -> Tensor:
    """All products of an element of `a` and one of `b`, both flattened."""
    x, y = flatten(tensor("outer", a)), flatten(tensor("outer", b))
    return pw.multiply(x[:, None], y[None, :])


def tensordot(a: Any, b: Any, axes: Any = 2) -> Tensor:
    """Products summed over axes: the last n of `a` with the first n of `b`, or two lists of axes.

    >>> import graphc as gc
    >>> tensordot(gc.zeros((2, 3, 4)), gc.zeros((4, 3, 5)), ((1, 2), (1, 0))).type
    f32[2,5]
    """
    x, y = same_type("tensordot", tensor("tensordot", a), tensor("tensordot", b))
    left, right = _paired(x, y, axes)
    for i, j in zip(left, right, strict=True):
        require_equal("tensordot", x.shape[i], y.shape[j], f"along axes {i} and {j}")
    keep_x = [i for i in range(x.ndim) if i not in left]
    keep_y = [j for j in range(y.ndim) if j not in right]
    inner = dim.product(tuple(x.shape[i] for i in left))
    outer_x = tuple(x.shape[i] for i in keep_x)
    outer_y = tuple(y.shape[j] for j in keep_y)
    rows = reshape(permute_dims(x, [*keep_x, *left]), (dim.product(outer_x), inner))
    cols = reshape(permute_dims(y, [*right, *keep_y]), (inner, dim.product(outer_y)))
    return reshape(_matmul(rows, cols), outer_x + outer_y)


def _paired(x: Tensor, y: Tensor, axes: Any) -> tuple[list[int], list[int]]:
    if not isinstance(axes, list | tuple):
        n = integer("tensordot", "axes", axes)
        if not 0 <= n <= min(x.ndim, y.ndim):
            raise ShapeError(
                f"tensordot: axes {n} is more than {x.type} and {y.type} have", user_location()
            )
        return list(range(x.ndim - n, x.ndim)), list(range(n))
    if len(axes) != 2:
        raise ShapeError(f"tensordot: axes {axes} must be an int or two lists", user_location())
    lists = [list(v) if isinstance(v, list | tuple) else [v] for v in axes]
    left = [axis_of("tensordot", v, x.ndim, "axes") for v in lists[0]]
    right = [axis_of("tensordot", v, y.ndim, "axes") for v in lists[1]]
    if len(left) != len(right) or len(set(left)) != len(left) or len(set(right)) != len(right):
        raise ShapeError(
            f"tensordot: axes {axes} must be two lists of as many distinct axes", user_location()
        )
    return left, right


def einsum(subscripts: str, *operands: Any) -> Tensor:
    """Einstein's sum: products of operands summed over the labels that the result lacks.

    Repeated labels take diagonals, `...` stands for axes that broadcast, more than two operands are
    joined from left to right.  Raises `GraphError` for subscripts that cannot be read and
    `ShapeError` for sizes that differ.

    >>> import graphc as gc
    >>> einsum("bij,bjk->bik", gc.zeros((5, 2, 3)), gc.zeros((5, 3, 4))).type
    f32[5,2,4]
    """
    if not operands:
        raise _unreadable(subscripts, "there are no operands")
    tensors = same_type("einsum", *(tensor("einsum", x) for x in operands))
    inputs, output = _labels(subscripts, tensors)
    terms = [_diagonal(t, labels) for t, labels in zip(tensors, inputs, strict=True)]
    _check_sizes(terms)
    current, labels = terms[0]
    for number, (other, others) in enumerate(terms[1:], 2):
        later = set(output).union(*(labels for _, labels in terms[number:]))
        current, labels = _join(current, labels, other, others, later)
    gone = tuple(i for i, c in enumerate(labels) if c not in output)
    current = sum(current, gone, dtype=current.dtype) if gone else current
    left = [c for c in labels if c in output]
    return permute_dims(current, [left.index(c) for c in output])


def _unreadable(subscripts: str, why: str) -> GraphcError:
    return GraphError(f"einsum: subscripts {subscripts!r}: {why}", user_location())


def _labels(subscripts: str, tensors: Sequence[Tensor]) -> tuple[list[list[str]], list[str]]:
    """The labels of each operand and of the result; `...` becomes the labels ...0, ...1, ..."""
    if not isinstance(subscripts, str):
        raise _unreadable(str(subscripts), "expected a string such as 'ij,jk->ik'")
    left, arrow, right = subscripts.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(tensors):
        raise _unreadable(subscripts, f"{len(terms)} terms for {len(tensors)} operands")
    inputs = [_expand(s, t.ndim, subscripts) for s, t in zip(terms, tensors, strict=True)]
    seen = [c for labels in inputs for c in labels]
    dots = sorted({c for c in seen if c.startswith(".")}, key=lambda c: -int(c[3:]))
    if not arrow:
        return inputs, dots + sorted(c for c in set(seen) - set(dots) if seen.count(c) == 1)
    output = [*_term(right.split("...")[0], subscripts)]
    if "..." in right:
        output += [*dots, *_term(right.split("...", 1)[1], subscripts)]
    if len(set(output)) != len(output) or not set(output) <= set(seen):
        raise _unreadable(subscripts, "a label of the result is repeated or not in any operand")
    return inputs, output


def _term(text: str, subscripts: str) -> list[str]:
    if not all(c.isalpha() for c in text):
        raise _unreadable(subscripts, f"{text!r} holds a character that is no letter")
    return list(text)


def _expand(text: str, rank: int, subscripts: str) -> list[str]:
    """The labels of one term, counting the axes of `...` from its last."""
    before, dots, after = text.partition("...")
    named = _term(before, subscripts), _term(after, subscripts)
    free = rank - len(named[0]) - len(named[1])
    if free < 0 or (free and not dots):
        raise _unreadable(subscripts, f"term {text!r} does not fit an operand of rank {rank}")
    return [*named[0], *(f"...{i}" for i in reversed(range(free))), *named[1]]


def _diagonal(t: Tensor, labels: list[str]) -> tuple[Tensor, list[str]]:
    """The operand with every label once: a repeated one selects a diagonal."""
    while len(set(labels)) < len(labels):
        first = next(i for i, c in enumerate(labels) if labels.count(c) > 1)
        second = labels.index(labels[first], first + 1)
        require_equal("einsum", t.shape[first], t.shape[second], f"of label {labels[first]!r}")
        size = t.shape[first]
        t = reshape(t, tuple(size if a == second else s for a, s in enumerate(t.shape)))
        kept = [a for a in range(t.ndim) if a not in (first, second)]
        t = build(Diagonal(0), (permute_dims(t, [*kept, first, second]),))
        labels = [*(labels[a] for a in kept), labels[first]]
    return t, labels


def _check_sizes(terms: Sequence[tuple[Tensor, list[str]]]) -> None:
    """Raises `ShapeError` where one letter has two sizes."""
    sizes: dict[str, Size] = {}
    for t, labels in terms:
        for label, size in zip(labels, t.shape, strict=True):
            if not label.startswith("."):
                require_equal("einsum", sizes.setdefault(label, size), size, f"of label {label!r}")


def _join(
    a: Tensor, la: list[str], b: Tensor, lb: list[str], later: set[str]
) -> tuple[Tensor, list[str]]:
    """Two terms as one, summed over the labels that are in both and not needed later."""
    a, la = _summed(a, la, set(lb) | later)
    b, lb = _summed(b, lb, set(la) | later)
    batch = [c for c in la if c in lb and c in later]
    inner = [c for c in la if c in lb and c not in later]
    left, right = ([c for c in labels if c not in other] for labels, other in ((la, lb), (lb, la)))
    x = permute_dims(a, [la.index(c) for c in batch + left + inner])
    y = permute_dims(b, [lb.index(c) for c in batch + inner + right])
    shared = len(batch)
    shape = broadcast_shapes("einsum", [x.shape[:shared], y.shape[:shared]])
    x, y = broadcast_to(x, shape + x.shape[shared:]), broadcast_to(y, shape + y.shape[shared:])
    rows, cols = x.shape[shared : shared + len(left)], y.shape[shared + len(inner) :]
    middle = broadcast_shapes(
        "einsum", [x.shape[shared + len(left) :], y.shape[shared : shared + len(inner)]]
    )
    x = broadcast_to(x, shape + rows + middle)
    y = broadcast_to(y, shape + middle + cols)
    return _contract(x, y, shape, rows, middle, cols), batch + left + right


def _summed(t: Tensor, labels: list[str], needed: set[str]) -> tuple[Tensor, list[str]]:
    gone = tuple(i for i, c in enumerate(labels) if c not in needed)
    out = sum(t, gone, dtype=t.dtype) if gone else t
    return out, [c for c in labels if c in needed]


def _contract(x: Tensor, y: Tensor, batch: Shape, rows: Shape, inner: Shape, cols: Shape) -> Tensor:
    """The products [batch, rows, inner] x [batch, inner, cols], summed over `inner`."""
    shape = batch + rows + cols
    if not inner:
        ones = (1,) * len(cols), (1,) * len(rows)
        return pw.multiply(reshape(x, batch + rows + ones[0]), reshape(y, batch + ones[1] + cols))
    b, m, k, n = (dim.product(s) for s in (batch, rows, inner, cols))
    lead = (b,) if batch else ()
    return reshape(_matmul(reshape(x, (*lead, m, k)), reshape(y, (*lead, k, n))), shape)
