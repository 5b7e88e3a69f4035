"""A server that answers exactly the bytes a test wants, also those that no HTTP library would send."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it arrived; ``connection`` counts connections from 1."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int
    reader: asyncio.StreamReader = field(repr=False)


Handler = Callable[[Seen, asyncio.StreamWriter], Awaitable[bool]]
"""Writes an answer; True keeps the connection open."""


@dataclass(slots=True)
class RawServer:
    """What a running server has seen."""

    port: int = 0
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0
    open_now: int = 0
    most_open: int = 0
    writers: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def url(self) -> str:
        """Base URL over plain HTTP."""
        return f"http://127.0.0.1:{self.port}"


async def stall(seen: Seen) -> bool:
    """Answer nothing until the client leaves."""
    await seen.reader.read()
    return False


async def until(condition: Callable[[], bool]) -> None:
    """Come back when it is true; the test's own time limit is the bound."""
    while not condition():
        await asyncio.sleep(0.01)


def http(status: int = 200, body: bytes = b"{}", **headers: str) -> bytes:
    """A well-formed response; underscores in header names are dashes."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def always(answer: bytes, *, keep: bool = True) -> Handler:
    """A handler with one answer for everything."""

    async def handle(_seen: Seen, writer: asyncio.StreamWriter) -> bool:
        writer.write(answer)
        return keep

    return handle


@asynccontextmanager
async def raw_server(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawServer]:
    """A server on a free loopback port, gone with its connections at the end."""
    state = RawServer()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        state.connections += 1
        state.open_now += 1
        state.most_open = max(state.most_open, state.open_now)
        state.writers.add(writer)
        try:
            await _conversation(state, reader, writer, handler, state.connections)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            state.open_now -= 1
            state.writers.discard(writer)
            tasks.discard(task)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    state.port = server.sockets[0].getsockname()[1]
    try:
        yield state
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


async def _conversation(
    state: RawServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: Handler, number: int
) -> None:
    keep = True
    while keep:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        if "expect" in headers:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        seen = Seen(method, target, headers, body, number, reader)
        state.seen.append(seen)
        keep = await handler(seen, writer)
        await writer.drain()
