"""Units of bytes, as text gives them: "80 GB".

The readers of the text check what it measures.
"""

from __future__ import annotations

BYTES_PER_UNIT = {
    "": 1,
    "b": 1,
    **{
        prefix.lower() + unit: base**power
        for power, prefix in enumerate("KMGT", 1)
        for unit, base in (("b", 1000), ("ib", 1024))
    },
}
