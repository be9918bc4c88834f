"""What a profile is, its table, and what the machine can do at best.

What watches runs to make one is `session.recorder`.
"""
