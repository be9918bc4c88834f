"""Neural networks, under PyTorch's names: ordinary graph code, nothing privileged."""

from graphc.nn import functional as functional
