"""Speed as ratios measured in one run: `make bench`, or `python -m benchmarks [NAME ...]`.

`builders/` are graphc's entries in a larger suite that compares it with other frameworks.
"""
