"""Passes judged by the meaning of graphs: each pass's graph is interpreted and compared, and a
graph that fails is made smaller.

The meaning itself is `ir.interpret`.
"""
