"""What a device must do (`protocol`), and plans, launches and hazards on any device.

The devices themselves are folders beside this one: `cuda`.
"""
