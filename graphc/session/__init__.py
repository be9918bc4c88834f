"""Runs: the session, the runner of one signature, and what binds a plan to arrays.

`Session` is the public name; compiling is `compiler`, memory and launches are `runtime`.
"""
