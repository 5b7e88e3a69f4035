"""What has to exist at the broker: exchanges, queues and bindings, as a table, and the way to make it so.

Queues that other services read are theirs: they are made, durable and without arguments, only where a passive
declaration finds none, and never declared again (other arguments would be refused with 406 and close the channel).
Queues that Beat alone uses are quorum queues.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import aiormq
from aio_pika.abc import AbstractConnection
from aiormq.abc import AbstractChannel
from aiormq.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed
from loguru import logger

from core.amqp.events import BEAT_EXCHANGE, IDENTITY_EXCHANGE, NOTICE_KEY, TRACE_KEY
from core.amqp.listeners import LISTENERS
from core.amqp.models import RETRY_DELAY_S, Queue
from core.amqp.payloads import PUBLISHED

COFFEE_EXCHANGE = "coffee.dx"


def error_queue(queue: str) -> str:
    """Where messages of a queue end that nobody could handle."""
    return f"error.{queue}"


def retry_queue(queue: str) -> str:
    """Where messages of a queue wait for the next attempt."""
    return f"retry.{queue}"


def own_queues(queue: str, *, retry_delay_s: float = RETRY_DELAY_S) -> tuple[Queue, Queue]:
    """The dead-letter and the retry queue of a queue that Beat reads; what waits returns to it by itself, safely."""
    waiting = {
        "x-message-ttl": int(retry_delay_s * 1000),
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": queue,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",  # what that strategy asks for
    }
    quorum = {"x-queue-type": "quorum"}
    return Queue(error_queue(queue), arguments=quorum), Queue(retry_queue(queue), arguments=quorum | waiting)


CONSUMED = tuple(listener.source for listener in LISTENERS)
"""Queues that Beat reads and other services know by name."""

_NEIGHBOURS = tuple(Queue(f"{key}_q", BEAT_EXCHANGE, key) for key in PUBLISHED if key != "post_activity_log_bulk")
_ELSEWHERE = (
    *(Queue(f"{key}_q", IDENTITY_EXCHANGE, key) for key in (TRACE_KEY, NOTICE_KEY)),
    *(
        Queue(f"{key}_q", COFFEE_EXCHANGE, key)
        for key in ("keyword_collection_report_completion", "sentiment_collection_report_out_rk")
    ),
)

EXCHANGES = (BEAT_EXCHANGE, IDENTITY_EXCHANGE, COFFEE_EXCHANGE)
QUEUES = (*_NEIGHBOURS, *_ELSEWHERE, *CONSUMED, *(own for queue in CONSUMED for own in own_queues(queue.name)))


async def declare_topology(connection: AbstractConnection) -> None:
    """Make what is missing and leave the rest as it is; running it again, or twice at once, changes nothing."""
    link = _underlying(connection)
    for exchange in EXCHANGES:
        await _declare_exchange(link, exchange)
    for queue in QUEUES:
        await declare_queue(connection, queue)


async def declare_queue(connection: AbstractConnection, queue: Queue) -> None:
    """Make one queue where there is none, and bind it."""
    link, name = _underlying(connection), queue.name
    if not await _exists(link, lambda channel: channel.queue_declare(name, passive=True)):
        await _make(link, name, lambda channel: channel.queue_declare(name, durable=True, arguments=queue.arguments))
    if queue.exchange:
        channel = await link.channel(publisher_confirms=False)
        await channel.queue_bind(name, queue.exchange, queue.routing_key)
        await channel.close()


async def declare_consumed(connection: AbstractConnection, queue: Queue, *, retry_delay_s: float) -> None:
    """Make what a listener needs: exchange, queue, dead-letter and retry queue."""
    await _declare_exchange(_underlying(connection), queue.exchange)
    for needed in (queue, *own_queues(queue.name, retry_delay_s=retry_delay_s)):
        await declare_queue(connection, needed)


async def exchange_exists(connection: AbstractConnection, name: str) -> bool:
    """Whether the broker has it; the default exchange always exists."""
    return not name or await _exists(_underlying(connection), lambda channel: _look_for_exchange(channel, name))


def _look_for_exchange(channel: AbstractChannel, name: str) -> Awaitable[Any]:
    return channel.exchange_declare(name, passive=True)


async def _declare_exchange(link: aiormq.abc.AbstractConnection, name: str) -> None:
    if not await _exists(link, lambda channel: _look_for_exchange(channel, name)):
        await _make(link, name, lambda channel: channel.exchange_declare(name, exchange_type="direct", durable=True))


async def _exists(link: aiormq.abc.AbstractConnection, look: Callable[[AbstractChannel], Awaitable[Any]]) -> bool:
    """Ask on a channel of its own: the answer no closes it."""
    channel = await link.channel(publisher_confirms=False)
    try:
        await look(channel)
    except ChannelNotFoundEntity:
        return False
    await channel.close()
    return True


async def _make(
    link: aiormq.abc.AbstractConnection, name: str, declare: Callable[[AbstractChannel], Awaitable[Any]]
) -> None:
    channel = await link.channel(publisher_confirms=False)
    try:
        await declare(channel)
    except ChannelPreconditionFailed:  # made by its owner, in his way, since we looked
        logger.debug("queue or exchange was made by another service meanwhile", name=name)
        return
    await channel.close()
    logger.debug("queue or exchange was declared", name=name)


def _underlying(connection: AbstractConnection) -> aiormq.abc.AbstractConnection:
    """The connection below: its channels are not reopened and their queues not declared again after a reconnect."""
    if connection.transport is None:
        raise ConnectionError("the broker connection is closed")
    return connection.transport.connection
