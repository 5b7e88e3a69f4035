"""The pool at its full size (BEAT_EXTRA_FLOWS=scripts.bench.flows_all): what is not built yet is stood in for.

Beside the built flows and listeners runs a flow of the same processes and slots for each flow that is not built, after
the full production preload, and one of as many processes for each such listener. The stand-ins never get a task.
"""

from __future__ import annotations

from core.amqp.listeners import LISTENERS
from core.enums import Platform
from core.flows.registry import FLOWS as REGISTERED
from core.flows.registry import Flow
from core.models.params import NoParams
from core.runtime import FlowContext
from scripts.bench import counting

counting.install()


async def stand_in(params: NoParams, ctx: FlowContext) -> None:
    """Nothing: its process is the point."""


STAND_IN = "scripts.bench.flows_all:stand_in"
FLOWS = (
    *(
        Flow(f"bench_{flow.name}", flow.platform, NoParams, flow.workers, flow.concurrency, STAND_IN)
        for flow in REGISTERED
        if flow.target is None
    ),
    *(
        Flow(f"bench_{listener.queue}", Platform.INSTAGRAM, NoParams, listener.workers, 1, STAND_IN)
        for listener in LISTENERS
        if listener.handler is None
    ),
)
