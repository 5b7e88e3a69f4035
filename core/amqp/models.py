"""What a queue and a listener are: rows that say where messages come from and who handles them."""

from __future__ import annotations

import typing
from dataclasses import dataclass, field, replace
from inspect import signature
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Protocol, cast

from pydantic import BaseModel

if TYPE_CHECKING:
    from core.runtime import FlowContext

RETRY_DELAY_S = 10.0


class Refused(Exception):
    """A handler's word on a message that no later attempt could handle; the text says why and shows no value."""


class Handler(Protocol):
    """Handles one message; it may get the same one twice, also in two processes at once."""

    async def __call__(self, message: Any, ctx: FlowContext) -> None:
        """The effect is committed before the return, and the message acknowledged after it.

        Raises:
            Refused: the message goes to the error queue at once; after any other error it is tried again.
        """


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue and the one exchange and key that feed it; without an exchange it is fed by its name."""

    name: str
    exchange: str = ""
    routing_key: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AmqpListener:
    """``handler`` is ``package.module:function``, None when it is not built; each of ``workers`` processes takes
    ``prefetch`` messages at once. Picklable."""

    exchange: str
    routing_key: str
    queue: str
    handler: str | None = None
    workers: int = 5
    prefetch: int = 1
    retry_delay_s: float = RETRY_DELAY_S

    @property
    def source(self) -> Queue:
        """The queue with its binding."""
        return Queue(self.queue, self.exchange, self.routing_key)

    def taking(self, prefetch: int) -> AmqpListener:
        """The same, with so many messages at once."""
        return replace(self, prefetch=prefetch)

    def load(self) -> tuple[Handler, type[BaseModel]]:
        """Import the handler; the model of its messages is the annotation of its first parameter.

        Raises:
            TypeError: the annotation is no model.
        """
        handler = resolve_name(str(self.handler))
        first = next(iter(signature(handler).parameters))
        model = typing.get_type_hints(handler).get(first)
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise TypeError(f"{self.handler}: its first parameter must be annotated with the model of its messages")
        return cast("Handler", handler), model
