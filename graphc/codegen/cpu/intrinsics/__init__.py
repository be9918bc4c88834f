"""The functions that a CPU kernel's source may call: numba intrinsics that emit LLVM IR.

`codegen.mathlib` has the elementary functions that they emit.
"""
