"""What users hold: tensors, variables, scopes, gradients, fetches, up to the graph that a run needs.

No code is generated here, and nothing runs; what users call by NumPy's names is `functions`.
"""
