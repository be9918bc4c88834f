"""Passes change graphs and programs; each folder holds one kind.

`pipeline.py` holds the list of passes and why it is in that order.  Nothing here knows targets by
name, source text or machine code.
"""
