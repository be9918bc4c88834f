"""NVIDIA GPUs: loops to the text of a kernel, its schedules, and the compiler of that text.

The mirror image of `codegen.cpu`; what launches kernels is `runtime.cuda`.
"""
