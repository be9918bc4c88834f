"""Profiles: their rows and tables, and the measured limits of this machine.

`session.recorder` watches runs and makes the profiles.
"""
