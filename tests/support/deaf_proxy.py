"""A TCP proxy before PostgreSQL whose connections can be made deaf while they stay open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

HEAD = 5
"""Bytes before the body of a message of the server: its kind, and its length without the kind."""
NOTIFICATION = b"A"


@dataclass(slots=True)
class DeafProxy:
    """What the connections that are open now do not hear: kinds of messages, or all that the server says."""

    url: str
    opened: int = 0
    swallowed: int = 0
    _open: set[Line] = field(default_factory=set)

    def make_deaf(self, *, to_all: bool) -> None:
        """From now on, for the connections of now: those to come hear well."""
        for line in self._open:
            line.deaf_to = b"" if to_all else NOTIFICATION


@dataclass(eq=False, slots=True)
class Line:
    """One connection. ``deaf_to``: None hears all, a kind of message misses those, empty bytes miss everything."""

    deaf_to: bytes | None = None

    def hears(self, kind: bytes) -> bool:
        """Whether a message of this kind is handed on."""
        return self.deaf_to is None or self.deaf_to not in (b"", kind)


@asynccontextmanager
async def deaf_proxy(url: str) -> AsyncIterator[DeafProxy]:
    """Run one before the server of the URL; connections must not be encrypted, which its URL sees to."""
    parts = urlsplit(url)
    proxy = DeafProxy("")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        proxy.opened += 1
        line = Line()
        proxy._open.add(line)
        from_server, to_server = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            async with asyncio.TaskGroup() as pumps:
                back = pumps.create_task(_hand_on(proxy, line, from_server, writer))
                await _copy(reader, to_server)  # ends with the client's connection
                back.cancel()
        finally:
            proxy._open.discard(line)
            to_server.close()
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    credentials = parts.netloc.rpartition("@")[0]
    proxy.url = urlunsplit(parts._replace(netloc=f"{credentials}@127.0.0.1:{port}", query="sslmode=disable"))
    try:
        yield proxy
    finally:
        server.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


async def _hand_on(proxy: DeafProxy, line: Line, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            head = await reader.readexactly(HEAD)
            body = await reader.readexactly(int.from_bytes(head[1:]) - 4)
            if line.hears(head[:1]):
                writer.write(head + body)
                await writer.drain()
            else:
                proxy.swallowed += 1
    writer.close()
