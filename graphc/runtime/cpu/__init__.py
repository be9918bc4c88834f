"""Machine code run on the CPU: the native driver, its launch tables, threads, timers, results.

What a session is stands in `session`; what makes the code, in `codegen.cpu`.
"""
