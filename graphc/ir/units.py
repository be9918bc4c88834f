"""Units of sizes given as text.

What they measure is checked where the text is read.
"""

from __future__ import annotations

BYTES = {
    "": 1,
    "b": 1,
    **{
        prefix.lower() + unit: base**power
        for power, prefix in enumerate("KMGT", 1)
        for unit, base in (("b", 1000), ("ib", 1024))
    },
}
