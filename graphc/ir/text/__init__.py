"""Printers and parsers of the two IRs: graphs (`.gir`) and programs, and of the fields of ops.

What is printed parses back to the same IR.  Loops print in `codegen.loops.text`.
"""
