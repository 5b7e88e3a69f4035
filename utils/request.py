"""The only door to provider APIs: one client per process, bounded in time, size, connections and redirects.

Made inside the running event loop, after any fork, and closed by whoever made it.
"""

from __future__ import annotations

import asyncio
import json as jsonlib
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from utils.content import OversizedError, UndecodableError, UnreadableError, decode_body, read_json
from utils.pool import Origin, Pool, PoolOptions
from utils.redact import redact_headers, redact_url
from utils.redirects import follow
from utils.request_errors import (
    BadRedirect,
    BodyTooLarge,
    ConnectFailed,
    NotJson,
    Phase,
    ProtocolFailed,
    RequestFailed,
    RequestTimeout,
    where,
)
from utils.transport import Incoming, Outgoing, Timeouts, send
from utils.urls import USER_AGENT, clean, encode_pairs, host_and_port, target, with_params

__all__ = [
    "OF_CONNECTION",
    "BadRedirect",
    "BodyTooLarge",
    "ConnectFailed",
    "Exchange",
    "HttpClient",
    "HttpOptions",
    "NotJson",
    "Phase",
    "ProtocolFailed",
    "RequestFailed",
    "RequestTimeout",
    "Response",
    "Timeouts",
]

OF_CONNECTION = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "accept-encoding", "x-provider-host"}
)
"""Headers that callers cannot set: they belong to the connection."""
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Response:
    """What came back, whatever its status: decompressed body, lower-case header names, the last URL of the chain."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    url: str = field(repr=False)
    elapsed_s: float

    def json(self) -> Any:
        """The body as strict JSON.

        Raises:
            NotJson: empty, HTML, cut, ...: the text says which and never quotes it.
        """
        try:
            return read_json(self.body)
        except UnreadableError as error:
            look = str(error)
        raise NotJson(f"status {self.status} with {look} instead of JSON", redact_url(self.url))


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request on the wire (each redirect is one), for metrics and traces; ``status`` is None when it failed.

    ``error`` is the class of the failure, or Cancelled: by the caller or by the total timeout. ``headers`` are those of
    the request; their secrets and those of ``url`` are masked.
    """

    method: str
    url: str
    status: int | None
    elapsed_s: float
    size_bytes: int
    error: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """How a client behaves. ``connections`` is per upstream host, ``max_idle`` over all hosts.

    With ``sandbox_url`` every request goes there, path and query unchanged, the real host in ``X-Provider-Host``.
    ``on_exchange`` is called after each exchange, must be quick and must not raise.
    """

    timeouts: Timeouts = field(default_factory=Timeouts)
    connections: int = 20
    max_idle: int = 20
    idle_ttl_s: float = 20.0
    max_body_bytes: int = 32 * 1024 * 1024
    max_redirects: int = 5
    sandbox_url: str | None = None
    user_agent: str = USER_AGENT
    ca_file: str | None = None
    on_exchange: Callable[[Exchange], None] | None = None


