"""Lowers kernels to loops, for every target: fused maps and folds, scans, scatters, contractions.

The schedules of one target live in its own folder.
"""
