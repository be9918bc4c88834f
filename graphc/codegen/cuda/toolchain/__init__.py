"""Compiles the text of GPU kernels to cubins.  Only this folder uses numba-cuda and nvJitLink.

It needs no GPU and no driver; `import graphc` loads none of it.
"""
