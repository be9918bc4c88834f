"""Kernel to loops, the same for every target: fused maps and folds, scans, scatters, contractions.

Schedules of one target are in its own folder.
"""
