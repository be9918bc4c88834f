"""Optimizers, schedules of their learning rates, and what goes around them, with PyTorch's names,
arguments and formulas.

An optimizer turns gradients into assigns; its own state (momenta, step numbers) is in variables of
the graph.  To write one, subclass `Optimizer` and define `update`; to write a schedule, subclass
`LRScheduler` and define `at`.
"""

from graphc.optim import lr_scheduler as lr_scheduler
from graphc.optim.accumulate import Accumulate as Accumulate, Lookahead as Lookahead
from graphc.optim.adam import (
    Adam as Adam,
    Adamax as Adamax,
    AdamW as AdamW,
    NAdam as NAdam,
    RAdam as RAdam,
)
from graphc.optim.adaptive import Adadelta as Adadelta, Adagrad as Adagrad, RMSprop as RMSprop
from graphc.optim.asgd import ASGD as ASGD
from graphc.optim.averages import EMA as EMA, SWA as SWA
from graphc.optim.clip import (
    clip_by_global_norm as clip_by_global_norm,
    clip_grad_norm as clip_grad_norm,
    clip_grad_value as clip_grad_value,
    global_norm as global_norm,
)
from graphc.optim.lion import Lion as Lion
from graphc.optim.lr_scheduler import (
    ConstantLR as ConstantLR,
    CosineAnnealingLR as CosineAnnealingLR,
    CosineAnnealingWarmRestarts as CosineAnnealingWarmRestarts,
    ExponentialLR as ExponentialLR,
    LambdaLR as LambdaLR,
    LinearLR as LinearLR,
    LRScheduler as LRScheduler,
    MultiStepLR as MultiStepLR,
    OneCycleLR as OneCycleLR,
    PolynomialLR as PolynomialLR,
    SequentialLR as SequentialLR,
    StepLR as StepLR,
    WarmupLR as WarmupLR,
)
from graphc.optim.optimizer import Minimizer as Minimizer, Optimizer as Optimizer
from graphc.optim.rprop import Rprop as Rprop
from graphc.optim.sgd import SGD as SGD
from graphc.optim.sparse import SparseAdam as SparseAdam
