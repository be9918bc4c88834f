"""CPU source to machine code: numba's type inference, LLVM, loading, and helper processes.

Only what must compile imports numba; a warm start loads object code alone.
"""
