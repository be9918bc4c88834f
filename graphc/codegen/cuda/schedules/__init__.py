"""Schedules: how threads share a kernel.  One file for each; `codegen.cuda.kernels` chooses.

Contractions on tensor cores are in `codegen.cuda.tensorcores`.
"""
