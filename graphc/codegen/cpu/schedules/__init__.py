"""Schedules of contractions on a CPU, a file for each; `codegen.cpu.kernels` chooses one.

All of them call the tiles of `codegen.cpu.microkernels`.
"""
