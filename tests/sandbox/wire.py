"""Putting an answer on the wire, whole or broken. Breaking needs the connection itself, below ASGI."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from tests.sandbox.hosts.base import Answer

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

HUGE_BYTES = 50 << 20
_CHUNK = b"a" * (256 << 10)


async def body_of(receive: Receive) -> bytes:
    """The whole body of a request."""
    parts, more = bytearray(), True
    while more:
        message = await receive()
        parts += message.get("body", b"")
        more = message.get("more_body", False)
    return bytes(parts)


async def send_answer(send: Send, answer: Answer) -> None:
    """A complete response."""
    await send(_start(answer, len(answer.body)))
    await send({"type": "http.response.body", "body": answer.body})


async def send_half(send: Send, answer: Answer) -> None:
    """Announce the whole body, send half of it, close the connection."""
    await send(_start(answer, max(len(answer.body), 2)))
    await send({"type": "http.response.body", "body": answer.body[: len(answer.body) // 2], "more_body": True})
    transport_of(send).close()


async def send_huge(send: Send, answer: Answer, start: bytes = b'{"status":"ok","padding":"') -> None:
    """50 MB that start well, JSON by default, in chunks of unknown total length."""
    headers = [(b"content-type", answer.content_type), *answer.headers]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": start, "more_body": True})
    transport = transport_of(send)
    for _ in range(HUGE_BYTES // len(_CHUNK)):
        if transport.is_closing():
            return
        await send({"type": "http.response.body", "body": _CHUNK, "more_body": True})
    await send({"type": "http.response.body", "body": b'"}'})


async def send_and_stall(send: Send, answer: Answer) -> None:
    """Announce the whole body, send half of it, and leave it at that."""
    await send(_start(answer, len(answer.body)))
    await send({"type": "http.response.body", "body": answer.body[: len(answer.body) // 2], "more_body": True})


def send_until_closed(send: Send, answer: Answer, *, half: bool) -> None:
    """A body without length, whole or half, that the end of the connection ends."""
    fields = ((b"content-type", answer.content_type), (b"connection", b"close"), *answer.headers)
    head = b"".join(b"%s: %s\r\n" % field for field in fields)
    body = answer.body[: len(answer.body) // 2] if half else answer.body
    transport = transport_of(send)
    transport.write(b"HTTP/1.1 %d X\r\n%s\r\n%s" % (answer.status, head, body))
    transport.close()


async def hang(receive: Receive, seconds: float) -> None:
    """Say nothing until the client leaves or the time is over."""

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    try:
        async with asyncio.timeout(seconds):
            await gone()
    except TimeoutError:
        pass


def reset(send: Send) -> None:
    """Drop the connection with RST, without a byte of answer."""
    transport = transport_of(send)
    handle = transport.get_extra_info("socket")
    with socket.socket(fileno=os.dup(handle.fileno())) as twin:
        twin.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def transport_of(send: Send) -> asyncio.Transport:
    """The connection under uvicorn's ``send``, which is a method of the object that holds it."""
    transport = send.__self__.transport  # type: ignore[attr-defined]
    assert hasattr(transport, "abort"), "the sandbox needs uvicorn with nothing between it and the application"
    return transport  # type: ignore[no-any-return]


def _start(answer: Answer, length: int) -> dict[str, Any]:
    headers = [(b"content-type", answer.content_type), (b"content-length", b"%d" % length), *answer.headers]
    return {"type": "http.response.start", "status": answer.status, "headers": headers}
