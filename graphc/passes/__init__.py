"""Graph to graph, graph to program, program to program: a file a pass, a folder a kind.

`pipeline.py` holds the list of passes and why it is in that order.  Nothing here knows targets by
name, source text or machine code.
"""
