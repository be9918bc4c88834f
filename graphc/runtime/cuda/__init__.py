"""NVIDIA's devices: driver, CUDA graphs, pinned memory, cublasLt; and the simulated `cuda:sim`.

The text of kernels comes from `codegen.cuda`.
"""
