"""The consumer: whatever properties a message has, known to the library or not, the queue goes on."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator
from functools import partial
from typing import cast

import aiormq
import asyncpg
import pytest
from aio_pika.abc import AbstractChannel
from pamqp.commands import Basic

from config import Settings
from core.amqp.models import AmqpListener
from core.amqp.topology import error_queue
from tests.integration.test_listener import listener, records, running, send
from tests.support.relay import open_channel, take, until

__all__ = ["listener"]


class RawProperties(Basic.Properties):
    """Properties byte for byte."""

    def __init__(self, raw: bytes) -> None:
        super().__init__()
        self._raw = raw

    def marshal(self) -> bytes:
        """What was given."""
        return self._raw


def with_time(value: int) -> bytes:
    """A time as it is sent: epoch seconds, or what some take for them."""
    return struct.pack(">HQ", 0x0040, value)


def with_type(value: bytes) -> bytes:
    """A content type."""
    return struct.pack(">HB", 0x8000, len(value)) + value


def with_header(value: bytes, name: bytes = b"a") -> bytes:
    """One header; the value begins with the letter of its type."""
    table = bytes((len(name),)) + name + value
    return struct.pack(">HI", 0x2000, len(table)) + table


def sized(kind: bytes, value: bytes) -> bytes:
    """A header's value with its length."""
    return kind + struct.pack(">I", len(value)) + value


ODD = {
    "milliseconds": with_time(1_733_000_000_000),
    "microseconds": with_time(1_733_000_000_000_000),
    "last time": with_time(2**64 - 1),
    "latin type": with_type(b"caf\xe9"),
    "long latin type": with_type(b"\xe9" * 255),
    "latin name": with_header(b"t\x01", b"\xe9a"),
    "bytes": with_header(sized(b"S", b"\xff\xfe")),
    "byte array": with_header(sized(b"x", b"\xff\xfe")),
    "large double": with_header(b"d" + struct.pack(">d", 1e300)),
    "decimal": with_header(b"D" + struct.pack(">BI", 2, 12345)),
    "time in a header": with_header(b"T" + struct.pack(">Q", 2**63 - 1)),
    "nothing": with_header(b"V"),
    "array": with_header(sized(b"A", b"t\x01" + b"S\x00\x00\x00\x01\xff")),
    "table": with_header(sized(b"F", b"\x01bt\x01")),
    "long name": with_header(b"t\x01", b"k" * 255),
    "text of retries": with_header(sized(b"S", b"9"), b"x-retries"),
    "huge": with_header(sized(b"S", b"y" * 131_000)),
}


@pytest.fixture
async def channel(rmq_url: str) -> AsyncIterator[AbstractChannel]:
    async with open_channel(rmq_url) as channel:
        yield channel


async def test_any_properties_are_read_and_copied(
    pg: asyncpg.Connection, channel: AbstractChannel, listener: AmqpListener, rmq_url: str, settings: Settings
) -> None:
    async with running(listener, rmq_url, settings):
        await send(channel, listener, {"name": "first"})
        link = cast(aiormq.Channel, await channel.get_underlay_channel())
        for odd, raw in ODD.items():
            for body in (b'{"name": "%s"}' % odd.encode(), b"no json: " + odd.encode()):
                await link.basic_publish(body, routing_key=listener.queue, properties=RawProperties(raw))
        for odd in ODD:
            await until(partial(records, pg, odd))
        dead = await take(channel, error_queue(listener.queue), len(ODD))
    assert {message.body.decode() for message in dead} == {f"no json: {odd}" for odd in ODD}
    assert all(str(message.headers["x-reason"]).startswith("invalid payload") for message in dead)
    assert [await records(pg, odd) for odd in ODD] == [1] * len(ODD)
