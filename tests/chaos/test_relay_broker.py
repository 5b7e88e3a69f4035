"""A broker that is stopped, killed or short of memory delays events, loses none and keeps their order per key."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from functools import partial

import asyncpg
import pytest
from pydantic import SecretStr

from config import Settings
from tests.support.broker import OwnBroker, own_broker
from tests.support.relay import Sent, bound_queue, numbers, open_channel, put, running_relay, take, until, with_broker

KEYS, ROWS = 40, 6000


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("killed", [False, True], ids=["stopped", "killed"])
async def test_events_survive_a_broker_that_goes_away_under_load(
    settings: Settings, pg: asyncpg.Connection, killed: bool
) -> None:
    async with own_broker() as broker:
        changed = with_broker(settings, rmq_url=SecretStr(broker.url), relay_poll_s=0.2)
        async with open_channel(broker.url) as channel:
            queue = await bound_queue(channel, "chaos")
        await put(pg, [Sent("chaos", f"e{number % KEYS}", number) for number in range(ROWS)])
        async with running_relay(changed):
            for _ in range(2):
                before = await _left(pg)
                await until(partial(_fewer_than, pg, before - ROWS // 10), 60)
                await _restart(broker, killed)
            await until(lambda: _fewer_than(pg, 1), 90)
        async with open_channel(broker.url) as channel:
            source = await channel.declare_queue(queue, passive=True)
            messages = await take(channel, queue, source.declaration_result.message_count or 1, 60)
    ids: dict[tuple[int, ...], set[str | None]] = defaultdict(set)
    for entity in range(KEYS):
        own = [message for message in messages if numbers([message], f"e{entity}")]
        arrived = numbers(own, f"e{entity}")
        assert list(dict.fromkeys(arrived)) == list(range(entity, ROWS, KEYS))
        for number, message in zip(arrived, own, strict=True):
            ids[number,].add(message.message_id)
    assert all(len(same) == 1 for same in ids.values())
    assert await pg.fetchval("select confirmed from event_confirmed where routing_key = 'chaos'") == ROWS


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_events_wait_for_a_broker_that_is_short_of_memory(
    settings: Settings, pg: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its alarm outlasts the patience with a confirm: what was sent meanwhile comes again, under the same id."""
    monkeypatch.setattr("core.amqp.publisher.CONFIRM_TIMEOUT_S", 1.0)
    async with own_broker() as broker:
        changed = with_broker(settings, rmq_url=SecretStr(broker.url), relay_poll_s=0.2)
        async with open_channel(broker.url) as channel:
            queue = await bound_queue(channel, "chaos")
        async with running_relay(changed):
            await put(pg, [Sent("chaos", "first", 0)])
            await until(lambda: _fewer_than(pg, 1))
            await broker.refuse_messages(refuse=True)
            await put(pg, [Sent("chaos", f"e{number % KEYS}", number) for number in range(ROWS)])
            await asyncio.sleep(10)
            assert await _left(pg) == ROWS
            await broker.refuse_messages(refuse=False)
            await until(lambda: _fewer_than(pg, 1), 90)
        async with open_channel(broker.url) as channel:
            source = await channel.declare_queue(queue, passive=True)
            messages = await take(channel, queue, source.declaration_result.message_count or 1, 60)
    assert len({message.message_id for message in messages}) == ROWS + 1
    for entity in range(KEYS):
        assert list(dict.fromkeys(numbers(messages, f"e{entity}"))) == list(range(entity, ROWS, KEYS))


async def _restart(broker: OwnBroker, killed: bool) -> None:
    if killed:
        broker.kill()
    else:
        await broker.stop()
    await asyncio.sleep(1.0)
    await broker.start()


async def _left(pg: asyncpg.Connection) -> int:
    count: int = await pg.fetchval("select count(*) from event_outbox")
    return count


async def _fewer_than(pg: asyncpg.Connection, count: int) -> bool:
    return await _left(pg) < count
