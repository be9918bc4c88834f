"""How threads share a fused kernel: a file for each way, chosen by `codegen.cuda.kernels`.

Contractions on tensor cores are in `codegen.cuda.tensorcores`.
"""
