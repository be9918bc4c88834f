"""Programs run: `cpu` by a native driver, `cuda` by NVIDIA's, `device` what any device must do.

`devices.py` tells which devices there are.  Nothing here generates code or knows sessions.
"""
