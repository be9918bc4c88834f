"""Contractions on tensor cores: tiling, operands, the work of a block, the epilogue.

Contractions that tensor cores do not take are in `codegen.cuda.schedules.contractions`.
"""
