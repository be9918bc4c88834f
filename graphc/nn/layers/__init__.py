"""Layers as modules, under PyTorch's names; most files here have a counterpart in `nn.functional`.

The base class `Module` is in `nn.module`.
"""
