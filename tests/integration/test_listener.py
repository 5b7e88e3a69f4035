"""The consumer: an effect is committed before its message is acknowledged, and no message is lost on the way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import uuid4

import aio_pika
import asyncpg
import pytest
from aio_pika.abc import AbstractChannel
from loguru import logger
from pydantic import BaseModel
from sqlalchemy import text

from config import Settings
from core.amqp.amqp import Consumer, _loss_of, run_listener
from core.amqp.models import AmqpListener, Refused
from core.amqp.topology import EXCHANGES, error_queue, retry_queue
from core.runtime import FlowContext
from credentials.runtime import build_runtime
from tests.support.ports import free_port
from tests.support.relay import open_channel, take, until

RECORD = text("insert into task_log (name, arguments) values (:name, cast(:arguments as jsonb))")


class Order(BaseModel):
    """What the listener under test understands."""

    name: str
    fail_times: int = 0


ATTEMPTS: dict[str, int] = {}
HOPELESS = ("nobody",)
HANGING = """
select count(*) from pg_stat_activity
where datname = current_database() and state = 'idle in transaction' and query like '%insert into task_log%'"""
"""Handlers that have written. Before, a connection may still be in the making, and be left open by a cancellation."""


async def handle(message: Order, ctx: FlowContext) -> None:
    """Write first, then fail as often as the message says."""
    async with ctx.runtime.database.sessions.begin() as session:
        await session.execute(RECORD, {"name": message.name, "arguments": "{}"})
        ATTEMPTS[message.name] = ATTEMPTS.get(message.name, 0) + 1
        if ATTEMPTS[message.name] <= message.fail_times:
            raise RuntimeError(f"no {message.name} today, token=abcdef1234567890")
        if message.name in HOPELESS:
            raise Refused("name: nobody is called so, token=abcdef1234567890")


async def never_ends(message: Order, ctx: FlowContext) -> None:
    """Write and hang, so that the message stays unacknowledged."""
    async with ctx.runtime.database.sessions.begin() as session:
        await session.execute(RECORD, {"name": message.name, "arguments": "{}"})
        await asyncio.Event().wait()


UNDER_WAY: dict[str, asyncio.Event] = {}
"""By name of their message: handlers that wait for leave to go on."""


async def waits_for_leave(message: Order, ctx: FlowContext) -> None:
    """Write when the test says so."""
    await UNDER_WAY.setdefault(message.name, asyncio.Event()).wait()
    async with ctx.runtime.database.sessions.begin() as session:
        await session.execute(RECORD, {"name": message.name, "arguments": "{}"})


async def fails_oddly(message: Order, ctx: FlowContext) -> None:
    """Fail with a text that is no UTF-8, as a provider's answer may hold one."""
    raise (Refused if message.name == "refused" else RuntimeError)("half a pair: \ud83d")


async def takes_text(message: str, ctx: FlowContext) -> None:
    """No listener: its message has no model."""


@pytest.fixture
async def channel(rmq_url: str) -> AsyncIterator[AbstractChannel]:
    async with open_channel(rmq_url) as channel:
        yield channel


@pytest.fixture
def listener() -> AmqpListener:
    queue = f"test.{uuid4()}"
    return AmqpListener("beat.dx", queue, queue, f"{__name__}:handle", prefetch=4, retry_delay_s=0.1)


@asynccontextmanager
async def running(listener: AmqpListener, rmq_url: str, settings: Settings) -> AsyncIterator[asyncio.Event]:
    runtime = build_runtime(settings)
    stopping = asyncio.Event()
    task = asyncio.create_task(run_listener(listener, rmq_url, runtime, stopping=stopping))
    try:
        yield stopping
        stopping.set()
        await asyncio.wait_for(task, 60)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await runtime.aclose()


async def send(
    channel: AbstractChannel, listener: AmqpListener, body: Any, headers: dict[str, Any] | None = None
) -> None:
    """Publish as another service does, once the queue exists."""

    async def bound() -> bool:
        other = await connection_of(channel).channel()
        try:
            await other.declare_queue(retry_queue(listener.queue), passive=True)
        except aio_pika.exceptions.ChannelNotFoundEntity:
            return False
        return True

    await until(bound)
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    message = aio_pika.Message(content, message_id="m-1", headers=headers)
    await channel.default_exchange.publish(message, listener.queue)


