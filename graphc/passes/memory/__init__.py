"""Program to program: passes that order kernels, let values share memory and compute values twice
to save memory; and the verifier of programs.

`ir.arena` packs values at byte offsets, once sizes are known.
"""
