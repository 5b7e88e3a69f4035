"""One connection and one channel to the broker, and what each answer to a message means."""

from __future__ import annotations

import asyncio
import re
import struct
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

import aio_pika
import aiormq
from aio_pika import DeliveryMode, RobustConnection
from aio_pika.abc import AbstractRobustChannel
from aio_pika.exceptions import (
    CONNECTION_EXCEPTIONS,
    ChannelClosed,
    DeliveryError,
    PublishError,
)
from pamqp.commands import Basic

from core.amqp.backoff import FIRST_S
from core.amqp.topology import declare_topology, exchange_exists

if TYPE_CHECKING:
    from core.amqp.outbox import Row, Scope

CONFIRM_TIMEOUT_S = 20.0
CONNECT_TIMEOUT_S = 10.0
HEARTBEAT_S = 10
LARGEST_BYTES = 100_000_000  # the broker's own limit is 134,217,728 and costs the channel
_NAMED_EXCHANGE = re.compile(r"exchange '([^']*)'")


class HeldBackError(Exception):
    """The broker does not take this message now; everything in ``scope`` has to wait."""

    def __init__(self, scope: Scope, reason: str) -> None:
        super().__init__(reason)
        self.scope = scope


class BrokerAwayError(Exception):
    """There is no broker to talk to: whether a message in flight arrived is unknown."""


class Publisher:
    """A robust connection with one confirming channel; ``up`` until the first sign that it is gone."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: RobustConnection | None = None
        self._channel: AbstractRobustChannel | None = None
        self._seen: set[str] = set()  # exchanges that exist
        self._look = asyncio.Lock()
        self.up = False

    async def open(self, patience_s: float) -> None:
        """Connect, or wait for the connection to restore itself, and see that the topology exists.

        Raises:
            BrokerAwayError: not within ``patience_s`` (the first connection takes up to ten seconds).
        """
        try:
            if self._connection is None or self._channel is None:
                await self._connect()
            else:
                self._connection.reconnect_interval = patience_s
                async with asyncio.timeout(patience_s + 1.0):
                    await self._channel.ready()
            assert self._connection is not None
            await declare_topology(self._connection)
        except TimeoutError as error:
            raise BrokerAwayError("no connection in time") from error
        except CONNECTION_EXCEPTIONS as error:
            raise BrokerAwayError(_said(error)) from error
        self._connection.reconnect_interval = FIRST_S
        self._seen.clear()
        self.up = True

    async def _connect(self) -> None:
        connection = await aio_pika.connect_robust(
            self._url,
            timeout=CONNECT_TIMEOUT_S,
            heartbeat=HEARTBEAT_S,
            reconnect_interval=FIRST_S,
            client_properties={"connection_name": "beat relay"},
        )
        try:
            channel = connection.channel(publisher_confirms=True, on_return_raises=True)
            await channel.initialize(timeout=CONNECT_TIMEOUT_S)
        except BaseException:
            await connection.close()
            raise
        self._connection, self._channel = connection, channel

    async def publish(self, row: Row) -> None:
        """Send one row and wait for the broker's confirm.

        Raises:
            HeldBackError: refused, unroutable, unanswered or impossible; other messages may pass.
            BrokerAwayError: the connection or the channel broke.
        """
        try:
            async with asyncio.timeout(CONFIRM_TIMEOUT_S):
                await self._send(row)
        except PublishError as error:
            raise HeldBackError(row.key[:2], f"no queue is bound ({_said(error)})") from error
        except DeliveryError as error:
            raise HeldBackError(row.key, "the broker refused it") from error
        except TimeoutError as error:
            raise HeldBackError(row.key, f"no confirm within {CONFIRM_TIMEOUT_S:.0f} s") from error
        except (HeldBackError, BrokerAwayError):
            self.up = self.up and self._channel is not None and not self._channel.is_closed
            raise
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            self.up = False  # the connection was given up, and with it the confirm we wait for
            raise BrokerAwayError("connection lost") from error
        except CONNECTION_EXCEPTIONS as error:
            self.up = False
            self._blame(row, error)
            raise BrokerAwayError(_said(error)) from error
        except Exception as error:  # a message that cannot be put into frames
            raise HeldBackError(row.key, f"cannot be sent: {_said(error)}") from error

    async def _send(self, row: Row) -> None:
        """On the channel below, without waiting for the socket: frames of many messages then leave in one write."""
        if self._channel is None or self._channel.is_closed:
            raise BrokerAwayError("the channel is closed")
        body = row.body.encode()
        if len(body) > LARGEST_BYTES:
            raise HeldBackError(row.key, f"{len(body)} bytes are more than the broker takes")
        if row.exchange not in self._seen:
            await self._find(row.exchange)
        channel = cast(aiormq.Channel, await self._channel.get_underlay_channel())
        await channel.basic_publish(
            body,
            exchange=row.exchange,
            routing_key=row.routing_key,
            properties=EventProperties(row.message_id, row.created_at),
            mandatory=True,
            wait=False,
        )

    async def _find(self, exchange: str) -> None:
        """Look for an exchange on a channel of its own: publishing to a missing one ends the channel of all messages.

        Raises:
            HeldBackError: there is none.
        """
        async with self._look:
            if exchange in self._seen or self._connection is None:
                return
            if not await exchange_exists(self._connection, exchange):
                raise HeldBackError((exchange,), f"no exchange {exchange!r}")
            self._seen.add(exchange)

    def _blame(self, row: Row, error: BaseException) -> None:
        """An exchange that is forbidden, or was deleted since, closes the channel; its name is in the reason.

        Raises:
            HeldBackError: it is this row's exchange.
        """
        if isinstance(error, ChannelClosed):
            named = _NAMED_EXCHANGE.search(_said(error))
            if named and named[1] == row.exchange:
                raise HeldBackError((row.exchange,), _said(error)) from error

    async def close(self) -> None:
        """Close the connection, whatever state it is in."""
        connection, self._connection, self._channel, self.up = self._connection, None, None, False
        if connection is not None:
            with suppress(Exception):
                async with asyncio.timeout(5.0):
                    await connection.close()


class EventProperties(Basic.Properties):
    """Persistent JSON with an id and a time; the body beside it is the stored text, byte for byte.

    Writes its bytes in one go: the library asks for each of the fourteen properties that a message may have.
    """

    def __init__(self, message_id: str, timestamp: datetime) -> None:
        super().__init__(
            content_type="application/json",
            content_encoding="utf-8",
            delivery_mode=DeliveryMode.PERSISTENT,
            message_id=message_id,
            timestamp=timestamp,
        )

    def marshal(self) -> bytes:
        """As the library's, for these five properties."""
        message_id, timestamp = self.message_id, self.timestamp
        assert message_id is not None
        assert timestamp is not None
        name = message_id.encode()
        return _BEGINNING + bytes((len(name),)) + name + _SECONDS.pack(int(timestamp.timestamp()))


_SECONDS = struct.Struct(">Q")
_BEGINNING = Basic.Properties.marshal(EventProperties("i", datetime.now(UTC)))[: -len(b"\x01i") - _SECONDS.size]
"""Flags and the three properties that are the same for all messages."""


def _said(error: BaseException) -> str:
    return " ".join(str(part) for part in error.args if part is not None) or type(error).__name__
