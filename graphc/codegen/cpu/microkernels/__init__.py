"""LLVM IR for a vector width: register tiles of products, transposes, Winograd's transforms.

Schedules are the loops around them.
"""
