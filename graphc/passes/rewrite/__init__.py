"""Rewriting of graphs: the engine that applies rules, the tables of rules, and the way into the
graphs inside loops and branches.

A rule is data; a pass that walks a graph by itself lives in `passes.graph`.
"""
