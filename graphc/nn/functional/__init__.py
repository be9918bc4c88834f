"""Layers, activations and losses as functions, with PyTorch's names and arguments.

This file re-exports the functions of the files in this folder.
"""

from graphc.frontend.boundary import guard as _guard
from graphc.nn.functional.activation import *
from graphc.nn.functional.adaptive_pool import *
from graphc.nn.functional.attention import *
from graphc.nn.functional.class_loss import *
from graphc.nn.functional.conv import *
from graphc.nn.functional.ctc import *
from graphc.nn.functional.dropout import *
from graphc.nn.functional.linear import *
from graphc.nn.functional.loss import *
from graphc.nn.functional.norm import *
from graphc.nn.functional.padding import *
from graphc.nn.functional.pool import *
from graphc.nn.functional.resample import *
from graphc.nn.functional.softmax import *
from graphc.nn.functional.vector_loss import *
from graphc.public import publish as _publish

_guard(globals(), "graphc.nn.")
_publish(globals())
