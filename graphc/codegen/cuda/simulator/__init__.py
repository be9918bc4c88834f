"""The text of a GPU kernel run by NumPy, warp by warp: a GPU without a GPU, for tests.

It finds races, divergence, misaligned and foreign accesses; it says nothing of speed.
"""
