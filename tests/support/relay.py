"""A running relay, rows for it to send, and the other end where they arrive."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import aio_pika
import asyncpg
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from config import Settings
from core.amqp.relay import run_relay


@dataclass
class RunningRelay:
    """A relay in this process's loop."""

    task: asyncio.Task[None]
    woken: asyncio.Event
    stopping: asyncio.Event

    async def stop(self) -> None:
        """End it as a supervisor would."""
        self.stopping.set()
        await self.task


@asynccontextmanager
async def running_relay(settings: Settings) -> AsyncIterator[RunningRelay]:
    """A relay until the block ends."""
    woken, stopping = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(run_relay(settings, woken=woken, stopping=stopping))
    relay = RunningRelay(task, woken, stopping)
    try:
        yield relay
    finally:
        stopping.set()
        await asyncio.gather(task, return_exceptions=True)


def with_broker(settings: Settings, **changes: Any) -> Settings:
    """The settings with other values in the broker group."""
    return settings.model_copy(update={"broker": settings.broker.model_copy(update=changes)})


@dataclass(frozen=True)
class Sent:
    """A row to send; its payload says which it is."""

    routing_key: str
    entity_key: str
    number: int = 0
    exchange: str = "beat.dx"

    def payload(self) -> dict[str, Any]:
        """A small event."""
        return {"event_id": str(uuid4()), "entity": self.entity_key, "number": self.number}


async def put(pg: asyncpg.Connection, rows: Iterable[Sent]) -> None:
    """Write rows to the outbox, in this order."""
    await pg.executemany(
        "insert into event_outbox (exchange, routing_key, entity_key, payload) values ($1, $2, $3, $4::text::jsonb)",
        [(row.exchange, row.routing_key, row.entity_key, json.dumps(row.payload())) for row in rows],
    )


@asynccontextmanager
async def open_channel(url: str) -> AsyncIterator[AbstractChannel]:
    """A channel with a connection of its own."""
    connection = await aio_pika.connect(url)
    async with connection:
        yield await connection.channel()


async def bound_queue(channel: AbstractChannel, routing_key: str, **arguments: Any) -> str:
    """A fresh queue on beat.dx; its name."""
    exchange = await channel.declare_exchange("beat.dx", aio_pika.ExchangeType.DIRECT, durable=True)
    queue = await channel.declare_queue(f"test.{uuid4()}", durable=True, arguments=arguments)
    await queue.bind(exchange, routing_key)
    return queue.name


async def take(
    channel: AbstractChannel, queue: str, count: int, within_s: float = 60.0
) -> list[AbstractIncomingMessage]:
    """The next ``count`` messages, acknowledged; fails when they do not come."""
    taken: list[AbstractIncomingMessage] = []
    full = asyncio.Event()

    async def receive(message: AbstractIncomingMessage) -> None:
        taken.append(message)
        if len(taken) == count:
            full.set()

    await channel.set_qos(prefetch_count=count)
    source = await channel.get_queue(queue, ensure=False)
    tag = await source.consume(receive)
    try:
        async with asyncio.timeout(within_s):
            await full.wait()
    finally:
        await source.cancel(tag)
    await taken[-1].ack(multiple=True)
    return taken


def numbers(messages: Iterable[AbstractIncomingMessage], entity_key: str) -> list[int]:
    """The numbers of an entity's events, in order of arrival."""
    bodies = (json.loads(message.body) for message in messages)
    return [body["number"] for body in bodies if body["entity"] == entity_key]


async def until(holds: Callable[[], Any], within_s: float = 60.0) -> Any:
    """Wait for an awaited value to be true; fails when it does not become so."""
    async with asyncio.timeout(within_s):
        while not (value := await holds()):
            await asyncio.sleep(0.02)
    return value


async def waiting(pg: asyncpg.Connection) -> int:
    """Rows in the outbox."""
    count: int = await pg.fetchval("select count(*) from event_outbox")
    return count
