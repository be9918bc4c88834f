"""From graph to executable: `compile.py` (read it first), and `compile_placed.py` for devices.

Passes are in `passes`, printers in `codegen`; `session` runs executables.
"""
