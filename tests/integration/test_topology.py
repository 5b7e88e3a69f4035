"""What must exist at the broker is made where it is missing and left alone where it is not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aio_pika
import pytest
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed

from core.amqp import topology
from core.amqp.payloads import PUBLISHED
from core.amqp.topology import CONSUMED, EXCHANGES, QUEUES, declare_topology, exchange_exists, own_queues
from tests.support.relay import take

LIMITED = "order_log_events_q"


@pytest.fixture
async def connection(rmq_url: str) -> AsyncIterator[AbstractConnection]:
    """A connection to a vhost where nothing is declared."""
    connection = await aio_pika.connect(rmq_url)
    async with connection:
        channel = await connection.channel()
        for queue in QUEUES:
            await channel.queue_delete(queue.name)
        for exchange in EXCHANGES:
            await channel.exchange_delete(exchange)
        yield connection


async def declared_again(connection: AbstractConnection, name: str, **arguments: Any) -> bool:
    """Whether a queue of that name has exactly these arguments."""
    channel = await connection.channel()
    try:
        await channel.declare_queue(name, durable=True, arguments=arguments)
    except ChannelPreconditionFailed:
        return False
    return True


async def test_every_event_finds_the_queue_its_consumers_read(connection: AbstractConnection) -> None:
    await declare_topology(connection)
    channel = await connection.channel(on_return_raises=True)
    exchange = await channel.get_exchange("beat.dx")
    for routing_key in PUBLISHED:
        await exchange.publish(aio_pika.Message(routing_key.encode()), routing_key)
        queue = "sentiment_analysis_q" if routing_key == "post_activity_log_bulk" else f"{routing_key}_q"
        (message,) = await take(channel, queue, 1)
        assert message.body == routing_key.encode()


async def test_every_queue_beat_reads_is_bound_to_its_exchange(connection: AbstractConnection) -> None:
    await declare_topology(connection)
    channel = await connection.channel(on_return_raises=True)
    for queue in CONSUMED:
        exchange = await channel.get_exchange(queue.exchange)
        await exchange.publish(aio_pika.Message(b"{}"), queue.routing_key)
        assert len(await take(channel, queue.name, 1)) == 1


async def test_queues_that_neighbours_read_elsewhere_are_bound_there(connection: AbstractConnection) -> None:
    await declare_topology(connection)
    channel = await connection.channel(on_return_raises=True)
    for exchange, routing_key, queue in (
        ("identity.dx", "trace_log", "trace_log_q"),
        ("identity.dx", "token_invalid_notice", "token_invalid_notice_q"),
        ("coffee.dx", "keyword_collection_report_completion", "keyword_collection_report_completion_q"),
        ("coffee.dx", "sentiment_collection_report_out_rk", "sentiment_collection_report_out_rk_q"),
    ):
        await (await channel.get_exchange(exchange)).publish(aio_pika.Message(b"{}"), routing_key)
        assert len(await take(channel, queue, 1)) == 1
        assert await declared_again(connection, queue)


async def test_queues_of_neighbours_are_durable_without_arguments(connection: AbstractConnection) -> None:
    await declare_topology(connection)
    assert await declared_again(connection, "post_log_events_q")
    assert await declared_again(connection, "sentiment_analysis_q")


async def test_dead_letter_queues_of_beat_are_quorum_queues(connection: AbstractConnection) -> None:
    await declare_topology(connection)
    assert await declared_again(connection, "error.keyword_collection_q", **{"x-queue-type": "quorum"})
    assert not await declared_again(connection, "error.keyword_collection_q")


async def test_exchanges_outlive_the_broker(connection: AbstractConnection) -> None:
    await declare_topology(connection)
    channel = await connection.channel()
    for exchange in EXCHANGES:
        await channel.declare_exchange(exchange, durable=True)  # another word would be refused


def test_what_waits_for_its_next_attempt_is_safe_until_it_has_returned() -> None:
    aside, waiting = own_queues("some_q", retry_delay_s=1.5)
    assert (aside.name, aside.arguments) == ("error.some_q", {"x-queue-type": "quorum"})
    assert (waiting.name, waiting.arguments) == (
        "retry.some_q",
        {
            "x-queue-type": "quorum",
            "x-message-ttl": 1500,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": "some_q",
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        },
    )


async def test_a_queue_that_its_owner_made_in_his_way_is_left_alone_and_bound(connection: AbstractConnection) -> None:
    channel = await connection.channel(on_return_raises=True)
    await channel.declare_queue(LIMITED, durable=True, arguments={"x-max-length": 9})
    await declare_topology(connection)
    await declare_topology(connection)
    assert await declared_again(connection, LIMITED, **{"x-max-length": 9})
    exchange = await channel.get_exchange("beat.dx")
    await exchange.publish(aio_pika.Message(b"{}"), "order_log_events")
    assert len(await take(channel, LIMITED, 1)) == 1


async def test_a_queue_that_its_owner_makes_at_the_same_moment_is_left_alone_and_bound(
    connection: AbstractConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def not_yet(*_: Any) -> bool:
        return False

    channel = await connection.channel()
    await channel.declare_queue("post_log_events_q", durable=True, arguments={"x-max-priority": 5})
    await channel.declare_exchange(EXCHANGES[0], durable=True, auto_delete=True)
    monkeypatch.setattr(topology, "_exists", not_yet)
    await declare_topology(connection)
    assert await declared_again(connection, "post_log_events_q", **{"x-max-priority": 5})
    exchange = await channel.get_exchange(EXCHANGES[0], ensure=False)
    await exchange.publish(aio_pika.Message(b"{}"), "post_log_events")
    assert len(await take(channel, "post_log_events_q", 1)) == 1


async def test_declaring_again_keeps_the_messages(connection: AbstractConnection) -> None:
    await declare_topology(connection)
    channel = await connection.channel()
    await channel.default_exchange.publish(aio_pika.Message(b"kept"), "profile_log_events_q")
    await declare_topology(connection)
    assert [message.body for message in await take(channel, "profile_log_events_q", 1)] == [b"kept"]


async def test_asking_for_an_exchange_does_not_make_it(connection: AbstractConnection) -> None:
    assert not await exchange_exists(connection, "coffee.dx")
    assert not await exchange_exists(connection, "coffee.dx")
    channel = await connection.channel()
    with pytest.raises(ChannelNotFoundEntity):
        await channel.declare_exchange("coffee.dx", passive=True)
    await declare_topology(connection)
    assert await exchange_exists(connection, "coffee.dx")
