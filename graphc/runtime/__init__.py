"""Runs programs: `cpu` has the native driver, `cuda` NVIDIA's devices, `device` what any device
must do.

`devices.py` tells which devices there are.  Nothing here generates code or knows sessions.
"""
