"""Kernels to machine code: loops, their lowering, vector maths, and a folder for each target.

`cpu` and `cuda` are mirror images: a printer, schedules, a toolchain.  This folder itself holds
what both share: the cache of machine code, the processes that help to compile.  Nothing here runs a
kernel.
"""
