"""Contractions on tensor cores: tiling, operands, the loop of a block, what follows a product.

Contractions that they do not take are loops: `codegen.cuda.schedules.contractions`.
"""
