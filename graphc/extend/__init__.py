"""The one import for authors of ops, rules, passes, kernels and devices.

What users of ready parts need is `graphc` itself; what is promised here says docs/stability.md.
"""
