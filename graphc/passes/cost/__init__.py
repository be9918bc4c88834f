"""The cost of kernels: operations, bytes moved, reuse in caches, and the roofline over them.

Fusion, memory, placement and profiles use these numbers; nothing here changes a graph.
"""
