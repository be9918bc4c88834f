"""`gc.kernel`: reads, types and translates a hand-written Python loop, and makes an op of it.

A front end of its own: nothing else uses it.
"""
