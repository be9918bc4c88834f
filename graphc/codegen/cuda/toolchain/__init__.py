"""The text of a GPU kernel to a cubin, by numba-cuda and nvJitLink; the only folder that knows them.

No GPU and no driver is asked, and `import graphc` loads none of it.
"""
