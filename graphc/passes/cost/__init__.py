"""What kernels cost: arithmetic, bytes moved, reuse in caches, and the roofline over them.

Fusion, memory, placement and profiles ask here; nothing here changes a graph.
"""
