"""Optimizers, schedules of their learning rates, and what goes around them, with PyTorch's names,
arguments and formulas.

An optimizer turns gradients into assigns; its own state (momenta, step numbers) is in variables of
the graph.  To write one, subclass `Optimizer` and define `update`; to write a schedule, subclass
`LRScheduler` and define `at`.
"""

from graphc.optim import lr_scheduler as lr_scheduler
from graphc.optim.accumulate import *
from graphc.optim.adam import *
from graphc.optim.adaptive import *
from graphc.optim.asgd import *
from graphc.optim.averages import *
from graphc.optim.clip import *
from graphc.optim.lion import *
from graphc.optim.lr_scheduler import *
from graphc.optim.optimizer import *
from graphc.optim.rprop import *
from graphc.optim.sgd import *
from graphc.optim.sparse import *
from graphc.public import publish as _publish

_publish(globals(), "lr_scheduler")
