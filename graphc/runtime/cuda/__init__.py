"""NVIDIA's devices: driver, CUDA graphs, pinned memory, cublasLt; and `cuda:sim`, the simulated one.

Kernels come from `codegen.cuda`.
"""
