"""NVIDIA's devices: driver, CUDA graphs, pinned memory, cublasLt; and the simulated `cuda:sim`.

Kernels come from `codegen.cuda`.
"""
