"""Runs the text of GPU kernels in NumPy, warp by warp, without a GPU: for tests.

It finds races, divergence, misaligned accesses and accesses out of bounds; it says nothing of speed.
"""
