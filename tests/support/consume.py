"""Reads what the relay has published, as a neighbour would."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aio_pika
import asyncpg

TASK_EVENTS = "scrape_request_log_events_q"


async def drain_queue(rmq_url: str, queue: str) -> list[dict[str, Any]]:
    """Every message of a queue, in order, each once by message id; the queue is empty afterwards."""
    connection = await aio_pika.connect(rmq_url)
    async with connection:
        channel = await connection.channel()
        source = await channel.get_queue(queue, ensure=True)
        messages: list[dict[str, Any]] = []
        seen: set[str | None] = set()
        while (message := await source.get(no_ack=True, fail=False)) is not None:
            if message.message_id not in seen:
                seen.add(message.message_id)
                messages.append(json.loads(message.body))
    return messages


async def wait_for_empty_outbox(pg: asyncpg.Connection, within_s: float = 120.0) -> None:
    """Wait until the relay has confirmed everything."""
    left = -1
    for _ in range(int(within_s / 0.2)):
        left = await pg.fetchval("select count(*) from event_outbox")
        if left == 0:
            return
        await asyncio.sleep(0.2)
    raise AssertionError(f"{left} events are still in the outbox")
