"""How a CPU computes a contraction: a file for each way, chosen by `codegen.cpu.kernels`.

All end in the tiles of `codegen.cpu.microkernels`.
"""
