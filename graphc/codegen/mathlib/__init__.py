"""Elementary functions in branch-free arithmetic, so that they vectorise: one definition emits LLVM
IR and NumPy.

Where a target has its own (libdevice), `codegen.cuda.toolchain.scalars` names it.
"""
