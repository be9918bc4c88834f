"""Arrays from files, and batches of them.

Nothing here knows graphs.
"""

from graphc.data.sources import (
    Digits as Digits,
    batches as batches,
    digits as digits,
    find as find,
    find_text as find_text,
    load_mnist as load_mnist,
    read_idx as read_idx,
)
