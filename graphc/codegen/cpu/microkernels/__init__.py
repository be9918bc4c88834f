"""Register tiles of products and Winograd's transforms, as LLVM IR made for a vector width.

The loops around them are schedules.
"""
