"""Graph to graph: a file for each pass, named after what the pass does.

`shrink_loops` and `sink_into_branches` are parts of the pass in `shrink_control`; `unify_sizes`
runs before all passes.  `passes.pipeline` holds their order, and the reasons for it.
"""
