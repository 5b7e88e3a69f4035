"""One request and one response over asks 3.0.0, on a connection from the pool.

asks builds the request and speaks HTTP; what it does wrong is done here instead. Its session is not used (it retries,
leaks sockets on resets and waits without bounds), nor its redirects, its quoting of URLs, its cookies and its idea of a
response: it raises on a Set-Cookie without a value, on Latin-1 headers, and cannot stop a body from growing.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import h11
from asks.errors import AsksException
from asks.request_object import RequestProcessor

from utils.pool import Origin, Pool
from utils.request_errors import BodyTooLarge, ConnectFailed, ProtocolFailed, RequestFailed, RequestTimeout, where
from utils.wire import SilentError, Wire

_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
_MISREAD: Final = (AsksException, LookupError, ValueError, TypeError, AttributeError, AssertionError)
_LENGTHS: Final = frozenset({"content-length", "transfer-encoding"})
_MOST_INTERIM: Final = 10
_BROKEN: Final = (OSError, h11.ProtocolError, *_MISREAD)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to get a connection, of silence between chunks, and for everything with waiting and redirects."""

    connect: float = 5.0
    read: float = 20.0
    total: float = 30.0


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request as it goes out; ``url`` is the real one, also behind a sandbox. Secret: not for log lines."""

    method: str
    url: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Incoming:
    """A response as it came in: lower-case header names, repeated ones joined by ", ", the body still encoded."""

    status: int
    headers: dict[str, str]
    body: bytes
    reusable: bool


@dataclass(slots=True)
class _Attempt:
    request: Outgoing
    timeouts: Timeouts
    limit_bytes: int
    wire: Wire | None = None
    reused: bool = False
    answer: Incoming | None = field(default=None)


async def send(pool: Pool, origin: Origin, request: Outgoing, timeouts: Timeouts, limit_bytes: int) -> Incoming:
    """One exchange. A kept connection that the server had closed is replaced once, when repeating can do no harm.

    Raises:
        RequestFailed: no whole response.
    """
    async with pool.turn(origin):
        for wire in (pool.take(origin), None):
            attempt = _Attempt(request, timeouts, limit_bytes, wire, reused=wire is not None)
            failure = await _attempt(pool, origin, attempt)
            if attempt.answer is not None:
                return attempt.answer
            if not (attempt.reused and _was_stale(attempt, failure)):
                break
        assert failure is not None
        raise failure


def _was_stale(attempt: _Attempt, failure: RequestFailed | None) -> bool:
    untouched = attempt.wire is not None and attempt.wire.received == 0
    return untouched and isinstance(failure, ProtocolFailed) and attempt.request.method in _IDEMPOTENT


async def _attempt(pool: Pool, origin: Origin, attempt: _Attempt) -> RequestFailed | None:
    """Fill in ``answer`` or return the failure, raised by the caller so that no chain of causes quotes the answer."""
    reusable = False
    try:
        if attempt.wire is None:
            failure = await _connect(pool, origin, attempt)
            if failure is not None:
                return failure
        assert attempt.wire is not None
        attempt.wire.begin(attempt.timeouts.read)
        _, attempt.answer = await _Request(attempt).make_request()
        reusable = attempt.answer is not None and attempt.answer.reusable
    except RequestFailed as known:
        return known
    except SilentError:
        return RequestTimeout("read", attempt.timeouts.read, _where(attempt))
    except _BROKEN as error:
        return ProtocolFailed(_reason(error), _where(attempt))
    finally:
        if attempt.wire is not None:
            (pool.give(origin, attempt.wire) if reusable else pool.drop(attempt.wire))
    return None


async def _connect(pool: Pool, origin: Origin, attempt: _Attempt) -> RequestFailed | None:
    limit_s = attempt.timeouts.connect
    try:
        async with asyncio.timeout(limit_s) as clock:
            attempt.wire = await pool.connect(origin)
    except OSError as error:
        if clock.expired():
            return RequestTimeout("connect", limit_s, _where(attempt))
        return ConnectFailed(_reason(error), _where(attempt))
    return None


def _where(attempt: _Attempt) -> str:
    return where(attempt.request.method, attempt.request.url)


def _reason(error: Exception) -> str:
    """What happened, in words that hold nothing of the request or the answer."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not trusted: {error.verify_message}"
    if isinstance(error, h11.ProtocolError):
        text = str(error)
        if "closed connection" in text or "ConnectionClosed" in text:
            return "the connection ended before the response did"
        return "the answer is not valid HTTP"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return f"the answer could not be read ({type(error).__name__})"


class _Request(RequestProcessor):  # type: ignore[misc] # asks publishes no types
    """asks' request with its target taken as it is and its response read here."""

    def __init__(self, attempt: _Attempt) -> None:
        wire, request = attempt.wire, attempt.request
        assert wire is not None
        super().__init__(
            None,
            request.method,
            request.url,
            wire.port,
            headers={**request.headers, "Connection": "keep-alive"},
            data=request.body or None,
            encoding="utf-8",
            sock=wire,
        )
        self.attempt = attempt

    def _build_path(self) -> None:
        """The target is ready; asks would quote it once more."""
        self.path = self.attempt.request.target

    async def _request_io(self, request: Any, body: Any, connection: h11.Connection) -> Incoming:
        """Send and read; cookies, authorisation rounds and redirects are not asks' business."""
        await self._send(request, body, connection)
        head = await self._read_head(connection)
        headers = _headers(head)
        if _ends_by_closing(head, headers, self.method):
            raise self._failed("a body without length on a connection that stays open")
        body_bytes = await self._read_body(connection)
        return Incoming(head.status_code, headers, body_bytes, _reusable(head, headers, connection))

    async def _read_head(self, connection: h11.Connection) -> h11.Response:
        """The final response; interim ones, which a server may send unasked, are passed over."""
        for _ in range(_MOST_INTERIM):
            head = await self._recv_event(connection)
            if isinstance(head, h11.Response):
                return head
            if not isinstance(head, h11.InformationalResponse):
                raise self._failed("the connection ended without a response")
        raise self._failed("interim responses without end")

    async def _read_body(self, connection: h11.Connection) -> bytes:
        body = bytearray()
        while not isinstance(event := await self._recv_event(connection), h11.EndOfMessage):
            if not isinstance(event, h11.Data):
                raise self._failed("the connection ended before the response did")
            body += event.data
            if len(body) > self.attempt.limit_bytes:
                raise BodyTooLarge(self.attempt.limit_bytes, _where(self.attempt))
        return bytes(body)

    def _failed(self, reason: str) -> ProtocolFailed:
        return ProtocolFailed(reason, _where(self.attempt))


def _headers(head: h11.Response) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in head.headers:
        name, value = raw_name.decode("ascii").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _words(headers: Mapping[str, str], name: str) -> set[str]:
    return {word.strip().lower() for word in headers.get(name, "").split(",")}


def _ends_by_closing(head: h11.Response, headers: Mapping[str, str], method: str) -> bool:
    """A body that only the end of the connection ends cannot be told from a cut one, unless closing was announced."""
    if method == "HEAD" or head.status_code in (204, 304) or not headers.keys().isdisjoint(_LENGTHS):
        return False
    return head.http_version == b"1.1" and "close" not in _words(headers, "connection")


def _reusable(head: h11.Response, headers: Mapping[str, str], connection: h11.Connection) -> bool:
    words = _words(headers, "connection")
    stays = "close" not in words if head.http_version == b"1.1" else "keep-alive" in words
    return stays and connection.our_state is h11.DONE and not connection.trailing_data[0]
