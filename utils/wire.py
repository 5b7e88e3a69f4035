"""One TCP or TLS connection, with the few methods that asks wants of a socket."""

from __future__ import annotations

import asyncio
import select
from typing import cast

_PAUSE_ABOVE = 1 << 20


class SilentError(Exception):
    """Nothing moved on the connection for the read timeout."""


class Wire(asyncio.Protocol):
    """A connection that knows what happened to it while nobody was looking.

    ``host``, ``port`` and ``_active`` are read by asks. Data or an end of stream that arrives between two requests
    makes a connection unfit: see ``fit``.
    """

    def __init__(self) -> None:
        self.host = ""
        self.port = ""
        self._active = True
        self.read_s = 0.0
        self.received = 0
        self.idle_since = 0.0
        self._buffer = bytearray()
        self._eof = False
        self._lost = False
        self._error: Exception | None = None
        self._paused = False
        self._transport: asyncio.Transport | None = None
        self._wake: asyncio.Future[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self.closed = asyncio.Event()

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Keep what arrived; stop reading from the kernel when nobody fetches it."""
        self._buffer += data
        if len(self._buffer) > _PAUSE_ABOVE and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._ring()

    def eof_received(self) -> bool:
        """The other side said its last; False lets the transport close."""
        self._eof = True
        self._ring()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The descriptor is gone."""
        self._lost = self._eof = True
        self._error = exc
        self._writable.set()
        self.closed.set()
        self._ring()

    def pause_writing(self) -> None:
        """The send buffer is full."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The send buffer has room again."""
        self._writable.set()

    def _ring(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    # asks' side

    async def receive(self, _max_bytes: int = 65536) -> bytes:
        """The next bytes, or nothing at the end of the stream.

        Raises:
            SilentError: nothing came for ``read_s``.
            OSError: the connection broke.
        """
        if not self._buffer and not self._eof:
            self._wake = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(self.read_s):
                    await self._wake
            except TimeoutError:
                raise SilentError from None
            finally:
                self._wake = None
        if not self._buffer and self._error is not None:
            raise self._error
        data = bytes(self._buffer)
        self._buffer.clear()
        self.received += len(data)
        if self._paused and self._transport is not None and not self._lost:
            self._paused = False
            self._transport.resume_reading()
        return data

    async def send(self, data: bytes) -> None:
        """Hand over to the kernel, waiting while the other side does not read.

        Raises:
            SilentError: the other side took nothing for ``read_s``.
            OSError: the connection broke and left no answer to read.
        """
        if self._transport is not None and not self._lost:
            self._transport.write(data)
        if not self._writable.is_set():
            try:
                async with asyncio.timeout(self.read_s):
                    await self._writable.wait()
            except TimeoutError:
                raise SilentError from None
        if self._lost and not self._buffer:
            raise self._error or ConnectionResetError("the connection was closed")

    async def aclose(self) -> None:
        """Close at once, without waiting for the other side."""
        self.abort()

    # the pool's side

    def abort(self) -> None:
        """Drop the connection; its descriptor is free on the loop's next turn."""
        self._active = False
        if self._transport is not None:
            self._transport.abort()

    def begin(self, read_s: float) -> None:
        """Ready for one more request."""
        self.read_s = read_s
        self.received = 0

    def fit(self) -> bool:
        """Whether another request may use it: open, and silent since the last answer ended."""
        if not self._active or self._eof or self._buffer or self._transport is None or self._transport.is_closing():
            return False
        sock = self._transport.get_extra_info("socket")
        if sock is None or sock.fileno() < 0:
            return False
        poll = select.poll()  # what the kernel has and the loop has not read yet
        poll.register(sock.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
        return not poll.poll(0)
