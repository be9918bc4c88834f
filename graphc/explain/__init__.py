"""Explains what the compiler did with a value, and predicts what it would do on other machines.

`graphc explain` and `gc.plan` print it.
"""
