"""All pairs, and where graphc means something else than PyTorch.

`DIFFERENCES` is the whole list of what is written otherwise for PyTorch, or not compared, and the
section of docs/semantics.md that says so.
"""

from __future__ import annotations

from proof.torch_folds import FOLDS
from proof.torch_indices import INDICES
from proof.torch_layers import LAYERS
from proof.torch_pairs import Pair
from proof.torch_pointwise import POINTWISE
from proof.torch_products import PRODUCTS
from proof.torch_views import VIEWS

PAIRS: tuple[Pair, ...] = tuple(
    pair for table in (POINTWISE, FOLDS, VIEWS, INDICES, PRODUCTS, LAYERS) for pair in table.pairs
)

DIFFERENCES: tuple[tuple[str, str], ...] = (
    ("1.4", "`/` of i64 is f64, PyTorch's is f32: its operand is converted first"),
    ("2.1", "sign of nan is nan, PyTorch's 0: written by torch.where"),
    ("2.5", "top_k is stable, torch.topk is not: written as a stable sort"),
    ("3.2", "integer `//` and `%` by 0, an error in PyTorch: divisors are not 0"),
    ("3.4", "shifts by more than the bits, undefined in PyTorch: shifts are less"),
    ("4.1", "floats beyond an integer type saturate, undefined in PyTorch: they are within"),
    ("5.1", "max and argmax of nothing, an error in PyTorch: axes have elements"),
    ("6.1", "a gradient that is nan in PyTorch alone, counted as `elements nan in PyTorch alone`"),
    ("6.2", "clip shares at its bounds: written by torch.maximum and torch.minimum"),
    ("6.3", "`//` has no derivative, PyTorch refuses one: its operands are detached there"),
    ("6.3", "heaviside has one by its second operand, in PyTorch not: written by torch.where"),
    ("6.4", "the mixed derivative of x**y at y = 0 is 1 / x, PyTorch's is 0: not compared there"),
    ("16.6", "derivatives at margins: PyTorch's clamp at its bound has 0 from 2.14 on, before 1"),
    ("16.6", "second derivatives of elu, selu, celu, prelu where they jump: not compared there"),
    ("7.3", "which of several updates of a place stays: places are written once"),
    ("8.2", "a symbolic size of 1 does not broadcast: refused, and PyTorch is not asked"),
    ("14.4", "signs of qr: PyTorch's are turned"),
    ("17.3", "extremes of nan in pools: operands are finite"),
    ("18.4", "ctc_loss: behind a log_softmax, where gradients are equal"),
)
