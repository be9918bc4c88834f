"""Elementary functions in branch-free arithmetic, so that they vectorise: one definition emits LLVM
IR and NumPy.

`function_table` is the table of them: where each target and each meaning takes a function from.
"""
