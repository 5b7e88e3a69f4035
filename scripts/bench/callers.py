"""Callers of an HTTP server on loopback that cost next to nothing: requests out, answers in, nothing parsed."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

import uvloop

from scripts.bench.place import BenchError

_END, _LENGTH, _GOOD, _WORD = b"\r\n\r\n", b"content-length:", b"HTTP/1.1 200 ", b'"SUCCESS"'


@dataclass(slots=True)
class Called:
    """What all callers together saw: how long it took, the time of each answer, the body of the last one."""

    seconds: float = 0.0
    times: list[float] = field(default_factory=list)
    body: bytes = b""


def get(path: str) -> bytes:
    """A request."""
    return f"GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n".encode()


def post(path: str, value: object) -> bytes:
    """A request with a body."""
    body = json.dumps(value).encode()
    kind = "content-type: application/json"
    return f"POST {path} HTTP/1.1\r\nhost: bench\r\n{kind}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


async def called(port: int, requests: Sequence[bytes], connections: int) -> Called:
    """Send all requests over so many connections, each waiting for its answer before its next one.

    They live in a thread with a loop of its own, the fastest there is.

    Raises:
        BenchError: an answer was no success, or a connection was closed.
    """

    def run() -> Called:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_call_all(port, requests, connections))

    return await asyncio.to_thread(run)


async def _call_all(port: int, requests: Sequence[bytes], connections: int) -> Called:
    seen, left = Called(), iter(requests)
    loop = asyncio.get_running_loop()
    opened = [await loop.create_connection(lambda: _Caller(left, seen), "127.0.0.1", port) for _ in range(connections)]
    started = time.perf_counter()
    try:
        for _, caller in opened:
            caller.call()
        await asyncio.gather(*(caller.done for _, caller in opened))
    finally:
        for transport, _ in opened:
            transport.close()
    seen.seconds = time.perf_counter() - started
    return seen


class _Caller(asyncio.Protocol):
    """One connection."""

    def __init__(self, left: Iterator[bytes], seen: Called) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._left = left
        self._seen = seen
        self._answer = b""
        self._began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's is of no such class

    def call(self) -> None:
        """Send the next request, if there is one."""
        request = next(self._left, None)
        if request is None:
            self.done.set_result(None)
            return
        self._answer, self._began = b"", time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, end, body = self._answer.partition(_END)
        if not end or len(body) < _length(head):
            return
        self._seen.times.append(time.perf_counter() - self._began)
        if not head.startswith(_GOOD) or _WORD not in body[:100]:
            self._fail(f"an answer was no success: {self._answer[:300]!r}")
            return
        self._seen.body = body
        self.call()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"a connection was closed: {exc}")

    def _fail(self, reason: str) -> None:
        if not self.done.done():
            self.done.set_exception(BenchError(reason))


def _length(head: bytes) -> int:
    return int(head.lower().partition(_LENGTH)[2].partition(b"\r\n")[0])
