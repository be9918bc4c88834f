"""Graph to program: which ops share a kernel, and why each does or does not.

`codegen.lower` makes loops of kernels; `passes.memory` orders them.
"""
