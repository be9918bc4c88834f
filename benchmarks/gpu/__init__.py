"""The parts of `make gpu-check`: what is right, and how fast, on a GPU.

Written on a machine without one: until a report says otherwise, none of the speed has been seen.
"""
