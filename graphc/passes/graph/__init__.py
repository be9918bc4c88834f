"""Graph to graph: a file for each pass, named after what the pass does.

`passes.pipeline` holds their order, and the reasons for it.
"""
