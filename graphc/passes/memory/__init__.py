"""Program to program: the order of kernels, which values share memory, what is computed twice to
save it, and the verifier of programs.

Offsets of bytes are packed when sizes are known, by `ir.arena`.
"""
