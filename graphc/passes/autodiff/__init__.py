"""Reverse mode: builds the graph of gradients of a graph, through loops and branches too.

The derivative of one op is the method `vjp` of its class; users call `frontend.gradients`.
"""
