"""What a listener is: one row that says where its messages come from and who handles them."""

from __future__ import annotations

from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Any, Protocol, cast

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from core.amqp.topology import RETRY_DELAY_S, Queue


class Handler(Protocol):
    """Handles one message in the session's transaction; it may get the same message twice."""

    async def __call__(self, message: Any, *, session: AsyncSession) -> None:
        """The transaction is committed after the return, and the message acknowledged after the commit."""


@dataclass(frozen=True, slots=True)
class AmqpListener:
    """``handler`` is ``package.module:function``; each of ``workers`` processes takes ``prefetch`` messages at once."""

    exchange: str
    routing_key: str
    queue: str
    handler: str
    model: type[BaseModel]
    workers: int = 5
    prefetch: int = 1
    retry_delay_s: float = RETRY_DELAY_S

    @property
    def source(self) -> Queue:
        """The queue with its binding."""
        return Queue(self.queue, self.exchange, self.routing_key)

    def load(self) -> Handler:
        """Import the handler."""
        return cast(Handler, resolve_name(self.handler))
