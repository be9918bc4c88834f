"""Reverse mode: a graph to the graph of its gradients, through loops and branches too.

The derivative of one op stands in the op's class, `vjp`; what users call is
`frontend.gradients`.
"""
