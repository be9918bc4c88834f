"""Graph to graph: a file for each pass, named after what the pass does.

Their order, and why it is that order, stands in `passes.pipeline`.
"""
