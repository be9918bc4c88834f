"""The third IR, loops over elements: statements, text, transforms, what both printers share.

`codegen.lower` makes loops of kernels; `codegen.cpu` and `codegen.cuda` make source of loops.
"""
