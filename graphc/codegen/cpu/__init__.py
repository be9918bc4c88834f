"""Code for CPUs: loops to numba source, schedules of contractions, kernels as plain Python.

It mirrors `codegen.cuda`; `runtime.cpu` runs the machine code.
"""
