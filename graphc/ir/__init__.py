"""The IR: sizes, types, ops, graphs, programs; their text, their verifier and their meaning.

Loops, the third IR, are `codegen.loops`.  Nothing here changes a graph: that is `passes`.
"""
