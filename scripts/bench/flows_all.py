"""The pool at its full size (BEAT_EXTRA_FLOWS=scripts.bench.flows_all): what is not built yet is stood in for.

Beside the built flows runs a flow of the same processes and slots for each one that is not, after the full production
preload, and five of five processes for the AMQP listeners. The stand-ins never get a task.
"""

from __future__ import annotations

from core.enums import Platform
from core.flows.registry import FLOWS as REGISTERED
from core.flows.registry import Flow
from core.models.params import NoParams
from core.runtime import FlowContext
from scripts.bench import counting

counting.install()

LISTENERS, LISTENER_PROCESSES = 5, 5


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
        Flow(f"bench_listener_{number}", Platform.INSTAGRAM, NoParams, LISTENER_PROCESSES, 1, STAND_IN)
        for number in range(1, LISTENERS + 1)
    ),
)
