"""The judge of ops and the random graphs, for authors of ops and for graphc's own tests.

Only `plugin`, which a user's conftest names, needs pytest.  Helpers of graphc's own tests are in
tests/support.
"""

from graphc.frontend.boundary import guard as _guard
from graphc.ir.op import sample as sample
from graphc.public import publish as _publish
from graphc.testing.conformance import check_op as check_op
from graphc.testing.judge import check_graph as check_graph
from graphc.testing.random_graphs import random_graph as random_graph

_guard(globals(), "graphc.", tells_ops=True)
_publish(globals())
