"""The objects that users hold (tensors, variables, scopes, gradients, fetches), and staging, which
makes the graph of a run from them.

No code is generated here, and nothing runs.  Functions under NumPy's names are in `functions`.
"""
