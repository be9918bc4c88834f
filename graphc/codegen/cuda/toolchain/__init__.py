"""The text of a GPU kernel to a cubin, by numba-cuda and nvJitLink, which only this folder knows.

No GPU and no driver is asked, and `import graphc` loads none of it.
"""
