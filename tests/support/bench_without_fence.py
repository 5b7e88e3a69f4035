"""The bench's flows with the fence taken out of the queue: shows that the zombie bench would notice."""

from scripts.bench.flows import FLOWS
from tests.support import flows_without_fence

__all__ = ["FLOWS", "flows_without_fence"]
