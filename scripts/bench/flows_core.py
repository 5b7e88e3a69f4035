"""The bench's flows, for workers that call the step without its events; ``core_step`` makes it."""

from core.queue import queue
from scripts.bench import core_step
from scripts.bench.flows import FLOWS

queue.STEP = queue.STEP.replace("worker_step", core_step.NAME)

__all__ = ["FLOWS"]
