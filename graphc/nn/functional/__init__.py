"""Layers, activations and losses as functions, with PyTorch's names and arguments.

This is the map; the code is in the files of this directory that the imports name.
"""

from graphc.frontend.boundary import guard
from graphc.nn.functional.activation import (
    celu as celu,
    elu as elu,
    floats as floats,
    gelu as gelu,
    glu as glu,
    gumbel_softmax as gumbel_softmax,
    hardshrink as hardshrink,
    hardsigmoid as hardsigmoid,
    hardswish as hardswish,
    hardtanh as hardtanh,
    leaky_relu as leaky_relu,
    logsigmoid as logsigmoid,
    mish as mish,
    prelu as prelu,
    relu as relu,
    relu6 as relu6,
    selu as selu,
    sigmoid as sigmoid,
    silu as silu,
    softmin as softmin,
    softplus as softplus,
    softshrink as softshrink,
    softsign as softsign,
    tanh as tanh,
    tanhshrink as tanhshrink,
    threshold as threshold,
)
from graphc.nn.functional.adaptive_pool import (
    adaptive_avg_pool1d as adaptive_avg_pool1d,
    adaptive_avg_pool2d as adaptive_avg_pool2d,
    adaptive_avg_pool3d as adaptive_avg_pool3d,
    adaptive_max_pool1d as adaptive_max_pool1d,
    adaptive_max_pool2d as adaptive_max_pool2d,
    adaptive_max_pool3d as adaptive_max_pool3d,
)
from graphc.nn.functional.attention import (
    scaled_dot_product_attention as scaled_dot_product_attention,
)
from graphc.nn.functional.class_loss import (
    cross_entropy as cross_entropy,
    multi_margin_loss as multi_margin_loss,
    nll_loss as nll_loss,
)
from graphc.nn.functional.conv import (
    conv1d as conv1d,
    conv2d as conv2d,
    conv3d as conv3d,
    conv_transpose1d as conv_transpose1d,
    conv_transpose2d as conv_transpose2d,
    conv_transpose3d as conv_transpose3d,
)
from graphc.nn.functional.ctc import ctc_loss as ctc_loss
from graphc.nn.functional.dropout import (
    alpha_dropout as alpha_dropout,
    dropout as dropout,
    dropout1d as dropout1d,
    dropout2d as dropout2d,
    dropout3d as dropout3d,
    feature_alpha_dropout as feature_alpha_dropout,
)
from graphc.nn.functional.linear import (
    bilinear as bilinear,
    cosine_similarity as cosine_similarity,
    embedding as embedding,
    embedding_bag as embedding_bag,
    linear as linear,
    one_hot as one_hot,
    pairwise_distance as pairwise_distance,
)
from graphc.nn.functional.loss import (
    binary_cross_entropy as binary_cross_entropy,
    binary_cross_entropy_with_logits as binary_cross_entropy_with_logits,
    gaussian_nll_loss as gaussian_nll_loss,
    hinge_embedding_loss as hinge_embedding_loss,
    huber_loss as huber_loss,
    kl_div as kl_div,
    l1_loss as l1_loss,
    mse_loss as mse_loss,
    multilabel_soft_margin_loss as multilabel_soft_margin_loss,
    poisson_nll_loss as poisson_nll_loss,
    smooth_l1_loss as smooth_l1_loss,
    soft_margin_loss as soft_margin_loss,
)
from graphc.nn.functional.norm import (
    batch_norm as batch_norm,
    group_norm as group_norm,
    instance_norm as instance_norm,
    layer_norm as layer_norm,
    normalize as normalize,
    rms_norm as rms_norm,
)
from graphc.nn.functional.padding import (
    fold as fold,
    pad as pad,
    pixel_shuffle as pixel_shuffle,
    pixel_unshuffle as pixel_unshuffle,
    unfold as unfold,
)
from graphc.nn.functional.pool import (
    avg_pool1d as avg_pool1d,
    avg_pool2d as avg_pool2d,
    avg_pool3d as avg_pool3d,
    lp_pool1d as lp_pool1d,
    lp_pool2d as lp_pool2d,
    max_pool1d as max_pool1d,
    max_pool2d as max_pool2d,
    max_pool3d as max_pool3d,
)
from graphc.nn.functional.resample import interpolate as interpolate
from graphc.nn.functional.softmax import log_softmax as log_softmax, softmax as softmax
from graphc.nn.functional.vector_loss import (
    cosine_embedding_loss as cosine_embedding_loss,
    margin_ranking_loss as margin_ranking_loss,
    triplet_margin_loss as triplet_margin_loss,
)

guard(globals(), "graphc.nn.")
