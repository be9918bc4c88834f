"""Graph to executable: `compile.py`, the forty lines to read first, and the same over devices.

Passes are in `passes`, printers in `codegen`; what runs an executable is `session`.
"""
