"""Layers as modules, by PyTorch's names: a file here for each in `nn.functional`.

What a module is stands in `nn.module`.
"""