def connection_of(channel: AbstractChannel) -> Any:
    return channel._connection  # type: ignore[attr-defined]


async def records(pg: asyncpg.Connection, name: str) -> int:
    count: int = await pg.fetchval("select count(*) from task_log where name = $1", name)
    return count


async def depth(channel: AbstractChannel, queue: str) -> int:
    source = await channel.declare_queue(queue, passive=True)
    return source.declaration_result.message_count or 0


async def test_a_message_has_its_effect_and_is_gone(
    pg: asyncpg.Connection, channel: AbstractChannel, listener: AmqpListener, rmq_url: str, settings: Settings
) -> None:
    async with running(listener, rmq_url, settings):
        await send(channel, listener, {"name": "one"})
        await until(lambda: records(pg, "one"))
    assert await depth(channel, listener.queue) == 0


async def test_a_listener_hears_what_is_published_to_its_exchange(
    pg: asyncpg.Connection, channel: AbstractChannel, listener: AmqpListener, rmq_url: str, settings: Settings
) -> None:
    async with running(listener, rmq_url, settings):
        await send(channel, listener, {"name": "first"})
        exchange = await channel.get_exchange(EXCHANGES[0])
        await exchange.publish(aio_pika.Message(b'{"name": "by exchange"}'), listener.routing_key)
        await until(lambda: records(pg, "by exchange"))


@pytest.mark.parametrize("body", [b"not json", {"nom": "x"}, {"name": {"token": "s3cr3t-value"}}, b"\xff\xfe"])
async def test_an_invalid_payload_goes_to_the_dead_letter_queue_with_its_reason(
    channel: AbstractChannel, listener: AmqpListener, rmq_url: str, settings: Settings, body: Any
) -> None:
    async with running(listener, rmq_url, settings):
        await send(channel, listener, body)
        (dead,) = await take(channel, error_queue(listener.queue), 1)
    assert dead.body == (body if isinstance(body, bytes) else json.dumps(body).encode())
    assert str(dead.headers["x-reason"]).startswith("invalid payload: ")
    assert "s3cr3t" not in str(dead.headers["x-reason"])
    assert dead.message_id == "m-1"
    assert dead.delivery_mode == aio_pika.DeliveryMode.PERSISTENT


async def test_a_message_is_put_aside_with_all_that_its_sender_said_of_it(
    channel: AbstractChannel, listener: AmqpListener, rmq_url: str, settings: Settings
) -> None:
    said: dict[str, Any] = {
        "content_type": "text/plain", "content_encoding": "utf-8", "type": "order", "app_id": "shop",
        "correlation_id": "c-1", "message_id": "m-2", "timestamp": datetime(2026, 3, 1, tzinfo=UTC),
    }  # fmt: skip
    async with running(listener, rmq_url, settings):
        await send(channel, listener, {"name": "there is the queue"})
        message = aio_pika.Message(b"not json", headers={"x-from": "here"}, **said)
        await channel.default_exchange.publish(message, listener.queue)
        (dead,) = await take(channel, error_queue(listener.queue), 1)
    assert {name: getattr(dead, name) for name in said} == said
    assert dead.headers.keys() == {"x-from", "x-reason"}


async def test_a_message_that_cannot_be_put_aside_stays_in_its_queue(
    channel: AbstractChannel, listener: AmqpListener, rmq_url: str, settings: Settings
) -> None:
    heard = asyncio.Event()
    sink = logger.add(lambda line: heard.set() if "message could not be moved" in line else None)
    aside = error_queue(listener.queue)
    try:
        async with running(listener, rmq_url, settings), asyncio.timeout(60):
            await send(channel, listener, {"name": "there is the queue"})
            await channel.queue_delete(aside)
            await send(channel, listener, b"not json")
            await heard.wait()
            await channel.declare_queue(aside, durable=True)
            (dead,) = await take(channel, aside, 1)
    finally:
        logger.remove(sink)
    assert dead.body == b"not json"


async def test_a_failure_is_tried_again_and_leaves_one_effect(
    pg: asyncpg.Connection, channel: AbstractChannel, listener: AmqpListener, rmq_url: str, settings: Settings
) -> None:
    async with running(listener, rmq_url, settings):
        await send(channel, listener, {"name": "third time", "fail_times": 2})
        await until(lambda: records(pg, "third time"))
    assert ATTEMPTS["third time"] == 3
    assert await records(pg, "third time") == 1


