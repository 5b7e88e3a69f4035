"""Reads what the relay has published, as a neighbour would, and says whether each task was completed once."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import asyncpg
from aio_pika.exceptions import ChannelNotFoundEntity

from tests.support.relay import open_channel, take

TASK_EVENTS = "scrape_request_log_events_q"
PREFETCH = 10_000


async def drain_queue(rmq_url: str, queue: str) -> list[dict[str, Any]]:
    """Every message of a queue, in order, each once by message id; the queue is empty afterwards.

    What the relay has had confirmed is in the queue, so call it when the outbox is empty.
    """
    messages: list[dict[str, Any]] = []
    seen: set[str | None] = set()
    async with open_channel(rmq_url) as channel:
        source = await channel.declare_queue(queue, passive=True)
        left = source.declaration_result.message_count or 0
        while left:
            some = await take(channel, queue, min(left, PREFETCH), within_s=120)
            left -= len(some)
            for message in some:
                if message.message_id not in seen:
                    seen.add(message.message_id)
                    messages.append(json.loads(message.body))
    return messages


async def purge_queue(rmq_url: str, queue: str) -> None:
    """Leave the queue empty, if there is one."""
    async with open_channel(rmq_url) as channel:
        with suppress(ChannelNotFoundEntity):
            await (await channel.declare_queue(queue, passive=True)).purge()


async def completions(pg: asyncpg.Connection, rmq_url: str) -> Counter[int]:
    """COMPLETE events at the broker by task, once the outbox is empty."""
    await wait_for_empty_outbox(pg)
    events = await drain_queue(rmq_url, TASK_EVENTS)
    return Counter(int(event["scl_id"]) for event in events if event["status"] == "COMPLETE")


async def assert_completed_once(pg: asyncpg.Connection, rmq_url: str, ids: Iterable[int]) -> None:
    """Each of these tasks is COMPLETE, and the broker was told so exactly once; no other task was, and none runs."""
    wanted = set(ids)
    rows = await pg.fetch("select id from scrape_request_log where status = 'COMPLETE'")
    assert {row["id"] for row in rows} == wanted
    assert await pg.fetchval("select count(*) from scrape_request_log where status = 'PROCESSING'") == 0
    told = await completions(pg, rmq_url)
    assert set(told) == wanted
    assert set(told.values()) == {1}


async def wait_for_empty_outbox(pg: asyncpg.Connection, within_s: float = 120.0) -> None:
    """Wait until the relay has confirmed everything."""
    left = -1
    for _ in range(int(within_s / 0.2)):
        left = await pg.fetchval("select count(*) from event_outbox")
        if left == 0:
            return
        await asyncio.sleep(0.2)
    raise AssertionError(f"{left} events are still in the outbox")