class HttpClient:
    """Requests over pooled connections; safe for any number of tasks of one event loop."""

    def __init__(self, options: HttpOptions) -> None:
        self._options = options
        self._sandbox = clean(options.sandbox_url) if options.sandbox_url else None
        self._pool = Pool(PoolOptions(options.connections, options.max_idle, options.idle_ttl_s, options.ca_file))
        self._closed = False

    async def request(  # noqa: PLR0913 - one door: what a caller may vary is all here
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        data: Mapping[str, Any] | str | bytes | None = None,
        timeouts: Timeouts | None = None,
        max_body_bytes: int | None = None,
    ) -> Response:
        """Ask and follow redirects; every status comes back as a response.

        ``json`` or ``data`` is the body, of any method. A mapping in ``data`` is a form.

        Raises:
            RequestFailed: no whole response in time.
            ValueError: the call itself is wrong.
        """
        if self._closed:
            raise RuntimeError("the client is closed")
        first = self._outgoing(method.upper(), clean(with_params(url, params)), headers, _body(json, data))
        bounds = timeouts or self._options.timeouts
        limit_bytes = self._options.max_body_bytes if max_body_bytes is None else max_body_bytes
        try:
            async with asyncio.timeout(bounds.total):
                return await self._chain(first, bounds, limit_bytes)
        except TimeoutError:
            late = RequestTimeout("total", bounds.total, where(first.method, first.url))
        raise late

    async def aclose(self) -> None:
        """Close every connection; what is under way fails."""
        self._closed = True
        await self._pool.aclose()

    def _outgoing(
        self, method: str, url: str, headers: Mapping[str, str] | None, body: tuple[bytes, str | None]
    ) -> Outgoing:
        if method not in _METHODS:
            raise ValueError("unknown method")
        content, content_type = body
        base = {"user-agent": self._options.user_agent, "accept": "*/*"}
        if content_type is not None:
            base["content-type"] = content_type
        return Outgoing(method, url, target(url), base | _checked(headers or {}), content)

    async def _chain(self, request: Outgoing, bounds: Timeouts, limit_bytes: int) -> Response:
        started = time.monotonic()
        seen = {(request.method, request.url)}
        while True:
            answer = await self._exchange(request, bounds, limit_bytes)
            following = follow(request, answer)
            if following is None:
                elapsed_s = time.monotonic() - started
                return Response(answer.status, answer.headers, answer.body, request.url, elapsed_s)
            if (following.method, following.url) in seen:
                raise BadRedirect("a redirect loop", where(request.method, request.url))
            if len(seen) > self._options.max_redirects:
                most = self._options.max_redirects
                raise BadRedirect(f"more than {most} redirects", where(request.method, request.url))
            seen.add((following.method, following.url))
            request = following

    async def _exchange(self, request: Outgoing, bounds: Timeouts, limit_bytes: int) -> Incoming:
        started = time.monotonic()
        status, size_bytes, error = None, 0, None
        try:
            answer = await send(self._pool, *self._route(request), bounds, limit_bytes)
            status, size_bytes = answer.status, len(answer.body)
            return _decoded(request, answer, limit_bytes)
        except RequestFailed as failure:
            error = type(failure).__name__
            raise
        except asyncio.CancelledError:
            error = "Cancelled"
            raise
        finally:
            if self._options.on_exchange is not None:
                elapsed_s = time.monotonic() - started
                url, headers = redact_url(request.url), redact_headers(request.headers)
                seen = Exchange(request.method, url, status, elapsed_s, size_bytes, error, headers)
                self._options.on_exchange(seen)

    def _route(self, request: Outgoing) -> tuple[Origin, Outgoing]:
        """Where the request goes: to its host, or to the sandbox under its host's name."""
        upstream = urlsplit(request.url).netloc
        wanted = self._sandbox or request.url
        host, port = host_and_port(wanted)
        headers = {**request.headers, "host": urlsplit(wanted).netloc, "accept-encoding": "gzip, deflate"}
        way = request.target
        if self._sandbox is not None:
            headers["x-provider-host"] = upstream
            way = urlsplit(self._sandbox).path.rstrip("/") + way
        return Origin(urlsplit(wanted).scheme, host, port, upstream), replace(request, headers=headers, target=way)


def _body(json: Any, data: Mapping[str, Any] | str | bytes | None) -> tuple[bytes, str | None]:
    """The bytes of a body and its content type."""
    if json is not None and data is not None:
        raise ValueError("a body is either json or data")
    if json is not None:
        return jsonlib.dumps(json, separators=(",", ":"), allow_nan=False).encode(), "application/json"
    if isinstance(data, Mapping):
        return encode_pairs(data).encode(), "application/x-www-form-urlencoded"
    if isinstance(data, str):
        return data.encode(), "text/plain; charset=utf-8"
    return data or b"", "application/octet-stream" if data else None


def _checked(headers: Mapping[str, str]) -> dict[str, str]:
    """Lower-case names; refuses what HTTP cannot carry without quoting the value, which may be a secret."""
    checked = {}
    for name, value in headers.items():
        text = str(value).strip(" \t")
        if not _TOKEN.fullmatch(name) or name.lower() in OF_CONNECTION:
            raise ValueError(f"header {name!r} cannot be set")
        if not text.isascii() or not text.replace("\t", " ").isprintable():
            raise ValueError(f"header {name!r} has a value that HTTP cannot carry")
        checked[name.lower()] = text
    return checked


def _decoded(request: Outgoing, answer: Incoming, limit_bytes: int) -> Incoming:
    try:
        body = decode_body(answer.body, answer.headers.get("content-encoding", ""), limit_bytes)
    except OversizedError:
        failure: RequestFailed = BodyTooLarge(limit_bytes, where(request.method, request.url))
    except UndecodableError as error:
        failure = ProtocolFailed(str(error), where(request.method, request.url))
    else:
        return replace(answer, body=body)
    raise failure
