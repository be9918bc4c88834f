"""Arrays from files, and batches of them.

Nothing here knows graphs.
"""

from graphc.data.sources import *
from graphc.public import publish as _publish

_publish(globals())
