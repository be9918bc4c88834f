"""Neural networks, under PyTorch's names: ordinary graph code, nothing privileged.

`functional` has the functions; a `Module` is a layer or a model that owns its parameters.
"""

from graphc.nn import functional as functional, init as init
from graphc.nn.containers import *
from graphc.nn.layers.activation import *
from graphc.nn.layers.attention import *
from graphc.nn.layers.conv import *
from graphc.nn.layers.dropout import *
from graphc.nn.layers.linear import *
from graphc.nn.layers.loss import *
from graphc.nn.layers.norm import *
from graphc.nn.layers.padding import *
from graphc.nn.layers.pool import *
from graphc.nn.layers.resample import *
from graphc.nn.layers.rnn import *
from graphc.nn.layers.rnn_cell import *
from graphc.nn.layers.softmax import *
from graphc.nn.layers.transformer import *
from graphc.nn.module import *
from graphc.public import publish as _publish

_publish(globals(), "functional", "init")
