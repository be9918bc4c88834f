"""The protocol of devices (`protocol`), and plans, launches and hazards for any device.

Each kind of device has a folder beside this one; so far there is `cuda`, and the host (`cpu`) needs
none.
"""
