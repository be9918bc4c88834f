"""Runs the text of GPU kernels in NumPy, warp by warp, without a GPU: for tests.

It finds races, divergence, misaligned and out-of-bounds accesses; it says nothing of speed.
"""
