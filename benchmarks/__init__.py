"""Speed as ratios measured in one run: `make bench`, or `python -m benchmarks [NAME ...]`, on as
many threads as GRAPHC_THREADS says (one).

`builders/` are graphc's entries in a larger suite that compares it with other frameworks.
"""

import os
import sys

THREADS = int(os.environ.get("GRAPHC_THREADS", "1"))
if sys.argv[0] == "-m":  # Python is looking for `-m benchmarks...`: this is no import by a test
    os.environ.setdefault("GRAPHC_THREADS", str(THREADS))
    os.environ.setdefault("OPENBLAS_NUM_THREADS", str(THREADS))  # read when NumPy is imported
