"""What users hold: tensors, variables, scopes, gradients, fetches; up to the graph of a run.

No code is generated here, and nothing runs; what users call by NumPy's names is `functions`.
"""
