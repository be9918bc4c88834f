"""What the source of a CPU kernel may call, as numba intrinsics that emit LLVM IR.

The elementary functions that they emit are in `codegen.mathlib`.
"""
