"""`gc.kernel`: reads, types and translates a hand-written Python loop, and makes an op of it.

This is a front end of its own: the rest of graphc does not use it.
"""
