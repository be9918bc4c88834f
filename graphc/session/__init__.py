"""Runs: the session, the runner of one signature, and the engines that bind plans for it.

`Session` is the public name; compiling is `compiler`, memory and launches are `runtime`, what a
profile says is `profile`.
"""
