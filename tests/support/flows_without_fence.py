"""The flows for tests, for workers whose step has no fence (see ``fence``): shows that the chaos tests would notice."""

from core.queue import queue
from tests.support import fence
from tests.support.flows import FLOWS

queue.STEP = queue.STEP.replace("worker_step", fence.NAME)

__all__ = ["FLOWS"]
