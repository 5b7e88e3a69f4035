"""The relay on a real broker: at least once, in order per key, whatever refuses, vanishes or dies."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg
import pytest
from aio_pika import DeliveryMode
from aio_pika.abc import AbstractChannel
from loguru import logger

from config import Settings
from core.amqp.outbox import Row, Scope
from core.amqp.publisher import BrokerAwayError, HeldBackError, Publisher
from core.amqp.relay import RELAY_LOCK
from tests.support.relay import (
    Sent,
    bound_queue,
    numbers,
    open_channel,
    put,
    running_relay,
    take,
    until,
    waiting,
    with_broker,
)
from utils.db import connect

HOLDER = (
    "select pid from pg_locks where locktype = 'advisory' and granted and classid = $1 and objid = $2 and database = "
    "(select oid from pg_database where datname = current_database())"
)


@pytest.fixture
async def channel(rmq_url: str) -> AsyncIterator[AbstractChannel]:
    async with open_channel(rmq_url) as channel:
        yield channel


@pytest.fixture
def quick(settings: Settings) -> Settings:
    """A relay that looks often."""
    return with_broker(settings, relay_poll_s=0.1)


@pytest.fixture
def route() -> str:
    """A routing key of this test alone."""
    return f"test.{uuid4()}"


async def holder(pg: asyncpg.Connection) -> int | None:
    pid: int | None = await pg.fetchval(HOLDER, RELAY_LOCK >> 32, RELAY_LOCK & 0xFFFFFFFF)
    return pid


async def _holds_another(pg: asyncpg.Connection, first: int) -> bool:
    """Whether the lock has a holder that is not the one of before, which may linger after its end was asked for."""
    return await holder(pg) not in (None, first)


async def test_a_row_is_sent_as_stored_and_then_deleted_and_counted(
    quick: Settings, pg: asyncpg.Connection, channel: AbstractChannel, route: str
) -> None:
    queue = await bound_queue(channel, route)
    stored = '{"big": 123456789012345678901234567890, "text": "na\\u00efve 漢 😀", "half": 0.10, "event_id": "id-1"}'
    await pg.execute(
        "insert into event_outbox (routing_key, entity_key, payload) values ($1, 'e', $2::text::jsonb)", route, stored
    )
    text = await pg.fetchval("select payload::text from event_outbox")
    async with running_relay(quick):
        (message,) = await take(channel, queue, 1)
        await until(lambda: pg.fetchval("select confirmed = 1 from event_confirmed where routing_key = $1", route))
    assert message.body == text.encode()
    assert b"123456789012345678901234567890" in message.body
    assert (message.message_id, message.content_type) == ("id-1", "application/json")
    assert message.delivery_mode == DeliveryMode.PERSISTENT
    assert message.timestamp is not None
    assert await waiting(pg) == 0


async def test_a_wake_up_is_enough(
    settings: Settings, pg: asyncpg.Connection, channel: AbstractChannel, route: str
) -> None:
    queue = await bound_queue(channel, route)
    async with running_relay(with_broker(settings, relay_poll_s=3600.0)) as relay:
        await until(lambda: holder(pg))
        for number in range(3):
            await put(pg, [Sent(route, "e", number)])
            relay.woken.set()
            assert numbers(await take(channel, queue, 1), "e") == [number]


async def test_many_rows_arrive_once_and_in_order_per_key(
    quick: Settings, pg: asyncpg.Connection, channel: AbstractChannel, route: str
) -> None:
    queue = await bound_queue(channel, route)
    await put(pg, [Sent(route, f"e{number % 70}", number) for number in range(2000)])
    async with running_relay(with_broker(quick, relay_batch=300)):
        messages = await take(channel, queue, 2000)
        await until(lambda: _is_empty(pg))
    assert len({message.message_id for message in messages}) == 2000
    for entity in range(70):
        assert numbers(messages, f"e{entity}") == list(range(entity, 2000, 70))


async def test_a_transaction_that_commits_late_is_not_passed_over(
    quick: Settings, pg: asyncpg.Connection, channel: AbstractChannel, database: str, route: str
) -> None:
    """Its row has the lower id; a reader that remembers the highest id it saw would never look back."""
    queue = await bound_queue(channel, route)
    late = await connect(database, name="late")
    async with running_relay(quick):
        transaction = late.transaction()
        await transaction.start()
        await late.execute("select pg_advisory_xact_lock(hashtext('entity slow'))")
        await put(late, [Sent(route, "slow", 1)])
        await put(pg, [Sent(route, "fast", 1)])
        first = await take(channel, queue, 1)
        follower = asyncio.create_task(_follow(database, route))
        await asyncio.sleep(0.3)  # it waits for the entity's lock meanwhile
        await put(pg, [Sent(route, "fast", 2)])
        second = await take(channel, queue, 1)
        await transaction.commit()
        rest = await take(channel, queue, 2)
        await follower
    await late.close()
    assert numbers([*first, *second], "fast") == [1, 2]
    assert numbers(rest, "slow") == [1, 2]


async def _follow(database: str, route: str) -> None:
    other = await connect(database, name="follower")
    async with other.transaction():
        await other.execute("select pg_advisory_xact_lock(hashtext('entity slow'))")
        await put(other, [Sent(route, "slow", 2)])
    await other.close()


async def test_a_refused_message_holds_back_its_key_only(
    quick: Settings, pg: asyncpg.Connection, channel: AbstractChannel, route: str
) -> None:
    """A full queue that refuses: its rows wait in order, those of other routes in the same batch pass."""
    full, opened = f"{route}.full", f"{route}.open"
    narrow = await bound_queue(channel, full, **{"x-max-length": 1, "x-overflow": "reject-publish"})
    wide = await bound_queue(channel, opened)
    await put(pg, [row for number in range(6) for row in (Sent(full, "e", number), Sent(opened, "e", number))])
    async with running_relay(quick):
        assert numbers(await take(channel, wide, 6), "e") == list(range(6))
        assert await pg.fetchval("select count(*) from event_outbox where routing_key = $1", full) >= 4
        arrived = [*await take(channel, narrow, 6)]
        await until(lambda: _is_empty(pg))
    assert list(dict.fromkeys(numbers(arrived, "e"))) == list(range(6))


async def test_a_message_that_cannot_be_sent_stops_neither_its_route_nor_the_relay(
    quick: Settings, pg: asyncpg.Connection, channel: AbstractChannel, route: str
) -> None:
    """A message id over 255 bytes does not fit into a frame."""
    queue = await bound_queue(channel, route)
    await pg.execute(
        "insert into event_outbox (routing_key, entity_key, payload) "
        "values ($1, 'bad', jsonb_build_object('event_id', repeat('x', 300)))",
        route,
    )
    await put(pg, [Sent(route, "bad", 1), Sent(route, "good", 1), Sent(route, "good", 2)])
    async with running_relay(quick):
        messages = await take(channel, queue, 2)
        await asyncio.sleep(1.2)  # long enough for another attempt at the first
    assert numbers(messages, "good") == [1, 2]
    left = await pg.fetch("select entity_key from event_outbox")
    assert [row["entity_key"] for row in left] == ["bad", "bad"]


async def test_a_message_that_no_queue_wants_waits_until_one_does(
    quick: Settings, pg: asyncpg.Connection, channel: AbstractChannel, route: str
) -> None:
    wanted = await bound_queue(channel, f"{route}.wanted")
    await put(pg, [Sent(f"{route}.lost", "e", 1), Sent(f"{route}.lost", "e", 2), Sent(f"{route}.wanted", "e", 1)])
    async with running_relay(quick):
        await take(channel, wanted, 1)
        await until(lambda: _is(pg, 2))
        queue = await bound_queue(channel, f"{route}.lost")
        assert numbers(await take(channel, queue, 2), "e") == [1, 2]


async def test_a_missing_exchange_stops_its_own_messages_only(
    quick: Settings, pg: asyncpg.Connection, channel: AbstractChannel, route: str
) -> None:
    """The broker answers by closing the channel under everything in flight."""
    queue = await bound_queue(channel, route)
    rows = [Sent(route, f"e{number}", number) for number in range(400)]
    rows.insert(100, Sent("any", "lost", exchange=f"{route}.dx"))
    await put(pg, rows)
    async with running_relay(quick):
        arrived = await take(channel, queue, 400)
        await until(lambda: _is(pg, 1))
    assert {json.loads(message.body)["number"] for message in arrived} == set(range(400))
    assert await pg.fetchval("select exchange from event_outbox") == f"{route}.dx"


async def test_a_refusal_holds_back_no_more_than_what_is_refused(
    channel: AbstractChannel, rmq_url: str, route: str
) -> None:
    """An exchange, a route or a key; and one that was deleted costs the channel once, not at each attempt."""
    await bound_queue(channel, f"{route}.full", **{"x-max-length": 0, "x-overflow": "reject-publish"})
    await channel.declare_exchange(f"{route}.dx")
    publisher = Publisher(rmq_url)
    await publisher.open(1.0)

    async def held(exchange: str, routing_key: str, event_id: str | None = None) -> Scope:
        with pytest.raises(HeldBackError) as refusal:
            await publisher.publish(Row(1, exchange, routing_key, "e", "{}", event_id, datetime.now(UTC)))
        return refusal.value.scope

    try:
        assert await held("beat.dx", f"{route}.full") == ("beat.dx", f"{route}.full", "e")
        assert await held("beat.dx", f"{route}.full", "x" * 300) == ("beat.dx", f"{route}.full", "e")
        assert await held("beat.dx", f"{route}.unbound") == ("beat.dx", f"{route}.unbound")
        assert await held("no.dx", route) == ("no.dx",)
        assert await held(f"{route}.dx", route) == (f"{route}.dx", route)
        await channel.exchange_delete(f"{route}.dx")
        assert (await held(f"{route}.dx", route), publisher.up) == ((f"{route}.dx",), False)
        await publisher.open(10.0)
        assert (await held(f"{route}.dx", route), publisher.up) == ((f"{route}.dx",), True)
    finally:
        await publisher.close()


async def test_a_closed_channel_is_a_broker_that_is_away(rmq_url: str, route: str) -> None:
    publisher = Publisher(rmq_url)
    await publisher.open(1.0)
    try:
        assert publisher.up
        assert publisher._channel is not None
        await publisher._channel.close()
        with pytest.raises(BrokerAwayError):
            await publisher.publish(Row(1, "beat.dx", route, "e", "{}", None, datetime.now(UTC)))
        assert not publisher.up
    finally:
        await publisher.close()


async def test_of_two_relays_one_works_and_the_other_takes_over(
    quick: Settings, pg: asyncpg.Connection, channel: AbstractChannel, route: str
) -> None:
    queue = await bound_queue(channel, route)
    async with running_relay(quick):
        first = await until(lambda: holder(pg))
        async with running_relay(quick):
            await put(pg, [Sent(route, "e", number) for number in range(50)])
            assert numbers(await take(channel, queue, 50), "e") == list(range(50))
            assert await holder(pg) == first
            await pg.execute("select pg_terminate_backend($1)", first)
            await until(lambda: _holds_another(pg, first))
            await put(pg, [Sent(route, "e", number) for number in range(50, 100)])
            assert numbers(await take(channel, queue, 50), "e") == list(range(50, 100))
            await until(lambda: _is_empty(pg))


async def test_a_crash_between_confirm_and_delete_repeats_the_message_with_its_id(
    quick: Settings, pg: asyncpg.Connection, channel: AbstractChannel, database: str, route: str
) -> None:
    queue = await bound_queue(channel, route)
    await put(pg, [Sent(route, "e", 1)])
    other = await connect(database, name="other")
    async with running_relay(quick) as relay:
        transaction = other.transaction()
        await transaction.start()
        await other.execute("select from event_outbox for update")  # the delete has to wait
        first = await take(channel, queue, 1)
        dying = await holder(pg)
        relay.task.cancel()
        await asyncio.gather(relay.task, return_exceptions=True)
        await pg.execute("select pg_terminate_backend($1)", dying)
        await transaction.rollback()
    assert await waiting(pg) == 1
    async with running_relay(quick):
        second = await take(channel, queue, 1)
        await until(lambda: _is_empty(pg))
    await other.close()
    assert first[0].message_id == second[0].message_id
    assert await pg.fetchval("select confirmed from event_confirmed where routing_key = $1", route) == 1


async def test_a_database_lost_between_confirm_and_delete_is_no_repetition(
    quick: Settings, pg: asyncpg.Connection, channel: AbstractChannel, database: str, route: str
) -> None:
    """The relay that lives on knows what was confirmed."""
    queue = await bound_queue(channel, route)
    await put(pg, [Sent(route, "e", 1)])
    other = await connect(database, name="other")
    async with running_relay(quick):
        transaction = other.transaction()
        await transaction.start()
        await other.execute("select from event_outbox for update")
        await take(channel, queue, 1)
        await pg.execute("select pg_terminate_backend($1)", await holder(pg))
        await transaction.rollback()
        await put(pg, [Sent(route, "e", 2)])
        assert numbers(await take(channel, queue, 1), "e") == [2]
        await until(lambda: _is_empty(pg))
    await other.close()
    assert await pg.fetchval("select confirmed from event_confirmed where routing_key = $1", route) == 2


async def test_stopping_leaves_no_confirmed_row_behind(
    quick: Settings, pg: asyncpg.Connection, channel: AbstractChannel, route: str
) -> None:
    queue = await bound_queue(channel, route)
    await put(pg, [Sent(route, f"e{number}", number) for number in range(3000)])
    async with running_relay(with_broker(quick, relay_in_flight=2)) as relay:
        await take(channel, queue, 10)
        await relay.stop()
    left = await waiting(pg)
    assert left > 0
    source = await channel.declare_queue(queue, passive=True)
    assert source.declaration_result.message_count == 2990 - left


async def test_late_events_are_reported(quick: Settings, pg: asyncpg.Connection, route: str) -> None:
    heard = asyncio.Event()
    sink = logger.add(lambda line: heard.set() if "events are late" in line else None)
    await put(pg, [Sent(route, "e")])
    await pg.execute("update event_outbox set created_at = now() - interval '2 minutes'")
    try:
        async with running_relay(quick), asyncio.timeout(60):
            await heard.wait()
    finally:
        logger.remove(sink)


async def _is(pg: asyncpg.Connection, count: int) -> bool:
    return await waiting(pg) == count


async def _is_empty(pg: asyncpg.Connection) -> bool:
    return await waiting(pg) == 0
