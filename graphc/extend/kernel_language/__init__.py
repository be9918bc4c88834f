"""`gc.kernel`: a hand-written Python loop as an op, read, typed and translated to kernel source.

A front end of its own: nothing else uses it.
"""
