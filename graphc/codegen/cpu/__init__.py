"""The CPU: loops to numba source, its schedules of contractions, and each kernel as plain Python.

The mirror image of `codegen.cuda`; what runs the machine code is `runtime.cpu`.
"""
