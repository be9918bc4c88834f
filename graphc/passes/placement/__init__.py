"""Graphs over several devices.  `place` chooses a device for each value and inserts transfers;
`segments` cuts the result into one graph for each device and level; `per_device` runs the passes
that fit such a graph to its device.

The devices themselves are in `runtime`; a kind of device says what it can do in its target.
"""
