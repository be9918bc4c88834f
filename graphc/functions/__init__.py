"""The functions users call, under the array API's and NumPy's names: ordinary graph code.

Each is a few calls of ops (`ir.ops`) or of other functions; `graphc` exports them all.
"""

from graphc.functions.control import *
from graphc.functions.creation import *
from graphc.functions.elementary import *
from graphc.functions.indexing import *
from graphc.functions.joining import *
from graphc.functions.linear import *
from graphc.functions.matrices import *
from graphc.functions.numeric import *
from graphc.functions.pointwise import *
from graphc.functions.quantize import *
from graphc.functions.reductions import *
from graphc.functions.scans import *
from graphc.functions.shaping import *
from graphc.functions.shorthand import *
from graphc.functions.slicing import *
from graphc.functions.sorting import *
from graphc.public import publish as _publish

_publish(globals())
