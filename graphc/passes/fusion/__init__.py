"""Graph to program: which ops share a kernel, and why each does or does not.

What a kernel becomes as loops is `codegen.lower`; in which order kernels run is `passes.memory`.
"""
