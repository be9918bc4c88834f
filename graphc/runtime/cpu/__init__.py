"""Runs machine code on the CPU: the native driver, its launch tables, threads, timers, results.

Sessions live in `session`; the code comes from `codegen.cpu`.
"""
