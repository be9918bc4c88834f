"""How tensor cores compute a contraction: tiling, operands, the block's loop, what follows a product.

Contractions that they do not take are loops: `codegen.cuda.schedules.contractions`.
"""