async def test_after_two_retries_a_message_is_put_aside(
    pg: asyncpg.Connection, channel: AbstractChannel, listener: AmqpListener, rmq_url: str, settings: Settings
) -> None:
    async with running(listener, rmq_url, settings):
        await send(channel, listener, {"name": "hopeless", "fail_times": 99})
        (dead,) = await take(channel, error_queue(listener.queue), 1)
    assert ATTEMPTS["hopeless"] == 3
    assert dead.headers["x-retries"] == 2
    assert "no hopeless today" in str(dead.headers["x-reason"])
    assert "abcdef1234567890" not in str(dead.headers["x-reason"])
    assert await records(pg, "hopeless") == 0


async def test_a_count_of_retries_below_none_gives_no_further_attempts(
    channel: AbstractChannel, listener: AmqpListener, rmq_url: str, settings: Settings
) -> None:
    async with running(listener, rmq_url, settings):
        await send(channel, listener, {"name": "patient", "fail_times": 99}, headers={"x-retries": -1000})
        (dead,) = await take(channel, error_queue(listener.queue), 1)
    assert ATTEMPTS["patient"] == 3
    assert dead.headers["x-retries"] == 2


async def test_an_error_of_the_database_about_the_message_uses_up_attempts(
    channel: AbstractChannel, listener: AmqpListener, rmq_url: str, settings: Settings
) -> None:
    """Only a database that is away is waited for."""
    async with running(listener, rmq_url, settings):
        await send(channel, listener, {"name": "no text \0 of a database"})
        (dead,) = await take(channel, error_queue(listener.queue), 1)
    assert dead.headers["x-retries"] == 2
    assert "DBAPIError" in str(dead.headers["x-reason"])


async def test_a_message_that_waits_for_the_database_is_left_to_others_at_the_end(
    pg: asyncpg.Connection, channel: AbstractChannel, listener: AmqpListener, rmq_url: str, settings: Settings
) -> None:
    attempts: list[str] = []

    async def waits() -> bool:
        return bool(attempts)

    sink = logger.add(lambda line: attempts.append(line) if "message waits for the database" in line else None)
    away = settings.database.model_copy(update={"pgbouncer_url": f"postgresql://beat@127.0.0.1:{free_port()}/beat"})
    try:
        async with running(listener, rmq_url, settings.model_copy(update={"database": away})) as stopping:
            await send(channel, listener, {"name": "kept"})
            await until(waits)
            stopping.set()
            before = len(attempts)
    finally:
        logger.remove(sink)
    assert len(attempts) <= before + 1, "one may have been under way"
    assert await records(pg, "kept") == 0
    async with running(listener, rmq_url, settings):
        await until(lambda: records(pg, "kept"))


async def test_a_message_that_its_handler_refuses_is_put_aside_at_once(
    pg: asyncpg.Connection, channel: AbstractChannel, listener: AmqpListener, rmq_url: str, settings: Settings
) -> None:
    async with running(listener, rmq_url, settings):
        await send(channel, listener, {"name": "nobody"})
        (dead,) = await take(channel, error_queue(listener.queue), 1)
    assert ATTEMPTS["nobody"] == 1
    assert str(dead.headers["x-reason"]).startswith("refused: name: nobody is called so")
    assert "abcdef1234567890" not in str(dead.headers["x-reason"])
    assert await records(pg, "nobody") == 0


@pytest.mark.parametrize("name", ["refused", "failed"])
async def test_an_error_that_no_header_can_quote_is_put_aside_like_others(
    channel: AbstractChannel, listener: AmqpListener, rmq_url: str, settings: Settings, name: str
) -> None:
    async with running(replace(listener, handler=f"{__name__}:fails_oddly"), rmq_url, settings):
        await send(channel, listener, {"name": name})
        (dead,) = await take(channel, error_queue(listener.queue), 1)
    assert "half a pair: ?" in str(dead.headers["x-reason"])


def test_a_handler_says_what_its_messages_look_like() -> None:
    assert AmqpListener("", "", "q", f"{__name__}:handle").load() == (handle, Order)
    with pytest.raises(TypeError, match="takes_text: its first parameter must be annotated with the model"):
        AmqpListener("", "", "q", f"{__name__}:takes_text").load()


