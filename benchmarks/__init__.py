"""Speed as ratios measured in one run: `make bench`, or `python -m benchmarks [NAME ...]`, on as
many threads as GRAPHC_THREADS says (one).

`builders/` are graphc's entries in a larger suite that compares it with other frameworks.
"""

import os

THREADS = int(os.environ.setdefault("GRAPHC_THREADS", "1"))
os.environ.setdefault("OPENBLAS_NUM_THREADS", str(THREADS))  # NumPy reads it when it is imported
