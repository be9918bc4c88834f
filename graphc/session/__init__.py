"""Runs of graphs: the session, the runner of one signature, and the engines that make its plans.

`Session` is the public name.  Compiling is in `compiler`, memory and launches are in `runtime`,
the tables of a profile are in `profile`.
"""