async def test_a_message_whose_listener_dies_is_delivered_again(
    pg: asyncpg.Connection, channel: AbstractChannel, listener: AmqpListener, rmq_url: str, settings: Settings
) -> None:
    mortal = AmqpListener(
        listener.exchange, listener.routing_key, listener.queue, f"{__name__}:never_ends", retry_delay_s=0.1
    )
    doomed = build_runtime(settings)
    task = asyncio.create_task(run_listener(mortal, rmq_url, doomed, stopping=asyncio.Event()))
    await send(channel, listener, {"name": "again"})
    await until(lambda: _unacknowledged(channel, listener.queue))
    await until(lambda: pg.fetchval(HANGING))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not await pg.fetchval(HANGING)
    await doomed.aclose()
    async with running(listener, rmq_url, settings):
        await until(lambda: records(pg, "again"))
    assert await records(pg, "again") == 1


async def test_what_is_being_handled_at_the_end_is_finished_and_nothing_new_is_begun(
    pg: asyncpg.Connection, channel: AbstractChannel, listener: AmqpListener, rmq_url: str, settings: Settings
) -> None:
    async def is_under_way() -> bool:
        return "last" in UNDER_WAY

    async def has_no_consumer() -> bool:
        source = await channel.declare_queue(listener.queue, passive=True)
        return source.declaration_result.consumer_count == 0

    async with running(replace(listener, handler=f"{__name__}:waits_for_leave"), rmq_url, settings) as stopping:
        await send(channel, listener, {"name": "last"})
        await until(is_under_way)
        stopping.set()
        await until(has_no_consumer)
        await send(channel, listener, {"name": "too late"})
        UNDER_WAY["last"].set()
    assert await records(pg, "last") == 1
    assert (await depth(channel, listener.queue), "too late" in UNDER_WAY) == (1, False)


async def test_nothing_is_kept_of_messages_that_were_handled(
    pg: asyncpg.Connection, channel: AbstractChannel, listener: AmqpListener, rmq_url: str, settings: Settings
) -> None:
    runtime, stopping = build_runtime(settings), asyncio.Event()
    consumer = Consumer(listener, runtime, stopping)
    task = asyncio.create_task(consumer.serve(rmq_url))
    for number in range(3):
        await send(channel, listener, {"name": f"number {number}"})
        await until(partial(records, pg, f"number {number}"))
    stopping.set()
    await task
    await runtime.aclose()
    assert not consumer._running


async def test_a_listener_takes_no_more_messages_than_it_may_have_in_hand(
    pg: asyncpg.Connection, channel: AbstractChannel, listener: AmqpListener, rmq_url: str, settings: Settings
) -> None:
    """The others are left to other processes."""
    busy = replace(listener, handler=f"{__name__}:never_ends", prefetch=3)
    await channel.declare_queue(listener.queue, durable=True)
    for number in range(5):
        await channel.default_exchange.publish(aio_pika.Message(b'{"name": "%d"}' % number), listener.queue)
    runtime = build_runtime(settings)
    task = asyncio.create_task(run_listener(busy, rmq_url, runtime, stopping=asyncio.Event()))
    await until(lambda: pg.fetchval(f"select ({HANGING}) = 3"))
    left = await depth(channel, listener.queue)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await runtime.aclose()
    assert left == 2


async def _unacknowledged(channel: AbstractChannel, queue: str) -> bool:
    """Nothing is ready, and somebody consumes: the message is in his hands."""
    source = await channel.declare_queue(queue, passive=True)
    return source.declaration_result.message_count == 0 and source.declaration_result.consumer_count == 1


async def test_a_channel_that_the_broker_closes_is_noticed(channel: AbstractChannel) -> None:
    lost = await _loss_of(channel)
    with pytest.raises(aio_pika.exceptions.ChannelNotFoundEntity):
        await channel.declare_queue(f"test.{uuid4()}", passive=True)
    async with asyncio.timeout(60):
        await lost.wait()


async def test_a_listener_whose_queue_is_deleted_makes_it_again(
    pg: asyncpg.Connection, channel: AbstractChannel, listener: AmqpListener, rmq_url: str, settings: Settings
) -> None:
    async with running(listener, rmq_url, settings):
        await send(channel, listener, {"name": "before"})
        await until(lambda: records(pg, "before"))
        await channel.queue_delete(retry_queue(listener.queue))
        await channel.queue_delete(listener.queue)
        await send(channel, listener, {"name": "after"})
        await until(lambda: records(pg, "after"))
