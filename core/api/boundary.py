"""The outermost layer: request ids, the body size limit, one log line per request, and no exception beyond it."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from loguru import logger
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.api.envelope import error_response

MAX_BODY_BYTES = 2**20
REQUEST_ID = "x-request-id"
_USABLE_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)


@dataclass(slots=True)
class _Exchange:
    """One request as far as it got; ``status`` is 0 until the answer starts."""

    receive: Receive
    send: Send
    request_id: str
    max_bytes: int
    received_bytes: int = 0
    status: int = 0

    async def receive_limited(self) -> Message:
        message = await self.receive()
        self.received_bytes += len(message.get("body", b""))
        if self.received_bytes > self.max_bytes:
            raise HTTPException(413, _too_large(self.max_bytes))
        return message

    async def send_named(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            MutableHeaders(scope=message)[REQUEST_ID] = self.request_id
        await self.send(message)


class Boundary:
    """ASGI middleware around the whole application. ``larger_bodies``: bytes accepted by paths that take more."""

    def __init__(self, app: ASGIApp, larger_bodies: Mapping[str, int]) -> None:
        self._app = app
        self._larger_bodies = larger_bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        max_bytes = self._larger_bodies.get(scope["path"], MAX_BODY_BYTES)
        exchange = _Exchange(receive, send, _request_id(Headers(scope=scope)), max_bytes)
        started = time.perf_counter()
        with logger.contextualize(request_id=exchange.request_id):
            await self._serve(scope, exchange)
            logger.bind(
                method=scope["method"],
                path=scope["path"],  # without the query, which may hold a token
                status=exchange.status,
                ms=round((time.perf_counter() - started) * 1000, 1),
            ).info("request_served")

    async def _serve(self, scope: Scope, exchange: _Exchange) -> None:
        try:
            if _announced_bytes(Headers(scope=scope)) > exchange.max_bytes:
                await error_response(413, _too_large(exchange.max_bytes))(scope, exchange.receive, exchange.send_named)
            else:
                await self._app(scope, exchange.receive_limited, exchange.send_named)
        except Exception:  # noqa: BLE001 - whatever it was, the caller gets an envelope and no internals
            logger.exception("request_failed")
            if exchange.status == 0:
                message = f"Internal error, see the log for request {exchange.request_id}"
                await error_response(500, message)(scope, exchange.receive, exchange.send_named)


def _too_large(max_bytes: int) -> str:
    return f"The body is larger than {max_bytes} bytes"


def _request_id(headers: Headers) -> str:
    given = headers.get(REQUEST_ID, "")
    return given if _USABLE_ID.fullmatch(given) else uuid.uuid4().hex


def _announced_bytes(headers: Headers) -> int:
    length = headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() and len(length) < 20 else 0
