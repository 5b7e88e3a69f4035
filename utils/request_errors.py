"""What an outbound request can end with instead of a response.

Every class is picklable and safe to log: URLs in messages are redacted, bodies and headers are never quoted.
"""

from __future__ import annotations

from typing import Literal

from utils.redact import redact_url

Phase = Literal["connect", "read", "total"]


def where(method: str, url: str) -> str:
    """The request as messages name it."""
    return f"{method} {redact_url(url)}"


class RequestFailed(Exception):
    """No usable response. ``request`` is the method and the redacted URL."""

    def __init__(self, reason: str, request: str) -> None:
        super().__init__(reason, request)
        self.reason = reason
        self.request = request

    def __str__(self) -> str:
        return f"{self.reason} ({self.request})"


class RequestTimeout(RequestFailed):
    """Too slow: ``phase`` connect (no connection), read (silence between chunks) or total (with redirects)."""

    def __init__(self, phase: Phase, limit_s: float, request: str) -> None:
        super().__init__(f"{phase} timeout after {limit_s:g} s", request)
        self.args = (phase, limit_s, request)
        self.phase = phase
        self.limit_s = limit_s


class ConnectFailed(RequestFailed):
    """No connection: refused, unreachable, unknown host, untrusted certificate. Nothing was sent."""


class ProtocolFailed(RequestFailed):
    """The answer was cut, reset, or is not HTTP that can be trusted to be whole."""


class BodyTooLarge(RequestFailed):
    """The body, as sent or decompressed, passed the cap; reading stopped there."""

    def __init__(self, limit_bytes: int, request: str) -> None:
        super().__init__(f"body is larger than {limit_bytes} bytes", request)
        self.args = (limit_bytes, request)
        self.limit_bytes = limit_bytes


class BadRedirect(RequestFailed):
    """A redirect that must not be followed: a loop, too many, another scheme, https to http."""


class NotJson(RequestFailed):
    """A response came, but its body is not JSON; the reason says what it looks like."""
