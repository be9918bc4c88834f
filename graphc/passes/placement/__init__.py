"""A graph over several devices: a device for each value, transfers between them, a graph for each
segment, and the passes that fit one to its device.

Devices themselves are in `runtime`; what a kind of device can do is its target.
"""
