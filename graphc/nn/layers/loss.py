"""Losses as modules, with PyTorch's names and arguments: each holds its function's options."""

from __future__ import annotations

from typing import Any

from graphc.frontend.tensor import Variable, as_tensor
from graphc.nn import functional
from graphc.nn.layers.function_layer import FunctionLayer

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CTCLoss",
    "CosineEmbeddingLoss",
    "CrossEntropyLoss",
    "GaussianNLLLoss",
    "HingeEmbeddingLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "MSELoss",
    "MarginRankingLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "NLLLoss",
    "PoissonNLLLoss",
    "SmoothL1Loss",
    "SoftMarginLoss",
    "TripletMarginLoss",
]

REDUCTION_DEFAULT = {"reduction": "mean"}


class Loss(FunctionLayer):
    """A function of tensors with options.  Weights become tensors, not parameters."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("weight", "pos_weight"):
            value = getattr(self, name, None)
            if value is not None and not isinstance(value, Variable):
                setattr(self, name, as_tensor(value))

    def extra_repr(self) -> str:
        return ""


class MSELoss(Loss):
    """(input - target) squared."""

    function, defaults = staticmethod(functional.mse_loss), REDUCTION_DEFAULT


class L1Loss(Loss):
    """|input - target|."""

    function, defaults = staticmethod(functional.l1_loss), REDUCTION_DEFAULT


class SmoothL1Loss(Loss):
    """Half the square over beta near 0, the distance less beta / 2 elsewhere."""

    function = staticmethod(functional.smooth_l1_loss)
    defaults = {**REDUCTION_DEFAULT, "beta": 1.0}


class HuberLoss(Loss):
    """Half the square near 0, delta times (the distance less delta / 2) elsewhere."""

    function = staticmethod(functional.huber_loss)
    defaults = {**REDUCTION_DEFAULT, "delta": 1.0}


class CrossEntropyLoss(Loss):
    """Minus log(softmax(input)) at labels, or by the probabilities of classes.

    >>> import graphc as gc
    >>> criterion = gc.nn.CrossEntropyLoss(label_smoothing=0.1)
    >>> criterion(gc.zeros((5, 10)), gc.zeros((5,), gc.int64)).type
    f32[]
    """

    function = staticmethod(functional.cross_entropy)
    defaults = {"weight": None, "ignore_index": -100, **REDUCTION_DEFAULT, "label_smoothing": 0.0}


class NLLLoss(Loss):
    """Minus log-probabilities at labels."""

    function = staticmethod(functional.nll_loss)
    defaults = {"weight": None, "ignore_index": -100, **REDUCTION_DEFAULT}


class CTCLoss(Loss):
    """Minus the log-probability of labels whose places in time are not known."""

    function = staticmethod(functional.ctc_loss)
    defaults = {"blank": 0, **REDUCTION_DEFAULT, "zero_infinity": False}


class BCELoss(Loss):
    """Binary cross entropy of probabilities."""

    function = staticmethod(functional.binary_cross_entropy)
    defaults = {"weight": None, **REDUCTION_DEFAULT}


class BCEWithLogitsLoss(Loss):
    """Binary cross entropy of logits."""

    function = staticmethod(functional.binary_cross_entropy_with_logits)
    defaults = {"weight": None, **REDUCTION_DEFAULT, "pos_weight": None}


class KLDivLoss(Loss):
    """target * (log(target) - input)."""

    function = staticmethod(functional.kl_div)
    defaults = {**REDUCTION_DEFAULT, "log_target": False}


class HingeEmbeddingLoss(Loss):
    """The input where the target is 1, max(0, margin - input) where it is -1."""

    function = staticmethod(functional.hinge_embedding_loss)
    defaults = {"margin": 1.0, **REDUCTION_DEFAULT}


class MarginRankingLoss(Loss):
    """max(0, margin - target * (input1 - input2))."""

    function = staticmethod(functional.margin_ranking_loss)
    defaults = {"margin": 0.0, **REDUCTION_DEFAULT}


class MultiMarginLoss(Loss):
    """max(0, margin - x[y] + x[j]) ** p over the classes j other than y."""

    function = staticmethod(functional.multi_margin_loss)
    defaults = {"p": 1, "margin": 1.0, "weight": None, **REDUCTION_DEFAULT}


class MultiLabelSoftMarginLoss(Loss):
    """Binary cross entropy of logits, its mean over the classes."""

    function = staticmethod(functional.multilabel_soft_margin_loss)
    defaults = {"weight": None, **REDUCTION_DEFAULT}


class CosineEmbeddingLoss(Loss):
    """1 - cosine where the target is 1, max(0, cosine - margin) where it is -1."""

    function = staticmethod(functional.cosine_embedding_loss)
    defaults = {"margin": 0.0, **REDUCTION_DEFAULT}


class TripletMarginLoss(Loss):
    """max(0, d(anchor, positive) - d(anchor, negative) + margin)."""

    function = staticmethod(functional.triplet_margin_loss)
    defaults = {"margin": 1.0, "p": 2.0, "eps": 1e-6, "swap": False, **REDUCTION_DEFAULT}


class GaussianNLLLoss(Loss):
    """Half of log(var) + (input - target)**2 / var."""

    function = staticmethod(functional.gaussian_nll_loss)
    defaults = {"full": False, "eps": 1e-6, **REDUCTION_DEFAULT}


class PoissonNLLLoss(Loss):
    """exp(input) - target * input."""

    function = staticmethod(functional.poisson_nll_loss)
    defaults = {"log_input": True, "full": False, "eps": 1e-8, **REDUCTION_DEFAULT}


class SoftMarginLoss(Loss):
    """log(1 + exp(-target * input))."""

    function, defaults = staticmethod(functional.soft_margin_loss), REDUCTION_DEFAULT
