"""The consumer: effect, commit, acknowledge, in this order; what fails is tried again later and then put aside.

A message is delivered at least once: a process that dies between commit and acknowledgement gets it again, so handlers
are idempotent. An invalid or refused payload goes to ``error.<queue>`` at once, a failed one after two more attempts.
While the database is away messages stay unacknowledged, and that uses up no attempt.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from loguru import logger
from pydantic import BaseModel, ValidationError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from core.amqp.backoff import pause_s
from core.amqp.lenient import carried, read_leniently
from core.amqp.models import AmqpListener, Refused
from core.amqp.topology import declare_consumed, error_queue, retry_queue
from core.runtime import FlowContext
from utils.db import broke_off
from utils.redact import redact_text
from utils.times import utc_now
from utils.waiting import wait_any

if TYPE_CHECKING:
    from core.runtime import Runtime

ABANDON_S = 5.0
"""Longest wait for handlers that were cancelled."""

RETRIES = 2
RETRIES_HEADER, REASON_HEADER = "x-retries", "x-reason"


async def run_listener(listener: AmqpListener, url: str, runtime: Runtime, *, stopping: asyncio.Event) -> None:
    """Handle the queue's messages until ``stopping`` is set; outlives the absence of broker and database.

    Cancelled, it cancels what is being handled and waits for the roll-back; the broker delivers that again.
    """
    read_leniently()
    consumer = Consumer(listener, runtime, stopping)
    failures = 0
    try:
        while not stopping.is_set():
            try:
                await consumer.serve(url)
            except Exception as error:  # noqa: BLE001 - the listener outlives whatever happens to its connection
                failures = 1 if consumer.started else failures + 1
                logger.warning("listener lost the broker: {error}", error=_reason(error), queue=listener.queue)
                await wait_any(stopping, timeout_s=pause_s(failures))
    finally:
        await consumer.abandon()


class Consumer:
    """One process's share of a queue."""

    def __init__(self, listener: AmqpListener, runtime: Runtime, stopping: asyncio.Event) -> None:
        self._listener = listener
        self._handler, self._model = listener.load()
        self._runtime = runtime
        self._stopping = stopping
        self._lost = asyncio.Event()
        self._running: set[asyncio.Task[Any]] = set()
        self.started = False

    async def serve(self, url: str) -> None:
        """Connect, see that the queues exist, and consume until stopping or until the connection is lost."""
        self.started = False
        connection = await aio_pika.connect(
            url, timeout=10.0, heartbeat=10, client_properties={"connection_name": f"beat {self._listener.queue}"}
        )
        async with connection:
            listener = self._listener
            await declare_consumed(connection, listener.source, retry_delay_s=listener.retry_delay_s)
            channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            await channel.set_qos(prefetch_count=listener.prefetch)
            self._lost = await _loss_of(channel)
            queue = await channel.get_queue(listener.queue, ensure=False)
            tag = await queue.consume(partial(self._receive, channel))
            self.started = True
            logger.info("listener started", queue=listener.queue)
            while not (self._stopping.is_set() or self._lost.is_set()):
                await wait_any(self._stopping, self._lost, timeout_s=60.0)
            if self._lost.is_set():
                raise ConnectionError("consumer was cancelled or its channel closed")
            await queue.cancel(tag)
            if self._running:
                await asyncio.wait(self._running)

    async def abandon(self) -> None:
        """Give up what is still being handled, within a few seconds."""
        if self._running:
            for task in self._running:
                task.cancel()
            await asyncio.wait(self._running, timeout=ABANDON_S)

    async def _receive(self, channel: AbstractChannel, message: AbstractIncomingMessage) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        await self._settle(channel, message)

    async def _settle(self, channel: AbstractChannel, message: AbstractIncomingMessage) -> None:
        """Handle and acknowledge; a message that cannot be put elsewhere goes back to its queue."""
        try:
            parsed = self._model.model_validate_json(message.body)
        except ValidationError as error:
            reason = "; ".join(f"{_path(entry)}: {entry['msg']}" for entry in error.errors(include_input=False)[:10])
            await self._put_aside(channel, message, f"invalid payload: {reason}")
            return
        try:
            handled = await self._handle(parsed, self._lost)
        except Refused as error:
            await self._put_aside(channel, message, f"refused: {_quoted(str(error))}")
        except Exception as error:  # noqa: BLE001 - whatever a handler raises, the message must not be lost
            logger.opt(exception=error).error("message was not handled", queue=self._listener.queue)
            await self._again(channel, message, _reason(error))
        else:
            if handled:
                await message.ack()

    async def _handle(self, parsed: BaseModel, lost: asyncio.Event) -> bool:
        """Run the handler, again and again while the database is away; False when the message is given back instead."""
        failures = 0
        while True:
            try:
                await self._handler(parsed, FlowContext(self._runtime, None, utc_now()))
            except Exception as error:
                if not await self._database_failed(error):
                    raise
                failures += 1
                logger.warning(
                    "message waits for the database: {error}", error=_reason(error), queue=self._listener.queue
                )
                await wait_any(self._stopping, lost, timeout_s=pause_s(failures))
            else:
                return True
            if self._stopping.is_set() or lost.is_set():
                return False  # unacknowledged: the broker delivers it again once this connection is closed

    async def _database_failed(self, error: Exception) -> bool:
        """Whether the database is to blame: it broke off, or does not answer now."""
        if isinstance(error, Refused):
            return False
        if isinstance(error, DBAPIError):
            return broke_off(error)
        try:
            async with self._runtime.database.sessions() as session:
                await session.execute(text("select 1"))
        except Exception:  # noqa: BLE001 - a database that cannot answer this is away, whatever it says
            return True
        return False

    async def _again(self, channel: AbstractChannel, message: AbstractIncomingMessage, reason: str) -> None:
        retries = retries_of(message)
        if retries >= RETRIES:
            await self._put_aside(channel, message, reason)
        else:
            headers = {RETRIES_HEADER: retries + 1, REASON_HEADER: reason}
            await self._move(channel, message, retry_queue(self._listener.queue), headers)

    async def _put_aside(self, channel: AbstractChannel, message: AbstractIncomingMessage, reason: str) -> None:
        logger.warning("message was put aside", queue=self._listener.queue, reason=reason)
        await self._move(channel, message, error_queue(self._listener.queue), {REASON_HEADER: reason})

    async def _move(
        self, channel: AbstractChannel, message: AbstractIncomingMessage, queue: str, headers: dict[str, Any]
    ) -> None:
        """Copy, confirmed by the broker, then acknowledge: dying in between repeats the message and loses nothing."""
        copy = aio_pika.Message(
            message.body,
            headers=carried(message.headers) | headers,
            content_type=message.content_type,
            content_encoding=message.content_encoding,
            type=message.type,
            app_id=message.app_id,
            correlation_id=message.correlation_id,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            message_id=message.message_id,
            timestamp=message.timestamp,
        )
        try:
            await channel.default_exchange.publish(copy, routing_key=queue, timeout=20.0)
        except (aio_pika.exceptions.DeliveryError, TimeoutError) as error:
            logger.error("message could not be moved: {error}", error=_reason(error), queue=queue)
            await asyncio.sleep(pause_s(1))
            await message.nack(requeue=True)
            return
        await message.ack()


def retries_of(message: AbstractIncomingMessage) -> int:
    """How often the message was tried again already; what no listener wrote into the header counts as not at all."""
    value = message.headers.get(RETRIES_HEADER, 0)
    return max(value, 0) if isinstance(value, int) else 0


async def _loss_of(channel: AbstractChannel) -> asyncio.Event:
    """Set when the channel closes or the broker ends the consumer (its queue was deleted)."""
    lost = asyncio.Event()
    channel.close_callbacks.add(lambda *_: lost.set())
    underlay = await channel.get_underlay_channel()
    underlay.on_consumer_cancel_callbacks.add(lambda _: lost.set())
    return lost


def _path(entry: Any) -> str:
    return ".".join(str(part) for part in entry["loc"]) or "payload"


def _reason(error: BaseException) -> str:
    return _quoted(f"{type(error).__name__}: {error}")


def _quoted(text: str) -> str:
    """As a header can have it: without secrets, and as UTF-8, which an error may quote otherwise from elsewhere."""
    return redact_text(text)[:500].encode(errors="replace").decode()
